//! What a checkpoint or an avatar is, in plain lines.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use headcast_core::FeatureKind;

use super::dataset::{POSES, Transforms};
use super::error::AvatarError;
use super::{Avatar, model_file};
use crate::checkpoint::{Checkpoint, CheckpointError, Family};
use crate::model::ErNerf;

/// What was found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// As given.
    pub path: PathBuf,
    /// Size of the file, or of the avatar's model, in bytes.
    pub bytes: u64,
    /// Which network.
    pub family: Family,
    /// Tensors in the state dict.
    pub tensors: usize,
    /// Numbers in them.
    pub parameters: u64,
    /// Extractor of its audio features; `None` if it cannot be told.
    pub features: Option<FeatureKind>,
    /// Whether audio attention is on.
    pub attention: bool,
    /// Whether it follows an eye value.
    pub eye: bool,
    /// Whether it has a torso net.
    pub torso: bool,
    /// Shapes of the individual codes: head, torso.
    pub codes: [Option<Vec<usize>>; 2],
    /// Feature tables and their shapes.
    pub tables: Vec<(String, Vec<usize>)>,
    /// Training progress: epoch and step.
    pub progress: [Option<f64>; 2],
    /// Avatars only: title, width, height, poses.
    pub avatar: Option<AvatarFacts>,
    /// Python objects that were passed over.
    pub skipped: Vec<String>,
    /// Why it cannot be rendered; empty if it can.
    pub problems: Vec<String>,
}

/// What only an avatar has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AvatarFacts {
    /// For people.
    pub title: String,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames before the poses turn back.
    pub poses: usize,
    /// Whether captured torsos are part of it.
    pub torso_images: bool,
    /// Who made it and who is shown.
    pub credits: String,
    /// Terms of use.
    pub licence: String,
}

/// Describes a checkpoint file, an avatar's folder, or a subject's data folder with a checkpoint in it.
///
/// A model that is recognised but not complete gives a report with [`Report::problems`].
///
/// # Errors
/// [`AvatarError`] when the path cannot be read or is not a model at all.
pub fn inspect(path: &Path) -> Result<Report, AvatarError> {
    let metadata = fs::metadata(path).map_err(AvatarError::io(path))?;
    if !metadata.is_dir() {
        return inspect_file(path, path);
    }
    if path.join("avatar.toml").is_file() {
        let mut report = inspect_file(path, &path.join(model_file::FILE))?;
        match Avatar::load(path) {
            Ok(avatar) => {
                report.avatar = Some(AvatarFacts {
                    torso_images: avatar.has_torso_images(),
                    title: avatar.title,
                    width: avatar.width,
                    height: avatar.height,
                    poses: avatar.poses.len(),
                    credits: avatar.credits,
                    licence: avatar.licence,
                });
            }
            // Loading also says what the model lacks, with the file's name.
            Err(e) => report.problems = vec![e.to_string()],
        }
        return Ok(report);
    }
    let checkpoint = path.join("ngp.pth");
    if !checkpoint.is_file() {
        return Err(AvatarError::Missing {
            file: "avatar.toml".to_owned(),
            folder: path.display().to_string(),
            hint: "it is no avatar, and there is no ngp.pth in it either; name the checkpoint file itself"
                .to_owned(),
        });
    }
    let mut report = inspect_file(path, &checkpoint)?;
    report.problems.extend(data_problems(path, &report));
    Ok(report)
}

/// What a data folder lacks for `headcast avatar import`.
fn data_problems(folder: &Path, report: &Report) -> Vec<String> {
    let lacks = |names: &[&str]| !names.iter().any(|name| folder.join(name).exists());
    let mut problems = Vec::new();
    match POSES.iter().map(|name| folder.join(name)).find(|path| path.exists()) {
        Some(path) => problems.extend(Transforms::read(&path).err().map(|e| e.to_string())),
        None => problems.push("transforms_train.json is missing: the camera poses".to_owned()),
    }
    if lacks(&["bc.jpg", "bc.jpeg", "bc.png"]) {
        problems.push("bc.jpg is missing: the background".to_owned());
    }
    if report.eye && lacks(&["au.csv"]) {
        problems.push("au.csv is missing: the eye values (or import with --fix-eye 0.25)".to_owned());
    }
    if report.family == Family::ErNerf && !report.torso && lacks(&["torso_imgs"]) {
        problems.push("torso_imgs is missing: the captured torso of each frame".to_owned());
    }
    problems
}

