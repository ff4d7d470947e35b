//! A folder of a library while it is being made: seen whole under its name, or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// Start of the names of hidden folders that drafts are made in.
const PREFIX: &str = ".draft-";

/// What a draft takes the place of, while it does.
const REPLACED: &str = ".replaced";

/// Locked for as long as the draft lives: what a killed program left behind is told by its lock being free.
const LOCK: &str = "lock";

/// A folder in the making, in a hidden one of the library that goes with it, or with the next draft when the program is
/// killed.
#[derive(Debug)]
pub struct Draft {
    // Before the folder, so that it is let go first: some systems delete no open file.
    _lock: File,
    staging: TempDir,
    folder: PathBuf,
    target: PathBuf,
}

/// Why a finished draft was not published. The library is as it was.
#[derive(Debug)]
pub enum PublishError {
    /// There is one of this name already.
    Exists,
    /// What the system says.
    Io(io::Error),
}

impl Draft {
    /// An empty folder that is to become `library/name`. The library is made if there is none.
    ///
    /// * `name`: one part of a path, checked by the caller.
    ///
    /// # Errors
    /// What the system says.
    pub fn new(library: &Path, name: &str) -> io::Result<Self> {
        fs::create_dir_all(library)?;
        recover(library)?;
        let staging = tempfile::Builder::new().prefix(PREFIX).tempdir_in(library)?;
        // Gets its name when it is locked, so that nobody finds it free before.
        let unnamed = staging.path().join("unnamed");
        let lock = File::create_new(&unnamed)?;
        lock.lock()?;
        fs::rename(&unnamed, staging.path().join(LOCK))?;
        // Named as it will be, so that reading it as a check sees its final name.
        let folder = staging.path().join(name);
        fs::create_dir(&folder)?;
        Ok(Self { _lock: lock, staging, folder, target: library.join(name) })
    }

    /// Where to write.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes it `library/name`. All of it is on the disk before it is seen.
    ///
    /// * `overwrite`: takes the place of the one that is there, which goes afterwards.
    ///
    /// # Errors
    /// [`PublishError`].
    pub fn publish(mut self, overwrite: bool) -> Result<PathBuf, PublishError> {
        sync(&self.folder).map_err(PublishError::Io)?;
        if overwrite {
            self.replace().map_err(PublishError::Io)?;
        } else {
            // A folder takes the place of an empty one at most.
            fs::rename(&self.folder, &self.target).map_err(|error| {
                let exists = self.target.symlink_metadata().is_ok();
                if exists { PublishError::Exists } else { PublishError::Io(error) }
            })?;
        }
        if let Some(library) = self.target.parent() {
            sync_folder(library).map_err(PublishError::Io)?;
        }
        Ok(self.target)
    }

    /// In the place of the one that is there, if any. A kill in between leaves both to [`recover`].
    fn replace(&mut self) -> io::Result<()> {
        let old = self.staging.path().join(REPLACED);
        let replaced = match fs::rename(&self.target, &old) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => return Err(error),
        };
        fs::rename(&self.folder, &self.target).inspect_err(|_| {
            if replaced && fs::rename(&old, &self.target).is_err() {
                // The old one is in there.
                self.staging.disable_cleanup(true);
            }
        })
    }
}

