//! What can go wrong with a voice, and what to do about it.

use std::io;

use headcast::audio::AudioError;

use crate::jobs::{OpenError, OpenErrorKind};

/// Why a text was not spoken. Nothing of a key is in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoiceError {
    /// Install one, or name a server.
    #[error(
        "there is no voice on this server; install one (`apt install espeak-ng`) or name a speech server with \
         --voice-url, then start headcast again"
    )]
    None,
    /// Choose one that there is.
    #[error(
        "there is no voice {name:?} here; `headcast voices` and /api/v1/voices list those that there are"
    )]
    Unknown {
        /// As it was asked for.
        name: String,
    },
    /// Write something.
    #[error("there is nothing to say in this text; write a sentence")]
    Nothing,
    /// Shorten it, or make several videos.
    #[error(
        "the text has {length} characters, and at most {limit} are spoken at a time; make several videos of it"
    )]
    TooLong {
        /// Its characters.
        length: usize,
        /// Those that are accepted.
        limit: usize,
    },
    /// Look whether the speech server runs, and at --voice-url.
    #[error(
        "the speech server {server} cannot be reached ({reason}); look whether it runs, and at --voice-url"
    )]
    Unreachable {
        /// Its host and port.
        server: String,
        /// What the system said.
        reason: String,
    },
    /// Give it the right key.
    #[error(
        "the speech server {server} refuses the key (HTTP {status}); put the right one into HEADCAST_VOICE_KEY or \
         --voice-key-file"
    )]
    Key {
        /// Its host and port.
        server: String,
        /// 401 or 403.
        status: u16,
    },
    /// Read what it said: the model, the voice, or a quota.
    #[error("the speech server {server} refuses to speak (HTTP {status}): {said}")]
    Refused {
        /// Its host and port.
        server: String,
        /// Of its answer.
        status: u16,
        /// The beginning of its answer.
        said: String,
    },
    /// Build with the feature `tls`, or use the http address.
    #[error(
        "this build of headcast speaks no https; name the http address of the speech server with --voice-url"
    )]
    NoTls,
    /// Install the program again.
    #[error("the voice program {program} cannot be started ({source}); install it again")]
    Missing {
        /// Its name.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// Read what it said.
    #[error("the voice program {program} ended with {status}{}", if said.is_empty() { String::new() } else { format!(": {said}") })]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: String,
        /// The end of its standard error.
        said: String,
    },
    /// Take a faster voice, or write less.
    #[error(
        "{who} was not through with the text after {secs} s and was given up; take a faster voice, make several videos of \
         the text, or allow more with --voice-patience"
    )]
    Slow {
        /// The program or server.
        who: String,
        /// How long it was waited for.
        secs: u64,
    },
    /// Make several videos of the text, or take a voice that speaks faster: what it spoke is longer than a recording may be.
    #[error(transparent)]
    Endless(AudioError),
    /// Try again, or take another voice.
    #[error("{who} said nothing for {secs} s and was given up; try again, or take another voice")]
    Hung {
        /// The program or server.
        who: String,
        /// How long it was waited for.
        secs: u64,
    },
    /// Take another voice.
    #[error("{who} sent more than the {} MB that a sentence can take; take another voice", limit / 1_000_000)]
    TooMuch {
        /// The program or server.
        who: String,
        /// Bytes that are accepted.
        limit: u64,
    },
    /// Look at its settings: it must make WAV, or another format that headcast reads.
    #[error("what {who} sent is no sound ({reason}); it must make WAV, MP3, FLAC, Opus or AAC")]
    NotSound {
        /// The program or server.
        who: String,
        /// What the decoder said.
        reason: String,
    },
    /// Take a voice of the text's language.
    #[error("{who} was silent all along; take a voice that speaks the language of the text")]
    Silent {
        /// The program or server.
        who: String,
    },
    /// Nobody wants it any more.
    #[error("cancelled")]
    Cancelled,
    /// Free some space.
    #[error("the speech cannot be stored ({0}); free some space and try again")]
    Disk(#[from] io::Error),
}

impl VoiceError {
    /// Whose turn it is to act, and a stable word for programs and translations.
    pub(crate) fn kind(&self) -> (OpenErrorKind, &'static str) {
        let is = |kind, code| (kind, code);
        match self {
            Self::None => is(OpenErrorKind::Unusable, "voice_none"),
            Self::Unknown { .. } => is(OpenErrorKind::Unusable, "voice_unknown"),
            Self::Nothing => is(OpenErrorKind::Unusable, "text_empty"),
            Self::TooLong { .. } => is(OpenErrorKind::TooLarge, "text_too_long"),
            Self::Unreachable { .. } => is(OpenErrorKind::Internal, "voice_unreachable"),
            Self::Key { .. } => is(OpenErrorKind::Internal, "voice_key"),
            Self::Refused { .. } => is(OpenErrorKind::Internal, "voice_refused"),
            Self::NoTls => is(OpenErrorKind::Internal, "voice_no_tls"),
            Self::Missing { .. } => is(OpenErrorKind::Internal, "voice_missing"),
            Self::Failed { .. } => is(OpenErrorKind::Internal, "voice_failed"),
            Self::Hung { .. } | Self::Slow { .. } => is(OpenErrorKind::Internal, "voice_hung"),
            Self::Endless(_) => is(OpenErrorKind::TooLarge, "audio_too_long"),
            Self::TooMuch { .. } => is(OpenErrorKind::Internal, "voice_too_much"),
            Self::NotSound { .. } => is(OpenErrorKind::Internal, "voice_not_sound"),
            Self::Silent { .. } => is(OpenErrorKind::Internal, "voice_silent"),
            Self::Cancelled => is(OpenErrorKind::Internal, "cancelled"),
            Self::Disk(_) => is(OpenErrorKind::Internal, "disk"),
        }
    }
}

impl From<VoiceError> for OpenError {
    fn from(error: VoiceError) -> Self {
        let (kind, code) = error.kind();
        Self { kind, code, message: error.to_string() }
    }
}