fn inspect_file(shown: &Path, path: &Path) -> Result<Report, AvatarError> {
    let file = File::open(path).map_err(AvatarError::io(path))?;
    let bytes = file.metadata().map_err(AvatarError::io(path))?.len();
    let wrap = |source: CheckpointError| AvatarError::Checkpoint { file: path.display().to_string(), source };
    let mut checkpoint = Checkpoint::open(BufReader::new(file)).map_err(wrap)?;
    Ok(describe(shown, bytes, &mut checkpoint))
}

fn describe<R: Read + Seek>(path: &Path, bytes: u64, checkpoint: &mut Checkpoint<R>) -> Report {
    let family = checkpoint.family();
    let shape = |name: &str| checkpoint.shape(name).map(<[usize]>::to_vec);
    let count = |shape: &[usize]| shape.iter().fold(1u64, |n, size| n.saturating_mul(*size as u64));
    let tables: Vec<_> = checkpoint
        .tensors()
        .filter_map(|t| Some((t.name.strip_suffix(".embeddings")?.to_owned(), t.shape)))
        .collect();
    let columns = |name: &str| shape(name).and_then(|s| s.get(1).copied()).unwrap_or(0);
    let eye_columns = if family == Family::RadNerf { 64 } else { 36 + 32 };
    let features = shape("audio_net.encoder_conv.0.weight")
        .and_then(|s| s.get(1).copied())
        .and_then(FeatureKind::from_dims);
    let mut report = Report {
        path: path.to_owned(),
        bytes,
        family,
        tensors: checkpoint.tensors().count(),
        parameters: checkpoint.tensors().map(|t| count(&t.shape)).fold(0, u64::saturating_add),
        features,
        attention: checkpoint.has("audio_att_net.attentionConvNet.0.weight"),
        eye: columns("sigma_net.net.0.weight") > eye_columns,
        torso: checkpoint.has("torso_net.net.0.weight"),
        codes: [shape("individual_codes"), shape("individual_codes_torso")],
        tables,
        progress: [checkpoint.scalar("epoch"), checkpoint.scalar("global_step")],
        avatar: None,
        skipped: checkpoint.skipped().to_vec(),
        problems: Vec::new(),
    };
    if let Err(e) = ErNerf::from_checkpoint(checkpoint) {
        report.problems.push(e.to_string());
    }
    report
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(f, "{name:<12}{value}");
        line("path", &self.path.display())?;
        if let Some(avatar) = &self.avatar {
            line("avatar", &avatar.title)?;
            line("picture", &format_args!("{}x{}", avatar.width, avatar.height))?;
            line("poses", &avatar.poses)?;
            for (name, text) in [("credits", &avatar.credits), ("licence", &avatar.licence)] {
                if !text.is_empty() {
                    line(name, text)?;
                }
            }
        }
        line("family", &self.family)?;
        line(
            "model",
            &format_args!("{} tensors, {} values, {} bytes", self.tensors, self.parameters, self.bytes),
        )?;
        if self.family != Family::Unknown && self.family != Family::AdNerf {
            let features = self.features.map_or("rows of an unknown width", FeatureKind::describe);
            line("features", &features)?;
            line("attention", &on(self.attention))?;
            line("eye value", &on(self.eye))?;
            let captured = self.avatar.as_ref().is_some_and(|avatar| avatar.torso_images);
            line("torso", &if captured { "captured pictures" } else { on(self.torso) })?;
        }
        for (name, code) in ["head code", "torso code"].iter().zip(&self.codes) {
            if let Some(shape) = code {
                line(name, &format_args!("{shape:?}"))?;
            }
        }
        for (name, shape) in &self.tables {
            line("table", &format_args!("{name} {shape:?}"))?;
        }
        for (name, value) in ["epoch", "step"].iter().zip(self.progress) {
            if let Some(value) = value {
                line(name, &value)?;
            }
        }
        if !self.skipped.is_empty() {
            line("skipped", &format_args!("{} (never executed)", self.skipped.join(", ")))?;
        }
        for problem in &self.problems {
            line("problem", problem)?;
        }
        Ok(())
    }
}

fn on(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}
