//! The real [`Studio`]: finds avatars, measures renderers, turns recordings into sessions.

mod avatars;
mod builtin;
mod choice;
mod extractors;
mod hearing;
mod look;
mod pace;
mod portrait;
pub(crate) mod pushed;
mod recording;
mod samples;
mod spools;

use std::collections::{HashMap, VecDeque};
use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Instant, SystemTime};

use bytes::Bytes;
use headcast::audio::{AudioError, Cut, Limits};
use headcast::core::timeline::Speed;
use headcast::core::{FrameRate, RgbImage, Spools};
use headcast::nerf::avatar::{self, Avatar, AvatarError, ImportReport, ImportRequest};
use headcast::nerf::body::Behind;
use headcast::nerf::cpu::{RenderError, SimdLevel};
use headcast::nerf::draft;
use headcast::nerf::{Profile, Renderer, Settings};
use headcast::{Features, SegmentSource, Session, Speech, SpeechError, TalkingHead};

use crate::amount::pace;
use crate::captions::Cue;
use crate::jobs::{
    AvatarDetails, AvatarInfo, JobRequest, Level, OpenError, OpenErrorKind, Opened, Phase, Picture, Reporter,
    SampleInfo, Script, Studio,
};
use crate::voices::{Listed, VoiceError, Voices};
use extractors::Extractors;
use hearing::{FeatureSource, features_for, features_of, rows_warning};
use pace::Paced;
use portrait::Portrait;

pub use avatars::{Avatars, Entry};
pub use choice::Choice;
pub use extractors::{folder_of as extractors_of, threads};
pub use look::Look;
pub use recording::Recording;
pub use spools::beside as spools_beside;

/// Renderers kept ready: each holds the tables of one avatar, some 25 MB.
const RENDERERS: usize = 2;

/// Timed frames per renderer, after one that warms caches.
const PROBES: u64 = 3;

/// A plan made for the full measured speed would stall at the first hiccup.
const SPEED_MARGIN: f64 = 0.8;

/// What the machine gives to rendering.
#[derive(Debug, Clone, Copy, Default)]
pub struct EngineSettings {
    /// Threads; `None` is one a core.
    pub threads: Option<NonZeroUsize>,
    /// Instruction set; `None` is the best of this CPU.
    pub simd: Option<SimdLevel>,
    /// Frames per second that segments are planned for; `None` measures. For tests that compare whole runs: what is
    /// measured differs from run to run, and the lengths of segments with it.
    pub assume_fps: Option<f64>,
    /// Frames per second that are rendered at most, finite and above 0; `None` is as many as it can. For tests of what
    /// happens while a job renders, which must not depend on the machine's speed.
    pub max_fps: Option<f64>,
}

impl EngineSettings {
    /// `HEADCAST_SIMD` names the instruction set: `scalar`, `neon`, `avx2`, `avx512` or `avx512vnni`.
    ///
    /// # Errors
    /// A sentence, when it names none of these or one that this CPU lacks.
    pub fn from_env(threads: Option<NonZeroUsize>) -> Result<Self, String> {
        let simd = match std::env::var("HEADCAST_SIMD") {
            Err(_) => None,
            Ok(name) => {
                let known = SimdLevel::from_name(&name).ok_or_else(|| {
                    let names: Vec<_> = SimdLevel::ALL.iter().map(|level| level.name()).collect();
                    format!("HEADCAST_SIMD is {name:?}; use one of {}", names.join(", "))
                })?;
                if !known.is_available() {
                    return Err(format!("HEADCAST_SIMD is {name:?}, which this CPU does not have"));
                }
                Some(known)
            }
        };
        Ok(Self { threads, simd, ..Self::default() })
    }
}

/// Avatars, renderers and recordings of this machine.
#[derive(Debug)]
pub struct LocalStudio {
    avatars: Avatars,
    extractors: Extractors,
    engine: EngineSettings,
    limits: Limits,
    spools: Spools,
    /// Last used last.
    ready: Mutex<VecDeque<(Key, Prepared)>>,
    voices: Option<Voices>,
    /// What [`Choice::Auto`] means for an avatar, as it was when it was last replaced.
    chosen: Mutex<HashMap<(String, Option<SystemTime>), Profile>>,
}

