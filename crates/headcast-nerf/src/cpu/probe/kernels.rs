//! Every kernel by itself, on the same input over and over, for benches: the caller holds the clock.

use std::fmt;
use std::hint::black_box;

use super::{Stages, load, march_tile};
use crate::cpu::Engine;
use crate::cpu::dense16::{Activations, Active, Layer16, PairRow, chunk};
use crate::cpu::evaluate::{direction_encode, load3};
use crate::cpu::field::{DIRECTION, matrix};
use crate::cpu::march::{Lattice, Rays, Tile};
use crate::cpu::measure::{self, Subject};
use crate::cpu::packet::{Layer, Narrow, PACKET, Row, rows};
use crate::cpu::shade::{Lanes, composite};
use crate::cpu::simd::{Dispatch, Kernel, Simd};
use crate::cpu::torso::{ShadeTorso, TorsoRows};

/// Packets that a call runs through a kernel whose packets are all alike.
const ROUNDS: usize = 256;

/// What a kernel's operations are, if it does hardly anything but them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Arithmetic {
    /// Multiply-adds of `f32`.
    F32,
    /// Products of 16-bit integers, added up in 32 bits.
    I16,
}

/// A kernel and its input.
pub struct Piece<'a> {
    name: String,
    samples: usize,
    arithmetic: Option<(Arithmetic, usize)>,
    run: Box<dyn FnMut() + 'a>,
}

impl fmt::Debug for Piece<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Piece")
            .field("name", &self.name)
            .field("samples", &self.samples)
            .finish_non_exhaustive()
    }
}

impl<'a> Piece<'a> {
    /// Kernel, and the size of what it works on.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Samples that a call of [`Self::run`] processes; pixels where it is the torso.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Operations for a sample, a multiplication and an addition being two; `None` where a peak would say nothing.
    pub fn operations(&self) -> Option<(Arithmetic, usize)> {
        self.arithmetic
    }

    /// Runs the kernel over its input.
    pub fn run(&mut self) {
        (self.run)();
    }

    fn of_packets(name: String, arithmetic: Option<(Arithmetic, usize)>, run: impl FnMut() + 'a) -> Self {
        Self { name, samples: ROUNDS * PACKET, arithmetic, run: Box::new(run) }
    }
}

