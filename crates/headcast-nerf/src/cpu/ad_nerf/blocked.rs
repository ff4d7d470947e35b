//! Linear layers with hundreds of inputs and outputs.
//!
//! As in [`packet`](super::super::packet), eight outputs of two vectors of samples stay in registers while the inputs
//! stream by. A layer of 256 × 256 weights is 256 kB and its inputs for one packet fill a first-level cache, so inputs
//! come in panels of at most [`DEPTH`], half a cache, whose partial sums wait in the output; and the caller takes
//! several packets through a layer before it goes on to the next, so that the layer's weights come out of the
//! second-level cache for all but the first.

use super::super::packet::{PACKET, Row};
use super::super::simd::Simd;

/// Outputs computed together.
pub(super) const BLOCK: usize = 8;
/// Inputs of a panel: 128 rows of a packet are 16 kB, eight outputs' weights for them 4 kB.
const DEPTH: usize = 128;

/// `y = W x` for packets, with whatever is added to it given by the caller.
#[derive(Debug, Clone)]
pub(super) struct Blocked {
    inputs: usize,
    /// Outputs in blocks; those beyond the matrix have no weights.
    blocks: usize,
    /// `[panels][outputs / 8, inputs of the panel, 8]`.
    weights: Vec<[f32; BLOCK]>,
}

