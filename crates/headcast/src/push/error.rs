//! What can be wrong with a stream, and what its user should know.

use std::fmt;

use headcast_media::h264;
use headcast_media::store::StoreError;

use super::pixels::PixelsError;
use crate::clip_folder::ClipFolderError;

/// Why a stream cannot be opened, or takes no more frames.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Scale the frames, or use fewer of them per second.
    #[error(transparent)]
    Video(#[from] h264::Error),
    /// The picture is refused; the stream goes on.
    #[error(transparent)]
    Pixels(#[from] PixelsError),
    /// The picture is refused; the stream goes on.
    #[error(
        "a frame of {}x{} came to a stream of {}x{}; scale it, or open the stream with its size",
        found.0, found.1, expected.0, expected.1
    )]
    WrongSize {
        /// Width and height of the stream.
        expected: (u32, u32),
        /// Width and height of the frame.
        found: (u32, u32),
    },
    /// Choose another folder, or look at the disk.
    #[error(transparent)]
    Folder(#[from] ClipFolderError),
    /// Look at the disk; what was made before is kept, and a stream that is opened on it again goes on there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Open the stream with the settings it had, or in another place.
    #[error("what was made earlier cannot be continued: {what}; use the same settings, or begin again")]
    Mismatch {
        /// What differs.
        what: &'static str,
    },
    /// A fault of the encoder, or the sound of the clip broke off: the reason says which.
    #[error("segment {index} cannot be encoded: {reason}")]
    Encode {
        /// Which segment.
        index: usize,
        /// What the encoder said.
        reason: String,
    },
    /// Write a frame: there is nothing to play, and no last picture to hold.
    #[error("no frame was written{}", Missing(*.missing))]
    NoFrame {
        /// Frames that are missing at the end of a clip whose length is known.
        missing: Option<u64>,
    },
    /// The stream failed earlier, with this reason.
    #[error("the stream has ended: {reason}")]
    Ended {
        /// Why.
        reason: String,
    },
    /// The system has no thread left: close other programs and try again.
    #[error("the encoder's thread cannot be started: {0}")]
    Thread(#[source] std::io::Error),
}

struct Missing(Option<u64>);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(frames) => write!(f, ", and {frames} are missing at the end of the clip"),
            None => Ok(()),
        }
    }
}

/// What the user should know about a clip that is finished.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The sound is longer than the pictures: the last one is held for so many frames. One is usual, where a model
    /// rounds down.
    Held {
        /// Frames that show the last picture once more.
        frames: u64,
    },
    /// The pictures are more than the sound: so many, at the end, were left out.
    Surplus {
        /// Frames that were left out.
        frames: u64,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |frames: u64| if frames == 1 { "1 frame".to_owned() } else { format!("{frames} frames") };
        match self {
            Self::Held { frames } => {
                write!(f, "{} missing at the end: the last picture is held as long", count(*frames))
            }
            Self::Surplus { frames } => write!(f, "{} after the end of the clip left out", count(*frames)),
        }
    }
}
