//! The network: log-mel frames at 100 Hz to letter scores at 50 Hz.

use std::io;
use std::ops::Range;
use std::sync::LazyLock;

use super::mel::{BANDS, LogMel, silent_frame_value};
use super::weights::{GROUP, Layer, Tensors};

const CHANNELS: usize = 128;
const TAPS: usize = 5;
const BLOCKS: usize = 6;
pub(super) const CLASSES: usize = 29;
const STEM_STRIDE: usize = 2;
/// Rows on each side that a row's score depends on: two per block.
const CONTEXT: usize = BLOCKS * (TAPS / 2);
/// Rows computed at a time: with the context, activations stay in the second-level cache.
pub(super) const CHUNK: usize = 256;
/// Score of probability p: `1.6 · ln(0.97 p + 0.03 / 29) + 8`.
const OUT_KEEP: f32 = 0.97;
const OUT_FLOOR: f32 = 0.03;
const OUT_GAIN: f32 = 1.6;
const OUT_OFFSET: f32 = 8.0;

pub(super) const BUILT_IN: &[u8] = include_bytes!("../../assets/speech-features.safetensors");

pub(super) struct Network {
    stem: Layer,
    /// Convolution and pointwise layer.
    blocks: Vec<(Layer, Layer)>,
    head: Layer,
}

/// Receives every layer's output: name, first row, values.
pub(super) type Trace<'a> = &'a mut dyn FnMut(&str, usize, &[f32]);

impl Network {
    /// The model that is part of the binary.
    pub(super) fn built_in() -> &'static Self {
        static NETWORK: LazyLock<Network> =
            LazyLock::new(|| Network::load(BUILT_IN).expect("the embedded model is complete"));
        &NETWORK
    }

    pub(super) fn load(safetensors: &[u8]) -> Option<Self> {
        let mut tensors = Tensors::parse(safetensors)?;
        let mut block = |i: usize| {
            let conv = tensors.layer(&format!("block.{i}.conv"), CHANNELS, CHANNELS, TAPS)?;
            Some((conv, tensors.layer(&format!("block.{i}.point"), CHANNELS, CHANNELS, 1)?))
        };
        let blocks = (0..BLOCKS).map(&mut block).collect::<Option<_>>()?;
        Some(Self {
            stem: tensors.layer("stem", CHANNELS, BANDS, TAPS)?,
            blocks,
            head: tensors.layer("head", CLASSES, CHANNELS, 1)?,
        })
    }

    /// Appends the scores of `rows`, `[n, CLASSES]`, made from `[2 n, BANDS]` log-mel frames and those around. In how many
    /// pieces the rows of a clip are made changes no value.
    pub(super) fn scores(
        &self,
        log_mel: &LogMel,
        rows: Range<usize>,
        scores: &mut Vec<f32>,
        trace: Trace<'_>,
    ) -> io::Result<()> {
        let all = Self::rows(log_mel);
        self.chunk(log_mel, all, rows.start, rows.end.min(all), scores, trace)
    }

    /// How many rows there are.
    pub(super) fn rows(log_mel: &LogMel) -> usize {
        usize::try_from(log_mel.frames()).unwrap_or(usize::MAX).div_ceil(STEM_STRIDE)
    }

    /// Scores of rows `start..end` of `rows`.
    ///
    /// Works on rows `first..last`, which reach [`CONTEXT`] further on both sides where the clip does. Two
    /// rows at each inner edge go wrong in every block, and are outside `start..end` after the last.
    fn chunk(
        &self,
        log_mel: &LogMel,
        rows: usize,
        start: usize,
        end: usize,
        scores: &mut Vec<f32>,
        trace: Trace<'_>,
    ) -> io::Result<()> {
        const HALO: usize = TAPS / 2;
        let first = start.saturating_sub(CONTEXT);
        let last = (end + CONTEXT).min(rows);
        let n = last - first;
        let own = (start - first) * CHANNELS..(end - first) * CHANNELS;

        // Frames 2·first - 2 .. 2·(last - 1) + 3, with the floor outside the clip.
        let from = (STEM_STRIDE * first) as u64;
        let to = from + (STEM_STRIDE * (n - 1) + TAPS) as u64;
        let (before, after) =
            ((HALO as u64).saturating_sub(from), to.saturating_sub(log_mel.frames() + HALO as u64));
        let silence = |frames: u64| usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(BANDS);
        let mut mel = vec![silent_frame_value(); silence(before)];
        log_mel.read(from + before - HALO as u64..to - after - HALO as u64, &mut mel)?;
        mel.resize(mel.len() + silence(after), silent_frame_value());
        // Rows of x stand between two zero rows on each side, which the convolutions read.
        let mut x = vec![0.0; (n + 2 * HALO) * CHANNELS];
        let inner = HALO * CHANNELS..(HALO + n) * CHANNELS;
        let mut h = vec![0.0; n * CHANNELS];
        self.stem.apply(&mel, STEM_STRIDE * BANDS, &mut x[inner.clone()]);
        relu(&mut x[inner.clone()]);
        trace("stem", start, &x[inner.clone()][own.clone()]);
        let mut delta = vec![0.0; n * CHANNELS];
        for (i, (conv, point)) in self.blocks.iter().enumerate() {
            conv.apply(&x, CHANNELS, &mut h);
            relu(&mut h);
            point.apply(&h, CHANNELS, &mut delta);
            for (x, d) in x[inner.clone()].iter_mut().zip(&delta) {
                *x += d;
            }
            trace(&format!("block.{i}"), start, &x[inner.clone()][own.clone()]);
        }
        let mut y = x[inner][own].to_vec();
        relu(&mut y);
        let mut logits = vec![0.0; (end - start) * CLASSES];
        self.head.apply(&y, CHANNELS, &mut logits);
        trace("logits", start, &logits);
        for row in logits.chunks_exact_mut(CLASSES) {
            softmax(row);
        }
        trace("prob", start, &logits);
        #[expect(clippy::cast_precision_loss, reason = "29")]
        let floor = OUT_FLOOR / CLASSES as f32;
        scores.extend(logits.iter().map(|p| OUT_GAIN * (OUT_KEEP * p + floor).ln() + OUT_OFFSET));
        Ok(())
    }
}

