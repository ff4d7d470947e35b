//! What the doctor says of a checkpoint, a folder or an avatar.

use std::fmt;
use std::path::PathBuf;

use headcast_core::FeatureKind;

use super::checklist::Check;
use crate::checkpoint::{AdPart, DType, Family};

/// What was found.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// As given.
    pub path: PathBuf,
    /// The model's file.
    pub model_file: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// Which network.
    pub family: Family,
    /// How the file came about, as far as its content says.
    pub variant: &'static str,
    /// AD-NeRF checkpoints: which half it is.
    pub part: Option<AdPart>,
    /// Tensors in the state dict.
    pub tensors: usize,
    /// Numbers in them.
    pub parameters: u64,
    /// Numbers by element type.
    pub precision: Vec<(DType, u64)>,
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
    /// Avatars only.
    pub avatar: Option<AvatarFacts>,
    /// Folders only: what lies around the checkpoint.
    pub data: Option<DataFacts>,
    /// Options, and what in the file each was read from.
    pub inferred: Vec<Inferred>,
    /// What is needed besides the file, and where upstream keeps it.
    pub needs: Vec<&'static str>,
    /// What the file cannot tell, and what may go wrong.
    pub warnings: Vec<String>,
    /// What an import needs, item by item: of a file alone what the file says; of a folder also what lies around it.
    pub checks: Vec<Check>,
    /// Python objects that were passed over.
    pub skipped: Vec<String>,
    /// Why it cannot be rendered; empty if it can.
    pub problems: Vec<String>,
}

/// An option and where it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Inferred {
    /// What it is called.
    pub option: &'static str,
    /// Its value.
    pub value: String,
    /// Tensor and rule.
    pub from: String,
}

/// What only an avatar has.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AvatarFacts {
    /// For people.
    pub title: String,
    /// Pixels per row of the video.
    pub width: u32,
    /// Rows of the video.
    pub height: u32,
    /// Frames before the poses turn back.
    pub poses: usize,
    /// Whether captured torsos are part of it.
    pub torso_images: bool,
    /// Whether what the network renders is pasted into larger pictures.
    pub full_body: Option<FullBodyFacts>,
    /// Who made it and who is shown.
    pub credits: String,
    /// Terms of use.
    pub licence: String,
}

/// How what the network renders becomes the video.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FullBodyFacts {
    /// Pixels per row of what the network renders.
    pub width: u32,
    /// Rows of it.
    pub height: u32,
    /// Column at which it begins in the larger picture.
    pub offset_x: u32,
    /// Row at which it begins.
    pub offset_y: u32,
    /// Larger pictures: one a pose, or 1.
    pub pictures: usize,
}

/// What a subject's data folder holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DataFacts {
    /// The pose file.
    pub poses_file: PathBuf,
    /// Frames in it.
    pub poses: usize,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// How to make features of this kind from a recording, with upstream's programs.
pub fn extractor_command(kind: FeatureKind) -> &'static str {
    match kind {
        FeatureKind::DeepSpeech => {
            "built in, or ER-NeRF's `python data_utils/deepspeech_features/extract_ds_features.py --input X.wav` \
             (X.npy)"
        }
        FeatureKind::Wav2Vec2Esperanto => {
            "ER-NeRF's `python data_utils/wav2vec.py --wav X.wav --save_feats`, RAD-NeRF's `python nerf/asr.py --wav \
             X.wav --save_feats` (X_eo.npy)"
        }
        FeatureKind::Wav2Vec2 => {
            "the same script as for esperanto with `--asr_model facebook/wav2vec2-large-960h-lv60-self` (X.npy)"
        }
        FeatureKind::Hubert => "ER-NeRF's `python data_utils/hubert.py --wav X.wav` (X_hu.npy)",
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &dyn fmt::Display| writeln!(f, "{name:<12}{value}");
        line("path", &self.path.display())?;
        if self.model_file != self.path {
            line("file", &self.model_file.display())?;
        }
        if let Some(avatar) = &self.avatar {
            line("avatar", &avatar.title)?;
            line("picture", &format_args!("{}x{}", avatar.width, avatar.height))?;
            if let Some(FullBodyFacts { width, height, offset_x, offset_y, pictures }) = avatar.full_body {
                let plural = if pictures == 1 { "" } else { "s" };
                line(
                    "full body",
                    &format_args!(
                        "{width}x{height} rendered, at column {offset_x}, row {offset_y} of {pictures} picture{plural}"
                    ),
                )?;
            }
            line("poses", &avatar.poses)?;
            for (name, text) in [("credits", &avatar.credits), ("licence", &avatar.licence)] {
                if !text.is_empty() {
                    line(name, text)?;
                }
            }
        }
        if let Some(data) = &self.data {
            line("picture", &format_args!("{}x{}", data.width, data.height))?;
            line("poses", &format_args!("{} in {}", data.poses, data.poses_file.display()))?;
        }
        line("family", &self.family)?;
        line("variant", &self.variant)?;
        line(
            "model",
            &format_args!("{} tensors, {} values, {} bytes", self.tensors, self.parameters, self.bytes),
        )?;
        let types: Vec<_> =
            self.precision.iter().map(|(dtype, values)| format!("{values} {}", dtype.name())).collect();
        line("precision", &types.join(", "))?;
        if self.family != Family::Unknown {
            let features = self.features.map_or("rows of an unknown width", FeatureKind::describe);
            line("features", &features)?;
            if let Some(kind) = self.features {
                line("extractor", &extractor_command(kind))?;
            }
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
        for Inferred { option, value, from } in &self.inferred {
            line("read", &format_args!("{option} {value}, from {from}"))?;
        }
        if !self.skipped.is_empty() {
            line("skipped", &format_args!("{} (never executed)", self.skipped.join(", ")))?;
        }
        for need in &self.needs {
            line("needs", need)?;
        }
        for warning in &self.warnings {
            line("warning", warning)?;
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
