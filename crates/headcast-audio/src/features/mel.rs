//! Samples to log-mel frames at 100 Hz, normalised by the level of the clip.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use headcast_core::spool::{Spool, Spools};
use realfft::num_complex::Complex;
use realfft::{RealFftPlanner, RealToComplex};

const RATE: f64 = 16_000.0;
/// Samples under one window; the frame is centred on its hop.
pub(super) const WINDOW: usize = 400;
const HOP: usize = 160;
const FFT: usize = 512;
/// Mel bands in a frame.
pub(super) const BANDS: usize = 48;
const LOWEST_HZ: f64 = 60.0;
const HIGHEST_HZ: f64 = 7600.0;
/// Added to the power ratio before the logarithm: -60 dB.
const FLOOR: f64 = 1e-6;
const MIN_LEVEL: f64 = 1e-6;
const ENERGY_FLOOR: f64 = 1e-10;
const SHIFT: f64 = 8.0;
const SCALE: f64 = 3.0;

/// Frames that one pair of rows consists of.
const FRAMES_PER_ROW_PAIR: u64 = 4;
const FRAME_BYTES: u64 = 4 * BANDS as u64;

/// Collects mel energies while samples come in.
///
/// The transform runs in `f64`: beside a loud band, quiet ones lose digits in `f32`, and the logarithm
/// shows it. It is a tenth of the network's cost.
pub(super) struct MelFrames {
    fft: Arc<dyn RealToComplex<f64>>,
    window: Vec<f64>,
    /// Per band: first bin, and the triangle's weights from there on.
    bands: Vec<(usize, Vec<f64>)>,
    /// Samples from 200 before the next frame's centre on; zeros before the clip.
    pending: Vec<f32>,
    samples: u64,
    /// `[frames, BANDS]` mel energies.
    energies: Spool,
    /// Those that are not in `energies` yet.
    fresh: Vec<f32>,
    level: Level,
    frame: Vec<f64>,
    spectrum: Vec<Complex<f64>>,
    scratch: Vec<Complex<f64>>,
    power: Vec<f64>,
}

/// Log-mel frames of a whole clip, normalised by its level.
pub(super) struct LogMel {
    energies: Spool,
    frames: u64,
    level: f64,
}

impl MelFrames {
    pub(super) fn new(spools: &Spools) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(FFT);
        #[expect(clippy::cast_precision_loss, reason = "below 400")]
        let window = |i| 0.5 - 0.5 * (std::f64::consts::TAU * i as f64 / WINDOW as f64).cos();
        Self {
            window: (0..WINDOW).map(window).collect(),
            bands: triangles(),
            pending: vec![0.0; WINDOW / 2],
            samples: 0,
            energies: spools.spool(),
            fresh: Vec::new(),
            level: Level::default(),
            power: Vec::with_capacity(FFT / 2 + 1),
            frame: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            fft,
        }
    }

    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    pub(super) fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        self.take(samples)?;
        self.level.settle(self.frames());
        Ok(())
    }

    /// How many frames a clip that ended here would have.
    fn frames(&self) -> u64 {
        self.samples / super::ROW_PAIR_SAMPLES * FRAMES_PER_ROW_PAIR
    }

    fn take(&mut self, samples: &[f32]) -> io::Result<()> {
        self.samples += samples.len() as u64;
        self.pending.extend_from_slice(samples);
        let mut start = 0;
        while start + WINDOW <= self.pending.len() {
            self.add_frame(start);
            start += HOP;
        }
        self.pending.drain(..start);
        self.level.hear(&self.fresh);
        let fresh = std::mem::take(&mut self.fresh);
        self.energies.append_f32s(&fresh)?;
        self.fresh = fresh;
        self.fresh.clear();
        Ok(())
    }

    fn add_frame(&mut self, start: usize) {
        let samples = &self.pending[start..start + WINDOW];
        for ((to, &sample), &w) in self.frame.iter_mut().zip(samples).zip(&self.window) {
            *to = f64::from(sample) * w;
        }
        self.frame[WINDOW..].fill(0.0);
        self.fft
            .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch)
            .expect("the buffers have the lengths that the transform made them with");
        // 256 bins times 150, the sum of the squared window: the powers add up to the mean square.
        self.power.clear();
        self.power.extend(self.spectrum.iter().map(|bin| bin.norm_sqr() / (256.0 * 150.0)));
        for (first, weights) in &self.bands {
            let energy: f64 = weights.iter().zip(&self.power[*first..]).map(|(w, p)| w * p).sum();
            #[expect(clippy::cast_possible_truncation, reason = "stored to 7 digits")]
            self.fresh.push(energy as f32);
        }
    }

    /// `4 × floor(samples / 640)` normalised log-mel frames.
    pub(super) fn finish(mut self) -> io::Result<LogMel> {
        let frames = self.frames();
        // The last frames reach up to 40 samples past the clip.
        if self.energies.len() < frames * FRAME_BYTES {
            let silence = [0.0; WINDOW];
            self.take(&silence)?;
        }
        self.level.settle(frames);
        let level = self.level.value();
        Ok(LogMel { energies: self.energies, frames, level })
    }
}

