//! From an upstream checkpoint and its data folder to an avatar.

use std::fmt;
use std::fs::{self, File};
use std::io::{BufReader, Write};
use std::path::{Path, PathBuf};

use headcast_core::RgbImage;

use super::dataset::{LIVE_TALKING_POSES, POSES, Transforms, eye_values};
use super::error::AvatarError;
use super::fit::{Fit, Training, fit};
use super::full_body::{self, Found, FullBodyRequest};
use super::inspect::{checkpoint_in, inspect};
use super::manifest::{
    self, Frames as FramesEntry, Manifest, Model, Picture, SmoothingEntry, Source, check_name,
};
use super::poses::Frames;
use super::report::Report;
use super::{Avatar, Smoothing, ad_import, landmarks, model_file, picture, poses, read_bounded};
use crate::checkpoint::{Checkpoint, CheckpointError, Family};
use crate::draft::{Draft, PublishError};
use crate::model::Network;

/// What to import. Only the first three fields have no default: start from [`ImportRequest::new`].
#[derive(Debug, Clone, PartialEq)]
pub struct ImportRequest {
    /// `ngp.pth`, or any other ER-NeRF or RAD-NeRF checkpoint; AD-NeRF's `NNNNNN_head.tar`. Of a folder, the one that
    /// upstream's test would take: the latest epoch, else `ngp.pth`, else the last head file.
    pub checkpoint: PathBuf,
    /// Folder of the trained subject: poses, `au.csv`, background, torso pictures.
    pub data: PathBuf,
    /// Name of the avatar: see [`check_name`].
    pub name: String,
    /// For people; default: the name.
    pub title: Option<String>,
    /// Who made it and who is shown.
    pub credits: Option<String>,
    /// Terms of use, a name or a sentence.
    pub licence: Option<String>,
    /// A text file to keep with it as `LICENSE.txt`.
    pub licence_file: Option<PathBuf>,
    /// AD-NeRF: `NNNNNN_body.tar`; default: the last one beside the head file.
    pub body: Option<PathBuf>,
    /// AD-NeRF: the config file; default: `TorsoNeRFTest_config.txt` of the data folder.
    pub config: Option<PathBuf>,
    /// Pose file; default: `transforms_train.json`, `transforms_val.json` or `data_kf.json` of the data folder. AD-NeRF: the
    /// `test_pose_file` of the config first.
    pub transforms: Option<PathBuf>,
    /// Default: `bc.jpg` (or `.png`) of the data folder; white for `LiveTalking`'s data without one.
    pub background: Option<Background>,
    /// Larger pictures that what the network renders is pasted into; default: none.
    pub full_body: Option<FullBodyRequest>,
    /// A small JPEG or PNG to show in lists.
    pub thumbnail: Option<PathBuf>,
    /// One eye value in `[0, 1]` for all frames instead of what the data say (upstream `--fix_eye`).
    pub fix_eye: Option<f32>,
    /// Upstream `--att`: 1 or 2, which files cannot tell apart; default 2.
    pub attention: Option<u8>,
    /// Upstream `--max_steps`; default 16.
    pub max_steps: Option<u32>,
    /// Defaults of the avatar; `None` as upstream's renderer has them: all on for RAD-NeRF and for `LiveTalking`'s data, all
    /// off for the others.
    pub smoothing: Option<Smoothing>,
    /// Keep feature tables in half precision: half the size, differences below one step in 8 bits almost everywhere.
    pub half: bool,
    /// Replace an avatar of this name.
    pub overwrite: bool,
}

/// What is put behind the person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Background {
    /// A PNG or JPEG, resized if it has another size than the video.
    File(PathBuf),
    /// One colour.
    Colour([u8; 3]),
}

impl Background {
    /// Upstream's `--bg_img`: `white`, `black`, or a picture file.
    pub fn from_name(name: &str) -> Self {
        match name {
            "white" => Self::Colour([255; 3]),
            "black" => Self::Colour([0; 3]),
            file => Self::File(file.into()),
        }
    }
}

impl ImportRequest {
    /// A request with every default.
    pub fn new(checkpoint: impl Into<PathBuf>, data: impl Into<PathBuf>, name: impl Into<String>) -> Self {
        Self {
            checkpoint: checkpoint.into(),
            data: data.into(),
            name: name.into(),
            title: None,
            credits: None,
            licence: None,
            licence_file: None,
            body: None,
            config: None,
            transforms: None,
            background: None,
            full_body: None,
            thumbnail: None,
            fix_eye: None,
            attention: None,
            max_steps: None,
            smoothing: None,
            half: false,
            overwrite: false,
        }
    }
}

