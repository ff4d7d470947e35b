//! What jobs are made of: the seam between the queue and everything that decodes, renders and encodes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use headcast::audio::Cut;
use headcast::extractors::PublicModel;
use headcast::nerf::avatar::ImportRequest;
use headcast::source::SegmentSource;

use super::event::Level;
use super::feed::Pushed;
use super::script::Script;
use super::title::Title;
use crate::captions::Cue;
use crate::voices::{Listed, VoiceError};

/// Knows the avatars and opens jobs. The program has one; tests have a double.
pub trait Studio: Send + Sync + 'static {
    /// Every avatar that can speak, the default one first.
    fn avatars(&self) -> Vec<AvatarInfo>;

    /// The avatar's picture for its card; `None` for an unknown name.
    fn thumbnail(&self, avatar: &str) -> Option<Picture>;

    /// A few seconds of video without sound that show how the avatar speaks, as MP4; `None` where there is none.
    fn preview(&self, avatar: &str) -> Option<Bytes> {
        let _ = avatar;
        None
    }

    /// Clips that come with the program, so that a newcomer needs no file.
    fn samples(&self) -> Vec<SampleInfo>;

    /// Named quality settings, the default one first.
    fn profiles(&self) -> Vec<String>;

    /// Remarks about this build or machine that a user should know (no assembler at build time, no SIMD).
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }

    /// Everything that is known of one avatar; `None` for an unknown name. Runs on a thread that may block.
    fn avatar(&self, name: &str) -> Option<AvatarDetails> {
        let _ = name;
        None
    }

    /// Makes an avatar out of upstream's files and returns what its owner should know. Runs on a thread that
    /// may block.
    ///
    /// # Errors
    /// What is wrong with the files and what to do.
    fn import(&self, request: &ImportRequest) -> Result<Vec<String>, OpenError> {
        let _ = request;
        let message = "avatars cannot be imported here; the program has them built in".to_owned();
        Err(OpenError { kind: OpenErrorKind::Unusable, code: "avatar_unusable", message })
    }

    /// Deletes an imported avatar; false when there is none of that name. The built-in one stays.
    ///
    /// # Errors
    /// When its files cannot be deleted.
    fn remove_avatar(&self, name: &str) -> Result<bool, OpenError> {
        let _ = name;
        Ok(false)
    }

    /// Voices that can speak a text, the default one first. Runs on a thread that may block.
    fn voices(&self) -> Vec<Listed> {
        Vec::new()
    }

    /// Speaks a text into the sound file `to`, and says when each sentence is heard. Runs on a thread that may block for as
    /// long as it takes, and gives up soon after `reporter.cancelled()`.
    ///
    /// # Errors
    /// What is wrong with the text or the voice and what to do.
    fn speak(&self, script: &Script, to: &Path, reporter: &dyn Reporter) -> Result<Vec<Cue>, OpenError> {
        let _ = (script, to, reporter);
        Err(VoiceError::None.into())
    }

    /// A quick look at a request while its sender waits, so that bad input is refused with a reason instead
    /// of becoming a failed job. Runs on a thread that may block; should take well under a second.
    ///
    /// # Errors
    /// What is wrong with the request and what to do.
    fn check(&self, request: &JobRequest) -> Result<(), OpenError> {
        let _ = request;
        Ok(())
    }

    /// Decodes the audio, makes the speech features and plans the segments. Runs on a thread that may block
    /// for as long as it takes, reports what it is doing, and gives up soon after `reporter.cancelled()`.
    ///
    /// # Errors
    /// What is wrong with the request and what to do.
    fn open(&self, request: &JobRequest, reporter: &dyn Reporter) -> Result<Opened, OpenError>;

    /// As [`Self::open`], for a job that was opened before and whose segments ended at these frames
    /// ([`SegmentPlan::ends`](headcast::core::SegmentPlan::ends)): the new source should be cut there, too, although
    /// the machine is faster or slower now. A source that is cut elsewhere is used, and what was made is made again.
    ///
    /// # Errors
    /// As [`Self::open`].
    fn reopen(
        &self,
        request: &JobRequest,
        ends: &[u64],
        reporter: &dyn Reporter,
    ) -> Result<Opened, OpenError> {
        let _ = ends;
        self.open(request, reporter)
    }
}

/// Where [`Studio::open`] says what it is doing.
pub trait Reporter: Sync {
    /// A new phase begins.
    fn phase(&self, phase: Phase);

    /// One line for the log of this job.
    fn log(&self, level: Level, message: &str);

    /// Whether the job was cancelled: stop soon, and return any error.
    fn cancelled(&self) -> bool;

    /// Whether the file that is being made may have `bytes`; else stop, and return any error.
    fn has_room(&self, bytes: u64) -> bool {
        let _ = bytes;
        true
    }
}

/// What a job is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Phase {
    /// Other jobs are ahead of it.
    Queued,
    /// A voice speaks the text.
    Speaking,
    /// The audio file becomes samples.
    Decoding,
    /// The samples become what the avatar hears.
    Listening,
    /// The avatar and its renderer are made ready.
    Preparing,
    /// Frames are rendered and encoded.
    Rendering,
    /// Nobody brings the frames that are to come from outside.
    Awaiting,
    /// Nothing: it is done, failed or cancelled.
    Over,
}

