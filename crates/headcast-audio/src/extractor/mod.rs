//! What upstream's avatars hear: DeepSpeech, wav2vec2 and `HuBERT`, from weights that the user brings.
//!
//! A [`Model`] is a folder of weights that was read; [`Model::listener`] hears one clip with it.

pub mod container;
pub mod deepspeech;
pub mod fingerprint;
mod kernel;
mod listener;
mod math;
pub mod matrix;
mod model;
pub mod wav2vec2;

pub use listener::{ListenError, Listener};
pub use model::{Architecture, Description, Model, ModelError};