/// What [`import`] made.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ImportReport {
    /// The new folder.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it holds.
    pub avatar: Report,
    /// What the user should know, one sentence each.
    pub notes: Vec<String>,
}

impl fmt::Display for ImportReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.avatar)?;
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
        }
        Ok(())
    }
}

/// Imports an avatar into `library_dir/NAME`.
///
/// Everything is read and checked first, then written to a hidden folder beside the target, opened once as a
/// check, and renamed: an avatar is there whole or not at all.
///
/// # Errors
/// [`AvatarError`]; nothing is left behind.
pub fn import(request: &ImportRequest, library_dir: &Path) -> Result<ImportReport, AvatarError> {
    check_name(&request.name)?;
    if request.checkpoint.is_dir() {
        return import_folder(request, library_dir);
    }
    let target = library_dir.join(&request.name);
    if target.symlink_metadata().is_ok() && !request.overwrite {
        return Err(AvatarError::Exists { name: request.name.clone() });
    }
    let mut notes = Vec::new();
    let files = gather(request, &mut notes)?;

    let draft = Draft::new(library_dir, &request.name).map_err(AvatarError::io(library_dir))?;
    let bytes = files.write(draft.folder())?;
    Avatar::load(draft.folder())?;
    draft.publish(request.overwrite).map_err(|error| match error {
        PublishError::Exists => AvatarError::Exists { name: request.name.clone() },
        PublishError::Io(source) => AvatarError::io(&target)(source),
    })?;
    let avatar = inspect(&target)?;
    Ok(ImportReport { path: target, bytes, avatar, notes })
}

/// As [`import`], with the checkpoint that upstream's test would take from the folder of a training run.
fn import_folder(request: &ImportRequest, library_dir: &Path) -> Result<ImportReport, AvatarError> {
    let checkpoint = checkpoint_in(&request.checkpoint).ok_or_else(|| AvatarError::Missing {
        file: "ngp.pth".to_owned(),
        folder: request.checkpoint.display().to_string(),
        hint: "no checkpoint is there or in its folder `checkpoints` (ngp_epNNNN.pth, ngp.pth, or AD-NeRF's \
               NNNNNN_head.tar); name the file itself"
            .to_owned(),
    })?;
    let note = format!("the checkpoint is {}", checkpoint.display());
    let mut report = import(&ImportRequest { checkpoint, ..request.clone() }, library_dir)?;
    report.notes.insert(0, note);
    Ok(report)
}

/// The files of an avatar before they are written.
struct Files {
    small: Vec<(String, Vec<u8>)>,
    /// Copied one by one: a minute of torso pictures does not belong in memory.
    torso: Vec<(u32, PathBuf)>,
    /// Likewise.
    full_body: Option<Found>,
}

impl Files {
    fn write(&self, folder: &Path) -> Result<u64, AvatarError> {
        let mut total = 0;
        let mut write = |name: &str, bytes: &[u8]| {
            let path = folder.join(name);
            total += bytes.len() as u64;
            let written = File::create_new(&path).and_then(|mut file| file.write_all(bytes));
            written.map_err(AvatarError::io(path))
        };
        for (name, bytes) in &self.small {
            write(name, bytes)?;
        }
        if !self.torso.is_empty() {
            let torso = folder.join("torso");
            fs::create_dir(&torso).map_err(AvatarError::io(torso))?;
            for (img_id, path) in &self.torso {
                write(&super::torso_file(*img_id), &read_bounded(path, MAX_PICTURE)?)?;
            }
        }
        if let Some(found) = &self.full_body {
            if !found.entry.still {
                let pictures = folder.join("fullbody");
                fs::create_dir(&pictures).map_err(AvatarError::io(pictures))?;
            }
            for (name, path) in &found.files {
                write(name, &found.read(path)?)?;
            }
        }
        Ok(total)
    }
}

