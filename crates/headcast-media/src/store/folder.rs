//! Segments as files of one folder.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use super::{SegmentStore, StoreError};

/// Keeps each segment as a file, named by [`file_name`], of a folder that one process owns. Other files in it are
/// left alone.
///
/// A segment is written under another name, brought to the disk, then renamed: a reader, or the next process
/// after a crash, sees all of it or nothing.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    /// Makes the names of files that are being written unique.
    writes: AtomicU64,
}

/// Name of segment `index` in a [`Folder`] and in playlists: `segment_00000.ts`.
pub fn file_name(index: usize) -> String {
    format!("segment_{index:05}.ts")
}

impl Folder {
    /// Opens `path`, creates it if it is missing, and removes what a crash left half written.
    ///
    /// # Errors
    /// [`StoreError`] when it is no folder or cannot be created.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, StoreError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => StoreError::NotAFolder { path: path.clone() },
            _ => StoreError::new(&path, error),
        })?;
        let folder = Self { path, writes: AtomicU64::new(0) };
        for name in folder.names()? {
            if name.starts_with(PART_PREFIX) && name.ends_with(PART_SUFFIX) {
                let part = folder.path.join(name);
                fs::remove_file(&part).map_err(|error| StoreError::new(part, error))?;
            }
        }
        Ok(folder)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where segment `index` is or will be.
    pub fn segment_path(&self, index: usize) -> PathBuf {
        self.path.join(file_name(index))
    }

    /// Writes another file of the folder, such as a playlist: under another name first, brought to the disk, then
    /// renamed, so a reader sees the old one, the new one, or nothing, never a part.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be written, the error of `content` when that cannot be made; the old file stays.
    pub fn write_file<E: From<StoreError>>(
        &self,
        name: &str,
        content: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<(), E> {
        let draft = self.path.join(format!(".{name}{PART_SUFFIX}"));
        let failed = |error| E::from(StoreError::new(&self.path, error));
        let written = (|| {
            let mut file = BufWriter::new(File::create(&draft).map_err(failed)?);
            content(&mut file)?;
            let file = file.into_inner().map_err(|error| failed(error.into_error()))?;
            file.sync_all().map_err(failed)?;
            fs::rename(&draft, self.path.join(name)).map_err(failed)
        })();
        if written.is_err() {
            // The error that counts is the first one.
            let _ = fs::remove_file(&draft);
        }
        written
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let failed = |error| StoreError::new(&self.path, error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            // A name that is not UTF-8 is none of ours.
            names.extend(entry.map_err(failed)?.file_name().into_string());
        }
        Ok(names)
    }

    fn write(&self, part: &Path, segment: &[u8]) -> io::Result<()> {
        let mut file = File::create_new(part)?;
        file.write_all(segment)?;
        file.sync_all()
    }

    /// Brings the rename to the disk. Systems that cannot open a folder order renames themselves.
    fn sync(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(&self.path)?.sync_all() } else { Ok(()) }
    }
}

impl SegmentStore for Folder {
    fn put(&self, index: usize, segment: Bytes) -> Result<(), StoreError> {
        if self.contains(index)? {
            return Ok(());
        }
        let path = self.segment_path(index);
        let write = self.writes.fetch_add(1, Ordering::Relaxed);
        let name = format!("{PART_PREFIX}{index:05}.ts.{}-{write}{PART_SUFFIX}", std::process::id());
        let part = self.path.join(name);
        let done = self.write(&part, &segment).and_then(|()| fs::rename(&part, &path));
        if let Err(error) = done {
            // It may not even exist; the error that counts is the first one.
            let _ = fs::remove_file(&part);
            return Err(StoreError::new(path, error));
        }
        self.sync().map_err(|error| StoreError::new(&self.path, error))
    }

    fn get(&self, index: usize) -> Result<Option<Bytes>, StoreError> {
        let path = self.segment_path(index);
        match fs::read(&path) {
            Ok(segment) => Ok(Some(segment.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StoreError::Io { path, source: error }),
        }
    }

    fn contains(&self, index: usize) -> Result<bool, StoreError> {
        let path = self.segment_path(index);
        path.try_exists().map_err(|error| StoreError::new(path, error))
    }

    fn list(&self) -> Result<Vec<usize>, StoreError> {
        let mut indices: Vec<usize> = self.names()?.iter().filter_map(|name| index_of(name)).collect();
        indices.sort_unstable();
        Ok(indices)
    }
}

/// The inverse of [`file_name`]: one name per segment, so `segment_0.ts` is none.
pub fn index_of(name: &str) -> Option<usize> {
    let index = name.strip_prefix("segment_")?.strip_suffix(".ts")?.parse().ok()?;
    (file_name(index) == name).then_some(index)
}

const PART_PREFIX: &str = ".segment_";
const PART_SUFFIX: &str = ".part";
