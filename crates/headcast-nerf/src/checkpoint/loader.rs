//! Tensors by name, their shapes checked before their values are read: what the families share.

use std::io::{Read, Seek};

use headcast_core::FeatureKind;

use super::error::{CheckpointError, shape_text};
use super::reader::Checkpoint;
use crate::model::{
    AudioAttention, AudioNet, Conv1d, GridTable, Linear, Matrix, Mlp, SceneOptions, Torso, TorsoPose,
};

/// Values that the density net hands to the colour net.
pub(super) const GEOMETRY: usize = 64;
/// Bytes of the occupancy bits of one cascade, `128³ / 8`.
const CASCADE_BYTES: usize = 262_144;
/// More cascades and a larger box than any upstream configuration.
const MAX_CASCADES: usize = 8;
const MAX_BOUND: f32 = 128.0;
/// Table entries of all levels; the defaults have 163,584 and 555,520.
const MAX_ENTRIES: usize = 1 << 24;
/// Values of an individual code; the defaults are 4 and 8.
const MAX_CODE: usize = 256;

/// Reads checked tensors. Names are those of the file behind `prefix`.
pub(super) struct Loader<'a, R> {
    pub(super) file: &'a mut Checkpoint<R>,
    prefix: &'a str,
}

impl<'a, R: Read + Seek> Loader<'a, R> {
    pub(super) fn new(file: &'a mut Checkpoint<R>) -> Self {
        Self { file, prefix: "" }
    }

    /// * `prefix`: in front of every name, such as `head.`.
    pub(super) fn within(file: &'a mut Checkpoint<R>, prefix: &'a str) -> Self {
        Self { file, prefix }
    }

