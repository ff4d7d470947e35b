//! The network: samples in, rows at 50 Hz out.
//!
//! Baevski et al. 2020, "wav2vec 2.0"; Hsu et al. 2021, "`HuBERT`". Seven convolutions turn samples into vectors, a grouped
//! convolution adds positions, and a transformer follows. Activations are `[time, channels]`, row-major.

use std::thread;

use headcast_core::Stop;

use super::super::math::{Norm, gelu, rows, softmax};
use super::super::matrix::{Matrix, Precision, Rows, Start, product};
use super::config::{Config, FIELD, HOP, Output, POSITION};

/// Rows whose convolutions are made at a time where rows do not depend on each other, so that what is between them,
/// 80 rows for each, stays small.
const SLAB: usize = 48;
/// Rows of an attention that are made at a time: a slice of the square of all rows.
const QUERIES: usize = 120;

/// Gives the values of a tensor by its name and shape.
type Tensors<'a, E> = dyn FnMut(&str, &[usize]) -> Result<Vec<f32>, E> + 'a;

/// A matrix and its bias.
#[derive(Debug, Clone)]
struct Linear {
    weight: Matrix,
    bias: Vec<f32>,
}

impl Linear {
    fn apply(&self, input: &[f32], out: &mut Vec<f32>, threads: usize) {
        let count = input.len() / self.weight.inputs();
        out.resize(count * self.weight.outputs(), 0.0);
        let rows = Rows { values: input, stride: self.weight.inputs(), count };
        product(rows, &self.weight, Start::Bias(&self.bias), out, threads);
    }
}

#[derive(Debug, Clone)]
struct Convolution {
    weight: Matrix,
    bias: Option<Vec<f32>>,
    norm: Option<Norm>,
    /// Channels in, taps, step.
    channels: usize,
    kernel: usize,
    stride: usize,
}

#[derive(Debug, Clone)]
struct Layer {
    /// Queries, keys and values in one.
    attention_in: Linear,
    attention_out: Linear,
    attention_norm: Norm,
    wide: Linear,
    narrow: Linear,
    final_norm: Norm,
}

/// A `Wav2Vec2ForCTC` or `HubertModel` with its weights.
#[derive(Debug, Clone)]
pub struct Network {
    config: Config,
    convolutions: Vec<Convolution>,
    projection_norm: Option<Norm>,
    projection: Linear,
    /// One for every group of channels.
    positions: Vec<Linear>,
    norm: Norm,
    layers: Vec<Layer>,
    head: Option<Linear>,
}

