//! JSON shapes of the REST interface and the event stream, and how they are made.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headcast::audio::Cut;
use headcast::extractors::PublicModel;
use schemars::JsonSchema;
use serde::Serialize;

use crate::doctor::{CheckView, Report};
use crate::jobs::{
    self, AvatarInfo, Event, EventBody, Failure, Job, Jobs, Level, Phase, Progress as JobProgress,
    SampleInfo, State,
};
use crate::voices::{Listed, VoiceInfo};

/// This server.
#[derive(Serialize, JsonSchema)]
pub(super) struct Info {
    pub(super) version: &'static str,
    pub(super) limits: Limits,
    pub(super) profiles: Vec<String>,
    pub(super) notes: Vec<String>,
    /// Whether pages of other sites may show players of this server (`--allow-embed`).
    pub(super) embeddable: bool,
}

/// What is accepted.
#[derive(Serialize, JsonSchema)]
pub(super) struct Limits {
    pub(super) audio_bytes: u64,
    /// Longest recording, seconds.
    pub(super) audio_secs: u64,
    pub(super) features_bytes: u64,
    pub(super) background_bytes: u64,
    /// All files of an avatar together.
    pub(super) avatar_bytes: u64,
    /// Torso pictures of an avatar, and landmark files as many again.
    pub(super) avatar_frames: usize,
    /// Characters of a text.
    pub(super) text_chars: usize,
    pub(super) waiting_jobs: usize,
}

/// A face that can speak.
#[derive(Serialize, JsonSchema)]
pub(super) struct Avatar {
    thumbnail: String,
    /// Address of a few seconds of video without sound in which it speaks; null where there is none.
    preview: Option<String>,
    name: String,
    title: String,
    width: u32,
    height: u32,
    credits: String,
}

impl From<AvatarInfo> for Avatar {
    fn from(info: AvatarInfo) -> Self {
        let AvatarInfo { name, title, width, height, credits, preview } = info;
        let preview = preview.then(|| format!("/api/v1/avatars/{name}/preview"));
        Self {
            thumbnail: format!("/api/v1/avatars/{name}/thumbnail"),
            preview,
            name,
            title,
            width,
            height,
            credits,
        }
    }
}

/// Everything that is known of a face.
#[derive(Serialize, JsonSchema)]
pub(super) struct AvatarDetails {
    #[serde(flatten)]
    avatar: Avatar,
    /// Whether it is part of the program.
    built_in: bool,
    /// Family of the network: `er-nerf`, `rad-nerf` or `ad-nerf`.
    kind: String,
    /// What drives it: `deepspeech`, `wav2vec2-esperanto`, `wav2vec2` or `hubert`.
    features: String,
    /// Whether a torso net is part of it.
    torso: bool,
    /// Frames before the poses turn back.
    poses: usize,
    /// Terms of use.
    licence: String,
    /// The public model that it was trained to hear through, where that was not added to this server: it cannot speak without.
    missing_extractor: Option<MissingExtractor>,
}

