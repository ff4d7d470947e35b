//! What a frame is conditioned on: everything that is computed once per clip or once per frame, before any
//! sample is placed.
//!
//! The reference in [`crate::field`] and every fast engine take these values as they are, so they differ
//! only in how they evaluate the field.
//!
//! Sources: Li et al. 2023, "Efficient Region-Aware Neural Radiance Fields for High-Fidelity Talking
//! Portrait Synthesis" (ER-NeRF), §3.3 to §3.5, and the options of its public inference program.

mod audio;
mod dot;
mod pose;
mod sequence;
mod torso;

pub use audio::{
    AUDIO_CODE_LEN, AudioCode, AudioCodes, ConditioningError, Ears, WIDE_CODE_LEN, audio_codes,
    neighbourhood, window_codes,
};
pub(crate) use dot::dot;
pub use pose::{dataset_pose, ngp_pose, smooth_path};
pub use sequence::{eye_from_au45, mirror, smooth_eye};
pub(crate) use torso::camera_point;
pub use torso::{torso_pose_code, torso_signal};
