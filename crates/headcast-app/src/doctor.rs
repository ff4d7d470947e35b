//! What the doctor says, for programs: on the command line and over HTTP.

use headcast::core::FeatureKind;
use headcast::nerf::avatar::{
    self, AvatarFacts, Check, DataFacts, FullBodyFacts, Inferred, extractor_command,
};
use headcast::nerf::checkpoint::{AdPart, DType, Family};
use schemars::JsonSchema;
use serde::Serialize;

/// What a checkpoint, a folder or an avatar is. What does not apply is null or an empty list.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Report {
    path: String,
    /// The model's file.
    file: String,
    bytes: u64,
    /// `er-nerf`, `rad-nerf`, `ad-nerf` or `unknown`.
    family: &'static str,
    /// Of AD-NeRF: `head` or `body`.
    part: Option<&'static str>,
    /// How the file came about.
    variant: &'static str,
    /// Whether there are no problems.
    usable: bool,
    tensors: usize,
    /// Numbers in them.
    values: u64,
    precision: Vec<Precision>,
    features: Option<Features>,
    attention: bool,
    /// Whether it follows an eye value.
    eye: bool,
    /// Whether it has a torso net.
    torso: bool,
    /// Shapes of the individual codes.
    codes: Codes,
    /// Feature tables.
    tables: Vec<Shape>,
    epoch: Option<f64>,
    step: Option<f64>,
    avatar: Option<Avatar>,
    data: Option<Data>,
    /// Options, and what each was read from.
    inferred: Vec<Read>,
    /// What is needed besides the file, and where upstream keeps it.
    needs: Vec<&'static str>,
    warnings: Vec<String>,
    problems: Vec<String>,
    /// What an import needs, item by item.
    checks: Vec<CheckView>,
    /// Python objects that were passed over.
    skipped: Vec<String>,
}

/// How many numbers are of a type.
#[derive(Serialize, JsonSchema)]
struct Precision {
    r#type: &'static str,
    values: u64,
}

/// The audio features that a model was trained with.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AudioFeatures")]
struct Features {
    /// Numbers of a row.
    values: usize,
    /// Rows that one frame hears.
    steps: usize,
    name: &'static str,
    /// What makes them from a recording.
    extractor: &'static str,
}

#[derive(Serialize, JsonSchema)]
struct Codes {
    head: Option<Vec<usize>>,
    torso: Option<Vec<usize>>,
}

/// A table by its name.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Table")]
struct Shape {
    name: String,
    shape: Vec<usize>,
}

/// What only an imported avatar has.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AvatarFacts")]
struct Avatar {
    title: String,
    width: u32,
    height: u32,
    poses: usize,
    /// Whether captured torsos are part of it.
    torso_images: bool,
    /// Where what the network renders is pasted into larger pictures.
    full_body: Option<FullBody>,
    credits: String,
    licence: String,
}

/// How what the network renders becomes the video.
#[derive(Serialize, JsonSchema)]
struct FullBody {
    /// Pixels per row of what the network renders.
    width: u32,
    /// Rows of it.
    height: u32,
    /// Column at which it begins in the larger picture.
    offset_x: u32,
    /// Row at which it begins.
    offset_y: u32,
    /// Larger pictures: one a pose, or 1.
    pictures: usize,
}

/// What a data folder holds.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "DataFacts")]
struct Data {
    poses_file: String,
    poses: usize,
    width: u32,
    height: u32,
}

/// An option and where it was read.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Inferred")]
struct Read {
    option: &'static str,
    value: String,
    from: String,
}

/// One line of the checklist.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Check")]
pub(crate) struct CheckView {
    /// What it is about: `checkpoint`, `poses`, `background`, `eyes`, `torso`, …
    item: &'static str,
    /// `fine`, `missing`, `warning` or `unusable`.
    state: &'static str,
    /// Whether an import fails because of it.
    blocks: bool,
    /// What was found; else what is wrong and what to do.
    text: String,
}

