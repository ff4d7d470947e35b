//! Upstream's extractors that the user added, and the one that is in memory.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::SystemTime;

use headcast::audio::extractor::{Description, Model};
use headcast::core::FeatureKind;
use headcast::extractors::{self, Entry, PublicModel};
use headcast::nerf::avatar::features_word;

use crate::jobs::{OpenError, OpenErrorKind};

/// Where the extractors of a data folder are kept.
pub fn folder_of(data_dir: &Path) -> PathBuf {
    data_dir.join("extractors")
}

/// Threads for a network: those asked for, or one a core.
pub fn threads(asked: Option<NonZeroUsize>) -> usize {
    asked.or_else(|| thread::available_parallelism().ok()).map_or(1, NonZeroUsize::get)
}

/// An extractor in words that outlive a restart: its name, and what tells it from others of that name.
pub(super) fn mark(entry: &Entry) -> String {
    match entry.details.as_ref().ok().and_then(|details| details.fingerprint) {
        Some(fingerprint) => format!("{} {fingerprint}", entry.name),
        None => entry.name.clone(),
    }
}

/// The extractors of a data folder. The one that was used last stays in memory, for all jobs: a large one takes 1.3 GB.
#[derive(Debug)]
pub(super) struct Extractors {
    library: PathBuf,
    loaded: Mutex<Option<(Key, Model)>>,
}

/// Which weights: the folder, and when they were written.
type Key = (PathBuf, Option<SystemTime>);

impl Extractors {
    pub(super) fn new(data_dir: &Path) -> Self {
        Self { library: folder_of(data_dir), loaded: Mutex::new(None) }
    }

    /// Where they are kept.
    pub(super) fn library(&self) -> &Path {
        &self.library
    }

    /// Whether there is one for features of `kind`, and which.
    pub(super) fn find(&self, kind: FeatureKind) -> Result<Option<Entry>, OpenError> {
        extractors::find(&self.library, kind).map_err(|error| self.unreadable(&error))
    }

    /// The model that an avatar needs whose features have the name `word` ([`features_word`]), if that is not here.
    pub(super) fn missing(&self, word: &str) -> Option<PublicModel> {
        let kinds = [FeatureKind::Wav2Vec2Esperanto, FeatureKind::Wav2Vec2, FeatureKind::Hubert];
        let kind = kinds.into_iter().find(|kind| features_word(*kind) == word)?;
        let there = self.find(kind).ok()?.is_some();
        PublicModel::of(kind).filter(|_| !there)
    }

    /// The extractor that `mark` was made of, under whatever name.
    pub(super) fn find_again(&self, mark: &str, kind: FeatureKind) -> Result<Entry, OpenError> {
        let mut same = self.list()?;
        let name = mark.split(' ').next().unwrap_or_default();
        let fingerprint = mark.split_once(' ').map(|(_, fingerprint)| fingerprint);
        same.retain(|entry| {
            let fits = |details: &Description| {
                details.features() == Some(kind)
                    && match fingerprint {
                        Some(known) => details.fingerprint.is_some_and(|found| found.to_string() == known),
                        None => entry.name == name,
                    }
            };
            entry.details.as_ref().is_ok_and(fits)
        });
        let at = same.iter().position(|entry| entry.name == name).unwrap_or(0);
        if at < same.len() {
            return Ok(same.swap_remove(at));
        }
        Err(OpenError {
            kind: OpenErrorKind::Internal,
            code: "extractor_gone",
            message: format!(
                "the job began with the extractor \"{name}\" ({}), which was deleted or replaced since: what follows would not \
                 fit what is there; add the same weights again with `headcast features add`, or make the job anew",
                kind.describe()
            ),
        })
    }

    fn list(&self) -> Result<Vec<Entry>, OpenError> {
        extractors::list(&self.library).map_err(|error| self.unreadable(&error))
    }

    fn unreadable(&self, error: &std::io::Error) -> OpenError {
        OpenError {
            kind: OpenErrorKind::Internal,
            code: "extractor_unusable",
            message: format!("{} cannot be read: {error}", self.library.display()),
        }
    }

    /// Its weights.
    pub(super) fn load(&self, entry: &Entry) -> Result<Model, OpenError> {
        // Held while weights are read: two jobs that want the same ones read them once.
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let written = entry.path.metadata().and_then(|metadata| metadata.modified()).ok();
        let key = (entry.path.clone(), written);
        if let Some((known, model)) = &*loaded
            && *known == key
        {
            return Ok(model.clone());
        }
        // Before the next one is read: both at once may be more than there is.
        *loaded = None;
        let model = extractors::load(entry).map_err(|error| OpenError {
            kind: OpenErrorKind::Internal,
            code: "extractor_unusable",
            message: error.to_string(),
        })?;
        *loaded = Some((key, model.clone()));
        Ok(model)
    }
}
