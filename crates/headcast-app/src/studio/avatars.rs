//! Every avatar that this program knows: the built-in one and those in the data folder.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use bytes::Bytes;
use headcast::nerf::avatar::{self, Avatar, AvatarError};

use super::{builtin, portrait};
use crate::jobs::{AvatarDetails, AvatarInfo, Picture};

/// The built-in avatar and the user's library.
#[derive(Debug, Clone)]
pub struct Avatars {
    library: PathBuf,
}

/// One line of the list.
#[derive(Debug)]
pub struct Entry {
    /// What the page shows.
    pub info: AvatarInfo,
    /// Where it comes from and what drives it, for the command line.
    pub remark: String,
}

impl Avatars {
    /// Avatars of the data folder `data_dir`, which need not exist.
    pub fn new(data_dir: &Path) -> Self {
        Self { library: data_dir.join("avatars") }
    }

    /// Where imported avatars are kept.
    pub fn library(&self) -> &Path {
        &self.library
    }

    /// Those that can speak, the built-in one first, and a sentence for each that cannot.
    ///
    /// # Errors
    /// [`AvatarError`] when the library cannot be read.
    pub fn list(&self) -> Result<(Vec<Entry>, Vec<String>), AvatarError> {
        let mut entries = vec![builtin::entry()];
        let mut problems = Vec::new();
        for summary in avatar::list(&self.library)? {
            match summary.details {
                // A folder of that name would otherwise stand in for the built-in avatar.
                Ok(_) if summary.name == builtin::NAME => {
                    problems.push(format!("{}: the built-in avatar has this name", summary.name));
                }
                Ok(details) => {
                    let preview = self.preview_of(&summary.name);
                    entries.push(Entry {
                        info: AvatarInfo {
                            name: summary.name,
                            title: details.title,
                            width: details.width,
                            height: details.height,
                            credits: details.credits,
                            preview,
                        },
                        remark: format!(
                            "{}, {} features, {} poses",
                            details.kind, details.features, details.poses
                        ),
                    });
                }
                Err(error) => problems.push(format!("{}: {error}", summary.name)),
            }
        }
        Ok((entries, problems))
    }

    /// The avatar called `name`; `None` if there is none.
    ///
    /// # Errors
    /// [`AvatarError`] when it is there but damaged.
    pub fn load(&self, name: &str) -> Result<Option<Avatar>, AvatarError> {
        if name == builtin::NAME {
            return builtin::load().map(Some);
        }
        match self.folder(name) {
            Some(folder) => Avatar::load(&folder).map(Some),
            None => Ok(None),
        }
    }

    /// Changes when the avatar called `name` is replaced; `None` for the built-in one, which is not.
    pub fn version(&self, name: &str) -> Option<SystemTime> {
        let folder = self.folder(name).filter(|_| name != builtin::NAME)?;
        folder.join("avatar.toml").metadata().and_then(|file| file.modified()).ok()
    }

    /// Everything that is known of the avatar called `name`; `None` if there is none that can speak.
    pub fn details(&self, name: &str) -> Option<AvatarDetails> {
        if name == builtin::NAME {
            return Some(builtin::details());
        }
        avatar::check_name(name).ok()?;
        let summary = avatar::list(&self.library).ok()?.into_iter().find(|summary| summary.name == name)?;
        let details = summary.details.ok()?;
        Some(AvatarDetails {
            info: AvatarInfo {
                name: summary.name,
                title: details.title,
                width: details.width,
                height: details.height,
                credits: details.credits,
                preview: self.preview_of(name),
            },
            built_in: false,
            kind: details.kind,
            features: details.features,
            torso: details.torso,
            poses: details.poses,
            licence: details.licence,
            missing_extractor: None,
        })
    }

    /// Deletes the avatar called `name` from the library; false if it is not there. The built-in one stays.
    ///
    /// # Errors
    /// [`AvatarError::Io`] when its files cannot be deleted.
    pub fn remove(&self, name: &str) -> Result<bool, AvatarError> {
        let Some(folder) = self.folder(name).filter(|_| name != builtin::NAME) else { return Ok(false) };
        let failed = |source| AvatarError::Io { path: folder.clone(), source };
        // Out of sight at once: a folder that is half deleted is no avatar.
        let hidden = self.library.join(format!(".removed-{name}"));
        match std::fs::remove_dir_all(&hidden) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        std::fs::rename(&folder, &hidden).map_err(failed)?;
        std::fs::remove_dir_all(&hidden).map_err(failed)?;
        Ok(true)
    }

    /// A small picture of the avatar called `name`.
    pub fn thumbnail(&self, name: &str) -> Option<Picture> {
        if name == builtin::NAME {
            return builtin::thumbnail();
        }
        let folder = self.folder(name)?;
        // Without one, the first background is better than nothing.
        let files = portrait::OWN.into_iter().chain([portrait::FACE, "background.jpg", "background.png"]);
        files.into_iter().find_map(|file| {
            let bytes = std::fs::read(folder.join(file)).ok()?;
            Some(Picture { content_type: content_type(file), bytes: Bytes::from(bytes) })
        })
    }

    /// A few seconds in which the avatar called `name` speaks, without sound.
    pub fn preview(&self, name: &str) -> Option<Bytes> {
        if name == builtin::NAME {
            return builtin::preview();
        }
        std::fs::read(self.folder(name)?.join(portrait::SPEAKING)).ok().map(Bytes::from)
    }

    fn preview_of(&self, name: &str) -> bool {
        self.library.join(name).join(portrait::SPEAKING).is_file()
    }

    /// The folder of `name` in the library. Names are checked first: no path ever comes from outside.
    pub(super) fn folder(&self, name: &str) -> Option<PathBuf> {
        avatar::check_name(name).ok()?;
        let folder = self.library.join(name);
        folder.join("avatar.toml").is_file().then_some(folder)
    }
}

pub(super) fn content_type(file: &str) -> &'static str {
    if file.ends_with(".png") { "image/png" } else { "image/jpeg" }
}
