//! Speech made ready: a timeline, an AAC track that grows on its own thread, and what the avatar hears.
//!
//! A recording is decoded twice. The first pass finds out all that must be known before the first frame: the exact
//! length, what is wrong with the clip, how loud it is. The second one, on the thread of the AAC encoder, follows
//! whoever needs sound. So a clip of hours is opened in the time that decoding it takes.

use std::io::{Read, Seek};
use std::ops::ControlFlow;
use std::thread;

use headcast_audio::decode::Info;
use headcast_audio::extractor::Model;
use headcast_audio::{AudioError, Cut, Ears, Ingest, Ingested, Limits, Options, Progress, Warning};
use headcast_core::{FeatureTrack, FrameRate, Spools, Timeline};
use headcast_media::aac::{self, Encoder as _};

use crate::recording::Shared;

/// Access units that are encoded before anybody asks for sound, and always ahead of who does: more than a second, the
/// first segments.
const LEAD: u64 = 64;
/// How many times as far as somebody asked for the sound is encoded: soon after the start it is complete, and
/// whoever jumps ahead finds it there, but the first segments do not share the processor with all of it.
const AHEAD: u64 = 8;

/// Which features drive the avatar.
#[derive(Debug, Clone)]
pub enum Features {
    /// Those of the built-in model, made from the sound itself.
    BuiltIn,
    /// Those of an extractor of upstream's, made from the sound itself.
    Made {
        /// Its weights.
        model: Model,
        /// Threads that it may use; they do not show in the features.
        threads: usize,
    },
    /// Those that the user made elsewhere.
    Given(FeatureTrack),
}

/// A clip that is ready to be spoken.
#[derive(Debug)]
pub struct Speech {
    /// Frames and AAC access units of the clip.
    pub timeline: Timeline,
    /// What the avatar hears.
    pub features: FeatureTrack,
    /// The sound of the video; may still be growing.
    pub track: aac::Track,
    /// Channels of `track`.
    pub channels: aac::Channels,
    /// What the file holds.
    pub info: Info,
    /// What the user should know about the clip.
    pub warnings: Vec<Warning>,
}

