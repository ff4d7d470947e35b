//! Single stages of the engine, for parity tests and benches.
//!
//! Everything here runs the kernels that [`Engine::render`] runs, on the engine's instruction set; none of
//! it is fast to set up.

pub mod kernels;

use headcast_core::{Intrinsics, Pose};

use super::Engine;
use super::evaluate::FieldRows;
use super::field::{AnyFrame, Field, FieldKernel, FrameField, Head};
use super::march::{Lattice, March, Rays, Skipped, TILE, Tile, march};
use super::occupancy::Occupancy;
use super::packet::PACKET;
use super::shade::{Lanes, OVERRUN, Shade, Shaded};
use super::simd::{Kernel, Simd};
use super::torso::{ShadeTorso, TorsoRows};

/// Density and colour of one point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FieldPoint {
    /// Logarithm of the density.
    pub log_sigma: f32,
    /// Colour.
    pub rgb: [f32; 3],
}

/// A pixel of the torso.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TorsoPixel {
    /// `row × width + column`.
    pub pixel: u32,
    /// Opacity.
    pub alpha: f32,
    /// Colour.
    pub rgb: [f32; 3],
    /// Where the deformation moves the grid position, (row, column).
    pub offset: [f32; 2],
}

/// The grid features of every point in a frame, in the checkpoint's units: of its position, then of the ambient plane
/// if the network has one.
pub fn encode(engine: &Engine, code: &[f32], points: &[[f32; 3]]) -> Vec<Vec<f32>> {
    let frame = engine.field.of_frame(engine.dispatch, code, 0.0);
    let mut work = FieldRows::new();
    let mut out = Vec::with_capacity(points.len());
    let steps = engine.field.steps();
    for points in points.chunks(PACKET) {
        load(&mut work.position, points);
        frame.run(engine.dispatch, Encode { work: &mut work });
        frame.run(engine.dispatch, Place { work: &mut work });
        out.extend((0..points.len()).map(|lane| {
            let features = steps.iter().zip(&work.first);
            features.map(|(step, row)| row.0[lane] * step).collect()
        }));
    }
    out
}

/// Density and colour of every point, seen along the unit vector of the same index.
///
/// # Panics
/// If there are not as many directions as points.
pub fn field(
    engine: &Engine,
    code: &[f32],
    eye: f32,
    points: &[[f32; 3]],
    directions: &[[f32; 3]],
) -> Vec<FieldPoint> {
    assert_eq!(points.len(), directions.len(), "one direction a point");
    let frame = engine.field.of_frame(engine.dispatch, code, eye);
    let mut work = FieldRows::new();
    let mut out = Vec::with_capacity(points.len());
    for (points, directions) in points.chunks(PACKET).zip(directions.chunks(PACKET)) {
        load(&mut work.position, points);
        load(&mut work.direction, directions);
        frame.run(engine.dispatch, Encode { work: &mut work });
        frame.run(engine.dispatch, Evaluate { work: &mut work });
        out.extend((0..points.len()).map(|lane| FieldPoint {
            log_sigma: work.log_sigma.0[lane],
            rgb: [0, 1, 2].map(|channel| work.rgb[channel].0[lane]),
        }));
    }
    out
}

/// Distances of the samples of every ray from `origin`, as many as [`Engine::render`] would take at most.
pub fn samples(engine: &Engine, origin: [f32; 3], directions: &[[f32; 3]]) -> Vec<Vec<f32>> {
    let mut rays = Rays::new(engine.sample_capacity());
    let mut out = Vec::with_capacity(directions.len());
    for directions in directions.chunks(TILE) {
        for axis in 0..3 {
            for (value, direction) in rays.direction[axis].iter_mut().zip(directions) {
                *value = direction[axis];
            }
        }
        engine.dispatch.run(MarchRow {
            lattice: &engine.lattice,
            occupancy: &engine.occupancy,
            origin,
            live: directions.len(),
            rays: &mut rays,
        });
        out.extend((0..directions.len()).map(|ray| rays.samples(ray).to_vec()));
    }
    out
}

/// Directions of all pixels' rays, row-major, and the distances of their samples.
pub fn rays(engine: &Engine, pose: &Pose, intrinsics: &Intrinsics) -> Vec<([f32; 3], Vec<f32>)> {
    let (width, height) = (engine.width() as usize, engine.height() as usize);
    let mut work = Rays::new(engine.sample_capacity());
    let mut out = vec![([0.0; 3], Vec::new()); width * height];
    for y in (0..height).step_by(TILE) {
        for x in (0..width).step_by(TILE) {
            let tile = Tile { x, y, width: TILE.min(width - x), height: TILE.min(height - y) };
            march_tile(engine, pose, intrinsics, tile, &mut work);
            for row in 0..tile.height {
                for column in 0..tile.width {
                    let ray = row * TILE + column;
                    let direction = [0, 1, 2].map(|axis| work.direction[axis][ray]);
                    out[(y + row) * width + x + column] = (direction, work.samples(ray).to_vec());
                }
            }
        }
    }
    out
}