/// What a job was when it was opened first.
#[derive(Debug, Clone, Copy, Default)]
struct Before<'a> {
    /// Last frame of each segment, exclusive; used where they fit the recording.
    ends: Option<&'a [u64]>,
    /// What it hears through: see [`FeatureSource::name`].
    extractor: Option<&'a str>,
}

/// A session that heard its recording.
struct Heard {
    session: Session,
    warnings: Vec<String>,
    extractor: Option<String>,
}

/// Which renderer: the avatar's name, when it was last replaced, the profile, the body as text, and where its background is.
type Key = (String, Option<SystemTime>, Profile, String, Option<PathBuf>);

/// A renderer and how fast it is here.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The renderer.
    pub renderer: Arc<Renderer>,
    /// Measured frames per second.
    pub fps: f64,
}

impl LocalStudio {
    /// A studio over the avatars of `data_dir`.
    pub fn new(data_dir: &Path, engine: EngineSettings) -> Self {
        let (avatars, extractors) = (Avatars::new(data_dir), Extractors::new(data_dir));
        for library in [avatars.library(), extractors.library()] {
            // What is wrong with it is said by whoever reads or writes it.
            let _ = draft::recover(library);
        }
        Self {
            avatars,
            extractors,
            engine,
            limits: Limits::default(),
            spools: spools::beside(data_dir),
            voices: None,
            ready: Mutex::new(VecDeque::new()),
            chosen: Mutex::default(),
        }
    }

    /// The same studio, which puts aside on the disk of `folder` what grows with a clip. Default is that of the data
    /// folder.
    #[must_use]
    pub fn with_spools_beside(self, folder: &Path) -> Self {
        Self { spools: spools::beside(folder), ..self }
    }

    /// The same studio, with voices that speak texts. Default none.
    #[must_use]
    pub fn with_voices(self, voices: Voices) -> Self {
        Self { voices: Some(voices), ..self }
    }

    /// The avatars it knows.
    pub fn known_avatars(&self) -> &Avatars {
        &self.avatars
    }

    /// Loads and measures the built-in avatar, so that the first job does not wait for it.
    ///
    /// # Errors
    /// As [`Self::prepare_named`].
    pub fn warm_up(&self) -> Result<Prepared, OpenError> {
        self.prepare_named(builtin::NAME, Choice::default(), &Look::default())
    }

    /// The renderer of the avatar called `name`, measured.
    ///
    /// # Errors
    /// [`OpenError`] when there is no such avatar, it is damaged, or it cannot be rendered.
    pub fn prepare_named(&self, name: &str, choice: Choice, look: &Look) -> Result<Prepared, OpenError> {
        if let Choice::Profile(profile) = choice {
            return self.prepare_profile(name, profile, look);
        }
        // Held while profiles are measured: what two jobs measure at once is wrong for both.
        let mut chosen = self.chosen.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (name.to_owned(), self.avatars.version(name));
        if let Some(profile) = chosen.get(&key) {
            return self.prepare_profile(name, *profile, look);
        }
        let prepared = choose(|profile| self.prepare_profile(name, profile, look))?;
        chosen.retain(|(known, _), _| known != name);
        chosen.insert(key, prepared.renderer.profile());
        Ok(prepared)
    }

    fn prepare_profile(&self, name: &str, profile: Profile, look: &Look) -> Result<Prepared, OpenError> {
        // Held while a renderer is made: two jobs that want the same one make it once.
        let mut ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        let key =
            (name.to_owned(), self.avatars.version(name), profile, look.body.to_string(), look.place.clone());
        if let Some(at) = ready.iter().position(|(known, _)| *known == key) {
            // Used last goes last.
            ready.make_contiguous()[at..].rotate_left(1);
            return Ok(ready[ready.len() - 1].1.clone());
        }
        let avatar = self.avatars.load(name).map_err(avatar_error)?.ok_or_else(|| unknown_avatar(name))?;
        let prepared = self.measured(&Arc::new(avatar), profile, look)?;
        while ready.len() >= RENDERERS {
            ready.pop_front();
        }
        ready.push_back((key, prepared.clone()));
        Ok(prepared)
    }

