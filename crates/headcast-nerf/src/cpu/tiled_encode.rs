//! Tiled feature grids of two channels: of the torso, and of RAD-NeRF's head.
//!
//! A level finds its entries by the remainder of a linear index. Where the first corner of a cell lies is reduced once;
//! the others follow at fixed distances, for which the table is continued behind its end. An axis whose stride exceeds
//! the table does not matter to a level, so neither do the corners along it. Both channels of an entry are one load.

use super::error::RenderError;
use super::grid_encode::{halves, quantise, step_of};
use super::packet::Row;
use super::simd::Simd;
use crate::field::grid_levels;
use crate::model::GridTable;

const LEVELS: usize = 16;
const CHANNELS: usize = 2;
/// Features of a position.
pub(super) const FEATURES: usize = LEVELS * CHANNELS;
/// Resolution of the coarsest level.
const BASE: f32 = 16.0;
/// Rows counted together where linear indices would be too large.
const ROWS: u16 = 64;
/// Finest resolution: of a scene of bound 4.
const MAX_FINEST: f32 = 8192.0;
/// Whole numbers below this are exact in `f32`.
const EXACT: u64 = 1 << 24;

/// A grid over `[-bound, bound]` on `D` axes, two or three.
#[derive(Debug)]
pub(super) struct TiledGrid<const D: usize> {
    bound: f32,
    levels: Vec<Level<D>>,
    /// Value of one integer step of each feature.
    steps: [f32; FEATURES],
}

#[derive(Debug)]
struct Level<const D: usize> {
    scale: f32,
    /// Axes that the level looks at, from the first on.
    axes: usize,
    /// Entries from a lattice point to the next along each axis.
    strides: [f32; D],
    /// Of a level whose linear indices are not exact: entries from a row to the one [`ROWS`] further, of the remainder.
    rows_apart: Option<f32>,
    entries: f32,
    inverse_entries: f32,
    /// Values from a cell's first corner to the one of this number.
    corners: [i32; 8],
    /// `[entries and more, 2]`: in steps, from the start again behind the last entry.
    values: Vec<i16>,
}

impl<const D: usize> TiledGrid<D> {
    /// * `finest`: resolution of the finest level.
    ///
    /// # Errors
    /// [`RenderError::Unsupported`] for a table of another layout, or a lattice too fine for `f32`.
    pub(super) fn new(table: &GridTable, what: &str, finest: f32, bound: f32) -> Result<Self, RenderError> {
        let unsupported = |found: String| Err(RenderError::Unsupported { what: format!("{what} {found}") });
        if table.levels() != LEVELS || table.channels != CHANNELS {
            return unsupported(format!("of {} levels and {} channels", table.levels(), table.channels));
        }
        if !(bound > 0.0 && finest > BASE && finest <= MAX_FINEST) {
            return unsupported(format!("of {finest} cells over a scene bound of {bound}"));
        }
        let mut steps = [0.0; FEATURES];
        let mut levels = Vec::with_capacity(LEVELS);
        let ranges = table.offsets.windows(2);
        for (l, (lattice, range)) in grid_levels(LEVELS, BASE, finest).into_iter().zip(ranges).enumerate() {
            let entries = range[1].saturating_sub(range[0]);
            let values = table.embeddings.get(range[0] as usize * CHANNELS..range[1] as usize * CHANNELS);
            let Some(values) = values.filter(|_| entries > 0 && u64::from(entries) < EXACT / 2) else {
                return unsupported(format!("with a level of {entries} entries"));
            };
            let mut strides = [0u64; D];
            let (mut axes, mut stride) = (0, 1);
            while axes < D && stride <= u64::from(entries) {
                strides[axes] = stride;
                stride *= u64::from(lattice.side);
                axes += 1;
            }
            let side = u64::from(lattice.side);
            let mut rows_apart = None;
            if (side - 1).saturating_mul(strides.iter().sum()) >= EXACT {
                let (rows, entries) = (u64::from(ROWS), u64::from(entries));
                let apart = rows * side % entries;
                let largest = side / rows * apart + rows * side;
                if axes != 2 || largest >= EXACT {
                    return unsupported(format!("with a level of {side} points a side"));
                }
                rows_apart = Some(apart);
            }
            for channel in 0..CHANNELS {
                steps[l * CHANNELS + channel] = step_of(values.iter().skip(channel).step_by(CHANNELS));
            }
            levels.push(level(
                values,
                lattice.scale,
                entries,
                axes,
                strides,
                rows_apart,
                &steps[l * CHANNELS..],
            ));
        }
        Ok(Self { bound, levels, steps })
    }

    /// Value of one integer step of each feature: multiplies column `i` of every layer that reads feature `i`.
    pub(super) fn steps(&self) -> &[f32; FEATURES] {
        &self.steps
    }

