//! Speech networks with random weights, as folders of Hugging Face's: of any size, so that none has to be kept.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use headcast::audio::extractor::container;
use headcast::audio::extractor::matrix::Precision;
use headcast::audio::extractor::wav2vec2::Config;

/// What is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sizes {
    /// `Wav2Vec2ForCTC` or `HubertModel`.
    pub(crate) architecture: &'static str,
    /// Letters; of no importance to `HubertModel`.
    pub(crate) vocab: usize,
    /// Channels of each of the seven convolutions.
    pub(crate) channels: usize,
    pub(crate) hidden: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    pub(crate) intermediate: usize,
    /// Taps and groups of the positional convolution.
    pub(crate) positions: [usize; 2],
    /// Layer norms, before blocks; otherwise a group norm, and norms after blocks.
    pub(crate) stable: bool,
}

impl Sizes {
    fn config(&self) -> String {
        let Self { architecture, vocab, channels, hidden, layers, heads, intermediate, stable, .. } = self;
        let [taps, groups] = self.positions;
        let norm = if *stable { "layer" } else { "group" };
        format!(
            r#"{{"architectures": ["{architecture}"], "vocab_size": {vocab}, "hidden_size": {hidden},
            "num_hidden_layers": {layers}, "num_attention_heads": {heads}, "intermediate_size": {intermediate},
            "conv_dim": {:?}, "conv_kernel": [10, 3, 3, 3, 3, 2, 2], "conv_stride": [5, 2, 2, 2, 2, 2, 2],
            "conv_bias": {stable}, "feat_extract_norm": "{norm}", "do_stable_layer_norm": {stable},
            "num_conv_pos_embeddings": {taps}, "num_conv_pos_embedding_groups": {groups}}}"#,
            [channels; 7]
        )
    }

    /// Writes the three files into `folder`, which exists. Equal seeds make equal files.
    pub(crate) fn write(&self, folder: &Path, seed: u32, precision: Precision) -> io::Result<()> {
        let config = self.config();
        let preprocessor = r#"{"sampling_rate": 16000, "do_normalize": true}"#;
        fs::write(folder.join("config.json"), &config)?;
        fs::write(folder.join("preprocessor_config.json"), preprocessor)?;
        let config = Config::from_hugging_face(config.as_bytes(), preprocessor.as_bytes());
        let config = config.map_err(io::Error::other)?;
        let prefix = if self.architecture == "HubertModel" { "" } else { "wav2vec2." };
        let mut tensors = Vec::new();
        for (name, shape) in config.tensors() {
            let prefix = if name.starts_with("lm_head.") { "" } else { prefix };
            match name.strip_suffix(".conv.weight").filter(|name| name.ends_with("pos_conv_embed")) {
                Some(name) => {
                    tensors.push((format!("{prefix}{name}.conv.weight_g"), vec![1, 1, shape[2]]));
                    tensors.push((format!("{prefix}{name}.conv.weight_v"), shape));
                }
                None => tensors.push((format!("{prefix}{name}"), shape)),
            }
        }
        let mut state = seed;
        let mut out = BufWriter::new(File::create(folder.join("model.safetensors"))?);
        container::write(&mut out, &tensors, precision, |name, shape| {
            Ok::<_, io::Error>(values(name, shape, &mut state))
        })?;
        out.flush()
    }
}

/// Weights that keep activations near one, whatever the sizes are.
#[expect(clippy::cast_precision_loss, reason = "24 random bits, and a scale")]
fn values(name: &str, shape: &[usize], state: &mut u32) -> Vec<f32> {
    let inputs = shape[1..].iter().product::<usize>();
    let (middle, scale) = match shape {
        [_] if name.ends_with("norm.weight") => (1.0, 0.3),
        [_] => (0.0, 0.1),
        [1, 1, _] => (2.0, 0.5),
        // Evenly between ± 1, values have a variance of a third.
        _ => (0.0, (3.0 / inputs as f32).sqrt()),
    };
    let mut next = || {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..shape.iter().product()).map(|_| middle + scale * next()).collect()
}
