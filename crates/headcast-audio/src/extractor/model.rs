//! A folder of weights: `extractor.json`, which says what they are, and `weights.safetensors`.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headcast_core::{FeatureKind, FeatureTrack, SampleRate, Spools, Stop};
use serde_json::{Value, json};

use super::container::{self, ContainerError, Reader};
use super::deepspeech::{self, DeepSpeech, DeepSpeechError};
use super::fingerprint::{Fingerprint, Marked};
use super::listener::{ListenError, Listener};
use super::matrix::Precision;
use super::wav2vec2::{self, ConfigError, Ctc, Hubert, Network};

const DESCRIPTION: &str = "extractor.json";
const WEIGHTS: &str = "weights.safetensors";
/// `DeepSpeech` is kept as it came: as large as its weights, and read once.
const GRAPH: &str = "output_graph.pb";
/// Longest description that is read, bytes; they have about 1 kB.
const MAX_DESCRIPTION: u64 = 1 << 20;
/// Number of the format of the folder.
const FORMAT: u64 = 1;

/// Why a folder is no extractor.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ModelError {
    /// Look at the disk.
    #[error("{} cannot be read or written: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Add the model again.
    #[error("{}: {what}; add the model again with `headcast features add`", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Add the model again.
    #[error("{}: {source}", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ContainerError,
    },
    /// Use the graph that the message names.
    #[error("{}: {source}", path.display())]
    DeepSpeech {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: DeepSpeechError,
    },
    /// Choose another model: no avatar hears rows of this width.
    #[error(
        "the model makes rows of {dims} values ({what}); avatars hear 44 or 32 letter scores of a Wav2Vec2ForCTC, or the \
         1024 values of a large HubertModel"
    )]
    Dims {
        /// Width found.
        dims: usize,
        /// What the values are.
        what: &'static str,
    },
}

/// Which network.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Architecture {
    /// `Wav2Vec2ForCTC` or `HubertModel`.
    Wav2Vec2(wav2vec2::Config),
    /// `DeepSpeech` 0.1.0; its sizes are in its graph.
    DeepSpeech,
}

/// What an extractor is, without its weights.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Description {
    /// The network.
    pub network: Architecture,
    /// The folder that it was made from, for people.
    pub source: String,
    /// How weights are stored, on the disk and in memory.
    pub precision: Precision,
    /// What the network and its weights are, to tell extractors of one name apart. `None` before they are written, and in folders
    /// that have none.
    pub fingerprint: Option<Fingerprint>,
}

impl Description {
    /// A description to be written.
    ///
    /// # Errors
    /// [`ModelError::Dims`] when no avatar hears what it makes.
    pub fn new(network: Architecture, source: String, precision: Precision) -> Result<Self, ModelError> {
        let description = Self { network, source, precision, fingerprint: None };
        match (&description.network, description.features()) {
            (Architecture::Wav2Vec2(config), None) => {
                Err(ModelError::Dims { dims: config.dims(), what: description.what() })
            }
            _ => Ok(description),
        }
    }

