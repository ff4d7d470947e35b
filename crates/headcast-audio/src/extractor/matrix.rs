//! Products with weights that stay: packed once, used for every clip.

use std::thread;

use super::kernel::{COLUMNS, GROUPS, LANES, Level, ROWS, Step, Sums, tile, widen};

/// Steps of the inner dimension at a time: a block of a panel, 128 kB, stays in the second-level cache.
const BLOCK: usize = 512;

/// How weights are kept in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// As they are: four bytes each.
    #[default]
    F32,
    /// Two bytes each; converted to `f32` on the way into a product, whose sums stay in `f32`.
    F16,
}

/// Weights `[outputs, inputs]`, laid out for products: panels of 64 outputs, each `[inputs, 64]`.
#[derive(Clone)]
pub struct Matrix {
    outputs: usize,
    inputs: usize,
    panels: Panels,
}

#[derive(Clone)]
enum Panels {
    F32(Vec<Step<f32>>),
    F16(Vec<Step<u16>>),
}

impl std::fmt::Debug for Matrix {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Matrix({} x {}, {:?})", self.outputs, self.inputs, self.precision())
    }
}

/// Rows of equal length in a slice; they may overlap, which makes a convolution over `[time, channels]` a product.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// Row r starts at `r × stride`.
    pub values: &'a [f32],
    /// Values from the start of a row to that of the next.
    pub stride: usize,
    /// How many rows.
    pub count: usize,
}

/// What a product starts from.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Nothing.
    Zero,
    /// One value per output.
    Bias(&'a [f32]),
    /// What is in `out` already.
    Out,
}

impl Matrix {
    /// Packs weights of any layout: that of `output` and `input` is `values[output × output_stride + input × input_stride]`.
    ///
    /// # Panics
    /// If `values` is too short for that.
    pub fn pack(
        values: &[f32],
        [outputs, inputs]: [usize; 2],
        [output_stride, input_stride]: [usize; 2],
        precision: Precision,
    ) -> Self {
        let mut panels = vec![[[0.0; LANES]; GROUPS]; outputs.div_ceil(COLUMNS) * inputs];
        for (panel, steps) in panels.chunks_exact_mut(inputs.max(1)).enumerate() {
            let first = panel * COLUMNS;
            for column in 0..COLUMNS.min(outputs - first) {
                let start = (first + column) * output_stride;
                let (group, lane) = (column / LANES, column % LANES);
                for (input, step) in steps.iter_mut().enumerate() {
                    step[group][lane] = values[start + input * input_stride];
                }
            }
        }
        let panels = match precision {
            Precision::F32 => Panels::F32(panels),
            Precision::F16 => Panels::F16(panels.iter().map(|step| step.map(|g| g.map(to_half))).collect()),
        };
        Self { outputs, inputs, panels }
    }

    /// Weights `[outputs, inputs]`, row-major, as PyTorch stores a linear layer.
    ///
    /// # Panics
    /// If `values` has not `outputs × inputs` values.
    pub fn new(values: &[f32], outputs: usize, inputs: usize, precision: Precision) -> Self {
        assert_eq!(values.len(), outputs * inputs, "the values must fill the matrix");
        Self::pack(values, [outputs, inputs], [inputs, 1], precision)
    }

    /// Length of the rows that a product gives.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Length of the rows that a product takes.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// How the weights are kept.
    pub fn precision(&self) -> Precision {
        match self.panels {
            Panels::F32(_) => Precision::F32,
            Panels::F16(_) => Precision::F16,
        }
    }

    /// Memory of the weights.
    pub fn bytes(&self) -> usize {
        match &self.panels {
            Panels::F32(panels) => size_of_val(&panels[..]),
            Panels::F16(panels) => size_of_val(&panels[..]),
        }
    }
}

/// `out[r] = start + weights · rows[r]`, on up to `threads` threads.
///
/// Every sum is made in the order of the inputs, whatever the number of rows and threads is.
///
/// * `out`: `[rows.count, outputs]`, row-major.
///
/// # Panics
/// If `rows`, a bias or `out` has not the length that this takes.
pub fn product(rows: Rows<'_>, weights: &Matrix, start: Start<'_>, out: &mut [f32], threads: usize) {
    product_at(Level::best(), rows, weights, start, out, threads);
}

