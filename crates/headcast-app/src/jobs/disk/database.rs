//! The table of jobs, in `SQLite`.
//!
//! In WAL mode with `synchronous = FULL`: a commit is on the disk when it returns, which is what a 201 promises. A
//! job writes its row some four times in its life, and what happens meanwhile is written once a second for all jobs
//! together, so the waits do not count.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rusqlite::{Connection, ErrorCode, params};

use super::super::event::{Event, EventBody, Level};
use super::super::id::JobId;
use super::super::job::Timing;
use super::record::{ClipRecord, Record, Row, instant, millis};

/// Name of the database in the data folder.
pub(super) const FILE_NAME: &str = "headcast.sqlite";

/// Step `n` brings a table of version `n` to version `n + 1`. Steps that were released never change.
const MIGRATIONS: &[&str] = &[
    "CREATE TABLE jobs (
        number          INTEGER PRIMARY KEY AUTOINCREMENT,
        id              TEXT NOT NULL UNIQUE,
        avatar          TEXT NOT NULL,
        profile         TEXT,
        audio_name      TEXT NOT NULL,
        has_features    INTEGER NOT NULL,
        created_ms      INTEGER NOT NULL,
        state           TEXT NOT NULL,
        failure_code    TEXT,
        failure_message TEXT,
        started_ms      INTEGER,
        finished_ms     INTEGER,
        segment_ends    TEXT,
        frame_rate_num  INTEGER,
        frame_rate_den  INTEGER,
        width           INTEGER,
        height          INTEGER,
        qp              INTEGER,
        channels        INTEGER
    ) STRICT",
    "CREATE TABLE starts (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        at_ms  INTEGER NOT NULL
    ) STRICT",
    "CREATE TABLE events (
        job   INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        seq   INTEGER NOT NULL,
        at_ms INTEGER NOT NULL,
        kind  TEXT NOT NULL,
        text  TEXT,
        PRIMARY KEY (job, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE segments (
        job     INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
        segment INTEGER NOT NULL,
        made_ms INTEGER NOT NULL,
        took_ms INTEGER NOT NULL,
        PRIMARY KEY (job, segment)
    ) STRICT, WITHOUT ROWID;
    ALTER TABLE starts ADD COLUMN ended_ms INTEGER",
    "ALTER TABLE jobs ADD COLUMN pushed TEXT",
    "ALTER TABLE jobs ADD COLUMN body TEXT NOT NULL DEFAULT ''",
    // The columns stay: `pushed` may say `open`, and `segment_ends` nothing yet, which earlier versions take for damage.
    "",
    "ALTER TABLE jobs ADD COLUMN title TEXT",
    "ALTER TABLE jobs ADD COLUMN cut_start_ns INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE jobs ADD COLUMN cut_end_ns INTEGER",
    "ALTER TABLE jobs ADD COLUMN extractor TEXT",
    "ALTER TABLE jobs ADD COLUMN script TEXT;
    ALTER TABLE jobs ADD COLUMN voice TEXT;
    ALTER TABLE jobs ADD COLUMN speed_percent INTEGER",
];

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// Start the server again: it puts the table aside and makes a new one of what the job folders tell.
    #[error(
        "the table of jobs {} is damaged ({reason}); start the server again, which repairs it", path.display()
    )]
    Damaged {
        /// The database.
        path: PathBuf,
        /// What was found.
        reason: String,
    },
    /// Use that version again, or another folder.
    #[error(
        "the table of jobs {} was written by a later version of headcast (format {found}, this one knows {}); use \
         that version, or another folder with --data-dir", path.display(), MIGRATIONS.len()
    )]
    TooNew {
        /// The database.
        path: PathBuf,
        /// Its format.
        found: usize,
    },
    /// Free some space, or look at the disk; then try again.
    #[error("the table of jobs {} cannot be written ({reason}); free some space and try again", path.display())]
    NotWritable {
        /// The database.
        path: PathBuf,
        /// What `SQLite` said.
        reason: String,
    },
}

/// A job with all that the table has of it.
#[derive(Debug)]
pub(in super::super) struct Stored {
    pub(in super::super) row: Row,
    /// In order. Of progress there is none: it is of the moment.
    pub(in super::super) events: Vec<Event>,
    /// Segment and its timing.
    pub(in super::super) timings: Vec<(usize, Timing)>,
}

/// What of a job is newer than the table.
#[derive(Debug, Clone)]
pub(in super::super) struct Changes {
    pub(in super::super) id: JobId,
    /// `None` when it is as it was.
    pub(in super::super) row: Option<Row>,
    pub(in super::super) events: Vec<Event>,
    /// Events before this one are forgotten.
    pub(in super::super) first_event: u64,
    pub(in super::super) timings: Vec<(usize, Timing)>,
    /// Whether timings that the table has are those of another plan.
    pub(in super::super) replanned: bool,
}

