//! Samples to cepstral coefficients, as the Python package `python_speech_features` 0.6 makes them by default.
//!
//! Pre-emphasis, frames of 400 samples every 160 without a window, power spectrum of 512 points, 26 mel triangles,
//! logarithm, orthonormal cosine transform, lifter; the frame's log energy takes the place of coefficient 0. All in
//! `f64`, as there. DeepSpeech hears every second frame, so the others are not made.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use headcast_core::spool::{Spool, Spools};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

/// Coefficients of a frame, and mel bands.
pub(super) const CEPSTRA: usize = 26;
/// Frames before and after that the network sees with each.
pub(super) const CONTEXT: usize = 9;
/// Values of one network input.
pub(super) const INPUTS: usize = (2 * CONTEXT + 1) * CEPSTRA;

const RATE: f64 = 16_000.0;
const WINDOW: usize = 400;
/// Between frames as the package makes them.
const STEP: u64 = 160;
/// Between frames that are kept.
const KEPT_STEP: usize = 320;
const FFT: usize = 512;
const BINS: usize = FFT / 2 + 1;
const EMPHASIS: f64 = 0.97;
const LIFTER: f64 = 22.0;
const FRAME_VALUES: u64 = CEPSTRA as u64;
/// Frames read together.
const FRAMES_AT_ONCE: u64 = 1024;

/// Makes cepstra while samples come in.
pub(super) struct Mfcc {
    chain: Chain,
    /// The sample before the next one; `None` at the start of the clip.
    last: Option<f64>,
    samples: u64,
    /// Emphasised samples from the next kept frame's start on.
    pending: Vec<f64>,
    frames: u64,
    /// `[frames, CEPSTRA]`.
    cepstra: Spool,
    fresh: Vec<f32>,
}

impl Mfcc {
    pub(super) fn new(spools: &Spools) -> Self {
        let cepstra = spools.spool();
        let (pending, fresh) = (Vec::new(), Vec::new());
        Self { chain: Chain::new(), last: None, samples: 0, pending, frames: 0, cepstra, fresh }
    }

    /// Takes samples at 16 kHz, as `int16` holds them.
    pub(super) fn push(&mut self, samples: impl IntoIterator<Item = i16>) -> io::Result<()> {
        for sample in samples {
            let sample = f64::from(sample);
            // The first sample is kept as it is.
            self.pending.push(self.last.map_or(sample, |last| sample - EMPHASIS * last));
            self.last = Some(sample);
            self.samples += 1;
        }
        let mut start = 0;
        while start + WINDOW <= self.pending.len() {
            self.frame(start);
            start += KEPT_STEP;
        }
        self.pending.drain(..start);
        self.put_aside()
    }

    /// The rest: what is missing of the last frames is zero. `None` when there was no sample.
    pub(super) fn finish(mut self) -> io::Result<Option<Inputs>> {
        if self.samples == 0 {
            return Ok(None);
        }
        let frames = kept_frames(self.samples);
        while self.frames < frames {
            if self.pending.len() < WINDOW {
                self.pending.resize(WINDOW, 0.0);
            }
            self.frame(0);
            self.pending.drain(..KEPT_STEP);
        }
        self.put_aside()?;
        Inputs::new(self.cepstra, frames).map(Some)
    }

    fn frame(&mut self, start: usize) {
        let cepstra = self.chain.frame(&self.pending[start..start + WINDOW]);
        #[expect(clippy::cast_possible_truncation, reason = "as the network takes them")]
        self.fresh.extend(cepstra.map(|value| value as f32));
        self.frames += 1;
    }

    fn put_aside(&mut self) -> io::Result<()> {
        let fresh = std::mem::take(&mut self.fresh);
        self.cepstra.append_f32s(&fresh)?;
        self.fresh = fresh;
        self.fresh.clear();
        Ok(())
    }
}

/// Every second one of `1 + ceil((samples - 400) / 160)` frames, the first included.
fn kept_frames(samples: u64) -> u64 {
    (1 + samples.saturating_sub(WINDOW as u64).div_ceil(STEP)).div_ceil(2)
}

/// The steps of one frame.
struct Chain {
    fft: Arc<dyn RealToComplex<f64>>,
    frame: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    power: Vec<f64>,
    /// Triangles, `[CEPSTRA, BINS]`.
    filters: Vec<[f64; BINS]>,
    mel: [f64; CEPSTRA],
    /// `[coefficient][band]`.
    cosines: [[f64; CEPSTRA]; CEPSTRA],
    lifter: [f64; CEPSTRA],
}