    /// Features of one vector of positions, in integer steps, into column `at` of `out`.
    ///
    /// * `p`: positions outside the grid are moved to the nearest one inside, NaN to the lower corner.
    /// * `out`: [`FEATURES`] rows at least.
    #[inline(always)]
    pub(super) fn encode<S: Simd>(&self, s: S, p: [S::F; D], at: usize, out: &mut [Row]) {
        let half = s.splat(0.5);
        let mut u = p;
        for u in &mut u {
            *u = s.min(s.max(*u, s.splat(-self.bound)), s.splat(self.bound));
            *u = s.mul(s.add(*u, s.splat(self.bound)), s.splat(0.5 / self.bound));
        }
        for (level, out) in self.levels.iter().zip(out[..FEATURES].as_chunks_mut::<CHANNELS>().0) {
            let mut cell = u;
            let mut fraction = u;
            for axis in 0..D {
                let p = s.fma(u[axis], s.splat(level.scale), half);
                cell[axis] = s.floor(p);
                fraction[axis] = s.sub(p, cell[axis]);
            }
            let first = level.first(s, cell);
            let sums = match level.axes {
                1 => level.sum::<S, 1>(s, first, fraction),
                2 => level.sum::<S, 2>(s, first, fraction),
                _ => level.sum::<S, D>(s, first, fraction),
            };
            for channel in 0..CHANNELS {
                s.store(sums[channel], &mut out[channel].0[at..at + S::LANES]);
            }
        }
    }
}

impl<const D: usize> Level<D> {
    /// Where the values of the entry at lattice point `cell` are.
    #[inline(always)]
    fn first<S: Simd>(&self, s: S, mut cell: [S::F; D]) -> S::I {
        let entries = s.splat(self.entries);
        let mut index = s.splat(0.0);
        if let Some(rows_apart) = self.rows_apart {
            let rows = s.splat(f32::from(ROWS));
            let turns = s.floor(s.div(cell[1], rows));
            cell[1] = s.sub(cell[1], s.mul(turns, rows));
            index = s.mul(turns, s.splat(rows_apart));
        }
        for (cell, stride) in cell.into_iter().zip(self.strides) {
            index = s.fma(cell, s.splat(stride), index);
        }
        // Whole numbers below 2^24, so the remainder is exact once the quotient's rounding is put right.
        let turns = s.floor(s.mul(index, s.splat(self.inverse_entries)));
        let mut entry = s.sub(index, s.mul(turns, entries));
        entry = s.select(s.lt(entry, s.splat(0.0)), s.add(entry, entries), entry);
        entry = s.select(s.lt(entry, entries), entry, s.sub(entry, entries));
        s.shl::<1>(s.to_int(entry))
    }

    /// Both channels between the corners along the first `AXES` axes.
    #[inline(always)]
    fn sum<S: Simd, const AXES: usize>(&self, s: S, first: S::I, fraction: [S::F; D]) -> [S::F; CHANNELS] {
        let one = s.splat(1.0);
        let mut rest = fraction;
        for axis in 0..AXES {
            rest[axis] = s.sub(one, fraction[axis]);
        }
        let mut sums = [s.splat(0.0); CHANNELS];
        for corner in 0..1 << AXES {
            let mut weight = if corner & 1 == 1 { fraction[0] } else { rest[0] };
            for axis in 1..AXES {
                let along = if corner >> axis & 1 == 1 { fraction[axis] } else { rest[axis] };
                weight = s.mul(weight, along);
            }
            let at = s.add_i(first, s.splat_i(self.corners[corner]));
            let (a, b) = halves(s, s.gather_pairs(&self.values, at));
            sums[0] = s.fma(weight, a, sums[0]);
            sums[1] = s.fma(weight, b, sums[1]);
        }
        sums
    }
}

/// * `values`: `[entries, 2]`, `steps`: of both channels.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "entries and strides are below 2^24, checked by the caller"
)]
fn level<const D: usize>(
    values: &[f32],
    scale: f32,
    entries: u32,
    axes: usize,
    strides: [u64; D],
    rows_apart: Option<u64>,
    steps: &[f32],
) -> Level<D> {
    let corners: [u64; 8] = std::array::from_fn(|corner| {
        let far = strides.iter().enumerate().filter(|(axis, _)| corner >> axis & 1 == 1);
        far.map(|(_, stride)| stride).sum::<u64>() % u64::from(entries)
    });
    let behind = corners.iter().max().map_or(0, |last| *last as usize);
    let quantised: Vec<i16> =
        values.iter().enumerate().map(|(i, value)| quantise(*value, steps[i % CHANNELS])).collect();
    Level {
        scale,
        axes,
        strides: strides.map(|stride| stride as f32),
        rows_apart: rows_apart.map(|apart| apart as f32),
        entries: entries as f32,
        inverse_entries: 1.0 / entries as f32,
        corners: corners.map(|corner| corner as i32 * 2),
        values: quantised.iter().cycle().take(quantised.len() + behind * CHANNELS).copied().collect(),
    }
}