impl From<&Check> for CheckView {
    fn from(check: &Check) -> Self {
        let Check { item, state, blocks, text, .. } = check;
        Self { item: item.name(), state: state.name(), blocks: *blocks, text: text.clone() }
    }
}

impl CheckView {
    /// Its text, changed.
    pub(crate) fn reworded(mut self, change: impl Fn(&str) -> String) -> Self {
        self.text = change(&self.text);
        self
    }
}

impl From<&avatar::Report> for Report {
    fn from(report: &avatar::Report) -> Self {
        let family = match report.family {
            Family::ErNerf => "er-nerf",
            Family::RadNerf => "rad-nerf",
            Family::AdNerf => "ad-nerf",
            _ => "unknown",
        };
        let part = report.part.map(|part| match part {
            AdPart::Head => "head",
            AdPart::Body => "body",
        });
        let precision = |(dtype, values): &(DType, u64)| Precision { r#type: dtype.name(), values: *values };
        let shape = |(name, shape): &(String, Vec<usize>)| Shape { name: name.clone(), shape: shape.clone() };
        let [head, torso] = report.codes.clone();
        let [epoch, step] = report.progress;
        Self {
            path: report.path.display().to_string(),
            file: report.model_file.display().to_string(),
            bytes: report.bytes,
            family,
            part,
            variant: report.variant,
            usable: report.problems.is_empty(),
            tensors: report.tensors,
            values: report.parameters,
            precision: report.precision.iter().map(precision).collect(),
            features: report.features.map(Features::from),
            attention: report.attention,
            eye: report.eye,
            torso: report.torso,
            codes: Codes { head, torso },
            tables: report.tables.iter().map(shape).collect(),
            epoch,
            step,
            avatar: report.avatar.as_ref().map(Avatar::from),
            data: report.data.as_ref().map(Data::from),
            inferred: report.inferred.iter().map(Read::from).collect(),
            needs: report.needs.clone(),
            warnings: report.warnings.clone(),
            problems: report.problems.clone(),
            checks: report.checks.iter().map(CheckView::from).collect(),
            skipped: report.skipped.clone(),
        }
    }
}

impl Report {
    /// Every path and sentence, changed.
    pub(crate) fn reworded(mut self, change: impl Fn(&str) -> String) -> Self {
        (self.path, self.file) = (change(&self.path), change(&self.file));
        if let Some(data) = &mut self.data {
            data.poses_file = change(&data.poses_file);
        }
        for text in self.warnings.iter_mut().chain(&mut self.problems) {
            *text = change(text);
        }
        self.checks = self.checks.into_iter().map(|check| check.reworded(&change)).collect();
        self
    }
}

impl From<FeatureKind> for Features {
    fn from(kind: FeatureKind) -> Self {
        let extractor = extractor_command(kind);
        Self { values: kind.dims(), steps: kind.steps(), name: kind.describe(), extractor }
    }
}

impl From<&AvatarFacts> for Avatar {
    fn from(facts: &AvatarFacts) -> Self {
        Self {
            title: facts.title.clone(),
            width: facts.width,
            height: facts.height,
            poses: facts.poses,
            torso_images: facts.torso_images,
            full_body: facts.full_body.map(FullBody::from),
            credits: facts.credits.clone(),
            licence: facts.licence.clone(),
        }
    }
}

impl From<FullBodyFacts> for FullBody {
    fn from(facts: FullBodyFacts) -> Self {
        let FullBodyFacts { width, height, offset_x, offset_y, pictures, .. } = facts;
        Self { width, height, offset_x, offset_y, pictures }
    }
}

impl From<&DataFacts> for Data {
    fn from(facts: &DataFacts) -> Self {
        let poses_file = facts.poses_file.display().to_string();
        Self { poses_file, poses: facts.poses, width: facts.width, height: facts.height }
    }
}

impl From<&Inferred> for Read {
    fn from(read: &Inferred) -> Self {
        Self { option: read.option, value: read.value.clone(), from: read.from.clone() }
    }
}
