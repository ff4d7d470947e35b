//! AAC-LC (ISO/IEC 14496-3) at 48 kHz: one encode of the whole clip, cut into access units of 1024 samples.
//!
//! **Delay.** An encoder looks ahead, so what goes in comes out later. The encoders here swallow that: access
//! unit `j` decodes to the samples from `1024 · j` of the clip on, and a clip of n samples gives `ceil(n / 1024)`
//! units. No unit precedes the clip, so a decoder that starts at unit 0 (or, after a seek, at any unit) fades in
//! over the first 1024 samples, as the overlapping transform of AAC has it.

mod fdk;
mod track;

pub use fdk::Fdk;
pub use track::{Track, TrackWriter};

use bytes::Bytes;
pub use headcast_core::timeline::AAC_FRAME_SAMPLES;

/// How many channels a track has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Channels {
    /// One, 72 kbit/s.
    Mono,
    /// Left and right, 128 kbit/s.
    Stereo,
}

impl Channels {
    /// `None` unless `count` is 1 or 2.
    pub fn from_count(count: usize) -> Option<Self> {
        match count {
            1 => Some(Self::Mono),
            2 => Some(Self::Stereo),
            _ => None,
        }
    }

    /// 1 or 2: samples per instant, and `channelConfiguration` (ISO/IEC 14496-3 table 1.19).
    pub fn count(self) -> usize {
        match self {
            Self::Mono => 1,
            Self::Stereo => 2,
        }
    }

    /// Default rate of an encode, bits per second.
    pub fn bitrate_bps(self) -> u32 {
        match self {
            Self::Mono => 72_000,
            Self::Stereo => 128_000,
        }
    }
}

/// Makes access units from PCM.
pub trait Encoder: Send {
    /// Encodes more samples and returns the access units that are complete, in order.
    ///
    /// * `interleaved`: `[samples, channels]` f32 at 48 kHz, full scale ±1, clipped outside; NaN is silence.
    ///
    /// # Errors
    /// [`Error`] when a frame is cut in half or the encoder fails.
    fn push(&mut self, interleaved: &[f32]) -> Result<Vec<Bytes>, Error>;

    /// Ends the clip, padded with silence to a whole access unit, and returns the units that were still inside.
    ///
    /// # Errors
    /// [`Error`] when the encoder fails.
    fn finish(&mut self) -> Result<Vec<Bytes>, Error>;
}

/// Why PCM cannot be encoded.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Hand over whole frames: one sample of every channel.
    #[error("{samples} PCM values are no whole number of {channels}-channel frames")]
    PartialFrame {
        /// Values handed over.
        samples: usize,
        /// Values per frame.
        channels: usize,
    },
    /// Make a new encoder.
    #[error("the AAC encoder was fed after its clip had ended")]
    Finished,
    /// A fault of the encoder: nothing to be done but to report it.
    #[error("the AAC encoder failed: {reason}")]
    Encoder {
        /// What it said.
        reason: String,
    },
    /// The thread that encodes the clip failed or stopped: the clip has no more sound.
    #[error("the sound of the clip is incomplete: {reason}")]
    TrackFailed {
        /// Why.
        reason: String,
    },
    /// Nothing: whoever waited for units gave up.
    #[error("cancelled")]
    Stopped,
    /// Ask for units below the track's end.
    #[error("access units up to {wanted} were asked for, the clip has {units}")]
    PastEnd {
        /// End of the range asked for.
        wanted: u64,
        /// Units in the finished track.
        units: u64,
    },
}

/// `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1): AAC-LC, 48 kHz.
pub(crate) fn audio_specific_config(channels: Channels) -> [u8; 2] {
    // audioObjectType 2 (5 bits), samplingFrequencyIndex 3 (4 bits), channelConfiguration (4 bits), then
    // frameLengthFlag, dependsOnCoreCoder and extensionFlag, all 0.
    let value = 2u16 << 11 | 3 << 7 | (if channels == Channels::Mono { 1 } else { 2 }) << 3;
    value.to_be_bytes()
}
