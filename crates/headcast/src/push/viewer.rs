//! What there is of a stream so far, for those who watch it.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use headcast_core::SegmentPlan;
use headcast_core::timeline::{ClipPlan, vod_playlist};
use headcast_media::segment::{self, segment_head};
use headcast_media::store::{SegmentStore, StoreError, file_name};

/// How a stream ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// Every frame is in a segment.
    Finished,
    /// The pusher gave up, for this reason; the segments until then play.
    Aborted(String),
    /// A segment could not be made or kept, for this reason; the segments until then play.
    Failed(String),
}

/// What is known at one moment.
#[derive(Debug)]
pub(super) struct State {
    pub(super) plan: ClipPlan,
    /// Segments that are there, from the first one on.
    pub(super) made: usize,
    /// Frames that are encoded, from the first one of the clip on.
    pub(super) frames: u64,
    pub(super) end: Option<End>,
}

impl State {
    /// What to play, as far as it is known: complete and from the start where the length is known, growing where it
    /// is not; and what there is where the stream ended early.
    pub(super) fn playlist(&self) -> String {
        match &self.plan {
            ClipPlan::Fixed(plan) if matches!(self.end, None | Some(End::Finished)) => {
                vod_playlist(plan, file_name)
            }
            _ => self.event_playlist(),
        }
    }

    fn event_playlist(&self) -> String {
        self.plan.growing_playlist(self.made, self.end.is_some(), file_name)
    }

    /// Whether segment `index` is there (`Some(true)`), may come (`None`) or never will (`Some(false)`).
    fn has(&self, index: usize) -> Option<bool> {
        let planned = match &self.plan {
            ClipPlan::Fixed(plan) => index < plan.len(),
            ClipPlan::Open(_) => true,
        };
        match index < self.made {
            true => Some(true),
            false if !planned || self.end.is_some() => Some(false),
            false => None,
        }
    }
}

pub(super) struct Shared {
    pub(super) config: segment::Config,
    pub(super) store: Arc<dyn SegmentStore>,
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(config: segment::Config, store: Arc<dyn SegmentStore>, state: State) -> Self {
        Self { config, store, state: Mutex::new(state), changed: Condvar::new() }
    }

    /// Changes are made whole under the lock, so a panic elsewhere leaves nothing half done.
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }
}

/// Watches a stream from any thread, also after the stream is gone. Cloning gives another watcher.
#[derive(Clone)]
pub struct Viewer {
    pub(super) shared: Arc<Shared>,
}

impl Viewer {
    /// The media playlist, with segments named as in a [`Folder`](headcast_media::store::Folder).
    ///
    /// Where the length is known it is complete before the first frame (`VOD`), and a server should hold requests for
    /// segments that are not made yet. Otherwise it grows (`EVENT`).
    pub fn playlist(&self) -> String {
        self.shared.lock().playlist()
    }

    /// The media playlist of what there is, growing (`EVENT`), for players that cannot wait for a segment.
    pub fn event_playlist(&self) -> String {
        self.shared.lock().event_playlist()
    }

    /// Segments that are there, from the first one on.
    pub fn segments(&self) -> usize {
        self.shared.lock().made
    }

    /// Frames that are encoded, from the first one of the clip on; the last of them may not be in a segment yet.
    pub fn frames(&self) -> u64 {
        self.shared.lock().frames
    }

    /// How the stream ended; `None` while frames are awaited.
    pub fn end(&self) -> Option<End> {
        self.shared.lock().end.clone()
    }

    /// Which frames are in which segment: of the whole clip where its length is known or it has ended, else of what
    /// there is; `None` when that is nothing.
    pub fn plan(&self) -> Option<SegmentPlan> {
        self.shared.lock().plan.known()
    }

    /// What all segments have in common: needed to rewrap them as MP4.
    pub fn config(&self) -> &segment::Config {
        &self.shared.config
    }

    /// The first transport stream packets of every segment, to answer a request at once while it is held.
    pub fn segment_head(&self) -> Bytes {
        segment_head(&self.shared.config)
    }

    /// Segment `index` if it is there.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be read.
    pub fn segment(&self, index: usize) -> Result<Option<Bytes>, StoreError> {
        // The store may hold what is left of an earlier stream, further on.
        if index < self.segments() { self.shared.store.get(index) } else { Ok(None) }
    }

    /// Segment `index` as soon as it is there; `None` when it never will be, or not within `timeout`.
    ///
    /// # Errors
    /// As [`Self::segment`].
    pub fn wait_segment(&self, index: usize, timeout: Duration) -> Result<Option<Bytes>, StoreError> {
        self.wait(timeout, |state| state.has(index).is_some());
        self.segment(index)
    }

    /// How the stream ended, as soon as it did; `None` if that is not within `timeout`.
    pub fn wait_end(&self, timeout: Duration) -> Option<End> {
        self.wait(timeout, |state| state.end.is_some());
        self.end()
    }

    fn wait(&self, timeout: Duration, until: impl Fn(&State) -> bool) {
        let deadline = Instant::now().checked_add(timeout);
        let mut state = self.shared.lock();
        while !until(&state) {
            let left = match deadline {
                Some(deadline) => deadline.saturating_duration_since(Instant::now()),
                None => Duration::MAX,
            };
            if left.is_zero() {
                return;
            }
            let waited = self.shared.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl fmt::Debug for Viewer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        write!(f, "Viewer({} segments, {} frames, {:?})", state.made, state.frames, state.end)
    }
}
