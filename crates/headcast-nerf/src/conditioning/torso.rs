//! What the torso knows about the head's pose: three world points as the camera sees them.

use headcast_core::Pose;

use crate::model::Torso;

/// The torso's anchor points projected by the frame's camera, `x1 y1 x2 y2 x3 y3`.
///
/// * `world_from_camera`: the pose that the torso follows (smoothed if the path is).
///
/// The general inverse is taken, not the transpose, because recorded rotations are orthogonal only to f32
/// rounding; a pose that has none gives NaN.
#[expect(clippy::cast_possible_truncation, reason = "computed in f64, handed on as f32")]
pub fn torso_anchors(torso: &Torso, world_from_camera: &Pose) -> [f32; 6] {
    let mut out = [0.0; 6];
    for (out, anchor) in out.chunks_exact_mut(2).zip(&torso.anchor_points) {
        let [x, y, z, w] = camera_point(world_from_camera, anchor);
        out.copy_from_slice(&[(x / w / z) as f32, (y / w / z) as f32]);
    }
    out
}

/// `p_camera` with `world_from_camera * p_camera = p_world`: Gaussian elimination with row pivoting.
pub(crate) fn camera_point(world_from_camera: &Pose, p_world: &[f32; 4]) -> [f64; 4] {
    let mut rows: [[f64; 5]; 4] = std::array::from_fn(|r| {
        std::array::from_fn(|c| f64::from(if c == 4 { p_world[r] } else { world_from_camera.0[r][c] }))
    });
    for column in 0..4 {
        let pivot = (column..4)
            .fold(column, |best, r| if rows[r][column].abs() > rows[best][column].abs() { r } else { best });
        rows.swap(column, pivot);
        let pivot = rows[column];
        for (r, row) in rows.iter_mut().enumerate() {
            if r != column {
                let factor = row[column] / pivot[column];
                for (value, pivot) in row.iter_mut().zip(pivot) {
                    *value -= factor * pivot;
                }
            }
        }
    }
    std::array::from_fn(|i| rows[i][4] / rows[i][i])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn solving_undoes_the_pose() {
        // Half a turn about x, which needs pivoting nowhere, and a cyclic permutation, which does.
        let flipped =
            Pose([[1.0, 0.0, 0.0, 1.0], [0.0, -1.0, 0.0, 2.0], [0.0, 0.0, -1.0, 3.0], [0.0, 0.0, 0.0, 1.0]]);
        assert_eq!(camera_point(&flipped, &[2.0, 2.0, 2.0, 1.0]), [1.0, 0.0, 1.0, 1.0]);
        let cycled =
            Pose([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 3.0], [1.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]]);
        assert_eq!(camera_point(&cycled, &[5.0, 6.0, 7.0, 1.0]), [7.0, 5.0, 3.0, 1.0]);
    }
}
