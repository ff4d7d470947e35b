//! The torso over its background, in packets of pixels.
//!
//! Only the anchors change with the pose. What first layers make of an encoded position is a sum of what they make of its row
//! and of its column; both, and the mask, belong to the picture's size and are made once. What they make of anchors and
//! individual code is the same for all pixels of a frame.

use headcast_core::Pose;

use super::error::RenderError;
use super::field::{at, expect, matrix};
use super::grid_encode::{halves, quantise, step_of};
use super::march::{TILE, Tile};
use super::packet::{Layer, Narrow, PACKET, Row, rows};
use super::simd::math::{ColorRange, color_activation};
use super::simd::{Kernel, Simd};
use crate::conditioning::torso_pose_code;
use crate::field::{frequency_encode, grid_levels, plane_coordinates, torso_mask};
use crate::model::{GridTable, Matrix, Torso};

/// Octaves of the encoded position, and of the encoded anchors.
const BANDS: [u32; 2] = [8, 3];
/// Values of one encoded coordinate: itself, then sine and cosine of every octave.
const PER_AXIS: usize = 1 + 2 * BANDS[0] as usize;
const POSITION: usize = 2 * PER_AXIS;
const ANCHORS: usize = 6 * (1 + 2 * BANDS[1] as usize);
const LEVELS: usize = 16;
const CHANNELS: usize = 2;
const FEATURES: usize = LEVELS * CHANNELS;
const HIDDEN: usize = 32;

/// A part of the sums of both first layers: of the deformation, then of the colours.
type FirstSums = [f32; 2 * HIDDEN];

/// The torso of one avatar at one picture size.
#[derive(Debug)]
pub(super) struct TorsoEngine {
    torso: Torso,
    levels: Vec<Level>,
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

#[derive(Debug)]
struct Level {
    scale: f32,
    side: f32,
    entries: f32,
    inverse_entries: f32,
    /// A level whose rows are longer than its table does not look at the second axis.
    second_axis: f32,
    /// `[entries, 2]`, in integer steps.
    values: Vec<i16>,
}

/// A torso under one pose.
#[derive(Debug)]
pub(super) struct PosedTorso<'a> {
    engine: &'a TorsoEngine,
    /// Of anchors and individual code.
    sums: FirstSums,
}