/// What a layer's sums start from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Start<'a> {
    /// The same for every sample: `[blocks × 8]`.
    Bias(&'a [f32]),
    /// Each sample its own: `[blocks × 8]` rows.
    Rows(&'a [Row]),
}

impl Blocked {
    /// Packs a matrix of `outputs` × `inputs`, given by its elements.
    pub(super) fn new(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let blocks = outputs.div_ceil(BLOCK);
        let mut weights = Vec::with_capacity(blocks * inputs);
        for first in (0..inputs).step_by(DEPTH) {
            for block in 0..blocks {
                for input in first..inputs.min(first + DEPTH) {
                    weights.push(std::array::from_fn(|r| {
                        let output = block * BLOCK + r;
                        if output < outputs { weight(output, input) } else { 0.0 }
                    }));
                }
            }
        }
        Self { inputs, blocks, weights }
    }

    /// Rows of the output: a multiple of eight.
    pub(super) fn rows(&self) -> usize {
        self.blocks * BLOCK
    }

    /// `out = relu(start + W x)`.
    ///
    /// * `x`: a row per input, or more; `out`: [`Self::rows`] or more.
    #[inline(always)]
    pub(super) fn forward_relu<S: Simd>(&self, s: S, start: Start<'_>, x: &[Row], out: &mut [Row]) {
        let x = &x[..self.inputs];
        let out = &mut out[..self.rows()];
        let mut weights = &self.weights[..];
        let mut first = true;
        let mut panels = x.chunks(DEPTH).peekable();
        while let Some(x) = panels.next() {
            let last = panels.peek().is_none();
            let (here, rest) = weights.split_at(self.blocks * x.len());
            weights = rest;
            let blocks = here.chunks_exact(x.len()).zip(out.as_chunks_mut::<BLOCK>().0);
            for (number, (weights, out)) in blocks.enumerate() {
                let mut at = 0;
                while at < PACKET {
                    let start = if first { Some((start, number * BLOCK)) } else { None };
                    // Sixteen sums, two inputs and a weight: AVX2 has registers for half of that.
                    if S::LANES >= 16 {
                        block::<S, 8>(s, weights, start, last, x, 0, at, out);
                    } else {
                        block::<S, 4>(s, weights, start, last, x, 0, at, out);
                        block::<S, 4>(s, weights, start, last, x, 4, at, out);
                    }
                    at += 2 * S::LANES;
                }
            }
            first = false;
        }
    }
}

/// Outputs `from .. from + R` of one block, for one panel and two vectors of samples from sample `at`.
///
/// * `start`: of the first panel, with the number of the block's first output; later ones go on from `out`.
/// * `last`: of the last panel, whose sums are complete.
#[inline(always)]
fn block<S: Simd, const R: usize>(
    s: S,
    weights: &[[f32; BLOCK]],
    start: Option<(Start<'_>, usize)>,
    last: bool,
    x: &[Row],
    from: usize,
    at: usize,
    out: &mut [Row; BLOCK],
) {
    let (here, next) = (at..at + S::LANES, at + S::LANES..at + 2 * S::LANES);
    let (mut low, mut high) = ([s.splat(0.0); R], [s.splat(0.0); R]);
    for r in 0..R {
        let row = match start {
            Some((Start::Bias(bias), first)) => {
                low[r] = s.splat(bias[first + from + r]);
                high[r] = low[r];
                continue;
            }
            Some((Start::Rows(rows), first)) => &rows[first + from + r],
            None => &out[from + r],
        };
        low[r] = s.load(&row.0[here.clone()]);
        high[r] = s.load(&row.0[next.clone()]);
    }
    for (w, x) in weights.iter().zip(x) {
        let x_low = s.load(&x.0[here.clone()]);
        let x_high = s.load(&x.0[next.clone()]);
        for r in 0..R {
            let w = s.splat(w[from + r]);
            low[r] = s.fma(w, x_low, low[r]);
            high[r] = s.fma(w, x_high, high[r]);
        }
    }
    let zero = s.splat(0.0);
    for r in 0..R {
        let row = &mut out[from + r].0;
        let (mut a, mut b) = (low[r], high[r]);
        if last {
            (a, b) = (s.max(a, zero), s.max(b, zero));
        }
        s.store(a, &mut row[here.clone()]);
        s.store(b, &mut row[next.clone()]);
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::packet::rows;
    use super::super::super::simd::{Dispatch, Kernel, SimdLevel};
    use super::*;

    struct Forward<'a>(&'a Blocked, Start<'a>, &'a [Row], &'a mut [Row]);

    impl Kernel for Forward<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            self.0.forward_relu(s, self.1, self.2, self.3);
        }
    }

    #[test]
    fn layers_equal_the_sums_they_stand_for() {
        // One panel, a panel and one input, three panels; outputs that fill their last block and that do not.
        for (outputs, inputs) in [(8, 5), (13, DEPTH + 1), (16, 3 * DEPTH - 7)] {
            let weight = |r: usize, k: usize| ((r * inputs + k) * 37 % 41) as f32 / 16.0 - 1.25;
            let x: Vec<Row> = (0..inputs)
                .map(|k| Row(std::array::from_fn(|lane| ((k * 7 + lane) % 19) as f32 / 8.0 - 1.0)))
                .collect();
            let layer = Blocked::new(outputs, inputs, weight);
            let bias: Vec<f32> = (0..layer.rows()).map(|r| r as f32 - 6.0).collect();
            let starts: Vec<Row> =
                bias.iter().map(|bias| Row(std::array::from_fn(|lane| bias + lane as f32))).collect();
            for dispatch in SimdLevel::ALL.into_iter().filter_map(Dispatch::new) {
                let mut out = [rows(layer.rows()), rows(layer.rows())];
                let [same, own] = &mut out;
                dispatch.run(Forward(&layer, Start::Bias(&bias), &x, same));
                dispatch.run(Forward(&layer, Start::Rows(&starts), &x, own));
                for (lane, r) in (0..PACKET).flat_map(|lane| (0..outputs).map(move |r| (lane, r))) {
                    let sum: f64 =
                        (0..inputs).map(|k| f64::from(weight(r, k)) * f64::from(x[k].0[lane])).sum();
                    let right = |start: f32| (sum + f64::from(start)).max(0.0);
                    let off = (f64::from(out[0][r].0[lane]) - right(bias[r])).abs();
                    assert!(off < 1e-3, "{}, {outputs}x{inputs}: {r} {lane} {off}", dispatch.level());
                    let off = (f64::from(out[1][r].0[lane]) - right(starts[r].0[lane])).abs();
                    assert!(off < 1e-3, "{}, {outputs}x{inputs}: {r} {lane} {off}", dispatch.level());
                }
            }
        }
    }
}
