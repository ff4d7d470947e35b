//! Linear layers in 16-bit integers: half the bits of `f32`, twice the multiplications an instruction.
//!
//! Two activations share a lane, and one instruction multiplies both by their weights and adds the products to
//! a 32-bit sum. Sums are exact, so every instruction set makes the same bits. A sum becomes an activation
//! again by a shift, a different one for every output; what a unit of it is worth goes into the weights of the next
//! layer. Most hidden units are 0 for a whole vector of neighbouring samples, and pairs that are 0 are skipped, which
//! changes nothing but the time.

use super::packet::PACKET;
use super::simd::Simd;

/// Outputs packed together in [`Layer16`].
pub(super) const BLOCK: usize = 16;
/// Largest activation.
pub(super) const FULL: f32 = 32_767.0;
/// Bound of every sum, whatever the inputs are: below 2^31 with room for the rounding of the shift.
const SUM: f64 = 2_147_000_000.0;

/// Samples that run through the network together: a vector, or two where registers are few.
#[inline(always)]
pub(super) const fn chunk<S: Simd>() -> usize {
    if S::LANES >= 16 { S::LANES } else { 2 * S::LANES }
}

/// Two activations of every sample in a packet, the first in the low half; starts on a cache line.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
pub(super) struct PairRow(pub(super) [i32; PACKET]);

impl PairRow {
    pub(super) const ZERO: Self = Self([0; PACKET]);
}

/// Most pairs that a layer reads.
pub(super) const MAX_PAIRS: usize = 64;

/// The pairs that are not 0 in some sample of a chunk.
#[derive(Debug, Clone)]
pub(super) struct Active {
    pairs: [u8; MAX_PAIRS],
    len: usize,
}

impl Active {
    pub(super) const NONE: Self = Self { pairs: [0; MAX_PAIRS], len: 0 };

    /// The first `pairs`.
    pub(super) const fn all(pairs: usize) -> Self {
        let mut all = Self::NONE;
        while all.len < pairs {
            #[expect(clippy::cast_possible_truncation, reason = "below MAX_PAIRS")]
            {
                all.pairs[all.len] = all.len as u8;
            }
            all.len += 1;
        }
        all
    }

    /// Adds `pair` if it is `wanted`; adding more than [`MAX_PAIRS`] in all panics.
    #[inline(always)]
    pub(super) fn push(&mut self, pair: usize, wanted: bool) {
        // No branch: whether a unit is active is anybody's guess.
        #[expect(clippy::cast_possible_truncation, reason = "below MAX_PAIRS")]
        {
            self.pairs[self.len] = pair as u8;
        }
        self.len += usize::from(wanted);
    }

    #[inline(always)]
    fn as_slice(&self) -> &[u8] {
        &self.pairs[..self.len]
    }
}

/// `sums = W x + b` in integers; outputs are a multiple of sixteen.
#[derive(Debug, Clone)]
pub(super) struct Layer16 {
    pairs: usize,
    /// `[outputs / 16, pairs, 16]`: two weights.
    weights: Vec<[i32; BLOCK]>,
    /// `[outputs / 16, 16]`.
    bias: Vec<[i32; BLOCK]>,
    /// `[outputs / 16, 16]`: what turns a sum into an activation.
    shift: Vec<[i32; BLOCK]>,
    /// `[outputs]`: what one of a sum is worth.
    unit: Vec<f32>,
}

