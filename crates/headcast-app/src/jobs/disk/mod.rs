//! What of the jobs outlives the process: the table, the job folders and the lock on the data folder.
//!
//! ```text
//! headcast.lock        held by the running server
//! headcast.sqlite      the table: one row per job, its events, and when its segments were made
//! uploads/             uploads that are still arriving; emptied at start
//! jobs/<id>/           input, captions.json, features.npy, background, job.json (the card: a copy of the row), poster.png, segment_00000.ts …
//! damaged-<n>/         a table that could not be read, with the job folders that nothing is known of
//! ```
//!
//! The order of writes makes every instant a good one to be killed at: the upload is on the disk under its final
//! name before its row is, the row has the plan before there is a segment, and a row goes before its folder does.
//! So a folder without a row is rubbish, and a row's segments always belong to its plan. Only when the table is damaged
//! are the cards believed instead: a new table is made of them.

mod card;
mod database;
mod folder;
mod lock;
mod record;

pub(super) use database::{Changes, Database, Start, Stored};
pub(super) use folder::{JobFolder, is_whole};
pub(super) use lock::FolderLock;
pub(super) use record::{Clip, Row};

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
    jobs: PathBuf,
    database: Database,
    /// This one.
    start: Start,
    _lock: FolderLock,
}

/// What was found there.
#[derive(Debug)]
pub(super) struct Found {
    /// In order of arrival.
    pub(super) jobs: Vec<Stored>,
    /// A sentence for the user, when something had to be put aside.
    pub(super) notes: Vec<String>,
}

impl Disk {
    /// Takes the data folder whose job folders are in `jobs`, and clears away what a crash left behind.
    ///
    /// A table that cannot be read is put aside, and a new one is made of the cards in the job folders.
    ///
    /// # Errors
    /// [`StartError`]: another server, no right to write, or a table of a later version.
    pub(super) fn open(jobs: &Path) -> Result<(Self, Found), StartError> {
        let (lock, database, found) = take(jobs)?;
        let start = database.begin()?;
        let disk = Self { jobs: jobs.to_owned(), database, start, _lock: lock };
        for Stored { row, .. } in &found.jobs {
            let folder = disk.folder(row.id);
            folder.sweep();
            // The card of a job that goes on tells how far its events may have got.
            if !row.state.is_over() || !folder.has_card() {
                folder.put_card(&card::text(row, start.number));
            }
        }
        Ok((disk, found))
    }

    pub(super) fn start(&self) -> Start {
        self.start
    }

    pub(super) fn folder(&self, id: JobId) -> JobFolder {
        JobFolder::new(self.jobs.join(id.as_str()))
    }

    /// What the folder of a job has of its row.
    pub(super) fn card(&self, row: &Row) -> Vec<u8> {
        card::text(row, self.start.number)
    }

    /// Adds a job that is accepted, and in its folder. It survives a crash from here on.
    pub(super) fn insert(&self, row: &Row) -> Result<(), DatabaseError> {
        self.database.insert(row)
    }

    /// Writes down what is new of each job, all or nothing. `look` is called when nobody else can write, so a later
    /// state of a job is never replaced by an earlier one.
    pub(super) fn update(&self, look: impl FnOnce() -> Vec<Changes>) -> Result<(), DatabaseError> {
        self.database.update(|| {
            let changes = look();
            for row in changes.iter().filter_map(|changes| changes.row.as_ref()) {
                self.folder(row.id).put_card(&self.card(row));
            }
            changes
        })
    }

    /// Forgets a job. Its folder stays.
    pub(super) fn delete(&self, id: JobId) -> Result<(), DatabaseError> {
        self.database.delete(id)
    }

    /// Notes that everything is written down.
    pub(super) fn end(&self) -> Result<(), DatabaseError> {
        self.database.end(self.start)
    }
}

/// Takes the data folder whose job folders are in `jobs`, repairs what can be repaired, and clears away rubbish.
fn take(jobs: &Path) -> Result<(FolderLock, Database, Found), StartError> {
    let failed = |dir: &Path| {
        let dir = dir.to_owned();
        move |source| StartError::Folder { dir, source }
    };
    fs::create_dir_all(jobs).map_err(failed(jobs))?;
    let dir = jobs.parent().unwrap_or(jobs);
    let lock = FolderLock::take(dir)?;
    let path = dir.join(database::FILE_NAME);
    let mut notes = Vec::new();
    let opened = if is_gone(&path, jobs).map_err(failed(jobs))? {
        Err(DatabaseError::Damaged { path: path.clone(), reason: "it is gone or empty".to_owned() })
    } else {
        Database::open(&path)
    };
    let (database, stored) = match opened {
        Err(DatabaseError::Damaged { reason, .. }) => {
            let repaired = repair(dir, jobs).map_err(|error| match error {
                RepairError::Io(source) => failed(dir)(source),
                RepairError::Table(error) => StartError::Table(error),
            })?;
            notes.push(repaired.note(&reason));
            Database::open(&path)?
        }
        opened => opened?,
    };
    let known: BTreeSet<String> = stored.iter().map(|job| job.row.id.to_string()).collect();
    clear(jobs, |name| name.parse::<JobId>().is_ok() && !known.contains(name)).map_err(failed(jobs))?;
    let uploads = jobs.with_file_name("uploads");
    clear(&uploads, is_upload).map_err(failed(&uploads))?;
    Ok((lock, database, Found { jobs: stored, notes }))
}

