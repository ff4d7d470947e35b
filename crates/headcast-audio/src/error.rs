//! What can be wrong with a recording, in sentences for the person who brought it.

use std::fmt;
use std::time::Duration;

/// Formats that are read, for messages.
const ACCEPTED: &str = "wav, mp3, m4a, aac, flac, ogg, opus, webm or mkv";

/// Why a recording was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioError {
    /// Nothing was uploaded, or a recorder wrote nothing.
    #[error("the audio file is empty (0 bytes); record or export it again")]
    Empty,
    /// Text, a picture, a document: whatever the name says, the bytes are not audio.
    #[error("this is not an audio file that headcast knows{}; use {ACCEPTED}", Looks(*.looks_like))]
    NotAudio {
        /// What the first bytes look like, where that is known.
        looks_like: Option<&'static str>,
    },
    /// For example a video without sound.
    #[error("this {container} file has no audio track; choose a file with sound")]
    NoAudioTrack {
        /// Container found.
        container: &'static str,
    },
    /// Convert the recording.
    #[error(
        "the audio in this {container} file is {codec}, which headcast cannot decode; convert it to wav, mp3, \
         AAC-LC (m4a), flac or Opus"
    )]
    UnsupportedCodec {
        /// Container found.
        container: &'static str,
        /// Codec found, as a user knows it.
        codec: String,
    },
    /// Convert the recording to a usual rate.
    #[error("the audio has {hz} samples per second; from 8000 to 192000 are accepted, 48000 is best")]
    SampleRate {
        /// Rate found.
        hz: u32,
    },
    /// Mix the recording down.
    #[error("the audio has {channels} channels; from 1 to 8 are accepted, mono or stereo is best")]
    Channels {
        /// Number found.
        channels: usize,
    },
    /// Record more.
    #[error("the clip is only {} s long; at least {} s are needed", Secs(*.length), Secs(*.min))]
    TooShort {
        /// Length found.
        length: Duration,
        /// [`Limits::min_duration`](crate::Limits::min_duration).
        min: Duration,
    },
    /// Choose an earlier instant.
    #[error(
        "the cut {} at {} s, and the recording is only {} s long; choose an earlier instant",
        if *.is_start { "starts" } else { "ends" }, Secs(*.at), Secs(*.length)
    )]
    CutBeyondEnd {
        /// Whether it is the start of the [`Cut`](crate::Cut), else its end.
        is_start: bool,
        /// Where.
        at: Duration,
        /// Of the recording.
        length: Duration,
    },
    /// Cut the recording into parts.
    #[error(
        "the clip is {}longer than the limit of {}; cut it into shorter parts",
        Stated(*.stated), Hours(*.max)
    )]
    TooLong {
        /// Length that the file itself states, if it was refused for that.
        stated: Option<Duration>,
        /// [`Limits::max_duration`](crate::Limits::max_duration).
        max: Duration,
    },
    /// Compress or cut the recording.
    #[error(
        "the audio file has {bytes} bytes, more than the limit of {max}; cut it or save it as mp3 or m4a"
    )]
    TooLarge {
        /// File size.
        bytes: u64,
        /// [`Limits::max_bytes`](crate::Limits::max_bytes).
        max: u64,
    },
    /// A processing step before wrote what is no sound.
    #[error("the audio holds {value} at {} s (sample {sample}); export it again, every sample must be a number", Secs(*.at))]
    NotFinite {
        /// The value: NaN or an infinity.
        value: f32,
        /// Index of the sample in its channel.
        sample: u64,
        /// The same as time.
        at: Duration,
    },
    /// Cut off near its start, or damaged throughout.
    #[error(
        "nothing in this {container} file could be decoded ({codec}); it is damaged or cut off: copy or export it again"
    )]
    Damaged {
        /// Container found.
        container: &'static str,
        /// Codec found.
        codec: &'static str,
    },
    /// Something writes to the file while it is spoken: start again with one that stays as it is.
    #[error(
        "the recording is not as long as it was when it was opened; it must not change while it is spoken"
    )]
    Changed,
    /// Different parts of the file have different formats.
    #[error(
        "the audio changes from {from} to {to} at {} s; convert the whole file to one format",
        Secs(*.at)
    )]
    FormatChange {
        /// Rate and channel count before.
        from: String,
        /// Rate and channel count after.
        to: String,
        /// Where.
        at: Duration,
    },
    /// The bytes could not be read.
    #[error("the audio file could not be read: {0}")]
    Io(#[from] std::io::Error),
    /// What is worked on did not find room: free some space and try again.
    #[error("there is no room to work on the audio ({0}); free some space on the disk and try again")]
    Spool(#[source] std::io::Error),
    /// The extractor's weights are at fault, not the recording.
    #[error(transparent)]
    Extractor(crate::extractor::ListenError),
    /// The sink asked to stop.
    #[error("cancelled")]
    Cancelled,
}

/// What is odd about a recording that was accepted; `Display` is a sentence for the user.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub enum Warning {
    /// The whole clip is below -60 dBFS.
    Silent,
    /// The file ends before the length it states, or in the middle of a packet.
    Truncated {
        /// What could be decoded.
        decoded: Duration,
    },
    /// Packets inside the clip could not be decoded; silence stands in for them, so the rest keeps its
    /// place.
    Damaged {
        /// How many packets.
        packets: u64,
        /// Where the first one is.
        first: Duration,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent => write!(
                f,
                "the clip is silent; the mouth will stay closed. Check the microphone or choose another file"
            ),
            Self::Truncated { decoded } => write!(
                f,
                "the file is cut off or damaged; only the first {} s could be decoded",
                Secs(*decoded)
            ),
            Self::Damaged { packets, first } => write!(
                f,
                "{packets} damaged piece{} of the file, the first at {} s, could not be decoded and {} silent",
                if *packets == 1 { "" } else { "s" },
                Secs(*first),
                if *packets == 1 { "is" } else { "are" },
            ),
        }
    }
}

/// Seconds with as many digits as matter.
struct Secs(Duration);

impl fmt::Display for Secs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs_f64();
        if secs < 1.0 { write!(f, "{secs:.3}") } else { write!(f, "{secs:.1}") }
    }
}

struct Hours(Duration);

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let secs = self.0.as_secs();
        match (secs / 3600, secs / 60 % 60) {
            _ if secs < 120 => write!(f, "{} s", Secs(self.0)),
            (0, minutes) => write!(f, "{minutes} min"),
            (hours, 0) => write!(f, "{hours} h"),
            (hours, minutes) => write!(f, "{hours} h {minutes} min"),
        }
    }
}

struct Stated(Option<Duration>);

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(length) => write!(f, "{} long, ", Hours(length)),
            None => Ok(()),
        }
    }
}

struct Looks(Option<&'static str>);

impl fmt::Display for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(what) => write!(f, " (it looks like {what})"),
            None => Ok(()),
        }
    }
}
