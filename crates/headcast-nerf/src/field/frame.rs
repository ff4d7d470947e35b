//! A whole frame: every ray under one step budget.

use std::borrow::Cow;
use std::num::NonZero;

use headcast_core::{Intrinsics, Pose};

use crate::model::{ErNerf, Mlp, RadNerf, Scene};

use super::Precision;
use super::camera::{Ray, camera_ray, near_far, plane_coordinates};
use super::composite::{Composite, to_u8};
use super::grid_encode::GridLevel;
use super::head::{head_point, plane_levels};
use super::march::Marcher;
use super::occupancy::Occupancy;
use super::parallel;
use super::point::PointOutput;
use super::rad_head::{ambient_levels, ambient_point};
use super::torso::{TorsoOutput, rounded_pose_code, torso_mask, torso_point};

/// How many samples a ray may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// Upstream's: all rays advance in rounds until `max_steps`; the fewer are left, the more samples each may
    /// take in a round. What a ray gets depends on the whole picture.
    Frame,
    /// Each ray the same number, whatever becomes of the others.
    PerRay(u32),
}

/// One round of [`Budget::Frame`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Round {
    /// Rays that still advance.
    pub alive: usize,
    /// Samples that each may take.
    pub steps: u32,
}

impl Round {
    /// The round of a frame of `rays` rays when `alive` are left.
    ///
    /// # Panics
    /// If `alive` is 0.
    #[expect(clippy::cast_possible_truncation, reason = "at most 8")]
    pub fn new(rays: usize, alive: usize) -> Self {
        Self { alive, steps: (rays / alive).clamp(1, 8) as u32 }
    }
}

/// Everything that one frame depends on besides the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FieldRequest<'a> {
    /// `world_from_camera`, smoothed if the path is; the torso follows it too.
    pub pose: Pose,
    /// For the picture's size.
    pub intrinsics: Intrinsics,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Of [`audio_codes`](crate::conditioning::audio_codes): as many values as the model's audio net makes.
    pub audio_code: &'a [f32],
    /// 0 open, 1 closed; ignored by a model without eyes.
    pub eye: f32,
    /// `[height, width, 3]` in `[0, 1]`: what is behind the torso, or behind the head of a model without one.
    pub background: &'a [f32],
    /// Samples per ray.
    pub budget: Budget,
}

/// A rendered frame with its intermediate planes, each `[height, width]` or `[height, width, 3]` row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldFrame {
    /// The picture, in `[0, 1]`.
    pub rgb: Vec<f32>,
    /// Opacity of the head.
    pub weights: Vec<f32>,
    /// Depth as a fraction of the way through the box; NaN where the ray misses it.
    pub depth: Vec<f32>,
    /// Samples that each ray took.
    pub samples: Vec<u32>,
    /// What is behind the head: the request's background with the torso over it.
    pub background: Vec<f32>,
    /// The rounds of [`Budget::Frame`]; empty otherwise.
    pub schedule: Vec<Round>,
}

impl FieldFrame {
    /// The picture in 8 bits, truncated as upstream does.
    pub fn to_u8(&self) -> Vec<u8> {
        self.rgb.iter().copied().map(to_u8).collect()
    }
}

/// The reference renderer of one model.
#[derive(Debug, Clone)]
pub struct Reference<'a> {
    head: Head<'a>,
    precision: Precision,
    threads: NonZero<usize>,
}