impl Chain {
    #[expect(clippy::cast_precision_loss, reason = "coefficient numbers")]
    fn new() -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(FFT);
        let bands = CEPSTRA as f64;
        let cosine = |k: usize, n: usize| {
            let scale = if k == 0 { (1.0 / bands).sqrt() } else { (2.0 / bands).sqrt() };
            scale * (std::f64::consts::PI * k as f64 * (2 * n + 1) as f64 / (2.0 * bands)).cos()
        };
        let lifter = |k: usize| 1.0 + LIFTER / 2.0 * (std::f64::consts::PI * k as f64 / LIFTER).sin();
        Self {
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
            power: vec![0.0; BINS],
            filters: filters(),
            mel: [0.0; CEPSTRA],
            cosines: std::array::from_fn(|k| std::array::from_fn(|n| cosine(k, n))),
            lifter: std::array::from_fn(lifter),
        }
    }

    fn frame(&mut self, emphasised: &[f64]) -> [f64; CEPSTRA] {
        self.frame[..WINDOW].copy_from_slice(emphasised);
        self.frame[WINDOW..].fill(0.0);
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers have the lengths that the transform made them with");
        #[expect(clippy::cast_precision_loss, reason = "512")]
        for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
            *power = bin.norm_sqr() / FFT as f64;
        }
        let energy = self.energy();
        for (mel, filter) in self.mel.iter_mut().zip(&self.filters) {
            *mel = not_zero(filter.iter().zip(&self.power).map(|(w, p)| w * p).sum());
        }
        let log_mel = self.mel.map(f64::ln);
        let mut cepstra = self.lifted(&log_mel);
        cepstra[0] = energy.ln();
        cepstra
    }

    fn energy(&self) -> f64 {
        not_zero(self.power.iter().sum())
    }

    fn lifted(&self, log_mel: &[f64; CEPSTRA]) -> [f64; CEPSTRA] {
        std::array::from_fn(|k| {
            let sum: f64 = self.cosines[k].iter().zip(log_mel).map(|(cosine, value)| cosine * value).sum();
            sum * self.lifter[k]
        })
    }
}

/// Silence has a logarithm, too.
fn not_zero(value: f64) -> f64 {
    if value == 0.0 { f64::EPSILON } else { value }
}

/// Triangles between bins, whose corners are equally spaced in mel and rounded down to bins.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "bins and band numbers"
)]
fn filters() -> Vec<[f64; BINS]> {
    let highest = 2595.0 * (1.0 + RATE / 2.0 / 700.0).log10();
    let corner = |i: usize| {
        let hz = 700.0 * (10f64.powf(highest * i as f64 / (CEPSTRA + 1) as f64 / 2595.0) - 1.0);
        ((FFT + 1) as f64 * hz / RATE).floor() as usize
    };
    (0..CEPSTRA)
        .map(|band| {
            let (low, middle, high) = (corner(band), corner(band + 1), corner(band + 2));
            std::array::from_fn(|bin| {
                if (low..middle).contains(&bin) {
                    (bin - low) as f64 / (middle - low) as f64
                } else if (middle..high).contains(&bin) {
                    (high - bin) as f64 / (high - middle) as f64
                } else {
                    0.0
                }
            })
        })
        .collect()
}

/// The network's inputs for a whole clip: each frame with its neighbours, normalised by the mean and the standard
/// deviation of all inputs together. Frames outside the clip are zero before that.
pub(super) struct Inputs {
    cepstra: Spool,
    frames: u64,
    mean: f64,
    deviation: f64,
}

impl Inputs {
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^53")]
    fn new(cepstra: Spool, frames: u64) -> io::Result<Self> {
        let mut inputs = Self { cepstra, frames, mean: 0.0, deviation: 1.0 };
        let count = (frames * INPUTS as u64) as f64;
        let mut inside = 0.0;
        let mut sum = 0.0;
        inputs.each(&mut |uses, frame| {
            sum += uses * frame.iter().map(|&value| f64::from(value)).sum::<f64>();
            inside += uses * frame.len() as f64;
        })?;
        let mean = sum / count;
        let mut squares = (count - inside) * mean * mean;
        inputs.each(&mut |uses, frame| {
            squares += uses * frame.iter().map(|&value| (f64::from(value) - mean).powi(2)).sum::<f64>();
        })?;
        inputs.mean = mean;
        inputs.deviation = (squares / count).sqrt().max(f64::MIN_POSITIVE);
        Ok(inputs)
    }

    /// Number of inputs, one per 20 ms; at least 1.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Puts the inputs `range` into `out`: input i begins at `i × CEPSTRA` and has [`INPUTS`] values, as neighbours
    /// overlap.
    pub(super) fn read(&self, range: Range<u64>, out: &mut Vec<f32>) -> io::Result<()> {
        let context = CONTEXT as u64;
        let (from, to) = (range.start.saturating_sub(context), (range.end + context).min(self.frames));
        let values = |frames: u64| usize::try_from(frames * FRAME_VALUES).unwrap_or(usize::MAX);
        let before = values(context - (range.start - from));
        out.clear();
        out.resize(values(range.end - range.start + 2 * context), 0.0);
        self.cepstra.read_f32s(from * FRAME_VALUES, &mut out[before..before + values(to - from)])?;
        for value in out {
            #[expect(clippy::cast_possible_truncation, reason = "network input")]
            {
                *value = ((f64::from(*value) - self.mean) / self.deviation) as f32;
            }
        }
        Ok(())
    }

    /// Every frame, with the number of inputs that it is in.
    #[expect(clippy::cast_precision_loss, reason = "19 at most")]
    fn each(&self, take: &mut dyn FnMut(f64, &[f32])) -> io::Result<()> {
        let mut block = Vec::new();
        let context = CONTEXT as u64;
        let mut at = 0;
        while at < self.frames {
            let now = FRAMES_AT_ONCE.min(self.frames - at);
            block.resize(usize::try_from(now * FRAME_VALUES).unwrap_or(usize::MAX), 0.0);
            self.cepstra.read_f32s(at * FRAME_VALUES, &mut block)?;
            for (frame, t) in block.chunks_exact(CEPSTRA).zip(at..) {
                let uses = (t + context).min(self.frames - 1) - t.saturating_sub(context) + 1;
                take(uses as f64, frame);
            }
            at += now;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