    /// Makes an avatar out of upstream's files, and pictures of it for people.
    ///
    /// # Errors
    /// [`AvatarError`]; nothing is left behind.
    pub fn import_avatar(&self, request: &ImportRequest) -> Result<ImportReport, AvatarError> {
        let mut report = avatar::import(request, self.avatars.library())?;
        self.forget(&request.name);
        // It can speak without them.
        if let Err(error) = self.portray(&request.name) {
            report.notes.push(format!("it has no preview: {error}"));
        }
        Ok(report)
    }

    /// Renders and keeps what people see of an imported avatar before they choose it. Returns its folder.
    ///
    /// # Errors
    /// A sentence on why that cannot be.
    pub fn portray(&self, name: &str) -> Result<PathBuf, String> {
        let Some(folder) = self.avatars.folder(name) else {
            return Err(unknown_avatar(name).message);
        };
        let version = self.avatars.version(name);
        let avatar = Avatar::load(&folder).map_err(|error| error.to_string())?;
        let portrait = Portrait::of(avatar, &self.engine)?;
        if self.avatars.version(name) != version {
            return Err("it was replaced while its picture was made".to_owned());
        }
        portrait.keep(&folder).map_err(|error| error.to_string())?;
        Ok(folder)
    }

    /// The avatar called `name`, if one of its renderers is ready: whoever sends a clip need not wait for its files.
    fn at_hand(&self, name: &str) -> Option<Arc<Avatar>> {
        // Held while a renderer is made, which takes longer than reading an avatar.
        let ready = self.ready.try_lock().ok()?;
        let version = self.avatars.version(name);
        let (_, prepared) = ready.iter().find(|(key, _)| key.0 == name && key.1 == version)?;
        Some(Arc::clone(prepared.renderer.avatar()))
    }

