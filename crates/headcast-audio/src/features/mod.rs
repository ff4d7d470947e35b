//! What the avatar hears: the built-in speech-feature model, and feature files of other extractors.

mod mel;
mod network;
mod npy;
mod weights;

#[cfg(test)]
mod tests;

use std::fmt;

use headcast_core::{FeatureKind, FeatureTrack};

use mel::{BANDS, MelFrames};
use network::Network;

pub use npy::{FeatureFileError, read_npy};

/// Samples at 16 kHz for one pair of feature rows, that is, one video frame at 25 frames per second.
pub const ROW_PAIR_SAMPLES: u64 = 640;

/// The built-in model: 16 kHz mono speech to `DeepSpeech`-shaped letter scores at 50 Hz.
///
/// Push samples, then [`finish`](Self::finish). In between only log-mel frames are kept, 19 kB per second,
/// because the level that they are relative to is that of the whole clip. The maths and the origin of the
/// weights are in `assets/README.md`.
pub struct Extractor {
    mel: MelFrames,
}

impl fmt::Debug for Extractor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Extractor({} samples)", self.mel.samples())
    }
}

impl Default for Extractor {
    fn default() -> Self {
        Self::new()
    }
}

impl Extractor {
    /// An extractor that has heard nothing.
    pub fn new() -> Self {
        Self { mel: MelFrames::new() }
    }

    /// The next mono samples at 16 kHz, about ±1.
    pub fn push(&mut self, samples: &[f32]) {
        self.mel.push(samples);
    }

    /// Pushes silence until the clip has `samples` samples; no effect if it has more.
    pub fn pad_to(&mut self, samples: u64) {
        const SILENCE: [f32; 640] = [0.0; 640];
        while let Some(missing) = samples.checked_sub(self.mel.samples()).filter(|&missing| missing > 0) {
            self.push(&SILENCE[..usize::try_from(missing).map_or(640, |missing| missing.min(640))]);
        }
    }

    /// Runs the network: two rows for every whole 640 samples; what is left over is heard by the last rows
    /// but makes none. `None` for less than 640 samples.
    pub fn finish(self) -> Option<FeatureTrack> {
        Self::track(self.mel, Network::built_in())
    }

    fn track(mel: MelFrames, network: &Network) -> Option<FeatureTrack> {
        let log_mel = mel.finish();
        debug_assert_eq!(log_mel.len() % (4 * BANDS), 0, "four frames for a row pair");
        // Samples were checked to be finite, and finite samples make finite scores.
        FeatureTrack::from_scores(FeatureKind::DeepSpeech, network.scores(&log_mel)).ok()
    }
}
