//! What happens to a job, from its first turn to its end.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use headcast::core::timeline::ClipPlan;
use headcast::media::store::Folder;

use super::{Begun, Failure, Inner, Job, Media, PROGRESS_INTERVAL, State, Timing, frames_of};
use crate::jobs::event::{EventBody, Level, Progress};
use crate::jobs::stages::Stage;
use crate::jobs::studio::Phase;
use crate::jobs::title::Title;

impl Job {
    /// Lets go of the source, which is opened again when its turn comes.
    pub(in crate::jobs) fn park(&self) {
        let mut inner = self.lock();
        if inner.work.take().is_some() {
            inner.meter.pause();
            inner.enter(Phase::Queued);
            let progress = inner.progress_now();
            self.publish(&mut inner, EventBody::Progress(progress));
        }
    }

    /// Queued becomes opening, one whose text was spoken stays opening, and one with a plan rendering; false when it was
    /// cancelled meanwhile.
    pub(in crate::jobs) fn begin(&self) -> bool {
        let mut inner = self.lock();
        match inner.state {
            State::Queued => {
                inner.state = State::Opening;
                inner.started = Some(SystemTime::now());
                self.publish(&mut inner, EventBody::State);
                true
            }
            State::Opening | State::Rendering => inner.work.is_none(),
            _ => false,
        }
    }

    pub(in crate::jobs) fn phase(&self, phase: Phase) {
        let mut inner = self.lock();
        if !inner.state.is_over() {
            inner.enter(phase);
            inner.awaiting = (phase == Phase::Awaiting).then(Instant::now);
            let progress = inner.progress_now();
            self.publish(&mut inner, EventBody::Progress(progress));
        }
    }

    /// Gives it another title, or none, and returns the one that it had.
    pub(in crate::jobs) fn rename(&self, title: Option<Title>) -> Option<Title> {
        let mut inner = self.lock();
        let before = std::mem::replace(&mut inner.title, title);
        self.publish(&mut inner, EventBody::State);
        before
    }

    /// It is known now when what is said; whoever follows the job is told.
    pub(in crate::jobs) fn captioned(&self) {
        let mut inner = self.lock();
        if !inner.captions {
            inner.captions = true;
            self.publish(&mut inner, EventBody::State);
        }
    }

    /// That was known at the last start.
    pub(in crate::jobs) fn set_captions(&self, captions: bool) {
        self.lock().captions = captions;
    }

    /// A voice has spoken its text: it waits for a renderer now.
    pub(in crate::jobs) fn spoken(&self) {
        let mut inner = self.lock();
        inner.unspoken = false;
        if inner.state.is_over() {
            return;
        }
        inner.captions = true;
        inner.enter(Phase::Queued);
        let progress = inner.progress_now();
        self.publish(&mut inner, EventBody::Progress(progress));
        self.publish(&mut inner, EventBody::State);
    }

    /// What a voice spoke is not there any more: one speaks again, and it takes no renderer until then.
    pub(in crate::jobs) fn speak_again(&self) {
        self.set_unspoken(true);
        self.phase(Phase::Queued);
    }

    /// Whether a voice is still to speak its text.
    pub(in crate::jobs) fn set_unspoken(&self, unspoken: bool) {
        self.lock().unspoken = unspoken;
    }

    /// A line for its log, from those who bring its frames.
    pub fn tell(&self, level: Level, message: String) {
        self.log(level, message);
    }

    pub(in crate::jobs) fn log(&self, level: Level, message: impl Into<String>) {
        self.publish(&mut self.lock(), EventBody::Log(level, message.into()));
    }

    pub(in crate::jobs) fn media(&self) -> Option<Media> {
        self.lock().media.clone()
    }