impl LogMel {
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Appends the frames `range`, `[frames, BANDS]`, to `out`.
    pub(super) fn read(&self, range: Range<u64>, out: &mut Vec<f32>) -> io::Result<()> {
        let start = out.len();
        let values = usize::try_from(range.end - range.start).unwrap_or(usize::MAX).saturating_mul(BANDS);
        out.resize(start + values, 0.0);
        let new = &mut out[start..];
        self.energies.read_f32s(range.start * BANDS as u64, new)?;
        for energy in new {
            let value = ((f64::from(*energy) / self.level + FLOOR).ln() + SHIFT) / SCALE;
            #[expect(clippy::cast_possible_truncation, reason = "network input")]
            {
                *energy = value as f32;
            }
        }
        Ok(())
    }
}

/// What every band of a frame outside the clip is worth.
pub(super) fn silent_frame_value() -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "network input")]
    let value = ((FLOOR.ln() + SHIFT) / SCALE) as f32;
    value
}

/// The clip's reference level: the amplitude-weighted mean of the frames' log energy, so that silence and
/// single clicks hardly count.
#[derive(Debug, Default)]
struct Level {
    sum: f64,
    weights: f64,
    settled: u64,
    /// Energies of the frames after those: whether they belong to the clip depends on where it ends.
    open: VecDeque<f64>,
}

impl Level {
    /// The next frames, `[frames, BANDS]`.
    fn hear(&mut self, energies: &[f32]) {
        let energy = |frame: &[f32]| frame.iter().map(|&e| f64::from(e)).sum::<f64>().max(ENERGY_FLOOR);
        self.open.extend(energies.chunks_exact(BANDS).map(energy));
    }

    /// The first `frames` frames belong to the clip.
    fn settle(&mut self, frames: u64) {
        while self.settled < frames
            && let Some(energy) = self.open.pop_front()
        {
            let amplitude = energy.sqrt();
            self.sum += amplitude * energy.ln();
            self.weights += amplitude;
            self.settled += 1;
        }
    }

    fn value(&self) -> f64 {
        if self.weights > 0.0 { (self.sum / self.weights).exp().max(MIN_LEVEL) } else { MIN_LEVEL }
    }
}

/// Triangles, linear in Hz between corners that are equally spaced in mel.
#[expect(clippy::cast_precision_loss, reason = "band and bin numbers")]
fn triangles() -> Vec<(usize, Vec<f64>)> {
    let mel = |hz: f64| 2595.0 * (1.0 + hz / 700.0).log10();
    let (low, high) = (mel(LOWEST_HZ), mel(HIGHEST_HZ));
    let corner = |i: usize| {
        let mel = low + (high - low) * i as f64 / (BANDS + 1) as f64;
        700.0 * (10f64.powf(mel / 2595.0) - 1.0)
    };
    (0..BANDS)
        .map(|band| {
            let (lo, mid, hi) = (corner(band), corner(band + 1), corner(band + 2));
            let weight = |bin: usize| {
                let hz = bin as f64 * RATE / FFT as f64;
                ((hz - lo) / (mid - lo)).min((hi - hz) / (hi - mid)).max(0.0)
            };
            let weights: Vec<f64> = (0..=FFT / 2).map(weight).collect();
            let first = weights.iter().position(|&w| w > 0.0).unwrap_or(0);
            let end = weights.iter().rposition(|&w| w > 0.0).map_or(first, |last| last + 1);
            (first, weights[first..end].to_vec())
        })
        .collect()
}
