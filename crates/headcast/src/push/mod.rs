//! Frames that come from elsewhere, in order, become a stream that plays while they come.
//!
//! ```text
//! write(pixels) ─ copy ─► up to 4 recycled frames ─► encoder thread ─► segments ─► store
//!     ▲                                                                   └► playlist
//!     └ waits while all frames are on their way: the pusher is slowed, nothing is dropped
//! ```
//!
//! Plan, encoder and multiplexer are those of a [`Session`](crate::Session): the same pictures give the same bytes.
//!
//! ```
//! use headcast::core::FrameRate;
//! use headcast::media::store::Memory;
//! use headcast::push::{Format, Length, Output, Pixels, Settings, Stream};
//! use std::sync::Arc;
//!
//! let settings = Settings::new(64, 48, Length::Open(FrameRate::PAL));
//! let mut stream = Stream::open(settings, Output::Store(Arc::new(Memory::default())))?;
//! let viewer = stream.viewer();
//! for level in 0..50 {
//!     let frame = vec![level; 64 * 48 * 3];
//!     stream.write(&Pixels::tight(Format::Bgr24, 64, 48, &frame)?)?;
//! }
//! let finished = stream.finish()?;
//! assert_eq!(finished.frames, 50);
//! assert!(viewer.playlist().ends_with("#EXT-X-ENDLIST\n"));
//! assert!(viewer.segment(0)?.is_some());
//! # Ok::<(), headcast::push::Error>(())
//! ```

mod error;
mod frame;
mod pixels;
mod resume;
mod viewer;
mod worker;

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender, TryRecvError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use headcast_core::timeline::Speed;
use headcast_core::{FrameRate, Timeline};
use headcast_media::h264::Qp;
use headcast_media::segment;
use headcast_media::store::SegmentStore;

use crate::clip_folder::ClipFolder;
use crate::speech::Sound;
use frame::Frame;
use viewer::Shared;
use worker::{Message, Worker};

pub use error::{Error, Warning};
pub use pixels::{Format, Pixels, PixelsError};
pub use viewer::{End, Viewer};

/// How long the clip is.
#[derive(Debug)]
pub enum Length {
    /// As long as its sound, whose timeline says how many frames there are.
    Sound(Sound),
    /// Without sound, of known length.
    Silent(Timeline),
    /// Without sound, until frames end.
    Open(FrameRate),
}

impl Length {
    /// Frames per second.
    pub fn frame_rate(&self) -> FrameRate {
        match self {
            Self::Sound(sound) => sound.timeline.frame_rate(),
            Self::Silent(timeline) => timeline.frame_rate(),
            Self::Open(frame_rate) => *frame_rate,
        }
    }
}

/// Where segments go.
#[derive(Clone)]
pub enum Output {
    /// Nothing but segments is kept; the playlist is asked of the [`Viewer`]. If the store holds segments already, the
    /// stream goes on at the first one that is missing: they must be cut as [`Settings::ends`] says, or, without it, as the
    /// same settings cut. Without it a clip of open length begins again.
    Store(Arc<dyn SegmentStore>),
    /// Segments, playlist and, at the end, `video.mp4`. A folder with an unfinished clip
    /// ([`ClipFolder::reopen`]) is continued.
    Folder(ClipFolder),
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Store(_) => f.write_str("Store"),
            Self::Folder(folder) => write!(f, "Folder({})", folder.path().display()),
        }
    }
}

/// Something happened on the encoder's thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// This frame is encoded.
    Frame(headcast_core::FrameIndex),
    /// This segment is in the store, and in the playlist.
    Segment(usize),
}

/// Called with every [`Event`], on the encoder's thread: what takes long here slows the stream.
type Watch = Box<dyn FnMut(Event) + Send>;

/// What a stream is opened with.
pub struct Settings {
    width: u32,
    height: u32,
    length: Length,
    speed: Speed,
    qp: Qp,
    video: bool,
    ends: Vec<u64>,
    watch: Option<Watch>,
}

