//! Thirty-two samples side by side, and linear layers over them.
//!
//! Activations are rows of one value for every sample of the packet; weights are broadcast. A block of
//! eight outputs times two vectors of samples stays in registers while the inputs stream by, so the
//! arithmetic units wait for nothing.

use super::simd::Simd;
use crate::model::Matrix;

/// Samples in a packet.
pub(super) const PACKET: usize = 32;

/// Outputs computed together, and packed together in [`Layer`].
const BLOCK: usize = 8;

/// One value of every sample in a packet; starts on a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct Row(pub(super) [f32; PACKET]);

impl Row {
    pub(super) const ZERO: Self = Self([0.0; PACKET]);
}

/// `y = W x + b` for packets; outputs are a multiple of eight.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    inputs: usize,
    /// `[outputs / 8, inputs, 8]`.
    weights: Vec<[f32; BLOCK]>,
    /// `[outputs / 8, 8]`.
    bias: Vec<[f32; BLOCK]>,
}

impl Layer {
    /// Packs `weight`, with one bias per output or none.
    ///
    /// # Panics
    /// If the rows are no multiple of eight, or `bias` has another length.
    pub(super) fn new(weight: &Matrix, bias: Option<&[f32]>) -> Self {
        let blocks = weight.rows / BLOCK;
        assert_eq!(weight.rows, blocks * BLOCK, "outputs come in blocks of {BLOCK}");
        assert!(bias.is_none_or(|bias| bias.len() == weight.rows), "one bias per output");
        let pack = |block: usize, input: usize| {
            std::array::from_fn(|r| weight.data[(block * BLOCK + r) * weight.cols + input])
        };
        Self {
            inputs: weight.cols,
            weights: (0..blocks)
                .flat_map(|block| (0..weight.cols).map(move |input| (block, input)))
                .map(|(block, input)| pack(block, input))
                .collect(),
            bias: match bias {
                Some(bias) => bias.as_chunks::<BLOCK>().0.to_vec(),
                None => vec![[0.0; BLOCK]; blocks],
            },
        }
    }

    /// Number of inputs.
    pub(super) fn inputs(&self) -> usize {
        self.inputs
    }

    /// The weight of `output` for `input`.
    pub(super) fn weight(&self, output: usize, input: usize) -> f32 {
        self.weights[output / BLOCK * self.inputs + input][output % BLOCK]
    }

    /// `[outputs]`.
    pub(super) fn bias(&self) -> &[f32] {
        self.bias.as_flattened()
    }

    /// `out = relu(W x + b)`.
    ///
    /// * `x`: one row per input, `out`: one row per output.
    #[inline(always)]
    pub(super) fn forward_relu<S: Simd>(&self, s: S, x: &[Row], out: &mut [Row]) {
        self.run::<S, false>(s, x, out);
    }

    /// `out = relu(W x + out)`; the bias does not count.
    ///
    /// * `x`: one row per input, `out`: one row per output.
    #[inline(always)]
    pub(super) fn add_relu<S: Simd>(&self, s: S, x: &[Row], out: &mut [Row]) {
        self.run::<S, true>(s, x, out);
    }

    /// * `ADD`: to what is in `out`, instead of to the bias.
    #[inline(always)]
    fn run<S: Simd, const ADD: bool>(&self, s: S, x: &[Row], out: &mut [Row]) {
        let x = &x[..self.inputs];
        let (out, rest) = out.as_chunks_mut::<BLOCK>();
        assert!(rest.is_empty() && out.len() == self.bias.len(), "one row per output");
        for ((weights, bias), out) in self.weights.chunks_exact(self.inputs).zip(&self.bias).zip(out) {
            let mut at = 0;
            while at < PACKET {
                // Sixteen accumulators, two inputs and a weight: AVX2 has registers for half of that.
                if S::LANES >= 16 {
                    block::<S, 8, ADD>(s, weights, bias, x, 0, at, out);
                } else {
                    block::<S, 4, ADD>(s, weights, bias, x, 0, at, out);
                    block::<S, 4, ADD>(s, weights, bias, x, 4, at, out);
                }
                at += 2 * S::LANES;
            }
        }
    }
}

/// Outputs `first .. first + R` of one block, for two vectors of samples from sample `at`.
#[inline(always)]
fn block<S: Simd, const R: usize, const ADD: bool>(
    s: S,
    weights: &[[f32; BLOCK]],
    bias: &[f32; BLOCK],
    x: &[Row],
    first: usize,
    at: usize,
    out: &mut [Row; BLOCK],
) {
    let mut low = [s.splat(0.0); R];
    let mut high = low;
    for r in 0..R {
        let row = &out[first + r].0;
        if ADD {
            low[r] = s.load(&row[at..at + S::LANES]);
            high[r] = s.load(&row[at + S::LANES..at + 2 * S::LANES]);
        } else {
            low[r] = s.splat(bias[first + r]);
            high[r] = low[r];
        }
    }
    for (w, x) in weights.iter().zip(x) {
        let x_low = s.load(&x.0[at..at + S::LANES]);
        let x_high = s.load(&x.0[at + S::LANES..at + 2 * S::LANES]);
        for r in 0..R {
            let w = s.splat(w[first + r]);
            low[r] = s.fma(w, x_low, low[r]);
            high[r] = s.fma(w, x_high, high[r]);
        }
    }
    let zero = s.splat(0.0);
    for r in 0..R {
        let row = &mut out[first + r].0;
        s.store(s.max(low[r], zero), &mut row[at..at + S::LANES]);
        s.store(s.max(high[r], zero), &mut row[at + S::LANES..at + 2 * S::LANES]);
    }
}