impl Layer {
    /// `out[t] = bias + W · x[t·step .. t·step + inputs]` for every row t of `out`, `[rows, outputs]`.
    fn apply(&self, x: &[f32], step: usize, out: &mut [f32]) {
        /// Rows at a time, so that each weight loaded serves four of them.
        const ROWS: usize = 4;
        let rows = out.len() / self.outputs;
        let input = |t: usize| &x[t * step..t * step + self.inputs];
        for t in (0..rows).step_by(ROWS) {
            // The last rows are computed again rather than by other code, with the same result.
            let t = t.min(rows.saturating_sub(ROWS));
            let last = rows - 1;
            let inputs =
                [input(t), input((t + 1).min(last)), input((t + 2).min(last)), input((t + 3).min(last))];
            for (group, weights) in self.packed.chunks_exact(self.inputs * GROUP).enumerate() {
                let acc = dot_groups(inputs, weights);
                let first = group * GROUP;
                let count = GROUP.min(self.outputs - first);
                for (r, acc) in acc.iter().enumerate().take(rows - t) {
                    let at = (t + r) * self.outputs + first;
                    let bias = &self.bias[first..first + count];
                    for ((to, acc), bias) in out[at..at + count].iter_mut().zip(acc).zip(bias) {
                        *to = bias + acc;
                    }
                }
            }
        }
    }
}

/// Four rows against one group of outputs.
#[inline]
fn dot_groups(inputs: [&[f32]; 4], weights: &[f32]) -> [[f32; GROUP]; 4] {
    let [a, b, c, d] = inputs;
    let mut acc = [[0.0; GROUP]; 4];
    let (weights, _) = weights.as_chunks::<GROUP>();
    for ((((w, a), b), c), d) in weights.iter().zip(a).zip(b).zip(c).zip(d) {
        for o in 0..GROUP {
            acc[0][o] += a * w[o];
            acc[1][o] += b * w[o];
            acc[2][o] += c * w[o];
            acc[3][o] += d * w[o];
        }
    }
    acc
}

fn relu(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

fn softmax(row: &mut [f32]) {
    let max = row.iter().fold(f32::NEG_INFINITY, |max, &v| max.max(v));
    let mut sum = 0.0;
    for value in row.iter_mut() {
        *value = (*value - max).exp();
        sum += *value;
    }
    for value in row {
        *value /= sum;
    }
}