    /// The file's name for `name`.
    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.file.has(&self.full(name))
    }

    pub(super) fn values(&self, tensor: &str, what: impl Into<String>) -> CheckpointError {
        CheckpointError::Values { tensor: self.full(tensor), what: what.into() }
    }

    /// `tensor` has shape `found`, which breaks the rule `expected`.
    pub(super) fn misshapen(&self, tensor: &str, expected: String, found: Vec<usize>) -> CheckpointError {
        CheckpointError::Shape { tensor: self.full(tensor), expected, found }
    }

    /// The box and what follows from it.
    pub(super) fn aabb(&mut self) -> Result<[f32; 6], CheckpointError> {
        let aabb = self.fixed::<6>("aabb_infer")?;
        let bound = aabb[3];
        if bound <= 0.0 || bound > MAX_BOUND || (0..3).any(|k| aabb[k] >= aabb[k + 3]) {
            return Err(self.values("aabb_infer", format!("the box {aabb:?} is empty or beyond {MAX_BOUND}")));
        }
        Ok(aabb)
    }

    /// What shapes do not say, with upstream's defaults.
    pub(super) fn options(features: FeatureKind, attention: bool, bound: f32, cascades: u32) -> SceneOptions {
        SceneOptions {
            features,
            attention: if attention { 2 } else { 0 },
            bound,
            cascades,
            max_steps: 16,
            dt_gamma: 1.0 / 256.0,
            min_near: 0.05,
            torso_shrink: 0.8,
        }
    }

    pub(super) fn embedding(&mut self, dims: usize) -> Result<Option<Matrix>, CheckpointError> {
        match self.has("embedding.weight") {
            true => self.matrix("embedding.weight", dims, dims).map(Some),
            false => Ok(None),
        }
    }

    /// The shape under `name`, which must be there.
    pub(super) fn shape(&mut self, name: &str) -> Result<Vec<usize>, CheckpointError> {
        let name = self.full(name);
        match self.file.shape(&name) {
            Some(shape) => Ok(shape.to_vec()),
            // Reading says whether it is missing or something else.
            None => self.file.read(&name).map(|tensor| tensor.shape().to_vec()),
        }
    }

    pub(super) fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let found = self.shape(name)?;
        if found != shape {
            return Err(self.misshapen(name, shape_text(shape), found));
        }
        self.file.read(&self.full(name))?.to_finite_f32()
    }

    pub(super) fn fixed<const N: usize>(&mut self, name: &str) -> Result<[f32; N], CheckpointError> {
        let values = self.floats(name, &[N])?;
        Ok(std::array::from_fn(|i| values[i]))
    }

    pub(super) fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Matrix, CheckpointError> {
        Ok(Matrix { rows, cols, data: self.floats(name, &[rows, cols])? })
    }

    pub(super) fn linear(
        &mut self,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Linear, CheckpointError> {
        Ok(Linear {
            weight: self.matrix(&format!("{name}.weight"), outputs, inputs)?,
            bias: self.floats(&format!("{name}.bias"), &[outputs])?,
        })
    }

    fn convolution(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Conv1d, CheckpointError> {
        let kernel = 3;
        Ok(Conv1d {
            outputs,
            inputs,
            kernel,
            weight: self.floats(&format!("{name}.weight"), &[outputs, inputs, kernel])?,
            bias: self.floats(&format!("{name}.bias"), &[outputs])?,
        })
    }

    /// `widths`: values before, between and after the layers.
    pub(super) fn mlp(&mut self, name: &str, widths: &[usize]) -> Result<Mlp, CheckpointError> {
        let layers = widths.windows(2).enumerate();
        let layers = layers.map(|(i, w)| self.matrix(&format!("{name}.net.{i}.weight"), w[1], w[0]));
        Ok(Mlp { layers: layers.collect::<Result<_, _>>()? })
    }

    /// Row 0 of individual codes; empty if the file has none.
    pub(super) fn code(&mut self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        if !self.has(name) {
            return Ok(Vec::new());
        }
        let shape = self.shape(name)?;
        let usable = matches!(shape.as_slice(), [rows, dims] if *rows > 0 && *dims <= MAX_CODE);
        if !usable {
            let expected = format!("[N, D] with at least one row and D up to {MAX_CODE}");
            return Err(self.misshapen(name, expected, shape));
        }
        self.file.read_rows(&self.full(name), 1)?.to_finite_f32()
    }

    pub(super) fn bitfield(&mut self) -> Result<(Vec<u8>, u32), CheckpointError> {
        let name = "density_bitfield";
        let shape = self.shape(name)?;
        let cascades = match shape.as_slice() {
            [len] if len % CASCADE_BYTES == 0 => len / CASCADE_BYTES,
            _ => 0,
        };
        if !(1..=MAX_CASCADES).contains(&cascades) {
            let expected = format!("[C × {CASCADE_BYTES}] with C from 1 to {MAX_CASCADES}");
            return Err(self.misshapen(name, expected, shape));
        }
        let bits = self.file.read(&self.full(name))?.into_u8()?;
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_CASCADES")]
        Ok((bits, cascades as u32))
    }

    /// * `net`: prefix of its names; `code`: values that it makes.
    pub(super) fn audio_net(
        &mut self,
        net: &str,
        code: usize,
    ) -> Result<(AudioNet, FeatureKind), CheckpointError> {
        let first = format!("{net}.encoder_conv.0.weight");
        let shape = self.shape(&first)?;
        let &[32, dims, 3] = shape.as_slice() else {
            let expected = "[32, A, 3] with A = 29, 32, 44 or 1024 by extractor".to_owned();
            return Err(self.misshapen(&first, expected, shape));
        };
        let features = FeatureKind::from_dims(dims)
            .ok_or_else(|| CheckpointError::AudioDims { tensor: self.full(&first), dims })?;
        let mut convolution =
            |i: usize, outputs, inputs| self.convolution(&format!("{net}.encoder_conv.{i}"), outputs, inputs);
        let convolutions = [
            convolution(0, 32, dims)?,
            convolution(2, 32, 32)?,
            convolution(4, 64, 32)?,
            convolution(6, 64, 64)?,
        ];
        let linear = [
            self.linear(&format!("{net}.encoder_fc1.0"), 64, 64)?,
            self.linear(&format!("{net}.encoder_fc1.2"), code, 64)?,
        ];
        Ok((AudioNet { convolutions, linear }, features))
    }

    /// `None` in a file without any of it.
    ///
    /// * `net`: prefix of its names; `inputs`: values of each code that it looks at.
    pub(super) fn audio_attention(
        &mut self,
        net: &str,
        inputs: usize,
    ) -> Result<Option<AudioAttention>, CheckpointError> {
        let present = ["attentionConvNet.0.weight", "attentionNet.0.weight"];
        if !present.iter().any(|name| self.has(&format!("{net}.{name}"))) {
            return Ok(None);
        }
        let mut convolution = |i: usize, outputs, inputs| {
            self.convolution(&format!("{net}.attentionConvNet.{i}"), outputs, inputs)
        };
        let convolutions = [
            convolution(0, 16, inputs)?,
            convolution(2, 8, 16)?,
            convolution(4, 4, 8)?,
            convolution(6, 2, 4)?,
            convolution(8, 1, 2)?,
        ];
        Ok(Some(AudioAttention {
            convolutions,
            linear: self.linear(&format!("{net}.attentionNet.0"), 8, 8)?,
        }))
    }

    /// Offsets first: they say how long the table is.
    pub(super) fn table(
        &mut self,
        name: &str,
        levels: usize,
        channels: usize,
    ) -> Result<GridTable, CheckpointError> {
        let offsets_name = format!("{name}.offsets");
        let shape = self.shape(&offsets_name)?;
        if shape != [levels + 1] {
            return Err(self.misshapen(&offsets_name, shape_text(&[levels + 1]), shape));
        }
        let stored = self.file.read(&self.full(&offsets_name))?.to_i64()?;
        let increasing = stored.first() == Some(&0) && stored.windows(2).all(|w| w[0] < w[1]);
        let offsets: Vec<u32> = stored.iter().filter_map(|n| u32::try_from(*n).ok()).collect();
        let entries = offsets.last().map_or(0, |n| *n as usize);
        if !increasing || offsets.len() != levels + 1 || entries > MAX_ENTRIES {
            let what = format!("{stored:?} do not rise from 0 to at most {MAX_ENTRIES}");
            return Err(self.values(&offsets_name, what));
        }
        let embeddings = self.floats(&format!("{name}.embeddings"), &[entries, channels])?;
        Ok(GridTable { channels, offsets, embeddings })
    }

    /// 1 if the density net sees the eye value, else 0.
    ///
    /// * `others`: what it sees besides.
    pub(super) fn eye_inputs(&mut self, others: usize) -> Result<usize, CheckpointError> {
        let name = "sigma_net.net.0.weight";
        let shape = self.shape(name)?;
        match shape.as_slice() {
            [64, cols] if *cols == others => Ok(0),
            [64, cols] if *cols == others + 1 => Ok(1),
            _ => {
                let [with, without] = [&[64, others + 1], &[64, others]].map(|s| shape_text(s));
                Err(self.misshapen(name, format!("{with} (or {without} without the eye value)"), shape))
            }
        }
    }

    /// The torso, if the file has one.
    ///
    /// * `hidden`: width of the deformation net.
    pub(super) fn torso(
        &mut self,
        pose: impl FnOnce(&mut Self) -> Result<TorsoPose, CheckpointError>,
        hidden: usize,
    ) -> Result<Option<Torso>, CheckpointError> {
        if !self.has("torso_net.net.0.weight") {
            return Ok(None);
        }
        let pose = pose(self)?;
        let individual_code = self.code("individual_codes_torso")?;
        // Two coordinates and six pose values, each with its octaves.
        let [position, posture] = pose.bands().map(|bands| 1 + 2 * bands as usize);
        let inputs = 2 * position + 6 * posture + individual_code.len();
        let grid = self.table("torso_encoder", 16, 2)?;
        // A bare state dict has no such number; upstream then starts from 0.
        let mean_density = self.file.scalar("mean_density_torso").unwrap_or(0.0);
        if !mean_density.is_finite() {
            return Err(self.values("mean_density_torso", format!("it is {mean_density}")));
        }
        Ok(Some(Torso {
            pose,
            density_grid: self.floats("density_grid_torso", &[128 * 128])?,
            #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is meant")]
            mean_density: mean_density as f32,
            deform: self.mlp("torso_deform_net", &[inputs, hidden, hidden, 2])?,
            net: self.mlp("torso_net", &[grid.outputs() + inputs, 32, 32, 4])?,
            individual_code,
            grid,
        }))
    }
}
