//! ER-NeRF from a state dict: options from shapes, every shape checked before its values are read.

use std::io::{Read, Seek};

use headcast_core::FeatureKind;

use super::error::{CheckpointError, shape_text};
use super::reader::Checkpoint;
use crate::model::{
    AudioAttention, AudioNet, Conv1d, ErNerf, ErOptions, GridTable, Linear, Matrix, Mlp, Torso,
};

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
        if let Some(refusal) = checkpoint.family().refusal() {
            return Err(refusal);
        }
        let mut loader = Loader(checkpoint);
        let aabb = loader.fixed::<6>("aabb_infer")?;
        let bound = aabb[3];
        if bound <= 0.0 || bound > MAX_BOUND || (0..3).any(|k| aabb[k] >= aabb[k + 3]) {
            return Err(
                loader.values("aabb_infer", format!("the box {aabb:?} is empty or beyond {MAX_BOUND}"))
            );
        }
        let (density_bitfield, cascades) = loader.bitfield()?;
        let (audio, features) = loader.audio_net()?;
        let audio_attention = loader.audio_attention()?;
        let embedding = match loader.0.has("embedding.weight") {
            true => Some(loader.matrix("embedding.weight", features.dims(), features.dims())?),
            false => None,
        };
        let individual_code = loader.code("individual_codes")?;
        let planes = [loader.plane("encoder_xy")?, loader.plane("encoder_yz")?, loader.plane("encoder_xz")?];
        let grid: usize = planes.iter().map(GridTable::outputs).sum();
        let eye = loader.eye_inputs(grid)?;
        let torso = match loader.0.has("torso_net.net.0.weight") {
            true => Some(loader.torso()?),
            false => None,
        };
        Ok(Self {
            options: ErOptions {
                features,
                attention: if audio_attention.is_some() { 2 } else { 0 },
                bound,
                cascades,
                max_steps: 16,
                dt_gamma: 1.0 / 256.0,
                min_near: 0.05,
                torso_shrink: 0.8,
            },
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
/// Values that the density net hands to the colour net.
const GEOMETRY: usize = 64;
/// Bytes of the occupancy bits of one cascade, `128³ / 8`.
const CASCADE_BYTES: usize = 262_144;
/// More cascades and a larger box than any upstream configuration.
const MAX_CASCADES: usize = 8;
const MAX_BOUND: f32 = 128.0;
/// Table entries of all levels; the defaults have 163,584 and 555,520.
const MAX_ENTRIES: usize = 1 << 24;
/// Values of an individual code; the defaults are 4 and 8.
const MAX_CODE: usize = 256;

struct Loader<'a, R>(&'a mut Checkpoint<R>);

impl<R: Read + Seek> Loader<'_, R> {
    fn values(&self, tensor: &str, what: impl Into<String>) -> CheckpointError {
        CheckpointError::Values { tensor: tensor.to_owned(), what: what.into() }
    }

    /// The shape under `name`, which must be there.
    fn shape(&mut self, name: &str) -> Result<Vec<usize>, CheckpointError> {
        match self.0.shape(name) {
            Some(shape) => Ok(shape.to_vec()),
            // Reading says whether it is missing or something else.
            None => self.0.read(name).map(|tensor| tensor.shape().to_vec()),
        }
    }

    fn floats(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, CheckpointError> {
        let found = self.shape(name)?;
        if found != shape {
            return Err(CheckpointError::shape(name, shape, &found));
        }
        self.0.read(name)?.to_finite_f32()
    }

    fn fixed<const N: usize>(&mut self, name: &str) -> Result<[f32; N], CheckpointError> {
        let values = self.floats(name, &[N])?;
        Ok(std::array::from_fn(|i| values[i]))
    }

    fn matrix(&mut self, name: &str, rows: usize, cols: usize) -> Result<Matrix, CheckpointError> {
        Ok(Matrix { rows, cols, data: self.floats(name, &[rows, cols])? })
    }

    fn linear(&mut self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, CheckpointError> {
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
    fn mlp(&mut self, name: &str, widths: &[usize]) -> Result<Mlp, CheckpointError> {
        let layers = widths.windows(2).enumerate();
        let layers = layers.map(|(i, w)| self.matrix(&format!("{name}.net.{i}.weight"), w[1], w[0]));
        Ok(Mlp { layers: layers.collect::<Result<_, _>>()? })
    }

    /// Row 0 of individual codes; empty if the file has none.
    fn code(&mut self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        if !self.0.has(name) {
            return Ok(Vec::new());
        }
        let shape = self.shape(name)?;
        let usable = matches!(shape.as_slice(), [rows, dims] if *rows > 0 && *dims <= MAX_CODE);
        if !usable {
            return Err(CheckpointError::Shape {
                tensor: name.to_owned(),
                expected: format!("[N, D] with at least one row and D up to {MAX_CODE}"),
                found: shape,
            });
        }
        self.0.read_rows(name, 1)?.to_finite_f32()
    }

    fn bitfield(&mut self) -> Result<(Vec<u8>, u32), CheckpointError> {
        let name = "density_bitfield";
        let shape = self.shape(name)?;
        let cascades = match shape.as_slice() {
            [len] if len % CASCADE_BYTES == 0 => len / CASCADE_BYTES,
            _ => 0,
        };
        if !(1..=MAX_CASCADES).contains(&cascades) {
            let expected = format!("[C × {CASCADE_BYTES}] with C from 1 to {MAX_CASCADES}");
            return Err(CheckpointError::Shape { tensor: name.to_owned(), expected, found: shape });
        }
        let bits = self.0.read(name)?.into_u8()?;
        #[expect(clippy::cast_possible_truncation, reason = "at most MAX_CASCADES")]
        Ok((bits, cascades as u32))
    }

    fn audio_net(&mut self) -> Result<(AudioNet, FeatureKind), CheckpointError> {
        let first = "audio_net.encoder_conv.0.weight";
        let shape = self.shape(first)?;
        let &[32, dims, 3] = shape.as_slice() else {
            return Err(CheckpointError::Shape {
                tensor: first.to_owned(),
                expected: "[32, A, 3] with A = 29, 32, 44 or 1024 by extractor".to_owned(),
                found: shape,
            });
        };
        let features = FeatureKind::from_dims(dims).ok_or(CheckpointError::AudioDims { dims })?;
        let mut convolution = |i: usize, outputs, inputs| {
            self.convolution(&format!("audio_net.encoder_conv.{i}"), outputs, inputs)
        };
        let convolutions = [
            convolution(0, 32, dims)?,
            convolution(2, 32, 32)?,
            convolution(4, 64, 32)?,
            convolution(6, 64, 64)?,
        ];
        let linear = [
            self.linear("audio_net.encoder_fc1.0", 64, 64)?,
            self.linear("audio_net.encoder_fc1.2", CODE, 64)?,
        ];
        Ok((AudioNet { convolutions, linear }, features))
    }

    fn audio_attention(&mut self) -> Result<Option<AudioAttention>, CheckpointError> {
        let present = ["attentionConvNet.0.weight", "attentionNet.0.weight"];
        if !present.iter().any(|name| self.0.has(&format!("audio_att_net.{name}"))) {
            return Ok(None);
        }
        let mut convolution = |i: usize, outputs, inputs| {
            self.convolution(&format!("audio_att_net.attentionConvNet.{i}"), outputs, inputs)
        };
        let convolutions = [
            convolution(0, 16, CODE)?,
            convolution(2, 8, 16)?,
            convolution(4, 4, 8)?,
            convolution(6, 2, 4)?,
            convolution(8, 1, 2)?,
        ];
        Ok(Some(AudioAttention { convolutions, linear: self.linear("audio_att_net.attentionNet.0", 8, 8)? }))
    }

    fn plane(&mut self, name: &str) -> Result<GridTable, CheckpointError> {
        self.table(name, 12, 1)
    }

    /// Offsets first: they say how long the table is.
    fn table(&mut self, name: &str, levels: usize, channels: usize) -> Result<GridTable, CheckpointError> {
        let offsets_name = format!("{name}.offsets");
        let shape = self.shape(&offsets_name)?;
        if shape != [levels + 1] {
            return Err(CheckpointError::shape(&offsets_name, &[levels + 1], &shape));
        }
        let stored = self.0.read(&offsets_name)?.to_i64()?;
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
    fn eye_inputs(&mut self, grid: usize) -> Result<usize, CheckpointError> {
        let name = "sigma_net.net.0.weight";
        let shape = self.shape(name)?;
        match shape.as_slice() {
            [64, cols] if *cols == grid + CODE => Ok(0),
            [64, cols] if *cols == grid + CODE + 1 => Ok(1),
            _ => Err(CheckpointError::Shape {
                tensor: name.to_owned(),
                expected: format!(
                    "{} (or {} without the eye value)",
                    shape_text(&[64, grid + CODE + 1]),
                    shape_text(&[64, grid + CODE])
                ),
                found: shape,
            }),
        }
    }

    fn torso(&mut self) -> Result<Torso, CheckpointError> {
        let anchors = self.floats("anchor_points", &[3, 4])?;
        let individual_code = self.code("individual_codes_torso")?;
        // freq8 of 2 coordinates, freq3 of 6 anchor values.
        let inputs = 34 + 42 + individual_code.len();
        let grid = self.table("torso_encoder", 16, 2)?;
        // A bare state dict has no such number; upstream then starts from 0.
        let mean_density = self.0.scalar("mean_density_torso").unwrap_or(0.0);
        if !mean_density.is_finite() {
            return Err(self.values("mean_density_torso", format!("it is {mean_density}")));
        }
        Ok(Torso {
            anchor_points: std::array::from_fn(|k| std::array::from_fn(|i| anchors[k * 4 + i])),
            density_grid: self.floats("density_grid_torso", &[128 * 128])?,
            #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32 is meant")]
            mean_density: mean_density as f32,
            deform: self.mlp("torso_deform_net", &[inputs, 32, 32, 2])?,
            net: self.mlp("torso_net", &[grid.outputs() + inputs, 32, 32, 4])?,
            individual_code,
            grid,
        })
    }
}