impl Settings {
    /// Frames that are expected to come one and a half times as fast as they are shown.
    pub const DEFAULT_SPEED: Speed = Speed(1500);

    /// Frames of `width × height` pixels.
    pub fn new(width: u32, height: u32, length: Length) -> Self {
        Self {
            width,
            height,
            length,
            speed: Self::DEFAULT_SPEED,
            qp: Qp::DEFAULT,
            video: true,
            ends: Vec::new(),
            watch: None,
        }
    }

    /// How fast frames are expected to come; default [`Self::DEFAULT_SPEED`]. Decides how fast segments grow and
    /// nothing else: frames may come at any speed.
    #[must_use]
    pub fn speed(mut self, speed: Speed) -> Self {
        self.speed = speed;
        self
    }

    /// Quality of the pictures; default [`Qp::DEFAULT`].
    #[must_use]
    pub fn qp(mut self, qp: Qp) -> Self {
        self.qp = qp;
        self
    }

    /// Whether [`Stream::finish`] makes `video.mp4` in a folder; default yes. It costs reading the segments twice.
    #[must_use]
    pub fn video(mut self, video: bool) -> Self {
        self.video = video;
        self
    }

    /// Where segments end that were planned earlier, one past their last frames: what is made is kept, what is planned
    /// stays planned, also of a clip of open length. Default none; a folder knows its own.
    #[must_use]
    pub fn ends(mut self, ends: Vec<u64>) -> Self {
        self.ends = ends;
        self
    }

    /// Calls `watch` with every [`Event`], on the encoder's thread.
    #[must_use]
    pub fn watch(mut self, watch: impl FnMut(Event) + Send + 'static) -> Self {
        self.watch = Some(Box::new(watch));
        self
    }

    /// Whether a stream can have these settings, before anything is opened or written.
    ///
    /// # Errors
    /// [`Error::Video`] when no H.264 level allows the frames.
    pub fn check(&self) -> Result<(), Error> {
        self.config().map(drop)
    }

    fn config(&self) -> Result<segment::Config, Error> {
        let config = segment::Config::new(self.width, self.height, self.length.frame_rate())?.qp(self.qp);
        Ok(match &self.length {
            Length::Sound(sound) => config.channels(sound.channels),
            Length::Silent(_) | Length::Open(_) => config.without_sound(),
        })
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Settings({}x{}, {:?})", self.width, self.height, self.length)
    }
}

/// What a finished stream left.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finished {
    /// Frames of the clip, those of earlier streams included.
    pub frames: u64,
    /// Segments of the clip.
    pub segments: usize,
    /// What the user should know.
    pub warnings: Vec<Warning>,
}

/// What an aborted stream left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Aborted {
    /// Frames that play. A stream that is opened on them goes on with the frame of this index.
    pub frames: u64,
    /// Segments that play.
    pub segments: usize,
}

/// Takes frames, one after the other.
///
/// Dropping it before [`Self::finish`] is [`Self::abort`].
#[derive(Debug)]
pub struct Stream {
    viewer: Viewer,
    folder: Option<ClipFolder>,
    /// Whether a `video.mp4` is made in the folder.
    video: bool,
    size: (u32, u32),
    /// Frames of the clip where that is known.
    total: Option<u64>,
    /// Index of the next frame.
    next: u64,
    surplus: u64,
    messages: Option<SyncSender<Message>>,
    recycled: Receiver<Frame>,
    /// The frame that is filled next, where it was waited for already.
    spare: Option<Frame>,
    /// Frames that were ever allocated.
    allocated: usize,
    encoder: Option<JoinHandle<Result<Vec<Warning>, Error>>>,
}

impl Stream {
    /// Most frames that a stream holds at any time, whatever the pusher does: one that is being filled, one that is
    /// being encoded, two kept to look back or ahead, and those on their way.
    pub const MAX_FRAMES: NonZeroUsize = NonZeroUsize::new(6).expect("6 is not zero");

