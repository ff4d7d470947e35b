//! ER-NeRF (Li et al. 2023): a tri-plane hash field conditioned on audio and eyes, and a 2-D torso.

use headcast_core::FeatureKind;

use super::layers::{Conv1d, GridTable, Linear, Matrix, Mlp};

/// What a checkpoint's shapes say, plus what they cannot say (with upstream's default).
#[derive(Debug, Clone, PartialEq)]
pub struct ErOptions {
    /// Which features drive it.
    pub features: FeatureKind,
    /// Neighbour windows that the audio attention sees: 0 (none), 1 or 2. Files cannot tell 1 from 2.
    pub attention: u8,
    /// Half the side of the scene box; planes cover `[-bound, bound]`.
    pub bound: f32,
    /// Occupancy cascades, 1 for `bound` 1.
    pub cascades: u32,
    /// Smallest step count across the box (upstream `--max_steps`, 16): step length and per-ray budget.
    pub max_steps: u32,
    /// Step growth with distance (upstream `--dt_gamma`, 1/256).
    pub dt_gamma: f32,
    /// Nearest sample (upstream `--min_near`, 0.05).
    pub min_near: f32,
    /// Scale of torso coordinates (upstream `--torso_shrink`, 0.8).
    pub torso_shrink: f32,
}

/// All weights that inference reads. Unused rows (individual codes past 0, training-only nets, the float
/// density grid) are not kept.
#[derive(Debug, Clone, PartialEq)]
pub struct ErNerf {
    /// Sizes and settings.
    pub options: ErOptions,
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

/// Four convolutions of stride 2 and two linear layers, LeakyReLU 0.02 between.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioNet {
    /// A → 32 → 32 → 64 → 64, kernel 3, stride 2, padding 1.
    pub convolutions: [Conv1d; 4],
    /// 64 → 64 → 32.
    pub linear: [Linear; 2],
}

/// Attention over the codes of eight neighbouring windows.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioAttention {
    /// 32 → 16 → 8 → 4 → 2 → 1, kernel 3, padding 1, LeakyReLU 0.02 after each.
    pub convolutions: [Conv1d; 5],
    /// 8 → 8, softmax after.
    pub linear: Linear,
}

/// The pose-driven 2-D torso.
#[derive(Debug, Clone, PartialEq)]
pub struct Torso {
    /// Three world points, homogeneous.
    pub anchor_points: [[f32; 4]; 3],
    /// Row 0 of `individual_codes_torso`; may be empty.
    pub individual_code: Vec<f32>,
    /// `[128, 128]`: see `torso mask` in the specification for its orientation.
    pub density_grid: Vec<f32>,
    /// Threshold partner of 0.01.
    pub mean_density: f32,
    /// 84 → 32 → 32 → 2.
    pub deform: Mlp,
    /// 16 levels of 2 channels, tiled, base 16, finest 2048.
    pub grid: GridTable,
    /// 116 → 32 → 32 → 4.
    pub net: Mlp,
}
