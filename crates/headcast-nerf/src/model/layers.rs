//! The pieces that every upstream network is made of.

/// `[rows, cols]`, row-major. As a layer's weight: `rows` outputs, `cols` inputs.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Outputs.
    pub rows: usize,
    /// Inputs.
    pub cols: usize,
    /// `rows × cols` values.
    pub data: Vec<f32>,
}

/// `y = W x + b`.
#[derive(Debug, Clone, PartialEq)]
pub struct Linear {
    /// `[outputs, inputs]`.
    pub weight: Matrix,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// One-dimensional convolution over time.
#[derive(Debug, Clone, PartialEq)]
pub struct Conv1d {
    /// Channels out.
    pub outputs: usize,
    /// Channels in.
    pub inputs: usize,
    /// Taps.
    pub kernel: usize,
    /// `[outputs, inputs, kernel]`, row-major.
    pub weight: Vec<f32>,
    /// `[outputs]`.
    pub bias: Vec<f32>,
}

/// Bias-free linear layers with ReLU between them and none after the last.
#[derive(Debug, Clone, PartialEq)]
pub struct Mlp {
    /// In order; each layer's inputs are the outputs of the one before.
    pub layers: Vec<Matrix>,
}

impl Mlp {
    /// Values in.
    pub fn inputs(&self) -> usize {
        self.layers.first().map_or(0, |m| m.cols)
    }

    /// Values out.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |m| m.rows)
    }
}

/// The table of a multi-level feature grid (Müller et al. 2022, §3), as the checkpoint stores it.
#[derive(Debug, Clone, PartialEq)]
pub struct GridTable {
    /// Features per entry.
    pub channels: usize,
    /// `[levels + 1]` entry numbers, increasing from 0; level `l` owns `offsets[l]..offsets[l + 1]`.
    pub offsets: Vec<u32>,
    /// `[offsets[levels], channels]`, row-major.
    pub embeddings: Vec<f32>,
}

impl GridTable {
    /// Number of levels.
    pub fn levels(&self) -> usize {
        self.offsets.len() - 1
    }

    /// Values out: `levels × channels`.
    pub fn outputs(&self) -> usize {
        self.levels() * self.channels
    }
}
