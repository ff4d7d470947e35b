//! DeepSpeech 0.1.0 from its frozen TensorFlow graph: letter scores as upstream's `deepspeech_features` makes them.
//!
//! ```text
//! samples ─ 16 kHz ─ int16 ─ MFCC at 50 Hz ─ 19 frames side by side, normalised ─ network ─ 29 scores ─ windows
//! ```
//!
//! The inputs are normalised by the mean and deviation of the whole clip, and one direction of the recurrent layer
//! starts at its end: nothing is known of the first frame before the last one was heard.

mod graph;
mod mfcc;
mod network;
mod weights;
mod wire;

use std::fmt;
use std::io::{self, Read, Seek};
use std::sync::Arc;

use headcast_core::spool::Spools;
use headcast_core::{FeatureError, FeatureKind, FeatureTrack, SampleRate};

use super::matrix::Precision;
use crate::resample::Kaiser;
use mfcc::Mfcc;
use network::{Network, Scores};
use weights::CLASSES;

pub use graph::{Graph, GraphError};
pub use weights::{Config, Frozen};

/// The public file, where it is, and how to know it.
const PUBLIC_FILE: &str = "deepspeech-0_1_0-b90017e8.pb (SHA-1 b90017e816572ddce84f5843f1fa21e6a377975e, 490 MB) from the zip \
                           file of release v0.0.1 of github.com/osmr/deepspeech_features";

/// Why weights are not those of DeepSpeech 0.1.0.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeepSpeechError {
    /// The file is no graph, or not a whole one.
    #[error("{0}. DeepSpeech 0.1.0 is {PUBLIC_FILE}")]
    Graph(#[from] GraphError),
    /// A graph of something else.
    #[error(
        "this graph is not that of DeepSpeech 0.1.0: it has no constant {missing:?}, but {found}. Use {PUBLIC_FILE}"
    )]
    OtherVersion {
        /// The first constant that was not found.
        missing: &'static str,
        /// What is there.
        found: String,
    },
    /// The names are right and the sizes are not: another alphabet, other inputs, or another network.
    #[error(
        "constant {name:?} of this graph has shape {found:?}, where the other layers ask for {wanted:?} (494 inputs, 29 \
         letters); it is not the English DeepSpeech 0.1.0. Use {PUBLIC_FILE}"
    )]
    Shape {
        /// The constant.
        name: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape that it should have.
        wanted: Vec<usize>,
    },
    /// A damaged file.
    #[error(
        "constant {name:?} of this graph holds NaN or infinite values; download the file again: {PUBLIC_FILE}"
    )]
    NotFinite {
        /// The constant.
        name: &'static str,
    },
}

/// The network with its weights in memory; loaded once, used for any number of clips at the same time.
pub struct DeepSpeech {
    network: Network,
}

impl fmt::Debug for DeepSpeech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DeepSpeech({} bytes)", self.network.bytes())
    }
}

impl DeepSpeech {
    /// Reads the weights from a frozen graph, see [`Frozen::open`].
    ///
    /// # Errors
    /// [`DeepSpeechError`], see its variants.
    pub fn from_graph(source: impl Read + Seek, precision: Precision) -> Result<Self, DeepSpeechError> {
        let mut graph = Frozen::open(source)?;
        Self::load(&graph.config(), precision, |name, _| graph.read(name))
    }

    /// Takes the weights from wherever they are.
    ///
    /// * `read`: gives the values of each of [`Config::tensors`], by name and shape.
    ///
    /// # Errors
    /// What `read` says.
    ///
    /// # Panics
    /// If `read` gives another number of values than the shape has.
    pub fn load<E>(
        config: &Config,
        precision: Precision,
        mut read: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let network = Network::load(config, precision, &mut |name| {
            let shape = config.shape(name);
            let values = read(name.in_graph(), &shape)?;
            assert_eq!(values.len(), shape.iter().product::<usize>(), "the values must fill the shape");
            Ok(values)
        })?;
        Ok(Self { network })
    }

    /// Memory that the weights take.
    pub fn bytes(&self) -> usize {
        self.network.bytes()
    }
}