/// This run of a server on the data folder.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Start {
    /// From 1.
    pub(in super::super) number: u64,
    /// Whether the run before it came to its own end and wrote down everything.
    pub(in super::super) after_clean_end: bool,
}

/// An open table.
#[derive(Debug)]
pub(in super::super) struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the table at `path` or begins one, brings it to the current version, and reads the jobs in order of
    /// arrival.
    pub(in super::super) fn open(path: &Path) -> Result<(Self, Vec<Stored>), DatabaseError> {
        let explain = |error| explain(path, &error);
        let mut connection = Connection::open(path).map_err(explain)?;
        // Somebody may be looking at it with another program.
        connection.busy_timeout(Duration::from_secs(5)).map_err(explain)?;
        connection.pragma_update(None, "cell_size_check", true).map_err(explain)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(explain)?;
        connection.pragma_update(None, "synchronous", "full").map_err(explain)?;
        connection.pragma_update(None, "foreign_keys", true).map_err(explain)?;
        check(path, &connection)?;
        migrate(path, &mut connection)?;
        let jobs = read(path, &connection)?;
        Ok((Self { path: path.to_owned(), connection: Mutex::new(connection) }, jobs))
    }

    /// Makes a table of `rows` at `path`, where there is none, for a data folder that saw `starts` starts.
    pub(super) fn rebuild(path: &Path, rows: &[Row], starts: u64) -> Result<(), DatabaseError> {
        let (database, _) = Self::open(path)?;
        database.write(|connection| {
            let starts = i64::try_from(starts).unwrap_or(i64::MAX);
            connection.execute("INSERT INTO starts (number, at_ms) VALUES (?1, 0)", params![starts])?;
            rows.iter().try_for_each(|row| insert(connection, &Record::from(row)))
        })?;
        // Everything into one file, which can be moved.
        database.run(|connection| connection.pragma_update(None, "journal_mode", "delete"))
    }

    /// Counts this start. To be called once, by the process that works on the jobs.
    pub(in super::super) fn begin(&self) -> Result<Start, DatabaseError> {
        self.write(|connection| {
            // Without an earlier one there is nothing that it could have lost.
            let unended = "SELECT count(*) FROM starts
                WHERE number = (SELECT max(number) FROM starts) AND ended_ms IS NULL";
            let unended: u32 = connection.query_row(unended, [], |row| row.get(0))?;
            let now = millis(SystemTime::now());
            connection.execute("INSERT INTO starts (at_ms) VALUES (?1)", params![now])?;
            let number = u64::try_from(connection.last_insert_rowid()).unwrap_or(1);
            Ok(Start { number, after_clean_end: unended == 0 })
        })
    }

    /// Notes that everything is written down.
    pub(in super::super) fn end(&self, start: Start) -> Result<(), DatabaseError> {
        let number = i64::try_from(start.number).unwrap_or(i64::MAX);
        let values = params![number, millis(SystemTime::now())];
        self.run(|connection| {
            connection.execute("UPDATE starts SET ended_ms = ?2 WHERE number = ?1", values).map(drop)
        })
    }

    /// Adds a job that is accepted. It survives a crash from here on.
    pub(in super::super) fn insert(&self, row: &Row) -> Result<(), DatabaseError> {
        self.run(|connection| insert(connection, &Record::from(row)))
    }

    /// Writes down what is new of each job, all or nothing. `look` is called when nobody else can write, so a later
    /// state of a job is never replaced by an earlier one.
    pub(in super::super) fn update(&self, look: impl FnOnce() -> Vec<Changes>) -> Result<(), DatabaseError> {
        self.write(|connection| look().iter().try_for_each(|changes| update(connection, changes)))
    }

    /// Forgets a job.
    pub(in super::super) fn delete(&self, id: JobId) -> Result<(), DatabaseError> {
        self.run(|connection| {
            connection.execute("DELETE FROM jobs WHERE id = ?1", params![id.as_str()]).map(drop)
        })
    }

    /// One transaction.
    fn write<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, DatabaseError> {
        self.run(|connection| {
            let transaction = connection.unchecked_transaction()?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        })
    }

    fn run<T>(&self, work: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, DatabaseError> {
        // A panic elsewhere leaves no statement half done: SQLite rolls back.
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|error| explain(&self.path, &error))
    }
}

fn insert(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
    let insert =
        "INSERT INTO jobs (id, avatar, profile, audio_name, has_features, created_ms, state, pushed, body,
            cut_start_ns, cut_end_ns, script, voice, speed_percent)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)";
    connection.execute(
        insert,
        params![
            record.id,
            record.avatar,
            record.profile,
            record.audio_name,
            record.has_features,
            record.created_ms,
            record.state,
            record.pushed,
            record.body,
            record.cut_start_ns,
            record.cut_end_ns,
            record.script,
            record.voice,
            record.speed_percent,
        ],
    )?;
    bring_up_to_date(connection, record)
}

