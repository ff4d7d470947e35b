//! The resampler of the Python package resampy 0.4 with its default filter `kaiser_best`, value for value.
//!
//! Band-limited interpolation after J. O. Smith, "Digital Audio Resampling": a windowed sinc is tabulated, and read
//! with linear interpolation at the distance of each input sample. The table's step is rounded down to whole entries,
//! as there, which is heard nowhere but seen in the sixth digit.

use std::collections::VecDeque;
use std::sync::LazyLock;

use headcast_core::SampleRate;

/// Zero crossings on each side, and table entries per crossing.
const ZEROS: usize = 50;
const PRECISION: usize = 1 << 13;
/// Of the Nyquist frequency.
const ROLLOFF: f64 = 0.917_347_371_260_876_1;
const BETA: f64 = 12.984_585_247_040_012;

/// Converts one channel from one rate to another as `resampy.resample` does, while samples come in.
///
/// Output sample 0 is the same instant as input sample 0; n samples become exactly `floor(n · out / in)`, one less
/// than [`Resampler`](super::Resampler) gives where that is no whole number. Equal rates pass unchanged.
pub(crate) struct Kaiser {
    /// Output over input rate, and what one output sample advances in the input.
    ratio: f64,
    increment: f64,
    /// Table entries per input sample of distance, and per sample of the lower rate as a fraction.
    step: usize,
    scale: f64,
    rates: [u64; 2],
    /// Input samples from number `first` on.
    window: VecDeque<f32>,
    first: u64,
    taken: u64,
    given: u64,
}

impl Kaiser {
    pub(crate) fn new(rate_in: SampleRate, rate_out: SampleRate) -> Self {
        let ratio = f64::from(rate_out.hz()) / f64::from(rate_in.hz());
        let scale = ratio.min(1.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "at most 8192, rounded down as in the package"
        )]
        let step = ((scale * PRECISION as f64) as usize).max(1);
        Self {
            ratio,
            increment: 1.0 / ratio,
            step,
            scale,
            rates: [u64::from(rate_in.hz()), u64::from(rate_out.hz())],
            window: VecDeque::new(),
            first: 0,
            taken: 0,
            given: 0,
        }
    }

    /// Takes `input` and appends what is ready to `out`.
    pub(crate) fn push(&mut self, input: &[f32], out: &mut Vec<f64>) {
        self.taken += input.len() as u64;
        if self.rates[0] == self.rates[1] {
            out.extend(input.iter().map(|&sample| f64::from(sample)));
            return;
        }
        self.window.extend(input);
        let wing = (table().len() / self.step) as u64 + 1;
        while self.place(self.given).0 + wing < self.taken {
            out.push(self.sample());
        }
        let unneeded = (self.place(self.given).0 + 1).saturating_sub(wing).saturating_sub(self.first);
        let unneeded = usize::try_from(unneeded).unwrap_or(usize::MAX).min(self.window.len());
        self.window.drain(..unneeded);
        self.first += unneeded as u64;
    }

    /// Appends the rest to `out`; there is silence after the clip.
    pub(crate) fn finish(mut self, out: &mut Vec<f64>) {
        if self.rates[0] == self.rates[1] {
            return;
        }
        let total = u128::from(self.taken) * u128::from(self.rates[1]) / u128::from(self.rates[0]);
        while u128::from(self.given) < total {
            out.push(self.sample());
        }
    }

    /// Where an output sample lies: the input sample at or before it, and the distance from there.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sample numbers below 2^53"
    )]
    fn place(&self, output: u64) -> (u64, f64) {
        let time = output as f64 * self.increment;
        let at = time as u64;
        (at, time - at as f64)
    }

    fn sample(&mut self) -> f64 {
        let (at, distance) = self.place(self.given);
        self.given += 1;
        let distance = self.scale * distance;
        let centre = usize::try_from(at - self.first).unwrap_or(usize::MAX);
        let left = (0..=centre).rev().map_while(|i| self.window.get(i));
        let right = (centre + 1..self.window.len()).map_while(|i| self.window.get(i));
        // Of the whole sum instead of the table: the same up to rounding.
        self.scale * (self.wing(distance, left) + self.wing(self.scale - distance, right))
    }

    /// One side of the sum: samples from the nearest one outwards, the first at `distance`.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index into the table"
    )]
    fn wing<'a>(&self, distance: f64, samples: impl Iterator<Item = &'a f32>) -> f64 {
        let table = table();
        let place = distance * PRECISION as f64;
        let offset = place as usize;
        let between = place - offset as f64;
        let taps = table.len().saturating_sub(offset) / self.step;
        let weight = |tap: usize| {
            let here = table[offset + tap * self.step];
            let next = table.get(offset + tap * self.step + 1).copied().unwrap_or(here);
            here + between * (next - here)
        };
        samples.take(taps).enumerate().map(|(tap, &sample)| weight(tap) * f64::from(sample)).sum()
    }
}

impl std::fmt::Debug for Kaiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Kaiser({} to {} Hz, ratio {:.4})", self.rates[0], self.rates[1], self.ratio)
    }
}

/// The right half of the filter.
#[expect(clippy::cast_precision_loss, reason = "table indices")]
fn table() -> &'static [f64] {
    static TABLE: LazyLock<Vec<f64>> = LazyLock::new(|| {
        let last = ZEROS * PRECISION;
        let top = bessel_i0(BETA);
        (0..=last)
            .map(|i| {
                let x = std::f64::consts::PI * ROLLOFF * i as f64 / PRECISION as f64;
                let sinc = if i == 0 { 1.0 } else { x.sin() / x };
                let edge = i as f64 / last as f64;
                ROLLOFF * sinc * bessel_i0(BETA * (1.0 - edge * edge).max(0.0).sqrt()) / top
            })
            .collect()
    });
    &TABLE
}

/// Modified Bessel function of the first kind, order 0, by its power series; all terms are positive.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut sum, mut term, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}
