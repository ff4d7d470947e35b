//! One job: its state, its events, and who waits for it.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use headcast::core::SegmentPlan;
use headcast::media::mp4::Layout;
use headcast::media::segment::Config;
use headcast::media::store::SegmentStore;
use headcast::source::SegmentSource;
use tempfile::TempPath;
use tokio::sync::{OnceCell, watch};

use super::event::{Event, EventBody, EventLog, Level, Progress};
use super::id::JobId;
use super::speed::Meter;
use super::studio::{JobRequest, Opened, Phase};

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Other jobs are ahead of it.
    Queued,
    /// Its audio is being read; it has no plan yet.
    Opening,
    /// Its plan is known and segments are being made.
    Rendering,
    /// Every segment exists.
    Done,
    /// It ended early, and [`Failure`] says why.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl State {
    /// Whether nothing will happen any more.
    pub fn is_over(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Cancelled)
    }
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Stable `snake_case` word for programs and translations.
    pub code: &'static str,
    /// One sentence or two: what was wrong and what to do.
    pub message: String,
}

/// A job as it was at one moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Sequence number of the last event that this includes.
    pub seq: u64,
    /// Where it stands.
    pub state: State,
    /// Why it failed, if it did.
    pub failure: Option<Failure>,
    /// How far it is.
    pub progress: Progress,
    /// Its segments, once it is opened.
    pub plan: Option<SegmentPlan>,
    /// Segments that exist, as ranges in order.
    pub ready: Vec<Range<usize>>,
    /// When its turn came.
    pub started: Option<SystemTime>,
    /// When it was over.
    pub finished: Option<SystemTime>,
}

/// One avatar speaking one clip.
pub struct Job {
    id: JobId,
    created: SystemTime,
    request: JobRequest,
    cancelled: AtomicBool,
    /// Last sequence number of the event log; whoever waits for anything watches this.
    seq: watch::Sender<u64>,
    /// Where everything is in the finished video file; made when somebody first asks for it.
    pub(super) mp4: OnceCell<Arc<Layout>>,
    inner: Mutex<Inner>,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("state", &self.state()).finish_non_exhaustive()
    }
}

/// What is left of the source when the job is over.
#[derive(Clone)]
pub(super) struct Media {
    pub(super) config: Config,
    pub(super) segment_head: Bytes,
    pub(super) store: Arc<dyn SegmentStore>,
}

struct Inner {
    state: State,
    failure: Option<Failure>,
    progress: Progress,
    /// Deletes the uploaded file when the job no longer needs it.
    upload: Option<TempPath>,
    source: Option<Arc<dyn SegmentSource>>,
    plan: Option<SegmentPlan>,
    media: Option<Media>,
    made: Vec<bool>,
    wanted: Option<usize>,
    meter: Meter,
    progress_told: Option<Instant>,
    events: EventLog,
    started: Option<SystemTime>,
    finished: Option<SystemTime>,
}

/// Progress is told at most this often, so that a fast renderer does not flood its watchers.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

impl Job {
    pub(super) fn new(id: JobId, request: JobRequest, upload: Option<TempPath>, events: usize) -> Self {
        let job = Self {
            id,
            created: SystemTime::now(),
            request,
            cancelled: AtomicBool::new(false),
            seq: watch::Sender::new(0),
            mp4: OnceCell::new(),
            inner: Mutex::new(Inner {
                state: State::Queued,
                failure: None,
                progress: Progress::START,
                upload,
                source: None,
                plan: None,
                media: None,
                made: Vec::new(),
                wanted: None,
                meter: Meter::default(),
                progress_told: None,
                events: EventLog::new(events),
                started: None,
                finished: None,
            }),
        };
        job.publish(&mut job.lock(), EventBody::State);
        job
    }

    /// Its name.
    pub fn id(&self) -> JobId {
        self.id
    }

    /// When it was accepted.
    pub fn created(&self) -> SystemTime {
        self.created
    }

    /// What was asked for. The file of [`Audio::File`](super::Audio::File) is gone once the job is opened.
    pub fn request(&self) -> &JobRequest {
        &self.request
    }

