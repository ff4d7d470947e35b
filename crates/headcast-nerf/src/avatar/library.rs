//! The folder that avatars are kept in.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::AvatarError;
use super::manifest::{Manifest, check_name};
use super::{missing, read_optional};

/// One avatar of a library, from its `avatar.toml` alone.
#[derive(Debug)]
#[non_exhaustive]
pub struct Summary {
    /// Name of its folder.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// What it says of itself, or why it cannot be used.
    pub details: Result<Details, AvatarError>,
}

/// What a list shows.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Details {
    /// For people.
    pub title: String,
    /// `er-nerf`, `rad-nerf` or `ad-nerf`.
    pub kind: String,
    /// `deepspeech`, `wav2vec2-esperanto`, `wav2vec2` or `hubert`.
    pub features: String,
    /// Whether a torso net is part of it.
    pub torso: bool,
    /// Pixels per row of the video.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames before the poses turn back.
    pub poses: usize,
    /// Who made it and who is shown.
    pub credits: String,
    /// Terms of use.
    pub licence: String,
}

/// Every avatar in `library_dir`, by name. A folder that does not exist is an empty library; folders without
/// `avatar.toml` are passed over.
///
/// # Errors
/// [`AvatarError::Io`] when the folder cannot be read. An avatar that cannot be used is listed with its error.
pub fn list(library_dir: &Path) -> Result<Vec<Summary>, AvatarError> {
    let entries = match fs::read_dir(library_dir) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(AvatarError::io(library_dir)(e)),
    };
    let mut avatars = Vec::new();
    for entry in entries {
        let entry = entry.map_err(AvatarError::io(library_dir))?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if check_name(&name).is_ok() && path.join("avatar.toml").is_file() {
            let details = details(&path);
            avatars.push(Summary { name, path, details });
        }
    }
    avatars.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(avatars)
}

fn details(path: &Path) -> Result<Details, AvatarError> {
    let bytes = read_optional(&path.join("avatar.toml"))?
        .ok_or_else(|| missing("avatar.toml", &path.display().to_string(), "every avatar has one"))?;
    let manifest = Manifest::parse(&bytes)?;
    let (width, height) = manifest.video_size();
    Ok(Details {
        title: manifest.title,
        kind: manifest.kind,
        features: manifest.model.features,
        torso: manifest.model.torso,
        width,
        height,
        poses: manifest.frames.poses,
        credits: manifest.credits,
        licence: manifest.licence,
    })
}