/// Every kernel of `engine`, on the samples of the first pose; empty when there are none. Layers have upstream's sizes and
/// made-up weights, and look at every pair: what skipping zeros saves depends on the avatar.
pub fn all<'a>(engine: &'a Engine, subject: &Subject<'a>) -> Vec<Piece<'a>> {
    let (points, directions) = measure::samples(engine, subject);
    let (Some(pose), false) = (subject.poses.first(), points.len() < PACKET) else { return Vec::new() };
    let (dispatch, samples) = (engine.dispatch, points.len() / PACKET * PACKET);
    let mut pieces = Vec::new();

    let mut unit = [Row::ZERO; 3];
    load(&mut unit, &directions);
    let code = vec![0.1; engine.code_len()];
    let mut stages = Stages::new(engine, &code, 0.0, &points[..PACKET], &directions[..PACKET]);
    let encode = move || {
        for points in points.chunks_exact(PACKET) {
            stages.encode(points);
        }
    };
    pieces.push(Piece { name: "grid_encode".to_owned(), samples, arithmetic: None, run: Box::new(encode) });

    let mut out = rows(DIRECTION);
    let run = move || dispatch.run(Directions { directions: &unit, out: &mut out });
    pieces.push(Piece::of_packets("direction_encode".to_owned(), None, run));

    for (inputs, outputs) in [(36, 80), (101, 64), (64, 64), (80, 64), (34, 32), (32, 32), (66, 32)] {
        pieces.push(dense(dispatch, inputs, outputs));
    }
    pieces.push(narrow::<1>(dispatch, 64));
    pieces.push(narrow::<3>(dispatch, 64));
    pieces.push(narrow::<2>(dispatch, 32));
    pieces.push(narrow::<4>(dispatch, 32));
    pieces.push(dense16::<0>(dispatch, 36, 64, true));
    pieces.push(dense16::<1>(dispatch, 36, 16, false));
    pieces.push(dense16::<0>(dispatch, 102, 64, true));
    pieces.push(dense16::<1>(dispatch, 64, 64, true));
    pieces.push(dense16::<3>(dispatch, 80, 64, false));

    let mut rays = Rays::new(engine.sample_capacity());
    let (pose, intrinsics) = (*pose, *subject.intrinsics);
    let march = move || {
        for (x, y) in measure::tiles(engine) {
            let tile = Tile { x, y, width: Stages::TILE, height: Stages::TILE };
            march_tile(engine, &pose, &intrinsics, tile, &mut rays);
            black_box(&rays);
        }
    };
    pieces.push(Piece { name: "march".to_owned(), samples, arithmetic: None, run: Box::new(march) });

    let mut lanes = Lanes::new();
    lanes.rows.log_sigma.0.fill(1.0);
    let run = move || dispatch.run(Collect { lattice: &engine.lattice, lanes: &mut lanes });
    pieces.push(Piece::of_packets("composite".to_owned(), None, run));

    let Some(torso) = &engine.torso else { return pieces };
    let mut pixels = Vec::new();
    let mut all = Vec::new();
    for tile in Tile::all(engine.width() as usize, engine.height() as usize) {
        torso.list(tile, 1, None, &mut pixels);
        all.extend_from_slice(&pixels);
    }
    let (posed, mut work, samples) = (torso.posed(&pose), TorsoRows::new(), all.len());
    let run = move || {
        for pixels in all.chunks(PACKET) {
            dispatch.run(ShadeTorso { torso: &posed, pixels, work: &mut work });
        }
        black_box(&work);
    };
    pieces.push(Piece { name: "torso".to_owned(), samples, arithmetic: None, run: Box::new(run) });
    pieces
}

/// Small values of both signs.
#[expect(clippy::cast_precision_loss, reason = "at most 40")]
fn value(i: usize) -> f32 {
    ((i * 37 % 41) as f32 - 20.0) / 64.0
}

fn inputs(count: usize) -> Box<[Row]> {
    let row = |k: usize| Row(std::array::from_fn(|lane| value(k * 7 + lane).abs()));
    (0..count).map(row).collect()
}

fn dense<'a>(dispatch: Dispatch, inputs: usize, outputs: usize) -> Piece<'a> {
    let layer = Layer::new(&matrix(outputs, inputs, |r, k| value(r * inputs + k)), None);
    let (x, mut out) = (self::inputs(inputs), rows(outputs));
    let run = move || dispatch.run(Dense { layer: &layer, x: &x, out: &mut out });
    Piece::of_packets(
        format!("layer_f32/{inputs}x{outputs}"),
        Some((Arithmetic::F32, 2 * inputs * outputs)),
        run,
    )
}

fn narrow<'a, const R: usize>(dispatch: Dispatch, inputs: usize) -> Piece<'a> {
    let layer = Narrow::<R>::new(&matrix(R, inputs, |r, k| value(r * inputs + k)));
    let (x, mut out) = (self::inputs(inputs), [Row::ZERO; R]);
    let run = move || dispatch.run(Few { layer: &layer, x: &x, out: &mut out });
    Piece::of_packets(format!("layer_f32/{inputs}x{R}"), Some((Arithmetic::F32, 2 * inputs * R)), run)
}

