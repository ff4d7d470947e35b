//! Frames that come from outside: what a pushed job needs besides the queue.
//!
//! A pushed job is opened in its turn like any other, which fixes its plan; then it takes no turn any more. Whoever
//! brings its frames takes its [`Feed`] and makes its segments through a [`Stream`], which stays open between two
//! visits, so that a batch of frames may end anywhere.

mod spec;

pub use spec::{NotPushed, Pushed};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use headcast::media::store::{Folder, SegmentStore, StoreError};
use headcast::push::{Error, Event, Length, Output, Pixels, Settings, Stream};

use super::event::Level;
use super::id::JobId;
use super::job::{Failure, Job};
use super::shared::Shared;
use super::studio::Phase;
use super::table::Jobs;
use super::worker::keep_poster;

/// A stream that nobody feeds is closed after this: it holds an encoder and some pictures. What is not in a segment
/// yet has to be sent again then.
const IDLE: Duration = Duration::from_secs(600);

/// Characters of a reason that are kept, in lines; the end, where a traceback has its error.
const REASON_LINES: usize = 100;
const REASON_LINE_CHARS: usize = 500;

/// Why frames are not taken.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeedError {
    /// Frames of this job are made here.
    #[error("the frames of this job are rendered here; make a job with a size to send frames to")]
    NotPushed,
    /// Wait until its sound is read.
    #[error("the job waits for its turn or its audio is still being read; try again in a moment")]
    NotOpen,
    /// One at a time.
    #[error("somebody else is sending frames to this job")]
    Busy,
    /// Nothing more is taken.
    #[error("the job is over and takes no frames")]
    Over,
    /// Go on with the frame that is expected.
    #[error("frame {expected} is the next one, not frame {found}")]
    Position {
        /// Index of the next frame.
        expected: u64,
        /// What the sender began with.
        found: u64,
    },
    /// Send whole frames: so many bytes were left over.
    #[error(
        "{left} bytes were left over, and a {} frame of {}x{} has {whole}; the size or the pixel format is probably \
         not what was sent", pushed.format.name(), pushed.width, pushed.height
    )]
    Partial {
        /// Bytes after the last whole frame.
        left: usize,
        /// Bytes of a frame.
        whole: usize,
        /// What the job takes.
        pushed: Pushed,
    },
    /// See there.
    #[error(transparent)]
    Stream(#[from] Error),
}

/// The streams of pushed jobs that somebody feeds, or fed lately.
#[derive(Debug, Default)]
pub(super) struct Feeds(Mutex<BTreeMap<JobId, Slot>>);

#[derive(Debug)]
enum Slot {
    /// Somebody is at it.
    Taken {
        next: u64,
    },
    Idle {
        stream: Box<Stream>,
        since: Instant,
    },
}

impl Feeds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Slot>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame of an open stream, and whether somebody is at it.
    fn position(&self, id: JobId) -> Option<(u64, bool)> {
        self.lock().get(&id).map(|slot| match slot {
            Slot::Taken { next } => (*next, true),
            Slot::Idle { stream, .. } => (stream.next_frame(), false),
        })
    }

    /// Closes what is idle and `gone`. Waits for encoders, without the lock: they look at their job.
    fn close(&self, gone: impl Fn(JobId, Instant) -> bool) {
        let mut closed = Vec::new();
        self.lock().retain(|id, slot| match slot {
            Slot::Idle { since, .. } if gone(*id, *since) => {
                let taken = Slot::Taken { next: 0 };
                closed.push(std::mem::replace(slot, taken));
                false
            }
            _ => true,
        });
        drop(closed);
    }

    /// A job is over: its stream is of no more use.
    pub(super) fn forget(&self, id: JobId) {
        self.close(|other, _| other == id);
    }

    pub(super) fn close_idle(&self) {
        self.close(|_, since| since.elapsed() >= IDLE);
    }

    pub(super) fn close_all(&self) {
        self.close(|_, _| true);
    }
}

/// Where a pushed job is, for those who bring its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedState {
    /// Index of the frame that is expected next.
    pub next_frame: u64,
    /// Whether somebody is sending frames just now.
    pub connected: bool,
}

impl Jobs {
    /// Where a pushed job is; `None` of one whose frames are rendered here.
    pub fn feed_state(&self, job: &Job) -> Option<FeedState> {
        job.request().pushed?;
        let (next_frame, connected) = self.shared.feeds.position(job.id()).unwrap_or_else(|| {
            let plan = job.plan();
            let last = job.made_from_start().checked_sub(1);
            (plan.zip(last).map_or(0, |(plan, last)| plan.ends()[last]), false)
        });
        Some(FeedState { next_frame, connected })
    }