/// Length of the step that starts at `t`.
pub fn step_length(engine: &Engine, t: f32) -> f32 {
    engine.lattice.dt(super::simd::Scalar, t)
}

/// Every pixel where the torso may be seen; empty without a torso.
pub fn torso(engine: &Engine, pose: &Pose) -> Vec<TorsoPixel> {
    let Some(torso) = &engine.torso else { return Vec::new() };
    let posed = torso.posed(pose);
    let mut work = TorsoRows::new();
    let (mut out, mut pixels) = (Vec::new(), Vec::new());
    for tile in Tile::all(engine.width() as usize, engine.height() as usize) {
        torso.list(tile, 1, None, &mut pixels);
        for pixels in pixels.chunks(PACKET) {
            engine.dispatch.run(ShadeTorso { torso: &posed, pixels, work: &mut work });
            out.extend(pixels.iter().enumerate().map(|(lane, (pixel, _))| TorsoPixel {
                pixel: *pixel,
                alpha: work.out[0].0[lane],
                rgb: [1, 2, 3].map(|channel| work.out[channel].0[lane]),
                offset: [0, 1].map(|axis| work.offset[axis].0[lane]),
            }));
        }
    }
    out.sort_by_key(|pixel| pixel.pixel);
    out
}

/// What the ray of every pixel collects: the sum of its weights, then red, green and blue times weights;
/// row-major, before the backdrop, with every ray given the most samples it may have.
pub fn light(engine: &Engine, pose: &Pose, intrinsics: &Intrinsics, code: &[f32], eye: f32) -> Vec<[f32; 4]> {
    let (width, height) = (engine.width() as usize, engine.height() as usize);
    let frame = engine.field.of_frame(engine.dispatch, code, eye);
    let mut rays = Rays::new(engine.sample_capacity());
    let (mut lanes, mut shaded) = (Lanes::new(), Shaded::new(None));
    let mut out = vec![[0.0; 4]; width * height];
    for y in (0..height).step_by(TILE) {
        for x in (0..width).step_by(TILE) {
            let tile = Tile { x, y, width: TILE.min(width - x), height: TILE.min(height - y) };
            march_tile(engine, pose, intrinsics, tile, &mut rays);
            shaded.clear();
            lanes.queue(&rays, tile, &mut shaded);
            let shade = Shade {
                lattice: &engine.lattice,
                origin: pose.origin(),
                rays: &rays,
                scheduled: None,
                ending: engine.ending(),
                work: &mut lanes,
                out: &mut shaded,
            };
            frame.run(engine.dispatch, shade);
            for row in 0..tile.height {
                let first = (y + row) * width + x;
                out[first..first + tile.width]
                    .copy_from_slice(&shaded.light[row * TILE..row * TILE + tile.width]);
            }
        }
    }
    out
}

/// A stage run over and over on the same packet, for timing: the caller holds the clock.
#[derive(Debug)]
pub struct Stages<'a> {
    engine: &'a Engine,
    frame: AnyFrame<'a>,
    work: FieldRows,
    rays: Rays,
}

impl<'a> Stages<'a> {
    /// Samples that [`Self::encode`] and [`Self::evaluate`] process in a round.
    pub const SAMPLES: usize = PACKET;
    /// Pixels a side that [`Self::march`] processes.
    pub const TILE: usize = TILE;

    /// * `points`, `directions`: [`Self::SAMPLES`] of them, in every round the same.
    pub fn new(
        engine: &'a Engine,
        code: &[f32],
        eye: f32,
        points: &[[f32; 3]],
        directions: &[[f32; 3]],
    ) -> Self {
        let mut work = FieldRows::new();
        load(&mut work.position, points);
        load(&mut work.direction, directions);
        let rays = Rays::new(engine.sample_capacity());
        Self { engine, frame: engine.field.of_frame(engine.dispatch, code, eye), work, rays }
    }

    /// Encodes `points`, [`Self::SAMPLES`] of them.
    pub fn encode(&mut self, points: &[[f32; 3]]) {
        load(&mut self.work.position, points);
        self.frame.run(self.engine.dispatch, Encode { work: &mut self.work });
    }

    /// Density and colour from the features of the last [`Self::encode`].
    pub fn evaluate(&mut self) -> f32 {
        let Self { engine, frame, work, .. } = self;
        frame.run(engine.dispatch, Evaluate { work });
        self.work.rgb[0].0[0]
    }