    /// Opening becomes rendering, and rendering goes on, unless it was cancelled meanwhile. Segments of another plan
    /// than the source's are forgotten.
    #[expect(clippy::cast_precision_loss, reason = "a clip has far less than 2^52 frames")]
    pub(in crate::jobs) fn opened(&self, opened: Begun, store: Arc<Folder>) {
        let Begun { plan, config, segment_head, work, warnings, profile, extractor, expected_fps } = opened;
        let mut inner = self.lock();
        if !matches!(inner.state, State::Opening | State::Rendering) {
            return;
        }
        for warning in warnings {
            self.publish(&mut inner, EventBody::Log(Level::Warn, warning));
        }
        if profile.is_some() {
            inner.profile = profile;
        }
        if extractor.is_some() {
            inner.extractor = extractor;
        }
        if inner.plan.as_ref() != Some(&plan) {
            inner.made = vec![false; plan.len()];
            inner.timings = vec![None; plan.len()];
            inner.unsaved_timings.clear();
            inner.replanned = true;
            inner.lost.clear();
            *self.mp4.lock().unwrap_or_else(PoisonError::into_inner) = Arc::default();
        }
        inner.progress.frames = frames_of(Some(&plan), &inner.made);
        inner.progress.total = plan.total_frames();
        let is_pushed = self.request.pushed.is_some();
        inner.progress.phase = if is_pushed { Phase::Awaiting } else { Phase::Rendering };
        // Until somebody makes its first segment.
        inner.stopwatch.enter(Some(Stage::Waiting), Instant::now());
        inner.awaiting = self.request.pushed.is_some().then(Instant::now);
        if let Some(fps) = expected_fps.filter(|fps| *fps > 0.0) {
            let (frames, total) = (inner.progress.frames, inner.progress.total);
            inner.progress.fps = fps;
            inner.progress.times_real_time = fps / plan.frame_rate().as_f64();
            inner.progress.eta_secs = total.map(|total| total.saturating_sub(frames) as f64 / fps);
        }
        inner.plan = Some(plan);
        inner.media = Some(Media { config, segment_head, store });
        inner.work = Some(work);
        inner.state = State::Rendering;
        self.publish(&mut inner, EventBody::State);
    }

    /// What its time goes into from now on, unless it is over.
    pub(in crate::jobs) fn spends_time_with(&self, stage: Stage) {
        let mut inner = self.lock();
        if !inner.state.is_over() {
            inner.stopwatch.enter(Some(stage), Instant::now());
        }
    }

    /// One more frame is made; `last` when it ends its segment.
    #[expect(clippy::cast_precision_loss, reason = "a clip has far less than 2^52 frames")]
    pub(in crate::jobs) fn frame_done(&self, last: bool) {
        let now = Instant::now();
        let mut inner = self.lock();
        inner.meter.frame(now);
        let fps = match inner.meter.fps() {
            // It takes two frames to know, and one may take minutes: what was expected holds so far.
            0.0 => inner.progress.fps,
            fps => fps,
        };
        let Some(plan) = &inner.plan else { return };
        let frame_rate = plan.frame_rate().as_f64();
        let progress = &mut inner.progress;
        progress.frames = (progress.frames + 1).min(progress.total.unwrap_or(u64::MAX));
        progress.fps = fps;
        progress.times_real_time = fps / frame_rate;
        let left = progress.total.map(|total| total - progress.frames);
        progress.eta_secs = left.filter(|_| fps > 0.0).map(|left| left as f64 / fps);
        let due = inner.progress_told.is_none_or(|told| now.duration_since(told) >= PROGRESS_INTERVAL);
        if (due || last) && inner.state == State::Rendering {
            inner.progress_told = Some(now);
            let progress = inner.progress_now();
            self.publish(&mut inner, EventBody::Progress(progress));
        }
    }

    /// Segment `index` of a clip of open length will end before frame `end`: true when that is new, and has to be in the
    /// table before the segment is made. Nobody sees it before.
    pub(in crate::jobs) fn close_segment(&self, index: usize, end: u64) -> bool {
        let mut inner = self.lock();
        let Inner { state, plan, made, timings, .. } = &mut *inner;
        let Some(ClipPlan::Open(plan)) = plan else { return false };
        let is_new = *state == State::Rendering && plan.ends().len() == index;
        if is_new {
            plan.close(end - plan.frames());
            made.push(false);
            timings.push(None);
        }
        is_new
    }