/// Looks whether jobs can be kept in `data_dir`, repairs what can be repaired, and says what was done.
///
/// For the command line, before it opens a port; [`Jobs::start`](super::Jobs::start) does the same again.
///
/// # Errors
/// [`StartError`]: another server, no right to write, or a table of a later version.
pub fn prepare(data_dir: &Path) -> Result<Vec<String>, StartError> {
    take(&data_dir.join("jobs")).map(|(_, _, found)| found.notes)
}

/// Whether there is no table, although there are jobs: a table is there before the first job is.
fn is_gone(table: &Path, jobs: &Path) -> io::Result<bool> {
    if fs::metadata(table).is_ok_and(|file| file.len() > 0) {
        return Ok(false);
    }
    let mut folders = fs::read_dir(jobs)?.filter_map(Result::ok);
    Ok(folders.any(|folder| JobFolder::new(folder.path()).has_card()))
}

/// What became of a damaged table.
struct Repaired {
    aside: PathBuf,
    /// Jobs that are in the new table.
    jobs: usize,
    /// Job folders that were put aside with the old one.
    unknown: usize,
}

impl Repaired {
    fn note(&self, reason: &str) -> String {
        let Self { aside, jobs, unknown } = self;
        let aside = aside.display();
        let rest = match unknown {
            0 => String::new(),
            _ => format!(" {unknown} job folders that nothing is known of were moved there, too."),
        };
        format!(
            "the table of jobs was damaged ({reason}). A new one was made of what the job folders tell: {jobs} jobs, \
             without their log lines. The old one is kept in {aside}.{rest}"
        )
    }
}

enum RepairError {
    Io(io::Error),
    Table(DatabaseError),
}

impl From<io::Error> for RepairError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Keeps a copy of the table in a folder of its own, and puts one in its place that is made of the cards.
///
/// Whenever this is interrupted, there is the damaged table or the new one, never none: without a table, the folders
/// of all jobs would be rubbish.
fn repair(dir: &Path, jobs: &Path) -> Result<Repaired, RepairError> {
    let files = ["", "-wal", "-shm"].map(|suffix| format!("{}{suffix}", database::FILE_NAME));
    let aside = free_folder(dir)?;
    for name in &files {
        match fs::copy(dir.join(name), aside.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    let (mut rows, mut starts, mut unknown) = (Vec::new(), 0, 0);
    for entry in fs::read_dir(jobs)? {
        let entry = entry?;
        let Some(id) = entry.file_name().to_str().and_then(|name| name.parse::<JobId>().ok()) else {
            continue;
        };
        match JobFolder::new(entry.path()).card().filter(|(row, _)| row.id == id) {
            Some((row, start)) => {
                starts = starts.max(start);
                rows.push(row);
            }
            None => {
                unknown += 1;
                fs::create_dir_all(aside.join("jobs"))?;
                fs::rename(entry.path(), aside.join("jobs").join(entry.file_name()))?;
            }
        }
    }
    rows.sort_by_key(|row: &Row| row.created);
    let new = dir.join(format!("{}-new", database::FILE_NAME));
    for suffix in ["", "-wal", "-shm", "-journal"] {
        let left = dir.join(format!("{}-new{suffix}", database::FILE_NAME));
        match fs::remove_file(left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
    }
    Database::rebuild(&new, &rows, starts).map_err(RepairError::Table)?;
    // The log first: it would be applied to whichever table is there.
    for name in files.iter().rev() {
        if *name == files[0] {
            fs::rename(&new, dir.join(name))?;
        } else {
            match fs::remove_file(dir.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
    }
    Ok(Repaired { aside, jobs: rows.len(), unknown })
}

/// A new folder `damaged-<n>`.
fn free_folder(dir: &Path) -> io::Result<PathBuf> {
    let mut number = 1_u32;
    loop {
        let aside = dir.join(format!("damaged-{number}"));
        match fs::create_dir(&aside) {
            Ok(()) => return Ok(aside),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(error),
        }
    }
}

/// Whether an upload is stored under such a name while it arrives: a file, or the folder of an avatar's files.
fn is_upload(name: &str) -> bool {
    ["upload-", "avatar-"]
        .iter()
        .find_map(|prefix| name.strip_prefix(prefix))
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