impl Layer16 {
    /// Rounds a layer to integers.
    ///
    /// * `outputs`, `weight`: of row and column; NaN counts as 0.
    /// * `inputs`: what one of each input is worth, an even number of them, and
    /// * `signed`: those that may be below 0.
    /// * `bias`: one per output or none.
    /// * `largest`: what each output may be expected to reach at most; from four times that on it may saturate.
    ///   Empty when the sums are never to become activations.
    ///
    /// # Panics
    /// If a length does not fit, or there are more than [`MAX_PAIRS`] pairs.
    pub(super) fn new(
        outputs: usize,
        inputs: &[f32],
        signed: impl Fn(usize) -> bool,
        weight: impl Fn(usize, usize) -> f32,
        bias: Option<&[f32]>,
        largest: &[f32],
    ) -> Self {
        let (blocks, pairs) = (outputs / BLOCK, inputs.len() / 2);
        assert!(
            outputs == blocks * BLOCK && inputs.len() == 2 * pairs && pairs <= MAX_PAIRS,
            "whole blocks and pairs"
        );
        assert!(bias.is_none_or(|bias| bias.len() == outputs), "one bias per output");
        assert!(largest.is_empty() || largest.len() == outputs, "one bound per output");
        let mut layer = Self {
            pairs,
            weights: vec![[0; BLOCK]; blocks * pairs],
            bias: vec![[0; BLOCK]; blocks],
            shift: vec![[0; BLOCK]; blocks],
            unit: Vec::with_capacity(outputs),
        };
        let mut row = vec![0.0; inputs.len()];
        for r in 0..outputs {
            let (block, lane) = (r / BLOCK, r % BLOCK);
            for (k, (value, unit)) in row.iter_mut().zip(inputs).enumerate() {
                let exact = weight(r, k) * unit;
                *value = if exact.is_finite() { exact } else { 0.0 };
            }
            let offset = bias.map_or(0.0, |bias| bias[r]);
            let unit = unit_of_sum(&row, &signed, offset);
            for (pair, value) in row.as_chunks::<2>().0.iter().enumerate() {
                let [low, high] = value.map(|value| whole(value / unit));
                layer.weights[block * pairs + pair][lane] = low & 0xffff | high << 16;
            }
            let shift = largest.get(r).map_or(0, |largest| shift_for(*largest, unit));
            layer.shift[block][lane] = shift;
            // Rounds the shift to nearest.
            layer.bias[block][lane] = whole(offset / unit).saturating_add((1 << shift) >> 1);
            layer.unit.push(unit);
        }
        layer
    }

    /// What one of output `r`'s sum is worth.
    pub(super) fn unit_of_sum(&self, r: usize) -> f32 {
        self.unit[r]
    }

    /// What one of every activation is worth, in the order of the outputs.
    pub(super) fn units(&self) -> Vec<f32> {
        let shifts = self.shift.as_flattened();
        #[expect(clippy::cast_precision_loss, reason = "a power of two")]
        self.unit.iter().zip(shifts).map(|(unit, shift)| unit * (1u32 << shift) as f32).collect()
    }

    /// Runs the chunk at `at` through the layer.
    ///
    /// * `x`, `reads`: two inputs to a row, and which rows to look at.
    /// * `to`: where activations `max(0, W x + b)` go, if anywhere.
    /// * `heads`: `[outputs][N]`: returned is what `max(0, W x + b)` in [`Self::unit_of_sum`] sums up to, weighted
    ///   by these; one vector each, two in a chunk of two.
    #[inline(always)]
    pub(super) fn forward<S: Simd, const N: usize>(
        &self,
        s: S,
        x: &[PairRow],
        reads: &Active,
        at: usize,
        mut to: Option<Activations<'_>>,
        heads: &[[f32; N]],
    ) -> [[S::F; 2]; N] {
        let mut results = [[s.splat(0.0); 2]; N];
        let (heads, rest) = heads.as_chunks::<BLOCK>();
        assert!(rest.is_empty() && heads.len() == self.bias.len(), "one weight per output");
        for (block, heads) in heads.iter().enumerate() {
            if S::LANES >= 16 {
                let sums = self.sums::<S, 16, 1>(s, x, reads, block, 0, at);
                if let Some(to) = &mut to {
                    self.activate::<S, 16, 1>(s, &sums, block, 0, at, to);
                }
                weigh::<S, N, 16, 1>(s, &sums, heads, 0, &mut results);
            } else {
                for part in 0..4 {
                    let sums = self.sums::<S, 4, 2>(s, x, reads, block, part * 4, at);
                    if let Some(to) = &mut to {
                        self.activate::<S, 4, 2>(s, &sums, block, part * 4, at, to);
                    }
                    weigh::<S, N, 4, 2>(s, &sums, heads, part * 4, &mut results);
                }
            }
        }
        results
    }

