//! Avatars: a trained head with everything that rendering it needs, in a folder of its own.
//!
//! | file | content |
//! |---|---|
//! | `avatar.toml` | format version, kind, title, credits, licence, sizes, camera, settings, smoothing defaults |
//! | `model.safetensors` | the network under upstream's tensor names, f32, feature tables f32 or f16 |
//! | `poses.safetensors` | `pose` `[n, 3, 4]`, `eye` `[n]`, `img_id` `[n]` |
//! | `background.jpg` or `.png` | what is behind the person, as large as the video |
//! | `torso/<img_id>.png` | head-only models: the captured torso of each frame, straight alpha |
//! | `fullbody/<img_id>.jpg` or `.png`, or one `fullbody.jpg` or `.png` | optional: the larger picture that the rendered one is pasted into |
//! | `thumbnail.jpg` or `.png` | optional |
//! | `LICENSE.txt` | optional |
//!
//! [`import`] makes one from an upstream checkpoint and its data folder; [`Avatar::load`] opens one.

mod ad_import;
mod checklist;
mod dataset;
mod error;
mod fit;
mod full_body;
mod import;
mod inspect;
mod landmarks;
mod library;
mod manifest;
mod model_file;
pub(crate) mod picture;
mod pose_files;
mod poses;
mod report;

use std::borrow::Cow;
use std::fs::File;
use std::io::{Cursor, Read};
use std::path::Path;

use headcast_core::{Intrinsics, Pose, RgbImage};

use crate::checkpoint::Checkpoint;
use crate::model::Network;
use manifest::Manifest;
use pose_files::PoseFiles;

pub use checklist::{Check, Item, State, Wanted};
pub use error::AvatarError;
pub use full_body::{FullBody, FullBodyRequest};
pub use import::{Background, ImportReport, ImportRequest, import};
pub use inspect::{Examination, examine, inspect, inspect_with_data};
pub use library::{Details, Summary, list};
pub use manifest::{check_name, features_word};
pub use report::{AvatarFacts, DataFacts, FullBodyFacts, Inferred, Report, extractor_command};

/// A face that can speak.
#[derive(Debug)]
#[non_exhaustive]
pub struct Avatar {
    /// Name of its folder, or of the built-in avatar.
    pub name: String,
    /// For people.
    pub title: String,
    /// Who made it and who is shown.
    pub credits: String,
    /// Terms of use.
    pub licence: String,
    /// The network.
    pub model: Network,
    /// Whether it was trained with headcast's built-in features. `avatar.toml` says so (`features = "built-in"`), as
    /// nothing in the weights does: they have the shape of `DeepSpeech`'s.
    pub built_in_features: bool,
    /// Pixels per row of what the network renders; the video's too unless there is a [`Self::full_body`].
    pub width: u32,
    /// Rows of what the network renders, likewise.
    pub height: u32,
    /// The camera, the same for every frame.
    pub intrinsics: Intrinsics,
    /// `world_from_camera` in the renderer's frame (scale 4, offset 0), not smoothed; at least one.
    pub poses: Vec<Pose>,
    /// For each pose how far the eyes are shut, in `[0, 1]`, not smoothed. 0 for models without an eye value.
    pub eyes: Vec<f32>,
    /// What is behind the person: `width × height`.
    pub background: RgbImage,
    /// What the avatar asks for; the caller may choose otherwise.
    pub smoothing: Smoothing,
    /// A small picture, JPEG or PNG bytes.
    pub thumbnail: Option<Cow<'static, [u8]>>,
    /// The larger picture that what the network renders is pasted into.
    pub full_body: Option<FullBody>,
    /// Captured torsos; `None` for models with a torso net.
    torso_images: Option<PoseFiles>,
}

/// Smoothing over time: all off in upstream's ER-NeRF and in AD-NeRF, all on in RAD-NeRF and in `LiveTalking`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Smoothing {
    /// Camera poses, over seven frames.
    pub path: bool,
    /// Eye values, over three frames.
    pub eyes: bool,
    /// Audio codes, by a one-pole filter.
    pub lips: bool,
}

/// Yields a file of the avatar by its name inside, `None` if there is none.
type Get<'a> = dyn Fn(&str) -> Result<Option<Cow<'static, [u8]>>, AvatarError> + 'a;

/// Makes the pictures of poses of the files with these names inside the avatar; the text says what they are.
type OfPoses<'a> = dyn Fn(Vec<String>, &'static str) -> Result<PoseFiles, AvatarError> + 'a;

