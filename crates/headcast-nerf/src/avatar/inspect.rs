//! The doctor: what a checkpoint, a training folder or an avatar is, what it lacks, and what it cannot say.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufReader, Read, Seek};
use std::path::{Path, PathBuf};

use headcast_core::FeatureKind;

use super::checklist::{Check, Item, Wanted, examine_data};
use super::dataset::POSES;
use super::error::AvatarError;
use super::fit::Training;
use super::import::{BACKGROUNDS, TORSO_IMAGES, file_name};
use super::report::{AvatarFacts, FullBodyFacts, Inferred, Report, extractor_command};
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
    inspect_near(path, None)
}

/// As [`inspect`], of a checkpoint or a workspace whose data are in the folder `data`. An avatar has its own.
///
/// # Errors
/// As [`inspect`]; what is wrong with the data is a problem in the report.
pub fn inspect_with_data(path: &Path, data: &Path) -> Result<Report, AvatarError> {
    inspect_near(path, Some(data))
}

fn inspect_near(path: &Path, data: Option<&Path>) -> Result<Report, AvatarError> {
    let is_folder = fs::metadata(path).map_err(AvatarError::io(path))?.is_dir();
    if path.join("avatar.toml").is_file() {
        return inspect_avatar(path);
    }
    let checkpoint = if is_folder { checkpoint_in(path) } else { Some(path.to_owned()) };
    let Some(checkpoint) = checkpoint else {
        return Err(AvatarError::Missing {
            file: "avatar.toml".to_owned(),
            folder: path.display().to_string(),
            hint: "it is no avatar, and there is no checkpoint in it either (ngp.pth, checkpoints/ngp_epNNNN.pth, \
                   NNNNNN_head.tar); name the checkpoint file itself"
                .to_owned(),
        });
    };
    let (mut report, network) = inspect_file(path, &checkpoint)?;
    // A workspace holds checkpoints alone; data lie elsewhere.
    let beside = (is_folder && is_data(path)).then_some(path);
    if let Some(folder) = data.or(beside) {
        add_data(folder, &mut report, network.as_ref());
    }
    Ok(report)
}

/// Joins what lies around a checkpoint to what is said of it, and returns what else the model has a use for.
fn add_data(folder: &Path, report: &mut Report, network: Option<&Network>) -> Wanted {
    let [epoch, step] = report.progress;
    let codes = report.codes[0].as_ref().and_then(|shape| shape.first().copied());
    let model = network.map(|network| (network, Training { codes, epoch, step }));
    let found = examine_data(folder, &report.model_file, report.family, model);
    report.needs.clear();
    report.data = found.data;
    report
        .problems
        .extend(found.checks.iter().filter(|check| check.is_problem()).map(|check| check.text.clone()));
    report
        .warnings
        .extend(found.checks.iter().filter(|check| check.is_warning()).map(|check| check.text.clone()));
    report.checks.extend(found.checks);
    found.wanted
}

/// What [`examine`] found.
#[derive(Debug)]
#[non_exhaustive]
pub struct Examination {
    /// Of the checkpoint, if there is one that can be opened.
    pub report: Option<Report>,
    /// What an import needs, item by item.
    pub checks: Vec<Check>,
    /// What else of the data folder the model has a use for.
    pub wanted: Wanted,
}

impl Examination {
    /// Whether an import would go through, as far as can be told.
    pub fn is_importable(&self) -> bool {
        !self.checks.iter().any(|check| check.blocks)
    }
}

/// Looks at a folder that is to become an avatar and may not be complete yet: a checkpoint and its data, side by side.
///
/// What cannot be read is a line of the list and no error.
pub fn examine(folder: &Path) -> Examination {
    let single_body = || ad_import::newest(folder, "_body.tar");
    let Some(checkpoint) = checkpoint_in(folder).or_else(single_body) else {
        let text = "no checkpoint is here: upstream keeps ngp_epNNNN.pth or ngp.pth in trial_<ID>_torso/checkpoints (or \
                    trial_<ID>/checkpoints of a head alone), AD-NeRF NNNNNN_head.tar in logs/<id>_com";
        let found = examine_data(folder, &folder.join("ngp.pth"), Family::Unknown, None);
        let checks = [Check::missing(Item::Checkpoint, text)].into_iter().chain(found.checks).collect();
        return Examination { report: None, checks, wanted: found.wanted };
    };
    match inspect_file(folder, &checkpoint) {
        Ok((mut report, network)) => {
            let wanted = add_data(folder, &mut report, network.as_ref());
            if report.part == Some(AdPart::Body) {
                let text = format!(
                    "{} is the body, and NNNNNN_head.tar is missing: it lies beside it, in logs/<id>_com or logs/<id>_head",
                    file_name(&checkpoint)
                );
                report.problems.push(text.clone());
                report.checks.insert(0, Check::missing(Item::Checkpoint, text));
            }
            Examination { checks: report.checks.clone(), report: Some(report), wanted }
        }
        Err(error) => {
            let found = examine_data(folder, &checkpoint, Family::Unknown, None);
            let broken = Check::unusable(Item::Checkpoint, error.to_string());
            let checks = [broken].into_iter().chain(found.checks).collect();
            Examination { report: None, checks, wanted: found.wanted }
        }
    }
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
    let names = POSES.iter().chain(&BACKGROUNDS).chain(&["au.csv", TORSO_IMAGES]);
    names.into_iter().any(|name| folder.join(name).exists())
}

