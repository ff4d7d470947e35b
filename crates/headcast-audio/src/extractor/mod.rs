//! What upstream's avatars hear: DeepSpeech, wav2vec2 and `HuBERT`, from weights that the user brings.

pub mod deepspeech;
mod kernel;
pub mod matrix;
