//! How upstream's scripts cut a clip into runs, and which rows of them they keep.
//!
//! While a clip is decoded, its samples are put aside, 64 kB a second; the network runs when rows are read, for the run or
//! the piece that they belong to. So the first rows are there soon after the clip was decoded.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use headcast_core::{FeatureKind, FeatureTrack, Maker, SampleRate, Spool, Spools, Stop, ValuesError};

use super::super::listener::{ListenError, Listener, track};
use super::super::math::{STANDARD_EPS, standardise};
use super::config::{FIELD, HOP};
use super::network::Network;
use crate::resample::{Kaiser, Resampler};

/// Chunks of a run: those before, those whose rows are kept, those after.
const LEFT: usize = 10;
const CONTEXT: usize = 50;
const RIGHT: usize = 10;
const RUN: usize = (LEFT + CONTEXT + RIGHT) * HOP;

/// Letter scores: runs of 70 chunks of 20 ms, each normalised by itself, of which the 50 in the middle are kept; the end
/// of the clip is run once more.
pub(crate) struct Ctc {
    network: Arc<Network>,
    threads: usize,
    kind: FeatureKind,
    /// As upstream's script has it.
    resampler: Kaiser,
    resampled: Vec<f64>,
    samples: Spool,
    spools: Spools,
}

impl fmt::Debug for Ctc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctc({} samples)", self.samples.len() / 4)
    }
}

impl Ctc {
    pub(crate) fn new(
        network: Arc<Network>,
        kind: FeatureKind,
        rate: SampleRate,
        threads: usize,
        spools: &Spools,
    ) -> Self {
        Self {
            network,
            threads,
            kind,
            resampler: Kaiser::new(rate, SampleRate::SPEECH),
            resampled: Vec::new(),
            samples: spools.spool(),
            spools: spools.clone(),
        }
    }

    /// The clip is over.
    fn end(self) -> io::Result<Runs> {
        let Self { network, threads, resampler, mut resampled, samples, .. } = self;
        resampled.clear();
        resampler.finish(&mut resampled);
        put_aside(&resampled, &samples)?;
        Ok(Runs::new(network, threads, samples))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "samples are f32 from here on")]
fn put_aside(resampled: &[f64], samples: &Spool) -> io::Result<()> {
    let narrow: Vec<f32> = resampled.iter().map(|v| *v as f32).collect();
    samples.append_f32s(&narrow)
}

impl Listener for Ctc {
    fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        self.resampled.clear();
        self.resampler.push(samples, &mut self.resampled);
        put_aside(&self.resampled, &self.samples)
    }

    fn finish(self: Box<Self>, _stop: &Stop<'_>) -> Result<Option<FeatureTrack>, ListenError> {
        let (kind, spools) = (self.kind, self.spools.clone());
        let runs = self.end()?;
        track(FeatureTrack::lazy_scores(kind, runs, &spools))
    }
}

/// The runs of a clip that is over.
///
/// Upstream's buffer starts with ten chunks of silence. Whenever it holds 70 chunks it is run, and keeps the last 20; what it
/// holds at the end is run as well. So run k starts 50 chunks after the one before it, and all but the last two are alike.
struct Runs {
    network: Arc<Network>,
    threads: usize,
    samples: Spool,
    /// Samples of the clip.
    total: usize,
    /// Runs before the last one.
    inner: usize,
}

impl fmt::Debug for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Runs({} samples)", self.total)
    }
}

impl Runs {
    fn new(network: Arc<Network>, threads: usize, samples: Spool) -> Self {
        let total = usize::try_from(samples.len() / 4).unwrap_or(usize::MAX);
        // A short chunk counts: if it is the last one of a run, there is that run, and one more.
        let chunks = LEFT + total.div_ceil(HOP);
        let inner = (chunks - LEFT).checked_sub(CONTEXT + RIGHT).map_or(0, |rest| rest / CONTEXT + 1);
        Self { network, threads, samples, total, inner }
    }