    /// A receiver that changes with every event. Look at the job after marking it seen, then wait.
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.seq.subscribe()
    }

    /// Events after `seq`, oldest first, and whether none in between was dropped.
    pub fn events_after(&self, seq: u64) -> (Vec<Event>, bool) {
        self.lock().events.after(seq)
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.lock().state
    }

    /// The job as it is now.
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        Snapshot {
            seq: inner.events.last_seq(),
            state: inner.state,
            failure: inner.failure.clone(),
            progress: inner.progress,
            plan: inner.plan.clone(),
            ready: ranges(&inner.made),
            started: inner.started,
            finished: inner.finished,
        }
    }

    /// Its segments, once it is opened.
    pub fn plan(&self) -> Option<SegmentPlan> {
        self.lock().plan.clone()
    }

    /// The first bytes of every segment; empty until it is opened.
    pub fn segment_head(&self) -> Bytes {
        self.lock().media.as_ref().map(|media| media.segment_head.clone()).unwrap_or_default()
    }

    /// Whether segment `index` exists; `None` when there is no such segment in the plan, or no plan yet.
    pub fn is_made(&self, index: usize) -> Option<bool> {
        self.lock().made.get(index).copied()
    }

    /// Number of segments from the start without a hole.
    pub fn made_from_start(&self) -> usize {
        self.lock().made.iter().take_while(|made| **made).count()
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Acquire)
    }

    /// Remembers what somebody waits for; true when it is not made yet.
    pub(super) fn want(&self, index: usize) -> bool {
        let mut inner = self.lock();
        let unmade = inner.made.get(index) == Some(&false);
        if unmade {
            inner.wanted = Some(index);
        }
        unmade
    }

    /// Calls `look` with what a schedule needs to know, if the job is opened and not over.
    pub(super) fn need<R>(&self, look: impl FnOnce(&[bool], Option<usize>) -> R) -> Option<R> {
        let inner = self.lock();
        (inner.state == State::Rendering).then(|| look(&inner.made, inner.wanted))
    }

    pub(super) fn source(&self) -> Option<Arc<dyn SegmentSource>> {
        self.lock().source.clone()
    }

    /// Queued becomes opening; false when it was cancelled meanwhile.
    pub(super) fn begin(&self) -> bool {
        let mut inner = self.lock();
        if inner.state != State::Queued {
            return false;
        }
        inner.state = State::Opening;
        inner.started = Some(SystemTime::now());
        self.publish(&mut inner, EventBody::State);
        true
    }

    pub(super) fn phase(&self, phase: Phase) {
        let mut inner = self.lock();
        if !inner.state.is_over() {
            inner.progress.phase = phase;
            let progress = inner.progress;
            self.publish(&mut inner, EventBody::Progress(progress));
        }
    }

    pub(super) fn log(&self, level: Level, message: impl Into<String>) {
        self.publish(&mut self.lock(), EventBody::Log(level, message.into()));
    }

    pub(super) fn media(&self) -> Option<Media> {
        self.lock().media.clone()
    }

    /// Opening becomes rendering, unless it was cancelled meanwhile.
    pub(super) fn opened(&self, opened: Opened, store: Arc<dyn SegmentStore>) {
        let plan = opened.source.plan().clone();
        let mut inner = self.lock();
        if inner.state != State::Opening {
            return;
        }
        for warning in opened.warnings {
            self.publish(&mut inner, EventBody::Log(Level::Warn, warning));
        }
        inner.upload = None;
        inner.made = vec![false; plan.len()];
        inner.progress.total = plan.timeline().frames();
        inner.progress.phase = Phase::Rendering;
        inner.plan = Some(plan);
        inner.media = Some(Media {
            config: *opened.source.config(),
            segment_head: opened.source.segment_head(),
            store,
        });
        inner.source = Some(opened.source);
        inner.state = State::Rendering;
        self.publish(&mut inner, EventBody::State);
    }

    /// One more frame is made; `last` when it ends its segment.
    #[expect(clippy::cast_precision_loss, reason = "a clip has far less than 2^52 frames")]
    pub(super) fn frame_done(&self, last: bool) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.meter.frame(now);
        let fps = inner.meter.fps();
        let Some(plan) = &inner.plan else { return };
        let frame_rate = plan.timeline().frame_rate().as_f64();
        let progress = &mut inner.progress;
        progress.frames = (progress.frames + 1).min(progress.total);
        progress.fps = fps;
        progress.times_real_time = fps / frame_rate;
        progress.eta_secs = (fps > 0.0).then(|| (progress.total - progress.frames) as f64 / fps);
        let due = inner.progress_told.is_none_or(|told| now.duration_since(told) >= PROGRESS_INTERVAL);
        if (due || last) && inner.state == State::Rendering {
            inner.progress_told = Some(now);
            let progress = inner.progress;
            self.publish(&mut inner, EventBody::Progress(progress));
        }
    }

    /// Segment `index` is stored. Makes the job done when it was the last one.
    pub(super) fn segment_made(&self, index: usize) {
        let mut inner = self.lock();
        if inner.state != State::Rendering {
            return;
        }
        inner.made[index] = true;
        self.publish(&mut inner, EventBody::Ready(index));
        if inner.made.iter().all(|made| *made) {
            inner.progress.frames = inner.progress.total;
            inner.progress.eta_secs = Some(0.0);
            self.finish(&mut inner, State::Done, None);
        }
    }

    pub(super) fn fail(&self, failure: Failure) {
        let mut inner = self.lock();
        if !inner.state.is_over() {
            self.publish(&mut inner, EventBody::Log(Level::Error, failure.message.clone()));
            self.finish(&mut inner, State::Failed, Some(failure));
        }
    }

    /// Ends the job now; a renderer at work on it stops after its frame.
    pub(super) fn cancel(&self) {
        self.cancelled.store(true, Ordering::Release);
        let mut inner = self.lock();
        if !inner.state.is_over() {
            self.publish(&mut inner, EventBody::Log(Level::Info, "cancelled".to_owned()));
            self.finish(&mut inner, State::Cancelled, None);
        }
    }

    fn finish(&self, inner: &mut Inner, state: State, failure: Option<Failure>) {
        inner.state = state;
        inner.failure = failure;
        inner.finished = Some(SystemTime::now());
        inner.progress.phase = Phase::Over;
        inner.meter.pause();
        // The source holds the whole decoded clip and the avatar; a job that is over needs neither.
        inner.source = None;
        inner.upload = None;
        let progress = inner.progress;
        self.publish(inner, EventBody::Progress(progress));
        self.publish(inner, EventBody::State);
    }

    fn publish(&self, inner: &mut Inner, body: EventBody) {
        let seq = inner.events.push(SystemTime::now(), body);
        // Under the lock, so that the watched number never goes back.
        self.seq.send_replace(seq);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics halfway through a change, so a poisoned state is still a whole one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The true stretches of `made`.
fn ranges(made: &[bool]) -> Vec<Range<usize>> {
    let mut ranges: Vec<Range<usize>> = Vec::new();
    for (index, _) in made.iter().enumerate().filter(|(_, made)| **made) {
        match ranges.last_mut() {
            Some(last) if last.end == index => last.end += 1,
            _ => ranges.push(index..index + 1),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_made_segments() {
        assert_eq!(ranges(&[true, true, false, true]), [0..2, 3..4]);
        assert_eq!(ranges(&[false]), []);
    }
}