    /// Reads that of a folder; looks at no weight.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn read(folder: &Path) -> Result<Self, ModelError> {
        let path = folder.join(DESCRIPTION);
        let failed = |source| ModelError::Io { path: path.clone(), source };
        if fs::metadata(&path).map_err(failed)?.len() > MAX_DESCRIPTION {
            return Err(ModelError::Description { path, what: "it is too long to be one".to_owned() });
        }
        let bytes = fs::read(&path).map_err(failed)?;
        Self::parse(&bytes).map_err(|what| ModelError::Description { path, what })
    }

    fn parse(bytes: &[u8]) -> Result<Self, String> {
        let value: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if value["format"].as_u64() != Some(FORMAT) {
            return Err(format!("format is {}, this program knows {FORMAT}", value["format"]));
        }
        let precision = match value["precision"].as_str() {
            Some("f32") => Precision::F32,
            Some("f16") => Precision::F16,
            _ => return Err(format!("precision is {}, wanted is \"f32\" or \"f16\"", value["precision"])),
        };
        let network = if value["network"] == DEEP_SPEECH {
            Architecture::DeepSpeech
        } else {
            let config = wav2vec2::Config::from_json(&value["network"]);
            Architecture::Wav2Vec2(config.map_err(|error: ConfigError| error.to_string())?)
        };
        let source = value["source"].as_str().unwrap_or_default().to_owned();
        let fingerprint = value["fingerprint"].as_str().and_then(Fingerprint::parse);
        let description = Self::new(network, source, precision).map_err(|error| error.to_string())?;
        Ok(Self { fingerprint, ..description })
    }

    fn to_json(&self, fingerprint: Fingerprint) -> Value {
        let mut value = self.what_counts();
        value["format"] = FORMAT.into();
        value["features"] = self.features().map(FeatureKind::describe).into();
        value["source"] = self.source.as_str().into();
        value["fingerprint"] = fingerprint.to_string().into();
        value
    }

    /// What features depend on, beside the weights.
    fn what_counts(&self) -> Value {
        json!({
            "precision": if self.precision == Precision::F16 { "f16" } else { "f32" },
            "network": match &self.network {
                Architecture::Wav2Vec2(config) => config.to_json(),
                Architecture::DeepSpeech => Value::from(DEEP_SPEECH),
            },
        })
    }

    /// A file of the folder to be written.
    fn create(&self, path: &Path) -> io::Result<Marked<BufWriter<File>>> {
        Ok(Marked::new(BufWriter::new(File::create(path)?), self.what_counts().to_string().as_bytes()))
    }

    /// Whom it is made for; `None` if no avatar hears such rows.
    pub fn features(&self) -> Option<FeatureKind> {
        let config = match &self.network {
            Architecture::Wav2Vec2(config) => config,
            Architecture::DeepSpeech => return Some(FeatureKind::DeepSpeech),
        };
        match (config.output, FeatureKind::from_dims(config.dims())?) {
            (
                wav2vec2::Output::Logits(_),
                kind @ (FeatureKind::Wav2Vec2Esperanto | FeatureKind::Wav2Vec2),
            )
            | (wav2vec2::Output::Hidden, kind @ FeatureKind::Hubert) => Some(kind),
            _ => None,
        }
    }

    /// Name of the network, as its makers have it.
    pub fn what(&self) -> &'static str {
        match &self.network {
            Architecture::DeepSpeech => "DeepSpeech 0.1.0",
            Architecture::Wav2Vec2(config) => match config.output {
                wav2vec2::Output::Logits(_) => "Wav2Vec2ForCTC",
                wav2vec2::Output::Hidden => "HubertModel",
            },
        }
    }

    /// Writes a folder of the frozen graph of `DeepSpeech`, which was found to be one.
    ///
    /// * `folder`: exists, and is empty.
    ///
    /// # Errors
    /// [`ModelError::Io`].
    pub fn write_graph(&self, folder: &Path, graph: &Path) -> Result<(), ModelError> {
        let path = folder.join(GRAPH);
        let copied = || {
            let mut out = self.create(&path)?;
            io::copy(&mut File::open(graph)?, &mut out)?;
            out.flush()?;
            Ok(out.fingerprint())
        };
        let fingerprint = copied().map_err(|source| ModelError::Io { path: path.clone(), source })?;
        self.write_description(folder, fingerprint)
    }

    /// Writes a folder of tensors.
    ///
    /// * `folder`: exists, and is empty.
    /// * `read`: gives the values of each tensor of [`wav2vec2::Config::tensors`], in that order; never asked for
    ///   `DeepSpeech`.
    ///
    /// # Errors
    /// What `read` says, or [`ModelError::Io`].
    pub fn write<E: From<ModelError>>(
        &self,
        folder: &Path,
        mut read: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
    ) -> Result<(), E> {
        /// What went wrong: writing, or what was to be written.
        enum Failed<E> {
            Io(io::Error),
            Read(E),
        }
        impl<E> From<io::Error> for Failed<E> {
            fn from(error: io::Error) -> Self {
                Self::Io(error)
            }
        }
        let tensors = match &self.network {
            Architecture::Wav2Vec2(config) => config.tensors(),
            Architecture::DeepSpeech => Vec::new(),
        };
        let path = folder.join(WEIGHTS);
        let failed = |source| ModelError::Io { path: path.clone(), source };
        let mut out = self.create(&path).map_err(failed)?;
        container::write(&mut out, &tensors, self.precision, |name, shape| {
            read(name, shape).map_err(Failed::Read)
        })
        .map_err(|error| match error {
            Failed::Io(source) => failed(source).into(),
            Failed::Read(error) => error,
        })?;
        out.flush().map_err(failed)?;
        self.write_description(folder, out.fingerprint())?;
        Ok(())
    }

    fn write_description(&self, folder: &Path, fingerprint: Fingerprint) -> Result<(), ModelError> {
        let path = folder.join(DESCRIPTION);
        fs::write(&path, format!("{:#}\n", self.to_json(fingerprint)))
            .map_err(|source| ModelError::Io { path, source })
    }
}

