//! What an import needs, item by item: there, missing, or of no use.

use std::path::Path;

use super::dataset::{LIVE_TALKING_POSES, POSES, Transforms};
use super::error::AvatarError;
use super::fit::{Fit, Training, fit};
use super::full_body::USUAL_FOLDER;
use super::import::{self, ImportRequest};
use super::report::DataFacts;
use super::{ad_import, landmarks};
use crate::checkpoint::Family;
use crate::model::Network;

/// One line of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What was looked at.
    pub item: Item,
    /// How it was found.
    pub state: State,
    /// Whether an import fails because of it.
    pub blocks: bool,
    /// What was found; else what is wrong and what to do.
    pub text: String,
}

/// How an item was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is there and can be used.
    Fine,
    /// It is not there.
    Missing,
    /// It can be used, and something may go wrong that the file cannot tell.
    Warning,
    /// It is there and cannot be used.
    Unusable,
}

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Item {
    /// The network's file.
    Checkpoint,
    /// AD-NeRF's other half.
    Body,
    /// AD-NeRF's config file.
    Config,
    /// The camera poses.
    Poses,
    /// What is behind the person.
    Background,
    /// How far the eyes are shut.
    Eyes,
    /// The torso: a network of its own, or captured pictures.
    Torso,
    /// The larger pictures of a `LiveTalking` avatar.
    FullBody,
    /// Whether poses and network belong together.
    Fit,
    /// The audio features that it was trained with.
    Features,
    /// Attention 1 or 2.
    Attention,
    /// Step counts and depths.
    Options,
    /// Early RAD-NeRF's hashed grids.
    Grids,
    /// An ER-NeRF model without eye value.
    WithoutEye,
    /// An occupancy grid without a single occupied cell.
    Occupancy,
    /// AD-NeRF's patience.
    Speed,
}

impl Item {
    /// All of them.
    pub const ALL: [Self; 16] = [
        Self::Checkpoint,
        Self::Body,
        Self::Config,
        Self::Poses,
        Self::Background,
        Self::Eyes,
        Self::Torso,
        Self::FullBody,
        Self::Fit,
        Self::Features,
        Self::Attention,
        Self::Options,
        Self::Grids,
        Self::WithoutEye,
        Self::Occupancy,
        Self::Speed,
    ];

    /// A stable word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "checkpoint",
            Self::Body => "body",
            Self::Config => "config",
            Self::Poses => "poses",
            Self::Background => "background",
            Self::Eyes => "eyes",
            Self::Torso => "torso",
            Self::FullBody => "full_body",
            Self::Fit => "fit",
            Self::Features => "features",
            Self::Attention => "attention",
            Self::Options => "options",
            Self::Grids => "grids",
            Self::WithoutEye => "without_eye",
            Self::Occupancy => "occupancy",
            Self::Speed => "speed",
        }
    }
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Fine, Self::Missing, Self::Warning, Self::Unusable];

    /// A stable word for programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Missing => "missing",
            Self::Warning => "warning",
            Self::Unusable => "unusable",
        }
    }
}

impl Check {
    pub(super) fn fine(item: Item, text: impl Into<String>) -> Self {
        Self { item, state: State::Fine, blocks: false, text: text.into() }
    }

    pub(super) fn warning(item: Item, text: impl Into<String>) -> Self {
        Self { item, state: State::Warning, blocks: false, text: text.into() }
    }

    pub(super) fn missing(item: Item, text: impl Into<String>) -> Self {
        Self { item, state: State::Missing, blocks: true, text: text.into() }
    }

    pub(super) fn unusable(item: Item, text: impl Into<String>) -> Self {
        Self { item, state: State::Unusable, blocks: true, text: text.into() }
    }

    /// An import can do without it.
    fn not_needed(self) -> Self {
        Self { blocks: false, ..self }
    }

    /// What an import would stop at.
    fn failed(item: Item, error: &AvatarError) -> Self {
        match error {
            AvatarError::Missing { .. } | AvatarError::EyeValues { .. } => {
                Self::missing(item, error.to_string())
            }
            _ => Self::unusable(item, error.to_string()),
        }
    }

    pub(super) fn is_warning(&self) -> bool {
        self.state == State::Warning
    }

    /// Whether it belongs to what is wrong.
    pub(super) fn is_problem(&self) -> bool {
        matches!(self.state, State::Missing | State::Unusable)
    }
}

/// What lies around a checkpoint.
#[derive(Debug, Default)]
pub(super) struct Surroundings {
    pub(super) checks: Vec<Check>,
    pub(super) data: Option<DataFacts>,
    pub(super) wanted: Wanted,
}

/// Pictures and landmarks that the model has a use for and that are not there, by the numbers of their frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Wanted {
    /// `torso_imgs/N.png`, for a head without a torso net.
    pub torso: Vec<u32>,
    /// `ori_imgs/N.lms`, for the eyes of RAD-NeRF.
    pub landmarks: Vec<u32>,
}

