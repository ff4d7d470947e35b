//! The torso over its background, in packets of pixels.
//!
//! Only the pose code changes from frame to frame. What first layers make of an encoded position is a sum of what they make of its row
//! and of its column; both, and the mask, belong to the picture's size and are made once. What they make of pose code
//! and individual code is the same for all pixels of a frame.

use headcast_core::Pose;

use super::error::RenderError;
use super::field::{at, expect, matrix};
use super::march::{TILE, Tile};
use super::packet::{Layer, Narrow, PACKET, Row, rows};
use super::simd::math::{ColorRange, color_activation};
use super::simd::{Kernel, Simd};
use super::tiled_encode::{FEATURES, TiledGrid};
use crate::conditioning::torso_pose_code;
use crate::field::{frequency_encode, plane_coordinates, torso_mask};
use crate::model::{Matrix, Torso, TorsoPose};

/// Resolution of the grid's finest level.
const FINEST: f32 = 2048.0;
/// Hidden width of the colours.
const HIDDEN: usize = 32;
/// Most hidden width of the deformation.
const MAX_DEFORM: usize = 64;

/// A part of the sums of both first layers: of the colours, then of the deformation.
type FirstSums = Vec<f32>;

/// Values of an encoded number: itself, then sine and cosine of every octave.
fn encoded(bands: u32) -> usize {
    1 + 2 * bands as usize
}

/// The torso of one avatar at one picture size.
#[derive(Debug)]
pub(super) struct TorsoEngine {
    torso: Torso,
    grid: TiledGrid<2>,
    /// Of the activation of opacity and colour.
    range: ColorRange,
    width: usize,
    height: usize,
    /// `[height, width]`: where the torso may be seen.
    visible: Vec<bool>,
    /// `[height]` and `[width]`.
    down: Vec<Place>,
    across: Vec<Place>,
    deform_hidden: Layer,
    deform_out: Narrow<2>,
    /// What the first layer of the colours makes of the features, in integer steps.
    net_features: Layer,
    net_hidden: Layer,
    net_out: Narrow<4>,
}

/// A row or a column.
#[derive(Debug)]
struct Place {
    /// Its shrunk coordinate.
    coordinate: f32,
    sums: FirstSums,
}

/// A torso under one pose.
#[derive(Debug)]
pub(super) struct PosedTorso<'a> {
    engine: &'a TorsoEngine,
    /// Of pose code and individual code.
    sums: FirstSums,
}

impl TorsoEngine {
    /// * `shrink`: upstream's `--torso_shrink`.
    ///
    /// # Errors
    /// [`RenderError::Unsupported`] for sizes other than upstream's.
    pub(super) fn new(torso: &Torso, shrink: f32, width: u32, height: u32) -> Result<Self, RenderError> {
        let [position_bands, pose_bands] = torso.pose.bands();
        let position = 2 * encoded(position_bands);
        let inputs = position + 6 * encoded(pose_bands) + torso.individual_code.len();
        let (deform_hidden, range) = match torso.pose {
            TorsoPose::Anchors(_) => (32, ColorRange::STRETCHED),
            TorsoPose::Euler => (MAX_DEFORM, ColorRange::PLAIN),
        };
        let deform_shapes = [(deform_hidden, inputs), (deform_hidden, deform_hidden), (2, deform_hidden)];
        expect(&torso.deform, "torso_deform_net", &deform_shapes)?;
        expect(&torso.net, "torso_net", &[(HIDDEN, FEATURES + inputs), (HIDDEN, HIDDEN), (4, HIDDEN)])?;
        if torso.density_grid.len() != 128 * 128 {
            return Err(RenderError::Unsupported {
                what: format!("a torso density grid of {} cells", torso.density_grid.len()),
            });
        }
        let mut visible = Vec::new();
        for j in 0..height {
            for i in 0..width {
                visible.push(torso_mask(torso, plane_coordinates(width, height, i, j)));
            }
        }
        let grid = TiledGrid::new(&torso.grid, "a torso grid", FINEST, 1.0)?;
        let steps = *grid.steps();
        let [deform, net] = [&torso.deform.layers[0], &torso.net.layers[0]];
        let place = |axis: usize, coordinate: f32| {
            let mut encoded = Vec::new();
            frequency_encode(&[coordinate * shrink], position_bands, &mut encoded);
            let sum = |weight: &Matrix, r: usize, first: usize| {
                encoded.iter().enumerate().map(|(k, value)| at(weight, r, first + 2 * k + axis) * value).sum()
            };
            let colors = (0..HIDDEN).map(|r| sum(net, r, FEATURES));
            let sums = colors.chain((0..deform_hidden).map(|r| sum(deform, r, 0))).collect();
            Place { coordinate: coordinate * shrink, sums }
        };
        Ok(Self {
            grid,
            range,
            width: width as usize,
            height: height as usize,
            visible,
            down: (0..height).map(|j| place(0, plane_coordinates(width, height, 0, j)[0])).collect(),
            across: (0..width).map(|i| place(1, plane_coordinates(width, height, i, 0)[1])).collect(),
            deform_hidden: Layer::new(&torso.deform.layers[1], None),
            deform_out: Narrow::new(&torso.deform.layers[2]),
            net_features: Layer::new(&matrix(HIDDEN, FEATURES, |r, k| at(net, r, k) * steps[k]), None),
            net_hidden: Layer::new(&torso.net.layers[1], None),
            net_out: Narrow::new(&torso.net.layers[2]),
            torso: torso.clone(),
        })
    }

