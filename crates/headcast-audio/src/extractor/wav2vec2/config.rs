//! The sizes of a network, from Hugging Face's `config.json` and `preprocessor_config.json`.

use serde_json::{Value, json};

use super::super::container::TensorShape;

/// Samples from one row to the next, and samples that a row hears by itself.
pub(super) const HOP: usize = 320;
pub(super) const FIELD: usize = 400;

/// What the network gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Letter scores before softmax (`Wav2Vec2ForCTC`), this many.
    Logits(usize),
    /// The last layer's values (`HubertModel`), as many as the network is wide.
    Hidden,
}

/// One convolution of the first stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Convolution {
    /// Channels out.
    pub channels: usize,
    /// Taps.
    pub kernel: usize,
    /// Step.
    pub stride: usize,
}

/// Everything about a network but its weights.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Config {
    /// What it gives.
    pub output: Output,
    /// First stage.
    pub convolutions: Vec<Convolution>,
    /// Whether the convolutions have biases.
    pub conv_bias: bool,
    /// `feat_extract_norm` is `layer`: every convolution is normalised over its channels. Otherwise `group`: the first
    /// one over time.
    pub conv_layer_norm: bool,
    /// Whether there is a layer norm before the projection.
    pub projection_norm: bool,
    /// Width of the network.
    pub hidden: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads.
    pub heads: usize,
    /// Width between the two matrices of a feed-forward block.
    pub intermediate: usize,
    /// Taps of the positional convolution.
    pub position_kernel: usize,
    /// Its groups.
    pub position_groups: usize,
    /// `do_stable_layer_norm`: normalise before each block instead of after.
    pub stable: bool,
    /// Added to variances.
    pub eps: f32,
    /// Whether sound is brought to mean 0 and variance 1.
    pub normalize: bool,
}

/// Why a model's description cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ConfigError {
    /// Copy the file again.
    #[error("{file} is not JSON: {reason}; download it again")]
    Json {
        /// Its name.
        file: &'static str,
        /// What the parser says.
        reason: String,
    },
    /// Use one of the models that are named.
    #[error(
        "config.json is of {found}; wanted is Wav2Vec2ForCTC (such as cpierse/wav2vec2-large-xlsr-53-esperanto) or \
         HubertModel (facebook/hubert-large-ls960-ft, whose file says HubertForCTC)"
    )]
    Architecture {
        /// `architectures` and `model_type` of the file.
        found: String,
    },
    /// The model differs from those that this code computes.
    #[error("{file} says {key} = {found}, wanted is {wanted}; this model cannot be computed")]
    Value {
        /// Name of the file.
        file: &'static str,
        /// Key in it.
        key: &'static str,
        /// What it says.
        found: String,
        /// What would do.
        wanted: String,
    },
}

const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";

fn wrong(key: &'static str, found: &Value, wanted: impl Into<String>) -> ConfigError {
    ConfigError::Value { file: CONFIG, key, found: found.to_string(), wanted: wanted.into() }
}

/// A size that must be there.
fn size(config: &Value, key: &'static str, max: usize) -> Result<usize, ConfigError> {
    let value = &config[key];
    usize::try_from(value.as_u64().unwrap_or(0))
        .ok()
        .filter(|size| (1..=max).contains(size))
        .ok_or_else(|| wrong(key, value, format!("a number from 1 to {max}")))
}

fn sizes(config: &Value, key: &'static str, max: usize) -> Result<Vec<usize>, ConfigError> {
    let value = &config[key];
    let list: Option<Vec<usize>> = value.as_array().and_then(|list| {
        let size = |v: &Value| usize::try_from(v.as_u64()?).ok().filter(|size| (1..=max).contains(size));
        (list.len() <= 16).then(|| list.iter().map(size).collect())?
    });
    list.ok_or_else(|| wrong(key, value, format!("at most 16 numbers from 1 to {max}")))
}

