//! What an avatar hears in a clip.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use headcast_core::{FeatureTrack, FrameIndex, Lazy, Maker, Spools, Values};

use crate::avatar::Avatar;
use crate::conditioning::{AUDIO_CODE_LEN, AudioCodes, ConditioningError, Ears, WIDE_CODE_LEN};
use crate::cpu::RenderError;
use crate::model::Network;

/// Frames whose codes are made together. Each of them looks at eight windows, its neighbours at seven of the same, so
/// few would cost more and many would keep the first frame waiting.
const TOGETHER: usize = 32;

/// What an avatar hears in every frame of a clip: found out when a frame needs it, then put aside, 128 bytes a frame for
/// ER-NeRF, 256 for the others.
///
/// Where lips are smoothed, a code depends on the one before it and so on all before it; else it takes those of the
/// frames around, and what is heard behind a jump is heard at once.
#[derive(Debug)]
pub struct Clip {
    codes: Lazy<Codes>,
    frames: u64,
}

/// Makes the codes of a clip.
#[derive(Debug)]
struct Codes {
    avatar: Arc<Avatar>,
    features: FeatureTrack,
    frames: u64,
    smooth_lips: bool,
}

impl Clip {
    pub(crate) fn new(
        avatar: &Arc<Avatar>,
        features: &FeatureTrack,
        frames: u64,
        smooth_lips: bool,
        spools: &Spools,
    ) -> Result<Self, RenderError> {
        let (expected, found) = (avatar.model.features(), features.kind());
        if expected != found {
            return Err(ConditioningError::FeatureKind { expected, found }.into());
        }
        let codes = Codes { avatar: Arc::clone(avatar), features: features.clone(), frames, smooth_lips };
        Ok(Self { codes: Lazy::new(codes, spools), frames })
    }

    /// Length in frames.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// The audio code of `frame`.
    ///
    /// # Errors
    /// [`RenderError::NoSuchFrame`] past the end, [`RenderError::Spool`] when what was put aside cannot be read or the
    /// features cannot be made.
    pub fn code(&self, frame: FrameIndex) -> Result<Vec<f32>, RenderError> {
        if frame.0 >= self.frames {
            return Err(RenderError::NoSuchFrame { frame, frames: self.frames });
        }
        let width = self.codes.maker().width();
        let mut code = vec![0.0; width];
        self.codes.read(frame.0 * width as u64, &mut code).map_err(RenderError::Spool)?;
        Ok(code)
    }
}

impl Codes {
    /// Values in a code.
    fn width(&self) -> usize {
        match &self.avatar.model {
            Network::Er(_) => AUDIO_CODE_LEN,
            Network::Rad(_) | Network::Ad(_) => WIDE_CODE_LEN,
        }
    }

    fn hear<const N: usize>(
        &self,
        ears: Ears<'_, N>,
        frames: Range<u64>,
        before: &[f32],
        out: &mut Vec<f32>,
    ) -> Result<(), ConditioningError> {
        let previous = before.try_into().ok();
        let (first, left) = (frames.start, frames.end - frames.start);
        let codes =
            AudioCodes::starting_at(first, previous, ears, &self.features, self.frames, self.smooth_lips)?;
        for code in codes.take(usize::try_from(left).unwrap_or(usize::MAX)) {
            out.extend(code?);
        }
        Ok(())
    }
}

impl Maker for Codes {
    fn count(&self) -> u64 {
        self.frames * self.width() as u64
    }

    fn chunk(&self) -> usize {
        TOGETHER * self.width()
    }

    fn before(&self) -> usize {
        if self.smooth_lips { self.width() } else { 0 }
    }

    fn make(&self, range: Range<u64>, before: &[f32], out: &mut Vec<f32>) -> io::Result<()> {
        let width = self.width() as u64;
        let frames = range.start / width..range.end / width;
        let heard = match &self.avatar.model {
            Network::Er(model) => self.hear(Ears::from(&**model), frames, before, out),
            Network::Rad(model) => self.hear(Ears::from(&**model), frames, before, out),
            Network::Ad(model) => self.hear(Ears::from(&**model), frames, before, out),
        };
        heard.map_err(io::Error::other)
    }
}
