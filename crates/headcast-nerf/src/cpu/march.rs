//! Samples of a tile's rays.
//!
//! Upstream visits `t`, then `t + dt(t)` and so on, taking the points whose cell is occupied and stepping over
//! empty cells point by point. Whether a point is taken therefore depends on the point alone, and walking every
//! point of the chain finds the same samples without computing where cells end. `t` is accumulated, as
//! upstream does, so positions are the same to the last bit.
//!
//! A packet is neighbouring pixels of one row. Points before the box around everything occupied cost an
//! addition each.

use headcast_core::{Intrinsics, Pose};

use super::occupancy::Occupancy;
use super::simd::{Kernel, Simd};
use crate::model::SceneOptions;

/// Pixels a side of a tile.
pub(super) const TILE: usize = 32;
/// Rays of a whole tile.
pub(super) const TILE_RAYS: usize = TILE * TILE;

/// Where upstream places samples.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lattice {
    dt_gamma: f32,
    dt_min: f32,
    dt_max: f32,
    min_near: f32,
    bound: f32,
    aabb: [f32; 6],
    /// Points on the longest way through the scene: ends the walk of a degenerate ray.
    points: u32,
}

impl Lattice {
    pub(super) fn new(options: &SceneOptions, aabb: [f32; 6]) -> Self {
        const DIAGONAL: f32 = 2.0 * 1.732_050_8;
        let top_cascade = f32::from_bits((127 + (options.cascades.clamp(1, 8) - 1)) << 23);
        let dt_max = DIAGONAL * top_cascade / 128.0;
        #[expect(clippy::cast_precision_loss, reason = "step counts are far below 2^24")]
        let dt_min = dt_max.min(DIAGONAL / options.max_steps.max(1) as f32);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates; positive")]
        let points = (DIAGONAL * options.bound / dt_min).ceil() as u32;
        Self {
            dt_gamma: options.dt_gamma,
            dt_min,
            dt_max,
            min_near: options.min_near,
            bound: options.bound,
            aabb,
            points: points.saturating_add(8),
        }
    }

    /// Length of the step at `t`.
    #[inline(always)]
    pub(super) fn dt<S: Simd>(&self, s: S, t: S::F) -> S::F {
        if self.dt_min >= self.dt_max {
            return s.splat(self.dt_max);
        }
        s.min(s.max(s.mul(t, s.splat(self.dt_gamma)), s.splat(self.dt_min)), s.splat(self.dt_max))
    }

    /// The point at `t`, moved into the scene.
    #[inline(always)]
    pub(super) fn position<S: Simd>(
        &self,
        s: S,
        origin: [f32; 3],
        direction: [S::F; 3],
        t: S::F,
    ) -> [S::F; 3] {
        let mut p = direction;
        for axis in 0..3 {
            let free = s.fma(t, direction[axis], s.splat(origin[axis]));
            p[axis] = s.min(s.max(free, s.splat(-self.bound)), s.splat(self.bound));
        }
        p
    }

    /// Where rays are inside the box: near and far, far -1 for a miss.
    #[inline(always)]
    pub(super) fn near_far<S: Simd>(&self, s: S, origin: [f32; 3], direction: [S::F; 3]) -> (S::F, S::F) {
        let (mut near, mut far) = slab(s, &self.aabb, origin, direction, 0);
        // 1 where the ray misses.
        let mut miss = s.splat(0.0);
        for axis in 1..3 {
            let (axis_near, axis_far) = slab(s, &self.aabb, origin, direction, axis);
            miss = s.select(s.lt(axis_far, near), s.splat(1.0), miss);
            miss = s.select(s.lt(far, axis_near), s.splat(1.0), miss);
            near = s.select(s.lt(near, axis_near), axis_near, near);
            far = s.select(s.lt(axis_far, far), axis_far, far);
        }
        let min_near = s.splat(self.min_near);
        near = s.select(s.lt(near, min_near), min_near, near);
        (near, s.select(s.lt(s.splat(0.5), miss), s.splat(-1.0), far))
    }
}

