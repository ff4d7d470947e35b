//! What an avatar hears in a clip.

use std::ops::Range;
use std::sync::Arc;

use headcast_core::{FeatureTrack, FrameIndex, Lazy, Maker, Spools, Stop};

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
    /// [`RenderError::NoSuchFrame`] past the end, [`RenderError::Spool`] when what was put aside cannot be read,
    /// [`RenderError::Conditioning`] when the features cannot be read or made, [`RenderError::NotFinite`] when the
    /// network makes values of them that are no numbers.
    pub fn code(&self, frame: FrameIndex) -> Result<Vec<f32>, RenderError> {
        self.code_until(frame, &|| false)
    }

    /// As [`Self::code`], for a caller who may want to give up: behind a jump, minutes of speech may have to be heard
    /// first. What was heard by then stays.
    ///
    /// * `stop`: asked before every second or so of speech, and more often where the network that hears it is large.
    ///
    /// # Errors
    /// As [`Self::code`], and [`RenderError::Stopped`] when `stop` said so.
    pub fn code_until(&self, frame: FrameIndex, stop: &Stop<'_>) -> Result<Vec<f32>, RenderError> {
        if frame.0 >= self.frames {
            return Err(RenderError::NoSuchFrame { frame, frames: self.frames });
        }
        let width = self.codes.maker().width();
        let mut code = vec![0.0; width];
        self.codes.read_until(frame.0 * width as u64, stop, &mut code)?;
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
        stop: &Stop<'_>,
        out: &mut Vec<f32>,
    ) -> Result<(), ConditioningError> {
        let previous = before.try_into().ok();
        let (first, all) = (frames.start, self.frames);
        let mut codes =
            AudioCodes::starting_at(first, previous, ears, &self.features, all, self.smooth_lips)?;
        for _ in frames {
            out.extend(codes.next_until(stop).expect("frames of the clip")?);
        }
        Ok(())
    }
}

impl Maker for Codes {
    type Error = RenderError;

    fn count(&self) -> u64 {
        self.frames * self.width() as u64
    }

    fn chunk(&self) -> usize {
        TOGETHER * self.width()
    }

    fn before(&self) -> usize {
        if self.smooth_lips { self.width() } else { 0 }
    }

    fn make(
        &self,
        range: Range<u64>,
        before: &[f32],
        stop: &Stop<'_>,
        out: &mut Vec<f32>,
    ) -> Result<(), RenderError> {
        let width = self.width() as u64;
        let frames = range.start / width..range.end / width;
        match &self.avatar.model {
            Network::Er(model) => self.hear(Ears::from(&**model), frames, before, stop, out)?,
            Network::Rad(model) => self.hear(Ears::from(&**model), frames, before, stop, out)?,
            Network::Ad(model) => self.hear(Ears::from(&**model), frames, before, stop, out)?,
        }
        Ok(())
    }
}
