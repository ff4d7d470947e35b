//! What of the jobs outlives the process: the table, the job folders and the lock on the data folder.
//!
//! ```text
//! headcast.lock        held by the running server
//! headcast.sqlite      the table: one row per job
//! uploads/             uploads that are still arriving; emptied at start
//! jobs/<id>/           input, features.npy, segment_00000.ts …
//! damaged-<n>/         a table that could not be read, with the job folders that it described
//! ```
//!
//! The order of writes makes every instant a good one to be killed at: the upload is on the disk under its final
//! name before its row is, the row has the plan before there is a segment, and a row goes before its folder does.
//! So a folder without a row is rubbish, and a row's segments always belong to its plan.

mod database;
mod folder;
mod lock;

pub(super) use database::{Clip, Database, Row};
pub(super) use folder::{JobFolder, is_whole};
pub(super) use lock::FolderLock;

pub use database::DatabaseError;

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::id::JobId;

/// Why the jobs of a data folder cannot be taken up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// Stop the other server, or choose another folder.
    #[error(
        "another headcast server{} is at work in the data folder {}; stop it, or choose another folder with \
         --data-dir",
        process.map(|number| format!(" (process {number})")).unwrap_or_default(), dir.display()
    )]
    InUse {
        /// The data folder.
        dir: PathBuf,
        /// The other server, where the system tells.
        process: Option<u32>,
    },
    /// Make the folder writable, or choose another one.
    #[error("the data folder {} cannot be used: {source}; choose another one with --data-dir", dir.display())]
    Folder {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// See there.
    #[error(transparent)]
    Table(#[from] DatabaseError),
}

impl From<StartError> for io::Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Folder { source, .. } => source,
            other => Self::other(other),
        }
    }
}

/// A data folder that this process owns.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) jobs: PathBuf,
    pub(super) database: Database,
    _lock: FolderLock,
}

/// What was found there.
#[derive(Debug)]
pub(super) struct Found {
    /// In order of arrival.
    pub(super) rows: Vec<Row>,
    /// How often a server was started on this folder, this time included.
    pub(super) starts: u64,
    /// A sentence for the user, when something had to be put aside.
    pub(super) notes: Vec<String>,
}

impl Disk {
    /// Takes the data folder whose job folders are in `jobs`, and clears away what a crash left behind.
    ///
    /// A table that cannot be read is put aside together with the job folders, and a new one is begun.
    ///
    /// # Errors
    /// [`StartError`]: another server, no right to write, or a table of a later version.
    pub(super) fn open(jobs: &Path) -> Result<(Self, Found), StartError> {
        let failed = |dir: &Path| {
            let dir = dir.to_owned();
            move |source| StartError::Folder { dir, source }
        };
        fs::create_dir_all(jobs).map_err(failed(jobs))?;
        let dir = jobs.parent().unwrap_or(jobs);
        let lock = FolderLock::take(dir)?;
        let path = dir.join(database::FILE_NAME);
        let mut notes = Vec::new();
        let (database, rows, starts) = match Database::open(&path) {
            Err(DatabaseError::Damaged { reason, .. }) => {
                let aside = put_aside(dir, jobs).map_err(failed(dir))?;
                notes.push(format!(
                    "the table of jobs was damaged ({reason}); it was moved to {} with the jobs in it, and a new \
                     one was begun",
                    aside.display()
                ));
                Database::open(&path)?
            }
            opened => opened?,
        };
        let known: BTreeSet<String> = rows.iter().map(|row| row.id.to_string()).collect();
        clear(jobs, |name| name.parse::<JobId>().is_ok() && !known.contains(name)).map_err(failed(jobs))?;
        let uploads = jobs.with_file_name("uploads");
        clear(&uploads, is_upload).map_err(failed(&uploads))?;
        Ok((Self { jobs: jobs.to_owned(), database, _lock: lock }, Found { rows, starts, notes }))
    }

    pub(super) fn folder(&self, id: JobId) -> JobFolder {
        JobFolder::new(self.jobs.join(id.as_str()))
    }
}

/// Looks whether jobs can be kept in `data_dir`, repairs what can be repaired, and says what was done.
///
/// For the command line, before it opens a port; [`Jobs::start`](super::Jobs::start) does the same again.
///
/// # Errors
/// [`StartError`]: another server, no right to write, or a table of a later version.
pub fn prepare(data_dir: &Path) -> Result<Vec<String>, StartError> {
    Disk::open(&data_dir.join("jobs")).map(|(_, found)| found.notes)
}

/// Moves the table and the job folders into a folder of their own, which is returned.
fn put_aside(dir: &Path, jobs: &Path) -> io::Result<PathBuf> {
    let mut number = 1_u32;
    let aside = loop {
        let aside = dir.join(format!("damaged-{number}"));
        match fs::create_dir(&aside) {
            Ok(()) => break aside,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    };
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("{}{suffix}", database::FILE_NAME);
        match fs::rename(dir.join(&name), aside.join(&name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(jobs, aside.join("jobs"))?;
    fs::create_dir(jobs)?;
    Ok(aside)
}

/// Whether an upload is stored under such a name while it arrives.
fn is_upload(name: &str) -> bool {
    name.strip_prefix("upload-")
        .is_some_and(|rest| rest.len() == 6 && rest.bytes().all(|c| c.is_ascii_alphanumeric()))
}

/// Deletes what has such a name in `dir`, and nothing else: the folder may be one that people use for other things,
/// too. A folder that is not there is clear.
fn clear(dir: &Path, rubbish: impl Fn(&str) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        // A name that is not UTF-8 is none of ours.
        let Ok(name) = entry.file_name().into_string() else { continue };
        if rubbish(&name) {
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
    }
    Ok(())
}
