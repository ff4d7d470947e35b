//! One job: its state, its events, and who waits for it.

mod lifecycle;

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use headcast::Sound;
use headcast::core::timeline::ClipPlan;
use headcast::media::mp4::Layout;
use headcast::media::segment::{self, Config};
use headcast::media::store::Folder;
use headcast::source::SegmentSource;
use tokio::sync::{OnceCell, watch};

use crate::jobs::disk::{Changes, Clip, Row};
use crate::jobs::event::{Event, EventBody, EventLog, Level, Progress};
use crate::jobs::id::JobId;
use crate::jobs::stages::{Stage, Stopwatch};
use crate::jobs::studio::{JobRequest, Phase};
use crate::jobs::title::Title;
use crate::meter::Meter;

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
    /// Its segments, as far as they are known, once it is opened.
    pub plan: Option<ClipPlan>,
    /// Segments that exist, as ranges in order.
    pub ready: Vec<Range<usize>>,
    /// How long each segment took; `None` for what is not made, and where a crash came before it was written down.
    pub timings: Vec<Option<Timing>>,
    /// Whether it has captions, or can have them.
    pub captions: bool,
    /// When its turn came.
    pub started: Option<SystemTime>,
    /// When it was over.
    pub finished: Option<SystemTime>,
}

/// When a segment was made, and how long that took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timing {
    /// When it was there.
    pub made: SystemTime,
    /// Time to render and encode it.
    pub took: Duration,
}

/// One avatar speaking one clip.
pub struct Job {
    id: JobId,
    created: SystemTime,
    request: JobRequest,
    has_features: bool,
    /// Tells a renderer at work to stop after its frame.
    stop: AtomicBool,
    /// What its folder takes.
    bytes: AtomicU64,
    /// When the schedule last gave it something, as a count.
    served: AtomicU64,
    /// Where everything is in the finished video file; made when somebody first asks for it.
    mp4: Mutex<Arc<OnceCell<Arc<Layout>>>>,
    /// See [`Self::captioning`].
    captioning: Arc<tokio::sync::Mutex<()>>,
    inner: Mutex<Inner>,
    /// Signalled when a segment is made, and when none will be any more.
    settled: Condvar,
}

impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job").field("id", &self.id).field("state", &self.state()).finish_non_exhaustive()
    }
}

/// What a media playlist is written from, as it was at one moment.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Its segments, as far as they are known.
    pub plan: ClipPlan,
    /// Where the job stands.
    pub state: State,
    /// Segments from the start without a hole.
    pub made: usize,
    /// Segments that are there, or were and are to be made again, with all before them.
    pub known: usize,
}

/// Where the segments of an open job come from.
#[derive(Clone)]
pub(in crate::jobs) enum Work {
    /// They are rendered here.
    Render(Arc<dyn SegmentSource>),
    /// They are made of frames from outside, with this sound.
    Receive(Option<Sound>),
}

/// A job that was opened.
pub(in crate::jobs) struct Begun {
    pub(in crate::jobs) plan: ClipPlan,
    pub(in crate::jobs) config: Config,
    pub(in crate::jobs) segment_head: Bytes,
    pub(in crate::jobs) work: Work,
    pub(in crate::jobs) warnings: Vec<String>,
    /// The profile that was chosen, if a choice was left.
    pub(in crate::jobs) profile: Option<String>,
    /// What it hears through, if that was chosen.
    pub(in crate::jobs) extractor: Option<String>,
    /// Frames per second that may be expected, if anybody knows.
    pub(in crate::jobs) expected_fps: Option<f64>,
}

/// What is known without the source, which holds the whole decoded clip.
#[derive(Clone)]
pub(in crate::jobs) struct Media {
    pub(in crate::jobs) config: Config,
    pub(in crate::jobs) segment_head: Bytes,
    pub(in crate::jobs) store: Arc<Folder>,
}