/// A model that its owner has to download.
#[derive(Serialize, JsonSchema)]
pub(super) struct MissingExtractor {
    /// Owner and name on Hugging Face.
    model: &'static str,
    /// Its address.
    page: String,
    /// Files to download; of the last two, one will do.
    files: [&'static str; 4],
    /// Name of the folder that they go to, anywhere on the server's machine.
    folder: &'static str,
    /// What to run beside that folder.
    command: String,
}

impl From<PublicModel> for MissingExtractor {
    fn from(model: PublicModel) -> Self {
        let PublicModel { name, files, .. } = model;
        Self { model: name, page: model.page(), files, folder: model.folder(), command: model.command() }
    }
}

impl From<jobs::AvatarDetails> for AvatarDetails {
    fn from(details: jobs::AvatarDetails) -> Self {
        let jobs::AvatarDetails { info, built_in, kind, features, torso, poses, licence, missing_extractor } =
            details;
        let missing_extractor = missing_extractor.map(MissingExtractor::from);
        Self { avatar: info.into(), built_in, kind, features, torso, poses, licence, missing_extractor }
    }
}

/// An avatar that was imported.
#[derive(Serialize, JsonSchema)]
pub(super) struct Imported {
    pub(super) avatar: AvatarDetails,
    /// What its owner should know.
    pub(super) notes: Vec<String>,
}

/// Files of an avatar that is to be, and what they are.
#[derive(Serialize, JsonSchema)]
pub(super) struct Inspection {
    /// For `inspection` of an import, and for more files.
    pub(super) id: String,
    /// The files are deleted after this, if nothing is done with them.
    pub(super) kept_secs: u64,
    /// All files together.
    pub(super) bytes: u64,
    /// Whether an import would go through, as far as can be told.
    pub(super) importable: bool,
    /// What an import needs, item by item.
    pub(super) checks: Vec<CheckView>,
    /// What else the model has a use for.
    pub(super) wanted: Wanted,
    /// Of the checkpoint, if there is one that can be read.
    pub(super) report: Option<Report>,
}

/// Files of single frames that are missing, by the numbers of their frames.
#[derive(Serialize, JsonSchema)]
pub(super) struct Wanted {
    /// Pictures of `torso_imgs`.
    pub(super) torso: Vec<u32>,
    /// Files of `ori_imgs`.
    pub(super) landmarks: Vec<u32>,
}

/// A clip that comes with the program.
#[derive(Serialize, JsonSchema)]
pub(super) struct Sample {
    audio: String,
    id: String,
    language: String,
    title: String,
    file_name: String,
    bytes: usize,
}

impl From<SampleInfo> for Sample {
    fn from(info: SampleInfo) -> Self {
        let SampleInfo { id, language, title, file_name, bytes } = info;
        let audio = format!("/api/v1/samples/{id}/audio");
        Self { audio, id, language, title, file_name, bytes: bytes.len() }
    }
}

/// A voice that can speak a text.
#[derive(Serialize, JsonSchema)]
pub(super) struct Voice {
    /// For `voice` of a new job: `server/alloy`, `espeak-ng/en-us`.
    name: String,
    /// Its name for people.
    title: String,
    /// A BCP 47 tag; empty where nobody says.
    language: String,
    /// What speaks: `server`, or the name of a program.
    kind: String,
}

impl From<Listed> for Voice {
    fn from(Listed { voice: VoiceInfo { name, title, language }, kind }: Listed) -> Self {
        Self { name, title, language, kind }
    }
}

/// A file that waits for its job.
#[derive(Serialize, JsonSchema)]
pub(super) struct Upload {
    /// For `upload` or `features` of a new job, once.
    pub(super) id: String,
    /// As the job will show it.
    pub(super) name: String,
    pub(super) bytes: u64,
    /// It is deleted after this, if no job takes it.
    pub(super) kept_secs: u64,
}

/// A job; in lists without its segments.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Job")]
pub(super) struct JobView {
    /// 16 characters of `a-z2-7`; whoever knows it may watch.
    id: String,
    /// Last event that this includes.
    seq: u64,
    state: StateName,
    avatar: String,
    /// What it is called: as it was renamed, else the first words of a text that is spoken, else `audio_name`.
    title: String,
    audio_name: String,
    /// What is spoken of the recording, where that is not all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<CutView>,
    /// As asked for; instead of `auto` the one that was chosen, as soon as the job is opened.
    profile: Option<String>,
    /// What the avatar does besides speaking, where that is not the default: `eyes=blink background=#00b140`.
    #[serde(skip_serializing_if = "String::is_empty")]
    body: String,
    /// What is said, where that is known; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    /// Who speaks the text, where that is no recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    voice: Option<String>,
    /// How fast, where that is not 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<f64>,
    /// Whether there are captions.
    captions: bool,
    /// Milliseconds since 1970, as all instants here.
    created_ms: u64,
    started_ms: Option<u64>,
    finished_ms: Option<u64>,
    /// Jobs that come first.
    queue_position: usize,
    /// Why it failed.
    error: Option<FailureView>,
    progress: Progress,
    clip: Option<Clip>,
    /// Of a job whose frames come from outside.
    #[serde(skip_serializing_if = "Option::is_none")]
    frames: Option<FramesView>,
    links: Links,
}

/// A part of a recording.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Cut")]
struct CutView {
    /// Seconds from the beginning of the recording.
    start: f64,
    /// Likewise; `null` is the end of the recording.
    end: Option<f64>,
}

impl CutView {
    fn of(cut: Cut) -> Option<Self> {
        let part = Self { start: cut.start().as_secs_f64(), end: cut.end().map(|end| end.as_secs_f64()) };
        (!cut.is_whole()).then_some(part)
    }
}

/// Frames that come from outside, to `/api/v1/jobs/{id}/frames`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Frames")]
struct FramesView {
    width: u32,
    height: u32,
    /// `rgb24`, `bgr24`, `rgba` or `yuv420p`.
    pix_fmt: &'static str,
    /// Bytes of one frame.
    frame_bytes: usize,
    /// Index of the frame that is expected next.
    next_frame: u64,
    /// Whether somebody is sending just now.
    connected: bool,
}

/// Why a job failed.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Failure")]
struct FailureView {
    /// Stable word for programs and translations.
    code: &'static str,
    /// What was wrong and what to do.
    detail: String,
}

impl From<Failure> for FailureView {
    fn from(failure: Failure) -> Self {
        Self { code: failure.code, detail: failure.message }
    }
}

/// Known as soon as the job is opened.
#[derive(Serialize, JsonSchema)]
struct Clip {
    /// Whether the length is open: frames come from outside until they end. Then the rest is of the segments so far.
    open: bool,
    duration_secs: f64,
    frames: u64,
    frame_rate: f64,
    segments: usize,
    /// Segments that exist, as `[first, past the last]`.
    ready: Vec<[usize; 2]>,
    /// End of each segment in seconds; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    segment_ends: Option<Vec<f64>>,
    /// Seconds that each segment took to render and encode, `null` where that is not known; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    segment_secs: Option<Vec<Option<f64>>>,
}

/// Addresses of a job, on this server.
#[derive(Serialize, JsonSchema)]
struct Links {
    job: String,
    index: String,
    live: String,
    video: String,
    poster: String,
    /// Captions as `WebVTT`, once there are some.
    vtt: String,
    /// The same as `SubRip`.
    srt: String,
    events: String,
    /// The page that shows it, to be sent to others.
    page: String,
}

impl JobView {
    pub(super) fn full(jobs: &Jobs, job: &Job) -> Self {
        Self::new(jobs, job, true)
    }