    /// Lets go of the renderers of an avatar that is not what it was.
    fn forget(&self, name: &str) {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner).retain(|(key, _)| key.0 != name);
        self.chosen.lock().unwrap_or_else(PoisonError::into_inner).retain(|(known, _), _| known != name);
    }

    /// A renderer for `avatar`, measured with a few frames.
    ///
    /// # Errors
    /// [`OpenError`] when it cannot be rendered.
    pub fn prepare(&self, avatar: Avatar, choice: Choice, look: &Look) -> Result<Prepared, OpenError> {
        let avatar = Arc::new(avatar);
        match choice {
            Choice::Profile(profile) => self.measured(&avatar, profile, look),
            Choice::Auto => choose(|profile| self.measured(&avatar, profile, look)),
        }
    }

    fn measured(&self, avatar: &Arc<Avatar>, profile: Profile, look: &Look) -> Result<Prepared, OpenError> {
        look.body.check(avatar).map_err(|error| unusable("body_unusable", error.to_string()))?;
        let internal = |error: RenderError| OpenError {
            kind: OpenErrorKind::Internal,
            code: "avatar_unusable",
            message: error.to_string(),
        };
        let settings =
            Settings { profile, threads: self.engine.threads, simd: self.engine.simd, body: look.body };
        let renderer = Renderer::with_background(Arc::clone(avatar), &settings, look.picture.as_deref());
        let renderer = Arc::new(renderer.map_err(|error| match error {
            RenderError::NoBackground => unusable("background_missing", error.to_string()),
            error => internal(error),
        })?);
        let mut picture = RgbImage::filled(renderer.width(), renderer.height(), [0; 3]).map_err(|error| {
            OpenError { kind: OpenErrorKind::Internal, code: "avatar_unusable", message: error.to_string() }
        })?;
        renderer.probe(0, &mut picture).map_err(internal)?;
        let started = Instant::now();
        let mut rendered = 0.0;
        for round in 1..=PROBES {
            rendered += renderer.probe(round, &mut picture).map_err(internal)?.share;
        }
        let measured = rendered / started.elapsed().as_secs_f64().max(1e-6);
        let measured = self.engine.max_fps.map_or(measured, |limit| measured.min(limit));
        Ok(Prepared { renderer, fps: self.engine.assume_fps.unwrap_or(measured) })
    }

    /// Lets the avatar of `prepared` speak `recording`.
    ///
    /// * `cut`: what is spoken of it.
    /// * `features`: a `.npy` file, or `None` for the built-in model.
    ///
    /// # Errors
    /// [`OpenError`]: what is wrong with the recording or the features, and what to do.
    pub fn session(
        &self,
        prepared: &Prepared,
        recording: Recording,
        name: &str,
        cut: Cut,
        features: Option<Recording>,
        reporter: &dyn Reporter,
    ) -> Result<(Session, Vec<String>), OpenError> {
        let heard =
            self.session_as_before(prepared, recording, name, cut, features, Before::default(), reporter)?;
        Ok((heard.session, heard.warnings))
    }

    /// As [`Self::session`], and as it was before.
    fn session_as_before(
        &self,
        prepared: &Prepared,
        recording: Recording,
        name: &str,
        cut: Cut,
        features: Option<Recording>,
        before: Before<'_>,
        reporter: &dyn Reporter,
    ) -> Result<Heard, OpenError> {
        let Before { ends, extractor: heard_through } = before;
        check_cut(cut, features.is_some())?;
        let Prepared { renderer, fps } = prepared;
        let source = features_for(&self.extractors, renderer.avatar(), features, heard_through)?;
        let extractor = source.name();
        let given_rows = match &source {
            FeatureSource::Given(track) => Some(track.rows()),
            _ => None,
        };
        reporter.phase(Phase::Decoding);
        let features = match source {
            FeatureSource::BuiltIn => Features::BuiltIn,
            FeatureSource::Given(track) => Features::Given(track),
            FeatureSource::Extractor(entry) => {
                reporter.log(Level::Info, &format!("features by the extractor \"{}\"", entry.name));
                let model = self.extractors.load(&entry)?;
                Features::Made { model, threads: threads(self.engine.threads) }
            }
        };
        let on_progress = &mut |_| {
            if reporter.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let speech = Speech::open(
            recording,
            Some(name),
            &self.limits,
            cut,
            FrameRate::PAL,
            features,
            &self.spools,
            on_progress,
        )
        .map_err(speech_error)?;
        let info = &speech.info;
        reporter.log(
            Level::Info,
            &format!(
                "{name}: {:.2} s of {} ({}), {}, {} channel{}",
                speech.timeline.secs(),
                info.codec,
                info.container.name(),
                info.sample_rate,
                info.channels,
                if info.channels == 1 { "" } else { "s" },
            ),
        );
        if !cut.is_whole() {
            reporter.log(Level::Info, &format!("of the recording, what is {cut} is spoken"));
        }
        let mut warnings: Vec<String> = speech.warnings.iter().map(ToString::to_string).collect();
        warnings.extend(given_rows.and_then(|rows| rows_warning(rows, speech.timeline.frames())));

        reporter.phase(Phase::Listening);
        let frames = speech.timeline.frames();
        let head = TalkingHead::new(Arc::clone(renderer), &speech.features, frames, &self.spools)
            .map_err(|error| unusable("features_do_not_fit", error.to_string()))?;
        let speed = Speed::from_fps(fps * SPEED_MARGIN, speech.timeline.frame_rate());
        let mut session = Session::new(speech.timeline, speed, speech.track, speech.channels, Arc::new(head))
            .map_err(|error| OpenError {
                kind: OpenErrorKind::Internal,
                code: "picture_not_encodable",
                message: error.to_string(),
            })?;
        let stored = ends.map(|ends| headcast::core::SegmentPlan::from_ends(speech.timeline, ends.to_vec()));
        if let Some(plan) = stored.flatten() {
            session = session.with_plan(plan);
        }
        reporter.log(
            Level::Info,
            &format!(
                "{} frames in {} segments; {} renders {} here ({})",
                session.plan().timeline().frames(),
                session.plan().len(),
                renderer.avatar().title,
                pace(*fps),
                renderer.describe(),
            ),
        );
        Ok(Heard { session, warnings, extractor })
    }

    fn open_cut_at(
        &self,
        request: &JobRequest,
        ends: Option<&[u64]>,
        reporter: &dyn Reporter,
    ) -> Result<Opened, OpenError> {
        let (choice, look) = (choice(request)?, Look::of(request)?);
        reporter.phase(Phase::Preparing);
        let prepared = self.prepare_named(&request.avatar, choice, &look)?;
        let recording = Recording::of(&request.audio).map_err(recording_error)?;
        let Heard { session, warnings, extractor } = self.session_as_before(
            &prepared,
            recording,
            &request.audio_name,
            request.cut,
            features_of(request)?,
            Before { ends, extractor: request.extractor.as_deref() },
            reporter,
        )?;
        let source: Arc<dyn SegmentSource> = match self.engine.max_fps {
            Some(fps) => Arc::new(Paced::new(session, fps)),
            None => Arc::new(session),
        };
        let decided = || prepared.renderer.profile().name().to_owned();
        Ok(Opened {
            source,
            warnings,
            profile: (choice == Choice::Auto).then(decided),
            extractor,
            expected_fps: Some(prepared.fps),
        })
    }
}