/// Looks at a data folder with the eyes of an import.
///
/// * `checkpoint`: the network's file, which may lie elsewhere.
/// * `model`: its network, if it can be read, and what the file says of its training.
pub(super) fn examine_data(
    folder: &Path,
    checkpoint: &Path,
    family: Family,
    model: Option<(&Network, Training)>,
) -> Surroundings {
    let request = ImportRequest::new(checkpoint, folder, "");
    let mut found = Surroundings::default();
    let checks = &mut found.checks;
    let halves = if family == Family::AdNerf { examine_ad_nerf(&request, checks) } else { None };
    let model = model.or(halves.as_ref().map(|halves| (halves, Training::default())));
    let transforms = match import::read_transforms(&request, None) {
        Ok((transforms, file)) => {
            let (poses, width, height) = (transforms.poses.len(), transforms.width, transforms.height);
            checks.push(Check::fine(Item::Poses, format!("{poses} of {width}x{height} pixels in {file}")));
            found.data = Some(DataFacts { poses_file: folder.join(&file), poses, width, height });
            Some((transforms, file == LIVE_TALKING_POSES))
        }
        Err(error) => {
            checks.push(Check::failed(Item::Poses, &error));
            None
        }
    };
    examine_background(&request, family, transforms.as_ref(), checks);
    if let (Some((model, training)), Some((transforms, _))) = (model, &transforms) {
        let file = found.data.as_ref().map(|data| import::file_name(&data.poses_file)).unwrap_or_default();
        found.checks.push(match fit(model, &training, &import::file_name(checkpoint), transforms, &file) {
            Fit::Good(text) => Check::fine(Item::Fit, text),
            Fit::Doubtful(text) => Check::warning(Item::Fit, text),
            Fit::Wrong(text) => Check::unusable(Item::Fit, text),
        });
        examine_eyes(&request, model, transforms, &mut found);
        examine_torso(&request, model, transforms, &mut found);
    }
    let full_body = folder.join(USUAL_FOLDER);
    if full_body.exists() {
        let text = format!(
            "{USUAL_FOLDER} holds full-body pictures; files cannot tell where the training video was cut out of them: import \
             with --fullbody-img {} --fullbody-offset-x X --fullbody-offset-y Y",
            full_body.display()
        );
        found.checks.push(Check::warning(Item::FullBody, text));
    }
    found
}

/// The network of both halves, or of the head alone.
fn examine_ad_nerf(request: &ImportRequest, checks: &mut Vec<Check>) -> Option<Network> {
    match ad_import::depths(request) {
        Ok([near, far]) => checks.push(Check::fine(Item::Config, format!("near {near}, far {far}"))),
        // Without it, nothing can be said of the halves either.
        Err(error) => {
            checks.push(Check::failed(Item::Config, &error));
            return None;
        }
    }
    let mut notes = Vec::new();
    let body = ad_import::body_path(request, &mut notes);
    let opened = ad_import::open(request);
    checks.push(match (body, &opened) {
        (Some(path), Ok(_)) => Check::fine(Item::Body, import::file_name(&path)),
        (Some(_), Err(error)) => Check::failed(Item::Body, error),
        (None, _) => Check::missing(Item::Body, notes.concat()).not_needed(),
    });
    opened.ok().map(|model| Network::Ad(Box::new(model)))
}

fn examine_background(
    request: &ImportRequest,
    family: Family,
    transforms: Option<&(Transforms, bool)>,
    checks: &mut Vec<Check>,
) {
    let mut notes = Vec::new();
    let size = match ad_import::picture_size(request) {
        // AD-NeRF's video is as large as its background.
        Ok(size) => match transforms {
            Some((transforms, _)) if family != Family::AdNerf => Some((transforms.width, transforms.height)),
            _ => size,
        },
        Err(error) => return checks.push(Check::failed(Item::Background, &error)),
    };
    let live_talking = transforms.map_or_else(
        || !request.data.join(POSES[0]).exists() && request.data.join(LIVE_TALKING_POSES).exists(),
        |(_, live_talking)| *live_talking,
    );
    // Without poses its own size is as good as any.
    let read = import::read_background(request, size.unwrap_or((16, 16)), live_talking, &mut notes);
    checks.push(match read {
        Ok(_) if !notes.is_empty() => Check::warning(Item::Background, notes.concat()),
        Ok(_) => {
            let (width, height) = size.unwrap_or_default();
            Check::fine(Item::Background, format!("{width}x{height} pixels"))
        }
        Err(error) => Check::failed(Item::Background, &error),
    });
}

fn examine_eyes(request: &ImportRequest, model: &Network, transforms: &Transforms, found: &mut Surroundings) {
    let mut notes = Vec::new();
    let read = import::read_eyes(request, model, transforms, &mut notes);
    found.checks.push(match read {
        Ok(_) if !notes.is_empty() => {
            let there = |id: &&u32| request.data.join(landmarks::file(**id)).is_file();
            found.wanted.landmarks = transforms.img_ids.iter().filter(|id| !there(id)).copied().collect();
            Check::warning(Item::Eyes, notes.concat())
        }
        Ok(_) if !model.has_eye() => Check::fine(Item::Eyes, "the model has no eye value and needs none"),
        Ok(values) => Check::fine(Item::Eyes, format!("{} values", values.len())),
        Err(error) => Check::failed(Item::Eyes, &error),
    });
}

fn examine_torso(
    request: &ImportRequest,
    model: &Network,
    transforms: &Transforms,
    found: &mut Surroundings,
) {
    if matches!(model, Network::Ad(_)) {
        return;
    }
    if model.has_torso() {
        return found.checks.push(Check::fine(Item::Torso, "a network of its own, in the checkpoint"));
    }
    let mut notes = Vec::new();
    let read = import::torso_images(request, transforms, &mut notes);
    if !matches!(&read, Ok(images) if !images.is_empty()) {
        let there = |id: &&u32| request.data.join(import::torso_image(**id)).is_file();
        found.wanted.torso = transforms.img_ids.iter().filter(|id| !there(id)).copied().collect();
    }
    found.checks.push(match read {
        Ok(images) if notes.is_empty() => {
            Check::fine(Item::Torso, format!("{} captured pictures", images.len()))
        }
        Ok(_) => Check::missing(Item::Torso, notes.concat()).not_needed(),
        Err(error) => Check::failed(Item::Torso, &error),
    });
}
