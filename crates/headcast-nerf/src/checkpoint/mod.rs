//! Reads upstream checkpoints (PyTorch zip and legacy stream) and our own safetensors, without executing
//! anything in them.
//!
//! A PyTorch file is a pickle, which is a program, around raw little-endian arrays. [`Checkpoint`] interprets
//! the opcodes and the handful of names that checkpoints are made of; any other object in the file becomes an
//! inert placeholder that remembers its name. Every size that a file declares is compared with what the file
//! holds before memory is asked for, and only the tensors that are asked for are read.
//!
//! ```text
//! bytes ─ zip | legacy | safetensors ─► names, shapes ─► family ─► Network::from_checkpoint
//!                     (pickle.rs)                       (shapes checked, then values read)
//! ```

mod ad_nerf;
mod container;
mod dtype;
mod er_nerf;
mod error;
mod family;
mod legacy;
mod loader;
mod network;
mod objects;
mod pickle;
mod rad_nerf;
mod reader;
mod tensor;
mod zip;

pub use ad_nerf::AdPart;
pub use dtype::{DType, f16_bits, f16_to_f32};
pub use error::CheckpointError;
pub use family::Family;
pub use reader::{Checkpoint, TensorInfo};
pub use tensor::Tensor;