struct Inner {
    state: State,
    failure: Option<Failure>,
    progress: Progress,
    /// Whether it is known when what is said.
    captions: bool,
    /// Whether its recording is still to be spoken by a voice.
    unspoken: bool,
    /// As it was last renamed.
    title: Option<Title>,
    /// As asked for, until the studio has chosen one.
    profile: Option<String>,
    /// What it hears through, once the studio has chosen.
    extractor: Option<String>,
    /// There while it is worked on: a job that was taken up again, or made way for others, has none.
    work: Option<Work>,
    plan: Option<ClipPlan>,
    media: Option<Media>,
    made: Vec<bool>,
    /// One for each segment of the plan, as `made`.
    timings: Vec<Option<Timing>>,
    /// Segments whose timing is not in the table yet.
    unsaved_timings: BTreeSet<usize>,
    /// Whether the timings in the table are those of another plan.
    replanned: bool,
    /// Segments that were made once and are to be made again.
    lost: BTreeSet<usize>,
    /// Since when nobody brings the frames that are to come from outside.
    awaiting: Option<Instant>,
    wanted: Option<usize>,
    /// When somebody last asked for something.
    asked: Option<Instant>,
    meter: Meter,
    stopwatch: Stopwatch,
    progress_told: Option<Instant>,
    events: EventLog,
    /// Last sequence number of the event log; whoever waits for anything watches this. `None` when the server stops.
    seq: Option<watch::Sender<u64>>,
    started: Option<SystemTime>,
    finished: Option<SystemTime>,
}

/// Progress is told at most this often, so that a fast renderer does not flood its watchers.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(100);

/// A player that has filled its buffer asks for nothing for a while, and is still there.
const WATCHED_FOR: Duration = Duration::from_secs(30);

impl Job {
    /// A new job. `request` has no features any more: they are in the job's folder.
    pub(in crate::jobs) fn new(id: JobId, request: JobRequest, has_features: bool, events: usize) -> Self {
        let row = Row {
            id,
            avatar: request.avatar.clone(),
            profile: request.profile.clone(),
            extractor: None,
            body: request.body.clone(),
            audio_name: request.audio_name.clone(),
            title: request.title.clone(),
            cut: request.cut,
            script: request.script.clone(),
            has_features,
            pushed: request.pushed,
            created: SystemTime::now(),
            state: State::Queued,
            failure: None,
            started: None,
            finished: None,
            clip: None,
        };
        Self::restored(row, request, Vec::new(), None, EventLog::new(events), &[])
    }

