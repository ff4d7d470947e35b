//! The other thread: frames become segments, in order.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender};

use headcast_core::FrameIndex;
use headcast_core::timeline::ClipPlan;
use headcast_media::aac;
use headcast_media::mp4::access_units;
use headcast_media::segment::{SegmentEncoder, last_picture};

use super::error::{Error, Warning};
use super::frame::Frame;
use super::viewer::{End, Shared, State};
use super::{Event, Watch};
use crate::clip_folder::ClipFolder;

/// What the pusher's thread sends.
pub(super) enum Message {
    Frame(Frame),
    /// No frame will come.
    Finish,
    /// The pusher gave up.
    Abort(String),
}

pub(super) struct Worker {
    pub(super) shared: Arc<Shared>,
    pub(super) track: Option<aac::Track>,
    pub(super) folder: Option<ClipFolder>,
    pub(super) watch: Option<Watch>,
    /// Pictures that are done with, for the pusher to fill again.
    pub(super) recycle: SyncSender<Frame>,
    /// The segment that is being made.
    pub(super) encoder: Option<SegmentEncoder>,
    /// Of an open clip: a frame after a full segment, until it is known to be no segment of its own.
    pub(super) pending: Option<Frame>,
    /// The last picture, to be held if others are missing.
    pub(super) last: Option<Frame>,
}

impl Worker {
    /// Runs until frames end.
    pub(super) fn run(mut self, messages: &Receiver<Message>) -> Result<Vec<Warning>, Error> {
        let end = loop {
            match messages.recv() {
                Ok(Message::Frame(frame)) => {
                    if let Err(error) = self.take(frame) {
                        break Err(error);
                    }
                }
                Ok(Message::Finish) => break self.finish(),
                Ok(Message::Abort(reason)) => break self.abort(reason),
                Err(_) => break self.abort(DROPPED.into()),
            }
        };
        if let Err(error) = &end {
            // The error that counts is the first one.
            let _ = self.end(End::Failed(error.to_string()));
        }
        end
    }

    fn take(&mut self, frame: Frame) -> Result<(), Error> {
        if !self.is_full() {
            return self.encode(frame);
        }
        match self.pending.take() {
            None => {
                self.pending = Some(frame);
                Ok(())
            }
            Some(pending) => {
                self.close()?;
                self.encode(pending)?;
                self.encode(frame)
            }
        }
    }

    /// Whether a segment whose end is not known yet has its frames. Others are closed at once.
    fn is_full(&self) -> bool {
        let length = match &*self.shared.lock() {
            State { plan: ClipPlan::Open(plan), made, .. } if *made == plan.ends().len() => {
                plan.next_length()
            }
            _ => return false,
        };
        self.encoder.as_ref().is_some_and(|encoder| encoder.pushed() >= length)
    }

    fn encode(&mut self, mut frame: Frame) -> Result<(), Error> {
        self.push(&mut frame)?;
        if let Some(done) = self.last.replace(frame) {
            // There is room for every picture that there is; the pusher may be gone.
            let _ = self.recycle.try_send(done);
        }
        Ok(())
    }

    fn push(&mut self, frame: &mut Frame) -> Result<(), Error> {
        let (config, video) = (&self.shared.config, self.shared.config.video());
        let size = (video.width(), video.height());
        let (index, next, plan) = {
            let state = self.shared.lock();
            // A plan is some kilobytes, and needed once in a segment.
            let plan = self.encoder.is_none().then(|| state.plan.clone());
            (state.made, FrameIndex(state.frames), plan)
        };
        let failed =
            |error: headcast_media::segment::Error| Error::Encode { index, reason: error.to_string() };
        if let Some(plan) = plan {
            let encoder = match plan.known().filter(|known| index < known.len()) {
                Some(known) => SegmentEncoder::new(config, &known, index),
                None => SegmentEncoder::open_ended(config, index, next),
            };
            self.encoder = Some(encoder.map_err(failed)?);
        }
        let encoder = self.encoder.as_mut().expect("made above");
        frame.encode(size, encoder).map_err(failed)?;
        let full = encoder.pushed() == encoder.frames().end - encoder.frames().start;
        self.shared.update(|state| state.frames += 1);
        self.tell(Event::Frame(next));
        if full { self.close() } else { Ok(()) }
    }

    /// The segment has all its frames.
    fn close(&mut self) -> Result<(), Error> {
        let Some(encoder) = self.encoder.take() else { return Ok(()) };
        let index = self.shared.lock().made;
        let failed = |reason: String| Error::Encode { index, reason };
        let units = match &self.track {
            Some(track) => track.wait(encoder.audio_units()).map_err(|error| failed(error.to_string()))?,
            None => Vec::new(),
        };
        let frames = encoder.pushed();
        let segment = encoder.finish(&units).map_err(|error| failed(error.to_string()))?;
        self.shared.store.put(index, segment)?;
        let playlist = self.shared.update(|state| {
            state.made += 1;
            let ClipPlan::Open(plan) = &mut state.plan else { return None };
            // One that is made again ends where it did.
            if plan.ends().len() < state.made {
                plan.close(frames);
            }
            Some(state.playlist())
        });
        if let (Some(folder), Some(playlist)) = (&self.folder, playlist) {
            folder.write_playlist(&playlist)?;
        }
        self.tell(Event::Segment(index));
        Ok(())
    }