    /// `sums[R][V]`: outputs `first .. first + R` of a block, for `V` vectors of samples from sample `at`.
    #[inline(always)]
    fn sums<S: Simd, const R: usize, const V: usize>(
        &self,
        s: S,
        x: &[PairRow],
        reads: &Active,
        block: usize,
        first: usize,
        at: usize,
    ) -> [[S::I; V]; R] {
        let mut sums = [[s.splat_i(0); V]; R];
        for (sum, bias) in sums.iter_mut().zip(&self.bias[block][first..first + R]) {
            *sum = [s.splat_i(*bias); V];
        }
        let weights = &self.weights[block * self.pairs..][..self.pairs];
        let x = &x[..self.pairs];
        for pair in reads.as_slice() {
            let (weights, x) = (&weights[usize::from(*pair)], &x[usize::from(*pair)].0);
            let mut values = [s.splat_i(0); V];
            for v in 0..V {
                values[v] = s.load_i(&x[at + v * S::LANES..at + (v + 1) * S::LANES]);
            }
            for r in 0..R {
                let w = s.splat_i(weights[first + r]);
                for v in 0..V {
                    sums[r][v] = s.dot(sums[r][v], values[v], w);
                }
            }
        }
        sums
    }

    /// Stores sums as activations.
    #[inline(always)]
    fn activate<S: Simd, const R: usize, const V: usize>(
        &self,
        s: S,
        sums: &[[S::I; V]; R],
        block: usize,
        first: usize,
        at: usize,
        to: &mut Activations<'_>,
    ) {
        let zero = s.splat_i(0);
        let shift = &self.shift[block][first..first + R];
        let rows = (block * BLOCK + first) / 2;
        for half in 0..R / 2 {
            let out = &mut to.rows[rows + half].0[at..at + V * S::LANES];
            let mut any = false;
            for v in 0..V {
                let low = s.sar_by(sums[2 * half][v], shift[2 * half]);
                let high = s.sar_by(sums[2 * half + 1][v], shift[2 * half + 1]);
                let pair = s.max_pairs(s.pair(low, high), zero);
                any |= s.any(pair);
                s.store_i(pair, &mut out[v * S::LANES..(v + 1) * S::LANES]);
            }
            to.active.push(to.first_pair + rows + half, any);
        }
    }
}

/// Where a layer's activations go.
pub(super) struct Activations<'a> {
    /// Two outputs to a row.
    pub(super) rows: &'a mut [PairRow],
    /// What the next layer calls the first of them.
    pub(super) first_pair: usize,
    /// Gets those that are not 0.
    pub(super) active: &'a mut Active,
}

/// Adds what outputs `first .. first + R` of a block contribute to the heads.
#[inline(always)]
fn weigh<S: Simd, const N: usize, const R: usize, const V: usize>(
    s: S,
    sums: &[[S::I; V]; R],
    heads: &[[f32; N]; BLOCK],
    first: usize,
    results: &mut [[S::F; 2]; N],
) {
    if N == 0 {
        return;
    }
    let zero = s.splat_i(0);
    for r in 0..R {
        for v in 0..V {
            let value = s.to_float(s.max_i(sums[r][v], zero));
            for n in 0..N {
                results[n][v] = s.fma(s.splat(heads[first + r][n]), value, results[n][v]);
            }
        }
    }
}

/// What one of a sum shall be worth so that it stays within [`SUM`] and its weights within 16 bits.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "rounded up below; few inputs"
)]
fn unit_of_sum(row: &[f32], signed: impl Fn(usize) -> bool, offset: f32) -> f32 {
    let offset = if offset.is_finite() { f64::from(offset) } else { 0.0 };
    // How far the sum can go either way, in steps of 2^-15 of an input's range.
    let (mut up, mut down) = (offset.max(0.0) / 32_768.0, (-offset).max(0.0) / 32_768.0);
    let mut largest = 0.0_f64;
    for (k, value) in row.iter().map(|value| f64::from(*value)).enumerate() {
        largest = largest.max(value.abs());
        up += if signed(k) { value.abs() } else { value.max(0.0) };
        down += if signed(k) { value.abs() } else { (-value).max(0.0) };
    }
    // Every weight may be rounded up by a half.
    let room = SUM / 32_768.0 - 0.5 * row.len() as f64;
    let unit = (up.max(down) / room).max(largest / f64::from(FULL));
    // A hair larger covers the rounding to f32.
    let unit = (unit * (1.0 + 1e-6)) as f32;
    if unit > 0.0 && unit.is_finite() { unit } else { 1.0 }
}

