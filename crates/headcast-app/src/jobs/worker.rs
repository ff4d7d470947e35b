//! The threads that open jobs and make segments.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use headcast::core::timeline::ClipPlan;
use headcast::core::{FrameIndex, RgbImage};
use headcast::media::segment::segment_head;
use headcast::media::store::SegmentStore;
use headcast::source::MakeError;

use super::event::Level;
use super::job::{Begun, Failure, Job, Work};
use super::shared::{Shared, Task};
use super::stages::Stage;
use super::studio::{JobRequest, OpenError, OpenErrorKind, Opened, Phase, Reporter};
use crate::picture;
use crate::studio::pushed::{self, Received};

/// Works until the table says stop.
pub(super) fn run(shared: &Shared) {
    while let Some(task) = shared.next() {
        let job = match &task {
            Task::Open(job) | Task::Make(job, _) => Arc::clone(job),
            Task::Retain => {
                shared.feeds.close_idle();
                shared.end_abandoned();
                shared.retain(SystemTime::now());
                continue;
            }
        };
        attend(shared, &job, || match &task {
            Task::Open(job) => open(shared, job),
            Task::Make(job, index) => make(shared, job, *index),
            Task::Retain => {}
        });
    }
}

/// Does some work on a job that is in hand, and lets go of it.
pub(super) fn attend(shared: &Shared, job: &Job, work: impl FnOnce()) {
    // A bug in a renderer costs its job, not the server and everyone else's.
    if catch_unwind(AssertUnwindSafe(work)).is_err() {
        job.fail(Failure {
            code: "internal",
            message: "the renderer stopped on a broken promise of its own; please report this with the \
                      terminal's output"
                .to_owned(),
        });
    }
    let over = job.state().is_over();
    if over {
        shared.save(job);
    }
    shared.release(job);
    if over {
        shared.retain(SystemTime::now());
    }
}

fn open(shared: &Shared, job: &Job) {
    if job.is_spoken_by_a_voice() && !shared.disk.folder(job.id()).has_input() {
        // Somebody deleted what was spoken.
        return job.speak_again();
    }
    if !job.begin() {
        return;
    }
    job.phase(Phase::Decoding);
    let began = Instant::now();
    let opened = match source(shared, job) {
        Ok(opened) => opened,
        Err(_) if job.is_stopped() => return,
        Err(error) => return job.fail(Failure { code: error.code, message: error.message }),
    };
    let plan = &opened.plan;
    let what = match plan {
        ClipPlan::Fixed(_) => {
            format!("{:.2} s of speech, {} frames in {} segments", plan.secs(), plan.frames(), plan.len())
        }
        ClipPlan::Open(_) => "as long as frames come".to_owned(),
    };
    job.log(Level::Info, format!("opened in {:.2} s: {what}", began.elapsed().as_secs_f64()));
    let folder = shared.disk.folder(job.id());
    let is_new = job.plan().as_ref() != Some(plan);
    let cleared = if is_new { folder.clear_segments() } else { Ok(()) };
    match cleared.and_then(|()| folder.store()) {
        Ok(store) => job.opened(opened, Arc::new(store)),
        Err(error) => return job.fail(Failure { code: "disk", message: error.to_string() }),
    }
    // The table has the plan before there is a segment of it: after a crash they belong together.
    if is_new && let Err(error) = shared.write(&[job], true) {
        job.fail(Failure { code: "disk", message: error.to_string() });
    }
}

