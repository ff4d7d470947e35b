//! The doctor: what a checkpoint, a training folder or an avatar is, what it lacks, and what it cannot say.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use headcast_core::FeatureKind;

use super::dataset::{LIVE_TALKING_POSES, POSES, Transforms};
use super::error::AvatarError;
use super::full_body::USUAL_FOLDER;
use super::import::BACKGROUNDS;
use super::report::{AvatarFacts, DataFacts, FullBodyFacts, Inferred, Report};
use super::{Avatar, ad_import, model_file};
use crate::checkpoint::{AdPart, Checkpoint, CheckpointError, Family};
use crate::model::{AdField, FaceNet, Network};

/// Describes a checkpoint file, an avatar's folder, or a folder with a checkpoint in it: a training run's workspace, a
/// subject's data folder.
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
        return inspect_avatar(path);
    }
    let Some(checkpoint) = checkpoint_in(path) else {
        return Err(AvatarError::Missing {
            file: "avatar.toml".to_owned(),
            folder: path.display().to_string(),
            hint: "it is no avatar, and there is no checkpoint in it either (ngp.pth, checkpoints/ngp_epNNNN.pth, \
                   NNNNNN_head.tar); name the checkpoint file itself"
                .to_owned(),
        });
    };
    let mut report = inspect_file(path, &checkpoint)?;
    // A workspace holds checkpoints alone; data lie elsewhere.
    if is_data(path) {
        report.needs.clear();
        examine_data(path, &mut report);
    }
    Ok(report)
}

/// The checkpoint of a training folder that upstream's own test would load: the latest epoch, else `ngp.pth`, else
/// AD-NeRF's last head file. Looks into
/// `checkpoints/` (upstream's) and `pretrained/` (`LiveTalking`'s) too.
pub(super) fn checkpoint_in(folder: &Path) -> Option<PathBuf> {
    let folders = [folder.to_owned(), folder.join("checkpoints"), folder.join("pretrained")];
    let named = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|path| path.is_file());
    let latest = folders.iter().find_map(|folder| latest_epoch(folder));
    let single = || ["ngp.pth", "ngp_kf.pth"].into_iter().find_map(named);
    latest
        .or_else(single)
        .or_else(|| folders.iter().find_map(|folder| ad_import::newest(folder, "_head.tar")))
}

/// `ngp_epNNNN.pth` with the largest number.
fn latest_epoch(folder: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(folder).ok()?.flatten();
    let numbered = files.filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let number: u64 = name.strip_prefix("ngp_ep")?.strip_suffix(".pth")?.parse().ok()?;
        Some((number, file.path()))
    });
    numbered.max().map(|(_, path)| path)
}

fn is_data(folder: &Path) -> bool {
    let names = POSES.iter().chain(&BACKGROUNDS).chain(&["au.csv", "torso_imgs"]);
    names.into_iter().any(|name| folder.join(name).exists())
}

fn inspect_avatar(path: &Path) -> Result<Report, AvatarError> {
    let mut report = inspect_file(path, &path.join(model_file::FILE))?;
    report.variant = "imported avatar";
    report.needs.clear();
    match Avatar::load(path) {
        Ok(avatar) => {
            // What the file cannot tell was decided when it was imported.
            report
                .warnings
                .retain(|warning| !["--attention", "--max_steps"].iter().any(|s| warning.contains(s)));
            let (width, height) = avatar.video_size();
            report.avatar = Some(AvatarFacts {
                torso_images: avatar.has_torso_images(),
                full_body: avatar.full_body.as_ref().map(|body| FullBodyFacts {
                    width: avatar.width,
                    height: avatar.height,
                    offset_x: body.offset().0,
                    offset_y: body.offset().1,
                    pictures: body.pictures(),
                }),
                title: avatar.title,
                width,
                height,
                poses: avatar.poses.len(),
                credits: avatar.credits,
                licence: avatar.licence,
            });
        }
        // Loading also says what the model lacks, with the file's name.
        Err(e) => report.problems = vec![e.to_string()],
    }
    Ok(report)
}