/// Reads and checks everything.
fn gather(request: &ImportRequest, notes: &mut Vec<String>) -> Result<Files, AvatarError> {
    let Read { mut model, test_poses, source, training } = read_model(request, notes)?;
    if let Some(options) = model.options_mut() {
        if let Some(attention) = request.attention {
            manifest::check_attention(attention, options.attention)?;
            options.attention = attention;
        }
        if let Some(max_steps) = request.max_steps {
            manifest::check_max_steps(max_steps)?;
            options.max_steps = max_steps;
        }
    }
    let (mut transforms, poses_file) = read_transforms(request, test_poses)?;
    if matches!(model, Network::Ad(_))
        && let Some(size) = ad_import::picture_size(request)?
    {
        (transforms.width, transforms.height) = size;
    }
    match fit(&model, &training, &source.checkpoint, &transforms, &poses_file) {
        Fit::Good(_) => {}
        Fit::Doubtful(what) => notes.push(what),
        Fit::Wrong(what) => return Err(AvatarError::data(poses_file, what)),
    }
    let live_talking = poses_file == LIVE_TALKING_POSES;
    let eyes = read_eyes(request, &model, &transforms, notes)?;
    let size = (transforms.width, transforms.height);
    let (background_name, background) = read_background(request, size, live_talking, notes)?;
    let torso = match (&model, model.has_torso()) {
        (Network::Ad(_), _) | (_, true) => Vec::new(),
        (_, false) => torso_images(request, &transforms, notes)?,
    };
    let full_body = match &request.full_body {
        Some(wanted) => Some(Found::gather(wanted, &transforms)?),
        None => None,
    };
    if full_body.is_none() && request.data.join(full_body::USUAL_FOLDER).is_dir() {
        notes.push(format!(
            "the full-body pictures in {0} are left out: to paste into them, import with --fullbody-img {0} \
             --fullbody-offset-x X --fullbody-offset-y Y, the place at which the training video was cut out",
            request.data.join(full_body::USUAL_FOLDER).display()
        ));
    }
    let smoothing = request.smoothing.unwrap_or_else(|| {
        // Upstream's programs: RAD-NeRF's `test.py` and LiveTalking smooth everything, the others nothing unless asked.
        let on = live_talking || matches!(model, Network::Rad(_));
        Smoothing { path: on, eyes: on, lips: on }
    });

    let mut small = vec![
        (model_file::FILE.to_owned(), model_file::to_bytes(&model, request.half)?),
        (background_name.clone(), background),
    ];
    let mut thumbnail = None;
    if let Some(path) = &request.thumbnail {
        let bytes = read_bounded(path, MAX_THUMBNAIL)?;
        picture::decode(&path.display().to_string(), &bytes)?;
        let name = format!("thumbnail.{}", extension(&bytes));
        small.push((name.clone(), bytes));
        thumbnail = Some(name);
    }
    if let Some(path) = &request.licence_file {
        small.push(("LICENSE.txt".to_owned(), read_bounded(path, MAX_THUMBNAIL)?));
    }
    let manifest = Manifest {
        format: manifest::FORMAT,
        kind: manifest::kind_word(&model).to_owned(),
        title: request.title.clone().unwrap_or_else(|| request.name.clone()),
        credits: request.credits.clone().unwrap_or_default(),
        licence: request.licence.clone().unwrap_or_default(),
        picture: Picture {
            width: transforms.width,
            height: transforms.height,
            fx: transforms.intrinsics.fx,
            fy: transforms.intrinsics.fy,
            cx: transforms.intrinsics.cx,
            cy: transforms.intrinsics.cy,
        },
        model: Model::of(&model),
        smoothing: SmoothingEntry { path: smoothing.path, eyes: smoothing.eyes, lips: smoothing.lips },
        frames: FramesEntry {
            poses: transforms.poses.len(),
            torso_images: torso.len(),
            background: background_name,
            thumbnail,
        },
        full_body: full_body.as_ref().map(|found| found.entry.clone()),
        source: Source { poses: poses_file, ..source },
    };
    small.push(("avatar.toml".to_owned(), manifest.to_toml()?.into_bytes()));
    let frames = Frames { poses: transforms.poses, eyes, img_ids: transforms.img_ids };
    small.push((poses::FILE.to_owned(), frames.to_bytes()?));
    Ok(Files { small, torso, full_body })
}

/// What comes out of a checkpoint.
struct Read {
    model: Network,
    /// The poses that it prefers.
    test_poses: Option<PathBuf>,
    source: Source,
    training: Training,
}