fn source(shared: &Shared, job: &Job) -> Result<Begun, OpenError> {
    let features = match job.has_features().then(|| shared.disk.folder(job.id()).features()).transpose() {
        Ok(features) => features,
        Err(error) => {
            return Err(OpenError {
                kind: OpenErrorKind::Internal,
                code: "features_unreadable",
                message: format!("the stored speech features cannot be read: {error}; make the job again"),
            });
        }
    };
    // The studio chooses once: what is made later must look like what was made.
    let background = shared.disk.folder(job.id()).background();
    let (profile, extractor) = (job.profile(), job.extractor());
    let request = JobRequest { features, background, profile, extractor, ..job.request().clone() };
    if let Some(pushed) = &request.pushed {
        let ends = job.plan().map(|plan| plan.ends().to_vec()).unwrap_or_default();
        let place = shared.disk.folder(job.id()).input();
        let Received { plan, config, sound, warnings } =
            pushed::open(&request, pushed, &ends, &place, &Narrator(job))?;
        let (segment_head, work) = (segment_head(&config), Work::Receive(sound));
        let (profile, extractor, expected_fps) = (None, None, None);
        return Ok(Begun { plan, config, segment_head, work, warnings, profile, extractor, expected_fps });
    }
    let Opened { source, warnings, profile, extractor, expected_fps } = match job.plan() {
        Some(plan) => shared.studio.reopen(&request, plan.ends(), &Narrator(job))?,
        None => shared.studio.open(&request, &Narrator(job))?,
    };
    Ok(Begun {
        plan: ClipPlan::Fixed(source.plan().clone()),
        config: *source.config(),
        segment_head: source.segment_head(),
        work: Work::Render(source),
        warnings,
        profile,
        extractor,
        expected_fps,
    })
}

fn make(shared: &Shared, job: &Job, index: usize) {
    let Some(source) = job.source() else { return };
    let Some(frames) = source.plan().frames(index) else { return };
    if let Some(over) = shared.over_limit() {
        return job.fail(no_room(over));
    }
    job.spends_time_with(Stage::Rendering);
    let began = Instant::now();
    let mut left = frames.end - frames.start;
    let stop = || job.is_stopped();
    let result = source.make_segment_until(index, &stop, &mut |done| {
        if job.is_stopped() {
            return ControlFlow::Break(());
        }
        if done.frame == FrameIndex(0) {
            keep_poster(shared, job, done.image);
        }
        left = left.saturating_sub(1);
        job.frame_done(left == 0);
        if left == 0 {
            job.spends_time_with(Stage::Encoding);
        }
        ControlFlow::Continue(())
    });
    let bytes = match result {
        Ok(bytes) => bytes,
        Err(MakeError::Cancelled) => return,
        Err(error @ MakeError::Encode { .. }) => {
            return job.fail(Failure { code: "encode_failed", message: error.to_string() });
        }
        Err(error @ MakeError::Extractor { .. }) => {
            return job.fail(Failure { code: "extractor_unusable", message: error.to_string() });
        }
        Err(error) => return job.fail(Failure { code: "render_failed", message: error.to_string() }),
    };
    if job.is_stopped() {
        return;
    }
    job.spends_time_with(Stage::Publishing);
    let Some(media) = job.media() else { return };
    let size = bytes.len();
    if let Err(error) = media.store.put(index, bytes.clone()) {
        return job.fail(Failure { code: "disk", message: error.to_string() });
    }
    // Before it is announced: everyone who waits for it wants it now.
    shared.recent.put(job.id(), index, bytes);
    job.add_disk_bytes(size as u64);
    let took = began.elapsed();
    job.log(
        Level::Info,
        format!(
            "segment {index}: frames {} to {}, {} kB in {:.2} s",
            frames.start,
            frames.end - 1,
            size / 1000,
            took.as_secs_f64()
        ),
    );
    job.segment_made(index, took);
}

/// Why a job ends when all jobs together take so many bytes more than they may.
pub(super) fn no_room(over: u64) -> Failure {
    let message = format!(
        "the jobs take {} kB more than --max-disk allows, and none is left to make room; allow more, or delete some \
         and start the job again",
        over.div_ceil(1000)
    );
    Failure { code: "disk", message }
}

/// A job without a poster is a job all the same, so errors do not count.
pub(super) fn keep_poster(shared: &Shared, job: &Job, picture: &RgbImage) {
    let folder = shared.disk.folder(job.id());
    if !folder.has_poster()
        && let Some(bytes) = picture::png(picture).and_then(|file| folder.put_poster(&file)).ok()
    {
        job.add_disk_bytes(bytes);
    }
}

/// Passes on what [`Studio::open`](super::Studio::open) says to the job it is about.
struct Narrator<'a>(&'a Job);

impl Reporter for Narrator<'_> {
    fn phase(&self, phase: Phase) {
        self.0.phase(phase);
    }

    fn log(&self, level: Level, message: &str) {
        self.0.log(level, message);
    }

    fn cancelled(&self) -> bool {
        self.0.is_stopped()
    }
}