/// Listens to one clip.
///
/// Push samples, then [`finish`](Self::finish). In between the cepstra are put aside, 5 kB per second of speech.
pub struct Listener {
    model: Arc<DeepSpeech>,
    spools: Spools,
    rate: SampleRate,
    resampler: Kaiser,
    mfcc: Mfcc,
    samples: u64,
    resampled: Vec<f64>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({} samples at {})", self.samples, self.rate)
    }
}

impl Listener {
    /// One that has heard nothing, and puts aside in `spools` what grows with the clip.
    ///
    /// * `rate`: that of the recording itself. Other rates than 16 kHz are converted as upstream does it, and the
    ///   number of rows follows from the original rate.
    pub fn new(model: Arc<DeepSpeech>, rate: SampleRate, spools: &Spools) -> Self {
        Self {
            model,
            spools: spools.clone(),
            rate,
            resampler: Kaiser::new(rate, SampleRate::SPEECH),
            mfcc: Mfcc::new(spools),
            samples: 0,
            resampled: Vec::new(),
        }
    }

    /// The next samples of the recording's first channel, ±1.
    ///
    /// # Errors
    /// What the system says when something cannot be put aside.
    pub fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        self.samples += samples.len() as u64;
        self.resampled.clear();
        self.resampler.push(samples, &mut self.resampled);
        self.mfcc.push(self.resampled.iter().map(|&sample| to_int16(sample)))
    }

    /// Runs the network over the clip: about `25 × seconds` rows, rounded as upstream does. `None` for a clip of less
    /// than 30 ms, which has no row.
    ///
    /// * `threads`: 2 or more are used, as the recurrent layer runs in both directions at once.
    /// * `stop`: asked every few seconds of speech. When it says so the error is of the kind
    ///   [`io::ErrorKind::Interrupted`].
    ///
    /// # Errors
    /// As [`Self::push`], also when what was put aside cannot be read again.
    pub fn finish(
        mut self,
        threads: usize,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> io::Result<Option<FeatureTrack>> {
        self.resampled.clear();
        self.resampler.finish(&mut self.resampled);
        self.mfcc.push(self.resampled.iter().map(|&sample| to_int16(sample)))?;
        let rows = score_rows(self.samples, self.rate);
        let Some(inputs) = self.mfcc.finish()?.filter(|_| rows > 0) else { return Ok(None) };
        let scores = self.model.network.scores(&inputs, &self.spools, threads, stop)?;
        track(&scores, rows, &self.spools)
    }
}

/// Cuts to 16 bits as upstream does, towards zero. Where the resampler overshoots full scale, `NumPy` would wrap around
/// and make a click that the network hears; the nearest sample is taken instead.
#[expect(clippy::cast_possible_truncation, reason = "saturates")]
fn to_int16(sample: f64) -> i16 {
    (sample * 32768.0) as i16
}

/// Rows at 50 Hz before windows are cut: the clip's length in 20 ms, rounded to the nearest and half to even, less the
/// last one, which upstream loses.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the script's own arithmetic"
)]
fn score_rows(samples: u64, rate: SampleRate) -> u64 {
    let secs = samples as f64 / f64::from(rate.hz());
    ((secs * 50.0).round_ties_even() as u64).saturating_sub(1)
}

/// Upstream interpolates from 50 Hz to 50 Hz: rows stay as they are, and past the last one it is repeated.
fn track(scores: &Scores, rows: u64, spools: &Spools) -> io::Result<Option<FeatureTrack>> {
    let values = spools.spool();
    let mut row = [0.0; CLASSES];
    for k in 0..rows {
        scores.read(k.min(scores.frames() - 1), &mut row)?;
        values.append_f32s(&row)?;
    }
    if rows % 2 == 1 {
        // The last window's second row is outside the clip.
        values.append_f32s(&[0.0; CLASSES])?;
    }
    match FeatureTrack::scores(FeatureKind::DeepSpeech, Arc::new(values)) {
        Ok(track) => Ok(Some(track)),
        Err(FeatureError::Unreadable { reason }) => Err(io::Error::other(reason)),
        Err(error) => Err(io::Error::new(io::ErrorKind::InvalidData, error)),
    }
}

#[cfg(test)]
mod tests;
