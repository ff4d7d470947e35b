//! Where frames come from.

use std::sync::Arc;

use headcast_core::{FeatureTrack, FrameIndex, RgbImage, Spools, Stop};
use headcast_nerf::conditioning::ConditioningError;
use headcast_nerf::cpu::RenderError;
use headcast_nerf::{Clip, Renderer};

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Nothing: whoever asked for the frame gave it up.
    #[error("the frame was given up")]
    Stopped,
    /// The extractor that hears the clip is damaged, or is no speech network: add the model again.
    #[error("{0}")]
    Extractor(String),
    /// One sentence on what is wrong, and what to do.
    #[error("{0}")]
    Other(String),
}

impl From<RenderError> for FrameError {
    fn from(error: RenderError) -> Self {
        match error {
            RenderError::Stopped => Self::Stopped,
            RenderError::Conditioning(ConditioningError::NotFinite { .. }) => {
                Self::Extractor(error.to_string())
            }
            error => Self::Other(error.to_string()),
        }
    }
}

/// Makes the frames of one clip, each on its own: frame i is the same whichever was made before it.
pub trait FrameSource: Send + Sync {
    /// Width and height of every frame, pixels.
    fn size(&self) -> (u32, u32);

    /// Draws frame `frame` into `out`, a picture of [`Self::size`].
    ///
    /// # Errors
    /// [`FrameError`].
    fn render(&self, frame: FrameIndex, out: &mut RgbImage) -> Result<(), FrameError>;

    /// As [`Self::render`], for a caller who may want to give the frame up, which matters where one takes minutes.
    ///
    /// * `stop`: asked now and then, from any thread; by default not at all.
    ///
    /// # Errors
    /// As [`Self::render`]; any error will do once `stop` has said so.
    fn render_until(&self, frame: FrameIndex, stop: &Stop<'_>, out: &mut RgbImage) -> Result<(), FrameError> {
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
    /// Lets the avatar of `renderer` hear `features`, for a clip of `frames` frames: each of them when it is rendered,
    /// which is when features that cannot be read, and a disk that is full, are noticed. What was heard is put aside in
    /// `spools`, as much as [`Clip`] says.
    ///
    /// # Errors
    /// [`RenderError`] when the features are not of the kind that the avatar was trained with; the message
    /// names both and the extractor to use.
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

    fn render(&self, frame: FrameIndex, out: &mut RgbImage) -> Result<(), FrameError> {
        self.renderer.render(&self.clip, frame, out)?;
        Ok(())
    }

    fn render_until(&self, frame: FrameIndex, stop: &Stop<'_>, out: &mut RgbImage) -> Result<(), FrameError> {
        self.renderer.render_until(&self.clip, frame, stop, out)?;
        Ok(())
    }

    fn at_once(&self) -> usize {
        self.renderer.frames_at_once()
    }
}