impl Avatar {
    /// Opens the avatar in folder `dir`. Torso pictures are read when they are needed.
    ///
    /// # Errors
    /// [`AvatarError`] naming the file that is missing, damaged or does not fit the others.
    pub fn load(dir: &Path) -> Result<Self, AvatarError> {
        let name = dir.file_name().map_or_else(|| "avatar".to_owned(), |n| n.to_string_lossy().into_owned());
        let folder = dir.display().to_string();
        let of_poses = |names, what| Ok(PoseFiles::in_folder(dir.to_owned(), names, what));
        Self::assemble(&name, &folder, &|file| read_optional(&dir.join(file)), &of_poses)
    }

    /// Opens an avatar whose files are in memory, such as one that is part of the program.
    ///
    /// * `get`: bytes of a file by its name inside the avatar (`avatar.toml`, `torso/12.png`).
    ///
    /// # Errors
    /// As [`Self::load`].
    pub fn from_files(
        name: &str,
        get: &dyn Fn(&str) -> Option<Cow<'static, [u8]>>,
    ) -> Result<Self, AvatarError> {
        let folder = format!("the avatar \"{name}\"");
        let of_poses = |names, what| PoseFiles::in_memory(get, &folder, names, what);
        Self::assemble(name, &folder, &|file| Ok(get(file)), &of_poses)
    }

    fn assemble(
        name: &str,
        folder: &str,
        get: &Get<'_>,
        of_poses: &OfPoses<'_>,
    ) -> Result<Self, AvatarError> {
        let need = |file: &str, hint: &str| get(file)?.ok_or_else(|| missing(file, folder, hint));
        let manifest = need("avatar.toml", "every avatar has one; `headcast avatar import` makes avatars")?;
        let manifest = Manifest::parse(&manifest)?;
        let model = need(model_file::FILE, "it holds the network; import the avatar again")?;
        let model =
            Checkpoint::open(Cursor::new(model)).and_then(|mut file| Network::from_checkpoint(&mut file));
        let mut model =
            model.map_err(|source| AvatarError::Checkpoint { file: model_file::FILE.to_owned(), source })?;
        let kind = manifest::kind_word(&model);
        if manifest.kind != kind {
            let what = format!("its kind is \"{}\", {} holds \"{kind}\"", manifest.kind, model_file::FILE);
            return Err(AvatarError::data("avatar.toml", what));
        }
        manifest.model.apply(&mut model)?;
        let frames = need(poses::FILE, "it holds the camera poses; import the avatar again")?;
        let frames = poses::Frames::from_bytes(frames)?;
        if frames.poses.len() != manifest.frames.poses {
            let what =
                format!("it holds {} poses, avatar.toml says {}", frames.poses.len(), manifest.frames.poses);
            return Err(AvatarError::data(poses::FILE, what));
        }
        let file = manifest.frames.background.as_str();
        check_inner_name(file)?;
        let background =
            picture::decode(file, &need(file, "it is the background picture; import the avatar again")?)?;
        let (width, height) = (manifest.picture.width, manifest.picture.height);
        check_size(file, (background.width(), background.height()), (width, height))?;
        let thumbnail = match &manifest.frames.thumbnail {
            Some(file) => {
                check_inner_name(file)?;
                get(file)?
            }
            None => None,
        };
        let names = |name: &dyn Fn(u32) -> String| frames.img_ids.iter().map(|id| name(*id)).collect();
        let torso_images = match manifest.frames.torso_images {
            0 => None,
            _ => Some(of_poses(names(&torso_file), "the captured torso of one frame")?),
        };
        let full_body = match &manifest.full_body {
            Some(entry) => {
                full_body::check_fit("avatar.toml", entry, (width, height))?;
                let names = if entry.still { vec![entry.still_name()] } else { names(&|id| entry.name(id)) };
                Some(FullBody::new(entry, of_poses(names, "the full-body picture of one frame")?))
            }
            None => None,
        };
        Ok(Self {
            name: name.to_owned(),
            intrinsics: manifest.picture.intrinsics(),
            title: manifest.title,
            credits: manifest.credits,
            licence: manifest.licence,
            built_in_features: manifest.model.features == manifest::BUILT_IN_FEATURES,
            model,
            width,
            height,
            poses: frames.poses,
            eyes: frames.eyes,
            background,
            smoothing: Smoothing {
                path: manifest.smoothing.path,
                eyes: manifest.smoothing.eyes,
                lips: manifest.smoothing.lips,
            },
            thumbnail,
            full_body,
            torso_images,
        })
    }