/// Smallest shift that lets a sum of [`MARGIN`] times `largest` fit 15 bits.
#[expect(clippy::cast_precision_loss, reason = "powers of two")]
fn shift_for(largest: f32, unit: f32) -> i32 {
    (0..16).find(|shift| MARGIN * largest <= FULL * unit * (1i32 << shift) as f32).unwrap_or(16)
}

/// Room above the reach of an activation: it is measured at few points, and saturating shows in the picture.
const MARGIN: f32 = 4.0;

/// Nearest whole number; 0 for NaN.
#[expect(clippy::cast_possible_truncation, reason = "saturating is what is wanted")]
fn whole(value: f32) -> i32 {
    value.round_ties_even() as i32
}

#[cfg(test)]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "halves are taken apart, and test values are small"
)]
mod tests {
    use super::super::simd::{Dispatch, Kernel, SimdLevel};
    use super::*;

    const INPUTS: usize = 12;
    const OUTPUTS: usize = 32;

    /// Pairs of activations, and sums of the heads, of all samples.
    type Outputs = (Vec<PairRow>, Vec<[f32; PACKET]>, Vec<Vec<u8>>);

    struct Forward<'a>(&'a Layer16, &'a [PairRow], &'a [[f32; 2]]);

    impl Kernel for Forward<'_> {
        type Output = Outputs;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Outputs {
            let mut rows = vec![PairRow::ZERO; OUTPUTS / 2];
            let mut heads = vec![[0.0; PACKET]; 2];
            let mut lists = Vec::new();
            let mut at = 0;
            while at < PACKET {
                let mut active = Active::NONE;
                let to = Activations { rows: &mut rows, first_pair: 3, active: &mut active };
                let sums = self.0.forward(s, self.1, &Active::all(INPUTS / 2), at, Some(to), self.2);
                for (sums, out) in sums.into_iter().zip(&mut heads) {
                    for v in 0..chunk::<S>() / S::LANES {
                        s.store(sums[v], &mut out[at + v * S::LANES..]);
                    }
                }
                lists.push(active.as_slice().to_vec());
                at += chunk::<S>();
            }
            (rows, heads, lists)
        }
    }

    fn weight(r: usize, k: usize) -> f32 {
        if r == 9 || r == 8 { -0.1 } else { ((r * 31 + k * 37) % 41) as f32 / 16.0 - 1.25 }
    }

    fn layer(weight: impl Fn(usize, usize) -> f32) -> Layer16 {
        let bias: Vec<f32> = (0..OUTPUTS).map(|r| r as f32 * 100.0 - 1500.0).collect();
        let largest: Vec<f32> = (0..OUTPUTS).map(|r| 3000.0 * (r + 1) as f32).collect();
        Layer16::new(OUTPUTS, &[1.0; INPUTS], |_| true, weight, Some(&bias), &largest)
    }

    fn inputs() -> Vec<PairRow> {
        let value =
            |k: usize, lane: usize| (((k * 7919 + lane * 104_729) % 65_536) as i32 - 32_768) / 2 + 9000;
        let pair = |k, lane| value(2 * k, lane) & 0xffff | value(2 * k + 1, lane) << 16;
        (0..INPUTS / 2).map(|k| PairRow(std::array::from_fn(|lane| pair(k, lane)))).collect()
    }

    fn half(pair: i32, high: bool) -> i64 {
        i64::from(if high { pair >> 16 } else { i32::from(pair as i16) })
    }

    /// The layer in 64-bit integers, one sample and one output at a time.
    fn oracle(layer: &Layer16, x: &[PairRow], heads: &[[f32; 2]]) -> (Vec<PairRow>, Vec<[f32; PACKET]>) {
        let mut rows = vec![PairRow::ZERO; OUTPUTS / 2];
        let mut results = vec![[0.0; PACKET]; 2];
        for lane in 0..PACKET {
            for r in 0..OUTPUTS {
                let (block, column) = (r / BLOCK, r % BLOCK);
                let products = x.iter().enumerate().map(|(k, x)| {
                    let w = layer.weights[block * layer.pairs + k][column];
                    half(w, false) * half(x.0[lane], false) + half(w, true) * half(x.0[lane], true)
                });
                let sum = products.sum::<i64>() + i64::from(layer.bias[block][column]);
                assert_eq!(sum, i64::from(sum as i32), "no sum wraps");
                let value = (sum >> layer.shift[block][column]).clamp(0, 32_767) as i32;
                rows[r / 2].0[lane] |= value << (r % 2 * 16);
                for (result, head) in results.iter_mut().zip(heads[r]) {
                    result[lane] += head * sum.max(0) as f32;
                }
            }
        }
        (rows, results)
    }

    #[test]
    fn every_level_makes_the_bits_of_the_oracle() {
        let x = inputs();
        let heads: Vec<[f32; 2]> = (0..OUTPUTS).map(|r| [1.0 / (r + 1) as f32, (r % 3) as f32]).collect();
        let exact = layer(weight);
        let (rows, sums) = oracle(&exact, &x, &heads);
        // One weight, a thousandth of the largest off.
        let other = layer(|r, k| weight(r, k) + if (r, k) == (5, 3) { 0.002 } else { 0.0 });
        for dispatch in SimdLevel::ALL.into_iter().filter_map(Dispatch::new) {
            let (got, got_sums, lists) = dispatch.run(Forward(&exact, &x, &heads));
            for (pair, (a, b)) in got.iter().zip(&rows).enumerate() {
                assert_eq!(a.0, b.0, "{}, outputs {} and the next", dispatch.level(), 2 * pair);
            }
            for (a, b) in got_sums.iter().flatten().zip(sums.iter().flatten()) {
                assert!((a - b).abs() <= b.abs() * 1e-5, "{}: {a} {b}", dispatch.level());
            }
            let chunk = PACKET / lists.len();
            for (list, active) in lists.iter().enumerate() {
                let lanes = list * chunk..(list + 1) * chunk;
                let nonzero =
                    (0..OUTPUTS / 2).filter(|pair| rows[*pair].0[lanes.clone()].iter().any(|v| *v != 0));
                assert!(
                    nonzero.map(|pair| pair as u8 + 3).eq(active.iter().copied()),
                    "{}",
                    dispatch.level()
                );
                assert!(!active.contains(&7), "outputs 8 and 9 are never above 0");
            }
            let (other, ..) = dispatch.run(Forward(&other, &x, &heads));
            assert_ne!(other[2].0, rows[2].0, "control: a changed weight shows");
        }
    }

    #[test]
    fn integers_stand_for_the_layer() {
        let (x, exact) = (inputs(), layer(weight));
        let units = exact.units();
        let (rows, _) = oracle(&exact, &x, &[[0.0; 2]; OUTPUTS]);
        for lane in 0..PACKET {
            for r in 0..OUTPUTS {
                let products = (0..INPUTS).map(|k| weight(r, k) * half(x[k / 2].0[lane], k % 2 == 1) as f32);
                let want = (products.sum::<f32>() + r as f32 * 100.0 - 1500.0).max(0.0);
                let got = half(rows[r / 2].0[lane], r % 2 == 1) as f32 * units[r];
                let largest = MARGIN * 3000.0 * (r + 1) as f32;
                if want < largest {
                    assert!((got - want).abs() < 0.001 * largest, "{r}, {lane}: {got} {want}");
                } else {
                    assert!(got >= largest * 0.999, "saturated above the margin only: {got} {want}");
                }
            }
        }
    }

    #[test]
    fn sums_never_wrap() {
        // Every input at the end of its range, against weights and biases of all sizes, and no sense at all.
        for scale in [1e-30, 1e-3, 1.0, 1e6, 1e30, f32::NAN, f32::INFINITY] {
            for shift in [-1.3, 0.0, 1.3] {
                let bias = [scale * (shift + 1.0) * 3.0; BLOCK];
                let weight = |r, k| (weight(r, k) + shift) * scale;
                let signed = |k| k % 3 == 0;
                let layer = Layer16::new(BLOCK, &[1.0; INPUTS], signed, weight, Some(&bias), &[scale; BLOCK]);
                for r in 0..BLOCK {
                    for up in [false, true] {
                        let mut sum = i64::from(layer.bias[0][r]);
                        for k in 0..INPUTS {
                            let w = half(layer.weights[k / 2][r], k % 2 == 1);
                            let low = if signed(k) { -32_768 } else { 0 };
                            sum += w * if (w > 0) == up { 32_767 } else { low };
                        }
                        assert_eq!(sum, i64::from(sum as i32), "{scale}, output {r}");
                    }
                }
            }
        }
    }
}