    pub(super) fn brief(jobs: &Jobs, job: &Job) -> Self {
        Self::new(jobs, job, false)
    }

    #[expect(clippy::cast_precision_loss, reason = "a display value from microseconds")]
    fn new(jobs: &Jobs, job: &Job, segments: bool) -> Self {
        let snapshot = job.snapshot();
        let base = format!("/api/v1/jobs/{}", job.id());
        let queue_position = if snapshot.state == State::Queued { jobs.ahead_of(job.id()) } else { 0 };
        let clip = snapshot.plan.as_ref().map(|plan| Clip {
            open: plan.total_frames().is_none() && !snapshot.state.is_over(),
            duration_secs: plan.secs(),
            frames: plan.frames(),
            frame_rate: plan.frame_rate().as_f64(),
            segments: plan.len(),
            ready: snapshot.ready.iter().map(|range| [range.start, range.end]).collect(),
            segment_ends: segments.then(|| {
                let mut end = 0;
                (0..plan.len())
                    .map(|k| {
                        end += plan.duration_micros(k);
                        end as f64 / 1e6
                    })
                    .collect()
            }),
            segment_secs: segments.then(|| {
                let secs = |timing: &jobs::Timing| timing.took.as_secs_f64();
                snapshot.timings.iter().map(|timing| timing.as_ref().map(secs)).collect()
            }),
        });
        let script = job.request().script.as_ref();
        Self {
            id: job.id().to_string(),
            seq: snapshot.seq,
            state: snapshot.state.into(),
            avatar: job.request().avatar.clone(),
            title: job.name(),
            audio_name: job.request().audio_name.clone(),
            cut: CutView::of(job.request().cut),
            profile: job.profile(),
            body: job.request().body.clone(),
            text: script.filter(|_| segments).map(|script| script.text.clone()),
            voice: script.and_then(|script| script.voice.clone()),
            speed: script.map(|script| script.speed.factor()).filter(|speed| (speed - 1.0).abs() > 1e-9),
            captions: snapshot.captions,
            created_ms: millis(job.created()),
            started_ms: snapshot.started.map(millis),
            finished_ms: snapshot.finished.map(millis),
            queue_position,
            error: snapshot.failure.map(FailureView::from),
            progress: snapshot.progress.into(),
            clip,
            frames: job.request().pushed.zip(jobs.feed_state(job)).map(|(pushed, feed)| FramesView {
                width: pushed.width,
                height: pushed.height,
                pix_fmt: pushed.format.name(),
                frame_bytes: pushed.frame_bytes(),
                next_frame: feed.next_frame,
                connected: feed.connected,
            }),
            links: Links {
                index: format!("{base}/index.m3u8"),
                live: format!("{base}/live.m3u8"),
                video: format!("{base}/video.mp4"),
                poster: format!("{base}/poster"),
                vtt: format!("{base}/captions.vtt"),
                srt: format!("{base}/captions.srt"),
                events: format!("{base}/events"),
                page: format!("/j/{}", job.id()),
                job: base,
            },
        }
    }
}

/// How far a job is and how fast it goes.
#[derive(Serialize, JsonSchema)]
pub(super) struct Progress {
    phase: PhaseName,
    /// Frames made.
    frames: u64,
    /// Frames of the clip; `null` until it is known, of a clip of open length until it ends.
    total: Option<u64>,
    /// Frames per second over the last moments; 0 until it is known.
    fps: f64,
    /// `fps` over the frame rate of the clip.
    times_real_time: f64,
    /// Seconds until every frame is made; `null` until it is known, of a clip of open length always.
    eta_secs: Option<f64>,
    stages: Stages,
}

/// Seconds that the job spent with each stage in this run of the server: together all the time since it was made, or taken up
/// again after a restart, until it was over.
#[derive(Serialize, JsonSchema)]
struct Stages {
    /// Until its turn came, also between two segments.
    waiting: f64,
    /// The avatar and its renderer.
    preparing: f64,
    /// Decoding and hearing the speech.
    hearing: f64,
    /// Rendering; frames are encoded meanwhile.
    rendering: f64,
    /// What is left to encode when the last frame of a segment is rendered.
    encoding: f64,
    /// Writing segments.
    publishing: f64,
}

impl From<jobs::Stages> for Stages {
    fn from(stages: jobs::Stages) -> Self {
        // Nobody looks for microseconds.
        let secs = |spent: Duration| (spent.as_secs_f64() * 1000.0).round() / 1000.0;
        Self {
            waiting: secs(stages.waiting),
            preparing: secs(stages.preparing),
            hearing: secs(stages.hearing),
            rendering: secs(stages.rendering),
            encoding: secs(stages.encoding),
            publishing: secs(stages.publishing),
        }
    }
}

impl From<JobProgress> for Progress {
    fn from(progress: JobProgress) -> Self {
        let JobProgress { phase, frames, total, fps, times_real_time, eta_secs, stages } = progress;
        Self { phase: phase.into(), frames, total, fps, times_real_time, eta_secs, stages: stages.into() }
    }
}

/// What the server says on the event stream.
#[derive(Serialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Message {
    /// The job changed; sent first after a subscription, and whenever events in between were dropped.
    State { seq: u64, job: Box<JobView> },
    /// A segment can be fetched; where it ends, in seconds, is how far the clip can be played when all before it are
    /// there, too. `at_ms` is when it was made, in milliseconds since 1970.
    Ready { job: String, seq: u64, segment: usize, end_secs: Option<f64>, at_ms: u64 },
    /// How far the job is.
    Progress {
        job: String,
        seq: u64,
        #[serde(flatten)]
        progress: Progress,
    },
    /// A log line.
    Log { job: String, seq: u64, level: LevelName, message: String, at_ms: u64 },
    /// There is no such job; the subscription ends.
    Gone { job: String },
    /// The last message was not understood.
    Error { code: &'static str, detail: String },
    /// Nothing: the line is alive. Only on the WebSocket, whose pings a page cannot see.
    Heartbeat {},
}

impl Message {
    /// Its `type`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::State { .. } => "state",
            Self::Ready { .. } => "ready",
            Self::Progress { .. } => "progress",
            Self::Log { .. } => "log",
            Self::Gone { .. } => "gone",
            Self::Error { .. } => "error",
            Self::Heartbeat {} => "heartbeat",
        }
    }

    /// Last event that the receiver has seen with it.
    pub(super) fn seq(&self) -> Option<u64> {
        match self {
            Self::State { seq, .. }
            | Self::Ready { seq, .. }
            | Self::Progress { seq, .. }
            | Self::Log { seq, .. } => Some(*seq),
            Self::Gone { .. } | Self::Error { .. } | Self::Heartbeat {} => None,
        }
    }

    /// The job as it is now; `seq` is the last event that the receiver has seen.
    pub(super) fn state(jobs: &Jobs, job: &Job, seq: u64) -> Self {
        Self::State { seq, job: Box::new(JobView::full(jobs, job)) }
    }

    /// The message for one event; a change of state carries the state as it is now.
    pub(super) fn of(jobs: &Jobs, job: &Job, event: Event) -> Self {
        let seq = event.seq;
        let id = job.id().to_string();
        match event.body {
            EventBody::State => Self::state(jobs, job, seq),
            EventBody::Ready(segment) => {
                let end_secs = job.segment_end_secs(segment);
                Self::Ready { job: id, seq, segment, end_secs, at_ms: millis(event.at) }
            }
            EventBody::Progress(progress) => Self::Progress { job: id, seq, progress: progress.into() },
            EventBody::Log(level, message) => {
                Self::Log { job: id, seq, level: level.into(), message, at_ms: millis(event.at) }
            }
        }
    }
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "State")]
pub(super) enum StateName {
    /// Other jobs are ahead of it.
    Queued,
    /// Its audio is being read.
    Opening,
    /// Its segments are known and being made.
    Rendering,
    /// Every segment exists.
    Done,
    /// It ended early; `error` says why.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl StateName {
    pub(super) const ALL: [Self; 6] =
        [Self::Queued, Self::Opening, Self::Rendering, Self::Done, Self::Failed, Self::Cancelled];

