//! How upstream's scripts cut a clip into runs, and which rows of them they keep.

use std::fmt;
use std::io;
use std::sync::Arc;

use headcast_core::{FeatureKind, FeatureTrack, SampleRate, Spool, Spools};

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
    /// As upstream's script has it; `None` once the clip is over.
    resampler: Option<Kaiser>,
    resampled: Vec<f64>,
    held: Vec<f32>,
    heard: bool,
    scores: Spool,
}

impl fmt::Debug for Ctc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ctc({} values)", self.scores.len() / 4)
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
            resampler: Some(Kaiser::new(rate, SampleRate::SPEECH)),
            resampled: Vec::new(),
            held: vec![0.0; LEFT * HOP],
            heard: false,
            scores: spools.spool(),
        }
    }

    /// Rows of a run over what is held, without the first ten.
    fn run(&self, samples: &[f32]) -> Vec<f32> {
        let mut samples = samples.to_vec();
        if self.network.config().normalize {
            standardise(&mut samples);
        }
        let mut rows = self.network.run(&samples, self.threads);
        rows.drain(..(LEFT * self.network.config().dims()).min(rows.len()));
        rows
    }

    fn run_and_go_on(&mut self) -> io::Result<()> {
        let samples = &self.held[..self.held.len().min(RUN)];
        let mut rows = self.run(samples);
        rows.truncate(rows.len().saturating_sub((RIGHT - 1) * self.network.config().dims()));
        self.scores.append_f32s(&rows)?;
        self.held.drain(..CONTEXT * HOP);
        Ok(())
    }

    /// Takes what was resampled, and makes the runs that are complete.
    #[expect(clippy::cast_possible_truncation, reason = "samples are f32 from here on")]
    fn take(&mut self) -> io::Result<()> {
        self.heard |= !self.resampled.is_empty();
        self.held.extend(self.resampled.drain(..).map(|v| v as f32));
        while self.held.len() >= RUN {
            self.run_and_go_on()?;
        }
        Ok(())
    }

    /// The rows of what is still held. There are none without a sample.
    fn end(&mut self) -> io::Result<()> {
        if let Some(resampler) = self.resampler.take() {
            resampler.finish(&mut self.resampled);
        }
        self.take()?;
        if !self.heard {
            return Ok(());
        }
        // A short chunk counts: if it is the last one of a run, there is that run, and one more.
        if self.held.len() > RUN - HOP {
            self.run_and_go_on()?;
        }
        let rows = self.run(&self.held);
        self.scores.append_f32s(&rows)
    }
}

impl Listener for Ctc {
    fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        if let Some(resampler) = &mut self.resampler {
            resampler.push(samples, &mut self.resampled);
        }
        self.take()
    }

    fn finish(
        mut self: Box<Self>,
        _go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<FeatureTrack>, ListenError> {
        self.end()?;
        if !self.heard {
            return Ok(None);
        }
        // One window more than pairs of rows: the last ones hear zeros.
        let dims = self.network.config().dims() as u64;
        let rows = self.scores.len() / 4 / dims;
        let missing = 2 * (rows / 2 + 1) - rows;
        let zeros = vec![0.0; usize::try_from(missing * dims).unwrap_or(0)];
        self.scores.append_f32s(&zeros)?;
        track(FeatureTrack::scores(self.kind, Arc::new(self.scores)))
    }
}

/// Rows that a run over a piece of a clip makes.
const PIECE_ROWS: usize = 1000;
const PIECE: usize = PIECE_ROWS * HOP;

/// Hidden values: the clip is normalised as a whole, so samples are put aside until its end, 64 kB a second; then it goes
/// through in pieces of 20 s.
#[derive(Debug)]
pub(crate) struct Hubert {
    network: Arc<Network>,
    threads: usize,
    /// `None` once the clip is over.
    resampler: Option<Resampler>,
    resampled: Vec<f32>,
    samples: Spool,
    rows: Spool,
}

impl Hubert {
    pub(crate) fn new(network: Arc<Network>, rate: SampleRate, threads: usize, spools: &Spools) -> Self {
        Self {
            network,
            threads,
            resampler: Some(Resampler::new(rate, SampleRate::SPEECH, 1)),
            resampled: Vec::new(),
            samples: spools.spool(),
            rows: spools.spool(),
        }
    }

    /// All rows, an even number; an error or `false` from `go_on` ends it.
    fn extract(&mut self, go_on: &(dyn Fn() -> bool + Sync)) -> Result<usize, ListenError> {
        if let Some(resampler) = self.resampler.take() {
            self.resampled.clear();
            resampler.finish(&mut self.resampled);
            self.samples.append_f32s(&self.resampled)?;
        }
        let dims = self.network.config().dims();
        let total = usize::try_from(self.samples.len() / 4).unwrap_or(usize::MAX);
        let expected = total.saturating_sub(FIELD - HOP) / HOP;
        let even = expected / 2 * 2;
        let (mean, scale) =
            if self.network.config().normalize { self.statistics(total)? } else { (0.0, 1.0) };
        let mut made = 0;
        let mut start = 0;
        while start < total && made < even {
            if !go_on() {
                return Err(ListenError::Cancelled);
            }
            // The last piece is what a whole one leaves.
            let end = if total - start >= PIECE { (start + PIECE + FIELD - HOP).min(total) } else { total };
            let mut piece = vec![0.0; end - start];
            self.samples.read_f32s(start as u64, &mut piece)?;
            piece.iter_mut().for_each(|v| *v = (*v - mean) * scale);
            let mut rows = self.network.run(&piece, self.threads);
            rows.truncate((even - made) * dims);
            self.rows.append_f32s(&rows)?;
            made += rows.len() / dims;
            start += PIECE;
        }
        let missing = vec![0.0; (even - made) * dims];
        self.rows.append_f32s(&missing)?;
        Ok(even)
    }

    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "statistics of samples")]
    fn statistics(&self, total: usize) -> io::Result<(f32, f32)> {
        let sum = |of: &dyn Fn(f64) -> f64| -> io::Result<f64> {
            let mut block = vec![0.0; 1 << 14];
            let mut sum = 0.0;
            for at in (0..total).step_by(block.len()) {
                let len = block.len().min(total - at);
                self.samples.read_f32s(at as u64, &mut block[..len])?;
                sum += block[..len].iter().map(|v| of(f64::from(*v))).sum::<f64>();
            }
            Ok(sum / total.max(1) as f64)
        };
        let mean = sum(&|v| v)?;
        let variance = sum(&|v| (v - mean).powi(2))?;
        Ok((mean as f32, (1.0 / (variance + STANDARD_EPS).sqrt()) as f32))
    }
}

impl Listener for Hubert {
    fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        self.resampled.clear();
        if let Some(resampler) = &mut self.resampler {
            resampler.push(samples, &mut self.resampled);
        }
        self.samples.append_f32s(&self.resampled)
    }

    fn finish(
        mut self: Box<Self>,
        go_on: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<FeatureTrack>, ListenError> {
        let rows = self.extract(go_on)?;
        if rows == 0 {
            return Ok(None);
        }
        let shape = [rows / 2, 2, self.network.config().dims()];
        track(FeatureTrack::windows(shape, Arc::new(self.rows)))
    }
}

#[cfg(test)]
mod tests;