/// What a data folder holds and lacks for `headcast avatar import`.
fn examine_data(folder: &Path, report: &mut Report) {
    let lacks = |names: &[&str]| !names.iter().any(|name| folder.join(name).exists());
    let problems = &mut report.problems;
    match POSES.iter().map(|name| folder.join(name)).find(|path| path.exists()) {
        Some(path) => match Transforms::read(&path) {
            Ok(poses) => {
                report.data = Some(DataFacts {
                    poses_file: path,
                    poses: poses.poses.len(),
                    width: poses.width,
                    height: poses.height,
                });
            }
            Err(e) => problems.push(e.to_string()),
        },
        None => problems.push("transforms_train.json is missing: the camera poses".to_owned()),
    }
    // LiveTalking's is white without a picture.
    let live_talking = lacks(&POSES[..2]) && !lacks(&[LIVE_TALKING_POSES]);
    if lacks(&BACKGROUNDS) && !live_talking {
        problems.push("bc.jpg is missing: the background".to_owned());
    }
    if report.family == Family::ErNerf && report.eye && lacks(&["au.csv"]) {
        problems.push("au.csv is missing: the eye values (or import with --fix-eye 0.25)".to_owned());
    }
    if matches!(report.family, Family::ErNerf | Family::RadNerf) && !report.torso && lacks(&["torso_imgs"]) {
        problems.push("torso_imgs is missing: the captured torso of each frame".to_owned());
    }
    if !lacks(&[USUAL_FOLDER]) {
        report.warnings.push(format!(
            "{USUAL_FOLDER} holds full-body pictures; files cannot tell where the training video was cut out of them: import \
             with --fullbody-img {} --fullbody-offset-x X --fullbody-offset-y Y",
            folder.join(USUAL_FOLDER).display()
        ));
    }
    if report.family == Family::AdNerf && lacks(&ad_import::CONFIGS) {
        problems.push(format!("{} is missing: near and far", ad_import::CONFIGS[0]));
    }
}

fn inspect_file(shown: &Path, path: &Path) -> Result<Report, AvatarError> {
    let file = File::open(path).map_err(AvatarError::io(path))?;
    let bytes = file.metadata().map_err(AvatarError::io(path))?.len();
    let wrap = |source: CheckpointError| AvatarError::Checkpoint { file: path.display().to_string(), source };
    let mut checkpoint = Checkpoint::open(BufReader::new(file)).map_err(wrap)?;
    let mut report = describe(&mut checkpoint);
    (report.path, report.model_file, report.bytes) = (shown.to_owned(), path.to_owned(), bytes);
    Ok(report)
}

fn describe<R: Read + Seek>(checkpoint: &mut Checkpoint<R>) -> Report {
    let family = checkpoint.family();
    let names = Names::of(family, checkpoint);
    let shape = |name: &str| checkpoint.shape(name).map(<[usize]>::to_vec);
    let count = |shape: &[usize]| shape.iter().fold(1u64, |n, size| n.saturating_mul(*size as u64));
    let tables: Vec<_> = checkpoint
        .tensors()
        .filter_map(|t| Some((t.name.strip_suffix(".embeddings")?.to_owned(), t.shape)))
        .collect();
    let mut precision = BTreeMap::new();
    for tensor in checkpoint.tensors() {
        let values = precision.entry(tensor.dtype.name()).or_insert((tensor.dtype, 0u64));
        values.1 = values.1.saturating_add(count(&tensor.shape));
    }
    let columns = |name: &str| shape(name).and_then(|s| s.get(1).copied()).unwrap_or(0);
    let features = FeatureKind::from_dims(columns(&names.audio));
    let part = if family == Family::AdNerf { AdPart::of(checkpoint) } else { None };
    let torso = match family {
        Family::AdNerf => part == Some(AdPart::Body) || checkpoint.has("body.pose"),
        _ => checkpoint.has("torso_net.net.0.weight"),
    };
    let mut report = Report {
        path: PathBuf::new(),
        model_file: PathBuf::new(),
        bytes: 0,
        family,
        variant: variant(family, part, checkpoint),
        part,
        tensors: checkpoint.tensors().count(),
        parameters: checkpoint.tensors().map(|t| count(&t.shape)).fold(0, u64::saturating_add),
        precision: precision.into_values().collect(),
        features,
        attention: checkpoint.has(&names.attention),
        eye: family != Family::AdNerf && columns(SIGMA) > names.without_eye,
        torso,
        codes: [shape("individual_codes"), shape("individual_codes_torso")],
        tables,
        progress: [checkpoint.scalar("epoch"), checkpoint.scalar("global_step")],
        avatar: None,
        data: None,
        inferred: inferred(family, &names, checkpoint),
        needs: needs(family, torso),
        warnings: Vec::new(),
        skipped: checkpoint.skipped().to_vec(),
        problems: Vec::new(),
    };
    report.warnings = warnings(&report, checkpoint);
    let half = family == Family::AdNerf && !checkpoint.has("head.network_fn_state_dict.pts_linears.0.weight");
    let loaded = match half {
        // Its networks can be checked, and nothing can be rendered from it alone.
        true => AdField::from_checkpoint(checkpoint).map(drop),
        false => Network::from_checkpoint(checkpoint).map(drop),
    };
    if let Err(e) = loaded {
        report.problems.push(e.to_string());
    }
    report
}