fn product_at(
    level: Level,
    rows: Rows<'_>,
    weights: &Matrix,
    start: Start<'_>,
    out: &mut [f32],
    threads: usize,
) {
    assert_eq!(out.len(), rows.count * weights.outputs, "out must hold one row of outputs for every row");
    if out.is_empty() {
        return;
    }
    if let Start::Bias(bias) = start {
        assert_eq!(bias.len(), weights.outputs, "one bias for every output");
    }
    let end = (rows.count - 1) * rows.stride + weights.inputs;
    assert!(rows.values.len() >= end, "{} values, the rows end at {end}", rows.values.len());
    let panels = weights.outputs.div_ceil(COLUMNS);
    let threads = threads.max(1);
    if threads == 1 || panels < threads {
        return by_rows(level, rows, weights, start, out, threads);
    }
    // Some panels for everyone: each weight is read, and widened, by one thread only.
    let share = panels.div_ceil(threads);
    let mut parts: Vec<Vec<&mut [f32]>> =
        (0..panels.div_ceil(share)).map(|_| Vec::with_capacity(rows.count)).collect();
    for row in out.chunks_exact_mut(weights.outputs) {
        row.chunks_mut(share * COLUMNS).zip(&mut parts).for_each(|(columns, part)| part.push(columns));
    }
    thread::scope(|scope| {
        let mut parts = parts.into_iter().enumerate();
        let own = parts.next();
        for (index, out) in parts {
            scope.spawn(move || serial(level, rows, weights, index * share, start, out));
        }
        if let Some((index, out)) = own {
            serial(level, rows, weights, index * share, start, out);
        }
    });
}

/// Some rows for each thread.
fn by_rows(
    level: Level,
    rows: Rows<'_>,
    weights: &Matrix,
    start: Start<'_>,
    out: &mut [f32],
    threads: usize,
) {
    // Whole tiles for everyone: a tile of fewer rows takes the time of a whole one.
    let share = rows.count.div_ceil(ROWS).div_ceil(threads) * ROWS;
    let part = |index: usize, out: &mut [f32]| {
        let values = &rows.values[index * share * rows.stride..];
        let out: Vec<_> = out.chunks_exact_mut(weights.outputs).collect();
        serial(level, Rows { values, stride: rows.stride, count: out.len() }, weights, 0, start, out);
    };
    if rows.count <= share {
        return part(0, out);
    }
    thread::scope(|scope| {
        let part = &part;
        let mut parts = out.chunks_mut(share * weights.outputs).enumerate();
        let own = parts.next();
        for (index, out) in parts {
            scope.spawn(move || part(index, out));
        }
        if let Some((index, out)) = own {
            part(index, out);
        }
    });
}

/// * `out`: of each row the columns from panel `first_panel` on, up to the end of a panel or of the row.
fn serial(
    level: Level,
    rows: Rows<'_>,
    weights: &Matrix,
    first_panel: usize,
    start: Start<'_>,
    mut out: Vec<&mut [f32]>,
) {
    let columns = out.first().map_or(0, |row| row.len());
    match start {
        Start::Zero => out.iter_mut().for_each(|row| row.fill(0.0)),
        Start::Bias(bias) => {
            let bias = &bias[first_panel * COLUMNS..][..columns];
            out.iter_mut().for_each(|row| row.copy_from_slice(bias));
        }
        Start::Out => {}
    }
    let mut scratch = Vec::new();
    for first_column in (0..columns).step_by(COLUMNS) {
        let panel = first_panel + first_column / COLUMNS;
        for first in (0..weights.inputs).step_by(BLOCK) {
            let last = (first + BLOCK).min(weights.inputs);
            let range = panel * weights.inputs + first..panel * weights.inputs + last;
            let steps = match &weights.panels {
                Panels::F32(steps) => &steps[range],
                Panels::F16(steps) => {
                    widen(level, &steps[range], &mut scratch);
                    &scratch[..]
                }
            };
            block(level, rows, first, steps, first_column, &mut out);
        }
    }
}