/// An avatar as the page shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvatarInfo {
    /// Its name in requests: lower case letters, digits, `-` and `_`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Pixels per row of its video.
    pub width: u32,
    /// Rows of its video.
    pub height: u32,
    /// Who is to be credited.
    pub credits: String,
    /// Whether there is a video of it, as [`Studio::preview`] gives.
    pub preview: bool,
}

/// Everything that is known of an avatar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AvatarDetails {
    /// What the page shows.
    pub info: AvatarInfo,
    /// Whether it is part of the program.
    pub built_in: bool,
    /// Family of the network: `er-nerf`, `rad-nerf` or `ad-nerf`.
    pub kind: String,
    /// What drives it: `deepspeech`, `wav2vec2-esperanto`, `wav2vec2` or `hubert`.
    pub features: String,
    /// Whether a torso net is part of it.
    pub torso: bool,
    /// Frames before the poses turn back.
    pub poses: usize,
    /// Terms of use.
    pub licence: String,
    /// The extractor that it was trained with, where that is not here: it cannot hear without.
    pub missing_extractor: Option<PublicModel>,
}

/// An encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// `image/png`, `image/jpeg` or `image/webp`.
    pub content_type: &'static str,
    /// The file.
    pub bytes: Bytes,
}

/// A clip that comes with the program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleInfo {
    /// Its name in requests.
    pub id: String,
    /// Language spoken in it, as a BCP 47 tag: `en`, `zh`.
    pub language: String,
    /// Its name for people, in its own language.
    pub title: String,
    /// File name with extension, for the decoder and for people.
    pub file_name: String,
    /// The audio file.
    pub bytes: Bytes,
}

/// One avatar is to speak one clip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobRequest {
    /// The clip.
    pub audio: Input,
    /// File name that came with the clip: a hint for the decoder and a title for people, never a path.
    pub audio_name: String,
    /// What people call the video; `None` where that is `audio_name`.
    pub title: Option<Title>,
    /// What is spoken of the clip.
    pub cut: Cut,
    /// Name of the avatar.
    pub avatar: String,
    /// Named quality setting; `None` for the default.
    pub profile: Option<String>,
    /// What the avatar does besides speaking, as the studio reads it; empty for the defaults.
    pub body: String,
    /// What is said in the clip, or is to be said: then the clip is empty until a voice has spoken.
    pub script: Option<Script>,
    /// When each sentence of `script` is heard, where that is known: a file of ours.
    pub captions: Option<Input>,
    /// A `.npy` file of speech features made elsewhere; `None` to use the built-in model.
    pub features: Option<Input>,
    /// What the job heard through when it was opened, as [`Opened::extractor`] said; `None` to choose.
    pub extractor: Option<String>,
    /// The picture that `body` puts behind the person, a PNG or JPEG.
    pub background: Option<Input>,
    /// Frames that come from outside instead of an avatar; the clip may be empty then.
    pub pushed: Option<Pushed>,
}

impl JobRequest {
    /// Whether its clip is still to be spoken by a voice.
    pub fn is_unspoken(&self) -> bool {
        let is_empty = matches!(&self.audio, Input::Memory(bytes) if bytes.is_empty());
        is_empty && self.script.as_ref().is_some_and(|script| script.voice.is_some())
    }
}

/// A file that came with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// On disk, complete.
    File(PathBuf),
    /// In memory, complete.
    Memory(Bytes),
}

/// A job that can be rendered.
pub struct Opened {
    /// Makes its segments.
    pub source: Arc<dyn SegmentSource>,
    /// Remarks for the log: silence, a clip that was cut, features that were repeated.
    pub warnings: Vec<String>,
    /// The profile that was chosen for a request that leaves the choice to the studio; the job keeps it. `None` as asked for.
    pub profile: Option<String>,
    /// What it hears through, in the studio's words; the job keeps it, and is opened again with the same. `None` where
    /// nothing was chosen.
    pub extractor: Option<String>,
    /// Frames per second that its source is expected to make, from which the job tells how long it takes until that is
    /// seen. `None` when nobody knows.
    pub expected_fps: Option<f64>,
}

impl std::fmt::Debug for Opened {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Opened")
            .field("segments", &self.source.plan().len())
            .field("warnings", &self.warnings)
            .field("profile", &self.profile)
            .finish()
    }
}

/// Why a request cannot become a job.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct OpenError {
    /// Whose turn it is to act.
    pub kind: OpenErrorKind,
    /// Stable `snake_case` word for programs and translations, such as `audio_unreadable`.
    pub code: &'static str,
    /// One sentence or two: what was wrong and what to do.
    pub message: String,
}

/// Whose turn it is to act on an [`OpenError`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum OpenErrorKind {
    /// The sender: the file or a field is not usable (HTTP 422).
    Unusable,
    /// The sender: it is longer or larger than the limits (HTTP 413).
    TooLarge,
    /// The owner of the machine: disk full, damaged avatar, and the like (HTTP 500).
    Internal,
}
