//! Camera poses: conversion from dataset matrices, and the file they are kept in.
//!
//! `poses.safetensors` holds, for n frames: `pose` f32 `[n, 3, 4]`, `world_from_camera` in the renderer's
//! frame (converted, scale 4, offset 0, not smoothed); `eye` f32 `[n]` in `[0, 1]`; `img_id` i32 `[n]`, the
//! frame's number in the captured video, by which torso pictures are called.

use std::borrow::Cow;
use std::io::Cursor;

use headcast_core::Pose;
use safetensors::tensor::TensorView;

use super::error::AvatarError;
use crate::checkpoint::{Checkpoint, CheckpointError};

/// What `poses.safetensors` holds; all three of one length, at least 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Frames {
    pub(super) poses: Vec<Pose>,
    pub(super) eyes: Vec<f32>,
    pub(super) img_ids: Vec<u32>,
}

/// More frames than eleven hours of capture.
pub(super) const MAX_FRAMES: usize = 1_000_000;

/// Name inside the avatar.
pub(super) const FILE: &str = "poses.safetensors";

impl Frames {
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, AvatarError> {
        let n = self.poses.len();
        let pose: Vec<u8> =
            self.poses.iter().flat_map(|p| p.0[..3].as_flattened()).flat_map(|v| v.to_le_bytes()).collect();
        let eye: Vec<u8> = self.eyes.iter().flat_map(|v| v.to_le_bytes()).collect();
        let ids: Vec<u8> = self.img_ids.iter().flat_map(|v| v.to_le_bytes()).collect();
        let view = |dtype, shape, data| TensorView::new(dtype, shape, data);
        view(safetensors::Dtype::F32, vec![n, 3, 4], &pose)
            .and_then(|pose| {
                let tensors = [
                    ("pose", pose),
                    ("eye", view(safetensors::Dtype::F32, vec![n], &eye)?),
                    ("img_id", view(safetensors::Dtype::I32, vec![n], &ids)?),
                ];
                safetensors::serialize(tensors, None)
            })
            .map_err(|e| AvatarError::data(FILE, e.to_string()))
    }

    pub(super) fn from_bytes(bytes: Cow<'_, [u8]>) -> Result<Self, AvatarError> {
        let wrap = |source: CheckpointError| AvatarError::Checkpoint { file: FILE.to_owned(), source };
        let mut file = Checkpoint::open(Cursor::new(bytes)).map_err(wrap)?;
        let n = match file.shape("pose") {
            Some([n, 3, 4]) if (1..=MAX_FRAMES).contains(n) => *n,
            found => {
                let what =
                    format!("`pose` has shape {found:?}, expected [N, 3, 4] with N from 1 to {MAX_FRAMES}");
                return Err(AvatarError::data(FILE, what));
            }
        };
        for name in ["eye", "img_id"] {
            if file.shape(name) != Some(&[n]) {
                let what = format!("`{name}` has shape {:?}, expected [{n}]", file.shape(name));
                return Err(AvatarError::data(FILE, what));
            }
        }
        let pose = file.read("pose").and_then(|t| t.to_finite_f32()).map_err(wrap)?;
        let eyes = file.read("eye").and_then(|t| t.to_finite_f32()).map_err(wrap)?;
        let ids = file.read("img_id").and_then(|t| t.to_i64()).map_err(wrap)?;
        let rows = pose.as_chunks::<4>().0.as_chunks::<3>().0;
        let poses: Vec<Pose> =
            rows.iter().map(|[a, b, c]| Pose([*a, *b, *c, [0.0, 0.0, 0.0, 1.0]])).collect();
        if let Some(bad) = poses.iter().position(|pose| !is_rigid(pose)) {
            return Err(AvatarError::data(FILE, format!("pose {bad} is no rotation with a translation")));
        }
        if eyes.iter().any(|v| !(0.0..=1.0).contains(v)) {
            return Err(AvatarError::data(FILE, "an eye value is outside 0 to 1"));
        }
        let img_ids: Vec<u32> = ids.iter().filter_map(|id| u32::try_from(*id).ok()).collect();
        if img_ids.len() != n {
            return Err(AvatarError::data(FILE, "a frame number is negative"));
        }
        Ok(Self { poses, eyes, img_ids })
    }
}

/// Whether the upper 3×3 is close to a rotation; trackers write about six exact digits.
pub(super) fn is_rigid(pose: &Pose) -> bool {
    let r = &pose.0;
    let dot = |a: usize, b: usize| (0..3).map(|k| r[a][k] * r[b][k]).sum::<f32>();
    let near = |value: f32, target: f32| (value - target).abs() < 0.02;
    let det = (0..3)
        .map(|k| r[0][k] * (r[1][(k + 1) % 3] * r[2][(k + 2) % 3] - r[1][(k + 2) % 3] * r[2][(k + 1) % 3]))
        .sum::<f32>();
    (0..3).all(|a| near(dot(a, a), 1.0) && near(dot(a, (a + 1) % 3), 0.0) && r[a][3].is_finite())
        && near(det, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_survives_the_round_trip_and_is_checked() {
        let mut pose = Pose::IDENTITY;
        pose.0[1][3] = 2.8;
        assert!(is_rigid(&pose));
        let frames = Frames { poses: vec![pose; 3], eyes: vec![0.0, 0.5, 1.0], img_ids: vec![4, 5, 6] };
        let bytes = frames.to_bytes().unwrap();
        assert_eq!(Frames::from_bytes(bytes.into()).unwrap(), frames);
        for broken in [
            Frames { eyes: vec![0.0, 1.5, 1.0], ..frames.clone() },
            Frames { eyes: vec![0.0, f32::NAN, 1.0], ..frames.clone() },
            Frames { poses: vec![Pose([[2.0; 4]; 4]); 3], ..frames },
        ] {
            assert!(Frames::from_bytes(broken.to_bytes().unwrap().into()).is_err());
        }
    }
}
