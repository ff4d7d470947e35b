//! Talking-head radiance fields: checkpoints, avatars, the scalar reference and the CPU renderer.

pub mod avatar;
pub mod background;
pub mod body;
pub mod checkpoint;
mod clip;
pub mod conditioning;
pub mod cpu;
pub mod draft;
pub mod field;
pub mod model;
pub mod profile;
pub mod renderer;

pub use body::{Behind, Body};
pub use clip::Clip;
pub use cpu::{RenderError, SimdLevel};
pub use profile::Profile;
pub use renderer::{Probe, Renderer, Settings};