fn flag(config: &Value, key: &'static str, default: bool) -> Result<bool, ConfigError> {
    match &config[key] {
        Value::Null => Ok(default),
        value => value.as_bool().ok_or_else(|| wrong(key, value, "true or false")),
    }
}

impl Config {
    /// From the two files of a model's folder.
    ///
    /// # Errors
    /// [`ConfigError`]: no JSON, another architecture, or something that is not computed here.
    pub fn from_hugging_face(config: &[u8], preprocessor: &[u8]) -> Result<Self, ConfigError> {
        let parse = |file, bytes| -> Result<Value, ConfigError> {
            serde_json::from_slice(bytes).map_err(|e| ConfigError::Json { file, reason: e.to_string() })
        };
        let config = parse(CONFIG, config)?;
        let preprocessor = parse(PREPROCESSOR, preprocessor)?;
        let hubert = match (config["architectures"][0].as_str(), config["model_type"].as_str()) {
            (Some("Wav2Vec2ForCTC"), _) => false,
            // Only the part below the letters is read.
            (Some("HubertModel" | "HubertForCTC"), _) | (None, Some("hubert")) => true,
            (architecture, kind) => {
                let found = match (architecture, kind) {
                    (Some(architecture), Some(kind)) => format!("{architecture} ({kind})"),
                    (Some(name), None) | (None, Some(name)) => name.to_owned(),
                    (None, None) => "no architecture at all".to_owned(),
                };
                return Err(ConfigError::Architecture { found });
            }
        };
        for key in ["hidden_act", "feat_extract_activation"] {
            if !matches!(config[key].as_str(), Some("gelu") | None) {
                return Err(wrong(key, &config[key], "\"gelu\""));
            }
        }
        for key in ["add_adapter", "conv_pos_batch_norm"] {
            if config[key].as_bool() == Some(true) {
                return Err(wrong(key, &config[key], "false"));
            }
        }
        if !config["adapter_attn_dim"].is_null() {
            return Err(wrong("adapter_attn_dim", &config["adapter_attn_dim"], "null"));
        }
        let refuse = |key, found: &Value, wanted: &str| {
            Err(ConfigError::Value {
                file: PREPROCESSOR,
                key,
                found: found.to_string(),
                wanted: wanted.into(),
            })
        };
        match &preprocessor["sampling_rate"] {
            rate if rate.as_u64() == Some(16_000) => {}
            rate => return refuse("sampling_rate", rate, "16000"),
        }
        let normalize = match &preprocessor["do_normalize"] {
            Value::Null => true,
            Value::Bool(normalize) => *normalize,
            other => return refuse("do_normalize", other, "true or false"),
        };
        let channels = sizes(&config, "conv_dim", 4096)?;
        let kernels = sizes(&config, "conv_kernel", 64)?;
        let strides = sizes(&config, "conv_stride", 64)?;
        let sizes_agree = channels.len() == kernels.len() && kernels.len() == strides.len();
        let convolutions: Vec<Convolution> = channels
            .iter()
            .zip(&kernels)
            .zip(&strides)
            .map(|((&channels, &kernel), &stride)| Convolution { channels, kernel, stride })
            .collect();
        let (mut hop, mut field) = (1usize, 1usize);
        for layer in &convolutions {
            field = field.saturating_add((layer.kernel - 1).saturating_mul(hop));
            hop = hop.saturating_mul(layer.stride);
        }
        if !sizes_agree || (hop, field) != (HOP, FIELD) {
            let found = json!([config["conv_kernel"], config["conv_stride"]]);
            return Err(wrong(
                "conv_kernel, conv_stride",
                &found,
                "convolutions that hear 400 samples every 320, as [10,3,3,3,3,2,2] and [5,2,2,2,2,2,2] do",
            ));
        }
        let conv_layer_norm = match config["feat_extract_norm"].as_str() {
            Some("layer") => true,
            Some("group") => false,
            _ => {
                return Err(wrong(
                    "feat_extract_norm",
                    &config["feat_extract_norm"],
                    "\"layer\" or \"group\"",
                ));
            }
        };
        let hidden = size(&config, "hidden_size", 4096)?;
        let divides = |key, max| match size(&config, key, max)? {
            parts if hidden.is_multiple_of(parts) => Ok(parts),
            _ => Err(wrong(key, &config[key], format!("a divisor of hidden_size = {hidden}"))),
        };
        #[expect(clippy::cast_possible_truncation, reason = "an epsilon, as PyTorch rounds it")]
        let eps = config["layer_norm_eps"].as_f64().unwrap_or(1e-5) as f32;
        if !(eps > 0.0 && eps < 1.0) {
            return Err(wrong("layer_norm_eps", &config["layer_norm_eps"], "a number above 0"));
        }
        Ok(Self {
            output: if hubert {
                Output::Hidden
            } else {
                Output::Logits(size(&config, "vocab_size", 1 << 16)?)
            },
            convolutions,
            conv_bias: flag(&config, "conv_bias", false)?,
            conv_layer_norm,
            projection_norm: flag(&config, "feat_proj_layer_norm", true)?,
            hidden,
            layers: size(&config, "num_hidden_layers", 64)?,
            heads: divides("num_attention_heads", 256)?,
            intermediate: size(&config, "intermediate_size", 1 << 14)?,
            position_kernel: size(&config, "num_conv_pos_embeddings", 1024)?,
            position_groups: divides("num_conv_pos_embedding_groups", 256)?,
            stable: flag(&config, "do_stable_layer_norm", false)?,
            eps,
            normalize,
        })
    }