    /// The right to bring frames, from the next one on. Blocks for the sound and the disk.
    ///
    /// * `first`: which frame the sender begins with, if it knows.
    ///
    /// # Errors
    /// [`FeedError`].
    pub fn feed(&self, job: &Arc<Job>, first: Option<u64>) -> Result<Feed, FeedError> {
        let pushed = job.request().pushed.ok_or(FeedError::NotPushed)?;
        if job.state().is_over() || job.is_stopped() {
            return Err(FeedError::Over);
        }
        job.asked();
        let shared = &self.shared;
        // Taken first, so that nobody else opens it meanwhile.
        let found = {
            let mut feeds = shared.feeds.lock();
            let slot = feeds.remove(&job.id());
            match slot {
                Some(taken @ Slot::Taken { .. }) => {
                    feeds.insert(job.id(), taken);
                    return Err(FeedError::Busy);
                }
                idle => {
                    feeds.insert(job.id(), Slot::Taken { next: 0 });
                    idle
                }
            }
        };
        let mut feed =
            Feed { shared: Arc::clone(shared), job: Arc::clone(job), pushed, stream: None, part: Vec::new() };
        feed.stream = Some(match found {
            Some(Slot::Idle { stream, .. }) => stream,
            _ => Box::new(open_stream(shared, job, pushed)?),
        });
        feed.tell_position();
        let expected = feed.next_frame();
        match first {
            Some(found) if found != expected => Err(FeedError::Position { expected, found }),
            _ => {
                job.phase(Phase::Rendering);
                Ok(feed)
            }
        }
    }

    /// The frames of a pushed job will not come, for `reason`: the job fails, what there is plays, and the reason is on
    /// its log. Whoever is sending frames is told that it is over. One that is over stays as it is. Blocks for the disk.
    pub fn give_up(&self, job: &Job, reason: &str) {
        if job.state().is_over() {
            return;
        }
        let lines: Vec<_> = reason.lines().filter(|line| !line.trim().is_empty()).collect();
        let shortened = |line: &str| line.chars().take(REASON_LINE_CHARS).collect::<String>();
        for line in &lines[lines.len().saturating_sub(REASON_LINES)..] {
            job.log(Level::Error, shortened(line));
        }
        let last =
            lines.last().map_or_else(|| "no reason was given".to_owned(), |line| shortened(line.trim()));
        // What was sent already becomes segments first.
        self.shared.feeds.forget(job.id());
        job.fail(Failure {
            code: "frames_ended",
            message: format!("the program that makes the frames gave up: {last}"),
        });
        self.shared.feeds.forget(job.id());
        self.shared.save(job);
    }
}

/// Brings frames to a job. Dropping it lets somebody else go on.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    job: Arc<Job>,
    pushed: Pushed,
    /// There until it is finished, or has failed.
    stream: Option<Box<Stream>>,
    /// The start of a frame whose rest has not come yet.
    part: Vec<u8>,
}

impl Feed {
    /// Index of the frame that comes next.
    pub fn next_frame(&self) -> u64 {
        self.stream.as_ref().map_or(0, |stream| stream.next_frame())
    }

    /// Takes the next bytes: frames, one after the other, cut anywhere. Blocks while the encoder is behind.
    ///
    /// # Errors
    /// [`FeedError`]; a job whose segments cannot be made or kept fails.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), FeedError> {
        let whole = self.pushed.frame_bytes();
        while !bytes.is_empty() {
            if self.part.is_empty() && bytes.len() >= whole {
                let (frame, rest) = bytes.split_at(whole);
                self.frame(frame)?;
                bytes = rest;
                continue;
            }
            let (now, rest) = bytes.split_at(bytes.len().min(whole - self.part.len()));
            self.part.extend_from_slice(now);
            bytes = rest;
            if self.part.len() == whole {
                let mut part = std::mem::take(&mut self.part);
                self.frame(&part)?;
                part.clear();
                self.part = part;
            }
        }
        Ok(())
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<(), FeedError> {
        if self.job.is_stopped() || (self.job.state().is_over() && !self.is_complete()) {
            return Err(FeedError::Over);
        }
        let Pushed { width, height, format, .. } = self.pushed;
        let pixels = Pixels::tight(format, width, height, bytes).map_err(Error::from)?;
        let stream = self.stream.as_mut().ok_or(FeedError::Over)?;
        if stream.next_frame() == 0 {
            keep_poster(&self.shared, &self.job, &pixels.to_rgb());
        }
        if let Err(error) = stream.write(&pixels) {
            return Err(self.failed(error));
        }
        self.tell_position();
        Ok(())
    }

