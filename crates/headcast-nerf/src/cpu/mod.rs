//! The CPU renderer: the same pictures as [`crate::field`], a few thousand times sooner.
//!
//! A frame is cut into tiles of 32×32 pixels. For each tile `march` finds the samples of its rays, and
//! `shade` evaluates the field at 32 samples of 32 rays at a time. Kernels are generic over the instruction
//! set (`simd`); `field` and the heads multiply together what an avatar and a frame determine.
//!
//! | module | stage |
//! |---|---|
//! | `occupancy`, `march` | pixels → rays → distances of their samples |
//! | `field` | what networks have in common, and the seam to their heads |
//! | `head`, `grid_encode` | ER-NeRF: position → features → inputs of sigma |
//! | `rad_head`, `tiled_encode` | RAD-NeRF: position → features → point of the ambient plane → inputs of sigma |
//! | `evaluate`, `shade` | inputs of sigma, direction → density, colour → what a ray collects |
//! | `packet`, `dense16`, `integer` | linear layers in `f32` and in 16-bit integers; from one to the other |
//! | `torso` | pixel, pose → what is behind the head |
//! | `picture` | collected light, backdrop → 8 bits; upstream's step schedule |
//! | `nodes` | light of a quarter of the pixels → of those between, and which of them to trace |
//! | `engine`, `cores` | a frame on all cores, or two that share them |
//! | [`ad_nerf`] | the same for AD-NeRF, which has no grid |
//! | [`probe`] | each stage by itself, for tests and benches |
//! | [`measure`] | how long frames and stages take, on the caller's clocks |

pub mod ad_nerf;
mod cores;
mod dense16;
mod engine;
mod error;
mod evaluate;
mod field;
mod grid_encode;
mod head;
mod integer;
mod march;
pub mod measure;
mod nodes;
mod occupancy;
mod packet;
mod picture;
pub mod probe;
mod rad_head;
mod shade;
mod simd;
mod tiled_encode;
mod torso;

pub use ad_nerf::{AdEngine, AdFrameRequest, AdView};
pub use engine::{Config, Engine, FrameRequest};
pub use error::RenderError;
pub use picture::FrameStats;
pub use simd::SimdLevel;
