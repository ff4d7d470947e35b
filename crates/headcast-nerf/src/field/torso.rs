//! The torso: a picture in the image plane that follows the head's pose.

use headcast_core::Pose;

use crate::conditioning::{camera_point, torso_pose_code};
use crate::model::{Torso, TorsoPose};

use super::Precision;
use super::frequency_encode::frequency_encode;
use super::grid_encode::{GridKind, grid_encode, grid_levels};
use super::mlp::{mlp, sigmoid, stretched_sigmoid};

/// Cells a side of the torso's density grid.
const MASK_SIDE: usize = 128;

/// One point of the torso.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TorsoOutput {
    /// Opacity, 0.001 beyond `[0, 1]` at most (RAD-NeRF: inside).
    pub alpha: f32,
    /// Colour, likewise.
    pub rgb: [f32; 3],
    /// Where the deformation reads the grid, relative to the shrunk position.
    pub offset: [f32; 2],
}

impl TorsoOutput {
    /// `background` with this in front.
    pub fn over(&self, background: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|c| self.rgb[c] * self.alpha + background[c] * (1.0 - self.alpha))
    }
}

/// Whether the torso can be seen at plane position `q` (row, column; see
/// [`plane_coordinates`](super::plane_coordinates)).
///
/// The stored grid is bilinear between cell centres at the corners, with **columns along the image's rows**:
/// `q[0]` selects the column of the grid.
pub fn torso_mask(torso: &Torso, q: [f32; 2]) -> bool {
    torso_density(&torso.density_grid, q) > torso.mean_density.min(0.01)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "cells are few")]
fn torso_density(grid: &[f32], q: [f32; 2]) -> f32 {
    let at = q.map(|q| (q + 1.0) / 2.0 * (MASK_SIDE as f32 - 1.0));
    let cell = at.map(f32::floor);
    let mut sum = 0.0;
    for (right, down) in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)] {
        let (column, row) = (cell[0] + right, cell[1] + down);
        let weight = (1.0 - (at[0] - column).abs()) * (1.0 - (at[1] - row).abs());
        let index = |v: f32| usize::try_from(v as i64).ok().filter(|v| *v < MASK_SIDE);
        if let (Some(column), Some(row)) = (index(column), index(row)) {
            sum += weight * grid[row * MASK_SIDE + column];
        }
    }
    sum
}

/// The pose code as [`torso_pose_code`] makes it, in the given arithmetic.
#[expect(clippy::cast_possible_truncation, reason = "f64 on the way to 16 bits")]
pub(super) fn rounded_pose_code(
    kind: &TorsoPose,
    world_from_camera: &Pose,
    precision: Precision,
) -> [f32; 6] {
    let anchors = match (precision, kind) {
        (Precision::Mixed, TorsoPose::Anchors(anchors)) => anchors,
        _ => return torso_pose_code(kind, world_from_camera),
    };
    // Mixed precision rounds the inverse, the product and both divisions.
    let columns: [[f32; 4]; 4] = std::array::from_fn(|i| {
        let mut unit = [0.0; 4];
        unit[i] = 1.0;
        camera_point(world_from_camera, &unit).map(|v| precision.round(v as f32))
    });
    let mut out = [0.0; 6];
    for (out, anchor) in out.chunks_exact_mut(2).zip(anchors) {
        let [x, y, z, w] = std::array::from_fn(|axis| {
            let terms = anchor.iter().zip(&columns).map(|(a, column)| precision.round(*a) * column[axis]);
            precision.round(terms.sum())
        });
        out[0] = precision.round(precision.round(x / w) / z);
        out[1] = precision.round(precision.round(y / w) / z);
    }
    out
}

/// Opacity and colour of the torso at plane position `q` (Tang et al. 2022, §3.3; Li et al. 2023, §3.5).
///
/// * `pose_code`: of [`torso_pose_code`].
/// * `shrink`: upstream's `--torso_shrink`.
pub fn torso_point(
    torso: &Torso,
    shrink: f32,
    precision: Precision,
    pose_code: &[f32; 6],
    q: [f32; 2],
) -> TorsoOutput {
    let x = q.map(|q| q * shrink);
    let [position_bands, pose_bands] = torso.pose.bands();
    let mut h = Vec::new();
    frequency_encode(&x, position_bands, &mut h);
    frequency_encode(pose_code, pose_bands, &mut h);
    h.extend(&torso.individual_code);

    let dx = mlp(&torso.deform, precision, &h);
    let offset = [dx[0], dx[1]];
    let position: [f32; 2] = std::array::from_fn(|axis| (x[axis] + offset[axis]).clamp(-1.0, 1.0));
    let levels = grid_levels(torso.grid.levels(), 16.0, 2048.0);
    let mut input = vec![0.0; torso.grid.outputs()];
    grid_encode(&torso.grid, &levels, GridKind::Tiled, precision, position, 1.0, &mut input);
    input.extend(&h);
    let logits = mlp(&torso.net, precision, &input);
    let activation = match torso.pose {
        TorsoPose::Anchors(_) => |precision, logit| stretched_sigmoid(precision, logit),
        TorsoPose::Euler => |precision: Precision, logit| precision.round(sigmoid(logit)),
    };
    let [alpha, r, g, b] = std::array::from_fn(|c| activation(precision, logits[c]));
    TorsoOutput { alpha, rgb: [r, g, b], offset }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mask_is_transposed() {
        let mut grid = vec![0.0; MASK_SIDE * MASK_SIDE];
        // Column 127 of row 0: the bottom left of the picture.
        grid[127] = 1.0;
        assert_eq!(torso_density(&grid, [1.0, -1.0]), 1.0, "(last row, first column)");
        assert_eq!(torso_density(&grid, [-1.0, 1.0]), 0.0);
        let half_a_cell = 1.0 / 127.0;
        assert!((torso_density(&grid, [1.0 - half_a_cell, -1.0]) - 0.5).abs() < 1e-4);
        assert!((torso_density(&grid, [1.0 + half_a_cell, -1.0]) - 0.5).abs() < 1e-4, "zero outside");
        assert!(torso_density(&grid, [f32::NAN, 0.0]).is_nan(), "a one-pixel picture has no torso");
    }

    #[test]
    fn the_torso_covers_its_background() {
        let output = TorsoOutput { alpha: 0.25, rgb: [1.0, 0.0, 0.5], offset: [0.0; 2] };
        assert_eq!(output.over([0.0, 1.0, 0.5]), [0.25, 0.75, 0.5]);
    }
}