/// Adds to the sums of one panel what a block of the inner dimension gives.
fn block(
    level: Level,
    rows: Rows<'_>,
    first_input: usize,
    steps: &[Step<f32>],
    first_column: usize,
    out: &mut [&mut [f32]],
) {
    for (tile_index, out) in out.chunks_mut(ROWS).enumerate() {
        let (first, count) = (tile_index * ROWS, out.len());
        let columns = first_column..out[0].len().min(first_column + COLUMNS);
        // Rows past the last one are the last one again, and are not kept.
        let input = |r: usize| {
            let at = (first + r.min(count - 1)) * rows.stride + first_input;
            &rows.values[at..at + steps.len()]
        };
        let mut sums: [Sums; ROWS] = [[[0.0; LANES]; GROUPS]; ROWS];
        for (sums, out) in sums.iter_mut().zip(out.iter()) {
            sums.as_flattened_mut()[..columns.len()].copy_from_slice(&out[columns.clone()]);
        }
        if count == 1 {
            // A product with one vector, as recurrent networks have them, needs no tile.
            let mut one = [sums[0]];
            tile(level, [input(0)], steps, &mut one);
            sums[0] = one[0];
        } else {
            tile(level, [input(0), input(1), input(2), input(3), input(4), input(5)], steps, &mut sums);
        }
        for (sums, out) in sums.iter().zip(out.iter_mut()) {
            out[columns.clone()].copy_from_slice(&sums.as_flattened()[..columns.len()]);
        }
    }
}

/// The half-precision number nearest to a finite `value`, ties to even; values out of range become the largest one.
#[expect(clippy::cast_possible_truncation, reason = "what is cast was made to fit 16 bits")]
pub fn to_half(value: f32) -> u16 {
    const LARGEST: f32 = 65504.0;
    let sign = (value.to_bits() >> 16) as u16 & 0x8000;
    let magnitude = value.abs().min(LARGEST);
    // Adding a power of two whose last bit is worth the last bit of the half rounds there, ties to even.
    let exponent = (magnitude.to_bits() >> 23).max(113);
    let rounded = magnitude + f32::from_bits((exponent + 13) << 23) - f32::from_bits((exponent + 13) << 23);
    let half = (rounded * f32::from_bits((127 - 112) << 23)).to_bits() >> 13;
    sign | half as u16
}