impl TorsoEngine {
    /// * `shrink`: upstream's `--torso_shrink`.
    ///
    /// # Errors
    /// [`RenderError::Unsupported`] for sizes other than upstream's.
    pub(super) fn new(torso: &Torso, shrink: f32, width: u32, height: u32) -> Result<Self, RenderError> {
        let inputs = POSITION + ANCHORS + torso.individual_code.len();
        expect(&torso.deform, "torso_deform_net", &[(HIDDEN, inputs), (HIDDEN, HIDDEN), (2, HIDDEN)])?;
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
        let (levels, steps) = levels(&torso.grid)?;
        let [deform, net] = [&torso.deform.layers[0], &torso.net.layers[0]];
        let place = |axis: usize, coordinate: f32| {
            let encoded = encode_axis(coordinate * shrink);
            let sum = |weight: &Matrix, r: usize, first: usize| {
                encoded.iter().enumerate().map(|(k, value)| at(weight, r, first + 2 * k + axis) * value).sum()
            };
            let sums = std::array::from_fn(|r| match r.checked_sub(HIDDEN) {
                None => sum(deform, r, 0),
                Some(r) => sum(net, r, FEATURES),
            });
            Place { coordinate: coordinate * shrink, sums }
        };
        Ok(Self {
            levels,
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
        let mut fixed = Vec::with_capacity(ANCHORS + self.torso.individual_code.len());
        frequency_encode(&torso_pose_code(&self.torso.pose, world_from_camera), BANDS[1], &mut fixed);
        fixed.extend(&self.torso.individual_code);
        let sum = |weight: &Matrix, r: usize, first: usize| {
            fixed.iter().enumerate().map(|(k, value)| at(weight, r, first + k) * value).sum()
        };
        let [deform, net] = [&self.torso.deform.layers[0], &self.torso.net.layers[0]];
        let sums = std::array::from_fn(|r| match r.checked_sub(HIDDEN) {
            None => sum(deform, r, POSITION),
            Some(r) => sum(net, r, FEATURES + POSITION),
        });
        PosedTorso { engine: self, sums }
    }
}

/// A coordinate, then sine and cosine of its octaves.
fn encode_axis(x: f32) -> [f32; PER_AXIS] {
    let mut out = Vec::with_capacity(PER_AXIS);
    frequency_encode(&[x], BANDS[0], &mut out);
    out.try_into().expect("one value and two an octave")
}

#[expect(clippy::cast_precision_loss, reason = "sizes are below 2^24, checked here")]
fn levels(table: &GridTable) -> Result<(Vec<Level>, [f32; FEATURES]), RenderError> {
    if table.levels() != LEVELS || table.channels != CHANNELS {
        return Err(RenderError::Unsupported {
            what: format!("a torso grid of {} levels and {} channels", table.levels(), table.channels),
        });
    }
    let mut steps = [0.0; FEATURES];
    let mut levels = Vec::with_capacity(LEVELS);
    for (l, (lattice, range)) in
        grid_levels(LEVELS, 16.0, 2048.0).into_iter().zip(table.offsets.windows(2)).enumerate()
    {
        let entries = range[1] - range[0];
        if entries == 0 || entries > 1 << 23 {
            return Err(RenderError::Unsupported {
                what: format!("a torso grid level of {entries} entries"),
            });
        }
        let values = &table.embeddings[range[0] as usize * CHANNELS..range[1] as usize * CHANNELS];
        for channel in 0..CHANNELS {
            steps[l * CHANNELS + channel] = step_of(values.iter().skip(channel).step_by(CHANNELS));
        }
        let quantised =
            values.iter().enumerate().map(|(i, v)| quantise(*v, steps[l * CHANNELS + i % CHANNELS]));
        levels.push(Level {
            scale: lattice.scale,
            side: lattice.side as f32,
            entries: entries as f32,
            inverse_entries: 1.0 / entries as f32,
            second_axis: if lattice.side > entries { 0.0 } else { 1.0 },
            values: quantised.collect(),
        });
    }
    Ok((levels, steps))
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
            first: rows(HIDDEN),
            second: rows(HIDDEN),
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
            let mut sums = torso.sums;
            for (sum, (row, column)) in sums.iter_mut().zip(row.sums.iter().zip(&column.sums)) {
                *sum += row + column;
            }
            let (deform, colors) = sums.split_at(HIDDEN);
            for (row, sum) in self.first.iter_mut().zip(deform) {
                row.0[lane] = sum.max(0.0);
            }
            for (row, sum) in self.colors.iter_mut().zip(colors) {
                row.0[lane] = *sum;
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
        engine.deform_hidden.forward_relu(s, &work.first, &mut work.second);
        let mut lane = 0;
        while lane < PACKET {
            let offset = engine.deform_out.forward(s, &work.second, lane);
            let mut q = offset;
            for axis in 0..2 {
                s.store(offset[axis], &mut work.offset[axis].0[lane..lane + S::LANES]);
                let x = s.load(&work.position[axis].0[lane..lane + S::LANES]);
                q[axis] = s.add(x, offset[axis]);
            }
            encode(s, &engine.levels, q, lane, &mut work.features);
            lane += S::LANES;
        }
        engine.net_features.add_relu(s, &work.features, &mut work.colors);
        engine.net_hidden.forward_relu(s, &work.colors, &mut work.second);
        let mut lane = 0;
        while lane < PACKET {
            let out = engine.net_out.forward(s, &work.second, lane);
            for (logit, row) in out.into_iter().zip(&mut work.out) {
                s.store(color_activation(s, ColorRange::STRETCHED, logit), &mut row.0[lane..lane + S::LANES]);
            }
            lane += S::LANES;
        }
    }
}

/// Features of one vector of positions, into column `lane` of `out`.
#[inline(always)]
fn encode<S: Simd>(s: S, levels: &[Level], q: [S::F; 2], lane: usize, out: &mut [Row]) {
    let (one, half) = (s.splat(1.0), s.splat(0.5));
    let mut u = q;
    for u in &mut u {
        *u = s.min(s.max(*u, s.splat(-1.0)), one);
        *u = s.mul(s.add(*u, one), half);
    }
    for (level, out) in levels.iter().zip(out.as_chunks_mut::<CHANNELS>().0) {
        let mut cell = u;
        let mut fraction = u;
        for axis in 0..2 {
            let p = s.fma(u[axis], s.splat(level.scale), half);
            cell[axis] = s.floor(p);
            fraction[axis] = s.sub(p, cell[axis]);
        }
        let stride = s.splat(level.side * level.second_axis);
        let mut sums = [s.splat(0.0); CHANNELS];
        for corner in 0..4 {
            let (mut a, mut b) = (cell[0], cell[1]);
            let (mut weight_a, mut weight_b) = (s.sub(one, fraction[0]), s.sub(one, fraction[1]));
            if corner & 1 == 1 {
                a = s.add(a, one);
                weight_a = fraction[0];
            }
            if corner & 2 == 2 {
                b = s.add(b, one);
                weight_b = fraction[1];
            }
            let weight = s.mul(weight_a, weight_b);
            // Whole numbers below 2^24, so the remainder is exact once the quotient's rounding is put right.
            let index = s.fma(b, stride, a);
            let turns = s.floor(s.mul(index, s.splat(level.inverse_entries)));
            let mut entry = s.sub(index, s.mul(turns, s.splat(level.entries)));
            entry = s.select(s.lt(entry, s.splat(0.0)), s.add(entry, s.splat(level.entries)), entry);
            let inside = s.lt(entry, s.splat(level.entries));
            entry = s.select(inside, entry, s.sub(entry, s.splat(level.entries)));
            let (first, second) = halves(s, s.gather_pairs(&level.values, s.shl::<1>(s.to_int(entry))));
            sums[0] = s.fma(weight, first, sums[0]);
            sums[1] = s.fma(weight, second, sums[1]);
        }
        for channel in 0..CHANNELS {
            s.store(sums[channel], &mut out[channel].0[lane..lane + S::LANES]);
        }
    }
}