    /// The same as two files of the same form, to keep beside the weights.
    pub fn to_json(&self) -> Value {
        let list = |of: fn(&Convolution) -> usize| self.convolutions.iter().map(of).collect::<Vec<_>>();
        let (architecture, vocab) = match self.output {
            Output::Logits(vocab) => ("Wav2Vec2ForCTC", vocab),
            Output::Hidden => ("HubertModel", 0),
        };
        json!({
            "config": {
                "architectures": [architecture],
                "vocab_size": vocab,
                "conv_dim": list(|layer| layer.channels),
                "conv_kernel": list(|layer| layer.kernel),
                "conv_stride": list(|layer| layer.stride),
                "conv_bias": self.conv_bias,
                "feat_extract_norm": if self.conv_layer_norm { "layer" } else { "group" },
                "feat_proj_layer_norm": self.projection_norm,
                "hidden_size": self.hidden,
                "num_hidden_layers": self.layers,
                "num_attention_heads": self.heads,
                "intermediate_size": self.intermediate,
                "num_conv_pos_embeddings": self.position_kernel,
                "num_conv_pos_embedding_groups": self.position_groups,
                "do_stable_layer_norm": self.stable,
                "layer_norm_eps": self.eps,
            },
            "preprocessor": { "sampling_rate": 16_000, "do_normalize": self.normalize },
        })
    }

    /// What [`Self::to_json`] gave.
    ///
    /// # Errors
    /// As [`Self::from_hugging_face`].
    pub fn from_json(value: &Value) -> Result<Self, ConfigError> {
        let part = |name: &str| value[name].to_string().into_bytes();
        Self::from_hugging_face(&part("config"), &part("preprocessor"))
    }

    /// Values in a row of the output.
    pub fn dims(&self) -> usize {
        match self.output {
            Output::Logits(vocab) => vocab,
            Output::Hidden => self.hidden,
        }
    }

    /// Multiplications and additions of a run over so many samples, for figures.
    #[expect(clippy::cast_precision_loss, reason = "a figure")]
    pub fn operations(&self, samples: usize) -> f64 {
        let mut steps = samples;
        let mut inputs = 1;
        let mut total = 0.0;
        for layer in &self.convolutions {
            steps = steps.checked_sub(layer.kernel).map_or(0, |rest| rest / layer.stride + 1);
            total += (steps * inputs * layer.kernel * layer.channels) as f64;
            inputs = layer.channels;
        }
        let hidden = self.hidden;
        // Queries, keys, values and what is made of them; scores and sums of values; the two wide products.
        let layer = 4 * hidden * hidden + 2 * steps * hidden + 2 * hidden * self.intermediate;
        let positions = hidden * hidden / self.position_groups * self.position_kernel;
        let head = if let Output::Logits(vocab) = self.output { vocab * hidden } else { 0 };
        2.0 * (total + (steps * (inputs * hidden + positions + self.layers * layer + head)) as f64)
    }

