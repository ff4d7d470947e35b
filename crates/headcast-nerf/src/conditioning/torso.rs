//! What the torso knows about the head's pose.

use headcast_core::Pose;

use crate::field::octave_encode;
use crate::model::TorsoPose;

/// The six numbers that tell the torso how the head is held.
///
/// * `world_from_camera`: the pose that the torso follows (smoothed if the path is).
///
/// Anchors are three world points as the camera sees them, `x1 y1 x2 y2 x3 y3`. The general inverse is taken, not
/// the transpose, because recorded rotations are orthogonal only to f32 rounding; a pose that has none gives NaN.
/// Euler angles are those of `R = Rx Ry Rz`, followed by the camera's position.
#[expect(clippy::cast_possible_truncation, reason = "computed in f64, handed on as f32")]
pub fn torso_pose_code(kind: &TorsoPose, world_from_camera: &Pose) -> [f32; 6] {
    match kind {
        TorsoPose::Anchors(anchors) => {
            let mut out = [0.0; 6];
            for (out, anchor) in out.chunks_exact_mut(2).zip(anchors) {
                let [x, y, z, w] = camera_point(world_from_camera, anchor);
                out.copy_from_slice(&[(x / w / z) as f32, (y / w / z) as f32]);
            }
            out
        }
        TorsoPose::Euler => {
            let p = &world_from_camera.0;
            let [x, y, z] = world_from_camera.origin();
            // Rounding may leave the sine a little beyond 1.
            let sine = p[0][2].clamp(-1.0, 1.0);
            [(-p[1][2]).atan2(p[2][2]), sine.asin(), (-p[0][1]).atan2(p[0][0]), x, y, z]
        }
    }
}

/// What AD-NeRF's torso hears: the audio code, then three angles and the position of the head's camera, each with
/// three octaves.
///
/// * `code`: as many values of the audio code as it takes.
/// * `pose`: of the frame, as the dataset has it.
pub fn torso_signal(code: &[f32], pose: &[[f32; 4]; 3]) -> Vec<f32> {
    let [a, b, c] = *pose;
    // Rounding may leave the sine a little beyond 1.
    let angles = [c[2].atan2(b[2]), (-a[2]).clamp(-1.0, 1.0).asin(), a[0].atan2(-a[1])];
    let mut out = code.to_vec();
    octave_encode(&angles, 3, &mut out);
    octave_encode(&[a[3], b[3], c[3]], 3, &mut out);
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
    fn euler_angles_are_those_of_the_rotation() {
        let [a, b, c] = [0.3f32, -0.4, 0.5];
        let turn = |axis: usize, angle: f32| {
            let (i, j) = ((axis + 1) % 3, (axis + 2) % 3);
            let mut m = [[0.0f32; 3]; 3];
            m[axis][axis] = 1.0;
            (m[i][i], m[j][j]) = (angle.cos(), angle.cos());
            (m[i][j], m[j][i]) = (-angle.sin(), angle.sin());
            m
        };
        let times = |m: [[f32; 3]; 3], n: [[f32; 3]; 3]| {
            std::array::from_fn(|r| std::array::from_fn(|k| (0..3).map(|i| m[r][i] * n[i][k]).sum()))
        };
        let r: [[f32; 3]; 3] = times(times(turn(0, a), turn(1, b)), turn(2, c));
        let mut pose = Pose::IDENTITY;
        for axis in 0..3 {
            pose.0[axis][..3].copy_from_slice(&r[axis]);
            pose.0[axis][3] = [0.0, 1.0, 2.0][axis];
        }
        let code = torso_pose_code(&TorsoPose::Euler, &pose);
        assert!(code.iter().zip([a, b, c, 0.0, 1.0, 2.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{code:?}");
        pose.0[0][2] = 1.000_001;
        assert!(torso_pose_code(&TorsoPose::Euler, &pose)[1].is_finite());
    }

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