/// `y = W x` with few outputs.
#[derive(Debug, Clone)]
pub(super) struct Narrow<const R: usize> {
    /// `[inputs, R]`.
    weights: Vec<[f32; R]>,
}

impl<const R: usize> Narrow<R> {
    /// Packs `weight`.
    ///
    /// # Panics
    /// If it has not `R` rows.
    pub(super) fn new(weight: &Matrix) -> Self {
        assert_eq!(weight.rows, R, "a layer of {R} outputs");
        let column = |input| std::array::from_fn(|r| weight.data[r * weight.cols + input]);
        Self { weights: (0..weight.cols).map(column).collect() }
    }

    /// `[inputs, R]`.
    pub(super) fn weights(&self) -> &[[f32; R]] {
        &self.weights
    }

    /// `W x` for the samples from `at`, one vector per output.
    #[inline(always)]
    pub(super) fn forward<S: Simd>(&self, s: S, x: &[Row], at: usize) -> [S::F; R] {
        let mut sums = [s.splat(0.0); R];
        for (w, x) in self.weights.iter().zip(&x[..self.weights.len()]) {
            let x = s.load(&x.0[at..at + S::LANES]);
            for r in 0..R {
                sums[r] = s.fma(s.splat(w[r]), x, sums[r]);
            }
        }
        sums
    }
}

/// A packet's rows, on the heap and zero.
pub(super) fn rows(count: usize) -> Box<[Row]> {
    vec![Row::ZERO; count].into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use super::super::simd::{Dispatch, Kernel, SimdLevel};
    use super::*;

    struct Forward<'a>(&'a Layer, &'a Narrow<3>, &'a [Row], &'a mut [Row], &'a mut [Row]);

    impl Kernel for Forward<'_> {
        type Output = [Row; 3];
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> [Row; 3] {
            self.0.forward_relu(s, self.2, self.3);
            self.0.add_relu(s, self.2, self.4);
            let mut out = [Row::ZERO; 3];
            let mut at = 0;
            while at < PACKET {
                let y = self.1.forward(s, self.3, at);
                for (y, row) in y.into_iter().zip(&mut out) {
                    s.store(y, &mut row.0[at..at + S::LANES]);
                }
                at += S::LANES;
            }
            out
        }
    }

    fn matrix(rows: usize, cols: usize) -> Matrix {
        let value = |i: usize| ((i * 37 % 41) as f32 - 20.0) / 16.0;
        Matrix { rows, cols, data: (0..rows * cols).map(value).collect() }
    }

    #[test]
    fn layers_equal_the_sums_they_stand_for() {
        let (wide, narrow) = (matrix(16, 5), matrix(3, 16));
        let bias: Vec<f32> = (0..16).map(|i| i as f32 - 8.0).collect();
        let x: Vec<Row> =
            (0..5).map(|k| Row(std::array::from_fn(|lane| (k * 7 + lane) as f32 / 8.0 - 2.0))).collect();
        for dispatch in SimdLevel::ALL.into_iter().filter_map(Dispatch::new) {
            let mut hidden = rows(16);
            let mut added = rows(16);
            (0..16).for_each(|r| added[r] = Row(std::array::from_fn(|lane| (r + lane) as f32)));
            let (layer, last) = (Layer::new(&wide, Some(&bias)), Narrow::new(&narrow));
            let out = dispatch.run(Forward(&layer, &last, &x, &mut hidden, &mut added));
            for lane in 0..PACKET {
                let sum =
                    |r: usize| (0..5).map(|k| wide.data[r * 5 + k] * x[k].0[lane]).sum::<f32>() + bias[r];
                for r in 0..16 {
                    assert!((hidden[r].0[lane] - sum(r).max(0.0)).abs() < 1e-4, "{} {r}", dispatch.level());
                    let more = sum(r) - bias[r] + (r + lane) as f32;
                    assert!((added[r].0[lane] - more.max(0.0)).abs() < 1e-4, "{} {r}", dispatch.level());
                }
                for (r, out) in out.iter().enumerate() {
                    let want: f32 = (0..16).map(|k| narrow.data[r * 16 + k] * sum(k).max(0.0)).sum();
                    assert!((out.0[lane] - want).abs() < 1e-3, "{} {r}", dispatch.level());
                }
            }
        }
    }
}
