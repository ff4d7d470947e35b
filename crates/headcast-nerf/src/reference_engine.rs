//! The scalar references as an engine, for networks that the CPU engine does not know.
//!
//! Exact, and hundreds of times slower than the engine.

use std::num::NonZero;

use headcast_core::{Intrinsics, Pose, RgbImage};

use crate::avatar::Avatar;
use crate::cpu::{FrameStats, RenderError};
use crate::field::{Budget, FieldRequest, Reference, to_u8};
use crate::model::Network;
use crate::profile::Profile;

/// How a frame is rendered by [`Reference`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReferenceEngine {
    pub(crate) profile: Profile,
    pub(crate) threads: NonZero<usize>,
}

/// Everything one frame depends on besides the avatar.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReferenceRequest<'a> {
    pub(crate) pose: Pose,
    pub(crate) intrinsics: Intrinsics,
    pub(crate) code: &'a [f32],
    pub(crate) eye: f32,
    /// `[height, width, 3]` in `[0, 1]`, without the torso.
    pub(crate) background: &'a [f32],
}

impl ReferenceEngine {
    /// It knows upstream's schedule and its own: profiles that are faster elsewhere are [`Profile::Quality`] here.
    pub(crate) fn new(profile: Profile, threads: NonZero<usize>) -> Self {
        let profile = match profile {
            Profile::Parity => Profile::Parity,
            Profile::Quality | Profile::Fast | Profile::Preview => Profile::Quality,
        };
        Self { profile, threads }
    }

    /// Renders a frame into `out`.
    ///
    /// # Errors
    /// [`RenderError::PictureSize`] when `out` is not of the avatar's size.
    pub(crate) fn render(
        &self,
        avatar: &Avatar,
        request: &ReferenceRequest<'_>,
        out: &mut RgbImage,
    ) -> Result<FrameStats, RenderError> {
        let (width, height) = (avatar.width, avatar.height);
        let found = (out.width(), out.height());
        if found != (width, height) {
            return Err(RenderError::PictureSize { width, height, found });
        }
        let (rgb, stats) = self.draw(&avatar.model, request, width, height);
        for (out, value) in out.data_mut().iter_mut().zip(&rgb) {
            *out = to_u8(*value);
        }
        Ok(stats)
    }

    /// Renders the view in a picture so small that it takes seconds, not minutes, and says which share of a frame's
    /// work that is.
    pub(crate) fn probe(&self, avatar: &Avatar, request: &ReferenceRequest<'_>) -> (FrameStats, f64) {
        let (full_width, full_height) = (f64::from(avatar.width), f64::from(avatar.height));
        let shrink = (SCENE_PROBE / (full_width * full_height)).sqrt().min(1.0);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a side of a picture")]
        let [width, height] = [full_width, full_height].map(|side| ((side * shrink) as u32).max(2));
        let (across, down) = (f64::from(width) / full_width, f64::from(height) / full_height);
        #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32")]
        let scaled = |value: f32, by: f64| (f64::from(value) * by) as f32;
        let Intrinsics { fx, fy, cx, cy } = request.intrinsics;
        let intrinsics = Intrinsics {
            fx: scaled(fx, across),
            fy: scaled(fy, down),
            cx: scaled(cx, across),
            cy: scaled(cy, down),
        };
        let background = vec![0.0; width as usize * height as usize * 3];
        let request = ReferenceRequest { intrinsics, background: &background, ..*request };
        let (_, stats) = self.draw(&avatar.model, &request, width, height);
        (stats, across * down)
    }

    fn draw(
        &self,
        model: &Network,
        request: &ReferenceRequest<'_>,
        width: u32,
        height: u32,
    ) -> (Vec<f32>, FrameStats) {
        let scene = model.as_scene().expect("AD-NeRF has an engine of its own");
        let budget = match self.profile {
            Profile::Parity => Budget::Frame,
            // As many as upstream's schedule ever gives.
            _ => Budget::PerRay(scene.options().max_steps + 7),
        };
        let frame = Reference::new(scene).with_threads(self.threads).render(&FieldRequest {
            pose: request.pose,
            intrinsics: request.intrinsics,
            width,
            height,
            audio_code: request.code,
            eye: request.eye,
            background: request.background,
            budget,
        });
        let samples = frame.samples.iter().copied().map(u64::from).sum();
        let rays = frame.samples.iter().filter(|samples| **samples > 0).count() as u64;
        (frame.rgb, FrameStats { samples, lanes: samples, rays })
    }
}

/// Pixels of a probe.
const SCENE_PROBE: f64 = 4096.0;
