//! A whole frame of AD-NeRF: the head seen by the frame's camera, the torso by one that stands still, and the torso
//! in front of the head.

use std::num::NonZero;

use headcast_core::Intrinsics;

use crate::conditioning::torso_signal;
use crate::model::{AdField, AdNerf, FaceNet};

use super::depth_samples::{RayLight, coarse_depths, fine_depths, sum_samples};
use super::face_net::face_point;
use super::parallel;

/// Everything that one frame depends on besides the model.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdRequest<'a> {
    /// The camera as the dataset has it: x right, y up, looking along -z; upper three rows.
    pub pose: [[f32; 4]; 3],
    /// For the picture's size.
    pub intrinsics: Intrinsics,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Of [`audio_codes`](crate::conditioning::audio_codes).
    pub audio_code: &'a [f32],
    /// `[height, width, 3]` in `[0, 1]`.
    pub background: &'a [f32],
}

/// A rendered frame; all planes are `[height, width]`, row-major.
#[derive(Debug, Clone, PartialEq)]
pub struct AdFrame {
    /// The picture: `[height, width, 3]`, a little beyond `[0, 1]` at most.
    pub rgb: Vec<f32>,
    /// What the head's rays collected.
    pub head: Vec<RayLight>,
    /// What the torso's rays collected; empty without one.
    pub torso: Vec<RayLight>,
}

/// The two passes of one ray.
#[derive(Debug, Clone, PartialEq)]
pub struct TwoPasses {
    /// Depths of the coarse pass.
    pub coarse: Vec<f32>,
    /// Their weights.
    pub weights: Vec<f32>,
    /// Depths of the fine pass, sorted: the coarse ones and those placed by their weights.
    pub fine: Vec<f32>,
    /// What the fine pass collected.
    pub light: RayLight,
}

/// The reference renderer of one AD-NeRF, in f32.
#[derive(Debug, Clone, Copy)]
pub struct AdReference<'a> {
    model: &'a AdNerf,
    threads: NonZero<usize>,
}

impl<'a> AdReference<'a> {
    /// On one thread.
    pub fn new(model: &'a AdNerf) -> Self {
        Self { model, threads: NonZero::<usize>::MIN }
    }

    /// Works on a frame with several threads; its values stay the same.
    #[must_use]
    pub fn with_threads(self, threads: NonZero<usize>) -> Self {
        Self { threads, ..self }
    }

    /// Renders a frame.
    ///
    /// # Panics
    /// If the background does not fit the picture's size.
    pub fn render(&self, request: &AdRequest<'_>) -> AdFrame {
        let pixels = request.width as usize * request.height as usize;
        assert_eq!(request.background.len(), pixels * 3, "the background has the picture's size");
        let head = self.collect(&self.model.head, &request.pose, request.audio_code, request);
        let torso = self.model.torso.as_ref().map_or_else(Vec::new, |torso| {
            let signal = torso_signal(&request.audio_code[..torso.code()], &request.pose);
            self.collect(&torso.field, &torso.pose, &signal, request)
        });
        let mut rgb = Vec::with_capacity(request.background.len());
        for (pixel, head) in head.iter().enumerate() {
            match torso.get(pixel) {
                Some(torso) => rgb.extend((0..3).map(|c| head.full[c] * torso.last + torso.front[c])),
                None => rgb.extend(head.full),
            }
        }
        AdFrame { rgb, head, torso }
    }

    /// What every pixel's ray collects of one field.
    fn collect(
        &self,
        field: &AdField,
        pose: &[[f32; 4]; 3],
        signal: &[f32],
        request: &AdRequest<'_>,
    ) -> Vec<RayLight> {
        let background = request.background.as_chunks::<3>().0;
        let mut out = vec![RayLight::default(); background.len()];
        parallel::for_each(self.threads, &mut out, |pixel, light| {
            let behind = background[pixel];
            #[expect(clippy::cast_possible_truncation, reason = "pictures have fewer than 2^32 pixels")]
            let (i, j) = (pixel as u32 % request.width, pixel as u32 / request.width);
            let (origin, direction) = dataset_ray(pose, &request.intrinsics, i, j);
            *light = self.two_passes(field, signal, origin, direction, behind).light;
        });
        out
    }

    /// The coarse and the fine pass along one ray, whose direction need not have length 1.
    pub fn two_passes(
        &self,
        field: &AdField,
        signal: &[f32],
        origin: [f32; 3],
        direction: [f32; 3],
        background: [f32; 3],
    ) -> TwoPasses {
        let options = &self.model.options;
        let length = direction.iter().map(|d| d * d).sum::<f32>().sqrt();
        let view = direction.map(|d| d / length);
        let pass = |net: &FaceNet, depths: &[f32]| {
            let at = |z: &f32| std::array::from_fn(|axis| origin[axis] + direction[axis] * z);
            let samples: Vec<_> = depths.iter().map(|z| face_point(net, signal, at(z), view)).collect();
            sum_samples(depths, &samples, length, background)
        };
        let coarse = coarse_depths(options.near, options.far, options.samples);
        let (light, weights) = pass(&field.coarse, &coarse);
        if options.importance == 0 {
            return TwoPasses { fine: coarse.clone(), coarse, weights, light };
        }
        let mut fine = fine_depths(&coarse, &weights, options.importance);
        fine.extend(&coarse);
        fine.sort_by(f32::total_cmp);
        let (light, _) = pass(&field.fine, &fine);
        TwoPasses { coarse, weights, fine, light }
    }
}

/// Origin and direction of the ray through pixel (`i`, `j`): through its corner, not its centre, and one unit deep
/// along the camera's axis.
#[expect(clippy::cast_precision_loss, reason = "pixel numbers are far below 2^24")]
pub fn dataset_ray(pose: &[[f32; 4]; 3], intrinsics: &Intrinsics, i: u32, j: u32) -> ([f32; 3], [f32; 3]) {
    let Intrinsics { fx, fy, cx, cy } = *intrinsics;
    let c = [(i as f32 - cx) / fx, -(j as f32 - cy) / fy, -1.0];
    (pose.map(|row| row[3]), pose.map(|row| c[0] * row[0] + c[1] * row[1] + c[2] * row[2]))
}