/// Tensors that say what a model is, by family.
struct Names {
    audio: String,
    attention: String,
    /// Inputs of sigma besides the eye value.
    without_eye: usize,
}

const SIGMA: &str = "sigma_net.net.0.weight";

impl Names {
    fn of<R: Read + Seek>(family: Family, checkpoint: &Checkpoint<R>) -> Self {
        let (audio, attention) = match family {
            Family::AdNerf => {
                let avatar = checkpoint.has("head.network_audnet_state_dict.encoder_conv.0.weight");
                let prefix = if avatar { "head." } else { "" };
                (
                    format!("{prefix}network_audnet_state_dict"),
                    format!("{prefix}network_audattnet_state_dict"),
                )
            }
            _ => ("audio_net".to_owned(), "audio_att_net".to_owned()),
        };
        Self {
            audio: format!("{audio}.encoder_conv.0.weight"),
            attention: format!("{attention}.attentionConvNet.0.weight"),
            without_eye: if family == Family::RadNerf { 32 + 32 } else { 36 + 32 },
        }
    }
}

fn variant<R: Read + Seek>(family: Family, part: Option<AdPart>, checkpoint: &Checkpoint<R>) -> &'static str {
    match (family, part) {
        (Family::AdNerf, Some(AdPart::Head)) => "head file (NNNNNN_head.tar)",
        (Family::AdNerf, Some(AdPart::Body)) => "body file (NNNNNN_body.tar)",
        (Family::ErNerf | Family::RadNerf, _)
            if checkpoint.has("density_grid") || checkpoint.has_beside("optimizer") =>
        {
            "`latest`: raw weights, with what only training needs"
        }
        (Family::ErNerf | Family::RadNerf, _) => "`best`: averaged weights, without what only training needs",
        _ => "unknown",
    }
}

/// Options that are read from shapes, with the shapes.
fn inferred<R: Read + Seek>(family: Family, names: &Names, checkpoint: &Checkpoint<R>) -> Vec<Inferred> {
    let mut out = Vec::new();
    let mut push = |option, value: String, from: String| out.push(Inferred { option, value, from });
    let shape = |name: &str| checkpoint.shape(name);
    if let Some([_, dims, _]) = shape(&names.audio) {
        push("features", format!("{dims} values a row"), format!("`{}`, its inputs", names.audio));
    }
    if family == Family::AdNerf {
        for name in
            ["network_fn_state_dict.pts_linears.0.weight", "head.network_fn_state_dict.pts_linears.0.weight"]
        {
            if let Some([width, cols]) = shape(name) {
                let signal = cols.saturating_sub(FaceNet::POSITION);
                push("width", width.to_string(), format!("`{name}`, its outputs"));
                push("signal", format!("{signal} values"), format!("`{name}`, its inputs less 63"));
            }
        }
        return out;
    }
    if family == Family::Unknown {
        return out;
    }
    let there = if checkpoint.has(&names.attention) { "1 or 2" } else { "0" };
    push("attention", there.to_owned(), format!("whether `{}` is there", names.attention));
    if let Some([_, cols]) = shape(SIGMA) {
        let eye = if *cols > names.without_eye { "on" } else { "off" };
        push("exp_eye", eye.to_owned(), format!("`{SIGMA}`, {cols} inputs, {} without", names.without_eye));
    }
    let (code, from) = match shape("individual_codes") {
        Some([rows, dims]) => (format!("{dims}, {rows} rows"), "`individual_codes`"),
        _ => ("0".to_owned(), "`individual_codes`, which is not there"),
    };
    push("ind_dim", code, from.to_owned());
    if let Some([bytes]) = shape("density_bitfield") {
        push("cascades", (bytes / 262_144).to_string(), "`density_bitfield`, 262144 bytes each".to_owned());
    }
    for table in ["encoder_xy", "encoder", "encoder_ambient", "torso_encoder"] {
        if let (Some([levels]), Some([entries, channels])) =
            (shape(&format!("{table}.offsets")), shape(&format!("{table}.embeddings")))
        {
            let value = format!("{} levels, {entries} entries of {channels}", levels.saturating_sub(1));
            push("table", value, format!("`{table}.offsets`"));
        }
    }
    if checkpoint.has("embedding.weight") {
        push("emb", "on".to_owned(), "`embedding.weight`".to_owned());
    }
    out
}