impl Network {
    /// Takes the tensors of [`Config::tensors`] by name.
    ///
    /// * `read`: gives the values of a tensor of that shape, row-major.
    ///
    /// # Errors
    /// What `read` says.
    pub fn load<E>(
        config: &Config,
        precision: Precision,
        mut read: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let norm = |read: &mut Tensors<'_, E>, name: &str, dims, eps| {
            Ok(Norm {
                weight: read(&format!("{name}.weight"), &[dims])?,
                bias: read(&format!("{name}.bias"), &[dims])?,
                eps,
            })
        };
        let linear = |read: &mut Tensors<'_, E>, names: &[String], outputs: usize, inputs: usize| {
            let (mut weight, mut bias) = (Vec::new(), Vec::new());
            for name in names {
                weight.append(&mut read(&format!("{name}.weight"), &[outputs, inputs])?);
                bias.append(&mut read(&format!("{name}.bias"), &[outputs])?);
            }
            Ok(Linear { weight: Matrix::new(&weight, names.len() * outputs, inputs, precision), bias })
        };
        let hidden = config.hidden;
        let mut channels = 1;
        let mut convolutions = Vec::new();
        for (i, layer) in config.convolutions.iter().enumerate() {
            let name = format!("feature_extractor.conv_layers.{i}");
            let weight = read(&format!("{name}.conv.weight"), &[layer.channels, channels, layer.kernel])?;
            let weight = by_tap(&weight, layer.channels, channels, layer.kernel);
            let bias = if config.conv_bias {
                Some(read(&format!("{name}.conv.bias"), &[layer.channels])?)
            } else {
                None
            };
            // The epsilon of these norms is PyTorch's default, whatever the configuration says.
            let norm = if config.conv_layer_norm || i == 0 {
                Some(norm(&mut read, &format!("{name}.layer_norm"), layer.channels, 1e-5)?)
            } else {
                None
            };
            convolutions.push(Convolution {
                weight: Matrix::new(&weight, layer.channels, channels * layer.kernel, precision),
                bias,
                norm,
                channels,
                kernel: layer.kernel,
                stride: layer.stride,
            });
            channels = layer.channels;
        }
        let projection_norm = if config.projection_norm {
            Some(norm(&mut read, "feature_projection.layer_norm", channels, config.eps)?)
        } else {
            None
        };
        let projection = linear(&mut read, &["feature_projection.projection".to_owned()], hidden, channels)?;
        let positions = Self::positions(config, precision, &mut read)?;
        let final_norm = norm(&mut read, "encoder.layer_norm", hidden, config.eps)?;
        let mut layers = Vec::new();
        for i in 0..config.layers {
            let name = format!("encoder.layers.{i}");
            let attention = |part: &str| format!("{name}.attention.{part}");
            let wide = format!("{name}.feed_forward.intermediate_dense");
            let narrow = format!("{name}.feed_forward.output_dense");
            layers.push(Layer {
                attention_in: linear(
                    &mut read,
                    &["q_proj", "k_proj", "v_proj"].map(attention),
                    hidden,
                    hidden,
                )?,
                attention_out: linear(&mut read, &[attention("out_proj")], hidden, hidden)?,
                attention_norm: norm(&mut read, &format!("{name}.layer_norm"), hidden, config.eps)?,
                wide: linear(&mut read, &[wide], config.intermediate, hidden)?,
                narrow: linear(&mut read, &[narrow], hidden, config.intermediate)?,
                final_norm: norm(&mut read, &format!("{name}.final_layer_norm"), hidden, config.eps)?,
            });
        }
        let head = match config.output {
            Output::Logits(vocab) => Some(linear(&mut read, &["lm_head".to_owned()], vocab, hidden)?),
            Output::Hidden => None,
        };
        let config = config.clone();
        Ok(Self {
            config,
            convolutions,
            projection_norm,
            projection,
            positions,
            norm: final_norm,
            layers,
            head,
        })
    }

    fn positions<E>(
        config: &Config,
        precision: Precision,
        read: &mut Tensors<'_, E>,
    ) -> Result<Vec<Linear>, E> {
        let (taps, width) = (config.position_kernel, config.hidden / config.position_groups);
        let weight = read(&format!("{POSITION}.weight"), &[config.hidden, width, taps])?;
        let bias = read(&format!("{POSITION}.bias"), &[config.hidden])?;
        let groups = weight.chunks_exact(width * width * taps).zip(bias.chunks_exact(width));
        Ok(groups
            .map(|(weight, bias)| {
                let weight = by_tap(weight, width, width, taps);
                Linear { weight: Matrix::new(&weight, width, width * taps, precision), bias: bias.to_vec() }
            })
            .collect())
    }

    /// What it was made from.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Memory of the weights, bytes.
    pub fn bytes(&self) -> usize {
        let linear = |linear: &Linear| linear.weight.bytes();
        let layer = |layer: &Layer| {
            [&layer.attention_in, &layer.attention_out, &layer.wide, &layer.narrow]
                .map(linear)
                .iter()
                .sum::<usize>()
        };
        self.convolutions.iter().map(|layer| layer.weight.bytes()).sum::<usize>()
            + self.positions.iter().map(linear).sum::<usize>()
            + self.layers.iter().map(layer).sum::<usize>()
            + linear(&self.projection)
            + self.head.as_ref().map_or(0, linear)
    }

    /// Rows that so many samples give.
    pub fn rows(samples: usize) -> usize {
        samples.checked_sub(FIELD).map_or(0, |rest| rest / HOP + 1)
    }

    /// One run over `samples`, 16 kHz and normalised: `[rows, dims]`, with [`Self::rows`] rows.
    ///
    /// The same values for any number of threads.
    ///
    /// # Panics
    /// Never: nobody says stop.
    pub fn run(&self, samples: &[f32], threads: usize) -> Vec<f32> {
        self.run_until(samples, threads, &|| false).expect("nobody says stop")
    }

    /// As [`Self::run`], for a caller who may want to give up, as 20 s of sound take many seconds; `None` when `stop` said
    /// so, which is asked before each layer.
    pub fn run_until(&self, samples: &[f32], threads: usize, stop: &Stop<'_>) -> Option<Vec<f32>> {
        let count = Self::rows(samples.len());
        if count == 0 {
            return Some(Vec::new());
        }
        let mut x = self.listen(samples, count, threads, stop)?;
        self.add_positions(&mut x, count, threads);
        let hidden = self.config.hidden;
        if !self.config.stable {
            rows(threads, &mut x, hidden, |_, row| self.norm.apply(row));
        }
        let mut scratch = Scratch::default();
        for layer in &self.layers {
            if stop() {
                return None;
            }
            if self.config.stable {
                self.stable_layer(layer, &mut x, &mut scratch, threads);
            } else {
                self.plain_layer(layer, &mut x, &mut scratch, threads);
            }
        }
        if self.config.stable {
            rows(threads, &mut x, hidden, |_, row| self.norm.apply(row));
        }
        Some(match &self.head {
            None => x,
            Some(head) => {
                let mut logits = Vec::new();
                head.apply(&x, &mut logits, threads);
                logits
            }
        })
    }

    /// Samples to projected vectors; `None` when `stop` said so.
    fn listen(&self, samples: &[f32], count: usize, threads: usize, stop: &Stop<'_>) -> Option<Vec<f32>> {
        // A norm over time needs all of it.
        let slab = if self.config.conv_layer_norm { SLAB } else { count };
        let mut x = Vec::with_capacity(count * self.config.hidden);
        for first in (0..count).step_by(slab) {
            let last = (first + slab).min(count);
            // The last rows of the first stage see all the samples that there are.
            let end = if last == count { samples.len() } else { (last - 1) * HOP + FIELD };
            let mut vectors = self.convolve(&samples[first * HOP..end], threads, stop)?;
            if let Some(norm) = &self.projection_norm {
                rows(threads, &mut vectors, self.projection.weight.inputs(), |_, row| norm.apply(row));
            }
            let mut projected = Vec::new();
            self.projection.apply(&vectors, &mut projected, threads);
            x.append(&mut projected);
        }
        Some(x)
    }

    fn convolve(&self, samples: &[f32], threads: usize, stop: &Stop<'_>) -> Option<Vec<f32>> {
        let mut x = samples.to_vec();
        for layer in &self.convolutions {
            if stop() {
                return None;
            }
            let count = (x.len() / layer.channels - layer.kernel) / layer.stride + 1;
            let width = layer.weight.outputs();
            let mut out = vec![0.0; count * width];
            let start = layer.bias.as_deref().map_or(Start::Zero, Start::Bias);
            let input = Rows { values: &x, stride: layer.stride * layer.channels, count };
            product(input, &layer.weight, start, &mut out, threads);
            let norm = layer.norm.as_ref();
            if let Some(norm) = norm.filter(|_| !self.config.conv_layer_norm) {
                norm.apply_to_columns(&mut out);
            }
            let norm = norm.filter(|_| self.config.conv_layer_norm);
            rows(threads, &mut out, width, |_, row| {
                if let Some(norm) = norm {
                    norm.apply(row);
                }
                gelu(row);
            });
            x = out;
        }
        Some(x)
    }

    /// Adds to each row what a grouped convolution makes of the rows around it, zeros outside.
    fn add_positions(&self, x: &mut [f32], count: usize, threads: usize) {
        let hidden = self.config.hidden;
        let width = hidden / self.positions.len();
        let before = self.config.position_kernel / 2;
        let mut group_in = vec![0.0; (count + self.config.position_kernel) * width];
        let mut group_out = vec![0.0; count * width];
        let mut sums = x.to_vec();
        for (group, linear) in self.positions.iter().enumerate() {
            let columns = group * width..(group + 1) * width;
            for (row, from) in group_in[before * width..].chunks_exact_mut(width).zip(x.chunks_exact(hidden))
            {
                row.copy_from_slice(&from[columns.clone()]);
            }
            let input = Rows { values: &group_in, stride: width, count };
            product(input, &linear.weight, Start::Bias(&linear.bias), &mut group_out, threads);
            rows(threads, &mut group_out, width, |_, row| gelu(row));
            for (row, add) in sums.chunks_exact_mut(hidden).zip(group_out.chunks_exact(width)) {
                row[columns.clone()].iter_mut().zip(add).for_each(|(sum, add)| *sum += add);
            }
        }
        x.copy_from_slice(&sums);
    }

    /// Each block reads normalised rows and adds to those that are not.
    fn stable_layer(&self, layer: &Layer, x: &mut [f32], scratch: &mut Scratch, threads: usize) {
        let hidden = self.config.hidden;
        scratch.normed.clear();
        scratch.normed.extend_from_slice(x);
        rows(threads, &mut scratch.normed, hidden, |_, row| layer.attention_norm.apply(row));
        self.attend(layer, scratch, threads);
        add(x, &scratch.out);
        scratch.normed.clear();
        scratch.normed.extend_from_slice(x);
        rows(threads, &mut scratch.normed, hidden, |_, row| layer.final_norm.apply(row));
        feed_forward(layer, scratch, threads);
        add(x, &scratch.out);
    }

    /// Each block adds to the rows, which are normalised after it.
    fn plain_layer(&self, layer: &Layer, x: &mut [f32], scratch: &mut Scratch, threads: usize) {
        let hidden = self.config.hidden;
        scratch.normed.clear();
        scratch.normed.extend_from_slice(x);
        self.attend(layer, scratch, threads);
        add(x, &scratch.out);
        rows(threads, x, hidden, |_, row| layer.attention_norm.apply(row));
        scratch.normed.clear();
        scratch.normed.extend_from_slice(x);
        feed_forward(layer, scratch, threads);
        add(x, &scratch.out);
        rows(threads, x, hidden, |_, row| layer.final_norm.apply(row));
    }

    /// Multi-head attention of `scratch.normed`, into `scratch.out`.
    fn attend(&self, layer: &Layer, scratch: &mut Scratch, threads: usize) {
        let (hidden, heads) = (self.config.hidden, self.config.heads);
        let width = hidden / heads;
        layer.attention_in.apply(&scratch.normed, &mut scratch.wide, threads);
        let count = scratch.normed.len() / hidden;
        let qkv = &scratch.wide[..];
        // Heads are independent: each thread makes some of them.
        let share = heads.div_ceil(threads.clamp(1, heads));
        let mut of_heads = vec![0.0; heads * count * width];
        thread::scope(|scope| {
            let mut parts = of_heads.chunks_mut(share * count * width).enumerate();
            let own = parts.next();
            let part = |index: usize, out: &mut [f32]| {
                for (i, out) in out.chunks_exact_mut(count * width).enumerate() {
                    attention_head(qkv, hidden, (index * share + i) * width, width, out);
                }
            };
            for (index, out) in parts {
                scope.spawn(move || part(index, out));
            }
            if let Some((index, out)) = own {
                part(index, out);
            }
        });
        // The rows that go into the last product: heads side by side.
        for (head, values) in of_heads.chunks_exact(count * width).enumerate() {
            for (row, from) in scratch.normed.chunks_exact_mut(hidden).zip(values.chunks_exact(width)) {
                row[head * width..(head + 1) * width].copy_from_slice(from);
            }
        }
        layer.attention_out.apply(&scratch.normed, &mut scratch.out, threads);
    }
}

