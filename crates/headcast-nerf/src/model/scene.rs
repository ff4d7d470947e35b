//! What ER-NeRF and RAD-NeRF have in common: how they hear, how space is sampled, the 2-D torso.

use headcast_core::FeatureKind;

use super::layers::{Conv1d, GridTable, Linear, Mlp};

/// What a checkpoint's shapes say, plus what they cannot say (with upstream's default).
#[derive(Debug, Clone, PartialEq)]
pub struct SceneOptions {
    /// Which features drive it.
    pub features: FeatureKind,
    /// Neighbour windows that the audio attention sees: 0 (none), 1 or 2. Files cannot tell 1 from 2.
    pub attention: u8,
    /// Half the side of the scene box; feature grids cover `[-bound, bound]`.
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

/// Four convolutions of stride 2 and two linear layers, LeakyReLU 0.02 between.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioNet {
    /// A → 32 → 32 → 64 → 64, kernel 3, stride 2, padding 1.
    pub convolutions: [Conv1d; 4],
    /// 64 → 64 → 32 in ER-NeRF, → 64 in the others.
    pub linear: [Linear; 2],
}

/// Attention over the codes of eight neighbouring windows.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioAttention {
    /// C → 16 → 8 → 4 → 2 → 1, kernel 3, padding 1, LeakyReLU 0.02 after each. C is the width of the code; AD-NeRF
    /// looks at the first 32 of 64 values.
    pub convolutions: [Conv1d; 5],
    /// 8 → 8, softmax after.
    pub linear: Linear,
}

/// The pose-driven 2-D torso.
#[derive(Debug, Clone, PartialEq)]
pub struct Torso {
    /// How it follows the head.
    pub pose: TorsoPose,
    /// Row 0 of `individual_codes_torso`; may be empty.
    pub individual_code: Vec<f32>,
    /// `[128, 128]`: see `torso mask` in the specification for its orientation.
    pub density_grid: Vec<f32>,
    /// Threshold partner of 0.01.
    pub mean_density: f32,
    /// ER-NeRF: 84 → 32 → 32 → 2; RAD-NeRF: 104 → 64 → 64 → 2.
    pub deform: Mlp,
    /// 16 levels of 2 channels, tiled, base 16, finest 2048.
    pub grid: GridTable,
    /// ER-NeRF: 116 → 32 → 32 → 4; RAD-NeRF: 136 → 32 → 32 → 4.
    pub net: Mlp,
}

/// What tells the torso how the head is held: six numbers, made from the camera's pose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TorsoPose {
    /// ER-NeRF: three homogeneous world points as the camera sees them.
    Anchors([[f32; 4]; 3]),
    /// RAD-NeRF: Euler angles and position of the camera.
    Euler,
}

impl TorsoPose {
    /// Octaves of the encoded plane position, and of the six numbers.
    pub fn bands(self) -> [u32; 2] {
        match self {
            Self::Anchors(_) => [8, 3],
            Self::Euler => [10, 4],
        }
    }
}
