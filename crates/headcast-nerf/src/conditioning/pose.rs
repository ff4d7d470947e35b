//! Camera poses: from the dataset's frame to the renderer's, and smoothed over a clip.

use headcast_core::Pose;

/// Upstream's `--scale`: dataset units to renderer units.
const SCALE: f32 = 4.0;
/// Frames on either side that [`smooth_path`] averages.
const REACH: usize = 3;

/// Renderer pose of a dataset's camera-to-world matrix.
///
/// * `matrix`: `transform_matrix` of a `transforms_*.json` frame: x right, y up, camera looks along -z.
///
/// World rows are cycled (y, z, x), the camera's y and z axes are negated and the position is multiplied
/// by 4, so that world axis 0 is up, 1 points towards the camera and 2 to the right.
pub fn ngp_pose(matrix: [[f32; 4]; 4]) -> Pose {
    let row = |m: [f32; 4]| [m[0], -m[1], -m[2], m[3] * SCALE];
    Pose([row(matrix[1]), row(matrix[2]), row(matrix[0]), [0.0, 0.0, 0.0, 1.0]])
}

/// The dataset's camera-to-world matrix of a renderer pose, upper three rows: undoes [`ngp_pose`] exactly.
pub fn dataset_pose(pose: &Pose) -> [[f32; 4]; 3] {
    let row = |m: [f32; 4]| [m[0], -m[1], -m[2], m[3] / SCALE];
    [row(pose.0[2]), row(pose.0[0]), row(pose.0[1])]
}

/// Upstream's `--smooth_path`: every pose becomes the mean of itself and up to three on either side.
///
/// Translations are averaged; rotations take their chordal mean, the dominant eigenvector of the summed outer
/// products of the unit quaternions (Hartley et al. 2013, "Rotation Averaging", §5.3).
pub fn smooth_path(poses: &[Pose]) -> Vec<Pose> {
    (0..poses.len())
        .map(|i| {
            let near = &poses[i.saturating_sub(REACH)..poses.len().min(i + REACH + 1)];
            let rotation = mean_rotation(near);
            let translation = mean_translation(near);
            let mut out = Pose::IDENTITY;
            for axis in 0..3 {
                out.0[axis][..3].copy_from_slice(&rotation[axis]);
                out.0[axis][3] = translation[axis];
            }
            out
        })
        .collect()
}

#[expect(clippy::cast_precision_loss, reason = "at most seven poses")]
fn mean_translation(poses: &[Pose]) -> [f32; 3] {
    let mut sum = [0.0; 3];
    for pose in poses {
        for (sum, value) in sum.iter_mut().zip(pose.origin()) {
            *sum += value;
        }
    }
    sum.map(|sum| sum / poses.len() as f32)
}

#[expect(clippy::cast_possible_truncation, reason = "poses are f32; the mean is computed in f64")]
fn mean_rotation(poses: &[Pose]) -> [[f32; 3]; 3] {
    let mut moment = [[0.0; 4]; 4];
    for pose in poses {
        let q = quaternion(pose);
        for (row, a) in moment.iter_mut().zip(q) {
            for (out, b) in row.iter_mut().zip(q) {
                *out += a * b;
            }
        }
    }
    let [x, y, z, w] = dominant_eigenvector(moment);
    [
        [x * x - y * y - z * z + w * w, 2.0 * (x * y - z * w), 2.0 * (x * z + y * w)],
        [2.0 * (x * y + z * w), -x * x + y * y - z * z + w * w, 2.0 * (y * z - x * w)],
        [2.0 * (x * z - y * w), 2.0 * (y * z + x * w), -x * x - y * y + z * z + w * w],
    ]
    .map(|row| row.map(|v| v as f32))
}

