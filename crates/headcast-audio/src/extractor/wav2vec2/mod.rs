//! `Wav2Vec2ForCTC` and `HubertModel`, computed as `transformers` does.

mod config;
mod listen;
mod network;

pub use config::{Config, ConfigError, Convolution, Output, fold_weight_norm};
pub(super) use listen::{Ctc, Hubert};
pub use network::Network;