    /// Samples that the buffer holds for run `index`.
    fn held(&self, index: usize) -> usize {
        let left = LEFT * HOP + self.total - index * CONTEXT * HOP;
        if index < self.inner { left.min(RUN) } else { left }
    }

    /// First row of run `index`, and how many are kept.
    fn rows_of(&self, index: usize) -> (usize, usize) {
        let made = |index: usize| Network::rows(self.held(index)).saturating_sub(LEFT);
        let kept = |index: usize| made(index).saturating_sub(RIGHT - 1);
        // Only the last of the inner runs may have a row less.
        let first = match index.checked_sub(1) {
            Some(before) => before * CONTEXT + kept(before),
            None => 0,
        };
        (first, if index < self.inner { kept(index) } else { made(index) })
    }

    /// Rows of the clip: none without a sample.
    fn rows(&self) -> usize {
        if self.total == 0 {
            return 0;
        }
        let (first, count) = self.rows_of(self.inner);
        first + count
    }

    /// What the network makes of run `index`, without the first ten rows.
    fn run(&self, index: usize, stop: &Stop<'_>) -> Result<Vec<f32>, ValuesError> {
        let mut samples = vec![0.0; self.held(index)];
        let silent = (LEFT * HOP).saturating_sub(index * CONTEXT * HOP);
        let at = (index * CONTEXT * HOP).saturating_sub(LEFT * HOP);
        self.samples.read_f32s(at as u64, &mut samples[silent..])?;
        if self.network.config().normalize {
            standardise(&mut samples);
        }
        let mut rows = self.network.run_until(&samples, self.threads, stop).ok_or(ValuesError::Stopped)?;
        rows.drain(..(LEFT * self.network.config().dims()).min(rows.len()));
        Ok(rows)
    }
}

impl Maker for Runs {
    type Error = ValuesError;

    /// One window more than pairs of rows: the last ones hear zeros.
    fn count(&self) -> u64 {
        match self.rows() {
            _ if self.total == 0 => 0,
            rows => (2 * (rows / 2 + 1) * self.network.config().dims()) as u64,
        }
    }

    fn chunk(&self) -> usize {
        CONTEXT * self.network.config().dims()
    }

    fn make(
        &self,
        range: Range<u64>,
        _before: &[f32],
        stop: &Stop<'_>,
        out: &mut Vec<f32>,
    ) -> Result<(), ValuesError> {
        let dims = self.network.config().dims();
        let row = |value: u64| usize::try_from(value).unwrap_or(usize::MAX) / dims;
        let wanted = row(range.start)..row(range.end);
        // Those of the last run may be in two chunks: it is run for each of them.
        for index in (wanted.start / CONTEXT).min(self.inner)..=self.inner {
            let (first, count) = self.rows_of(index);
            let part = wanted.start.max(first)..wanted.end.min(first + count);
            if !part.is_empty() {
                out.extend(&self.run(index, stop)?[(part.start - first) * dims..(part.end - first) * dims]);
            }
        }
        out.resize((wanted.end - wanted.start) * dims, 0.0);
        Ok(())
    }
}

/// Rows that a run over a piece of a clip makes.
const PIECE_ROWS: usize = 1000;
const PIECE: usize = PIECE_ROWS * HOP;

/// Hidden values: the clip is normalised as a whole, and goes through in pieces of 20 s.
#[derive(Debug)]
pub(crate) struct Hubert {
    network: Arc<Network>,
    threads: usize,
    resampler: Resampler,
    resampled: Vec<f32>,
    samples: Spool,
    spools: Spools,
}

impl Hubert {
    pub(crate) fn new(network: Arc<Network>, rate: SampleRate, threads: usize, spools: &Spools) -> Self {
        Self {
            network,
            threads,
            resampler: Resampler::new(rate, SampleRate::SPEECH, 1),
            resampled: Vec::new(),
            samples: spools.spool(),
            spools: spools.clone(),
        }
    }

