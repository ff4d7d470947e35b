//! Every second pixel of every second row, and the pixels between them.
//!
//! What rays collect changes slowly over most of a face, so `fast` and `preview` trace a quarter of the rays, the nodes,
//! and read the pixels between off a cubic curve. Where the light of neighbouring nodes bends (outlines, lips, lids, hair),
//! a curve would smooth detail away: every ray is traced there. The torso is drawn in the same way.
//!
//! ```text
//! o . o . o      o  node: pixel (2i, 2j)
//! . . . . .      .  pixel between
//! o . o . o
//! ```
//!
//! Whether a pixel is traced depends on the frame's nodes alone, so pictures do not depend on threads or on the frames before.

use headcast_core::Intrinsics;

use super::march::{TILE, TILE_RAYS, Tile};
use super::shade::Light;

/// The nodes of a picture.
#[derive(Debug)]
pub(super) struct Nodes {
    /// Per row: one more than half the pixels where their number is even, so that every pixel lies between nodes.
    pub(super) width: usize,
    pub(super) height: usize,
    /// `[height, width]`.
    light: Vec<Light>,
}

impl Nodes {
    /// Dark nodes of a picture of `width` × `height`.
    pub(super) fn new(width: usize, height: usize) -> Self {
        let (width, height) = (width / 2 + 1, height / 2 + 1);
        Self { width, height, light: vec![[0.0; 4]; width * height] }
    }

    /// Takes a tile of nodes.
    ///
    /// * `light`: `[TILE_RAYS]`.
    pub(super) fn add(&mut self, tile: Tile, light: &[Light]) {
        for row in 0..tile.height {
            let first = (tile.y + row) * self.width + tile.x;
            self.light[first..first + tile.width]
                .copy_from_slice(&light[row * TILE..row * TILE + tile.width]);
        }
    }
}

/// The camera whose pixel (i, j) sees what pixel (2i, 2j) of `full` sees.
pub(super) fn node_intrinsics(full: &Intrinsics) -> Intrinsics {
    // The pixel's centre is at 2i + 0.5 there, and at i + 0.5 here.
    let Intrinsics { fx, fy, cx, cy } = *full;
    Intrinsics { fx: fx * 0.5, fy: fy * 0.5, cx: cx * 0.5 + 0.25, cy: cy * 0.5 + 0.25 }
}

/// A tile of pixels among its nodes.
#[derive(Debug)]
pub(super) struct Between {
    /// `[SIDE, SIDE]`: the tile's nodes and [`HALO`] more on each side, those of the picture's edge repeated.
    light: Vec<Light>,
    /// `[SIDE, SIDE]`: how much the light bends at each node; not of the outermost.
    bend: Vec<f32>,
    /// `[TILE_RAYS]`: pixels whose rays are to be traced.
    pub(super) wanted: Vec<bool>,
}

/// A cubic curve between two nodes looks at one more on each side; so does the bend of a node beside the tile.
const HALO: usize = 2;
/// Nodes of a row of a tile, with the one beyond its last pixel.
const ACROSS: usize = TILE / 2 + 1;
const SIDE: usize = ACROSS + 2 * HALO;

impl Between {
    pub(super) fn new() -> Self {
        Self {
            light: vec![[0.0; 4]; SIDE * SIDE],
            bend: vec![0.0; SIDE * SIDE],
            wanted: vec![false; TILE_RAYS],
        }
    }

    /// Looks at the nodes of `tile`; false when all are dark.
    pub(super) fn look(&mut self, nodes: &Nodes, tile: Tile) -> bool {
        let clamped = |first: usize, i: usize, len: usize| (first / 2 + i).saturating_sub(HALO).min(len - 1);
        let mut lit = false;
        for (j, row) in self.light.chunks_exact_mut(SIDE).enumerate() {
            let from = &nodes.light[clamped(tile.y, j, nodes.height) * nodes.width..][..nodes.width];
            for (i, light) in row.iter_mut().enumerate() {
                *light = from[clamped(tile.x, i, nodes.width)];
                lit |= *light != [0.0; 4];
            }
        }
        lit
    }

    /// Decides which pixels between the nodes are to be traced: those beside a node where the light bends by more than
    /// `tolerance`, or whose neighbours' does. Returns how many.
    pub(super) fn choose(&mut self, tile: Tile, tolerance: f32) -> usize {
        for j in 1..SIDE - 1 {
            for i in 1..SIDE - 1 {
                let at = j * SIDE + i;
                let [here, left, right, up, down] =
                    [at, at - 1, at + 1, at - SIDE, at + SIDE].map(|at| self.light[at]);
                let bend = |a: Light, b: Light| {
                    (0..4).fold(0.0_f32, |most, k| {
                        let bend = (a[k] - 2.0 * here[k] + b[k]).abs();
                        // What is not a number bends.
                        if bend <= most { most } else { bend }
                    })
                };
                let (across, along) = (bend(left, right), bend(up, down));
                self.bend[at] = if across <= along { along } else { across };
            }
        }
        let rough = |i: usize, j: usize| {
            let mut around = (j - 1..=j + 1).flat_map(|j| &self.bend[j * SIDE + i - 1..=j * SIDE + i + 1]);
            !around.all(|bend| *bend <= tolerance)
        };
        let mut count = 0;
        self.wanted.fill(false);
        let mut above = [false; ACROSS];
        for j in 0..tile.height.div_ceil(2) + 1 {
            let here: [bool; ACROSS] = std::array::from_fn(|i| rough(i + HALO, j + HALO));
            let mut want = |x: usize, y: usize, wanted: bool| {
                if wanted && x < tile.width && y < tile.height {
                    self.wanted[y * TILE + x] = true;
                    count += 1;
                }
            };
            for i in 0..ACROSS - 1 {
                want(2 * i + 1, 2 * j, here[i] || here[i + 1]);
                if j > 0 {
                    want(2 * i, 2 * j - 1, here[i] || above[i]);
                    let corners = [here[i], here[i + 1], above[i], above[i + 1]];
                    want(2 * i + 1, 2 * j - 1, corners.contains(&true));
                }
            }
            above = here;
        }
        count
    }

    /// Puts the nodes, and what lies between them where it is not wanted, into `light`.
    ///
    /// * `light`: `[TILE_RAYS]`, traced where wanted.
    pub(super) fn fill(&self, tile: Tile, light: &mut [Light]) {
        // Pixels of odd columns in the rows of nodes, from which those of odd rows follow.
        let mut middles = [[[0.0; 4]; TILE / 2]; SIDE];
        for (middles, row) in middles.iter_mut().zip(self.light.chunks_exact(SIDE)) {
            for (i, middle) in middles.iter_mut().enumerate() {
                *middle = between([row[i + 1], row[i + 2], row[i + 3], row[i + 4]]);
            }
        }
        for y in 0..tile.height {
            let j = y / 2 + HALO;
            let node = |j: usize, i: usize| self.light[j * SIDE + i + HALO];
            for x in 0..tile.width {
                if self.wanted[y * TILE + x] {
                    continue;
                }
                let i = x / 2;
                let column = |j: usize| if x % 2 == 0 { node(j, i) } else { middles[j][i] };
                light[y * TILE + x] = match y % 2 == 0 {
                    true => column(j),
                    false => between([column(j - 1), column(j), column(j + 1), column(j + 2)]),
                };
            }
        }
    }
}

/// The middle between the second and the third of four equidistant values, on the cubic curve through them.
#[inline(always)]
fn between([a, b, c, d]: [Light; 4]) -> Light {
    std::array::from_fn(|k| (b[k] + c[k]) * 0.5625 - (a[k] + d[k]) * 0.0625)
}