impl Studio for LocalStudio {
    fn avatars(&self) -> Vec<AvatarInfo> {
        match self.avatars.list() {
            Ok((entries, _)) => entries.into_iter().map(|entry| entry.info).collect(),
            // The library cannot be read; the built-in avatar still speaks.
            Err(_) => vec![builtin::entry().info],
        }
    }

    fn thumbnail(&self, avatar: &str) -> Option<Picture> {
        self.avatars.thumbnail(avatar)
    }

    fn preview(&self, avatar: &str) -> Option<Bytes> {
        self.avatars.preview(avatar)
    }

    fn samples(&self) -> Vec<SampleInfo> {
        samples::all()
    }

    fn profiles(&self) -> Vec<String> {
        Choice::ALL.map(|choice| choice.name().to_owned()).to_vec()
    }

    fn notes(&self) -> Vec<String> {
        build_notes()
    }

    fn avatar(&self, name: &str) -> Option<AvatarDetails> {
        let mut details = self.avatars.details(name)?;
        details.missing_extractor = self.extractors.missing(&details.features);
        Some(details)
    }

    fn import(&self, request: &ImportRequest) -> Result<Vec<String>, OpenError> {
        self.import_avatar(request).map(|report| report.notes).map_err(import_error)
    }

    fn remove_avatar(&self, name: &str) -> Result<bool, OpenError> {
        let removed = self.avatars.remove(name).map_err(avatar_error)?;
        self.forget(name);
        Ok(removed)
    }

    fn voices(&self) -> Vec<Listed> {
        self.voices.as_ref().map(Voices::list).unwrap_or_default()
    }

    fn speak(&self, script: &Script, to: &Path, reporter: &dyn Reporter) -> Result<Vec<Cue>, OpenError> {
        let voices = self.voices.as_ref().ok_or(VoiceError::None)?;
        let (cancelled, has_room) = (|| reporter.cancelled(), |bytes| reporter.has_room(bytes));
        Ok(voices.speak_within(script, to, &cancelled, &has_room)?)
    }

    fn check(&self, request: &JobRequest) -> Result<(), OpenError> {
        choice(request)?;
        let look = Look::of(request)?;
        if look.body.background == Behind::Picture && look.picture.is_none() {
            return Err(unusable("background_missing", RenderError::NoBackground.to_string()));
        }
        check_cut(request.cut, request.features.is_some())?;
        // What a voice is to speak is no recording yet.
        if !request.is_unspoken() {
            let recording = Recording::of(&request.audio).map_err(recording_error)?;
            let (name, cut) = (Some(request.audio_name.as_str()), request.cut);
            headcast::audio::Ingest::open_cut(recording, name, &self.limits, cut).map_err(audio_error)?;
        }
        let avatar = match self.at_hand(&request.avatar) {
            Some(avatar) => avatar,
            None => {
                let avatar = self.avatars.load(&request.avatar).map_err(avatar_error)?;
                Arc::new(avatar.ok_or_else(|| unknown_avatar(&request.avatar))?)
            }
        };
        look.body.check(&avatar).map_err(|error| unusable("body_unusable", error.to_string()))?;
        let heard_through = request.extractor.as_deref();
        features_for(&self.extractors, &avatar, features_of(request)?, heard_through).map(drop)
    }

    fn open(&self, request: &JobRequest, reporter: &dyn Reporter) -> Result<Opened, OpenError> {
        self.open_cut_at(request, None, reporter)
    }

    fn reopen(
        &self,
        request: &JobRequest,
        ends: &[u64],
        reporter: &dyn Reporter,
    ) -> Result<Opened, OpenError> {
        self.open_cut_at(request, Some(ends), reporter)
    }
}