    fn finish(&mut self) -> Result<Vec<Warning>, Error> {
        let mut warnings = Vec::new();
        let missing = {
            let state = self.shared.lock();
            state.plan.frames().saturating_sub(state.frames)
        };
        if missing > 0 {
            let last = self.last.take().map_or_else(|| self.last_made(), |last| Ok(Some(last)))?;
            let mut last = last.ok_or(Error::NoFrame { missing: Some(missing) })?;
            for _ in 0..missing {
                self.push(&mut last)?;
            }
            warnings.push(Warning::Held { frames: missing });
        }
        warnings.extend(self.hold_single()?);
        self.close_open(1)?;
        if self.shared.lock().made == 0 {
            return Err(Error::NoFrame { missing: None });
        }
        self.end(End::Finished)?;
        Ok(warnings)
    }

    /// The picture that the segments end with which an earlier stream has made; `None` when there are none.
    fn last_made(&self) -> Result<Option<Frame>, Error> {
        let (made, plan) = {
            let state = self.shared.lock();
            (state.made, state.plan.known())
        };
        let (Some(index), Some(plan)) = (made.checked_sub(1), plan) else { return Ok(None) };
        let config = &self.shared.config;
        let failed = |reason: String| Error::Encode { index, reason };
        let segment =
            self.shared.store.get(index)?.ok_or(Error::Mismatch { what: "a segment disappeared" })?;
        let streams =
            access_units(config, &plan, index, &segment).map_err(|error| failed(error.to_string()))?;
        let pictures = streams.video.iter().map(|unit| &unit.data[..]);
        let last = last_picture(config, pictures).map_err(|error| failed(error.to_string()))?;
        Ok(Some(Frame::of_planes(last)))
    }

    /// A last segment of an open clip may not be a single picture beside another segment: it is held for one frame more.
    /// That happens where a clip goes on after a break, and ends with its next frame.
    fn hold_single(&mut self) -> Result<Option<Warning>, Error> {
        let made = match &*self.shared.lock() {
            State { plan: ClipPlan::Open(_), made, .. } => *made,
            _ => return Ok(None),
        };
        let is_single = self.pending.is_none() && self.encoder.as_ref().is_some_and(|of| of.pushed() == 1);
        if made == 0 || !is_single {
            return Ok(None);
        }
        let Some(mut last) = self.last.take() else { return Ok(None) };
        self.push(&mut last)?;
        Ok(Some(Warning::Held { frames: 1 }))
    }

    fn abort(&mut self, reason: String) -> Result<Vec<Warning>, Error> {
        // A clip that goes on later must not have a single picture before another segment.
        self.close_open(2)?;
        self.end(End::Aborted(reason))?;
        Ok(Vec::new())
    }

    /// Ends a segment whose end is not known where frames end, if there are `least` of them.
    fn close_open(&mut self, least: u64) -> Result<(), Error> {
        match &*self.shared.lock() {
            State { plan: ClipPlan::Open(plan), made, .. } if *made == plan.ends().len() => {}
            _ => return Ok(()),
        }
        if let Some(mut pending) = self.pending.take() {
            self.push(&mut pending)?;
        }
        if self.encoder.as_ref().is_some_and(|encoder| encoder.pushed() >= least) {
            self.close()?;
        }
        Ok(())
    }

    /// What there is plays: the playlist says where it ends.
    fn end(&mut self, end: End) -> Result<(), Error> {
        let (made, playlist) = {
            let mut state = self.shared.lock();
            if end != End::Finished {
                // Frames of a segment that is not whole are lost.
                state.frames = state.plan.frames_before(state.made);
            }
            state.end = Some(end);
            (state.made, state.playlist())
        };
        let written = match &self.folder {
            Some(folder) if made == 0 => folder.remove_playlist(),
            Some(folder) => folder.write_playlist(&playlist),
            None => Ok(()),
        };
        // Wakes whoever waits for a segment that will not come.
        self.shared.update(|_| ());
        Ok(written?)
    }

    fn tell(&mut self, event: Event) {
        if let Some(watch) = &mut self.watch {
            watch(event);
        }
    }
}

impl Drop for Worker {
    /// Whatever happened, nobody waits for ever.
    fn drop(&mut self) {
        self.shared.update(|state| {
            state.end.get_or_insert_with(|| End::Failed("the encoder's thread broke off".into()));
        });
    }
}

const DROPPED: &str = "the stream was dropped before it was finished";