    /// Segment `index` of a clip of open length cannot be kept, so its end is not known any more.
    pub(in crate::jobs) fn reopen_segment(&self, index: usize) {
        let mut inner = self.lock();
        let Inner { plan, made, timings, .. } = &mut *inner;
        let Some(ClipPlan::Open(plan)) = plan else { return };
        if made.get(index..) == Some(&[false]) {
            plan.reopen(index);
            made.pop();
            timings.pop();
        }
    }

    /// No frame follows those that are in segments: a clip of open length is done. One whose length is known is done by
    /// itself.
    ///
    /// # Errors
    /// The first frame of a segment that was lost: it has to be made again first.
    pub(in crate::jobs) fn end_clip(&self) -> Result<(), u64> {
        if let Some(frame) = self.first_lost_frame() {
            return Err(frame);
        }
        let mut inner = self.lock();
        let Some(ClipPlan::Open(plan)) = &inner.plan else { return Ok(()) };
        let frames = plan.frames();
        if inner.state == State::Rendering && inner.made.iter().all(|made| *made) {
            inner.progress.total = Some(frames);
            inner.progress.eta_secs = Some(0.0);
            self.finish(&mut inner, State::Done, None);
        }
        Ok(())
    }

    /// Segment `index` is stored. Makes the job done when it was the last one of a clip whose length is known.
    pub(in crate::jobs) fn segment_made(&self, index: usize, took: Duration) {
        let mut inner = self.lock();
        if inner.state != State::Rendering {
            return;
        }
        inner.made[index] = true;
        inner.timings[index] = Some(Timing { made: SystemTime::now(), took });
        inner.unsaved_timings.insert(index);
        inner.lost.remove(&index);
        inner.progress.frames = frames_of(inner.plan.as_ref(), &inner.made);
        if self.request.pushed.is_none() {
            // For its next turn.
            inner.stopwatch.enter(Some(Stage::Waiting), Instant::now());
        }
        self.publish(&mut inner, EventBody::Ready(index));
        if matches!(inner.plan, Some(ClipPlan::Fixed(_))) && inner.made.iter().all(|made| *made) {
            inner.progress.eta_secs = Some(0.0);
            self.finish(&mut inner, State::Done, None);
        }
        self.settled.notify_all();
    }

    /// Segment `index` cannot be read: `clear` deletes what is left of it, and it is made again. A finished job goes
    /// on until it is. False when it will not be made here: the job ended early, or its frames come from outside.
    /// Those are awaited again, and of a finished job they will not come: it fails.
    pub(in crate::jobs) fn segment_lost(&self, index: usize, clear: impl FnOnce()) -> bool {
        let pushed = self.request.pushed.is_some();
        let mut inner = self.lock();
        if inner.made.get(index) == Some(&true) {
            // Under the lock, so that a new one is never taken for the old one.
            clear();
            inner.unmake(index);
            let what = format!("segment {index} was lost or damaged on the disk");
            let text = match (inner.state, inner.plan.as_ref().and_then(|plan| plan.frames_of(index))) {
                (State::Rendering, Some(frames)) if pushed => {
                    format!("{what}; send its frames again, from frame {} on", frames.start)
                }
                (State::Failed | State::Cancelled, _) => what,
                _ if pushed => what,
                _ => format!("{what}; it is made again"),
            };
            self.publish(&mut inner, EventBody::Log(Level::Warn, text));
            if inner.state == State::Done && pushed {
                let failure = frames_lost(Some(index));
                self.publish(&mut inner, EventBody::Log(Level::Error, failure.message.clone()));
                self.finish(&mut inner, State::Failed, Some(failure));
            } else if inner.state == State::Done {
                inner.state = State::Rendering;
                inner.finished = None;
                inner.enter(Phase::Queued);
                self.publish(&mut inner, EventBody::State);
            }
        }
        inner.state == State::Rendering && !pushed
    }

    /// No segment of a job that is not over is made any more; `clear` deletes each.
    pub(in crate::jobs) fn forget_segments(&self, clear: impl Fn(usize)) {
        let mut inner = self.lock();
        if inner.state != State::Rendering {
            return;
        }
        for index in 0..inner.made.len() {
            clear(index);
            inner.unmake(index);
        }
        // Nobody has to be told which they were.
        inner.lost.clear();
        self.publish(&mut inner, EventBody::State);
    }