    /// A job as the table and its folder have it: what is not over goes on where it was.
    ///
    /// `made` and `store` are those of the plan in `row`.
    pub(in crate::jobs) fn restored(
        row: Row,
        request: JobRequest,
        made: Vec<bool>,
        store: Option<Arc<Folder>>,
        events: EventLog,
        timings: &[(usize, Timing)],
    ) -> Self {
        let (plan, config) = row.clip.map(|clip| (clip.plan, clip.config)).unzip();
        let media = config.zip(store).map(|(config, store)| Media {
            config,
            segment_head: segment::segment_head(&config),
            store,
        });
        // Of a clip of open length, only its end says that nothing follows.
        let may_be_complete = match &plan {
            Some(ClipPlan::Fixed(_)) => true,
            Some(ClipPlan::Open(_)) => row.state == State::Done,
            None => false,
        };
        let complete = may_be_complete && made.iter().all(|made| *made);
        let missing = made.iter().position(|made| !made);
        let is_lost = row.pushed.is_some() && row.state == State::Done && !complete;
        let failure = if is_lost { Some(lifecycle::frames_lost(missing)) } else { row.failure };
        let state = match row.state {
            _ if is_lost => State::Failed,
            State::Done | State::Rendering if complete => State::Done,
            State::Done | State::Rendering if plan.is_some() => State::Rendering,
            State::Failed | State::Cancelled => row.state,
            _ => State::Queued,
        };
        let mut kept = vec![None; made.len()];
        for (segment, timing) in timings {
            if made.get(*segment) == Some(&true) {
                kept[*segment] = Some(*timing);
            }
        }
        let tell = !state.is_over() || state != row.state || events.is_empty();
        let finished = row.finished.or_else(|| state.is_over().then(SystemTime::now));
        let phase = if state.is_over() { Phase::Over } else { Phase::Queued };
        let progress = Progress {
            phase,
            frames: frames_of(plan.as_ref(), &made),
            total: match state {
                State::Done => plan.as_ref().map(ClipPlan::frames),
                _ => plan.as_ref().and_then(ClipPlan::total_frames),
            },
            eta_secs: (state == State::Done).then_some(0.0),
            ..Progress::START
        };
        let mut stopwatch = Stopwatch::default();
        stopwatch.enter(Stage::of(phase), Instant::now());
        let job = Self {
            id: row.id,
            created: row.created,
            request,
            has_features: row.has_features,
            stop: AtomicBool::new(false),
            bytes: AtomicU64::new(0),
            served: AtomicU64::new(0),
            mp4: Mutex::default(),
            captioning: Arc::default(),
            inner: Mutex::new(Inner {
                state,
                failure,
                progress,
                captions: false,
                unspoken: false,
                title: row.title,
                profile: row.profile,
                extractor: row.extractor,
                work: None,
                plan,
                media,
                made,
                timings: kept,
                unsaved_timings: BTreeSet::new(),
                replanned: false,
                lost: BTreeSet::new(),
                awaiting: None,
                wanted: None,
                asked: None,
                meter: Meter::default(),
                stopwatch,
                progress_told: None,
                events,
                seq: Some(watch::Sender::new(0)),
                started: row.started,
                finished: finished.filter(|_| state.is_over()),
            }),
            settled: Condvar::new(),
        };
        // Who knows how a job ended learns nothing new.
        if tell {
            let mut inner = job.lock();
            if is_lost && let Some(failure) = &inner.failure {
                let message = failure.message.clone();
                job.publish(&mut inner, EventBody::Log(Level::Error, message));
            }
            job.publish(&mut inner, EventBody::State);
        }
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

    /// What was asked for. The clip is a file in the job's folder, and there as long as the job; features are not
    /// held in memory, see [`Self::has_features`].
    pub fn request(&self) -> &JobRequest {
        &self.request
    }

    /// Whether speech features came with the clip.
    pub fn has_features(&self) -> bool {
        self.has_features
    }

    /// Bytes that it takes on the disk.
    pub fn disk_bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// A receiver that changes with every event; as long as it lives, the job counts as watched. Look at the job
    /// after marking it seen, then wait. It ends when the server stops.
    pub fn watch(&self) -> watch::Receiver<u64> {
        let mut inner = self.lock();
        inner.asked = Some(Instant::now());
        // Without a sender, waiting for a change ends at once.
        inner.seq.as_ref().map_or_else(|| watch::channel(0).1, watch::Sender::subscribe)
    }

    /// Whether somebody listens to its events, or asked for something within the last half minute.
    pub fn is_watched(&self) -> bool {
        let inner = self.lock();
        inner.seq.as_ref().is_some_and(|seq| seq.receiver_count() > 0)
            || inner.asked.is_some_and(|asked| asked.elapsed() < WATCHED_FOR)
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
            progress: inner.progress_now(),
            plan: inner.plan.clone(),
            ready: ranges(&inner.made),
            timings: inner.timings.clone(),
            captions: inner.captions || self.is_transcribed(),
            started: inner.started,
            finished: inner.finished,
        }
    }

    /// Whether what is said in its recording is known.
    pub(in crate::jobs) fn is_transcribed(&self) -> bool {
        self.request.script.as_ref().is_some_and(|script| script.voice.is_none())
    }

    /// Whether its recording is what a voice spoke, or is to speak.
    pub(in crate::jobs) fn is_spoken_by_a_voice(&self) -> bool {
        self.request.script.as_ref().is_some_and(|script| script.voice.is_some())
    }

    /// What people call it, where that is not the name of its recording.
    pub fn title(&self) -> Option<Title> {
        self.lock().title.clone()
    }

    /// What it is called: as it was renamed, else the first words of a text that is spoken, else the name of its recording.
    pub fn name(&self) -> String {
        match (self.title(), &self.request.script) {
            (Some(title), _) => title.to_string(),
            (None, Some(script)) if script.voice.is_some() => script.excerpt(),
            (None, _) => self.request.audio_name.clone(),
        }
    }