    /// As in JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Opening => "opening",
            Self::Rendering => "rendering",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}

impl From<State> for StateName {
    fn from(state: State) -> Self {
        match state {
            State::Queued => Self::Queued,
            State::Opening => Self::Opening,
            State::Rendering => Self::Rendering,
            State::Done => Self::Done,
            State::Failed => Self::Failed,
            State::Cancelled => Self::Cancelled,
        }
    }
}

/// What a job is doing.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Phase")]
enum PhaseName {
    Queued,
    /// A voice speaks the text.
    Speaking,
    Decoding,
    Listening,
    Preparing,
    Rendering,
    /// Nobody brings the frames that are to come from outside.
    Awaiting,
    Over,
}

impl From<Phase> for PhaseName {
    fn from(phase: Phase) -> Self {
        match phase {
            Phase::Queued => Self::Queued,
            Phase::Speaking => Self::Speaking,
            Phase::Decoding => Self::Decoding,
            Phase::Listening => Self::Listening,
            Phase::Preparing => Self::Preparing,
            Phase::Rendering => Self::Rendering,
            Phase::Awaiting => Self::Awaiting,
            Phase::Over => Self::Over,
        }
    }
}

/// How serious a log line is.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Level")]
pub(super) enum LevelName {
    Info,
    Warn,
    Error,
}

impl From<Level> for LevelName {
    fn from(level: Level) -> Self {
        match level {
            Level::Info => Self::Info,
            Level::Warn => Self::Warn,
            Level::Error => Self::Error,
        }
    }
}

/// Milliseconds since 1970, as JavaScript's `Date` takes them.
fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