    /// Opens a stream and writes the playlist of its folder: complete where the length is known.
    ///
    /// If the output holds segments already, the stream continues them: see [`Self::next_frame`].
    ///
    /// # Errors
    /// [`Error::Video`] when no H.264 level allows the frames, [`Error::Mismatch`] when what the output holds is of
    /// another clip, and what is wrong with the output.
    pub fn open(settings: Settings, output: Output) -> Result<Self, Error> {
        let config = settings.config()?;
        let (store, folder) = match output {
            Output::Store(store) => (store, None),
            Output::Folder(folder) => (Arc::clone(folder.segments()) as Arc<dyn SegmentStore>, Some(folder)),
        };
        let Settings { width, height, length, speed, video, ends, watch, .. } = settings;
        let state = resume::state(&config, &length, speed, ends, &*store, folder.as_ref())?;
        let next = state.frames;
        let total = state.plan.total_frames();
        if let Some(folder) = &folder {
            folder.write_playlist(&state.playlist())?;
        }
        let track = match length {
            Length::Sound(sound) => Some(sound.track),
            Length::Silent(_) | Length::Open(_) => None,
        };
        let shared = Arc::new(Shared::new(config, store, state));
        let (messages, received) = mpsc::sync_channel(Self::MAX_FRAMES.get() + 1);
        let (recycle, recycled) = mpsc::sync_channel(Self::MAX_FRAMES.get());
        let worker = Worker {
            shared: Arc::clone(&shared),
            track,
            folder: folder.clone(),
            watch,
            recycle,
            encoder: None,
            pending: None,
            last: None,
        };
        let encoder = thread::Builder::new()
            .name("push encoder".into())
            .spawn(move || worker.run(&received))
            .map_err(Error::Thread)?;
        Ok(Self {
            viewer: Viewer { shared },
            folder,
            video,
            size: (width, height),
            total,
            next,
            surplus: 0,
            messages: Some(messages),
            recycled,
            spare: None,
            allocated: 0,
            encoder: Some(encoder),
        })
    }

    /// A watcher of the stream, for any thread.
    pub fn viewer(&self) -> Viewer {
        self.viewer.clone()
    }

    /// The folder that is filled, if it is one.
    pub fn folder(&self) -> Option<&ClipFolder> {
        self.folder.as_ref()
    }

    /// Width and height of the frames, pixels.
    pub fn size(&self) -> (u32, u32) {
        self.size
    }

    /// Frames of the clip where that is known.
    pub fn total_frames(&self) -> Option<u64> {
        self.total
    }

    /// Index in the clip of the frame that [`Self::write`] takes next: 0, or the first frame of the first segment that
    /// is not made yet when the stream continues an earlier one.
    pub fn next_frame(&self) -> u64 {
        self.next
    }

    /// Takes the next frame: copies its pixels and returns. Waits while [`Self::MAX_FRAMES`] are on their way, so
    /// memory is bounded and the pusher no faster than the encoder.
    ///
    /// A frame after the end of a clip of known length is left out and counted: [`Finished::warnings`] says how many.
    ///
    /// # Errors
    /// [`Error::WrongSize`]; the stream goes on. Anything else ends the stream: the segments until then play, and the
    /// error says what is wrong; after that it is [`Error::Ended`].
    pub fn write(&mut self, pixels: &Pixels<'_>) -> Result<(), Error> {
        let (expected, found) = (self.size, pixels.size());
        if found != expected {
            return Err(Error::WrongSize { expected, found });
        }
        if self.total.is_some_and(|total| self.next >= total) {
            self.surplus += 1;
            return Ok(());
        }
        let Some(mut frame) = self.free_frame() else { return Err(self.failure()) };
        frame.fill_from(pixels);
        let sent = self.messages.as_ref().is_some_and(|to| to.send(Message::Frame(frame)).is_ok());
        if !sent {
            return Err(self.failure());
        }
        self.next += 1;
        Ok(())
    }