    fn is_complete(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| Some(stream.next_frame()) == stream.total_frames())
    }

    /// The sender has nothing more to say for now. With the last frame of the clip, the job is done when this returns.
    ///
    /// # Errors
    /// [`FeedError::Partial`] when it stopped within a frame; the whole ones were taken. Else as [`Self::end`].
    pub fn pause(self) -> Result<(), FeedError> {
        match self.part.len() {
            0 if self.is_complete() => self.end(),
            0 => Ok(()),
            left => Err(FeedError::Partial { left, whole: self.pushed.frame_bytes(), pushed: self.pushed }),
        }
    }

    /// There are no more frames: the last picture is held where some are missing, and the job is done.
    ///
    /// # Errors
    /// [`FeedError`].
    pub fn end(mut self) -> Result<(), FeedError> {
        let Some(stream) = self.stream.take() else { return Err(FeedError::Over) };
        // Said before the job is over: nobody listens after.
        if let Some(missing) = stream.total_frames().map(|total| total - stream.next_frame())
            && missing > 0
        {
            let warning = headcast::push::Warning::Held { frames: missing };
            self.job.log(Level::Warn, warning.to_string());
        }
        stream.finish().map(drop).map_err(|error| self.failed(error))
    }

    /// The stream has ended by itself, and the job with it.
    fn failed(&mut self, error: Error) -> FeedError {
        self.stream = None;
        if !self.job.is_stopped() {
            let code = match &error {
                Error::Store(_) | Error::Folder(_) => "disk",
                Error::NoFrame { .. } => "frames_missing",
                _ => "encode_failed",
            };
            self.job.fail(Failure { code, message: error.to_string() });
            self.shared.save(&self.job);
        }
        error.into()
    }

    fn tell_position(&self) {
        let next = self.next_frame();
        self.shared.feeds.lock().insert(self.job.id(), Slot::Taken { next });
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        let over = self.job.state().is_over() || self.job.is_stopped();
        let stream = self.stream.take().filter(|_| !over);
        let mut feeds = self.shared.feeds.lock();
        match stream {
            Some(stream) => {
                feeds.insert(self.job.id(), Slot::Idle { stream, since: Instant::now() });
            }
            None => drop(feeds.remove(&self.job.id())),
        }
        drop(feeds);
        if !over {
            self.job.phase(Phase::Awaiting);
        }
        // Deleted meanwhile: its folder may have got another segment after that.
        if !self.shared.lock().jobs.iter().any(|job| job.id() == self.job.id()) {
            self.shared.disk.folder(self.job.id()).delete();
        }
    }
}

fn open_stream(shared: &Arc<Shared>, job: &Arc<Job>, pushed: Pushed) -> Result<Stream, FeedError> {
    let (Some(plan), Some(media), true) = (job.plan(), job.media(), job.source().is_some()) else {
        return Err(FeedError::NotOpen);
    };
    let length = match job.sound() {
        Some(sound) => Length::Sound(sound),
        None => Length::Silent(*plan.timeline()),
    };
    let store = JobStore {
        shared: Arc::clone(shared),
        job: Arc::clone(job),
        store: media.store,
        began: Mutex::new(Instant::now()),
    };
    let watching = Arc::clone(job);
    let ends = plan.ends().to_vec();
    let settings = Settings::new(pushed.width, pushed.height, length).ends(ends).watch(move |event| {
        if let Event::Frame(frame) = event {
            watching.frame_done(plan.ends().contains(&(frame.0 + 1)));
        }
    });
    Ok(Stream::open(settings, Output::Store(Arc::new(store)))?)
}

/// The segments of a job, which is told of each.
struct JobStore {
    shared: Arc<Shared>,
    job: Arc<Job>,
    store: Arc<Folder>,
    /// When the segment that is being made was begun.
    began: Mutex<Instant>,
}

impl SegmentStore for JobStore {
    fn put(&self, index: usize, segment: Bytes) -> Result<(), StoreError> {
        if self.shared.over_limit().is_some() {
            let full = std::io::Error::new(
                std::io::ErrorKind::QuotaExceeded,
                "the jobs take more than --max-disk allows",
            );
            return Err(StoreError::new(self.store.segment_path(index), full));
        }
        let size = segment.len();
        self.store.put(index, segment.clone())?;
        self.shared.recent.put(self.job.id(), index, segment);
        self.job.add_disk_bytes(size as u64);
        let took = {
            let mut began = self.began.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *began, Instant::now()).elapsed()
        };
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
