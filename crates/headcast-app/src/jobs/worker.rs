//! The thread that opens jobs and makes segments.

use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Instant;

use headcast::source::MakeError;

use super::event::Level;
use super::job::{Failure, Job};
use super::studio::{Phase, Reporter};
use super::table::{Shared, Task};

/// Works until the table says stop.
pub(super) fn run(shared: &Shared) {
    while let Some(task) = shared.next() {
        let (Task::Open(job) | Task::Make(job, _)) = &task;
        // A bug in a renderer costs its job, not the server and everyone else's.
        let outcome = catch_unwind(AssertUnwindSafe(|| match &task {
            Task::Open(job) => open(shared, job),
            Task::Make(job, index) => make(job, *index),
        }));
        if outcome.is_err() {
            job.fail(Failure {
                code: "internal",
                message: "the renderer stopped on a broken promise of its own; please report this with the \
                          terminal's output"
                    .to_owned(),
            });
        }
        shared.release();
    }
}

fn open(shared: &Shared, job: &Job) {
    if !job.begin() {
        return;
    }
    job.phase(Phase::Decoding);
    let began = Instant::now();
    match shared.studio.open(job.request(), &Narrator(job)) {
        Ok(opened) => {
            let plan = opened.source.plan();
            let summary = format!(
                "opened in {:.2} s: {:.2} s of speech, {} frames in {} segments",
                began.elapsed().as_secs_f64(),
                plan.timeline().secs(),
                plan.timeline().frames(),
                plan.len()
            );
            job.log(Level::Info, summary);
            match shared.store(job.id()) {
                Ok(store) => job.opened(opened, Arc::new(store)),
                Err(error) => job.fail(Failure { code: "disk", message: error.to_string() }),
            }
        }
        Err(_) if job.is_cancelled() => {}
        Err(error) => job.fail(Failure { code: error.code, message: error.message }),
    }
}

fn make(job: &Job, index: usize) {
    let Some(source) = job.source() else { return };
    let Some(frames) = source.plan().frames(index) else { return };
    let began = Instant::now();
    let mut left = frames.end - frames.start;
    let result = source.make_segment(index, &mut |_done| {
        if job.is_cancelled() {
            return ControlFlow::Break(());
        }
        left = left.saturating_sub(1);
        job.frame_done(left == 0);
        ControlFlow::Continue(())
    });
    let bytes = match result {
        Ok(bytes) => bytes,
        Err(MakeError::Cancelled) => return,
        Err(error @ MakeError::Encode { .. }) => {
            return job.fail(Failure { code: "encode_failed", message: error.to_string() });
        }
        Err(error) => return job.fail(Failure { code: "render_failed", message: error.to_string() }),
    };
    if job.is_cancelled() {
        return;
    }
    let Some(media) = job.media() else { return };
    let size = bytes.len();
    if let Err(error) = media.store.put(index, bytes) {
        return job.fail(Failure { code: "disk", message: error.to_string() });
    }
    let secs = began.elapsed().as_secs_f64();
    job.log(
        Level::Info,
        format!(
            "segment {index}: frames {} to {}, {} kB in {secs:.2} s",
            frames.start,
            frames.end - 1,
            size / 1000
        ),
    );
    job.segment_made(index);
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
        self.0.is_cancelled()
    }
}
