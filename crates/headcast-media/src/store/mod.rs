//! Where finished segments are kept: one store per clip, segments named by their index.
//!
//! A segment is immutable: its bytes follow from the clip and the plan, so the first `put` wins and a later one
//! with the same index changes nothing. It is there as a whole or not at all.

mod folder;
mod memory;

pub use folder::{Folder, file_name, index_of};
pub use memory::Memory;

use std::io;
use std::path::PathBuf;

use bytes::Bytes;

/// Keeps the segments of one clip.
pub trait SegmentStore: Send + Sync {
    /// Keeps segment `index`. When this returns `Ok`, the segment survives a crash as far as the store can.
    ///
    /// # Errors
    /// [`StoreError`] when it cannot be kept; then it is not there, not even in part.
    fn put(&self, index: usize, segment: Bytes) -> Result<(), StoreError>;

    /// Segment `index`, `None` when it was not put yet.
    ///
    /// # Errors
    /// [`StoreError`] when it is there and cannot be read.
    fn get(&self, index: usize) -> Result<Option<Bytes>, StoreError>;

    /// Whether segment `index` is there.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    fn contains(&self, index: usize) -> Result<bool, StoreError>;

    /// All segments that are there, ascending.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be asked.
    fn list(&self) -> Result<Vec<usize>, StoreError>;
}

/// Why a segment cannot be kept or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Free some space, then make the segment again; the ones that exist are kept.
    #[error("the disk is full at {}: free some space and try again", path.display())]
    Full {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Choose another folder, or allow writing.
    #[error("{} cannot be written ({source}): choose another folder or allow writing to it", path.display())]
    NotWritable {
        /// What could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Choose a folder: something else has that name.
    #[error("{} is not a folder: choose another name", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// Look at the disk.
    #[error("{} failed: {source}", path.display())]
    Io {
        /// What was read or written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl StoreError {
    /// What `source` means for `path`.
    pub fn new(path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::Full { path, source }
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Self::NotWritable { path, source }
            }
            io::ErrorKind::NotADirectory => Self::NotAFolder { path },
            _ => Self::Io { path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps_its_promises(store: &dyn SegmentStore) {
        assert_eq!(store.list().unwrap(), []);
        assert_eq!(store.get(0).unwrap(), None);
        store.put(12, Bytes::from_static(b"twelve")).unwrap();
        store.put(3, Bytes::from_static(b"three")).unwrap();
        store.put(123_456, Bytes::new()).unwrap();
        assert_eq!(store.get(12).unwrap().unwrap(), "twelve");
        assert_eq!(store.get(123_456).unwrap().unwrap(), "");
        assert_eq!(store.get(1).unwrap(), None);
        assert!(store.contains(3).unwrap() && !store.contains(4).unwrap());
        assert_eq!(store.list().unwrap(), [3, 12, 123_456]);
        // Immutable: the first one stays.
        store.put(3, Bytes::from_static(b"other")).unwrap();
        assert_eq!(store.get(3).unwrap().unwrap(), "three");
    }

    #[test]
    fn memory_and_folder_are_alike() {
        keeps_its_promises(&Memory::default());
        let folder = tempfile::tempdir().unwrap();
        keeps_its_promises(&Folder::open(folder.path().join("a/b")).unwrap());
    }

    #[test]
    fn a_folder_survives_its_process_and_forgets_what_was_half_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::open(folder.path()).unwrap();
        store.put(7, Bytes::from_static(b"seven")).unwrap();
        drop(store);
        let half = folder.path().join(".segment_00008.ts.99-1.part");
        std::fs::write(&half, b"half").unwrap();
        std::fs::write(folder.path().join("index.m3u8"), b"not ours").unwrap();
        std::fs::write(folder.path().join("segment_7.ts"), b"not ours either").unwrap();
        let store = Folder::open(folder.path()).unwrap();
        assert!(!half.exists());
        assert!(folder.path().join("index.m3u8").exists());
        assert_eq!(store.list().unwrap(), [7]);
        assert_eq!(store.get(7).unwrap().unwrap(), "seven");
        assert_eq!(std::fs::read(folder.path().join(file_name(7))).unwrap(), b"seven");
    }

    #[test]
    fn many_threads_may_put_the_same_segment() {
        let folder = tempfile::tempdir().unwrap();
        let store = Folder::open(folder.path()).unwrap();
        let segment = Bytes::from(vec![5; 100_000]);
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| store.put(1, segment.clone()).unwrap());
            }
        });
        assert_eq!(store.get(1).unwrap().unwrap(), segment);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn errors_say_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, b"").unwrap();
        let error = Folder::open(&file).unwrap_err();
        assert!(error.to_string().contains("is not a folder: choose another name"), "{error}");
        let error = Folder::open(file.join("below")).unwrap_err();
        assert!(error.to_string().contains("is not a folder"), "{error}");

        let gone = Folder::open(folder.path().join("gone")).unwrap();
        std::fs::remove_dir(folder.path().join("gone")).unwrap();
        assert!(matches!(gone.put(0, Bytes::new()), Err(StoreError::Io { .. })));

        let full = StoreError::new("x", io::ErrorKind::StorageFull.into());
        assert!(full.to_string().contains("disk is full"), "{full}");
        let read_only = StoreError::new("x", io::ErrorKind::ReadOnlyFilesystem.into());
        assert!(read_only.to_string().contains("choose another folder"), "{read_only}");
    }

    /// A device that is always full, where the system has one.
    #[test]
    fn a_full_disk_is_named() {
        let Ok(mut full) = std::fs::OpenOptions::new().write(true).open("/dev/full") else {
            println!("SKIPPED: no /dev/full on this system");
            return;
        };
        let error = io::Write::write_all(&mut full, b"x").unwrap_err();
        assert!(matches!(StoreError::new("/dev/full", error), StoreError::Full { .. }));
    }
}
