//! Extractors of upstream's that the user brought: from a folder of Hugging Face's, or the frozen graph of `DeepSpeech`, to
//! a folder of ours, and finding them again.

use std::fs::{self, File};
use std::io::{self, BufReader, Read as _};
use std::path::{Path, PathBuf};

use headcast_audio::extractor::matrix::Precision;
use headcast_audio::extractor::wav2vec2::{Config, ConfigError, fold_weight_norm};
use headcast_audio::extractor::{Architecture, Description, Model, ModelError};
use headcast_core::FeatureKind;
use headcast_nerf::checkpoint::{Checkpoint, CheckpointError};
use headcast_nerf::draft::{Draft, PublishError};

/// Longest description that is read, bytes; those of large models have 2 kB, tokenizers are not read.
const MAX_JSON: u64 = 1 << 20;

const CONFIG: &str = "config.json";
const PREPROCESSOR: &str = "preprocessor_config.json";
const WEIGHTS: [&str; 2] = ["model.safetensors", "pytorch_model.bin"];

/// What to add.
#[derive(Debug, Clone, PartialEq)]
pub struct AddRequest {
    /// Folder of the model: `config.json`, `preprocessor_config.json`, and `model.safetensors` or `pytorch_model.bin`. Or the
    /// file `output_graph.pb` of `DeepSpeech` 0.1.0.
    pub source: PathBuf,
    /// Name to keep it under; by default that of the folder.
    pub name: Option<String>,
    /// Keep weights as 16-bit floats: half the disk and memory.
    pub half: bool,
    /// Replace an extractor of the same name.
    pub overwrite: bool,
}

/// Why an extractor was not added. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AddError {
    /// Look at the disk.
    #[error("{} cannot be read or written: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Choose the folder that the model's files are in.
    #[error(
        "{} is not there; wanted is a folder with {CONFIG}, {PREPROCESSOR} and {} or {} that a model's page offers, or the \
         frozen graph of DeepSpeech 0.1.0 (output_graph.pb)",
        path.display(), WEIGHTS[0], WEIGHTS[1]
    )]
    NoSource {
        /// What was given.
        path: PathBuf,
    },
    /// Download the file into the folder.
    #[error("{} has no {wanted}; it has {found}: download what is missing from the model's page", folder.display())]
    Missing {
        /// What was given.
        folder: PathBuf,
        /// The file.
        wanted: String,
        /// What is there.
        found: String,
    },
    /// Choose another model.
    #[error("{}: {source}", folder.display())]
    Config {
        /// What was given.
        folder: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// Download the weights again.
    #[error("{}: {what}; download it again", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Download the weights again, all of one model.
    #[error(
        "{} has {} where {CONFIG} asks for `{tensor}` of shape {expected:?}; download both again, of one model", 
        path.display(), shape_text(.found)
    )]
    Tensor {
        /// The file.
        path: PathBuf,
        /// Name of the tensor.
        tensor: String,
        /// Shape that the configuration asks for.
        expected: Vec<usize>,
        /// Shape found, if there is one of that name.
        found: Option<Vec<usize>>,
    },
    /// See there.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// Choose another name.
    #[error("\"{name}\" cannot be the name of an extractor; use up to 64 letters, digits, - and _ (--name)")]
    Name {
        /// As given.
        name: String,
    },
    /// Choose another name, or say that it may be replaced.
    #[error("there is an extractor \"{name}\" already; choose another --name, or --overwrite it")]
    Exists {
        /// The name.
        name: String,
    },
}

fn shape_text(shape: &Option<Vec<usize>>) -> String {
    shape.as_ref().map_or_else(|| "nothing".to_owned(), |shape| format!("shape {shape:?}"))
}

/// An extractor of a library.
#[derive(Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its folder.
    pub path: PathBuf,
    /// What it is, or why it cannot be used.
    pub details: Result<Description, ModelError>,
}

/// What `source` is, as [`add`] would see it. Looks at names and sizes of the weights, not at values.
///
/// # Errors
/// [`AddError`].
pub fn inspect(source: &Path) -> Result<Description, AddError> {
    if source.is_file() {
        return graph_description(source, Precision::F32);
    }
    let source = Source::open(source)?;
    source.description(Precision::F32)
}

