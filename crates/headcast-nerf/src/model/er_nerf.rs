//! ER-NeRF (Li et al. 2023): a tri-plane hash field conditioned on audio and eyes, and a 2-D torso.

use super::layers::{GridTable, Matrix, Mlp};
use super::scene::{AudioAttention, AudioNet, SceneOptions, Torso};

/// All weights that inference reads. Unused rows (individual codes past 0, training-only nets, the float
/// density grid) are not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ErNerf {
    /// Sizes and settings.
    pub options: SceneOptions,
    /// `aabb_infer`: `x0 y0 z0 x1 y1 z1`.
    pub aabb: [f32; 6],
    /// `[cascades × 128³ / 8]`, Morton order, least significant bit first.
    pub density_bitfield: Vec<u8>,
    /// One window of features to a 32-value code.
    pub audio: AudioNet,
    /// Present unless trained with `--att 0`.
    pub audio_attention: Option<AudioAttention>,
    /// `[classes, dims]`, only with `--emb`.
    pub embedding: Option<Matrix>,
    /// Row 0 of `individual_codes`; empty with `--ind_dim 0`.
    pub individual_code: Vec<f32>,
    /// Tables of the planes xy, yz, xz: 12 levels of 1 channel, hashed, base 64, finest 512 × bound.
    pub planes: [GridTable; 3],
    /// 36 → 64 → 32.
    pub audio_channel_attention: Mlp,
    /// 36 → 16 → 1.
    pub eye_attention: Mlp,
    /// (36 + 32 + eye) → 64 → 64 → 65.
    pub sigma: Mlp,
    /// (16 + 64 + individual) → 64 → 3.
    pub color: Mlp,
    /// Present in torso checkpoints.
    pub torso: Option<Torso>,
}

impl ErNerf {
    /// Whether sigma sees the eye value (upstream `--exp_eye`; always on in usable files).
    pub fn has_eye(&self) -> bool {
        let grid: usize = self.planes.iter().map(GridTable::outputs).sum();
        self.sigma.inputs() > grid + self.audio_channel_attention.outputs()
    }
}