/// What a user of this build on this machine should know.
pub fn build_notes() -> Vec<String> {
    let mut notes = Vec::new();
    if !headcast::media::h264::has_assembly() {
        notes.push(
            "built without nasm: H.264 encoding is 2.4 to 3.5 times slower; install nasm and build again"
                .to_owned(),
        );
    }
    if SimdLevel::best() == SimdLevel::Scalar {
        notes.push("this CPU has no AVX2: rendering is many times slower".to_owned());
    }
    notes
}

fn choice(request: &JobRequest) -> Result<Choice, OpenError> {
    let Some(name) = &request.profile else { return Ok(Choice::default()) };
    Choice::from_name(name).map_err(|message| unusable("unknown_profile", message))
}

/// The renderer that [`Choice::Auto`] means, of those that `prepare` makes and measures.
fn choose(mut prepare: impl FnMut(Profile) -> Result<Prepared, OpenError>) -> Result<Prepared, OpenError> {
    let mut only: Option<Prepared> = None;
    choice::choose(FrameRate::PAL.as_f64() / SPEED_MARGIN, |profile| {
        let prepared = match only.take() {
            Some(prepared) => prepared,
            None => prepare(profile)?,
        };
        if !prepared.renderer.has_faster_profiles() {
            only = Some(prepared.clone());
        }
        let fps = prepared.fps;
        Ok((prepared, fps))
    })
}

/// Features that were made elsewhere have a row for each frame of the whole recording, and a cut is between two of them.
fn check_cut(cut: Cut, has_features: bool) -> Result<(), OpenError> {
    if cut.is_whole() || !has_features {
        return Ok(());
    }
    let message = "features of your own are those of the whole recording; leave start and end out, or cut the \
                   recording and make its features again";
    Err(unusable("audio_cut", message.to_owned()))
}

fn unusable(code: &'static str, message: String) -> OpenError {
    OpenError { kind: OpenErrorKind::Unusable, code, message }
}

fn unknown_avatar(name: &str) -> OpenError {
    unusable(
        "unknown_avatar",
        format!("there is no avatar \"{name}\"; `headcast avatar list` shows those there are"),
    )
}

fn avatar_error(error: AvatarError) -> OpenError {
    OpenError { kind: OpenErrorKind::Internal, code: "avatar_unusable", message: error.to_string() }
}

fn import_error(error: AvatarError) -> OpenError {
    let kind = match &error {
        AvatarError::Io { source, .. } if source.kind() != std::io::ErrorKind::NotFound => {
            OpenErrorKind::Internal
        }
        _ => OpenErrorKind::Unusable,
    };
    OpenError { kind, code: "avatar_unusable", message: error.to_string() }
}

fn recording_error(error: std::io::Error) -> OpenError {
    let message = format!("the recording cannot be read: {error}");
    OpenError { kind: OpenErrorKind::Internal, code: "recording_unreadable", message }
}

fn speech_error(error: SpeechError) -> OpenError {
    match error {
        SpeechError::Audio(error) => audio_error(error),
        SpeechError::NoFeatures => unusable("audio_too_short", error.to_string()),
        other => {
            OpenError { kind: OpenErrorKind::Internal, code: "audio_encoder", message: other.to_string() }
        }
    }
}

fn audio_error(error: AudioError) -> OpenError {
    let (kind, code) = match &error {
        AudioError::TooLong { .. } | AudioError::TooLarge { .. } => {
            (OpenErrorKind::TooLarge, "audio_too_long")
        }
        AudioError::CutBeyondEnd { .. } => (OpenErrorKind::Unusable, "audio_cut"),
        AudioError::TooShort { .. } => (OpenErrorKind::Unusable, "audio_too_short"),
        AudioError::Cancelled => (OpenErrorKind::Internal, "cancelled"),
        AudioError::Io { .. } => (OpenErrorKind::Internal, "recording_unreadable"),
        AudioError::Spool { .. } => (OpenErrorKind::Internal, "disk"),
        AudioError::Extractor { .. } => (OpenErrorKind::Internal, "extractor_unusable"),
        _ => (OpenErrorKind::Unusable, "audio_unusable"),
    };
    OpenError { kind, code, message: error.to_string() }
}
