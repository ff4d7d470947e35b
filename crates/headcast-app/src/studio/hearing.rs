//! What an avatar hears: the features that drive it, and where they come from.

use headcast::audio::features::read_npy;
use headcast::core::{FeatureKind, FeatureTrack};
use headcast::extractors::Entry as Extractor;
use headcast::nerf::avatar::Avatar;

use super::extractors::{self, Extractors};
use super::{Recording, unusable};
use crate::jobs::{JobRequest, OpenError, OpenErrorKind};

/// The feature file that came with `request`.
pub(super) fn features_of(request: &JobRequest) -> Result<Option<Recording>, OpenError> {
    let unreadable = |error: std::io::Error| {
        let message = format!("the speech features cannot be read: {error}; make the job again");
        OpenError { kind: OpenErrorKind::Internal, code: "features_unreadable", message }
    };
    request.features.as_ref().map(Recording::of).transpose().map_err(unreadable)
}

/// Where the features of a job come from.
pub(super) enum FeatureSource {
    /// The model that is part of the program.
    BuiltIn,
    /// A file that the user made.
    Given(FeatureTrack),
    /// An extractor that the user added.
    Extractor(Extractor),
}

/// No extractor has this name: they have no spaces.
const BUILT_IN: &str = "(built in)";

impl FeatureSource {
    /// What a job keeps to hear the same again when it is opened again. `None` for a file: the job has it.
    pub(super) fn name(&self) -> Option<String> {
        match self {
            Self::BuiltIn => Some(BUILT_IN.to_owned()),
            Self::Given(_) => None,
            Self::Extractor(entry) => Some(extractors::mark(entry)),
        }
    }
}

/// The features that drive `avatar`: those given, or those of the extractor that it was trained with.
///
/// * `heard_through`: what a job that was opened before heard through ([`FeatureSource::name`]), and hears through again.
pub(super) fn features_for(
    extractors: &Extractors,
    avatar: &Avatar,
    given: Option<Recording>,
    heard_through: Option<&str>,
) -> Result<FeatureSource, OpenError> {
    let wanted = avatar.model.features();
    let Some(file) = given else {
        match heard_through {
            Some(BUILT_IN) => return Ok(FeatureSource::BuiltIn),
            Some(mark) => return extractors.find_again(mark, wanted).map(FeatureSource::Extractor),
            None if avatar.built_in_features => return Ok(FeatureSource::BuiltIn),
            None => {}
        }
        if let Some(entry) = extractors.find(wanted)? {
            return Ok(FeatureSource::Extractor(entry));
        }
        // Close enough to be understood; the doctor says that the lips are better with upstream's own.
        if wanted == FeatureKind::DeepSpeech {
            return Ok(FeatureSource::BuiltIn);
        }
        let message = format!(
            "the avatar \"{}\" was trained with {}, and that extractor is not here: {}. Or make that file from the same \
             recording with upstream's script and hand it over as features",
            avatar.title,
            wanted.describe(),
            headcast::extractors::advice(wanted)
        );
        return Err(unusable("features_needed", message));
    };
    let track = read_npy(file).map_err(|error| unusable("features_unreadable", error.to_string()))?;
    if track.kind() != wanted {
        let message = format!(
            "these are features of {}, the avatar was trained with {}; make them again with that extractor",
            track.kind().describe(),
            wanted.describe()
        );
        return Err(unusable("features_do_not_fit", message));
    }
    Ok(FeatureSource::Given(track))
}

/// A few rows more or less are how upstream's extractors round; half a second is another recording.
pub(super) fn rows_warning(rows: usize, frames: u64) -> Option<String> {
    (frames.abs_diff(rows as u64) > 12).then(|| {
        format!(
            "the features have {rows} rows, the recording {frames} frames: they were probably made from another \
             recording; the last row is repeated, rows too many are left out"
        )
    })
}
