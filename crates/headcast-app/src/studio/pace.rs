//! A renderer that is no faster than it is told.

use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headcast::core::SegmentPlan;
use headcast::media::segment::Config;
use headcast::source::{FrameDone, MakeError, OnFrame, SegmentSource, Stop};

/// Makes what its source makes, a frame at a time. What is lost to a slow moment is not caught up.
pub(super) struct Paced<S> {
    source: S,
    frame: Duration,
    /// When the next frame may be handed on.
    due: Mutex<Instant>,
}

impl<S: SegmentSource> Paced<S> {
    /// * `fps`: frames per second at most; finite and above 0.
    pub(super) fn new(source: S, fps: f64) -> Self {
        // The longest wait is that of a cancelled job's worker.
        let frame = Duration::from_secs_f64((1.0 / fps).min(1.0));
        Self { source, frame, due: Mutex::new(Instant::now()) }
    }

    fn wait(&self) {
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        // A sleep is a little too long every time; the next one makes up for it.
        *due = now.checked_sub(self.frame).map_or(now, |least| least.max(*due)) + self.frame;
        let wait = due.saturating_duration_since(now);
        drop(due);
        thread::sleep(wait);
    }
}

impl<S: SegmentSource> SegmentSource for Paced<S> {
    fn plan(&self) -> &SegmentPlan {
        self.source.plan()
    }

    fn config(&self) -> &Config {
        self.source.config()
    }

    fn segment_head(&self) -> Bytes {
        self.source.segment_head()
    }

    fn make_segment(&self, index: usize, on_frame: &mut OnFrame<'_>) -> Result<Bytes, MakeError> {
        self.make_segment_until(index, &|| false, on_frame)
    }

    fn make_segment_until(
        &self,
        index: usize,
        stop: &Stop<'_>,
        on_frame: &mut OnFrame<'_>,
    ) -> Result<Bytes, MakeError> {
        self.source.make_segment_until(index, stop, &mut |done: FrameDone<'_>| -> ControlFlow<()> {
            self.wait();
            on_frame(done)
        })
    }
}
