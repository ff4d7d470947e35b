//! The seam between what makes segments and what schedules, stores and serves them.

use std::ops::ControlFlow;

use bytes::Bytes;
pub use headcast_core::Stop;
use headcast_core::{FrameIndex, RgbImage, SegmentPlan};
use headcast_media::segment::Config;

/// Told after every frame; answering [`ControlFlow::Break`] cancels the segment.
pub type OnFrame<'a> = dyn FnMut(FrameDone<'_>) -> ControlFlow<()> + 'a;

/// One frame is rendered and on its way to the encoder.
#[derive(Debug, Clone, Copy)]
pub struct FrameDone<'a> {
    /// Its index in the clip.
    pub frame: FrameIndex,
    /// What it looks like.
    pub image: &'a RgbImage,
}

/// Something whose segments can be made at any time, in any order, with the same bytes.
pub trait SegmentSource: Send + Sync {
    /// Every segment, known before the first frame.
    fn plan(&self) -> &SegmentPlan;

    /// What all segments have in common: needed to rewrap them as MP4.
    fn config(&self) -> &Config;

    /// The first transport stream packets (PAT, PMT) of every segment, to answer a request at once while
    /// the rest is being made. Every segment starts with exactly these bytes.
    fn segment_head(&self) -> Bytes;

    /// Renders and encodes segment `index`.
    ///
    /// # Errors
    /// [`MakeError::Cancelled`] when `on_frame` said so, within one frame; else what went wrong.
    ///
    /// # Panics
    /// If `index` is not below `plan().len()`.
    fn make_segment(&self, index: usize, on_frame: &mut OnFrame<'_>) -> Result<Bytes, MakeError>;

    /// As [`Self::make_segment`], for a caller who cannot wait for the end of a frame, because one may take minutes, and so
    /// may the speech and the sound before it.
    ///
    /// * `stop`: asked now and then, from any thread; by default not at all.
    ///
    /// # Errors
    /// As [`Self::make_segment`], and [`MakeError::Cancelled`] when `stop` said so.
    ///
    /// # Panics
    /// As [`Self::make_segment`].
    fn make_segment_until(
        &self,
        index: usize,
        stop: &Stop<'_>,
        on_frame: &mut OnFrame<'_>,
    ) -> Result<Bytes, MakeError> {
        let _ = stop;
        self.make_segment(index, on_frame)
    }
}

/// Why a segment was not made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MakeError {
    /// The caller's `on_frame` or `stop` said so.
    #[error("cancelled")]
    Cancelled,
    /// The renderer could not make a frame.
    #[error("frame {frame} cannot be rendered: {reason}")]
    Render {
        /// Which frame.
        frame: FrameIndex,
        /// What the renderer said.
        reason: String,
    },
    /// The extractor that hears the clip is damaged, or is no speech network: add the model again.
    #[error("frame {frame} cannot be rendered: {reason}")]
    Extractor {
        /// Which frame.
        frame: FrameIndex,
        /// What is wrong with it, and what to do.
        reason: String,
    },
    /// The encoder refused a frame, or the sound of the segment is missing.
    #[error("segment {index} cannot be encoded: {reason}")]
    Encode {
        /// Which segment.
        index: usize,
        /// What the encoder said.
        reason: String,
    },
}