/// What stands for the network in the description of `DeepSpeech`.
const DEEP_SPEECH: &str = "deepspeech-0.1.0";

/// An extractor that is ready. Cloning is cheap: weights are shared.
#[derive(Debug, Clone)]
pub struct Model {
    network: Weights,
    kind: FeatureKind,
}

#[derive(Debug, Clone)]
enum Weights {
    Wav2Vec2(Arc<Network>),
    DeepSpeech(Arc<DeepSpeech>),
}

impl Model {
    /// Reads the folder that [`Description::write`] or [`Description::write_graph`] made. Takes the memory of its weights,
    /// once.
    ///
    /// # Errors
    /// [`ModelError`].
    pub fn load(folder: &Path) -> Result<Self, ModelError> {
        let Description { network, precision, .. } = Description::read(folder)?;
        match network {
            Architecture::DeepSpeech => Self::load_graph(&folder.join(GRAPH), precision),
            Architecture::Wav2Vec2(config) => Self::load_tensors(&folder.join(WEIGHTS), &config, precision),
        }
    }

    fn load_tensors(
        path: &Path,
        config: &wav2vec2::Config,
        precision: Precision,
    ) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
        let broken = |source| ModelError::Weights { path: path.to_owned(), source };
        let mut reader = Reader::open(file).map_err(broken)?;
        let read = |name: &str, shape: &[usize]| reader.read(name, shape);
        Self::new(Network::load(config, precision, read).map_err(broken)?)
    }

    /// Reads `DeepSpeech` 0.1.0 from its frozen graph; nothing in it is executed.
    ///
    /// # Errors
    /// [`ModelError::Io`], or [`ModelError::DeepSpeech`] for another graph.
    pub fn load_graph(path: &Path, precision: Precision) -> Result<Self, ModelError> {
        let file = File::open(path).map_err(|source| ModelError::Io { path: path.to_owned(), source })?;
        let network = DeepSpeech::from_graph(BufReader::new(file), precision)
            .map_err(|source| ModelError::DeepSpeech { path: path.to_owned(), source })?;
        Ok(Self { network: Weights::DeepSpeech(Arc::new(network)), kind: FeatureKind::DeepSpeech })
    }

    /// An extractor of a network that is loaded.
    ///
    /// # Errors
    /// [`ModelError::Dims`] when no avatar hears its rows.
    pub fn new(network: Network) -> Result<Self, ModelError> {
        let dims = network.config().dims();
        let config = Architecture::Wav2Vec2(network.config().clone());
        let description = Description::new(config, String::new(), Precision::F32)?;
        let kind = description.features().ok_or(ModelError::Dims { dims, what: description.what() })?;
        Ok(Self { network: Weights::Wav2Vec2(Arc::new(network)), kind })
    }

    /// Whom it is made for.
    pub fn kind(&self) -> FeatureKind {
        self.kind
    }

    /// Memory of its weights, bytes.
    pub fn bytes(&self) -> usize {
        match &self.network {
            Weights::Wav2Vec2(network) => network.bytes(),
            Weights::DeepSpeech(network) => network.bytes(),
        }
    }

    /// Hears one clip of `rate`, with up to `threads` threads, and puts aside in `spools` what grows with it. The features
    /// do not depend on the number of threads.
    pub fn listener(&self, rate: SampleRate, threads: usize, spools: &Spools) -> Box<dyn Listener> {
        match (&self.network, self.kind) {
            (Weights::DeepSpeech(network), _) => {
                let listener = deepspeech::Listener::new(Arc::clone(network), rate, spools);
                Box::new(Whole { listener, threads })
            }
            (Weights::Wav2Vec2(network), FeatureKind::Hubert) => {
                Box::new(Hubert::new(Arc::clone(network), rate, threads, spools))
            }
            (Weights::Wav2Vec2(network), kind) => {
                Box::new(Ctc::new(Arc::clone(network), kind, rate, threads, spools))
            }
        }
    }
}

/// `DeepSpeech`, which hears the whole clip before it says anything.
#[derive(Debug)]
struct Whole {
    listener: deepspeech::Listener,
    threads: usize,
}

impl Listener for Whole {
    fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        self.listener.push(samples)
    }

    fn finish(self: Box<Self>, stop: &Stop<'_>) -> Result<Option<FeatureTrack>, ListenError> {
        self.listener.finish(self.threads, stop).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => ListenError::Cancelled,
            _ => ListenError::Spool(error),
        })
    }
}
