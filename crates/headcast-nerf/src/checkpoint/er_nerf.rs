//! ER-NeRF from a state dict: options from shapes.

use std::io::{Read, Seek};

use super::error::CheckpointError;
use super::family::Family;
use super::loader::{GEOMETRY, Loader};
use super::reader::Checkpoint;
use crate::model::{ErNerf, GridTable, TorsoPose};

impl ErNerf {
    /// Builds the network from an opened checkpoint.
    ///
    /// Options are read from the shapes; what shapes cannot say takes upstream's default: two neighbours of
    /// attention where there is any, 16 steps, `dt_gamma` 1/256, `min_near` 0.05, torso scale 0.8.
    /// Training-only tensors, the float density grid and optimizer state are not read.
    ///
    /// # Errors
    /// [`CheckpointError`]: another family (with its name), a missing tensor, a shape (expected and found),
    /// NaN or infinity (with the tensor's name), feature rows of an unknown width.
    pub fn from_checkpoint<R: Read + Seek>(checkpoint: &mut Checkpoint<R>) -> Result<Self, CheckpointError> {
        checkpoint.expect_family(Family::ErNerf)?;
        let mut loader = Loader::new(checkpoint);
        let aabb = loader.aabb()?;
        let (density_bitfield, cascades) = loader.bitfield()?;
        let (audio, features) = loader.audio_net("audio_net", CODE)?;
        let audio_attention = loader.audio_attention("audio_att_net", CODE)?;
        let embedding = loader.embedding(features.dims())?;
        let individual_code = loader.code("individual_codes")?;
        let mut plane = |name| loader.table(name, 12, 1);
        let planes = [plane("encoder_xy")?, plane("encoder_yz")?, plane("encoder_xz")?];
        let grid: usize = planes.iter().map(GridTable::outputs).sum();
        let eye = loader.eye_inputs(grid + CODE)?;
        let anchors = |loader: &mut Loader<'_, R>| {
            let values = loader.floats("anchor_points", &[3, 4])?;
            let at = |k, i| values[4 * k + i];
            Ok(TorsoPose::Anchors(std::array::from_fn(|k| std::array::from_fn(|i| at(k, i)))))
        };
        let torso = loader.torso(anchors, 32)?;
        Ok(Self {
            options: Loader::<R>::options(features, audio_attention.is_some(), aabb[3], cascades),
            aabb,
            density_bitfield,
            audio,
            audio_attention,
            embedding,
            audio_channel_attention: loader.mlp("aud_ch_att_net", &[grid, 64, CODE])?,
            eye_attention: loader.mlp("eye_att_net", &[grid, 16, 1])?,
            sigma: loader.mlp("sigma_net", &[grid + CODE + eye, 64, 64, 1 + GEOMETRY])?,
            color: loader.mlp("color_net", &[16 + GEOMETRY + individual_code.len(), 64, 3])?,
            individual_code,
            planes,
            torso,
        })
    }
}

/// Values in the audio code.
const CODE: usize = 32;