    /// The quality setting that it is rendered with: as asked for, or what the studio chose when it was opened.
    pub fn profile(&self) -> Option<String> {
        self.lock().profile.clone()
    }

    /// What it hears through, in the studio's words, once that was chosen.
    pub(in crate::jobs) fn extractor(&self) -> Option<String> {
        self.lock().extractor.clone()
    }

    /// Its segments, as far as they are known, once it is opened.
    pub fn plan(&self) -> Option<ClipPlan> {
        self.lock().plan.clone()
    }

    /// What its playlists are written from, once it is opened.
    pub fn listing(&self) -> Option<Listing> {
        let inner = self.lock();
        let last_made = inner.made.iter().rposition(|made| *made);
        let last = last_made.max(inner.lost.last().copied());
        Some(Listing {
            plan: inner.plan.clone()?,
            state: inner.state,
            made: made_from_start(&inner.made),
            known: last.map_or(0, |last| last + 1),
        })
    }

    /// Where segment `index` ends, in seconds; `None` of one that is not known.
    pub fn segment_end_secs(&self, index: usize) -> Option<f64> {
        self.lock().plan.as_ref()?.end_secs(index)
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
        made_from_start(&self.lock().made)
    }

    /// The first frame that is in no segment, or one past the last: where frames from outside go on.
    pub(in crate::jobs) fn first_missing_frame(&self) -> u64 {
        let inner = self.lock();
        let Some(plan) = &inner.plan else { return 0 };
        plan.frames_before(made_from_start(&inner.made))
    }

    /// The first frame of the first segment that was made once and is not there; `None` when there is none.
    pub(in crate::jobs) fn first_lost_frame(&self) -> Option<u64> {
        let inner = self.lock();
        let first = inner.made.iter().position(|made| !made)?;
        // Frames from outside come in order: what is there behind a gap was made when there was none.
        let is_lost = !inner.lost.is_empty() || inner.made[first..].contains(&true);
        let frames = inner.plan.as_ref()?.frames_of(first)?;
        is_lost.then_some(frames.start)
    }

    /// When it was over, if it is.
    pub fn finished(&self) -> Option<SystemTime> {
        self.lock().finished
    }

