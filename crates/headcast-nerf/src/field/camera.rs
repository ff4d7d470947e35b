//! Pixels to rays, rays against the scene box, pixels to the torso's plane.

use headcast_core::{Intrinsics, Pose};

/// A half line in world space.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ray {
    /// Start.
    pub origin: [f32; 3],
    /// Unit direction.
    pub direction: [f32; 3],
}

/// The ray through the centre of the pixel in column `i`, row `j`.
#[expect(clippy::cast_precision_loss, reason = "pixel numbers are far below 2^24")]
pub fn camera_ray(world_from_camera: &Pose, intrinsics: &Intrinsics, i: u32, j: u32) -> Ray {
    let Intrinsics { fx, fy, cx, cy } = *intrinsics;
    let c = [(i as f32 + 0.5 - cx) / fx, (j as f32 + 0.5 - cy) / fy, 1.0];
    let norm = (c[0] * c[0] + c[1] * c[1] + c[2] * c[2]).sqrt();
    let dir_camera = c.map(|c| c / norm);
    let direction = std::array::from_fn(|axis| {
        let row = world_from_camera.0[axis];
        row[0] * dir_camera[0] + row[1] * dir_camera[1] + row[2] * dir_camera[2]
    });
    Ray { origin: world_from_camera.origin(), direction }
}

/// Where the ray is inside `aabb` (`x0 y0 z0 x1 y1 z1`): `(t_near, t_far)`, both [`f32::MAX`] for a miss.
///
/// Kay and Kajiya 1986, slabs. `t_near` is raised to `min_near` after the test, so it may exceed `t_far`:
/// then there is nothing to sample.
pub fn near_far(ray: &Ray, aabb: &[f32; 6], min_near: f32) -> (f32, f32) {
    let slab = |axis: usize| {
        let inverse = 1.0 / ray.direction[axis];
        let a = (aabb[axis] - ray.origin[axis]) * inverse;
        let b = (aabb[axis + 3] - ray.origin[axis]) * inverse;
        if a > b { (b, a) } else { (a, b) }
    };
    let (mut near, mut far) = slab(0);
    for axis in [1, 2] {
        let (axis_near, axis_far) = slab(axis);
        if near > axis_far || axis_near > far {
            return (f32::MAX, f32::MAX);
        }
        if axis_near > near {
            near = axis_near;
        }
        if axis_far < far {
            far = axis_far;
        }
    }
    (if near < min_near { min_near } else { near }, far)
}

/// Torso plane coordinates of the pixel in column `i`, row `j`: **(row, column)**, each -1 at the first
/// pixel and 1 at the last.
#[expect(clippy::cast_precision_loss, reason = "pixel numbers are far below 2^24")]
pub fn plane_coordinates(width: u32, height: u32, i: u32, j: u32) -> [f32; 2] {
    let across = |at: u32, size: u32| at as f32 / (size as f32 - 1.0) * 2.0 - 1.0;
    [across(j, height), across(i, width)]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: [f32; 6] = [-1.0, -0.5, -1.0, 1.0, 0.5, 1.0];

    #[test]
    fn rays_start_inside_and_outside() {
        let ray = |origin, direction| near_far(&Ray { origin, direction }, &BOX, 0.05);
        assert_eq!(ray([-3.0, 0.0, 0.0], [1.0, 0.0, 0.0]), (2.0, 4.0));
        assert_eq!(ray([0.0, 0.0, 0.0], [0.0, 1.0, 0.0]), (0.05, 0.5), "from inside, not behind the camera");
        assert_eq!(ray([0.0, 0.0, 3.0], [0.0, 0.0, 1.0]), (0.05, -2.0), "a box behind has nothing to sample");
        assert_eq!(ray([-3.0, 2.0, 0.0], [1.0, 0.0, 0.0]), (f32::MAX, f32::MAX));
        assert_eq!(ray([-3.0, 0.0, 1.5], [1.0, 0.0, 0.0]), (f32::MAX, f32::MAX));
    }

    #[test]
    fn pixels_look_through_their_centres() {
        let intrinsics = Intrinsics { fx: 2.0, fy: 4.0, cx: 1.5, cy: 0.5 };
        let ray = camera_ray(&Pose::IDENTITY, &intrinsics, 1, 0);
        assert_eq!(ray, Ray { origin: [0.0; 3], direction: [0.0, 0.0, 1.0] });
        let down = camera_ray(&Pose::IDENTITY, &intrinsics, 1, 4).direction;
        assert!(down[0] == 0.0 && down[1] > 0.0 && (down[1] - down[2]).abs() < 1e-6, "{down:?}");
    }

    #[test]
    fn the_plane_runs_down_the_rows_first() {
        assert_eq!(plane_coordinates(5, 3, 0, 2), [1.0, -1.0]);
        assert_eq!(plane_coordinates(5, 3, 3, 1), [0.0, 0.5]);
    }
}