    /// Marches a whole tile whose corner is pixel (`x`, `y`); the number of samples found.
    pub fn march(&mut self, pose: &Pose, intrinsics: &Intrinsics, x: usize, y: usize) -> usize {
        let tile = Tile { x, y, width: TILE, height: TILE };
        march_tile(self.engine, pose, intrinsics, tile, &mut self.rays);
        self.rays.count.iter().map(|count| *count as usize).sum()
    }
}

/// Floating-point operations of `rounds` rounds of multiply-adds that keep every unit busy and touch no memory: what the
/// instruction set could do at best.
pub fn peak_f32(engine: &Engine, rounds: usize) -> u64 {
    engine.dispatch.run(PeakF32 { rounds })
}

/// As [`peak_f32`], for 16-bit integers that are multiplied and added up in 32 bits.
pub fn peak_i16(engine: &Engine, rounds: usize) -> u64 {
    engine.dispatch.run(PeakI16 { rounds })
}

impl Engine {
    fn sample_capacity(&self) -> usize {
        self.max_steps() + OVERRUN
    }
}

fn load(rows: &mut [super::packet::Row; 3], values: &[[f32; 3]]) {
    for (lane, value) in values.iter().take(PACKET).enumerate() {
        for axis in 0..3 {
            rows[axis].0[lane] = value[axis];
        }
    }
}

fn march_tile(engine: &Engine, pose: &Pose, intrinsics: &Intrinsics, tile: Tile, rays: &mut Rays) {
    let Engine { lattice, occupancy, .. } = engine;
    engine.dispatch.run(March { lattice, occupancy, pose, intrinsics, tile, wanted: None, rays });
}

struct Encode<'a> {
    work: &'a mut FieldRows,
}

impl FieldKernel for Encode<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd, H: Head>(self, s: S, field: &Field<H>, _: &FrameField<H>) {
        field.head.encode(s, self.work);
    }
}

struct Place<'a> {
    work: &'a mut FieldRows,
}

impl FieldKernel for Place<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd, H: Head>(self, s: S, field: &Field<H>, frame: &FrameField<H>) {
        field.head.place(s, &frame.head, self.work);
    }
}

struct Evaluate<'a> {
    work: &'a mut FieldRows,
}

impl FieldKernel for Evaluate<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd, H: Head>(self, s: S, field: &Field<H>, frame: &FrameField<H>) {
        self.work.evaluate(s, field, frame);
    }
}

struct MarchRow<'a> {
    lattice: &'a Lattice,
    occupancy: &'a Occupancy,
    origin: [f32; 3],
    live: usize,
    rays: &'a mut Rays,
}

impl Kernel for MarchRow<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let mut first = 0;
        while first < self.live {
            let mut direction = [s.splat(0.0); 3];
            for (direction, from) in direction.iter_mut().zip(&self.rays.direction) {
                *direction = s.load(&from[first..first + S::LANES]);
            }
            let skipped = Skipped::of(None, first, S::LANES.min(self.live - first));
            march(s, self.lattice, self.occupancy, self.origin, direction, first, &skipped, self.rays);
            first += S::LANES;
        }
    }
}

/// Chains of a peak's loop: enough to hide the latency of two pipes, few enough for sixteen registers.
const CHAINS: usize = 12;

pub(super) struct PeakF32 {
    pub(super) rounds: usize,
}

impl Kernel for PeakF32 {
    type Output = u64;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> u64 {
        let factor = s.splat(std::hint::black_box(0.999_9));
        let mut sums = [s.splat(std::hint::black_box(1.0)); CHAINS];
        for _ in 0..self.rounds {
            for sum in &mut sums {
                *sum = s.fma(*sum, factor, factor);
            }
        }
        let mut out = [0.0; PACKET];
        for sum in sums {
            s.store(sum, &mut out);
            std::hint::black_box(&out);
        }
        (self.rounds * CHAINS * S::LANES * 2) as u64
    }
}

struct PeakI16 {
    rounds: usize,
}

impl Kernel for PeakI16 {
    type Output = u64;
    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> u64 {
        let factor = s.splat_i(std::hint::black_box(0x0003_0005));
        let mut sums = [s.splat_i(std::hint::black_box(1)); CHAINS];
        for _ in 0..self.rounds {
            for sum in &mut sums {
                // The sum is a factor, too, or the products could be taken out of the loop.
                *sum = s.dot(*sum, *sum, factor);
            }
        }
        let mut out = [0; PACKET];
        for sum in sums {
            s.store_i(sum, &mut out);
            std::hint::black_box(&out);
        }
        (self.rounds * CHAINS * S::LANES * 4) as u64
    }
}
