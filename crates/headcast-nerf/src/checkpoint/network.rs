//! Whatever network a file holds.

use std::io::{Read, Seek};

use super::error::CheckpointError;
use super::family::Family;
use super::reader::Checkpoint;
use crate::model::{AdNerf, ErNerf, Network, RadNerf};

impl Network {
    /// Builds the network that an opened file holds: a checkpoint of ER-NeRF or RAD-NeRF, or an avatar's
    /// `model.safetensors` of any family. An AD-NeRF checkpoint is half a network: see [`AdNerf::from_checkpoints`].
    ///
    /// # Errors
    /// [`CheckpointError`]: as [`ErNerf::from_checkpoint`]; the family's name when it is none that is known.
    pub fn from_checkpoint<R: Read + Seek>(checkpoint: &mut Checkpoint<R>) -> Result<Self, CheckpointError> {
        match checkpoint.family() {
            Family::ErNerf => ErNerf::from_checkpoint(checkpoint).map(|model| Self::Er(Box::new(model))),
            Family::RadNerf => RadNerf::from_checkpoint(checkpoint).map(|model| Self::Rad(Box::new(model))),
            Family::AdNerf => AdNerf::from_avatar(checkpoint).map(|model| Self::Ad(Box::new(model))),
            found => Err(CheckpointError::Family { found, expected: Family::Unknown }),
        }
    }
}
