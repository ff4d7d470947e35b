//! Where an avatar may have density at all.
//!
//! A network without a grid says what is at a point, not where to look. So the box that its cameras can see is cut into
//! cells once for an avatar, and each cell is asked at a few points, saying and seeing different things, whether there is
//! density: of the coarse and of the fine network. Cells with some are kept, and those around them. What is outside is
//! taken for empty, where a network without density costs as much as one with it.

use headcast_core::Intrinsics;

use crate::field::dataset_ray;

/// Cells along the longest side of the box: 2 cm for a person, two coarse samples.
const SIDE: f32 = 40.0;

/// Which cells may have density.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Occupancy {
    low: [f32; 3],
    cells_per_unit: f32,
    sides: [usize; 3],
    /// `[z, y, x]`.
    held: Vec<bool>,
}

impl Occupancy {
    /// The box that cameras see between `near` and `far`; nothing in it is occupied.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "sides are clamped to what a box has"
    )]
    pub(super) fn seen_by(
        cameras: &[[[f32; 4]; 3]],
        intrinsics: &Intrinsics,
        [width, height]: [u32; 2],
        [near, far]: [f32; 2],
    ) -> Self {
        let (mut low, mut high) = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
        for camera in cameras {
            for (i, j, z) in [0, width]
                .into_iter()
                .flat_map(|i| [0, height].into_iter().flat_map(move |j| [near, far].map(|z| (i, j, z))))
            {
                let (origin, direction) = dataset_ray(camera, intrinsics, i, j);
                for axis in 0..3 {
                    let p = origin[axis] + direction[axis] * z;
                    low[axis] = low[axis].min(p);
                    high[axis] = high[axis].max(p);
                }
            }
        }
        let longest = (0..3).map(|axis| high[axis] - low[axis]).fold(0.0, f32::max).max(1e-6);
        let cells_per_unit = SIDE / longest;
        let sides = [0, 1, 2].map(|axis| {
            let cells = (high[axis] - low[axis]) * cells_per_unit;
            (cells.ceil() as usize).clamp(1, SIDE as usize + 1)
        });
        Self { low, cells_per_unit, sides, held: vec![false; sides.iter().product()] }
    }

    /// Number of cells.
    pub(super) fn cells(&self) -> usize {
        self.held.len()
    }

    /// Point `number` of a cell: different ones are spread over it, and elsewhere in the next cell.
    #[expect(clippy::cast_precision_loss, reason = "a cell's number is a start, and rounding another")]
    pub(super) fn point(&self, cell: usize, number: usize) -> [f32; 3] {
        // Multiples of the powers of a root of x⁴ = x + 1 are spread evenly in three dimensions.
        const SPREAD: [f32; 3] = [0.819_172_5, 0.671_043_6, 0.549_700_5];
        let [x, y, _] = self.sides;
        let place = [cell % x, cell / x % y, cell / (x * y)];
        std::array::from_fn(|axis| {
            let within = ((cell % 1021 + number * 7) as f32 * SPREAD[axis]).fract();
            self.low[axis] + (place[axis] as f32 + within) / self.cells_per_unit
        })
    }

    /// Keeps the cells of `held` and those around them.
    ///
    /// # Panics
    /// If `held` is not one a cell.
    pub(super) fn keep(&mut self, held: &[bool]) {
        assert_eq!(held.len(), self.cells(), "one a cell");
        let [x, y, z] = self.sides;
        let around = |at: usize, side: usize| at.saturating_sub(1)..(at + 2).min(side);
        for (cell, _) in held.iter().enumerate().filter(|(_, held)| **held) {
            let (i, j, k) = (cell % x, cell / x % y, cell / (x * y));
            for (k, j) in around(k, z).flat_map(|k| around(j, y).map(move |j| (k, j))) {
                let row = (k * y + j) * x;
                let columns = around(i, x);
                self.held[row + columns.start..row + columns.end].fill(true);
            }
        }
    }

    /// Whether there may be density at `p`. What no camera was thought to see is like the nearest cell that one was.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "saturates, and what is no number is 0"
    )]
    pub(super) fn holds(&self, p: [f32; 3]) -> bool {
        let at: [usize; 3] = std::array::from_fn(|axis| {
            (((p[axis] - self.low[axis]) * self.cells_per_unit) as usize).min(self.sides[axis] - 1)
        });
        self.held[(at[2] * self.sides[1] + at[1]) * self.sides[0] + at[0]]
    }

    /// Share of the box that is occupied.
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    pub(super) fn share(&self) -> f64 {
        self.held.iter().filter(|held| **held).count() as f64 / self.cells() as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Occupancy {
        let camera = [[1.0, 0.0, 0.0, 0.1], [0.0, 1.0, 0.0, -0.2], [0.0, 0.0, 1.0, 0.8]];
        let intrinsics = Intrinsics { fx: 100.0, fy: 100.0, cx: 20.0, cy: 15.0 };
        Occupancy::seen_by(&[camera], &intrinsics, [40, 30], [0.5, 1.1])
    }

    #[test]
    fn the_box_is_what_cameras_see() {
        let grid = grid();
        assert_eq!(grid.sides, [30, 22, 40], "0.44 by 0.33 by 0.6");
        let close = |a: [f32; 3], b: [f32; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(close(grid.low, [0.1 - 0.22, -0.2 - 0.165, -0.3]), "{:?}", grid.low);
    }

    #[test]
    fn a_cell_is_held_with_those_around_it_and_its_points_are_in_it() {
        let mut grid = grid();
        let mut held = vec![false; grid.cells()];
        let cell = (20 * 22 + 10) * 30 + 5;
        held[cell] = true;
        grid.keep(&held);
        assert_eq!(grid.held.iter().filter(|held| **held).count(), 27);
        let mut corner = vec![false; grid.cells()];
        corner[0] = true;
        let mut other = self::grid();
        other.keep(&corner);
        assert_eq!(other.held.iter().filter(|held| **held).count(), 8, "at the corner of the box");
        for number in 0..6 {
            assert!(grid.holds(grid.point(cell, number)) && grid.holds(grid.point(cell + 1, number)));
            assert!(!grid.holds(grid.point(cell + 2, number)), "two cells on");
        }
        assert!(!grid.holds([f32::NAN; 3]) && other.holds([-1e9; 3]), "like the nearest cell");
    }
}
