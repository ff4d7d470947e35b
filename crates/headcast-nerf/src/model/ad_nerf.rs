//! AD-NeRF (Guo et al. 2021): a head and a torso, each a coarse and a fine network without any grid.

use headcast_core::FeatureKind;

use super::layers::Linear;
use super::scene::{AudioAttention, AudioNet};

/// All weights that inference reads, and what the files around them say.
#[derive(Debug, Clone, PartialEq)]
pub struct AdNerf {
    /// Sizes and settings.
    pub options: AdOptions,
    /// One window of features to a 64-value code.
    pub audio: AudioNet,
    /// Over eight neighbouring windows.
    pub audio_attention: AudioAttention,
    /// Hears the code.
    pub head: AdField,
    /// Hears the code and the head's pose; composed in front of the head.
    pub torso: Option<AdTorso>,
}

/// What a checkpoint's shapes say, plus what they cannot say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdOptions {
    /// Which features drive it.
    pub features: FeatureKind,
    /// Depth of the first sample along the camera's axis, in dataset units; from the config file.
    pub near: f32,
    /// Depth of the last one.
    pub far: f32,
    /// Coarse samples a ray (upstream `--N_samples`, 64).
    pub samples: u32,
    /// Fine samples a ray in addition (upstream `--N_importance`, 128).
    pub importance: u32,
}

/// One checkpoint's pair of networks.
#[derive(Debug, Clone, PartialEq)]
pub struct AdField {
    /// Says where the fine samples go.
    pub coarse: FaceNet,
    /// Says what is seen.
    pub fine: FaceNet,
}

/// Density and colour of a point, after Mildenhall et al. 2020.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceNet {
    /// Encoded position and signal → W, ReLU after each. The layer behind [`SKIP`](Self::SKIP) sees the input again.
    pub points: Vec<Linear>,
    /// W → 1.
    pub alpha: Linear,
    /// W and the encoded direction → W/2, ReLU after each.
    pub views: Vec<Linear>,
    /// W/2 → 3.
    pub rgb: Linear,
}

impl FaceNet {
    /// The input is put in front of the output of this layer.
    pub const SKIP: usize = 4;
    /// Values of an encoded position: itself, sine and cosine of ten octaves.
    pub const POSITION: usize = 63;
    /// Values of an encoded direction: itself, sine and cosine of four octaves.
    pub const DIRECTION: usize = 27;

    /// Values of the signal that it hears.
    pub fn signal(&self) -> usize {
        self.points.first().map_or(0, |layer| layer.weight.cols.saturating_sub(Self::POSITION))
    }

    /// Width of the hidden layers.
    pub fn width(&self) -> usize {
        self.alpha.weight.cols
    }

    /// Multiply-adds of one query.
    pub fn multiply_adds(&self) -> usize {
        let layers = self.points.iter().chain(&self.views).chain([&self.alpha, &self.rgb]);
        layers.map(|layer| layer.weight.data.len()).sum()
    }
}

/// The torso, seen by a camera that does not move.
#[derive(Debug, Clone, PartialEq)]
pub struct AdTorso {
    /// The networks.
    pub field: AdField,
    /// The camera: the first of the training poses, as the dataset has it (x right, y up, looking along -z).
    pub pose: [[f32; 4]; 3],
}

impl AdTorso {
    /// Values made of the head's pose: three angles and a position, each with three octaves.
    pub const POSE: usize = 42;

    /// Values of the audio code that it hears.
    pub fn code(&self) -> usize {
        self.field.coarse.signal().saturating_sub(Self::POSE)
    }
}