fn bring_up_to_date(connection: &Connection, record: &Record) -> rusqlite::Result<()> {
    let update = "UPDATE jobs SET state = ?2, failure_code = ?3, failure_message = ?4, started_ms = ?5,
        finished_ms = ?6, segment_ends = ?7, frame_rate_num = ?8, frame_rate_den = ?9, width = ?10,
        height = ?11, qp = ?12, channels = ?13, profile = ?14, title = ?15, extractor = ?16 WHERE id = ?1";
    let clip = record.clip.as_ref();
    let values = params![
        record.id,
        record.state,
        record.failure_code,
        record.failure_message,
        record.started_ms,
        record.finished_ms,
        clip.map(|clip| &clip.segment_ends),
        clip.map(|clip| clip.frame_rate_num),
        clip.map(|clip| clip.frame_rate_den),
        clip.map(|clip| clip.width),
        clip.map(|clip| clip.height),
        clip.map(|clip| clip.qp),
        clip.map(|clip| clip.channels),
        record.profile,
        record.title,
        record.extractor,
    ];
    connection.prepare(update)?.execute(values).map(drop)
}

/// Nothing is added to a job that is deleted meanwhile.
fn update(connection: &Connection, changes: &Changes) -> rusqlite::Result<()> {
    if let Some(row) = &changes.row {
        bring_up_to_date(connection, &Record::from(row))?;
    }
    let id = changes.id.as_str();
    let mut add = connection.prepare(
        "INSERT OR IGNORE INTO events (job, seq, at_ms, kind, text)
            SELECT number, ?2, ?3, ?4, ?5 FROM jobs WHERE id = ?1",
    )?;
    for event in &changes.events {
        let Some((kind, text)) = event_words(&event.body) else { continue };
        add.execute(params![id, number(event.seq), millis(event.at), kind, text])?;
    }
    connection
        .prepare("DELETE FROM events WHERE job = (SELECT number FROM jobs WHERE id = ?1) AND seq < ?2")?
        .execute(params![id, number(changes.first_event)])?;
    if changes.replanned {
        connection.execute(
            "DELETE FROM segments WHERE job = (SELECT number FROM jobs WHERE id = ?1)",
            params![id],
        )?;
    }
    let mut add = connection.prepare(
        "INSERT OR REPLACE INTO segments (job, segment, made_ms, took_ms)
            SELECT number, ?2, ?3, ?4 FROM jobs WHERE id = ?1",
    )?;
    for (segment, Timing { made, took }) in &changes.timings {
        let took = i64::try_from(took.as_millis()).unwrap_or(i64::MAX);
        add.execute(params![id, number(*segment as u64), millis(*made), took])?;
    }
    Ok(())
}

/// Sequence numbers stay far below 2^63.
fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// `None` for progress, which is of the moment.
fn event_words(body: &EventBody) -> Option<(&'static str, Option<String>)> {
    match body {
        EventBody::State => Some(("state", None)),
        EventBody::Ready(segment) => Some(("ready", Some(segment.to_string()))),
        EventBody::Progress(_) => None,
        EventBody::Log(level, text) => Some((level_word(*level), Some(text.clone()))),
    }
}

/// `None` for what this version does not know.
fn event_of(kind: &str, text: Option<String>) -> Option<EventBody> {
    match kind {
        "state" => Some(EventBody::State),
        "ready" => Some(EventBody::Ready(text?.parse().ok()?)),
        _ => {
            let levels = [Level::Info, Level::Warn, Level::Error];
            let level = levels.into_iter().find(|level| level_word(*level) == kind)?;
            Some(EventBody::Log(level, text?))
        }
    }
}

fn level_word(level: Level) -> &'static str {
    match level {
        Level::Info => "info",
        Level::Warn => "warn",
        Level::Error => "error",
    }
}

fn explain(path: &Path, error: &rusqlite::Error) -> DatabaseError {
    let path = path.to_owned();
    let reason = error.to_string();
    match error {
        rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::FromSqlConversionFailure(..) => return DatabaseError::Damaged { path, reason },
        _ => {}
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DatabaseError::Damaged { path, reason },
        _ => DatabaseError::NotWritable { path, reason },
    }
}

/// Reads every page: the rows are bounded, so there are not many.
fn check(path: &Path, connection: &Connection) -> Result<(), DatabaseError> {
    let verdict: String = connection
        .query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))
        .map_err(|error| explain(path, &error))?;
    if verdict == "ok" {
        return Ok(());
    }
    let reason = verdict.lines().next_back().unwrap_or_default().to_owned();
    Err(DatabaseError::Damaged { path: path.to_owned(), reason })
}

