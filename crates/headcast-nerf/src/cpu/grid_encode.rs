//! The three feature planes, unrolled.
//!
//! A hashed level is a function of lattice points; writing it out point by point, each with the one above it, makes neighbours in
//! space neighbours in memory, so one 64-bit load fetches the corners of a cell and nothing is hashed per sample. Values are
//! stored as 16-bit integers, one step per level; the step goes into the weights of the
//! layers that read the features, see [`super::head`].

use super::error::RenderError;
use super::packet::{PACKET, Row};
use super::simd::Simd;
use crate::field::{GridKind, GridLevel, grid_index, grid_levels};
use crate::model::GridTable;

/// Levels in a plane.
pub(super) const LEVELS: usize = 12;
/// Features of a point: three planes of [`LEVELS`] levels of one channel.
pub(super) const FEATURES: usize = 3 * LEVELS;
/// Axes that the planes xy, yz and xz look at.
const AXES: [(usize, usize); 3] = [(0, 1), (1, 2), (0, 2)];
/// Largest `bound` whose unrolled planes stay within 160 MB.
const MAX_BOUND: f32 = 4.0;

#[derive(Debug)]
struct Level {
    scale: f32,
    /// Points in a row.
    side: f32,
    /// `[side, side]` per plane, axis of [`AXES`]`.0` fastest: the value of a point in the low half, that of the next row in the
    /// high half.
    values: [Vec<i32>; 3],
}

/// Planes xy, yz and xz of one model.
#[derive(Debug)]
pub(super) struct Planes {
    bound: f32,
    levels: Vec<Level>,
    /// Value of one integer step of each feature.
    steps: [f32; FEATURES],
}

impl Planes {
    /// Unrolls the tables of planes xy, yz, xz over `[-bound, bound]`.
    ///
    /// # Errors
    /// [`RenderError::Unsupported`] for a bound above 4 or tables of another layout.
    pub(super) fn new(tables: &[GridTable; 3], bound: f32) -> Result<Self, RenderError> {
        if !(bound > 0.0 && bound <= MAX_BOUND) {
            return Err(RenderError::Unsupported {
                what: format!("a scene bound of {bound}, outside 0 to 4"),
            });
        }
        if let Some(table) = tables.iter().find(|table| table.levels() != LEVELS || table.channels != 1) {
            return Err(RenderError::Unsupported {
                what: format!("a plane of {} levels and {} channels", table.levels(), table.channels),
            });
        }
        let mut steps = [0.0; FEATURES];
        let mut levels = Vec::with_capacity(LEVELS);
        for (l, lattice) in grid_levels(LEVELS, 64.0, 512.0 * bound).into_iter().enumerate() {
            let mut values = [const { Vec::new() }; 3];
            for (plane, table) in tables.iter().enumerate() {
                let (unrolled, step) = unroll(table, l, lattice);
                values[plane] = unrolled;
                steps[plane * LEVELS + l] = step;
            }
            #[expect(clippy::cast_precision_loss, reason = "sides are at most 2050")]
            levels.push(Level { scale: lattice.scale, side: lattice.side as f32, values });
        }
        Ok(Self { bound, levels, steps })
    }

    /// Value of one integer step of each feature: multiplies column `i` of every layer that reads feature `i`.
    pub(super) fn steps(&self) -> &[f32; FEATURES] {
        &self.steps
    }

    /// Features of one vector of positions, in integer steps, into column `at` of `out`.
    ///
    /// * `p`: x, y, z in `[-bound, bound]`; positions outside are moved to the nearest one inside, NaN to
    ///   the lower corner.
    /// * `out`: [`FEATURES`] rows.
    #[inline(always)]
    pub(super) fn encode<S: Simd>(&self, s: S, p: [S::F; 3], at: usize, out: &mut [Row]) {
        let out = &mut out[..FEATURES];
        assert!(at + S::LANES <= PACKET, "a vector of the packet");
        let (zero, one, half) = (s.splat(0.0), s.splat(1.0), s.splat(0.5));
        let mut u = p;
        for u in &mut u {
            *u = s.div(s.add(*u, s.splat(self.bound)), s.splat(2.0 * self.bound));
            *u = s.min(s.max(*u, zero), one);
        }
        for (l, level) in self.levels.iter().enumerate() {
            let mut cell = u;
            let mut fraction = u;
            for axis in 0..3 {
                let p = s.fma(u[axis], s.splat(level.scale), half);
                cell[axis] = s.floor(p);
                fraction[axis] = s.sub(p, cell[axis]);
            }
            let side = s.splat(level.side);
            for (plane, (a, b)) in AXES.into_iter().enumerate() {
                let values = &level.values[plane];
                // Whole numbers below 2^24: exact in f32.
                let corner = s.fma(cell[b], side, cell[a]);
                let [here, next] = s.gather_two(values, s.to_int(corner));
                let ((here, here_above), (next, next_above)) = (halves(s, here), halves(s, next));
                let below = s.fma(fraction[a], s.sub(next, here), here);
                let above = s.fma(fraction[a], s.sub(next_above, here_above), here_above);
                let value = s.fma(fraction[b], s.sub(above, below), below);
                s.store(value, &mut out[plane * LEVELS + l].0[at..at + S::LANES]);
            }
        }
    }
}

/// Low and high 16 bits of each lane, as signed numbers.
#[inline(always)]
pub(super) fn halves<S: Simd>(s: S, pair: S::I) -> (S::F, S::F) {
    (s.to_float(s.sar::<16>(s.shl::<16>(pair))), s.to_float(s.sar::<16>(pair)))
}

/// The integer step that lets the largest of `values` just fit 16 bits.
pub(super) fn step_of<'a>(values: impl Iterator<Item = &'a f32>) -> f32 {
    let largest = values.fold(0.0_f32, |largest, v| largest.max(v.abs()));
    if largest > 0.0 && largest.is_finite() { largest / f32::from(i16::MAX) } else { 1.0 }
}

/// `value` in steps, rounded; what does not fit saturates, and NaN is 0.
#[expect(clippy::cast_possible_truncation, reason = "saturating is what is wanted")]
pub(super) fn quantise(value: f32, step: f32) -> i16 {
    (value / step).round() as i16
}

/// Writes out level `l` point by point: values in steps, each with that of the next row, and the step.
fn unroll(table: &GridTable, l: usize, lattice: GridLevel) -> (Vec<i32>, f32) {
    let (first, end) = (table.offsets[l], table.offsets[l + 1]);
    let entries = &table.embeddings[first as usize..end as usize];
    let step = step_of(entries.iter());
    let quantised: Vec<i16> = entries.iter().map(|v| quantise(*v, step)).collect();
    let side = lattice.side;
    let value = |a: u32, b: u32| quantised[grid_index([a, b], side, end - first, GridKind::Hash) as usize];
    let mut values = Vec::with_capacity(side as usize * side as usize);
    for b in 0..side {
        for a in 0..side {
            // There is nothing above the last row, and no cell either.
            let [low, high] = [value(a, b), value(a, (b + 1).min(side - 1))].map(i32::from);
            values.push(low & 0xffff | high << 16);
        }
    }
    (values, step)
}