    /// Every tensor that the network reads: upstream's names without the model's prefix (`wav2vec2.`, `hubert.`), the
    /// positional convolution as one weight.
    pub fn tensors(&self) -> Vec<TensorShape> {
        let mut list: Vec<TensorShape> = Vec::new();
        let mut add = |name: String, shape: &[usize]| list.push((name, shape.to_vec()));
        let mut inputs = 1;
        for (i, layer) in self.convolutions.iter().enumerate() {
            let name = format!("feature_extractor.conv_layers.{i}");
            add(format!("{name}.conv.weight"), &[layer.channels, inputs, layer.kernel]);
            if self.conv_bias {
                add(format!("{name}.conv.bias"), &[layer.channels]);
            }
            if self.conv_layer_norm || i == 0 {
                add(format!("{name}.layer_norm.weight"), &[layer.channels]);
                add(format!("{name}.layer_norm.bias"), &[layer.channels]);
            }
            inputs = layer.channels;
        }
        let mut both = |name: &str, shape: &[usize]| {
            add(format!("{name}.weight"), shape);
            add(format!("{name}.bias"), &shape[..1]);
        };
        if self.projection_norm {
            both("feature_projection.layer_norm", &[inputs]);
        }
        let hidden = self.hidden;
        both("feature_projection.projection", &[hidden, inputs]);
        both(POSITION, &[hidden, hidden / self.position_groups, self.position_kernel]);
        both("encoder.layer_norm", &[hidden]);
        for i in 0..self.layers {
            let name = format!("encoder.layers.{i}");
            for part in ["q_proj", "k_proj", "v_proj", "out_proj"] {
                both(&format!("{name}.attention.{part}"), &[hidden, hidden]);
            }
            both(&format!("{name}.layer_norm"), &[hidden]);
            both(&format!("{name}.feed_forward.intermediate_dense"), &[self.intermediate, hidden]);
            both(&format!("{name}.feed_forward.output_dense"), &[hidden, self.intermediate]);
            both(&format!("{name}.final_layer_norm"), &[hidden]);
        }
        if let Output::Logits(vocab) = self.output {
            both("lm_head", &[vocab, hidden]);
        }
        list
    }
}

/// Name of the positional convolution.
pub(super) const POSITION: &str = "encoder.pos_conv_embed.conv";

/// Weight norm undone: `weight[.., k] = g[k] · v[.., k] / |v[.., k]|`, as PyTorch's `weight_norm` with `dim=2` means it.
///
/// * `g`: `[1, 1, taps]`; `v`: `[outputs, inputs, taps]`, row-major.
///
/// # Panics
/// If `v` is not rows of `g.len()` values.
#[expect(clippy::cast_possible_truncation, reason = "rounded once, at the end")]
pub fn fold_weight_norm(g: &[f32], v: &[f32]) -> Vec<f32> {
    assert!(!g.is_empty() && v.len().is_multiple_of(g.len()), "rows of one value for every tap");
    let mut squares = vec![0.0f64; g.len()];
    for row in v.chunks_exact(g.len()) {
        squares.iter_mut().zip(row).for_each(|(sum, v)| *sum += f64::from(*v).powi(2));
    }
    let scale: Vec<f64> =
        g.iter().zip(&squares).map(|(g, sum)| f64::from(*g) / sum.sqrt().max(1e-30)).collect();
    v.chunks_exact(g.len())
        .flat_map(|row| row.iter().zip(&scale).map(|(v, scale)| (f64::from(*v) * scale) as f32))
        .collect()
}