/// * `activates`: whether another layer follows, besides `N` heads.
fn dense16<'a, const N: usize>(
    dispatch: Dispatch,
    inputs: usize,
    outputs: usize,
    activates: bool,
) -> Piece<'a> {
    let weight = |r: usize, k: usize| value(r * inputs + k);
    let largest = vec![1000.0; if activates { outputs } else { 0 }];
    let layer = Layer16::new(outputs, &vec![1.0; inputs], |_| true, weight, None, &largest);
    let x = vec![PairRow([0x0123_0345; PACKET]); inputs / 2];
    let reads = Active::all(inputs / 2);
    let heads = vec![[0.01; N]; outputs];
    let (mut pairs, mut sums) = (vec![PairRow::ZERO; outputs / 2], [Row::ZERO; N]);
    let run = move || {
        dispatch.run(Dense16 {
            layer: &layer,
            x: &x,
            reads: &reads,
            heads: &heads,
            pairs: activates.then_some(&mut pairs),
            sums: &mut sums,
        });
    };
    let heads = if N > 0 { format!("+{N}") } else { String::new() };
    Piece::of_packets(
        format!("layer_i16/{inputs}x{outputs}{heads}"),
        Some((Arithmetic::I16, 2 * outputs * (inputs + N))),
        run,
    )
}

struct Directions<'a> {
    directions: &'a [Row; 3],
    out: &'a mut [Row],
}

impl Kernel for Directions<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for _ in 0..ROUNDS {
            let mut at = 0;
            while at < PACKET {
                let direction = load3(s, black_box(self.directions), at);
                for (value, row) in direction_encode(s, direction).into_iter().zip(&mut *self.out) {
                    s.store(value, &mut row.0[at..at + S::LANES]);
                }
                at += S::LANES;
            }
            black_box(&mut *self.out);
        }
    }
}

struct Dense<'a> {
    layer: &'a Layer,
    x: &'a [Row],
    out: &'a mut [Row],
}

impl Kernel for Dense<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for _ in 0..ROUNDS {
            self.layer.forward_relu(s, black_box(self.x), self.out);
            black_box(&mut *self.out);
        }
    }
}

struct Few<'a, const R: usize> {
    layer: &'a Narrow<R>,
    x: &'a [Row],
    out: &'a mut [Row; R],
}

impl<const R: usize> Kernel for Few<'_, R> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for _ in 0..ROUNDS {
            let mut at = 0;
            while at < PACKET {
                let sums = self.layer.forward(s, black_box(self.x), at);
                for (sum, row) in sums.into_iter().zip(&mut *self.out) {
                    s.store(sum, &mut row.0[at..at + S::LANES]);
                }
                at += S::LANES;
            }
            black_box(&mut *self.out);
        }
    }
}

struct Dense16<'a, const N: usize> {
    layer: &'a Layer16,
    x: &'a [PairRow],
    reads: &'a Active,
    heads: &'a [[f32; N]],
    /// Where activations go, if anywhere.
    pairs: Option<&'a mut Vec<PairRow>>,
    sums: &'a mut [Row; N],
}

impl<const N: usize> Kernel for Dense16<'_, N> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(mut self, s: S) {
        for _ in 0..ROUNDS {
            let mut at = 0;
            while at < PACKET {
                let mut active = Active::NONE;
                let rows = self.pairs.as_mut();
                let to = rows.map(|rows| Activations { rows, first_pair: 0, active: &mut active });
                let sums = self.layer.forward(s, black_box(self.x), self.reads, at, to, self.heads);
                for (sums, row) in sums.into_iter().zip(&mut *self.sums) {
                    for (v, sum) in sums.into_iter().enumerate().take(chunk::<S>() / S::LANES) {
                        s.store(sum, &mut row.0[at + v * S::LANES..]);
                    }
                }
                black_box(&active);
                at += chunk::<S>();
            }
            black_box((&mut self.pairs, &mut *self.sums));
        }
    }
}

struct Collect<'a> {
    lattice: &'a Lattice,
    lanes: &'a mut Lanes,
}

impl Kernel for Collect<'_> {
    type Output = ();
    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for _ in 0..ROUNDS {
            composite(s, self.lattice, black_box(&mut *self.lanes));
        }
    }
}