    /// Whether work on it is to stop: it was cancelled, or the server stops.
    pub(in crate::jobs) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Acquire)
    }

    /// The job as the table has it.
    pub(in crate::jobs) fn row(&self) -> Row {
        let inner = self.lock();
        let clip = inner
            .plan
            .clone()
            .zip(inner.media.as_ref())
            .map(|(plan, media)| Clip { plan, config: media.config });
        Row {
            id: self.id,
            avatar: self.request.avatar.clone(),
            profile: inner.profile.clone(),
            extractor: inner.extractor.clone(),
            body: self.request.body.clone(),
            audio_name: self.request.audio_name.clone(),
            title: inner.title.clone(),
            cut: self.request.cut,
            script: self.request.script.clone(),
            has_features: self.has_features,
            pushed: self.request.pushed,
            created: self.created,
            state: inner.state,
            failure: inner.failure.clone(),
            started: inner.started,
            finished: inner.finished,
            clip,
        }
    }

    /// What the table does not have yet; with the row, or only what happened. `None` when there is nothing.
    pub(in crate::jobs) fn changes(&self, with_row: bool) -> Option<Changes> {
        let row = with_row.then(|| self.row());
        let inner = self.lock();
        let events = inner.events.unsaved();
        if row.is_none() && events.is_empty() && inner.unsaved_timings.is_empty() {
            return None;
        }
        let timing = |segment: &usize| Some((*segment, (*inner.timings.get(*segment)?)?));
        Some(Changes {
            id: self.id,
            row,
            first_event: inner.events.first_seq(),
            timings: inner.unsaved_timings.iter().filter_map(timing).collect(),
            replanned: inner.replanned,
            events,
        })
    }

    /// The table has these.
    pub(in crate::jobs) fn saved(&self, changes: &Changes) {
        let mut inner = self.lock();
        if let Some(last) = changes.events.last() {
            inner.events.saved(last.seq);
        }
        for (segment, timing) in &changes.timings {
            // It may have been made again meanwhile.
            if inner.timings.get(*segment) == Some(&Some(*timing)) {
                inner.unsaved_timings.remove(segment);
            }
        }
        // There is one plan of a job at a time, and it is in the table before there is a segment of it.
        inner.replanned &= !changes.replanned;
    }

    pub(in crate::jobs) fn set_disk_bytes(&self, bytes: u64) {
        self.bytes.store(bytes, Ordering::Relaxed);
    }

    pub(in crate::jobs) fn add_disk_bytes(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(in crate::jobs) fn set_served(&self, turn: u64) {
        self.served.store(turn, Ordering::Relaxed);
    }

    pub(in crate::jobs) fn mp4(&self) -> Arc<OnceCell<Arc<Layout>>> {
        Arc::clone(&self.mp4.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// To be held by who asks for its captions: the first one may read a whole recording, and the others find what it
    /// wrote.
    pub fn captioning(&self) -> Arc<tokio::sync::Mutex<()>> {
        Arc::clone(&self.captioning)
    }

    /// Remembers what somebody waits for; true when it is not made yet.
    pub(in crate::jobs) fn want(&self, index: usize) -> bool {
        let mut inner = self.lock();
        inner.asked = Some(Instant::now());
        let unmade = inner.made.get(index) == Some(&false);
        if unmade {
            inner.wanted = Some(index);
        }
        unmade
    }

    /// Remembers that somebody is there.
    pub(in crate::jobs) fn asked(&self) {
        self.lock().asked = Some(Instant::now());
    }

    /// Whether it waits for a voice to speak its text, or one speaks.
    pub(in crate::jobs) fn waits_for_voice(&self) -> bool {
        let inner = self.lock();
        inner.unspoken && !inner.state.is_over()
    }

    /// Whether it waits for a renderer, or has one. One whose text is still to be spoken does not yet. Of frames that come from outside, who brings them makes the
    /// segments, as soon as it is open.
    pub(in crate::jobs) fn takes_turns(&self) -> bool {
        self.inner_takes_turns(&self.lock())
    }

    fn inner_takes_turns(&self, inner: &Inner) -> bool {
        !inner.state.is_over() && !inner.unspoken && (self.request.pushed.is_none() || inner.work.is_none())
    }

    /// What a schedule needs to know: what is made, what is wanted, when it was served. `None` when it takes no turns.
    pub(in crate::jobs) fn need(&self) -> Option<(Vec<bool>, Option<usize>, u64)> {
        let inner = self.lock();
        let served = self.served.load(Ordering::Relaxed);
        // One whose frames come from outside is only opened, whatever it has.
        let made = if self.request.pushed.is_some() { Vec::new() } else { inner.made.clone() };
        self.inner_takes_turns(&inner).then_some((made, inner.wanted, served))
    }

    /// Whether its plan is fixed and its sound is read, in this process.
    pub fn is_open(&self) -> bool {
        self.lock().work.is_some()
    }

    /// The sound of a job whose frames come from outside, once it is open.
    pub(in crate::jobs) fn sound(&self) -> Option<Sound> {
        match &self.lock().work {
            Some(Work::Receive(sound)) => sound.clone(),
            _ => None,
        }
    }

    pub(in crate::jobs) fn source(&self) -> Option<Arc<dyn SegmentSource>> {
        match &self.lock().work {
            Some(Work::Render(source)) => Some(Arc::clone(source)),
            _ => None,
        }
    }

    fn publish(&self, inner: &mut Inner, body: EventBody) {
        let last = inner.events.push(SystemTime::now(), body);
        // Under the lock, so that the watched number never goes back.
        if let Some(seq) = &inner.seq {
            seq.send_replace(last);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics halfway through a change, so a poisoned state is still a whole one.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Frames of the segments that are made.
fn frames_of(plan: Option<&ClipPlan>, made: &[bool]) -> u64 {
    let Some(plan) = plan else { return 0 };
    let made = made.iter().enumerate().filter(|(_, made)| **made);
    made.filter_map(|(index, _)| plan.frames_of(index)).map(|frames| frames.end - frames.start).sum()
}

/// Segments before the first hole.
fn made_from_start(made: &[bool]) -> usize {
    made.iter().take_while(|made| **made).count()
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
