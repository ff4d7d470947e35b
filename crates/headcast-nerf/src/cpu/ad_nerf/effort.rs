//! What the profiles leave out.

use crate::model::AdOptions;
use crate::profile::Profile;

/// Fewest that others can be placed among.
pub(super) const LEAST_SAMPLES: u32 = 4;

/// What is left out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Effort {
    /// Samples of the first pass.
    pub(super) samples: u32,
    /// Samples of the second pass beside those of the first.
    pub(super) importance: usize,
    /// Transmittance below which a ray ends; 0 is never.
    pub(super) opaque: f32,
    /// How much the light of the nodes around a pixel may bend, of 1, before its ray is traced; `None` traces every ray.
    pub(super) tolerance: Option<f32>,
    /// Whether cells without density are passed over.
    pub(super) sparse: bool,
    /// Weight of coarse samples below which no fine one is evaluated beside them; 0 evaluates all.
    pub(super) least: f32,
    /// Blocks of a probe, for each thread.
    pub(super) blocks: usize,
}

impl Effort {
    /// Bends as for ER-NeRF.
    ///
    /// A quarter of an 8-bit step is left of the light of a ray that ends at 1/1024, a step at 1/256.
    pub(super) fn of(profile: Profile, options: &AdOptions) -> Self {
        let AdOptions { samples, importance, .. } = *options;
        let importance = importance as usize;
        let full =
            Self { samples, importance, opaque: 0.0, tolerance: None, sparse: false, least: 0.0, blocks: 2 };
        match profile {
            Profile::Parity => full,
            Profile::Quality => Self { opaque: 1.0 / 1024.0, sparse: true, blocks: 8, ..full },
            Profile::Fast => Self {
                samples: (samples / 2).max(LEAST_SAMPLES),
                importance: importance.min(20),
                opaque: 1.0 / 256.0,
                tolerance: Some(24.0 / 255.0),
                sparse: true,
                least: 1.0 / 2048.0,
                blocks: 16,
            },
            Profile::Preview => Self {
                samples: (samples / 2).max(LEAST_SAMPLES),
                importance: importance.min(10),
                opaque: 1.0 / 256.0,
                tolerance: Some(200.0 / 255.0),
                sparse: true,
                least: 1.0 / 1024.0,
                blocks: 16,
            },
        }
    }
}