fn read_model(request: &ImportRequest, notes: &mut Vec<String>) -> Result<Read, AvatarError> {
    let path = &request.checkpoint;
    let file = File::open(path).map_err(AvatarError::io(path))?;
    let wrap = |source: CheckpointError| AvatarError::Checkpoint { file: path.display().to_string(), source };
    let mut checkpoint = Checkpoint::open(BufReader::new(file)).map_err(wrap)?;
    let (model, test_poses) = if checkpoint.family() == Family::AdNerf {
        let ad = ad_import::read(request, &mut checkpoint, notes)?;
        (Network::Ad(Box::new(ad.model)), ad.test_poses)
    } else {
        let model = Network::from_checkpoint(&mut checkpoint).map_err(wrap)?;
        if request.body.is_some() || request.config.is_some() {
            let option = if request.body.is_some() { "--body" } else { "--config" };
            let expected =
                "it belongs to AD-NeRF, and the checkpoint is of another family, which has all in one file";
            let value =
                request.body.as_ref().or(request.config.as_ref()).map(|path| path.display().to_string());
            return Err(AvatarError::Option { option, value: value.unwrap_or_default(), expected });
        }
        (model, None)
    };
    let count = |name: &str| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked")]
        checkpoint.scalar(name).filter(|v| (0.0..1e15).contains(v)).map(|v| v as u64)
    };
    let source = Source {
        checkpoint: file_name(path),
        poses: String::new(),
        epoch: count("epoch"),
        step: count("global_step"),
    };
    let training = Training {
        codes: checkpoint.shape("individual_codes").and_then(|shape| shape.first().copied()),
        epoch: checkpoint.scalar("epoch"),
        step: checkpoint.scalar("global_step"),
    };
    Ok(Read { model, test_poses, source, training })
}

pub(super) fn read_transforms(
    request: &ImportRequest,
    preferred: Option<PathBuf>,
) -> Result<(Transforms, String), AvatarError> {
    let path = match request.transforms.as_ref().or(preferred.as_ref()) {
        Some(path) => path.clone(),
        None => {
            let found = POSES.iter().map(|name| request.data.join(name)).find(|path| path.exists());
            found.ok_or_else(|| AvatarError::Missing {
                file: POSES[0].to_owned(),
                folder: request.data.display().to_string(),
                hint: "it holds the camera poses; upstream's data_utils/process.py writes it (and \
                       transforms_val.json) into the subject's folder, LiveTalking calls it data_kf.json; another \
                       file: --transforms"
                    .to_owned(),
            })?
        }
    };
    Ok((Transforms::read(&path)?, file_name(&path)))
}

pub(super) fn read_eyes(
    request: &ImportRequest,
    model: &Network,
    transforms: &Transforms,
    notes: &mut Vec<String>,
) -> Result<Vec<f32>, AvatarError> {
    let img_ids = &transforms.img_ids;
    if let Some(eye) = request.fix_eye {
        if !(0.0..=1.0).contains(&eye) {
            let expected = "use 0 (open) to 1 (shut); upstream's usual value is 0.25";
            return Err(AvatarError::Option { option: "--fix-eye", value: eye.to_string(), expected });
        }
        return Ok(vec![eye; img_ids.len()]);
    }
    if !model.has_eye() {
        return Ok(vec![0.0; img_ids.len()]);
    }
    if matches!(model, Network::Rad(_)) {
        return rad_eyes(request, transforms, notes);
    }
    let path = request.data.join("au.csv");
    eye_values(&path, img_ids)?.ok_or_else(|| AvatarError::EyeValues { file: path.display().to_string() })
}

/// RAD-NeRF takes `eye_ratio` of the pose file, else measures the landmarks, else keeps the eyes still.
fn rad_eyes(
    request: &ImportRequest,
    transforms: &Transforms,
    notes: &mut Vec<String>,
) -> Result<Vec<f32>, AvatarError> {
    if let Some(ratios) = &transforms.eye_ratios {
        return Ok(ratios.clone());
    }
    let folder = request.data.join(landmarks::FOLDER);
    let path = |id: &u32| request.data.join(landmarks::file(*id));
    if transforms.img_ids.iter().all(|id| path(id).is_file()) {
        let area = |id| landmarks::eye_area(&path(id), transforms.width, transforms.height);
        return transforms.img_ids.iter().map(area).collect();
    }
    notes.push(format!(
        "the eyes stay still at {}: the pose file has no `eye_ratio`, and not every frame has its landmarks \
         ({}/<img_id>.lms, which upstream's data_utils/process.py writes)",
        landmarks::USUAL_EYE,
        folder.display()
    ));
    Ok(vec![landmarks::USUAL_EYE; transforms.img_ids.len()])
}

