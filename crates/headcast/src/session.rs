//! One avatar speaking one clip: makes any segment at any time.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use bytes::Bytes;
use headcast_core::timeline::Speed;
use headcast_core::{FrameIndex, RgbImage, SegmentPlan, Timeline};
use headcast_media::segment::{self, SegmentEncoder};
use headcast_media::{aac, h264};

use crate::renderer::{FrameError, FrameSource};
use crate::source::{FrameDone, MakeError, OnFrame, SegmentSource, Stop};

/// Frames between the renderer and the encoder: the encoder works on one while the renderer fills the next.
const FRAMES_IN_FLIGHT: usize = 2;

/// Joins a frame source, the sound and the encoders of one clip.
pub struct Session {
    plan: SegmentPlan,
    config: segment::Config,
    track: aac::Track,
    frames: Arc<dyn FrameSource>,
}

impl Session {
    /// A session for the clip of `timeline`, planned for frames that come at `speed`.
    ///
    /// # Errors
    /// [`h264::Error`] when no H.264 level allows the frames' size or rate.
    pub fn new(
        timeline: Timeline,
        speed: Speed,
        track: aac::Track,
        channels: aac::Channels,
        frames: Arc<dyn FrameSource>,
    ) -> Result<Self, h264::Error> {
        let (width, height) = frames.size();
        let config = segment::Config::new(width, height, timeline.frame_rate())?.channels(channels);
        Ok(Self { plan: SegmentPlan::new(timeline, speed), config, track, frames })
    }

    /// The same session cut at other places: those of a plan that was made earlier and has segments already.
    ///
    /// # Panics
    /// If `plan` is for another timeline.
    #[must_use]
    pub fn with_plan(mut self, plan: SegmentPlan) -> Self {
        assert_eq!(plan.timeline(), self.plan.timeline(), "a plan for another clip");
        self.plan = plan;
        self
    }

    /// Renders the frames of a segment and hands them to the encoder in order.
    fn render(
        &self,
        index: usize,
        to_encoder: &SyncSender<RgbImage>,
        spare: &Spare,
        stop: &Stop<'_>,
        on_frame: &mut OnFrame<'_>,
    ) -> Result<(), MakeError> {
        let frames = self.plan.frames(index).expect("the caller asks for a planned segment");
        let length = usize::try_from(frames.end - frames.start).unwrap_or(usize::MAX);
        let at_once = self.frames.at_once().clamp(1, length.max(1));
        let mut hand_over = |frame, image| {
            if on_frame(FrameDone { frame, image: &image }).is_break() {
                return Err(MakeError::Cancelled);
            }
            // False when the encoder stopped; its own error says why.
            Ok(to_encoder.send(image).is_ok())
        };
        if at_once == 1 {
            for frame in frames.map(FrameIndex) {
                if !hand_over(frame, self.render_frame(frame, spare, stop)?)? {
                    break;
                }
            }
            return Ok(());
        }
        thread::scope(|scope| {
            let mut painters = Vec::with_capacity(at_once);
            for first in 0..at_once {
                let own = frames.clone().skip(first).step_by(at_once).map(FrameIndex);
                let (done, pictures) = mpsc::sync_channel(1);
                let paint = move || {
                    for frame in own {
                        let picture = self.render_frame(frame, spare, stop);
                        let failed = picture.is_err();
                        if done.send(picture).is_err() || failed {
                            break;
                        }
                    }
                };
                let painter = thread::Builder::new()
                    .name("frames".into())
                    .spawn_scoped(scope, paint)
                    .map_err(|error| {
                        let reason = format!("its thread cannot be started: {error}");
                        MakeError::Render { frame: FrameIndex(frames.start + first as u64), reason }
                    })?;
                painters.push((pictures, painter));
            }
            for (number, frame) in frames.map(FrameIndex).enumerate() {
                let slot = number % at_once;
                let Ok(picture) = painters[slot].0.recv() else {
                    // Only a panic ends a painter before its last frame and without a word.
                    let (pictures, painter) = painters.swap_remove(slot);
                    drop((pictures, painters));
                    if let Err(panic) = painter.join() {
                        std::panic::resume_unwind(panic);
                    }
                    break;
                };
                if !hand_over(frame, picture?)? {
                    break;
                }
            }
            // Painters end with the frame that they are at: nobody takes it.
            Ok(())
        })
    }