/// Activations that every layer overwrites.
#[derive(Debug, Default)]
struct Scratch {
    normed: Vec<f32>,
    wide: Vec<f32>,
    out: Vec<f32>,
}

fn feed_forward(layer: &Layer, scratch: &mut Scratch, threads: usize) {
    layer.wide.apply(&scratch.normed, &mut scratch.wide, threads);
    rows(threads, &mut scratch.wide, layer.wide.weight.outputs(), |_, row| gelu(row));
    layer.narrow.apply(&scratch.wide, &mut scratch.out, threads);
}

fn add(to: &mut [f32], from: &[f32]) {
    to.iter_mut().zip(from).for_each(|(to, from)| *to += from);
}

/// One head: `softmax(q · kᵀ / √width) · v`, `[count, width]`.
///
/// * `qkv`: rows of queries, keys and values, `hidden` values each; the head's own start at `first` of each.
fn attention_head(qkv: &[f32], hidden: usize, first: usize, width: usize, out: &mut [f32]) {
    let (stride, count) = (3 * hidden, out.len() / width);
    let keys = Matrix::pack(&qkv[hidden + first..], [count, width], [stride, 1], Precision::F32);
    let values = Matrix::pack(&qkv[2 * hidden + first..], [width, count], [1, stride], Precision::F32);
    #[expect(clippy::cast_precision_loss, reason = "a head's width")]
    let scale = 1.0 / (width as f32).sqrt();
    let mut scores = vec![0.0; QUERIES.min(count) * count];
    for (block, out) in out.chunks_mut(QUERIES * width).enumerate() {
        let n = out.len() / width;
        let scores = &mut scores[..n * count];
        let queries = Rows { values: &qkv[block * QUERIES * stride + first..], stride, count: n };
        product(queries, &keys, Start::Zero, scores, 1);
        scores.chunks_exact_mut(count).for_each(|row| softmax(row, scale));
        product(Rows { values: scores, stride: count, count: n }, &values, Start::Zero, out, 1);
    }
}

/// `[outputs, channels, taps]` as `[outputs, taps, channels]`: the order of consecutive rows of `[time, channels]`.
fn by_tap(weight: &[f32], outputs: usize, channels: usize, taps: usize) -> Vec<f32> {
    let mut out = vec![0.0; weight.len()];
    for output in 0..outputs {
        for channel in 0..channels {
            for tap in 0..taps {
                out[(output * taps + tap) * channels + channel] =
                    weight[(output * channels + channel) * taps + tap];
            }
        }
    }
    out
}
