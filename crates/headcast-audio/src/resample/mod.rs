//! Rate conversion and channel mixing, as streaming stages.

mod kaiser;
mod mix;

#[cfg(test)]
mod tests;

use std::fmt;
use std::time::Duration;

use headcast_core::SampleRate;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};

pub(crate) use kaiser::Kaiser;
pub(crate) use mix::{Layout, Mixer};

/// Frames per FFT block on the side with the lower rate: the pass band ends at 0.98 of the lower Nyquist
/// frequency and the stop band is below -100 dB.
const BLOCK_FRAMES: usize = 1024;

/// Converts interleaved `f32` audio from one rate to another, without delay: output sample 0 is the same
/// instant as input sample 0, and n samples per channel become exactly `ceil(n · out / in)`.
///
/// A linear-phase band-limited filter in the frequency domain (rubato's `Fft`). Equal rates pass unchanged.
pub struct Resampler {
    stage: Option<Stage>,
    channels: usize,
    rate_in: SampleRate,
    rate_out: SampleRate,
    /// Samples per channel taken and given.
    taken: u64,
    given: u64,
}

struct Stage {
    fft: Fft<f32>,
    /// Less than one block, interleaved.
    pending: Vec<f32>,
    block_in: usize,
    block_out: Vec<f32>,
    /// Output frames of the filter's delay still to drop.
    delay: usize,
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resampler({} to {}, {} channels)", self.rate_in, self.rate_out, self.channels)
    }
}

impl Resampler {
    /// A stage for `channels` interleaved channels.
    ///
    /// # Panics
    /// If `channels` is 0.
    pub fn new(rate_in: SampleRate, rate_out: SampleRate, channels: usize) -> Self {
        assert!(channels > 0, "audio has at least one channel");
        let stage = (rate_in != rate_out).then(|| Stage::new(rate_in, rate_out, channels));
        Self { stage, channels, rate_in, rate_out, taken: 0, given: 0 }
    }

    /// Takes interleaved `input` and appends what is ready to `out`.
    ///
    /// # Panics
    /// If `input` is not whole frames.
    pub fn push(&mut self, input: &[f32], out: &mut Vec<f32>) {
        assert_eq!(input.len() % self.channels, 0, "input holds whole frames");
        self.taken += (input.len() / self.channels) as u64;
        let before = out.len();
        match &mut self.stage {
            None => out.extend_from_slice(input),
            Some(stage) => stage.push(input, self.channels, out),
        }
        self.given += ((out.len() - before) / self.channels) as u64;
    }

    /// Appends the rest to `out` and returns the number of samples per channel given in all.
    pub fn finish(mut self, out: &mut Vec<f32>) -> u64 {
        let total = convert_len(self.taken, self.rate_in.hz(), self.rate_out.hz());
        if let Some(stage) = &mut self.stage {
            // Silence pushes the last samples through the filter.
            let silence = vec![0.0; stage.block_in * self.channels];
            while self.given < total {
                let before = out.len();
                stage.push(&silence, self.channels, out);
                self.given += ((out.len() - before) / self.channels) as u64;
            }
            // Less than the block just pushed.
            let excess = usize::try_from(self.given - total).unwrap_or(0) * self.channels;
            out.truncate(out.len().saturating_sub(excess));
        }
        total
    }
}

impl Stage {
    fn new(rate_in: SampleRate, rate_out: SampleRate, channels: usize) -> Self {
        let hz = |rate: SampleRate| usize::try_from(rate.hz()).expect("a sample rate fits usize");
        let (hz_in, hz_out) = (hz(rate_in), hz(rate_out));
        // Blocks are multiples of the reduced ratio. An even multiple puts the filter's centre on a sample
        // of both sides, so that its delay is a whole number.
        let unit_in = hz_in / gcd(hz_in, hz_out);
        let wanted = BLOCK_FRAMES * hz_in.div_ceil(hz_out);
        let chunk = unit_in * wanted.div_ceil(unit_in).next_multiple_of(2);
        let window = WindowFunction::BlackmanHarris2;
        let fft = Fft::new_custom(hz_in, hz_out, chunk, 1, channels, window, FixedSync::Both)
            .expect("rates, chunk and channel count are not zero");
        Self {
            pending: Vec::new(),
            block_in: fft.input_frames_next(),
            block_out: vec![0.0; fft.output_frames_next() * channels],
            delay: fft.output_delay(),
            fft,
        }
    }

    fn push(&mut self, mut input: &[f32], channels: usize, out: &mut Vec<f32>) {
        let block = self.block_in * channels;
        while !input.is_empty() {
            let (now, rest) = input.split_at(input.len().min(block - self.pending.len()));
            self.pending.extend_from_slice(now);
            input = rest;
            if self.pending.len() < block {
                return;
            }
            let frames_out = self.block_out.len() / channels;
            let from = InterleavedSlice::new(&self.pending, channels, self.block_in)
                .expect("pending holds exactly one block");
            let mut to = InterleavedSlice::new_mut(&mut self.block_out, channels, frames_out)
                .expect("the buffer holds exactly one block");
            self.fft.process_into_buffer(&from, &mut to, None).expect("both buffers hold exactly one block");
            self.pending.clear();
            let drop = self.delay.min(frames_out);
            self.delay -= drop;
            out.extend_from_slice(&self.block_out[drop * channels..]);
        }
    }
}

fn gcd(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// `ceil(n · out / in)`.
fn convert_len(n: u64, rate_in: u32, rate_out: u32) -> u64 {
    let len = (u128::from(n) * u128::from(rate_out)).div_ceil(u128::from(rate_in));
    u64::try_from(len).unwrap_or(u64::MAX)
}

/// `samples` at `rate` as time, rounded down to nanoseconds.
pub(crate) fn duration(samples: u64, rate: u32) -> Duration {
    let rate = u64::from(rate.max(1));
    Duration::from_secs(samples / rate) + Duration::from_nanos(samples % rate * 1_000_000_000 / rate)
}
