//! One server per data folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::path::Path;

use super::StartError;

/// Name of the file in the data folder that the running server holds locked. The lock belongs to the process,
/// so a crash leaves the file behind and no lock.
const FILE_NAME: &str = "headcast.lock";

/// Held as long as this lives.
#[derive(Debug)]
pub(in super::super) struct FolderLock {
    file: File,
}

impl FolderLock {
    /// Takes the folder for this process.
    ///
    /// # Errors
    /// [`StartError::InUse`] when another one has it.
    pub(in super::super) fn take(dir: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::Folder { dir: dir.to_owned(), source };
        let path = dir.join(FILE_NAME);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StartError::InUse { dir: dir.to_owned(), process: process(&mut file) });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        sign(&mut file).map_err(failed)?;
        Ok(Self { file })
    }
}

impl Drop for FolderLock {
    fn drop(&mut self) {
        // Closing would not do while a program that is just being started has the file, too: until it runs, it has
        // everything that this process has open. What cannot be unlocked is unlocked by closing.
        let _ = self.file.unlock();
    }
}

/// Leaves the process number, for the message that the next one prints.
fn sign(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    write!(file, "{}", std::process::id())
}

/// Where a lock also hides the text, the message does without.
fn process(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_one_is_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = FolderLock::take(dir.path()).unwrap();
        let refused = FolderLock::take(dir.path()).unwrap_err().to_string();
        assert!(refused.contains(&format!("process {}", std::process::id())), "{refused}");
        assert!(refused.contains("--data-dir"), "{refused}");
        drop(first);
        FolderLock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_program_that_is_being_started_does_not_hold_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = FolderLock::take(dir.path()).unwrap();
        let inherited = first.file.try_clone().unwrap();
        drop(first);
        FolderLock::take(dir.path()).unwrap();
        drop(inherited);
    }
}