    /// Whether segment `index` was made once, and is being made again.
    pub(in crate::jobs) fn is_lost(&self, index: usize) -> bool {
        self.lock().lost.contains(&index)
    }

    /// Waits until segment `index` is made; false when that does not happen within `limit`. Blocks.
    pub(in crate::jobs) fn wait_made(&self, index: usize, limit: Duration) -> bool {
        let waiting = |inner: &mut Inner| {
            inner.made.get(index) == Some(&false) && !inner.state.is_over() && inner.seq.is_some()
        };
        let (inner, _) = self
            .settled
            .wait_timeout_while(self.lock(), limit, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        inner.made.get(index) == Some(&true)
    }

    pub(in crate::jobs) fn fail(&self, failure: Failure) {
        let mut inner = self.lock();
        if !inner.state.is_over() {
            self.publish(&mut inner, EventBody::Log(Level::Error, failure.message.clone()));
            self.finish(&mut inner, State::Failed, Some(failure));
        }
    }

    /// Fails, unless frames that are to come from outside are brought just now, or were within `limit`; true when it
    /// failed.
    pub(in crate::jobs) fn abandon(&self, limit: Duration, failure: impl FnOnce() -> Failure) -> bool {
        let mut inner = self.lock();
        let waited = inner.awaiting.filter(|_| !inner.state.is_over());
        let is_abandoned = waited.is_some_and(|since| since.elapsed() >= limit);
        if is_abandoned {
            let failure = failure();
            self.publish(&mut inner, EventBody::Log(Level::Error, failure.message.clone()));
            self.finish(&mut inner, State::Failed, Some(failure));
        }
        is_abandoned
    }

    /// Ends the job now; a renderer at work on it stops after its frame. One that is over stays as it is.
    pub(in crate::jobs) fn cancel(&self) {
        let mut inner = self.lock();
        if !inner.state.is_over() {
            self.stop.store(true, Ordering::Release);
            self.publish(&mut inner, EventBody::Log(Level::Info, "cancelled".to_owned()));
            self.finish(&mut inner, State::Cancelled, None);
        }
    }

    /// The server stops: work on it stops after its frame, and everyone's wait ends. It goes on at the next start.
    pub(in crate::jobs) fn halt(&self) {
        self.stop.store(true, Ordering::Release);
        self.lock().seq = None;
        self.settled.notify_all();
    }

    fn finish(&self, inner: &mut Inner, state: State, failure: Option<Failure>) {
        inner.state = state;
        inner.failure = failure;
        inner.enter(Phase::Over);
        inner.finished = Some(SystemTime::now());
        inner.meter.pause();
        // The source holds the whole decoded clip and the avatar; a job that is over needs neither.
        inner.work = None;
        inner.awaiting = None;
        let progress = inner.progress_now();
        self.publish(inner, EventBody::Progress(progress));
        self.publish(inner, EventBody::State);
        self.settled.notify_all();
    }
}

impl Inner {
    fn enter(&mut self, phase: Phase) {
        self.progress.phase = phase;
        self.stopwatch.enter(Stage::of(phase), Instant::now());
    }

    /// How far it is, with the time that it took until now.
    pub(super) fn progress_now(&self) -> Progress {
        Progress { stages: self.stopwatch.read(Instant::now()), ..self.progress }
    }

    /// Segment `index` is not there any more.
    fn unmake(&mut self, index: usize) {
        self.made[index] = false;
        self.timings[index] = None;
        self.unsaved_timings.remove(&index);
        self.lost.insert(index);
        self.progress.frames = frames_of(self.plan.as_ref(), &self.made);
    }
}

/// Why a finished job whose frames came from outside is none any more.
///
/// * `index`: the segment that is missing; `None` for all of them.
pub(super) fn frames_lost(index: Option<usize>) -> Failure {
    let what = index.map_or_else(|| "its segments were".to_owned(), |index| format!("segment {index} was"));
    let message = format!(
        "{what} lost or damaged on the disk, and the frames came from outside, so they cannot be made again here; send \
         them again as a new job"
    );
    Failure { code: "frames_lost", message }
}