/// Why a clip cannot be spoken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpeechError {
    /// The recording cannot be used; the message says why and what to do.
    #[error(transparent)]
    Audio(#[from] AudioError),
    /// Record more.
    #[error("the clip is too short for the avatar's extractor to hear anything in it; a second is enough")]
    NoFeatures,
    /// The AAC encoder does not start.
    #[error(transparent)]
    Encoder(#[from] aac::Error),
    /// The system has no thread left: close other programs and try again.
    #[error("the audio encoder's thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

/// The sound of a clip whose frames come from elsewhere. Cloning is cheap: the track is shared.
#[derive(Debug, Clone)]
pub struct Sound {
    /// Frames and AAC access units of the clip.
    pub timeline: Timeline,
    /// The sound of the video; may still be growing.
    pub track: aac::Track,
    /// Channels of `track`.
    pub channels: aac::Channels,
    /// What the file holds.
    pub info: Info,
    /// What the user should know about the clip.
    pub warnings: Vec<Warning>,
}

impl Sound {
    /// Goes through a recording, as [`Speech::open`], without making features of it. The compressed sound is kept in
    /// memory: 9 to 16 kB per second.
    ///
    /// # Errors
    /// [`SpeechError`]; nothing is left running.
    pub fn open(
        recording: impl Read + Seek + Send + Sync + 'static,
        name: Option<&str>,
        limits: &Limits,
        frame_rate: FrameRate,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Self, SpeechError> {
        Self::open_beside(recording, name, limits, frame_rate, &Spools::in_memory(), on_progress)
    }

    /// The same, with the compressed sound put aside in `spools`.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_beside(
        recording: impl Read + Seek + Send + Sync + 'static,
        name: Option<&str>,
        limits: &Limits,
        frame_rate: FrameRate,
        spools: &Spools,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Self, SpeechError> {
        let options = Options { frame_rate, features: Ears::Deaf, spools: spools.clone() };
        let (ingested, track, channels) = listen(recording, name, limits, Cut::WHOLE, &options, on_progress)?;
        let Ingested { timeline, info, warnings, .. } = ingested;
        Ok(Self { timeline, track, channels, info, warnings })
    }
}

impl From<Speech> for Sound {
    /// What is left when nobody listens for features.
    fn from(speech: Speech) -> Self {
        let Speech { timeline, track, channels, info, warnings, .. } = speech;
        Self { timeline, track, channels, info, warnings }
    }
}

impl Speech {
    /// Goes through a recording to its end, and gets everything ready that is needed later: its sound is compressed on
    /// another thread, which reads the recording again as segments need it, and the built-in model's features are made
    /// when they are read.
    ///
    /// * `recording`: must stay as it is. It is let go when its sound is complete, or with the last of what came of it.
    /// * `name`: file name, a hint for the format.
    /// * `cut`: what is spoken of it; `limits` are for that alone.
    /// * `spools`: where what grows with the clip is put aside, sound (9 to 16 kB per second) and features: about 40 kB per
    ///   second in all, with wav2vec2 90 kB, with `HuBERT` 290 kB, which are 2 GB for two hours. See [`Options::spools`].
    /// * `on_progress`: called every fraction of a second of sound; [`ControlFlow::Break`] cancels.
    ///
    /// # Errors
    /// [`SpeechError`]; nothing is left running.
    ///
    /// # Panics
    /// Never: features are made where they were asked for.
    pub fn open(
        recording: impl Read + Seek + Send + Sync + 'static,
        name: Option<&str>,
        limits: &Limits,
        cut: Cut,
        frame_rate: FrameRate,
        features: Features,
        spools: &Spools,
        on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<Self, SpeechError> {
        let ears = match &features {
            Features::BuiltIn => Ears::BuiltIn,
            Features::Made { model, threads } => Ears::Model { model: model.clone(), threads: *threads },
            Features::Given(_) => Ears::Deaf,
        };
        let options = Options { frame_rate, features: ears, spools: spools.clone() };
        let (ingested, track, channels) = listen(recording, name, limits, cut, &options, on_progress)?;
        let features = match features {
            Features::BuiltIn => ingested.features.expect("the built-in features were asked for"),
            Features::Made { .. } => ingested.features.ok_or(SpeechError::NoFeatures)?,
            Features::Given(track) => track,
        };
        Ok(Self {
            timeline: ingested.timeline,
            features,
            track,
            channels,
            info: ingested.info,
            warnings: ingested.warnings,
        })
    }
}

/// Decodes a recording to its end, and makes its sound ready to be read.
fn listen(
    recording: impl Read + Seek + Send + Sync + 'static,
    name: Option<&str>,
    limits: &Limits,
    cut: Cut,
    options: &Options,
    on_progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<(Ingested, aac::Track, aac::Channels), SpeechError> {
    let recording = Shared::new(recording);
    let ingested = Ingest::open_cut(recording.clone(), name, limits, cut)?.hear(options, on_progress)?;
    let channels = aac::Channels::from_count(ingested.info.output_channels)
        .expect("the decoder mixes down to one or two channels");
    let encoder = aac::Fdk::new(channels)?;
    let (writer, track) = aac::Track::spooled(&options.spools);
    let (name, limits, timeline) = (name.map(str::to_owned), *limits, ingested.timeline);
    let encode = move || match Ingest::open_cut(recording, name.as_deref(), &limits, cut) {
        Ok(ingest) => encode(ingest, &timeline, encoder, writer),
        Err(error) => writer.fail(error.to_string()),
    };
    thread::Builder::new().name("aac".into()).spawn(encode).map_err(SpeechError::Thread)?;
    Ok((ingested, track, channels))
}

/// Encodes a recording as far as its sound is asked for, until it ends or nobody can read the track any more.
fn encode(ingest: Ingest, timeline: &Timeline, mut encoder: aac::Fdk, mut writer: aac::TrackWriter) {
    let mut failed = None;
    let lead = |wanted: u64| wanted.saturating_mul(AHEAD).saturating_add(LEAD);
    let decoded = ingest.sound(timeline, &mut |block: &[f32], _| {
        match encoder.push(block) {
            Ok(units) => writer.push(units),
            Err(error) => failed = Some(error),
        }
        let go_on = failed.is_none() && writer.wait_for_readers(lead);
        if go_on { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    match (decoded, failed) {
        (_, Some(error)) => writer.fail(error.to_string()),
        (Err(AudioError::Cancelled), None) => {}
        (Err(error), None) => writer.fail(error.to_string()),
        (Ok(()), None) => match encoder.finish() {
            Ok(units) => {
                writer.push(units);
                writer.finish();
            }
            Err(error) => writer.fail(error.to_string()),
        },
    }
}