/// Where rays enter and leave the slab of one axis.
#[inline(always)]
fn slab<S: Simd>(s: S, aabb: &[f32; 6], origin: [f32; 3], direction: [S::F; 3], axis: usize) -> (S::F, S::F) {
    let inverse = s.div(s.splat(1.0), direction[axis]);
    let a = s.mul(s.splat(aabb[axis] - origin[axis]), inverse);
    let b = s.mul(s.splat(aabb[axis + 3] - origin[axis]), inverse);
    let swap = s.lt(b, a);
    (s.select(swap, b, a), s.select(swap, a, b))
}

/// A rectangle of pixels, at most [`TILE`] a side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tile {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Tile {
    /// The tiles of a picture of `width` × `height`, row by row.
    pub(super) fn all(width: usize, height: usize) -> impl Iterator<Item = Self> {
        (0..Self::count(width, height)).map(move |number| Self::of(number, width, height))
    }

    /// How many tiles a picture has.
    pub(super) fn count(width: usize, height: usize) -> usize {
        width.div_ceil(TILE) * height.div_ceil(TILE)
    }

    /// Tile `number` of a picture.
    pub(super) fn of(number: usize, width: usize, height: usize) -> Self {
        let across = width.div_ceil(TILE);
        let (x, y) = (number % across * TILE, number / across * TILE);
        Self { x, y, width: TILE.min(width - x), height: TILE.min(height - y) }
    }
}

/// Rays of a tile and the samples they take, ray `row × TILE + column`.
#[derive(Debug)]
pub(super) struct Rays {
    /// Samples that fit per ray.
    pub(super) capacity: usize,
    /// `[3, TILE_RAYS]`.
    pub(super) direction: [Vec<f32>; 3],
    /// Samples found.
    pub(super) count: Vec<u32>,
    /// `[TILE_RAYS, capacity]`: distances of the samples.
    pub(super) t: Vec<f32>,
}

impl Rays {
    pub(super) fn new(capacity: usize) -> Self {
        let values = || vec![0.0; TILE_RAYS];
        Self {
            capacity,
            direction: [values(), values(), values()],
            count: vec![0; TILE_RAYS],
            t: vec![0.0; TILE_RAYS * capacity],
        }
    }

    /// Distances of the samples of `ray`.
    pub(super) fn samples(&self, ray: usize) -> &[f32] {
        &self.t[ray * self.capacity..][..self.count[ray] as usize]
    }
}

/// Finds up to [`Rays::capacity`] samples of every ray of a tile.
pub(super) struct March<'a> {
    pub(super) lattice: &'a Lattice,
    pub(super) occupancy: &'a Occupancy,
    pub(super) pose: &'a Pose,
    pub(super) intrinsics: &'a Intrinsics,
    pub(super) tile: Tile,
    /// `[TILE_RAYS]`: whose samples are wanted; the others have none.
    pub(super) wanted: Option<&'a [bool]>,
    pub(super) rays: &'a mut Rays,
}

impl Kernel for March<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { lattice, occupancy, pose, intrinsics, tile, wanted, rays } = self;
        for row in 0..tile.height {
            let mut column = 0;
            while column < tile.width {
                let first = row * TILE + column;
                // Lanes past the tile's edge are rays of no pixel.
                let live = S::LANES.min(tile.width - column);
                let skipped = Skipped::of(wanted, first, live);
                if skipped.0[..S::LANES].iter().all(|skipped| *skipped > 0.0) {
                    rays.count[first..first + S::LANES].fill(0);
                    column += S::LANES;
                    continue;
                }
                let direction = directions(s, pose, intrinsics, tile.x + column, tile.y + row);
                for (direction, to) in direction.into_iter().zip(&mut rays.direction) {
                    s.store(direction, &mut to[first..first + S::LANES]);
                }
                march(s, lattice, occupancy, pose.origin(), direction, first, &skipped, rays);
                column += S::LANES;
            }
        }
    }
}

/// Rays of a vector that take no samples: 1, the others 0.
#[derive(Debug)]
pub(super) struct Skipped([f32; TILE]);

