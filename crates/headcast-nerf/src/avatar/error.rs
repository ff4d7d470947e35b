//! What can be wrong with an avatar, or with what one is made from.

use std::path::PathBuf;

use headcast_core::ImageError;

use crate::checkpoint::CheckpointError;

/// Why an avatar cannot be loaded or imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AvatarError {
    /// Check that the path exists and may be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// Choose another name.
    #[error(
        "\"{name}\" is no avatar name: use 1 to 64 letters a-z A-Z, digits, `-` and `_`, beginning with a letter or digit"
    )]
    Name {
        /// As given.
        name: String,
    },
    /// Choose another name, or ask for the avatar to be replaced.
    #[error("there is already an avatar \"{name}\"; choose another name, or replace it with --overwrite")]
    Exists {
        /// Avatar name.
        name: String,
    },
    /// Point to the folder that has the file.
    #[error("`{file}` is missing in {folder}: {hint}")]
    Missing {
        /// File name.
        file: String,
        /// Where it was looked for.
        folder: String,
        /// What it is and where upstream keeps it.
        hint: String,
    },
    /// The checkpoint or the stored model is not usable.
    #[error("{file}: {source}")]
    Checkpoint {
        /// File name.
        file: String,
        /// The reason.
        source: CheckpointError,
    },
    /// Replace the picture.
    #[error("{file}: {what}")]
    Picture {
        /// File name.
        file: String,
        /// The reason.
        what: String,
    },
    /// The picture cannot be held.
    #[error("{file}: {source}")]
    PictureSize {
        /// File name.
        file: String,
        /// The reason.
        source: ImageError,
    },
    /// Correct the text file, or make it again with upstream's tools.
    #[error("{file}: {what}")]
    Data {
        /// File name.
        file: String,
        /// What does not fit and what to do.
        what: String,
    },
    /// Update headcast.
    #[error("the avatar has format {found}, this version of headcast reads format {known}; update headcast")]
    Version {
        /// In `avatar.toml`.
        found: u32,
        /// Newest known.
        known: u32,
    },
    /// Pass a fixed eye value, or put `au.csv` beside the poses.
    #[error(
        "the model follows an eye value and `{file}` is missing: OpenFace writes it (column `AU45_r`) and upstream \
         keeps it in the data folder; put it there, or import with --fix-eye 0.25"
    )]
    EyeValues {
        /// Where it was looked for.
        file: String,
    },
    /// The setting is outside what upstream knows.
    #[error("{option} {value} is not usable: {expected}")]
    Option {
        /// As on the command line.
        option: &'static str,
        /// As given.
        value: String,
        /// The rule.
        expected: &'static str,
    },
}

impl AvatarError {
    pub(super) fn io(path: impl Into<PathBuf>) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        |source| Self::Io { path, source }
    }

    pub(super) fn data(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self::Data { file: file.into(), what: what.into() }
    }
}