/// Name inside the avatar, and bytes: the original if its size fits, so that nothing is lost.
///
/// * `live_talking`: without a picture it is white, as there.
pub(super) fn read_background(
    request: &ImportRequest,
    (width, height): (u32, u32),
    live_talking: bool,
    notes: &mut Vec<String>,
) -> Result<(String, Vec<u8>), AvatarError> {
    let as_png =
        |image: &RgbImage| Ok(("background.png".to_owned(), picture::encode_png("background.png", image)?));
    let colour = |rgb| {
        let image = RgbImage::filled(width, height, rgb);
        as_png(&image.map_err(|source| AvatarError::PictureSize { file: "background".to_owned(), source })?)
    };
    let path = match &request.background {
        Some(Background::Colour(rgb)) => return colour(*rgb),
        Some(Background::File(path)) => path.clone(),
        None => match default_background(&request.data) {
            Some(path) => path,
            None if live_talking => {
                let around = match request.full_body {
                    Some(_) => ", which shows around the person where the full-body pictures go on",
                    None => "",
                };
                notes.push(format!(
                    "the background is white, as LiveTalking's{around}; another one: --background FILE"
                ));
                return colour([255; 3]);
            }
            None => {
                return Err(AvatarError::Missing {
                    file: BACKGROUNDS[0].to_owned(),
                    folder: request.data.display().to_string(),
                    hint:
                        "it is the background picture; upstream's data_utils/process.py writes it into the \
                           subject's folder: put it there, or pass --background FILE, white or black"
                            .to_owned(),
                });
            }
        },
    };
    let file = path.display().to_string();
    let bytes = read_bounded(&path, MAX_PICTURE)?;
    let image = picture::decode(&file, &bytes)?;
    if (image.width(), image.height()) == (width, height) {
        return Ok((format!("background.{}", extension(&bytes)), bytes));
    }
    notes.push(format!(
        "the background was resized from {}x{} to {width}x{height}, the size of the video",
        image.width(),
        image.height()
    ));
    let resized = picture::resize(&image, width, height);
    as_png(&resized.map_err(|source| AvatarError::PictureSize { file, source })?)
}

/// The background of a data folder, if there is one.
pub(super) fn default_background(data: &Path) -> Option<PathBuf> {
    BACKGROUNDS.iter().map(|name| data.join(name)).find(|path| path.exists())
}

pub(super) const BACKGROUNDS: [&str; 3] = ["bc.jpg", "bc.jpeg", "bc.png"];

/// Folder of the captured torsos.
pub(super) const TORSO_IMAGES: &str = "torso_imgs";

/// Where the captured torso of a frame is in the data folder.
pub(super) fn torso_image(img_id: u32) -> String {
    format!("{TORSO_IMAGES}/{img_id}.png")
}

/// The captured torso of every pose. A head without any is allowed, with a note.
pub(super) fn torso_images(
    request: &ImportRequest,
    transforms: &Transforms,
    notes: &mut Vec<String>,
) -> Result<Vec<(u32, PathBuf)>, AvatarError> {
    let folder = request.data.join(TORSO_IMAGES);
    if !folder.is_dir() {
        notes.push(format!(
            "{} is a head without a torso and {} is missing: the head is shown on the background alone. Upstream's \
             data_utils/process.py writes the torso pictures: put the folder there and import again, or import the \
             checkpoint of the torso training (trial_<ID>_torso)",
            file_name(&request.checkpoint),
            folder.display()
        ));
        return Ok(Vec::new());
    }
    let mut images: Vec<(u32, PathBuf)> = Vec::new();
    let mut missing = 0usize;
    let mut first_missing = None;
    let mut ids = transforms.img_ids.clone();
    ids.sort_unstable();
    ids.dedup();
    for img_id in ids {
        let path = request.data.join(torso_image(img_id));
        if path.is_file() {
            images.push((img_id, path));
        } else {
            missing += 1;
            first_missing = first_missing.or(Some(img_id));
        }
    }
    if let Some(img_id) = first_missing {
        return Err(AvatarError::Missing {
            file: format!("{img_id}.png"),
            folder: folder.display().to_string(),
            hint: format!(
                "{missing} of {} poses have no torso picture (torso_imgs/<img_id>.png, written by upstream's \
                 data_utils/process.py); complete the folder, or remove it to show the head alone",
                transforms.img_ids.len()
            ),
        });
    }
    // One now: most mistakes concern all of them alike.
    if let Some((_, path)) = images.first() {
        let file = path.display().to_string();
        let torso = picture::decode_png(&file, &read_bounded(path, MAX_PICTURE)?)?;
        super::check_size(&file, (torso.width, torso.height), (transforms.width, transforms.height))?;
    }
    Ok(images)
}

pub(super) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn extension(bytes: &[u8]) -> &'static str {
    if bytes.starts_with(&[0xff, 0xd8]) { "jpg" } else { "png" }
}

pub(super) const MAX_PICTURE: u64 = 256 << 20;
const MAX_THUMBNAIL: u64 = 1 << 20;
