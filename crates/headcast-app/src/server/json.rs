//! JSON shapes of the REST interface and the event stream, and how they are made.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::Serialize;

use crate::jobs::{
    AvatarInfo, Event, EventBody, Failure, Job, Jobs, Level, Phase, Progress as JobProgress, SampleInfo,
    State,
};

#[derive(Serialize)]
pub(super) struct Info {
    pub(super) version: &'static str,
    pub(super) limits: Limits,
    pub(super) profiles: Vec<String>,
    pub(super) notes: Vec<String>,
}

#[derive(Serialize)]
pub(super) struct Limits {
    pub(super) audio_bytes: u64,
    pub(super) features_bytes: u64,
    pub(super) waiting_jobs: usize,
}

#[derive(Serialize)]
pub(super) struct Avatar {
    thumbnail: String,
    name: String,
    title: String,
    width: u32,
    height: u32,
    credits: String,
}

impl From<AvatarInfo> for Avatar {
    fn from(info: AvatarInfo) -> Self {
        let AvatarInfo { name, title, width, height, credits } = info;
        Self { thumbnail: format!("/api/v1/avatars/{name}/thumbnail"), name, title, width, height, credits }
    }
}

#[derive(Serialize)]
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

/// A job; in lists without its segments.
#[derive(Serialize)]
pub(super) struct JobView {
    id: String,
    /// Last event that this includes.
    seq: u64,
    state: &'static str,
    avatar: String,
    audio_name: String,
    profile: Option<String>,
    created_ms: u64,
    started_ms: Option<u64>,
    finished_ms: Option<u64>,
    /// Jobs that come first.
    queue_position: usize,
    error: Option<FailureView>,
    progress: Progress,
    clip: Option<Clip>,
    links: Links,
}

#[derive(Serialize)]
struct FailureView {
    code: &'static str,
    detail: String,
}

impl From<Failure> for FailureView {
    fn from(failure: Failure) -> Self {
        Self { code: failure.code, detail: failure.message }
    }
}

/// Known as soon as the job is opened.
#[derive(Serialize)]
struct Clip {
    duration_secs: f64,
    frames: u64,
    frame_rate: f64,
    segments: usize,
    /// Segments that exist, as `[first, past the last]`.
    ready: Vec<[usize; 2]>,
    /// End of each segment in seconds; left out in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    segment_ends: Option<Vec<f64>>,
}

#[derive(Serialize)]
struct Links {
    job: String,
    index: String,
    live: String,
    video: String,
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
            duration_secs: plan.timeline().secs(),
            frames: plan.timeline().frames(),
            frame_rate: plan.timeline().frame_rate().as_f64(),
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
        });
        Self {
            id: job.id().to_string(),
            seq: snapshot.seq,
            state: state(snapshot.state),
            avatar: job.request().avatar.clone(),
            audio_name: job.request().audio_name.clone(),
            profile: job.request().profile.clone(),
            created_ms: millis(job.created()),
            started_ms: snapshot.started.map(millis),
            finished_ms: snapshot.finished.map(millis),
            queue_position,
            error: snapshot.failure.map(FailureView::from),
            progress: snapshot.progress.into(),
            clip,
            links: Links {
                index: format!("{base}/index.m3u8"),
                live: format!("{base}/live.m3u8"),
                video: format!("{base}/video.mp4"),
                job: base,
            },
        }
    }
}

#[derive(Serialize)]
pub(super) struct Progress {
    phase: &'static str,
    frames: u64,
    total: u64,
    fps: f64,
    times_real_time: f64,
    eta_secs: Option<f64>,
}

impl From<JobProgress> for Progress {
    fn from(progress: JobProgress) -> Self {
        let JobProgress { phase, frames, total, fps, times_real_time, eta_secs } = progress;
        Self { phase: self::phase(phase), frames, total, fps, times_real_time, eta_secs }
    }
}

/// What the server says on the event stream.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Message {
    /// The job changed; sent first after a subscription, and whenever events in between were dropped.
    State { seq: u64, job: Box<JobView> },
    /// A segment can be fetched.
    Ready { job: String, seq: u64, segment: usize },
    /// How far the job is.
    Progress {
        job: String,
        seq: u64,
        #[serde(flatten)]
        progress: Progress,
    },
    /// A log line.
    Log { job: String, seq: u64, level: &'static str, message: String, at_ms: u64 },
    /// There is no such job; the subscription ends.
    Gone { job: String },
    /// The last message was not understood.
    Error { code: &'static str, detail: String },
}

impl Message {
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
            EventBody::Ready(segment) => Self::Ready { job: id, seq, segment },
            EventBody::Progress(progress) => Self::Progress { job: id, seq, progress: progress.into() },
            EventBody::Log(level, message) => {
                Self::Log { job: id, seq, level: self::level(level), message, at_ms: millis(event.at) }
            }
        }
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Queued => "queued",
        State::Opening => "opening",
        State::Rendering => "rendering",
        State::Done => "done",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}

fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Queued => "queued",
        Phase::Decoding => "decoding",
        Phase::Listening => "listening",
        Phase::Preparing => "preparing",
        Phase::Rendering => "rendering",
        Phase::Over => "over",
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

/// Milliseconds since 1970, as JavaScript's `Date` takes them.
fn millis(at: SystemTime) -> u64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