impl Skipped {
    /// Of the vector that starts at ray `first`: the lanes from `live` on, and those that are not wanted.
    #[inline(always)]
    pub(super) fn of(wanted: Option<&[bool]>, first: usize, live: usize) -> Self {
        let mut skipped = [0.0; TILE];
        skipped[live..].fill(1.0);
        if let Some(wanted) = wanted {
            for (skipped, wanted) in skipped.iter_mut().zip(&wanted[first..first + live]) {
                *skipped = if *wanted { 0.0 } else { 1.0 };
            }
        }
        Self(skipped)
    }
}

/// Unit directions through the centres of pixels `x ..` of row `y`.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "pixel numbers are far below 2^24")]
fn directions<S: Simd>(s: S, pose: &Pose, intrinsics: &Intrinsics, x: usize, y: usize) -> [S::F; 3] {
    let mut columns = [0.0; TILE];
    for (i, column) in columns.iter_mut().enumerate().take(S::LANES) {
        *column = (x + i) as f32 + 0.5 - intrinsics.cx;
    }
    let across = s.div(s.load(&columns), s.splat(intrinsics.fx));
    let down = s.splat((y as f32 + 0.5 - intrinsics.cy) / intrinsics.fy);
    let one = s.splat(1.0);
    let norm = s.sqrt(s.add(s.fma(across, across, s.mul(down, down)), one));
    let (cx, cy, cz) = (s.div(across, norm), s.div(down, norm), s.div(one, norm));
    let mut out = [one; 3];
    for (out, row) in out.iter_mut().zip(&pose.0) {
        *out = s.fma(s.splat(row[0]), cx, s.fma(s.splat(row[1]), cy, s.mul(s.splat(row[2]), cz)));
    }
    out
}

/// Samples of one vector of rays, the vector starting at ray `first`.
#[inline(always)]
#[expect(clippy::cast_precision_loss, reason = "sample counts are far below 2^24")]
pub(super) fn march<S: Simd>(
    s: S,
    lattice: &Lattice,
    occupancy: &Occupancy,
    origin: [f32; 3],
    direction: [S::F; 3],
    first: usize,
    skipped: &Skipped,
    rays: &mut Rays,
) {
    rays.count[first..first + S::LANES].fill(0);
    let Some(occupied) = occupancy.bounds() else { return };
    let (mut t, mut far) = lattice.near_far(s, origin, direction);
    far = s.select(s.lt(s.splat(0.5), s.load(&skipped.0)), s.splat(-1.0), far);
    // NaN from a ray within a face's plane must not cut anything off: `max` and `min` drop it.
    let (mut enter, mut leave) = (s.splat(0.0), s.splat(f32::MAX));
    for axis in 0..3 {
        let (axis_near, axis_far) = slab(s, &occupied, origin, direction, axis);
        enter = s.max(axis_near, enter);
        leave = s.min(axis_far, leave);
    }
    far = s.min(far, leave);
    far = s.select(s.lt(leave, enter), s.splat(-1.0), far);

    let mut points = 0;
    while points < lattice.points {
        let before = s.and(s.lt(t, enter), s.lt(t, far));
        if s.bits(before) == 0 {
            break;
        }
        t = s.select(before, s.add(t, lattice.dt(s, t)), t);
        points += 1;
    }
    let capacity = s.splat(rays.capacity as f32);
    let mut count = s.splat(0.0);
    let mut distances = [0.0; TILE];
    while points < lattice.points {
        let active = s.and(s.lt(t, far), s.lt(count, capacity));
        if s.bits(active) == 0 {
            break;
        }
        let dt = lattice.dt(s, t);
        let p = lattice.position(s, origin, direction, t);
        let hit = s.and(active, occupancy.test(s, p, dt));
        let mut hits = s.bits(hit);
        if hits != 0 {
            s.store(t, &mut distances);
            count = s.select(hit, s.add(count, s.splat(1.0)), count);
            while hits != 0 {
                let lane = hits.trailing_zeros() as usize;
                hits &= hits - 1;
                let ray = first + lane;
                rays.t[ray * rays.capacity + rays.count[ray] as usize] = distances[lane];
                rays.count[ray] += 1;
            }
        }
        t = s.add(t, dt);
        points += 1;
    }
}
