//! RAD-NeRF (Tang et al. 2022): a 3-D feature grid, and a 2-D one whose position the audio decides.

use super::layers::{GridTable, Matrix, Mlp};
use super::scene::{AudioAttention, AudioNet, SceneOptions, Torso};

/// All weights that inference reads; what ER-NeRF has too means the same.
#[derive(Debug, Clone, PartialEq)]
pub struct RadNerf {
    /// Sizes and settings.
    pub options: SceneOptions,
    /// `aabb_infer`: `x0 y0 z0 x1 y1 z1`.
    pub aabb: [f32; 6],
    /// `[cascades × 128³ / 8]`, Morton order, least significant bit first.
    pub density_bitfield: Vec<u8>,
    /// One window of features to a 64-value code.
    pub audio: AudioNet,
    /// Present unless trained with `--att 0`.
    pub audio_attention: Option<AudioAttention>,
    /// `[classes, dims]`, only with `--emb`.
    pub embedding: Option<Matrix>,
    /// Row 0 of `individual_codes`; empty with `--ind_dim 0`.
    pub individual_code: Vec<f32>,
    /// Position in space: 16 levels of 2 channels, tiled, base 16, finest 2048 × bound.
    pub grid: GridTable,
    /// Position in the ambient plane: 16 levels of 2 channels, tiled, base 16, finest 2048.
    pub ambient_grid: GridTable,
    /// (32 + 64) → 64 → 64 → 2.
    pub ambient: Mlp,
    /// (32 + 32 + eye) → 64 → 64 → 65.
    pub sigma: Mlp,
    /// (16 + 64 + individual) → 64 → 3.
    pub color: Mlp,
    /// Present in torso checkpoints.
    pub torso: Option<Torso>,
}

impl RadNerf {
    /// Whether sigma sees the eye value (upstream `--exp_eye`).
    pub fn has_eye(&self) -> bool {
        self.sigma.inputs() > self.grid.outputs() + self.ambient_grid.outputs()
    }
}