/// The value of a finite half-precision number; exact.
#[inline]
pub fn from_half(half: u16) -> f32 {
    // The fraction is moved to its place, and the exponent's bias is put right by a product, subnormals with it.
    let magnitude = f32::from_bits(u32::from(half & 0x7fff) << 13) * f32::from_bits((127 + 112) << 23);
    f32::from_bits(magnitude.to_bits() | u32::from(half & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values without pattern, about ±1.
    #[expect(clippy::cast_precision_loss, reason = "24 bits")]
    fn values(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..count).map(|_| next()).collect()
    }

    fn expected(rows: Rows<'_>, weights: &[f32], inputs: usize, bias: &[f32]) -> Vec<f64> {
        let dot = |r: usize, o: usize| {
            let row = &rows.values[r * rows.stride..][..inputs];
            let products = row.iter().zip(&weights[o * inputs..]).map(|(a, b)| f64::from(*a) * f64::from(*b));
            products.sum::<f64>() + f64::from(bias[o])
        };
        (0..rows.count).flat_map(|r| (0..bias.len()).map(move |o| (r, o))).map(|(r, o)| dot(r, o)).collect()
    }

    fn error(found: &[f32], expected: &[f64]) -> f64 {
        found.iter().zip(expected).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
    }

    #[test]
    fn products_of_all_shapes_on_all_instruction_sets() {
        for (count, inputs, outputs, stride) in
            [(1, 1, 1, 1), (7, 513, 29, 513), (13, 30, 65, 10), (25, 1024, 130, 700), (6, 512, 64, 512)]
        {
            let a = values((count - 1) * stride + inputs, 1);
            let weights = values(outputs * inputs, 2);
            let bias = values(outputs, 3);
            let rows = Rows { values: &a, stride, count };
            let expected = expected(rows, &weights, inputs, &bias);
            let matrix = Matrix::new(&weights, outputs, inputs, Precision::F32);
            let mut out = vec![f32::NAN; count * outputs];
            let mut first: Option<Vec<f32>> = None;
            for level in Level::available() {
                for threads in [1, 2, 5] {
                    product_at(level, rows, &matrix, Start::Bias(&bias), &mut out, threads);
                    let off = error(&out, &expected);
                    assert!(off < 2e-4, "{level:?}, {count} x {inputs} x {outputs}: {off}");
                    if level != Level::Plain {
                        // Fused sums have the same bits, however they are shared out.
                        assert_eq!(
                            first.get_or_insert_with(|| out.clone()),
                            &out,
                            "{level:?}, {threads} threads"
                        );
                    }
                }
            }
            // Control: another weight is seen.
            let mut other = weights.clone();
            *other.last_mut().unwrap() += 0.5;
            product(
                rows,
                &Matrix::new(&other, outputs, inputs, Precision::F32),
                Start::Bias(&bias),
                &mut out,
                1,
            );
            assert!(error(&out, &expected) > 1e-3);
        }
    }

    #[test]
    fn a_product_goes_on_from_zero_a_bias_or_what_is_there() {
        let matrix = Matrix::new(&[2.0, 3.0], 1, 2, Precision::F32);
        let rows = Rows { values: &[1.0, 10.0], stride: 2, count: 1 };
        for (start, sum) in [(Start::Zero, 32.0), (Start::Bias(&[1.0]), 33.0), (Start::Out, 36.0)] {
            let mut out = [4.0];
            product(rows, &matrix, start, &mut out, 1);
            assert_eq!(out, [sum]);
        }
    }

    #[test]
    fn packing_takes_any_layout() {
        // The transpose of a row-major [2, 3].
        let matrix = Matrix::pack(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [3, 2], [1, 3], Precision::F32);
        let mut out = [0.0; 3];
        product(Rows { values: &[1.0, 10.0], stride: 2, count: 1 }, &matrix, Start::Zero, &mut out, 1);
        assert_eq!(out, [41.0, 52.0, 63.0]);
    }

    #[test]
    fn halves_take_half_the_room_and_are_rounded_once() {
        let weights = values(70 * 600, 4);
        let rounded: Vec<f32> = weights.iter().map(|w| from_half(to_half(*w))).collect();
        assert_ne!(weights, rounded);
        assert!(weights.iter().zip(&rounded).all(|(a, b)| (a - b).abs() <= 2f32.powi(-12)));
        let a = values(600 * 9, 5);
        let rows = Rows { values: &a, stride: 600, count: 9 };
        let (whole, half) =
            (Matrix::new(&rounded, 70, 600, Precision::F32), Matrix::new(&weights, 70, 600, Precision::F16));
        assert_eq!(whole.bytes(), 2 * half.bytes());
        let (mut of_whole, mut of_half) = (vec![0.0; 9 * 70], vec![1.0; 9 * 70]);
        product(rows, &whole, Start::Zero, &mut of_whole, 1);
        product(rows, &half, Start::Zero, &mut of_half, 1);
        assert_eq!(of_whole, of_half);
    }

    #[test]
    fn halves_are_widened_alike_on_all_instruction_sets() {
        let finite = (0..=u16::MAX).filter(|half| half & 0x7c00 != 0x7c00);
        let halves: Vec<u16> = finite.collect();
        let steps: Vec<Step<u16>> = halves.as_chunks::<LANES>().0.as_chunks::<GROUPS>().0.to_vec();
        assert_eq!(steps.len() * COLUMNS, halves.len());
        let expected: Vec<u32> = halves.iter().map(|half| from_half(*half).to_bits()).collect();
        for level in Level::available() {
            let mut wide = vec![[[7.0; LANES]; GROUPS]; 3];
            widen(level, &steps, &mut wide);
            let found: Vec<u32> =
                wide.as_flattened().as_flattened().iter().map(|value| value.to_bits()).collect();
            assert!(found == expected, "{level:?}");
        }
    }

    #[test]
    fn every_finite_half_survives_the_round_trip() {
        for half in (0..=u16::MAX).filter(|half| half & 0x7c00 != 0x7c00) {
            assert_eq!(to_half(from_half(half)), half, "{half:#x}");
        }
        // Ties to even, below the smallest, and beyond the largest.
        assert_eq!(to_half(1.0 + 2f32.powi(-11)), 0x3c00);
        assert_eq!(to_half(1.0 + 3.0 * 2f32.powi(-11)), 0x3c02);
        assert_eq!(to_half(2f32.powi(-25)), 0);
        assert_eq!(to_half(1.5 * 2f32.powi(-25)), 1);
        assert_eq!(to_half(-1e9), 0xfbff);
        assert_eq!(from_half(0x3c01), 1.0 + 2f32.powi(-10));
    }
}