/// A model with its lattices.
#[derive(Debug, Clone)]
enum Head<'a> {
    Er { model: Box<Cow<'a, ErNerf>>, levels: [Vec<GridLevel>; 3] },
    Rad { model: &'a RadNerf, levels: [Vec<GridLevel>; 2] },
}

impl<'a> Reference<'a> {
    /// In f32.
    pub fn new(model: impl Into<Scene<'a>>) -> Self {
        let head = match model.into() {
            Scene::Er(model) => {
                Head::Er { levels: plane_levels(model), model: Box::new(Cow::Borrowed(model)) }
            }
            Scene::Rad(model) => Head::Rad { levels: ambient_levels(model), model },
        };
        Self { head, precision: Precision::Single, threads: NonZero::<usize>::MIN }
    }

    /// In the given arithmetic.
    pub fn with_precision(model: &'a ErNerf, precision: Precision) -> Self {
        let levels = plane_levels(model);
        let mut model = Cow::Borrowed(model);
        if precision == Precision::Mixed {
            round_weights(model.to_mut(), precision);
        }
        Self { head: Head::Er { model: Box::new(model), levels }, precision, threads: NonZero::<usize>::MIN }
    }

    /// Works on a frame with several threads; its values stay the same.
    #[must_use]
    pub fn with_threads(self, threads: NonZero<usize>) -> Self {
        Self { threads, ..self }
    }

    fn scene(&self) -> Scene<'_> {
        match &self.head {
            Head::Er { model, .. } => Scene::Er(model),
            Head::Rad { model, .. } => Scene::Rad(model),
        }
    }

    /// The field at position `x` seen along unit direction `d`.
    pub fn point(&self, audio_code: &[f32], eye: f32, x: [f32; 3], d: [f32; 3]) -> PointOutput {
        match &self.head {
            Head::Er { model, levels } => head_point(model, levels, self.precision, audio_code, eye, x, d),
            Head::Rad { model, levels } => {
                ambient_point(model, levels, self.precision, audio_code, eye, x, d)
            }
        }
    }

    /// Places samples on rays.
    pub fn marcher(&self) -> Marcher<'_> {
        let scene = self.scene();
        let options = scene.options();
        let occupancy = Occupancy::new(scene.density_bitfield(), options.cascades, options.bound);
        Marcher::new(occupancy, options.dt_gamma, options.max_steps)
    }

    /// Where `ray` is inside the model's box; see [`near_far`].
    pub fn near_far(&self, ray: &Ray) -> (f32, f32) {
        near_far(ray, self.scene().aabb(), self.scene().options().min_near)
    }

    /// Whether the torso can be seen at plane position `q`; `false` in a model without one.
    pub fn torso_mask(&self, q: [f32; 2]) -> bool {
        self.scene().torso().is_some_and(|torso| torso_mask(torso, q))
    }

    /// What the torso knows of `pose`, in this renderer's arithmetic; see
    /// [`torso_pose_code`](crate::conditioning::torso_pose_code). `None` in a model without a torso.
    pub fn torso_pose_code(&self, pose: &Pose) -> Option<[f32; 6]> {
        self.scene().torso().map(|torso| rounded_pose_code(&torso.pose, pose, self.precision))
    }

    /// The torso at plane position `q`, whatever the mask says; `None` in a model without one.
    ///
    /// * `pose_code`: of [`Self::torso_pose_code`].
    pub fn torso_point(&self, pose_code: &[f32; 6], q: [f32; 2]) -> Option<TorsoOutput> {
        let scene = self.scene();
        let torso = scene.torso()?;
        Some(torso_point(torso, scene.options().torso_shrink, self.precision, pose_code, q))
    }

    /// Renders a frame.
    ///
    /// # Panics
    /// If the background does not fit the picture's size.
    pub fn render(&self, request: &FieldRequest<'_>) -> FieldFrame {
        let pixels = request.width as usize * request.height as usize;
        assert_eq!(request.background.len(), pixels * 3, "the background has the picture's size");
        let pose_code = self.torso_pose_code(&request.pose).unwrap_or_default();
        let mut rays = vec![RayState::default(); pixels];
        parallel::for_each(self.threads, &mut rays, |pixel, state| {
            let behind = request.background.as_chunks::<3>().0[pixel];
            #[expect(clippy::cast_possible_truncation, reason = "pictures have fewer than 2^32 pixels")]
            let pixel = pixel as u32;
            let (i, j) = (pixel % request.width, pixel / request.width);
            let ray = camera_ray(&request.pose, &request.intrinsics, i, j);
            let (t_near, t_far) = self.near_far(&ray);
            let q = plane_coordinates(request.width, request.height, i, j);
            let torso = self.torso_mask(q).then(|| self.torso_point(&pose_code, q)).flatten();
            let background = torso.map_or(behind, |torso| torso.over(behind));
            let sum = Composite::default();
            *state = RayState { ray, t: t_near, t_near, t_far, sum, samples: 0, alive: true, background };
        });
        let schedule = self.march_rays(request, &mut rays);
        FieldFrame {
            rgb: rays.iter().flat_map(|ray| ray.sum.over(ray.background)).collect(),
            weights: rays.iter().map(|ray| ray.sum.weight).collect(),
            depth: rays.iter().map(|ray| ray.sum.normalised_depth(ray.t_near, ray.t_far)).collect(),
            samples: rays.iter().map(|ray| ray.samples).collect(),
            background: rays.iter().flat_map(|ray| ray.background).collect(),
            schedule,
        }
    }

    /// Advances every ray as far as the budget lets it.
    fn march_rays(&self, request: &FieldRequest<'_>, rays: &mut [RayState]) -> Vec<Round> {
        let marcher = self.marcher();
        let mut schedule = Vec::new();
        match request.budget {
            Budget::PerRay(steps) => {
                parallel::for_each(self.threads, rays, |_, ray| self.advance(request, &marcher, ray, steps));
            }
            Budget::Frame => {
                let mut step = 0;
                while step < self.scene().options().max_steps {
                    let alive = rays.iter().filter(|ray| ray.alive).count();
                    if alive == 0 {
                        break;
                    }
                    let round = Round::new(rays.len(), alive);
                    schedule.push(round);
                    parallel::for_each(self.threads, rays, |_, ray| {
                        if ray.alive {
                            self.advance(request, &marcher, ray, round.steps);
                        }
                    });
                    step += round.steps;
                }
            }
        }
        schedule
    }

    /// Takes up to `steps` further samples; the ray ends when it runs out of them or becomes opaque.
    fn advance(&self, request: &FieldRequest<'_>, marcher: &Marcher<'_>, state: &mut RayState, steps: u32) {
        for _ in 0..steps {
            let Some(sample) = marcher.next_sample(&state.ray, &mut state.t, state.t_far) else {
                state.alive = false;
                return;
            };
            let point = self.point(request.audio_code, request.eye, sample.position, state.ray.direction);
            state.samples += 1;
            if !state.sum.add(&sample, point.sigma, point.rgb) {
                state.alive = false;
                return;
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct RayState {
    ray: Ray,
    t: f32,
    t_near: f32,
    t_far: f32,
    sum: Composite,
    samples: u32,
    alive: bool,
    background: [f32; 3],
}

impl Default for RayState {
    fn default() -> Self {
        let ray = Ray { origin: [0.0; 3], direction: [0.0; 3] };
        let sum = Composite::default();
        Self { ray, t: 0.0, t_near: 0.0, t_far: 0.0, sum, samples: 0, alive: true, background: [0.0; 3] }
    }
}

/// Rounds what never changes once, instead of at every query.
fn round_weights(model: &mut ErNerf, precision: Precision) {
    let round = |net: &mut Mlp| {
        let weights = net.layers.iter_mut().flat_map(|layer| &mut layer.data);
        weights.for_each(|weight| *weight = precision.round(*weight));
    };
    for net in
        [&mut model.audio_channel_attention, &mut model.eye_attention, &mut model.sigma, &mut model.color]
    {
        round(net);
    }
    if let Some(torso) = &mut model.torso {
        round(&mut torso.deform);
        round(&mut torso.net);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_lengthen_as_rays_end() {
        let steps = |alive| Round::new(4096, alive).steps;
        assert_eq!([4096, 2049, 2048, 1365, 512, 1].map(steps), [1, 1, 2, 3, 8, 8]);
    }
}
