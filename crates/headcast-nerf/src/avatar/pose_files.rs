//! One picture file for each pose: on the disk and read when it is needed, or in memory.

use std::borrow::Cow;
use std::path::PathBuf;

use super::error::AvatarError;
use super::{missing, read_optional};

/// Pictures by pose.
#[derive(Debug)]
pub(super) struct PoseFiles {
    /// What they are, for messages: `the captured torso of one frame`.
    what: &'static str,
    /// Name inside the avatar of each.
    names: Vec<String>,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Folder(PathBuf),
    /// Bytes of each.
    Memory(Vec<Cow<'static, [u8]>>),
}

impl PoseFiles {
    /// Files of the avatar in `folder`; whether they are there shows when they are read.
    pub(super) fn in_folder(folder: PathBuf, names: Vec<String>, what: &'static str) -> Self {
        Self { what, names, place: Place::Folder(folder) }
    }

    /// Files in memory, which must all be there.
    ///
    /// * `folder`: for messages.
    pub(super) fn in_memory(
        get: &dyn Fn(&str) -> Option<Cow<'static, [u8]>>,
        folder: &str,
        names: Vec<String>,
        what: &'static str,
    ) -> Result<Self, AvatarError> {
        let bytes = names.iter().map(|name| get(name).ok_or_else(|| missing(name, folder, what)));
        let place = Place::Memory(bytes.collect::<Result<_, _>>()?);
        Ok(Self { what, names, place })
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// Name and bytes of file `index`.
    ///
    /// # Panics
    /// If `index` is not below [`Self::len`].
    pub(super) fn read(&self, index: usize) -> Result<(&str, Cow<'_, [u8]>), AvatarError> {
        let name = self.names[index].as_str();
        let bytes = match &self.place {
            Place::Memory(files) => Cow::Borrowed(&*files[index]),
            Place::Folder(folder) => read_optional(&folder.join(name))?
                .ok_or_else(|| missing(name, &folder.display().to_string(), self.what))?,
        };
        Ok((name, bytes))
    }
}
