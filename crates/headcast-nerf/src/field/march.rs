//! Sample placement along one ray.

use super::camera::Ray;
use super::occupancy::{OCCUPANCY_GRID, Occupancy};

/// One sample of a ray.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Position in world space: the start of its step.
    pub position: [f32; 3],
    /// Length of its step.
    pub dt: f32,
    /// Distance at the end of its step; what its depth is counted as.
    pub t_end: f32,
}

/// Marches rays through occupied space (Müller et al. 2022, appendix E.1).
#[derive(Debug, Clone, Copy)]
pub struct Marcher<'a> {
    occupancy: Occupancy<'a>,
    dt_gamma: f32,
    dt_min: f32,
    dt_max: f32,
}

impl<'a> Marcher<'a> {
    /// * `dt_gamma`: step length over distance; it matters only where it exceeds the shortest step, which for
    ///   `max_steps` up to 128 with one cascade is also the longest.
    /// * `max_steps`: steps across the scene's diagonal that set the shortest step.
    #[expect(clippy::cast_precision_loss, reason = "small integers")]
    pub fn new(occupancy: Occupancy<'a>, dt_gamma: f32, max_steps: u32) -> Self {
        /// 2 √3 rounded to f32.
        const DIAGONAL: f32 = 2.0 * 1.732_050_8;
        let coarsest = (1u64 << (occupancy.cascades() - 1)) as f32;
        let dt_max = DIAGONAL * coarsest / OCCUPANCY_GRID as f32;
        let dt_min = dt_max.min(DIAGONAL / max_steps as f32);
        Self { occupancy, dt_gamma, dt_min, dt_max }
    }

    /// Shortest and longest step.
    pub fn dt_limits(&self) -> (f32, f32) {
        (self.dt_min, self.dt_max)
    }

    /// Step length at distance `t`.
    pub fn dt(&self, t: f32) -> f32 {
        self.dt_max.min(self.dt_min.max(t * self.dt_gamma))
    }

    /// The next sample at or after `*t` and before `t_far`, with `*t` moved to its end; `None` when there
    /// is no further one.
    ///
    /// Samples do not depend on how a ray is split into calls.
    pub fn next_sample(&self, ray: &Ray, t: &mut f32, t_far: f32) -> Option<Sample> {
        let bound = self.occupancy.bound();
        while *t < t_far {
            let position: [f32; 3] = std::array::from_fn(|axis| {
                (ray.origin[axis] + *t * ray.direction[axis]).clamp(-bound, bound)
            });
            let dt = self.dt(*t);
            let cell = self.occupancy.cell(position, dt);
            if cell.occupied {
                *t += dt;
                return Some(Sample { position, dt, t_end: *t });
            }
            let target = *t + distance_to_exit(ray, position, cell.n, cell.half_side);
            loop {
                let next = *t + self.dt(*t);
                if next <= *t {
                    // So far away that a step is below the resolution of f32: nothing can be sampled.
                    return None;
                }
                *t = next;
                if *t >= target {
                    break;
                }
            }
        }
        None
    }
}

/// Distance along the ray from `position` to where it leaves its cell, at least 0.
#[expect(clippy::cast_precision_loss, reason = "cell numbers are below 128")]
fn distance_to_exit(ray: &Ray, position: [f32; 3], n: [u32; 3], half_side: f32) -> f32 {
    let size = OCCUPANCY_GRID as f32;
    let along = |axis: usize| {
        let d = ray.direction[axis];
        let edge = (n[axis] as f32 + 0.5 + 0.5 * 1f32.copysign(d)) / size * 2.0 - 1.0;
        (edge * half_side - position[axis]) * (1.0 / d)
    };
    // `min` and `max` ignore a NaN, which is what an axis yields that the ray does not move along.
    along(0).min(along(1).min(along(2))).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::occupancy::morton;

    /// One cascade with the cells `x` of the row `y = z = 64` set.
    fn row(cells: &[u32]) -> Vec<u8> {
        let mut bits = vec![0; 128 * 128 * 128 / 8];
        for x in cells {
            let index = morton([*x, 64, 64]) as usize;
            bits[index / 8] |= 1 << (index % 8);
        }
        bits
    }

    const RAY: Ray = Ray { origin: [-3.0, 0.001, 0.001], direction: [1.0, 0.0, 0.0] };

    #[test]
    fn samples_lie_on_the_lattice_of_the_step() {
        let bits = row(&[40, 41, 42, 100]);
        let marcher = Marcher::new(Occupancy::new(&bits, 1, 1.0), 1.0 / 256.0, 16);
        assert_eq!(marcher.dt_limits(), (0.027_063_294, 0.027_063_294));
        let mut t = 2.0;
        let mut samples = Vec::new();
        while let Some(sample) = marcher.next_sample(&RAY, &mut t, 4.0) {
            assert_eq!(sample.t_end, t);
            samples.push(sample);
        }
        assert!(!samples.is_empty());
        for sample in &samples {
            let steps = (sample.t_end - 2.0) / sample.dt;
            assert!((steps - steps.round()).abs() < 1e-3, "{steps}");
            let cell = (sample.position[0] + 1.0) * 64.0;
            assert!((40.0..43.0).contains(&cell) || (100.0..101.0).contains(&cell), "{cell}");
        }
    }

    #[test]
    fn steps_grow_only_with_many_steps() {
        let bits = row(&[]);
        let marcher = |max_steps| Marcher::new(Occupancy::new(&bits, 1, 1.0), 1.0 / 256.0, max_steps);
        assert_eq!(marcher(128).dt(0.0), marcher(16).dt(100.0));
        assert_eq!(marcher(512).dt(3.0), 3.0 / 256.0);
        assert_eq!(marcher(512).dt(100.0), marcher(512).dt_limits().1);
    }

    #[test]
    fn hopeless_rays_end() {
        let bits = row(&[]);
        let marcher = Marcher::new(Occupancy::new(&bits, 1, 1.0), 1.0 / 256.0, 16);
        for (t, far) in [(1e9, 2e9), (f32::MAX, f32::MAX), (0.0, f32::NAN), (f32::NAN, 1.0)] {
            assert_eq!(marcher.next_sample(&RAY, &mut { t }, far), None, "{t} {far}");
        }
    }
}
