//! The scalar f32 reference renderer, written to be read beside the papers.
//!
//! It answers to the fixtures in `fixtures/nerf`; the engines that products use answer to it. One kernel per
//! file; a fast counterpart has the same stem in [`crate::cpu`]. Nothing here is quick.
//!
//! A frame is: torso over background ([`torso_point`]), a ray per pixel ([`camera_ray`], [`near_far`]), samples
//! in occupied space ([`Marcher`]), the field at each ([`head_point`], [`ambient_point`]), and their sum ([`Composite`]), with the
//! number of samples decided for the whole frame at once ([`Budget`]).
//!
//! AD-NeRF is older and shares none of that: see [`AdReference`].

mod ad_frame;
mod camera;
mod composite;
mod depth_samples;
mod direction_encode;
mod face_net;
mod frame;
mod frequency_encode;
mod grid_encode;
mod head;
mod march;
mod mlp;
mod occupancy;
mod parallel;
mod point;
mod precision;
mod rad_head;
mod torso;

pub use ad_frame::{AdFrame, AdReference, AdRequest, TwoPasses, dataset_ray};
pub use camera::{Ray, camera_ray, near_far, plane_coordinates};
pub use composite::{Composite, to_u8};
pub use depth_samples::{RayLight, coarse_depths, fine_depths, sum_samples};
pub use direction_encode::direction_encode;
pub use face_net::face_point;
pub use frame::{Budget, FieldFrame, FieldRequest, Reference, Round};
pub use frequency_encode::{frequency_encode, octave_encode};
pub use grid_encode::{GridKind, GridLevel, grid_encode, grid_index, grid_levels};
pub use head::{head_point, plane_levels};
pub use march::{Marcher, Sample};
pub use mlp::{mlp, sigmoid, stretched_sigmoid};
pub use occupancy::{OCCUPANCY_GRID, Occupancy, OccupancyCell, morton};
pub use point::{PointConditioning, PointOutput};
pub use precision::Precision;
pub use rad_head::{ambient_levels, ambient_point};
pub use torso::{TorsoOutput, torso_mask, torso_point};