/// Unit quaternion `x y z w`, built around its largest component so that nothing cancels.
fn quaternion(pose: &Pose) -> [f64; 4] {
    let m: [[f64; 3]; 3] = std::array::from_fn(|r| std::array::from_fn(|c| f64::from(pose.0[r][c])));
    let trace = m[0][0] + m[1][1] + m[2][2];
    let squares = [m[0][0], m[1][1], m[2][2], trace];
    let largest = (0..4).fold(0, |best, i| if squares[i] > squares[best] { i } else { best });
    let mut q = [0.0; 4];
    if largest == 3 {
        q = [m[2][1] - m[1][2], m[0][2] - m[2][0], m[1][0] - m[0][1], 1.0 + trace];
    } else {
        let (i, j, k) = (largest, (largest + 1) % 3, (largest + 2) % 3);
        q[i] = 1.0 - trace + 2.0 * m[i][i];
        q[j] = m[j][i] + m[i][j];
        q[k] = m[k][i] + m[i][k];
        q[3] = m[k][j] - m[j][k];
    }
    let norm = q.iter().map(|v| v * v).sum::<f64>().sqrt();
    q.map(|v| v / norm)
}

/// Unit eigenvector of the largest eigenvalue of a symmetric matrix: cyclic Jacobi rotations.
fn dominant_eigenvector(mut a: [[f64; 4]; 4]) -> [f64; 4] {
    let mut vectors =
        [[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]];
    // Convergence is quadratic; a 4×4 matrix is diagonal to the last bit well before sixteen sweeps.
    for _ in 0..16 {
        for p in 0..3 {
            for q in p + 1..4 {
                if a[p][q] == 0.0 {
                    continue;
                }
                let theta = (a[q][q] - a[p][p]) / (2.0 * a[p][q]);
                let t = theta.signum() / (theta.abs() + theta.hypot(1.0));
                let cos = 1.0 / t.hypot(1.0);
                let sin = t * cos;
                for row in &mut a {
                    (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                }
                let (row_p, row_q) = (a[p], a[q]);
                for k in 0..4 {
                    a[p][k] = cos * row_p[k] - sin * row_q[k];
                    a[q][k] = sin * row_p[k] + cos * row_q[k];
                }
                for row in &mut vectors {
                    (row[p], row[q]) = (cos * row[p] - sin * row[q], sin * row[p] + cos * row[q]);
                }
            }
        }
    }
    let largest = (0..4).fold(0, |best, i| if a[i][i] > a[best][best] { i } else { best });
    vectors.map(|row| row[largest])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about_z(angle: f32, x: f32) -> Pose {
        let (sin, cos) = angle.sin_cos();
        Pose([[cos, -sin, 0.0, x], [sin, cos, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    }

    fn close(a: &Pose, b: &Pose) -> bool {
        a.0.as_flattened().iter().zip(b.0.as_flattened()).all(|(a, b)| (a - b).abs() < 1e-6)
    }

    #[test]
    fn rows_cycle_and_camera_axes_flip() {
        let m = [[1.0, 2.0, 3.0, 0.1], [4.0, 5.0, 6.0, 0.2], [7.0, 8.0, 9.0, 0.3], [0.0, 0.0, 0.0, 1.0]];
        let expected = [
            [4.0, -5.0, -6.0, 0.2 * 4.0],
            [7.0, -8.0, -9.0, 0.3 * 4.0],
            [1.0, -2.0, -3.0, 0.1 * 4.0],
            [0.0, 0.0, 0.0, 1.0],
        ];
        assert_eq!(ngp_pose(m), Pose(expected));
        assert_eq!(dataset_pose(&ngp_pose(m)), [m[0], m[1], m[2]]);
    }

    #[test]
    fn the_mean_of_symmetric_turns_is_the_middle_one() {
        let poses: Vec<Pose> = (0..7u8).map(|i| about_z(0.1 * f32::from(i), f32::from(i))).collect();
        let smooth = smooth_path(&poses);
        assert!(close(&smooth[3], &poses[3]), "{:?}", smooth[3]);
        assert!(close(&smooth[0], &about_z(0.15, 1.5)), "only frames of the clip count: {:?}", smooth[0]);
        assert!(!close(&smooth[0], &poses[0]));
    }

    #[test]
    fn rotations_of_half_a_turn_survive() {
        for axis in 0..3 {
            let mut pose = Pose::IDENTITY;
            for other in (0..3).filter(|other| *other != axis) {
                pose.0[other][other] = -1.0;
            }
            assert!(close(&smooth_path(&[pose])[0], &pose), "axis {axis}");
        }
        assert!(smooth_path(&[]).is_empty());
    }
}