/// Converts a model's folder and keeps it in `library`, whole or not at all. Each tensor is in memory by itself.
///
/// # Errors
/// [`AddError`].
pub fn add(request: &AddRequest, library: &Path) -> Result<Entry, AddError> {
    if !request.source.exists() {
        return Err(AddError::NoSource { path: request.source.clone() });
    }
    let name = match &request.name {
        Some(name) => name.clone(),
        None => default_name(&request.source),
    };
    check_name(&name)?;
    let target = library.join(&name);
    if target.exists() && !request.overwrite {
        return Err(AddError::Exists { name });
    }
    let precision = if request.half { Precision::F16 } else { Precision::F32 };
    let mut source = None;
    let description = if request.source.is_file() {
        graph_description(&request.source, precision)?
    } else {
        source.insert(Source::open(&request.source)?).description(precision)?
    };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| AddError::Io { path, source }
    };
    let draft = Draft::new(library, &name).map_err(failed(&target))?;
    match &mut source {
        Some(source) => description.write(draft.folder(), |tensor, shape| source.tensor(tensor, shape))?,
        None => description.write_graph(draft.folder(), &request.source)?,
    }
    match draft.publish(request.overwrite) {
        Ok(path) => Ok(Entry { name, path, details: Ok(description) }),
        Err(PublishError::Exists) => Err(AddError::Exists { name }),
        Err(PublishError::Io(source)) => Err(failed(&target)(source)),
    }
}

/// The description of a frozen graph that was read whole, so that it is known to be one.
fn graph_description(graph: &Path, precision: Precision) -> Result<Description, AddError> {
    Model::load_graph(graph, precision)?;
    let source = graph.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Description::new(Architecture::DeepSpeech, source, precision)?)
}

/// Every extractor of `library`, by name. A folder that does not exist is an empty library.
///
/// # Errors
/// What the system says when it cannot be read. An extractor that cannot be used is listed with its error.
pub fn list(library: &Path) -> io::Result<Vec<Entry>> {
    let entries = match fs::read_dir(library) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut extractors = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if check_name(&name).is_ok() && path.is_dir() {
            let details = Description::read(&path);
            extractors.push(Entry { name, path, details });
        }
    }
    extractors.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(extractors)
}

/// The extractor of `library` that makes features of `kind`: the first one by name.
///
/// # Errors
/// As [`list`].
pub fn find(library: &Path, kind: FeatureKind) -> io::Result<Option<Entry>> {
    let fits = |entry: &Entry| entry.details.as_ref().is_ok_and(|details| details.features() == Some(kind));
    Ok(list(library)?.into_iter().find(fits))
}

/// Reads the weights of an extractor: see [`Model::load`].
///
/// # Errors
/// [`ModelError`].
pub fn load(entry: &Entry) -> Result<Model, ModelError> {
    Model::load(&entry.path)
}

/// A model on Hugging Face that upstream's avatars are trained with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PublicModel {
    /// Owner and name.
    pub name: &'static str,
    /// Files to download; of the last two, one will do.
    pub files: [&'static str; 4],
}

impl PublicModel {
    /// That which makes features of `kind`; none for `DeepSpeech`, which is no folder.
    pub fn of(kind: FeatureKind) -> Option<Self> {
        let name = match kind {
            FeatureKind::DeepSpeech => return None,
            FeatureKind::Wav2Vec2Esperanto => "cpierse/wav2vec2-large-xlsr-53-esperanto",
            FeatureKind::Wav2Vec2 => "facebook/wav2vec2-large-960h-lv60-self",
            FeatureKind::Hubert => "facebook/hubert-large-ls960-ft",
        };
        Some(Self { name, files: [CONFIG, PREPROCESSOR, WEIGHTS[0], WEIGHTS[1]] })
    }

    /// Where it is.
    pub fn page(self) -> String {
        format!("https://huggingface.co/{}", self.name)
    }

    /// The folder that its files go to, wherever that is.
    pub fn folder(self) -> &'static str {
        self.name.rsplit('/').next().unwrap_or(self.name)
    }

    /// What makes an extractor of that folder.
    pub fn command(self) -> String {
        format!("headcast features add {}", self.folder())
    }
}

/// What to do to get features of `kind`: the public model, where its files go, and the command.
pub fn advice(kind: FeatureKind) -> String {
    let Some(model) = PublicModel::of(kind) else {
        return "the built-in model makes such features; upstream's own are those of DeepSpeech 0.1.0: download \
                deepspeech-0_1_0-b90017e8.pb.zip of https://github.com/osmr/deepspeech_features/releases/tag/v0.0.1, \
                unpack it and run: headcast features add deepspeech-0_1_0-b90017e8.pb"
            .to_owned();
    };
    let [config, preprocessor, weights, others] = model.files;
    format!(
        "download {config}, {preprocessor} and {weights} (or {others}) of {} into a folder {} and run: {}",
        model.page(),
        model.folder(),
        model.command()
    )
}

fn check_name(name: &str) -> Result<(), AddError> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(AddError::Name { name: name.to_owned() });
    }
    Ok(())
}

/// Name of the folder or file, with what cannot be part of a name replaced.
fn default_name(source: &Path) -> String {
    let whole = source.canonicalize().ok();
    let named =
        whole.as_deref().and_then(|path| if path.is_file() { path.file_stem() } else { path.file_name() });
    let name = named.map(|name| name.to_string_lossy().into_owned());
    let fit = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
    name.unwrap_or_default().chars().map(fit).take(64).collect()
}

