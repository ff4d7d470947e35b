//! The stream of a pushed job, and where its segments go.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use headcast::core::timeline::ClipPlan;
use headcast::media::store::{Folder, SegmentStore, StoreError};
use headcast::push::{Error, Event, Length, Output, Settings, Stream};

use super::super::disk::is_whole;
use super::super::event::Level;
use super::super::job::Job;
use super::super::shared::Shared;
use super::{FeedError, Pushed};

/// Opens the stream at the first segment that is missing. Segments that cannot be continued are made again.
pub(super) fn open(shared: &Arc<Shared>, job: &Arc<Job>, pushed: Pushed) -> Result<Box<Stream>, FeedError> {
    loop {
        match open_as_it_is(shared, job, pushed) {
            Err(FeedError::Stream(Error::Mismatch { what })) if job.made_from_start() > 0 => {
                forget_damaged(shared, job, what);
            }
            opened => return opened.map(Box::new),
        }
    }
}

/// Takes back that the first or the last segment is made, or all of them when both are whole: then they are of another
/// clip, such as one whose sound an older program encoded otherwise. At least one less is made afterwards.
fn forget_damaged(shared: &Shared, job: &Job, what: &str) {
    let (Some(plan), Some(media)) = (job.plan(), job.media()) else { return };
    let made = job.made_from_start();
    let clear = |index| drop(std::fs::remove_file(media.store.segment_path(index)));
    let is_damaged = |index: &usize| {
        let found = media.store.get(*index).ok().flatten();
        !found.is_some_and(|bytes| is_whole(&bytes, &plan, *index))
    };
    let damaged: Vec<_> = [0, made.saturating_sub(1)].into_iter().filter(is_damaged).collect();
    if damaged.is_empty() {
        let all = "what was made earlier cannot be continued";
        job.log(Level::Warn, format!("{all}: {what}; it begins again with frame 0"));
        job.forget_segments(clear);
    }
    for index in damaged {
        job.segment_lost(index, || clear(index));
    }
    shared.recent.forget(job.id());
    shared.save(job);
}

fn open_as_it_is(shared: &Arc<Shared>, job: &Arc<Job>, pushed: Pushed) -> Result<Stream, FeedError> {
    let (Some(plan), Some(media), true) = (job.plan(), job.media(), job.is_open()) else {
        return Err(FeedError::NotOpen);
    };
    let length = match (job.sound(), &plan) {
        (Some(sound), _) => Length::Sound(sound),
        (None, ClipPlan::Fixed(plan)) => Length::Silent(*plan.timeline()),
        (None, ClipPlan::Open(plan)) => Length::Open(plan.frame_rate()),
    };
    let store = Arc::new(JobStore {
        shared: Arc::clone(shared),
        job: Arc::clone(job),
        store: media.store,
        began: Mutex::new(Instant::now()),
        encoded: AtomicU64::new(0),
    });
    let (watching, counting) = (Arc::clone(job), Arc::clone(&store));
    let ends = plan.ends().to_vec();
    let settings = Settings::new(pushed.width, pushed.height, length).ends(ends).watch(move |event| {
        let Event::Frame(frame) = event else { return };
        let next = frame.0 + 1;
        counting.encoded.store(next, Ordering::Relaxed);
        let ends = plan.ends();
        let segment = ends.partition_point(|end| *end <= frame.0);
        // Frames of a segment that is there, behind one that was lost, are counted already.
        if segment == ends.len() || watching.is_made(segment) == Some(false) {
            watching.frame_done(ends.get(segment) == Some(&next));
        }
    });
    Ok(Stream::open(settings, Output::Store(store))?)
}

/// The segments of a job, which is told of each.
struct JobStore {
    shared: Arc<Shared>,
    job: Arc<Job>,
    store: Arc<Folder>,
    /// When the segment that is being made was begun.
    began: Mutex<Instant>,
    /// One past the last frame that was encoded: the end of the segment that is put.
    encoded: AtomicU64,
}

impl JobStore {
    fn error(&self, index: usize, error: std::io::Error) -> StoreError {
        StoreError::new(self.store.segment_path(index), error)
    }

    /// Brings a segment to the disk; where it ends is in the table before.
    fn keep(&self, index: usize, segment: Bytes) -> Result<(), StoreError> {
        if self.job.close_segment(index, self.encoded.load(Ordering::Relaxed)) {
            self.shared
                .write(&[&*self.job], true)
                .map_err(|error| self.error(index, std::io::Error::other(error)))?;
        }
        self.store.put(index, segment)
    }
}

impl SegmentStore for JobStore {
    /// A segment that is there stays as it is: somebody may be playing it.
    fn put(&self, index: usize, segment: Bytes) -> Result<(), StoreError> {
        let took = {
            let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *began, Instant::now()).elapsed()
        };
        if self.job.is_made(index) == Some(true) {
            return Ok(());
        }
        if self.shared.over_limit().is_some() {
            let full = std::io::Error::new(
                std::io::ErrorKind::QuotaExceeded,
                "the jobs take more than --max-disk allows",
            );
            return Err(self.error(index, full));
        }
        if self.job.state().is_over() {
            // Nothing is added to what everybody was told is all.
            return Ok(());
        }
        let size = segment.len();
        self.keep(index, segment.clone()).inspect_err(|_| self.job.reopen_segment(index))?;
        self.shared.recent.put(self.job.id(), index, segment);
        self.job.add_disk_bytes(size as u64);
        self.job
            .log(Level::Info, format!("segment {index}: {} kB in {:.2} s", size / 1000, took.as_secs_f64()));
        self.job.segment_made(index, took);
        if self.job.state().is_over() {
            self.shared.save(&self.job);
        }
        Ok(())
    }

    fn get(&self, index: usize) -> Result<Option<Bytes>, StoreError> {
        self.store.get(index)
    }

    /// As the job has it: a segment that was lost is made again.
    fn contains(&self, index: usize) -> Result<bool, StoreError> {
        Ok(self.job.is_made(index) == Some(true))
    }

    fn list(&self) -> Result<Vec<usize>, StoreError> {
        self.store.list()
    }
}
