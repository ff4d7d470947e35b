//! What one query of a head's field yields, stage by stage.

/// Density and colour, and how they came about.
#[derive(Debug, Clone, PartialEq)]
pub struct PointOutput {
    /// Features of the position: of the planes xy, yz, xz (ER-NeRF, `[36]`), or of space (RAD-NeRF, `[32]`).
    pub encoding: Vec<f32>,
    /// What audio and eyes do here.
    pub conditioning: PointConditioning,
    /// Logarithm of the density.
    pub log_sigma: f32,
    /// Density, per unit of length.
    pub sigma: f32,
    /// What the colour net learns of the shape: `[64]`.
    pub geometry: Vec<f32>,
    /// Colour, in ER-NeRF up to 0.001 beyond `[0, 1]`.
    pub rgb: [f32; 3],
}

/// How a family lets audio and eyes act on a point.
#[derive(Debug, Clone, PartialEq)]
pub enum PointConditioning {
    /// ER-NeRF: how much they matter here.
    Er {
        /// Of each channel of the audio code: `[32]`.
        audio_attention: Vec<f32>,
        /// Of the eye value; 0 in a model without it.
        eye_attention: f32,
    },
    /// RAD-NeRF: where the audio takes the point in the ambient plane.
    Rad {
        /// In `[-1, 1]`.
        ambient: [f32; 2],
        /// Features there: `[32]`.
        encoding: Vec<f32>,
    },
}