    /// The clip is over.
    fn end(self) -> io::Result<Pieces> {
        let Self { network, threads, resampler, mut resampled, samples, .. } = self;
        resampled.clear();
        resampler.finish(&mut resampled);
        samples.append_f32s(&resampled)?;
        Pieces::new(network, threads, samples)
    }
}

impl Listener for Hubert {
    fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        self.resampled.clear();
        self.resampler.push(samples, &mut self.resampled);
        self.samples.append_f32s(&self.resampled)
    }

    fn finish(self: Box<Self>, _stop: &Stop<'_>) -> Result<Option<FeatureTrack>, ListenError> {
        let (spools, dims) = (self.spools.clone(), self.network.config().dims());
        let pieces = self.end()?;
        track(FeatureTrack::lazy_windows([pieces.rows / 2, 2, dims], pieces, &spools))
    }
}

/// The pieces of a clip that is over, and what it is normalised with.
struct Pieces {
    network: Arc<Network>,
    threads: usize,
    samples: Spool,
    total: usize,
    /// An even number.
    rows: usize,
    mean: f32,
    scale: f32,
}

impl fmt::Debug for Pieces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pieces({} samples)", self.total)
    }
}

impl Pieces {
    fn new(network: Arc<Network>, threads: usize, samples: Spool) -> io::Result<Self> {
        let total = usize::try_from(samples.len() / 4).unwrap_or(usize::MAX);
        let rows = total.saturating_sub(FIELD - HOP) / HOP / 2 * 2;
        let (mean, scale) =
            if network.config().normalize { statistics(&samples, total)? } else { (0.0, 1.0) };
        Ok(Self { network, threads, samples, total, rows, mean, scale })
    }
}

impl Maker for Pieces {
    type Error = ValuesError;

    fn count(&self) -> u64 {
        (self.rows * self.network.config().dims()) as u64
    }

    fn chunk(&self) -> usize {
        PIECE_ROWS * self.network.config().dims()
    }

    fn make(
        &self,
        range: Range<u64>,
        _before: &[f32],
        stop: &Stop<'_>,
        out: &mut Vec<f32>,
    ) -> Result<(), ValuesError> {
        let index = usize::try_from(range.start).unwrap_or(usize::MAX) / self.chunk();
        let start = index * PIECE;
        // The last piece is what a whole one leaves.
        let end = self.total.min(if self.total - start >= PIECE {
            start + PIECE + FIELD - HOP
        } else {
            self.total
        });
        let mut piece = vec![0.0; end - start];
        self.samples.read_f32s(start as u64, &mut piece)?;
        piece.iter_mut().for_each(|v| *v = (*v - self.mean) * self.scale);
        *out = self.network.run_until(&piece, self.threads, stop).ok_or(ValuesError::Stopped)?;
        // One too many goes, one too few is zeros.
        out.resize(usize::try_from(range.end - range.start).unwrap_or(usize::MAX), 0.0);
        Ok(())
    }
}

/// Mean, and one over the standard deviation.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "statistics of samples")]
fn statistics(samples: &Spool, total: usize) -> io::Result<(f32, f32)> {
    let sum = |of: &dyn Fn(f64) -> f64| -> io::Result<f64> {
        let mut block = vec![0.0; 1 << 14];
        let mut sum = 0.0;
        for at in (0..total).step_by(block.len()) {
            let len = block.len().min(total - at);
            samples.read_f32s(at as u64, &mut block[..len])?;
            sum += block[..len].iter().map(|v| of(f64::from(*v))).sum::<f64>();
        }
        Ok(sum / total.max(1) as f64)
    };
    let mean = sum(&|v| v)?;
    let variance = sum(&|v| (v - mean).powi(2))?;
    Ok((mean as f32, (1.0 / (variance + STANDARD_EPS).sqrt()) as f32))
}

#[cfg(test)]
mod tests;
