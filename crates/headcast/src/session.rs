//! One avatar speaking one clip: makes any segment at any time.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::thread;

use bytes::Bytes;
use headcast_core::timeline::Speed;
use headcast_core::{FrameIndex, RgbImage, SegmentPlan, Timeline};
use headcast_media::segment::{self, SegmentEncoder};
use headcast_media::{aac, h264};

use crate::renderer::FrameSource;
use crate::source::{FrameDone, MakeError, OnFrame, SegmentSource};

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

    /// Renders frame after frame into recycled pictures and hands them to the encoder.
    fn render(
        &self,
        index: usize,
        to_encoder: &SyncSender<RgbImage>,
        recycled: &Receiver<RgbImage>,
        on_frame: &mut OnFrame<'_>,
    ) -> Result<(), MakeError> {
        let (width, height) = self.frames.size();
        let frames = self.plan.frames(index).expect("the caller asks for a planned segment");
        for frame in frames.map(FrameIndex) {
            let cannot = |reason| MakeError::Render { frame, reason };
            let mut image = match recycled.try_recv() {
                Ok(image) => image,
                Err(_) => RgbImage::filled(width, height, [0; 3]).map_err(|e| cannot(e.to_string()))?,
            };
            self.frames.render(frame, &mut image).map_err(cannot)?;
            if on_frame(FrameDone { frame, image: &image }).is_break() {
                return Err(MakeError::Cancelled);
            }
            if to_encoder.send(image).is_err() {
                // The encoder stopped; its own error says why.
                return Ok(());
            }
        }
        Ok(())
    }

    /// Encodes frames until the renderer hangs up.
    fn encode(
        &self,
        index: usize,
        frames: &Receiver<RgbImage>,
        recycle: &SyncSender<RgbImage>,
    ) -> Result<Option<Bytes>, String> {
        let text = |error: segment::Error| error.to_string();
        let mut encoder = SegmentEncoder::new(&self.config, &self.plan, index).map_err(text)?;
        let mut left = encoder.frames().count();
        for image in frames {
            encoder.push(&image).map_err(text)?;
            left -= 1;
            // Full means that enough pictures are in flight already.
            let _ = recycle.try_send(image);
        }
        if left > 0 {
            // The renderer gave up, and says why itself.
            return Ok(None);
        }
        let units = self.track.wait(encoder.audio_units()).map_err(|error| error.to_string())?;
        encoder.finish(&units).map(Some).map_err(text)
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
        assert!(index < self.plan.len(), "segment {index} of {}", self.plan.len());
        let failed = |reason| MakeError::Encode { index, reason };
        let (to_encoder, frames) = mpsc::sync_channel(FRAMES_IN_FLIGHT);
        let (recycle, recycled) = mpsc::sync_channel(FRAMES_IN_FLIGHT + 1);
        thread::scope(|scope| {
            let encoder = thread::Builder::new()
                .name("encoder".into())
                .spawn_scoped(scope, move || self.encode(index, &frames, &recycle))
                .map_err(|error| failed(format!("its thread cannot be started: {error}")))?;
            let rendered = self.render(index, &to_encoder, &recycled, on_frame);
            drop(to_encoder);
            let encoded = match encoder.join() {
                Ok(encoded) => encoded,
                Err(panic) => std::panic::resume_unwind(panic),
            };
            rendered?;
            let bytes = encoded.map_err(failed)?;
            Ok(bytes.expect("the renderer handed over every frame"))
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
