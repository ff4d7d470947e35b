//! A whole frame: every ray under one step budget.

use std::borrow::Cow;

use headcast_core::{Intrinsics, Pose};

use crate::conditioning::AudioCode;
use crate::model::{ErNerf, Mlp};

use super::Precision;
use super::camera::{Ray, camera_ray, near_far, plane_coordinates};
use super::composite::{Composite, to_u8};
use super::grid_encode::GridLevel;
use super::head::{PointOutput, head_point, plane_levels};
use super::march::Marcher;
use super::occupancy::Occupancy;
use super::torso::{TorsoOutput, projected_anchors, torso_mask, torso_point};

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
    /// Of [`audio_codes`](crate::conditioning::audio_codes).
    pub audio_code: AudioCode,
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
    model: Cow<'a, ErNerf>,
    plane_levels: [Vec<GridLevel>; 3],
    precision: Precision,
}

impl<'a> Reference<'a> {
    /// In f32.
    pub fn new(model: &'a ErNerf) -> Self {
        Self::with_precision(model, Precision::Single)
    }

    /// In the given arithmetic.
    pub fn with_precision(model: &'a ErNerf, precision: Precision) -> Self {
        let plane_levels = plane_levels(model);
        let mut model = Cow::Borrowed(model);
        if precision == Precision::Mixed {
            round_weights(model.to_mut(), precision);
        }
        Self { model, plane_levels, precision }
    }

    /// The field at position `x` seen along unit direction `d`.
    pub fn point(&self, audio_code: &AudioCode, eye: f32, x: [f32; 3], d: [f32; 3]) -> PointOutput {
        head_point(&self.model, &self.plane_levels, self.precision, audio_code, eye, x, d)
    }

    /// Places samples on rays.
    pub fn marcher(&self) -> Marcher<'_> {
        let options = &self.model.options;
        let occupancy = Occupancy::new(&self.model.density_bitfield, options.cascades, options.bound);
        Marcher::new(occupancy, options.dt_gamma, options.max_steps)
    }

    /// Where `ray` is inside the model's box; see [`near_far`].
    pub fn near_far(&self, ray: &Ray) -> (f32, f32) {
        near_far(ray, &self.model.aabb, self.model.options.min_near)
    }

    /// Whether the torso can be seen at plane position `q`; `false` in a model without one.
    pub fn torso_mask(&self, q: [f32; 2]) -> bool {
        self.model.torso.as_ref().is_some_and(|torso| torso_mask(torso, q))
    }

    /// The torso's anchors under `pose`, in this renderer's arithmetic; see
    /// [`torso_anchors`](crate::conditioning::torso_anchors). `None` in a model without a torso.
    pub fn torso_anchors(&self, pose: &Pose) -> Option<[f32; 6]> {
        self.model.torso.as_ref().map(|torso| projected_anchors(torso, pose, self.precision))
    }

    /// The torso at plane position `q`, whatever the mask says; `None` in a model without one.
    ///
    /// * `anchors`: of [`Self::torso_anchors`].
    pub fn torso_point(&self, anchors: &[f32; 6], q: [f32; 2]) -> Option<TorsoOutput> {
        let torso = self.model.torso.as_ref()?;
        Some(torso_point(torso, self.model.options.torso_shrink, self.precision, anchors, q))
    }

    /// Renders a frame.
    ///
    /// # Panics
    /// If the background does not fit the picture's size.
    pub fn render(&self, request: &FieldRequest<'_>) -> FieldFrame {
        let pixels = request.width as usize * request.height as usize;
        assert_eq!(request.background.len(), pixels * 3, "the background has the picture's size");
        let anchors = self.torso_anchors(&request.pose).unwrap_or_default();
        let mut rays = Vec::with_capacity(pixels);
        let mut background = Vec::with_capacity(pixels * 3);
        for j in 0..request.height {
            for i in 0..request.width {
                let ray = camera_ray(&request.pose, &request.intrinsics, i, j);
                let (t_near, t_far) = self.near_far(&ray);
                rays.push(RayState { ray, t: t_near, t_near, t_far, sum: Composite::default() });
                let behind =
                    request.background[background.len()..].first_chunk().copied().unwrap_or_default();
                let q = plane_coordinates(request.width, request.height, i, j);
                let torso = self.torso_mask(q).then(|| self.torso_point(&anchors, q)).flatten();
                background.extend(torso.map_or(behind, |torso| torso.over(behind)));
            }
        }
        let schedule = self.march_rays(request, &mut rays);
        let mut rgb = Vec::with_capacity(pixels * 3);
        for (ray, background) in rays.iter().zip(background.as_chunks::<3>().0) {
            rgb.extend(ray.sum.over(*background));
        }
        FieldFrame {
            rgb,
            weights: rays.iter().map(|ray| ray.sum.weight).collect(),
            depth: rays.iter().map(|ray| ray.sum.normalised_depth(ray.t_near, ray.t_far)).collect(),
            background,
            schedule,
        }
    }

    /// Advances every ray as far as the budget lets it.
    fn march_rays(&self, request: &FieldRequest<'_>, rays: &mut [RayState]) -> Vec<Round> {
        let marcher = self.marcher();
        let mut schedule = Vec::new();
        match request.budget {
            Budget::PerRay(steps) => {
                for ray in rays {
                    self.advance(request, &marcher, ray, steps);
                }
            }
            Budget::Frame => {
                let mut alive: Vec<usize> = (0..rays.len()).collect();
                let mut step = 0;
                while step < self.model.options.max_steps && !alive.is_empty() {
                    let round = Round::new(rays.len(), alive.len());
                    schedule.push(round);
                    alive.retain(|ray| self.advance(request, &marcher, &mut rays[*ray], round.steps));
                    step += round.steps;
                }
            }
        }
        schedule
    }

    /// Takes up to `steps` further samples; `false` when the ray ran out of them or became opaque.
    fn advance(
        &self,
        request: &FieldRequest<'_>,
        marcher: &Marcher<'_>,
        state: &mut RayState,
        steps: u32,
    ) -> bool {
        for _ in 0..steps {
            let Some(sample) = marcher.next_sample(&state.ray, &mut state.t, state.t_far) else {
                return false;
            };
            let point = self.point(&request.audio_code, request.eye, sample.position, state.ray.direction);
            if !state.sum.add(&sample, point.sigma, point.rgb) {
                return false;
            }
        }
        true
    }
}

struct RayState {
    ray: Ray,
    t: f32,
    t_near: f32,
    t_far: f32,
    sum: Composite,
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
