//! Why a picture cannot be made.

use headcast_core::{FrameIndex, RgbImage, ValuesError};

use super::simd::SimdLevel;
use crate::avatar::AvatarError;
use crate::conditioning::ConditioningError;

/// Why a renderer cannot be made, or refuses a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// Let the level be chosen, or force one that the CPU has.
    #[error("this CPU has no {wanted} instructions; use {best} or leave the choice to headcast")]
    SimdUnavailable {
        /// What was asked for.
        wanted: SimdLevel,
        /// The fastest level of this CPU.
        best: SimdLevel,
    },
    /// The network is of a kind that the engine does not know; import the checkpoint again, or train with
    /// upstream's default sizes.
    #[error("the CPU renderer does not know {what}; use a model of upstream's default sizes")]
    Unsupported {
        /// What is out of the ordinary.
        what: String,
    },
    /// Make the picture as large as the avatar.
    #[error("the picture is {}x{}, the avatar renders {width}x{height}", found.0, found.1)]
    PictureSize {
        /// Pixels per row of the avatar.
        width: u32,
        /// Rows of the avatar.
        height: u32,
        /// Width and height handed over.
        found: (u32, u32),
    },
    /// Nothing: whoever asked for the frame asked for it to be given up.
    #[error("the frame was given up")]
    Stopped,
    /// Pick a size that headcast accepts.
    #[error("pictures of {width}x{height} are outside 1 to {} pixels a side", RgbImage::MAX_SIDE)]
    Size {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Ask for a frame of the clip.
    #[error("frame {frame} does not exist, the clip has {frames} frames")]
    NoSuchFrame {
        /// What was asked for.
        frame: FrameIndex,
        /// Length of the clip.
        frames: u64,
    },
    /// Import the avatar again: without a pose there is nothing to show.
    #[error("the avatar has no poses; import it again with its transforms file")]
    NoPoses,
    /// Choose a value from 0 to 1, or let the avatar blink as recorded.
    #[error("an eye value of {value} is outside 0 (open) to 1 (shut)")]
    EyeValue {
        /// What was asked for.
        value: f32,
    },
    /// Leave the eyes as recorded.
    #[error("the avatar's network has no eye value, so its eyes are as they were recorded; leave `eyes` out")]
    NoEyes,
    /// Hand the picture over, or choose another background.
    #[error(
        "the background is to be a picture, and none came with the clip; send one, or choose another `background`"
    )]
    NoBackground,
    /// Leave the background as it is.
    #[error(
        "the avatar speaks inside full-body pictures, which are its background; leave `background` out, or import it \
         again without them"
    )]
    FullBodyBackground,
    /// Choose a pose that there is.
    #[error("there is no pose {pose}; the avatar has {poses}, the first one is 0")]
    NoSuchPose {
        /// What was asked for.
        pose: usize,
        /// How many there are.
        poses: usize,
    },
    /// Restore the file that the message names, or import the avatar again.
    #[error(transparent)]
    Avatar(#[from] AvatarError),
    /// Make the features again with the extractor that the message names; add the extractor again if it says so.
    #[error(transparent)]
    Conditioning(ConditioningError),
    /// Free some space on the disk and start again.
    #[error("what the avatar hears cannot be put aside or read again: {0}")]
    Spool(#[source] std::io::Error),
    /// Import the avatar again: its network is damaged.
    #[error("the avatar makes {value} of the speech where every value must be finite; import it again")]
    NotFinite {
        /// The first such value.
        value: f32,
    },
}

impl From<ConditioningError> for RenderError {
    fn from(error: ConditioningError) -> Self {
        match error {
            ConditioningError::Stopped => Self::Stopped,
            error => Self::Conditioning(error),
        }
    }
}

impl From<ValuesError> for RenderError {
    /// Of audio codes.
    fn from(error: ValuesError) -> Self {
        match error {
            ValuesError::NotFinite { value } => Self::NotFinite { value },
            ValuesError::Stopped => Self::Stopped,
            ValuesError::Io(error) => Self::Spool(error),
            error => Self::Spool(std::io::Error::other(error)),
        }
    }
}
