//! Frames that come from outside: what a pushed job needs besides the queue.
//!
//! A pushed job is opened in its turn like any other, which fixes its plan; then it takes no turn any more. Whoever
//! brings its frames takes its [`Feed`] and makes its segments through a [`Stream`], which stays open between two
//! visits, so that a batch of frames may end anywhere.

mod slots;
mod spec;
mod store;

pub use slots::Claim;
pub(super) use slots::Feeds;
pub use spec::{Count, NotPushed, Pushed};

use std::sync::Arc;
use std::time::Duration;

use headcast::push::{Error, Pixels, Stream};

use self::slots::{Place, goes_on};
use super::event::Level;
use super::id::JobId;
use super::job::{Failure, Job, State};
use super::shared::Shared;
use super::studio::Phase;
use super::table::Jobs;
use super::worker::keep_poster;

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
    /// Leave the job to whoever took it.
    #[error("another connection has taken over sending frames to this job")]
    TakenOver,
    /// Go on when the server is back.
    #[error("the server is being stopped; go on with the frame that the job expects when it is back")]
    Stopping,
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
    /// Send the frames of a lost segment again, and end then.
    #[error(
        "a segment that was made is lost or damaged on the disk; send its frames again, from frame {frame} on, and end \
         then"
    )]
    Lost {
        /// The first of them.
        frame: u64,
    },
    /// Send the rest as another job.
    #[error(
        "the clip has {frames} frames now, and {} s are the most that a clip of open length may have (--max-open says          so); it has ended there and plays; send what follows as a new job", longest.as_secs()
    )]
    TooLong {
        /// Frames of the clip.
        frames: u64,
        /// The most that is taken.
        longest: Duration,
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

/// Where a pushed job is, for those who bring its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeedState {
    /// Index of the frame that is expected next.
    pub next_frame: u64,
    /// Whether somebody is sending frames just now.
    pub connected: bool,
}

impl Job {
    /// Why no frames are taken any more, if that is so.
    pub fn refuses_frames(&self) -> Option<FeedError> {
        // In this order: a job that is cancelled is over when it says so.
        let stopped = self.is_stopped();
        match self.state().is_over() {
            true => Some(FeedError::Over),
            false => stopped.then_some(FeedError::Stopping),
        }
    }
}

impl Jobs {
    /// Where a pushed job is; `None` of one whose frames are rendered here.
    pub fn feed_state(&self, job: &Job) -> Option<FeedState> {
        job.request().pushed?;
        let (next_frame, connected) =
            self.shared.feeds.position(job).unwrap_or_else(|| (job.first_missing_frame(), false));
        Some(FeedState { next_frame, connected })
    }

    /// The right to bring frames, from the next one on. Blocks for the sound and the disk.
    ///
    /// * `first`: which frame the sender begins with, if it knows. If somebody else is sending frames, and has not sent
    ///   more than these, its place is taken over: frames that it has brought already are left out.
    /// * `claim`: the place of this sender.
    ///
    /// # Errors
    /// [`FeedError`].
    pub fn feed(&self, job: &Arc<Job>, first: Option<u64>, claim: &Claim) -> Result<Feed, FeedError> {
        let pushed = job.request().pushed.ok_or(FeedError::NotPushed)?;
        if let Some(refusal) = job.refuses_frames() {
            return Err(refusal);
        }
        job.asked();
        if !job.is_open() {
            return Err(FeedError::NotOpen);
        }
        let Place { stream, taken_over } =
            self.shared.feeds.take(job, first, job.first_missing_frame(), claim)?;
        // From here on the place is left when this is dropped.
        let mut feed = Feed {
            shared: Arc::clone(&self.shared),
            job: Arc::clone(job),
            pushed,
            claim: claim.clone(),
            stream,
            part: Vec::new(),
            skip: 0,
            began: false,
        };
        if let Some(refusal) = job.refuses_frames() {
            return Err(refusal);
        }
        if !feed.stream.as_ref().is_some_and(|stream| goes_on(job, stream)) {
            // Closed before another one is opened: both would make the same segments.
            feed.stream = None;
            feed.stream = Some(store::open(&self.shared, job, pushed)?);
        }
        feed.tell_position();
        let expected = feed.next_frame();
        match first {
            Some(found) if taken_over && found < expected => feed.skip = expected - found,
            Some(found) if found != expected => return Err(FeedError::Position { expected, found }),
            _ => {}
        }
        feed.began = true;
        job.phase(Phase::Rendering);
        Ok(feed)
    }