    /// Lists the pixels of `tile` where the torso may be seen, and the ray of each within the tile.
    ///
    /// * `spacing`: of a tile of nodes, how many pixels there are from one to the next; those beyond the picture's edge
    ///   stand for the ones on it.
    /// * `wanted`: `[TILE_RAYS]`; `None` is all.
    pub(super) fn list(
        &self,
        tile: Tile,
        spacing: usize,
        wanted: Option<&[bool]>,
        pixels: &mut Vec<(u32, usize)>,
    ) {
        pixels.clear();
        for row in 0..tile.height {
            let first = ((tile.y + row) * spacing).min(self.height - 1) * self.width;
            for column in 0..tile.width {
                let ray = row * TILE + column;
                let pixel = first + ((tile.x + column) * spacing).min(self.width - 1);
                if self.visible[pixel] && wanted.is_none_or(|wanted| wanted[ray]) {
                    #[expect(clippy::cast_possible_truncation, reason = "sides are 16-bit numbers")]
                    pixels.push((pixel as u32, ray));
                }
            }
        }
    }

    /// Multiplies the pose into the first layers.
    pub(super) fn posed(&self, world_from_camera: &Pose) -> PosedTorso<'_> {
        let Torso { pose, individual_code, deform, net, .. } = &self.torso;
        let [position_bands, pose_bands] = pose.bands();
        let mut fixed = Vec::new();
        frequency_encode(&torso_pose_code(pose, world_from_camera), pose_bands, &mut fixed);
        fixed.extend(individual_code);
        let sum = |weight: &Matrix, r: usize, first: usize| {
            fixed.iter().enumerate().map(|(k, value)| at(weight, r, first + k) * value).sum()
        };
        let [deform, net] = [&deform.layers[0], &net.layers[0]];
        let position = 2 * encoded(position_bands);
        let colors = (0..HIDDEN).map(|r| sum(net, r, FEATURES + position));
        let sums = colors.chain((0..deform.rows).map(|r| sum(deform, r, position))).collect();
        PosedTorso { engine: self, sums }
    }
}

/// Rows that one packet of pixels works in.
#[derive(Debug)]
pub(super) struct TorsoRows {
    features: Box<[Row]>,
    /// Of the pixel, (row, column).
    position: [Row; 2],
    first: Box<[Row]>,
    second: Box<[Row]>,
    /// Sums, then hidden rows, of the colours' first layer.
    colors: Box<[Row]>,
    /// Where the deformation moves the position, (row, column).
    pub(super) offset: [Row; 2],
    /// Opacity, red, green, blue.
    pub(super) out: [Row; 4],
}

impl TorsoRows {
    pub(super) fn new() -> Self {
        Self {
            features: rows(FEATURES),
            position: [Row::ZERO; 2],
            first: rows(MAX_DEFORM),
            second: rows(MAX_DEFORM),
            colors: rows(HIDDEN),
            offset: [Row::ZERO; 2],
            out: [Row::ZERO; 4],
        }
    }

    /// Takes the positions of the packet's pixels: hidden rows of the deformation into `first`, and into `colors` what the
    /// colours' first layer makes of them.
    #[inline(always)]
    fn gather(&mut self, torso: &PosedTorso<'_>, pixels: &[(u32, usize)]) {
        let engine = torso.engine;
        for (lane, (pixel, _)) in pixels.iter().enumerate() {
            let pixel = *pixel as usize;
            let (row, column) = (&engine.down[pixel / engine.width], &engine.across[pixel % engine.width]);
            self.position[0].0[lane] = row.coordinate;
            self.position[1].0[lane] = column.coordinate;
            let mut sums =
                torso.sums.iter().zip(row.sums.iter().zip(&column.sums)).map(|(sum, (a, b))| sum + (a + b));
            for (row, sum) in self.colors.iter_mut().zip(&mut sums) {
                row.0[lane] = sum;
            }
            for (row, sum) in self.first.iter_mut().zip(sums) {
                row.0[lane] = sum.max(0.0);
            }
        }
    }
}

/// Opacity and colour of up to [`PACKET`] pixels.
pub(super) struct ShadeTorso<'a> {
    pub(super) torso: &'a PosedTorso<'a>,
    /// Of [`TorsoEngine::list`].
    pub(super) pixels: &'a [(u32, usize)],
    pub(super) work: &'a mut TorsoRows,
}

impl Kernel for ShadeTorso<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { torso, pixels, work } = self;
        let engine = torso.engine;
        work.gather(torso, pixels);
        let hidden = engine.deform_hidden.inputs();
        engine.deform_hidden.forward_relu(s, &work.first, &mut work.second[..hidden]);
        let mut lane = 0;
        while lane < PACKET {
            let offset = engine.deform_out.forward(s, &work.second, lane);
            let mut q = offset;
            for axis in 0..2 {
                s.store(offset[axis], &mut work.offset[axis].0[lane..lane + S::LANES]);
                let x = s.load(&work.position[axis].0[lane..lane + S::LANES]);
                q[axis] = s.add(x, offset[axis]);
            }
            engine.grid.encode(s, q, lane, &mut work.features);
            lane += S::LANES;
        }
        engine.net_features.add_relu(s, &work.features, &mut work.colors);
        engine.net_hidden.forward_relu(s, &work.colors, &mut work.second[..HIDDEN]);
        let mut lane = 0;
        while lane < PACKET {
            let out = engine.net_out.forward(s, &work.second, lane);
            for (logit, row) in out.into_iter().zip(&mut work.out) {
                s.store(color_activation(s, engine.range, logit), &mut row.0[lane..lane + S::LANES]);
            }
            lane += S::LANES;
        }
    }
}