    fn render_frame(&self, frame: FrameIndex, spare: &Spare, stop: &Stop<'_>) -> Result<RgbImage, MakeError> {
        let cannot = |reason| MakeError::Render { frame, reason };
        let (width, height) = self.frames.size();
        let mut image = match spare.take() {
            Some(image) => image,
            None => RgbImage::filled(width, height, [0; 3]).map_err(|e| cannot(e.to_string()))?,
        };
        match self.frames.render_until(frame, stop, &mut image) {
            Ok(()) => Ok(image),
            Err(FrameError::Stopped) => Err(MakeError::Cancelled),
            Err(_) if stop() => Err(MakeError::Cancelled),
            Err(FrameError::Extractor(reason)) => Err(MakeError::Extractor { frame, reason }),
            Err(error) => Err(cannot(error.to_string())),
        }
    }

    /// Encodes frames until the renderer hangs up.
    fn encode(
        &self,
        index: usize,
        frames: &Receiver<RgbImage>,
        spare: &Spare,
        stop: &Stop<'_>,
    ) -> Result<Option<Bytes>, MakeError> {
        let failed = |error: segment::Error| MakeError::Encode { index, reason: error.to_string() };
        let mut encoder = SegmentEncoder::new(&self.config, &self.plan, index).map_err(failed)?;
        let mut left = encoder.frames().count();
        for image in frames {
            encoder.push(&image).map_err(failed)?;
            left -= 1;
            spare.put(image);
        }
        if left > 0 {
            // The renderer gave up, and says why itself.
            return Ok(None);
        }
        // Behind a jump, minutes of sound may have to be compressed first.
        let units = self.track.wait_until(encoder.audio_units(), stop).map_err(|error| match error {
            aac::Error::Stopped => MakeError::Cancelled,
            error => MakeError::Encode { index, reason: error.to_string() },
        })?;
        encoder.finish(&units).map(Some).map_err(failed)
    }
}

/// Pictures that were encoded, to be drawn into again: as many as were ever in flight.
#[derive(Debug, Default)]
struct Spare(Mutex<Vec<RgbImage>>);

impl Spare {
    fn take(&self) -> Option<RgbImage> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn put(&self, image: RgbImage) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(image);
    }
}

impl SegmentSource for Session {
    fn plan(&self) -> &SegmentPlan {
        &self.plan
    }

    fn config(&self) -> &segment::Config {
        &self.config
    }

    fn segment_head(&self) -> Bytes {
        segment::segment_head(&self.config)
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
        assert!(index < self.plan.len(), "segment {index} of {}", self.plan.len());
        if let Some(frames) = self.plan.frames(index) {
            // Behind a jump there may be much to encode: as long as the frames take.
            self.track.want(self.plan.timeline().aac_units_of(frames).end);
        }
        let (to_encoder, frames) = mpsc::sync_channel(FRAMES_IN_FLIGHT);
        let spare = &Spare::default();
        thread::scope(|scope| {
            let encoder = thread::Builder::new()
                .name("encoder".into())
                .spawn_scoped(scope, move || self.encode(index, &frames, spare, stop))
                .map_err(|error| MakeError::Encode {
                    index,
                    reason: format!("its thread cannot be started: {error}"),
                })?;
            let rendered = self.render(index, &to_encoder, spare, stop, on_frame);
            drop(to_encoder);
            let encoded = match encoder.join() {
                Ok(encoded) => encoded,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            rendered?;
            Ok(encoded?.expect("the renderer handed over every frame"))
        })
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (width, height) = self.frames.size();
        write!(f, "Session({width}x{height}, {} segments)", self.plan.len())
    }
}

/// An `on_frame` for callers that neither watch nor cancel.
pub fn unwatched(_: FrameDone<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}