    /// Waits until [`Self::write`] will not, `patience` at most; says whether that is so. For pushers that have something
    /// else to look at while the encoder is behind.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn wait_room(&mut self, patience: Duration) -> Result<bool, Error> {
        if self.spare.is_none() && self.total.is_none_or(|total| self.next < total) {
            match self.frame_within(patience) {
                Ok(frame) => self.spare = Some(frame),
                Err(RecvTimeoutError::Timeout) => return Ok(false),
                Err(RecvTimeoutError::Disconnected) => return Err(self.failure()),
            }
        }
        Ok(true)
    }

    /// A frame to fill; `None` when the encoder has stopped.
    fn free_frame(&mut self) -> Option<Frame> {
        match self.spare.take() {
            Some(frame) => Some(frame),
            None => match self.frame_within(Duration::ZERO) {
                Ok(frame) => Some(frame),
                Err(RecvTimeoutError::Timeout) => self.recycled.recv().ok(),
                Err(RecvTimeoutError::Disconnected) => None,
            },
        }
    }

    fn frame_within(&mut self, patience: Duration) -> Result<Frame, RecvTimeoutError> {
        match self.recycled.try_recv() {
            Ok(frame) => Ok(frame),
            Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
            Err(TryRecvError::Empty) if self.allocated < Self::MAX_FRAMES.get() => {
                self.allocated += 1;
                Ok(Frame::new())
            }
            Err(TryRecvError::Empty) => self.recycled.recv_timeout(patience),
        }
    }

    /// Frames that were allocated so far, at most [`Self::MAX_FRAMES`].
    pub fn allocated_frames(&self) -> usize {
        self.allocated
    }

    /// All frames are written: ends the clip, and makes `video.mp4` in a folder.
    ///
    /// Where the length is known, or segments that follow are, and frames are missing at the end, the last picture is
    /// held, and [`Finished::warnings`] says for how long.
    ///
    /// # Errors
    /// [`Error::NoFrame`] when there is nothing to end; else as [`Self::write`]. If only `video.mp4` cannot be made,
    /// the segments play.
    pub fn finish(mut self) -> Result<Finished, Error> {
        let mut warnings = self.end(Message::Finish)?;
        if self.surplus > 0 {
            warnings.push(Warning::Surplus { frames: self.surplus });
        }
        if let (Some(folder), true, Some(plan)) = (&self.folder, self.video, self.viewer.plan()) {
            folder.write_video(self.viewer.config(), &plan)?;
        }
        Ok(Finished { frames: self.viewer.frames(), segments: self.viewer.segments(), warnings })
    }

    /// No frame will come, for `reason`. Frames that are on their way are encoded, then the playlist ends where the
    /// segments do; whoever waits for another one learns that it will not come.
    ///
    /// # Errors
    /// As [`Self::write`].
    pub fn abort(mut self, reason: impl Into<String>) -> Result<Aborted, Error> {
        self.end(Message::Abort(reason.into()))?;
        Ok(Aborted { frames: self.viewer.frames(), segments: self.viewer.segments() })
    }

    fn end(&mut self, message: Message) -> Result<Vec<Warning>, Error> {
        if let Some(messages) = self.messages.take() {
            // If nobody receives it, joining says why.
            let _ = messages.send(message);
        }
        self.join()
    }

    fn failure(&mut self) -> Error {
        self.messages = None;
        match self.join() {
            Err(error) => error,
            Ok(_) => Error::Ended { reason: "its encoder stopped".into() },
        }
    }

    fn join(&mut self) -> Result<Vec<Warning>, Error> {
        let Some(encoder) = self.encoder.take() else {
            let reason = match self.viewer.end() {
                Some(End::Failed(reason) | End::Aborted(reason)) => reason,
                _ => "its encoder stopped".into(),
            };
            return Err(Error::Ended { reason });
        };
        match encoder.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // The encoder takes this for an abort. Its thread is waited for, so that the playlist is whole afterwards.
        self.messages = None;
        if let Some(encoder) = self.encoder.take() {
            let _ = encoder.join();
        }
    }
}
