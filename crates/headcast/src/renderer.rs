//! Where frames come from.

use std::sync::Arc;

use headcast_core::{FeatureTrack, FrameIndex, RgbImage, Spools};
use headcast_nerf::cpu::RenderError;
use headcast_nerf::{Clip, Renderer};

/// Makes the frames of one clip, each on its own: frame i is the same whichever was made before it.
pub trait FrameSource: Send + Sync {
    /// Width and height of every frame, pixels.
    fn size(&self) -> (u32, u32);

    /// Draws frame `frame` into `out`, a picture of [`Self::size`].
    ///
    /// # Errors
    /// One sentence on why the frame cannot be made.
    fn render(&self, frame: FrameIndex, out: &mut RgbImage) -> Result<(), String>;

    /// As [`Self::render`], for a caller who may want to give the frame up, which matters where one takes minutes.
    ///
    /// * `stop`: asked now and then, from any thread; by default not at all.
    ///
    /// # Errors
    /// As [`Self::render`]; any sentence will do once `stop` has said so.
    fn render_until(
        &self,
        frame: FrameIndex,
        stop: &(dyn Fn() -> bool + Sync),
        out: &mut RgbImage,
    ) -> Result<(), String> {
        let _ = stop;
        self.render(frame, out)
    }

    /// How many frames to ask for at the same time, from as many threads: what the end of one leaves idle, the next one
    /// uses. 1 by default, and 0 counts as 1.
    fn at_once(&self) -> usize {
        1
    }
}

/// An avatar that has heard a clip.
#[derive(Debug)]
pub struct TalkingHead {
    renderer: Arc<Renderer>,
    clip: Clip,
}

impl TalkingHead {
    /// Lets the avatar of `renderer` hear `features`, for a clip of `frames` frames. What it heard is put aside in
    /// `spools`: 128 bytes a frame.
    ///
    /// # Errors
    /// [`RenderError`] when the features are not of the kind that the avatar was trained with; the message
    /// names both and the extractor to use. Or when they cannot be read or there is no room.
    pub fn new(
        renderer: Arc<Renderer>,
        features: &FeatureTrack,
        frames: u64,
        spools: &Spools,
    ) -> Result<Self, RenderError> {
        let clip = renderer.clip(features, frames, spools)?;
        Ok(Self { renderer, clip })
    }
}

impl FrameSource for TalkingHead {
    fn size(&self) -> (u32, u32) {
        (self.renderer.width(), self.renderer.height())
    }

    fn render(&self, frame: FrameIndex, out: &mut RgbImage) -> Result<(), String> {
        self.renderer.render(&self.clip, frame, out).map(drop).map_err(|error| error.to_string())
    }

    fn render_until(
        &self,
        frame: FrameIndex,
        stop: &(dyn Fn() -> bool + Sync),
        out: &mut RgbImage,
    ) -> Result<(), String> {
        let rendered = self.renderer.render_until(&self.clip, frame, stop, out);
        rendered.map(drop).map_err(|error| error.to_string())
    }

    fn at_once(&self) -> usize {
        self.renderer.frames_at_once()
    }
}
