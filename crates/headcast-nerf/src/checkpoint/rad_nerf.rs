//! RAD-NeRF from a state dict: options from shapes.

use std::io::{Read, Seek};

use super::error::CheckpointError;
use super::family::Family;
use super::loader::{GEOMETRY, Loader};
use super::reader::Checkpoint;
use crate::model::{RadNerf, TorsoPose};

impl RadNerf {
    /// Builds the network from an opened checkpoint; defaults as for ER-NeRF.
    ///
    /// # Errors
    /// As [`ErNerf::from_checkpoint`](crate::model::ErNerf::from_checkpoint).
    pub fn from_checkpoint<R: Read + Seek>(checkpoint: &mut Checkpoint<R>) -> Result<Self, CheckpointError> {
        checkpoint.expect_family(Family::RadNerf)?;
        let mut loader = Loader::new(checkpoint);
        let aabb = loader.aabb()?;
        let (density_bitfield, cascades) = loader.bitfield()?;
        let (audio, features) = loader.audio_net("audio_net", CODE)?;
        let audio_attention = loader.audio_attention("audio_att_net", CODE)?;
        let embedding = loader.embedding(features.dims())?;
        let individual_code = loader.code("individual_codes")?;
        let grid = loader.table("encoder", 16, 2)?;
        let ambient_grid = loader.table("encoder_ambient", 16, 2)?;
        let features_in = grid.outputs() + ambient_grid.outputs();
        let eye = loader.eye_inputs(features_in)?;
        Ok(Self {
            options: Loader::<R>::options(features, audio_attention.is_some(), aabb[3], cascades),
            aabb,
            density_bitfield,
            audio,
            audio_attention,
            embedding,
            ambient: loader.mlp("ambient_net", &[grid.outputs() + CODE, 64, 64, 2])?,
            sigma: loader.mlp("sigma_net", &[features_in + eye, 64, 64, 1 + GEOMETRY])?,
            color: loader.mlp("color_net", &[16 + GEOMETRY + individual_code.len(), 64, 3])?,
            torso: loader.torso(|_| Ok(TorsoPose::Euler), 64)?,
            individual_code,
            grid,
            ambient_grid,
        })
    }
}

/// Values in the audio code.
const CODE: usize = 64;