/// What a checkpoint file alone does not hold.
fn needs(family: Family, torso: bool) -> Vec<&'static str> {
    const POSES: &str = "transforms_train.json, the camera poses: in the subject's folder (data/<ID>)";
    const BACKGROUND: &str = "bc.jpg, the background: beside it";
    let torso_images = (!torso).then_some("torso_imgs/, the captured torso of each frame: beside it");
    match family {
        Family::ErNerf => {
            let eyes = "au.csv, OpenFace's eye values: beside it, or --fix-eye 0.25";
            [POSES, BACKGROUND, eyes].into_iter().chain(torso_images).collect()
        }
        Family::RadNerf => {
            let eyes = "ori_imgs/*.lms, landmarks for the eyes: beside it, or `eye_ratio` in the pose file, or \
                        --fix-eye 0.25";
            [POSES, BACKGROUND, eyes].into_iter().chain(torso_images).collect()
        }
        Family::AdNerf => vec![
            "the other half: NNNNNN_head.tar and NNNNNN_body.tar are both in logs/<id>_com",
            "TorsoNeRFTest_config.txt, near and far: in the subject's folder (dataset/<id>)",
            "transforms_train.json and transforms_val.json, bc.jpg: beside it",
        ],
        Family::Unknown => Vec::new(),
    }
}

/// What the file cannot tell.
fn warnings<R: Read + Seek>(report: &Report, checkpoint: &mut Checkpoint<R>) -> Vec<String> {
    let mut warnings = Vec::new();
    let scene = matches!(report.family, Family::ErNerf | Family::RadNerf);
    if scene && report.attention {
        warnings.push(
            "a file cannot tell attention 1 from 2 (which neighbours are heard): 2 is taken, upstream's default; if \
             the lips run ahead, import with --attention 1"
                .to_owned(),
        );
    }
    if scene {
        warnings.push(
            "a file cannot tell --max_steps, --dt_gamma, --min_near and --torso_shrink: upstream's defaults are \
             taken (16, 1/256, 0.05, 0.8)"
                .to_owned(),
        );
    }
    if report.family == Family::RadNerf {
        warnings.push(
            "RAD-NeRF hashed its grids for a day (9 and 10 March 2023), which shapes do not show: if the picture is \
             noise, the file is from then and cannot be used"
                .to_owned(),
        );
    }
    if report.family == Family::ErNerf && !report.eye {
        warnings.push(
            "upstream's ER-NeRF cannot render without the eye value (--exp_eye); headcast can".to_owned(),
        );
    }
    if report.features == Some(FeatureKind::DeepSpeech) {
        warnings.push(
            "29 values a row are DeepSpeech's or those of headcast's built-in model; the lips are best with the \
             extractor of the training data, which a file cannot tell"
                .to_owned(),
        );
    }
    if scene
        && checkpoint
            .read("density_bitfield")
            .and_then(crate::checkpoint::Tensor::into_u8)
            .is_ok_and(|bits| bits.iter().all(|byte| *byte == 0))
    {
        warnings.push(
            "`density_bitfield` is empty: nothing of the head can be seen; the file is from before the first update \
             of the occupancy grid, take a later one"
                .to_owned(),
        );
    }
    if report.family == Family::AdNerf {
        warnings.push("AD-NeRF is slow by nature: a frame of 450x450 takes minutes on a CPU".to_owned());
    }
    warnings
}