/// Cleans up after killed programs in `library`: what they were making goes, and what they were just replacing comes
/// back. Drafts of programs that run stay. A library that is not there needs nothing.
///
/// # Errors
/// What the system says.
pub fn recover(library: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(library) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        // Without a lock it was made this moment, or is empty.
        if !File::open(entry.path().join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok()) {
            continue;
        }
        bring_back(library, &entry.path())?;
        // Another program may be about the same.
        match fs::remove_dir_all(entry.path()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Of a draft that was killed between taking away what it replaces and taking its place.
fn bring_back(library: &Path, staging: &Path) -> io::Result<()> {
    let old = staging.join(REPLACED);
    if !old.exists() {
        return Ok(());
    }
    for entry in fs::read_dir(staging)? {
        let name = entry?.file_name();
        if name == LOCK || name == REPLACED {
            continue;
        }
        // Where there is one by now, it is the newer one.
        if library.join(&name).symlink_metadata().is_err() {
            return fs::rename(&old, library.join(&name));
        }
    }
    Ok(())
}

/// Brings a folder and everything in it to the disk.
fn sync(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}

/// Brings the names in a folder to the disk, where the system lets a folder be opened.
fn sync_folder(folder: &Path) -> io::Result<()> {
    #[cfg(unix)]
    File::open(folder)?.sync_all()?;
    #[cfg(not(unix))]
    let _ = folder;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draft(library: &Path, text: &str) -> Draft {
        let draft = Draft::new(library, "ann").unwrap();
        fs::create_dir(draft.folder().join("torso")).unwrap();
        fs::write(draft.folder().join("torso/0.png"), text).unwrap();
        draft
    }

    fn names(library: &Path) -> Vec<String> {
        fs::read_dir(library)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn text(library: &Path) -> String {
        fs::read_to_string(library.join("ann/torso/0.png")).unwrap()
    }

    #[test]
    fn appears_whole_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let library = dir.path().join("library");
        let draft = draft(&library, "first");
        assert!(!library.join("ann").exists());
        assert_eq!(draft.publish(false).unwrap(), library.join("ann"));
        assert_eq!((names(&library), text(&library)), (vec!["ann".to_owned()], "first".to_owned()));
    }

    #[test]
    fn takes_the_place_of_another_only_when_told_to() {
        let dir = tempfile::tempdir().unwrap();
        draft(dir.path(), "first").publish(false).unwrap();
        assert!(matches!(draft(dir.path(), "second").publish(false), Err(PublishError::Exists)));
        assert_eq!((names(dir.path()), text(dir.path())), (vec!["ann".to_owned()], "first".to_owned()));
        draft(dir.path(), "third").publish(true).unwrap();
        assert_eq!((names(dir.path()), text(dir.path())), (vec!["ann".to_owned()], "third".to_owned()));
    }

    #[test]
    fn what_a_killed_program_left_goes_and_a_draft_beside_stays() {
        let dir = tempfile::tempdir().unwrap();
        let other = draft(dir.path(), "other");
        let left = dir.path().join(".draft-left");
        fs::create_dir_all(left.join("ann")).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        draft(dir.path(), "first").publish(false).unwrap();
        assert!(!left.exists());
        assert_eq!(other.publish(true).unwrap(), dir.path().join("ann"));
        assert_eq!((names(dir.path()), text(dir.path())), (vec!["ann".to_owned()], "other".to_owned()));
    }

    /// A program that was killed while it took the place of an avatar, after so many of its two renames.
    fn killed(library: &Path, renames: usize) {
        let made = draft(library, "old").publish(false).unwrap();
        let left = library.join(".draft-left");
        fs::create_dir_all(left.join("ann/torso")).unwrap();
        fs::write(left.join(LOCK), "").unwrap();
        fs::write(left.join("ann/torso/0.png"), "new").unwrap();
        if renames > 0 {
            fs::rename(&made, left.join(REPLACED)).unwrap();
        }
        if renames > 1 {
            fs::rename(left.join("ann"), &made).unwrap();
        }
    }

    #[test]
    fn a_kill_leaves_the_old_or_the_new() {
        for (renames, kept) in [(0, "old"), (1, "old"), (2, "new")] {
            let dir = tempfile::tempdir().unwrap();
            killed(dir.path(), renames);
            recover(dir.path()).unwrap();
            assert_eq!(
                (names(dir.path()), text(dir.path())),
                (vec!["ann".to_owned()], kept.to_owned()),
                "{renames}"
            );
        }
    }

    #[test]
    fn what_is_dropped_was_never_there() {
        let dir = tempfile::tempdir().unwrap();
        draft(dir.path(), "first").publish(false).unwrap();
        drop(draft(dir.path(), "second"));
        assert_eq!((names(dir.path()), text(dir.path())), (vec!["ann".to_owned()], "first".to_owned()));
    }
}
