//! What the avatar hears: the built-in speech-feature model, and feature files of other extractors.

mod mel;
mod network;
mod npy;
mod weights;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::ops::Range;

use headcast_core::{FeatureKind, FeatureTrack, Maker, Spools, Stop, ValuesError};

use mel::{LogMel, MelFrames};
use network::{CHUNK, CLASSES, Network};

pub use npy::{FeatureFileError, read_npy, write_npy};

/// Samples at 16 kHz for one pair of feature rows, that is, one video frame at 25 frames per second.
pub const ROW_PAIR_SAMPLES: u64 = 640;

/// The built-in model: 16 kHz mono speech to `DeepSpeech`-shaped letter scores at 50 Hz.
///
/// Push samples, then [`finish`](Self::finish). In between log-mel frames are put aside, 19 kB per second, because
/// the level that they are relative to is that of the whole clip. The network runs when scores are read: 5 s of the clip
/// at a time, then put aside as well, 6 kB per second. The maths and the origin of the weights are in `assets/README.md`.
pub struct Extractor {
    mel: MelFrames,
    spools: Spools,
}

impl fmt::Debug for Extractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extractor({} samples)", self.mel.samples())
    }
}

impl Extractor {
    /// An extractor that has heard nothing, and puts aside in `spools` what grows with the clip.
    pub fn new(spools: &Spools) -> Self {
        Self { mel: MelFrames::new(spools), spools: spools.clone() }
    }

    /// The next mono samples at 16 kHz, about ±1.
    ///
    /// # Errors
    /// What the system says when they cannot be put aside.
    pub fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        self.mel.push(samples)
    }

    /// Pushes silence until the clip has `samples` samples; no effect if it has more.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn pad_to(&mut self, samples: u64) -> io::Result<()> {
        const SILENCE: [f32; 640] = [0.0; 640];
        while let Some(missing) = samples.checked_sub(self.mel.samples()).filter(|&missing| missing > 0) {
            self.push(&SILENCE[..usize::try_from(missing).map_or(640, |missing| missing.min(640))])?;
        }
        Ok(())
    }

    /// The clip is over: two rows for every whole 640 samples; what is left over is heard by the last rows but makes
    /// none. `None` for less than 640 samples. Runs nothing yet.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn finish(self) -> io::Result<Option<FeatureTrack>> {
        let log_mel = self.mel.finish()?;
        debug_assert!(log_mel.frames().is_multiple_of(4), "four frames for a row pair");
        // The kind is known: there is no row.
        Ok(FeatureTrack::lazy_scores(FeatureKind::DeepSpeech, Scores(log_mel), &self.spools).ok())
    }
}

/// What the network makes of a clip.
struct Scores(LogMel);

impl Maker for Scores {
    type Error = ValuesError;

    fn count(&self) -> u64 {
        (Network::rows(&self.0) * CLASSES) as u64
    }

    fn chunk(&self) -> usize {
        CHUNK * CLASSES
    }

    fn make(
        &self,
        range: Range<u64>,
        _before: &[f32],
        _stop: &Stop<'_>,
        out: &mut Vec<f32>,
    ) -> Result<(), ValuesError> {
        let row = |value: u64| usize::try_from(value / CLASSES as u64).unwrap_or(usize::MAX);
        Ok(Network::built_in().scores(&self.0, row(range.start)..row(range.end), out, &mut |_, _, _| {})?)
    }
}

impl fmt::Debug for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scores({} log-mel frames)", self.0.frames())
    }
}
