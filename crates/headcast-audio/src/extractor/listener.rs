//! The seam between a clip and an extractor.

use std::io;

use headcast_core::{FeatureError, FeatureTrack, Stop};

/// Why there are no features.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// Free some space.
    #[error("what is worked on cannot be put aside: {0}")]
    Spool(#[from] io::Error),
    /// Nobody wants them any more.
    #[error("cancelled")]
    Cancelled,
    /// The weights are not those of a speech network, or are damaged: add the model again.
    #[error("the extractor's values cannot be used: {0}; add the model again")]
    Values(#[source] FeatureError),
}

/// Hears one clip: samples in, features out.
pub trait Listener: Send + std::fmt::Debug {
    /// The next samples of the recording's first channel, at the rate that the listener was made for, about ±1. May take as long as it takes to make features of them.
    ///
    /// # Errors
    /// What the system says when they cannot be put aside.
    fn push(&mut self, samples: &[f32]) -> io::Result<()>;

    /// The features of all that was heard; `None` if that is too short for any.
    ///
    /// * `stop`: asked now and then, perhaps on another thread.
    ///
    /// # Errors
    /// [`ListenError`].
    fn finish(self: Box<Self>, stop: &Stop<'_>) -> Result<Option<FeatureTrack>, ListenError>;
}

/// A track that was just made.
pub(super) fn track(made: Result<FeatureTrack, FeatureError>) -> Result<Option<FeatureTrack>, ListenError> {
    match made {
        Ok(track) => Ok(Some(track)),
        Err(FeatureError::Empty) => Ok(None),
        Err(FeatureError::Unreadable { reason }) => Err(io::Error::other(reason).into()),
        Err(error) => Err(ListenError::Values(error)),
    }
}