fn inspect_avatar(path: &Path) -> Result<Report, AvatarError> {
    let (mut report, _) = inspect_file(path, &path.join(model_file::FILE))?;
    report.variant = "imported avatar";
    report.needs.clear();
    match Avatar::load(path) {
        Ok(avatar) => {
            // What the file cannot tell was decided when it was imported.
            let decided = |item| matches!(item, Item::Attention | Item::Options);
            report.checks.retain(|check| !decided(check.item));
            report.warnings = warning_texts(&report.checks);
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

/// What a model's file says, and the network in it unless something is wrong with it or it is half of one.
fn inspect_file(shown: &Path, path: &Path) -> Result<(Report, Option<Network>), AvatarError> {
    let file = File::open(path).map_err(AvatarError::io(path))?;
    let bytes = file.metadata().map_err(AvatarError::io(path))?.len();
    let wrap = |source: CheckpointError| AvatarError::Checkpoint { file: path.display().to_string(), source };
    let mut checkpoint = Checkpoint::open(BufReader::new(file)).map_err(wrap)?;
    let (mut report, network) = describe(&mut checkpoint);
    (report.path, report.model_file, report.bytes) = (shown.to_owned(), path.to_owned(), bytes);
    report.checks.insert(
        0,
        match report.problems.first() {
            Some(problem) => Check::unusable(Item::Checkpoint, format!("{}: {problem}", file_name(path))),
            None => Check::fine(
                Item::Checkpoint,
                format!("{}: {}, {}", file_name(path), report.family, report.variant),
            ),
        },
    );
    Ok((report, network))
}

fn warning_texts(checks: &[Check]) -> Vec<String> {
    checks.iter().filter(|check| check.is_warning()).map(|check| check.text.clone()).collect()
}

fn describe<R: Read + Seek>(checkpoint: &mut Checkpoint<R>) -> (Report, Option<Network>) {
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
        checks: Vec::new(),
        skipped: checkpoint.skipped().to_vec(),
        problems: Vec::new(),
    };
    report.checks = remarks(&report, checkpoint);
    report.warnings = warning_texts(&report.checks);
    let half = family == Family::AdNerf && !checkpoint.has("head.network_fn_state_dict.pts_linears.0.weight");
    let loaded = match half {
        // Its networks can be checked, and nothing can be rendered from it alone.
        true => AdField::from_checkpoint(checkpoint).map(|_| None),
        false => Network::from_checkpoint(checkpoint).map(Some),
    };
    let network = loaded.unwrap_or_else(|e| {
        report.problems.push(e.to_string());
        None
    });
    (report, network)
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

/// What the features are, and what the file cannot tell.
fn remarks<R: Read + Seek>(report: &Report, checkpoint: &mut Checkpoint<R>) -> Vec<Check> {
    let mut checks = Vec::new();
    let scene = matches!(report.family, Family::ErNerf | Family::RadNerf);
    match report.features {
        // Both extractors of that width are built alike.
        Some(FeatureKind::DeepSpeech) => checks.push(Check::warning(
            Item::Features,
            "29 values a row are DeepSpeech's or those of headcast's built-in model; the lips are best with the \
             extractor of the training data, which a file cannot tell",
        )),
        Some(kind) => {
            let text = format!("{}: {}", kind.describe(), extractor_command(kind));
            checks.push(Check::fine(Item::Features, text));
        }
        None => {}
    }
    if scene && report.attention {
        checks.push(Check::warning(
            Item::Attention,
            "a file cannot tell attention 1 from 2 (which neighbours are heard): 2 is taken, upstream's default; if \
             the lips run ahead, import with --attention 1",
        ));
    }
    if scene {
        checks.push(Check::warning(
            Item::Options,
            "a file cannot tell --max_steps, --dt_gamma, --min_near and --torso_shrink: upstream's defaults are \
             taken (16, 1/256, 0.05, 0.8)",
        ));
    }
    if report.family == Family::RadNerf {
        checks.push(Check::warning(
            Item::Grids,
            "RAD-NeRF hashed its grids for a day (9 and 10 March 2023), which shapes do not show: if the picture is \
             noise, the file is from then and cannot be used",
        ));
    }
    if report.family == Family::ErNerf && !report.eye {
        checks.push(Check::warning(
            Item::WithoutEye,
            "upstream's ER-NeRF cannot render without the eye value (--exp_eye); headcast can",
        ));
    }
    if scene
        && checkpoint
            .read("density_bitfield")
            .and_then(crate::checkpoint::Tensor::into_u8)
            .is_ok_and(|bits| bits.iter().all(|byte| *byte == 0))
    {
        checks.push(Check::warning(
            Item::Occupancy,
            "`density_bitfield` is empty: nothing of the head can be seen; the file is from before the first update \
             of the occupancy grid, take a later one",
        ));
    }
    if report.family == Family::AdNerf {
        checks.push(Check::warning(
            Item::Speed,
            "AD-NeRF is slow by nature: a frame of 450x450 takes minutes on a CPU",
        ));
    }
    checks
}
