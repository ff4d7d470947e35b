//! Cameras.

/// Pinhole camera in pixels. Pixel column `i`, row `j` looks along
/// `((i + 0.5 - cx) / fx, (j + 0.5 - cy) / fy, 1)` in the camera's frame.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Intrinsics {
    /// Horizontal focal length, pixels.
    pub fx: f32,
    /// Vertical focal length, pixels.
    pub fy: f32,
    /// Principal point, columns from the left edge.
    pub cx: f32,
    /// Principal point, rows from the top edge.
    pub cy: f32,
}

/// `world_from_camera` rigid transform of a renderer camera: x right, y down, z forward.
///
/// Row-major 4×4; the last row is `0 0 0 1`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pose(pub [[f32; 4]; 4]);

impl Pose {
    /// No rotation, no translation.
    pub const IDENTITY: Self =
        Self([[1.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]);

    /// Camera centre in world space.
    pub fn origin(&self) -> [f32; 3] {
        [self.0[0][3], self.0[1][3], self.0[2][3]]
    }
}