    /// Fails the jobs for whose frames nobody came within [`Limits::abandoned`](super::limits::Limits::abandoned), and
    /// names them; what there is of them plays. Happens by itself once a minute. Blocks for the disk.
    pub fn end_abandoned(&self) -> Vec<JobId> {
        self.shared.end_abandoned()
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

impl Shared {
    pub(super) fn end_abandoned(&self) -> Vec<JobId> {
        let limit = self.limits.abandoned;
        let minutes = limit.as_secs().div_ceil(60);
        let failure = || Failure {
            code: "frames_ended",
            message: format!(
                "nobody has sent frames for {minutes} minutes (--abandoned says how long a job waits); send them again as \
                 a new job"
            ),
        };
        let jobs = self.lock().jobs.clone();
        let abandoned: Vec<_> = jobs.into_iter().filter(|job| job.abandon(limit, failure)).collect();
        for job in &abandoned {
            self.feeds.forget(job.id());
            self.save(job);
        }
        abandoned.iter().map(|job| job.id()).collect()
    }
}

/// Brings frames to a job. Dropping it lets somebody else go on.
#[derive(Debug)]
pub struct Feed {
    shared: Arc<Shared>,
    job: Arc<Job>,
    pushed: Pushed,
    claim: Claim,
    /// There until it is finished, or has failed.
    stream: Option<Box<Stream>>,
    /// The start of a frame whose rest has not come yet.
    part: Vec<u8>,
    /// Frames that are still to come again, although they were taken.
    skip: u64,
    /// Whether the job was told that frames come.
    began: bool,
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
        if self.claim.is_lost() {
            return Err(FeedError::TakenOver);
        }
        match self.job.refuses_frames() {
            // What is left over is dropped.
            Some(_) if self.job.state() == State::Done => return Ok(()),
            Some(refusal) => return Err(refusal),
            None => {}
        }
        if self.skip > 0 {
            self.skip -= 1;
            return Ok(());
        }
        if self.pushed.count == Count::Open {
            self.check_length()?;
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

    /// Ends the clip where it is as long as one of open length may be.
    fn check_length(&mut self) -> Result<(), FeedError> {
        let (frames, longest) = (self.next_frame(), self.shared.limits.max_open);
        if frames < self.pushed.frame_rate.frames_within(longest).max(1) {
            return Ok(());
        }
        let too_long = FeedError::TooLong { frames, longest };
        self.job.log(Level::Warn, too_long.to_string());
        self.finish().and(Err(too_long))
    }

    fn is_complete(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| Some(stream.next_frame()) == stream.total_frames())
    }

    /// The sender has nothing more to say for now. With the last frame of the clip, the job is done when this returns,
    /// unless a segment was lost meanwhile.
    ///
    /// # Errors
    /// [`FeedError::Partial`] when it stopped within a frame; the whole ones were taken. Else as [`Self::end`].
    pub fn pause(self) -> Result<(), FeedError> {
        match self.part.len() {
            0 if self.is_complete() => match self.end() {
                // It is told where to go on.
                Err(FeedError::Lost { .. }) => Ok(()),
                ended => ended,
            },
            0 => Ok(()),
            left => Err(FeedError::Partial { left, whole: self.pushed.frame_bytes(), pushed: self.pushed }),
        }
    }

    /// There are no more frames: the last picture is held where some are missing, and the job is done.
    ///
    /// # Errors
    /// [`FeedError::Lost`] when frames that were sent have to be sent again first; the job waits for them. Else
    /// [`FeedError`].
    pub fn end(mut self) -> Result<(), FeedError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<(), FeedError> {
        if self.job.state() == State::Done {
            return Ok(());
        }
        if !self.is_complete() {
            if let Some(frame) = self.job.first_lost_frame() {
                return Err(FeedError::Lost { frame });
            }
            // Behind one that was lost there are others, whose pictures count.
            if self.next_frame() < self.job.first_missing_frame() {
                self.stream = None;
                self.stream = Some(store::open(&self.shared, &self.job, self.pushed)?);
            }
        }
        let Some(stream) = self.stream.take() else { return Err(FeedError::Over) };
        // Said before the job is over: nobody listens after.
        if let Some(missing) = stream.total_frames().map(|total| total - stream.next_frame())
            && missing > 0
        {
            let warning = headcast::push::Warning::Held { frames: missing };
            self.job.log(Level::Warn, warning.to_string());
        }
        let is_open = stream.total_frames().is_none();
        let warnings = match stream.finish() {
            Ok(finished) => finished.warnings,
            Err(error) => return Err(self.failed(error)),
        };
        for warning in warnings.iter().filter(|_| is_open) {
            self.job.log(Level::Warn, warning.to_string());
        }
        // All is made but what was lost behind the stream.
        self.job.end_clip().map_err(|frame| FeedError::Lost { frame })?;
        if is_open {
            self.shared.save(&self.job);
        }
        Ok(())
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
        self.shared.feeds.moved(self.job.id(), self.next_frame());
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.shared.feeds.leave(&self.job, self.stream.take(), self.began);
        // Deleted meanwhile: its folder may have got another segment after that.
        if !self.shared.lock().jobs.iter().any(|job| job.id() == self.job.id()) {
            self.shared.disk.folder(self.job.id()).delete();
        }
    }
}