/// A model's folder, opened.
struct Source {
    folder: PathBuf,
    config: Config,
    path: PathBuf,
    weights: Checkpoint<BufReader<File>>,
    /// In front of the names of all tensors but the head's.
    prefix: &'static str,
}

impl Source {
    fn open(folder: &Path) -> Result<Self, AddError> {
        if !folder.is_dir() {
            return Err(AddError::NoSource { path: folder.to_owned() });
        }
        let missing = |wanted: &str| AddError::Missing {
            folder: folder.to_owned(),
            wanted: wanted.to_owned(),
            found: found_in(folder),
        };
        let json = |name: &str| -> Result<Vec<u8>, AddError> {
            let path = folder.join(name);
            let mut bytes = Vec::new();
            match File::open(&path) {
                Ok(file) => file.take(MAX_JSON).read_to_end(&mut bytes),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing(name)),
                Err(error) => Err(error),
            }
            .map_err(|source| AddError::Io { path, source })?;
            Ok(bytes)
        };
        let config = json(CONFIG)?;
        let config = Config::from_hugging_face(&config, &json(PREPROCESSOR)?)
            .map_err(|source| AddError::Config { folder: folder.to_owned(), source })?;
        let path = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        let path = path.ok_or_else(|| missing(&format!("{} or {}", WEIGHTS[0], WEIGHTS[1])))?;
        let file = File::open(&path).map_err(|source| AddError::Io { path: path.clone(), source })?;
        let weights = Checkpoint::open(BufReader::new(file)).map_err(|error| weights_error(&path, error))?;
        let known = |prefix: &&str| weights.has(&format!("{prefix}encoder.layer_norm.weight"));
        let prefix = ["", "wav2vec2.", "hubert."].into_iter().find(known).unwrap_or_default();
        Ok(Self { folder: folder.to_owned(), config, path, weights, prefix })
    }

    fn description(&self, precision: Precision) -> Result<Description, AddError> {
        let source =
            self.folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let description = Description::new(Architecture::Wav2Vec2(self.config.clone()), source, precision)?;
        // Before anything is written: all names and shapes.
        for (name, shape) in self.config.tensors() {
            for (stored, shape) in self.stored(&name, &shape) {
                self.check(&stored, &shape)?;
            }
        }
        Ok(description)
    }

    /// Names and shapes in the file: two where weight norm is not undone.
    fn stored(&self, name: &str, shape: &[usize]) -> Vec<(String, Vec<usize>)> {
        let prefix = if name.starts_with("lm_head.") { "" } else { self.prefix };
        let full = format!("{prefix}{name}");
        if let Some(position) =
            full.strip_suffix(".weight").filter(|_| name == "encoder.pos_conv_embed.conv.weight")
        {
            for [g, v] in [
                ["weight_g", "weight_v"],
                ["parametrizations.weight.original0", "parametrizations.weight.original1"],
            ] {
                if self.weights.has(&format!("{position}.{g}")) {
                    let taps = shape.last().copied().unwrap_or(0);
                    return vec![
                        (format!("{position}.{g}"), vec![1, 1, taps]),
                        (format!("{position}.{v}"), shape.to_vec()),
                    ];
                }
            }
        }
        vec![(full, shape.to_vec())]
    }

    fn check(&self, tensor: &str, expected: &[usize]) -> Result<(), AddError> {
        let found = self.weights.shape(tensor);
        if found == Some(expected) {
            return Ok(());
        }
        Err(AddError::Tensor {
            path: self.path.clone(),
            tensor: tensor.to_owned(),
            expected: expected.to_vec(),
            found: found.map(<[usize]>::to_vec),
        })
    }

    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, AddError> {
        let mut parts = Vec::new();
        for (stored, shape) in self.stored(name, shape) {
            self.check(&stored, &shape)?;
            let read = self.weights.read(&stored).and_then(|tensor| tensor.to_finite_f32());
            parts.push(read.map_err(|error| weights_error(&self.path, error))?);
        }
        Ok(match &parts[..] {
            [g, v] => fold_weight_norm(g, v),
            _ => parts.swap_remove(0),
        })
    }
}

/// What is wrong with weights, in words that fit a speech network.
fn weights_error(path: &Path, error: CheckpointError) -> AddError {
    let path = path.to_owned();
    match error {
        CheckpointError::Io(source) => AddError::Io { path, source },
        CheckpointError::Format { start } => {
            let what = format!("it is neither a safetensors nor a PyTorch file, it starts with {start}");
            AddError::Weights { path, what }
        }
        CheckpointError::DeclaredSize { tensor, declared, held } => {
            let what = format!("it is cut off: tensor `{tensor}` needs {declared} bytes, {held} are there");
            AddError::Weights { path, what }
        }
        CheckpointError::Damaged { what } => {
            AddError::Weights { path, what: format!("it is damaged or cut off: {what}") }
        }
        error => AddError::Weights { path, what: error.to_string() },
    }
}

/// The first files of a folder, for a message.
fn found_in(folder: &Path) -> String {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names.truncate(8);
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}