fn migrate(path: &Path, connection: &mut Connection) -> Result<(), DatabaseError> {
    let explain = |error| explain(path, &error);
    let version: i64 =
        connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(explain)?;
    let version = usize::try_from(version).unwrap_or(usize::MAX);
    if version > MIGRATIONS.len() {
        return Err(DatabaseError::TooNew { path: path.to_owned(), found: version });
    }
    for (to, step) in (1_u32..).zip(MIGRATIONS).skip(version) {
        // The step and its number are one: a crash leaves both or neither.
        let transaction = connection.transaction().map_err(explain)?;
        transaction.execute_batch(step).map_err(explain)?;
        transaction.pragma_update(None, "user_version", to).map_err(explain)?;
        transaction.commit().map_err(explain)?;
    }
    Ok(())
}

fn read(path: &Path, connection: &Connection) -> Result<Vec<Stored>, DatabaseError> {
    let explain = |error| explain(path, &error);
    let mut events =
        by_job(connection, "SELECT job, seq, at_ms, kind, text FROM events ORDER BY job, seq", |row| {
            let kind: String = row.get(3)?;
            let (seq, at) = (count(row, 1)?, instant(row.get(2)?));
            Ok(event_of(&kind, row.get(4)?).map(|body| Event { seq, at, body }))
        })
        .map_err(explain)?;
    let mut timings = by_job(
        connection,
        "SELECT job, segment, made_ms, took_ms FROM segments ORDER BY job, segment",
        |row| {
            let timing = Timing { made: instant(row.get(2)?), took: Duration::from_millis(count(row, 3)?) };
            Ok(usize::try_from(count(row, 1)?).ok().map(|segment| (segment, timing)))
        },
    )
    .map_err(explain)?;
    let mut select = connection
        .prepare(
            "SELECT id, avatar, profile, audio_name, has_features, created_ms, state, failure_code, failure_message,
                started_ms, finished_ms, segment_ends, frame_rate_num, frame_rate_den, width, height, qp, channels,
                number, pushed, body, title, cut_start_ns, cut_end_ns, extractor, script, voice,
                speed_percent
             FROM jobs ORDER BY number",
        )
        .map_err(explain)?;
    let mut found = select.query([]).map_err(explain)?;
    let mut jobs = Vec::new();
    while let Some(row) = found.next().map_err(explain)? {
        let number: i64 = row.get(18).map_err(explain)?;
        let row = record_of(row).map_err(explain)?.row().ok_or_else(|| DatabaseError::Damaged {
            path: path.to_owned(),
            reason: format!("row {} makes no sense", jobs.len() + 1),
        })?;
        let events = events.remove(&number).unwrap_or_default();
        let timings = timings.remove(&number).unwrap_or_default();
        jobs.push(Stored { row, events, timings });
    }
    Ok(jobs)
}

/// A column that is never below zero.
fn count(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(u64::try_from(row.get::<_, i64>(column)?).unwrap_or_default())
}

/// Rows by the number of the job in their first column.
fn by_job<T>(
    connection: &Connection,
    select: &str,
    value: impl Fn(&rusqlite::Row<'_>) -> rusqlite::Result<Option<T>>,
) -> rusqlite::Result<BTreeMap<i64, Vec<T>>> {
    let mut select = connection.prepare(select)?;
    let mut rows = select.query([])?;
    let mut all: BTreeMap<i64, Vec<T>> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        if let Some(value) = value(row)? {
            all.entry(row.get(0)?).or_default().push(value);
        }
    }
    Ok(all)
}

fn record_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Record> {
    let clip = match row.get::<_, Option<String>>(11)? {
        None => None,
        Some(segment_ends) => Some(ClipRecord {
            segment_ends,
            frame_rate_num: row.get(12)?,
            frame_rate_den: row.get(13)?,
            width: row.get(14)?,
            height: row.get(15)?,
            qp: row.get(16)?,
            channels: row.get(17)?,
        }),
    };
    Ok(Record {
        id: row.get(0)?,
        avatar: row.get(1)?,
        profile: row.get(2)?,
        audio_name: row.get(3)?,
        has_features: row.get(4)?,
        created_ms: row.get(5)?,
        state: row.get(6)?,
        failure_code: row.get(7)?,
        failure_message: row.get(8)?,
        started_ms: row.get(9)?,
        finished_ms: row.get(10)?,
        pushed: row.get(19)?,
        body: row.get(20)?,
        title: row.get(21)?,
        cut_start_ns: row.get(22)?,
        cut_end_ns: row.get(23)?,
        extractor: row.get(24)?,
        script: row.get(25)?,
        voice: row.get(26)?,
        speed_percent: row.get(27)?,
        clip,
    })
}

#[cfg(test)]
mod tests;