    /// What the head is composited over: for a model with a torso net (which paints over it) or without
    /// captured torsos the background, else the captured torso of pose `pose_index` on the background.
    ///
    /// * `background`: [`Self::background`], or another picture of the avatar's size.
    ///
    /// # Errors
    /// [`AvatarError`] when the torso picture is missing, damaged or of another size.
    ///
    /// # Panics
    /// If `pose_index` is not below the number of poses, or `background` has another size.
    pub fn backdrop<'a>(
        &self,
        pose_index: usize,
        background: &'a RgbImage,
    ) -> Result<Cow<'a, RgbImage>, AvatarError> {
        assert!(pose_index < self.poses.len(), "pose {pose_index} of {}", self.poses.len());
        assert_eq!((background.width(), background.height()), (self.width, self.height));
        let Some(torsos) = &self.torso_images else { return Ok(Cow::Borrowed(background)) };
        let (file, bytes) = torsos.read(pose_index)?;
        let torso = picture::decode_png(file, &bytes)?;
        check_size(file, (torso.width, torso.height), (self.width, self.height))?;
        Ok(Cow::Owned(picture::composite(&torso, background)))
    }

    /// Whether captured torsos are part of the avatar.
    pub fn has_torso_images(&self) -> bool {
        self.torso_images.is_some()
    }

    /// Width and height of the video: of [`Self::full_body`] if there is one.
    pub fn video_size(&self) -> (u32, u32) {
        self.full_body.as_ref().map_or((self.width, self.height), |body| (body.width(), body.height()))
    }
}

fn torso_file(img_id: u32) -> String {
    format!("torso/{img_id}.png")
}

fn missing(file: &str, folder: &str, hint: &str) -> AvatarError {
    AvatarError::Missing { file: file.to_owned(), folder: folder.to_owned(), hint: hint.to_owned() }
}

/// A file that `avatar.toml` names must lie in the avatar's folder.
fn check_inner_name(file: &str) -> Result<(), AvatarError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if !file.is_empty() && !file.starts_with('.') && file.chars().all(plain) {
        return Ok(());
    }
    Err(AvatarError::data(
        "avatar.toml",
        format!("\"{file}\" is not the plain name of a file in the avatar's folder"),
    ))
}

fn check_size(file: &str, found: (u32, u32), expected: (u32, u32)) -> Result<(), AvatarError> {
    if found == expected {
        return Ok(());
    }
    let what = format!("it has {}x{} pixels, the avatar {}x{}", found.0, found.1, expected.0, expected.1);
    Err(AvatarError::Picture { file: file.to_owned(), what })
}

/// Refuses pictures that could be rendered and never shown; `file` says their size.
fn check_video_size(file: &str, width: u32, height: u32) -> Result<(), AvatarError> {
    if RgbImage::fits_video(width, height) {
        return Ok(());
    }
    let sides = RgbImage::VIDEO_SIDES;
    let what = format!(
        "pictures of {width}x{height} pixels cannot be shown: video has {} to {} pixels a side and at most as \
         many in all as 4096x2304; make the data again from a video of such a size",
        sides.start(),
        sides.end()
    );
    Err(AvatarError::data(file, what))
}

/// Largest file of an avatar, read whole.
const MAX_FILE: u64 = 1 << 30;

/// Reads a file; `None` if it does not exist.
fn read_optional(path: &Path) -> Result<Option<Cow<'static, [u8]>>, AvatarError> {
    match read_bounded(path, MAX_FILE) {
        Ok(bytes) => Ok(Some(Cow::Owned(bytes))),
        Err(AvatarError::Io { source, .. })
            if matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) =>
        {
            Ok(None)
        }
        Err(e) => Err(e),
    }
}

/// Reads a file of at most `limit` bytes, whatever its metadata say.
fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, AvatarError> {
    let file = File::open(path).map_err(AvatarError::io(path))?;
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes).map_err(AvatarError::io(path))?;
    if bytes.len() as u64 > limit {
        let what = format!("it has more than {limit} bytes, which no such file needs; is it the right one?");
        return Err(AvatarError::data(path.display().to_string(), what));
    }
    Ok(bytes)
}
