//! The table of jobs, in `SQLite`.
//!
//! In WAL mode with `synchronous = FULL`: a commit is on the disk when it returns, which is what a 201 promises. A
//! job writes its row some four times in its life, so the waits do not count.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use headcast::core::{FrameRate, SegmentPlan, Timeline};
use headcast::media::aac::Channels;
use headcast::media::h264::Qp;
use headcast::media::segment::Config;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use super::super::code::intern;
use super::super::id::JobId;
use super::super::job::{Failure, State};

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
];

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatabaseError {
    /// Put it aside; what it says cannot be trusted.
    #[error("the table of jobs {} is damaged: {reason}", path.display())]
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

/// What a job knows as soon as it is opened.
#[derive(Debug, Clone)]
pub(in super::super) struct Clip {
    pub(in super::super) plan: SegmentPlan,
    pub(in super::super) config: Config,
}

/// A job as the table has it.
#[derive(Debug, Clone)]
pub(in super::super) struct Row {
    pub(in super::super) id: JobId,
    pub(in super::super) avatar: String,
    pub(in super::super) profile: Option<String>,
    pub(in super::super) audio_name: String,
    pub(in super::super) has_features: bool,
    pub(in super::super) created: SystemTime,
    pub(in super::super) state: State,
    pub(in super::super) failure: Option<Failure>,
    pub(in super::super) started: Option<SystemTime>,
    pub(in super::super) finished: Option<SystemTime>,
    pub(in super::super) clip: Option<Clip>,
}

/// An open table.
#[derive(Debug)]
pub(in super::super) struct Database {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Database {
    /// Opens the table at `path` or begins one, brings it to the current version, and reads it: the rows in order of
    /// arrival, and how often it was opened.
    pub(in super::super) fn open(path: &Path) -> Result<(Self, Vec<Row>, u64), DatabaseError> {
        let explain = |error| explain(path, &error);
        let mut connection = Connection::open(path).map_err(explain)?;
        // Somebody may be looking at it with another program.
        connection.busy_timeout(Duration::from_secs(5)).map_err(explain)?;
        connection.pragma_update(None, "cell_size_check", true).map_err(explain)?;
        connection.pragma_update(None, "journal_mode", "wal").map_err(explain)?;
        connection.pragma_update(None, "synchronous", "full").map_err(explain)?;
        check(path, &connection)?;
        migrate(path, &mut connection)?;
        let (rows, starts) = read(path, &connection)?;
        Ok((Self { path: path.to_owned(), connection: Mutex::new(connection) }, rows, starts))
    }

    /// Adds a job that is accepted. It survives a crash from here on.
    pub(in super::super) fn insert(&self, row: &Row) -> Result<(), DatabaseError> {
        let insert = "INSERT INTO jobs (id, avatar, profile, audio_name, has_features, created_ms, state)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
        let values = params![
            row.id.as_str(),
            row.avatar,
            row.profile,
            row.audio_name,
            row.has_features,
            millis(row.created),
            state_name(row.state),
        ];
        self.run(|connection| connection.execute(insert, values).map(drop))
    }

    /// Brings the row of a job up to date. `look` is called when nobody else can write, so a later state of the job
    /// is never replaced by an earlier one.
    pub(in super::super) fn update(&self, look: impl FnOnce() -> Row) -> Result<(), DatabaseError> {
        let update = "UPDATE jobs SET state = ?2, failure_code = ?3, failure_message = ?4, started_ms = ?5,
            finished_ms = ?6, segment_ends = ?7, frame_rate_num = ?8, frame_rate_den = ?9, width = ?10,
            height = ?11, qp = ?12, channels = ?13 WHERE id = ?1";
        self.run(|connection| {
            let row = look();
            let (plan, config) = row.clip.as_ref().map(|clip| (&clip.plan, &clip.config)).unzip();
            let video = config.map(Config::video);
            let values = params![
                row.id.as_str(),
                state_name(row.state),
                row.failure.as_ref().map(|failure| failure.code),
                row.failure.as_ref().map(|failure| &failure.message),
                row.started.map(millis),
                row.finished.map(millis),
                plan.map(ends_text),
                video.map(|video| video.frame_rate().num()),
                video.map(|video| video.frame_rate().den()),
                video.map(headcast::media::h264::Config::shown_width),
                video.map(headcast::media::h264::Config::shown_height),
                video.map(|video| video.qp().get()),
                config.map(|config| match config.audio_channels() {
                    None => 0,
                    Some(Channels::Mono) => 1,
                    Some(Channels::Stereo) => 2,
                }),
            ];
            connection.execute(update, values).map(drop)
        })
    }

    /// Forgets a job.
    pub(in super::super) fn delete(&self, id: JobId) -> Result<(), DatabaseError> {
        self.run(|connection| {
            connection.execute("DELETE FROM jobs WHERE id = ?1", params![id.as_str()]).map(drop)
        })
    }

    fn run<T>(
        &self,
        work: impl FnOnce(&MutexGuard<'_, Connection>) -> rusqlite::Result<T>,
    ) -> Result<T, DatabaseError> {
        // A panic elsewhere leaves no statement half done: SQLite rolls back.
        let connection = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        work(&connection).map_err(|error| explain(&self.path, &error))
    }
}

fn explain(path: &Path, error: &rusqlite::Error) -> DatabaseError {
    let path = path.to_owned();
    let reason = error.to_string();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => DatabaseError::Damaged { path, reason },
        _ => DatabaseError::NotWritable { path, reason },
    }
}

/// Reads every page: a table of some hundred rows has few.
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

fn read(path: &Path, connection: &Connection) -> Result<(Vec<Row>, u64), DatabaseError> {
    let explain = |error| explain(path, &error);
    connection
        .execute("INSERT INTO starts (at_ms) VALUES (?1)", params![millis(SystemTime::now())])
        .map_err(explain)?;
    let starts = connection
        .query_row("SELECT max(number) FROM starts", [], |row| row.get::<_, u32>(0))
        .optional()
        .map_err(explain)?;
    let mut select = connection
        .prepare(
            "SELECT id, avatar, profile, audio_name, has_features, created_ms, state, failure_code, failure_message,
                started_ms, finished_ms, segment_ends, frame_rate_num, frame_rate_den, width, height, qp, channels
             FROM jobs ORDER BY number",
        )
        .map_err(explain)?;
    let mut found = select.query([]).map_err(explain)?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(explain)? {
        let row = row_of(row).map_err(explain)?.ok_or_else(|| DatabaseError::Damaged {
            path: path.to_owned(),
            reason: format!("row {} makes no sense", rows.len() + 1),
        })?;
        rows.push(row);
    }
    Ok((rows, u64::from(starts.unwrap_or(1))))
}

/// `None` when the values cannot have been written by this program.
fn row_of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Row>> {
    let id = row.get::<_, String>(0)?;
    let state = row.get::<_, String>(6)?;
    let (Ok(id), Some(state)) = (JobId::from_str(&id), state_of(&state)) else { return Ok(None) };
    let failure = match (row.get::<_, Option<String>>(7)?, row.get(8)?) {
        (Some(code), Some(message)) => Some(Failure { code: intern(&code), message }),
        _ => None,
    };
    let clip = match row.get::<_, Option<String>>(11)? {
        None => None,
        Some(ends) => {
            let video = (row.get(12)?, row.get(13)?, row.get(14)?, row.get(15)?, row.get(16)?);
            match clip_of(&ends, video, row.get(17)?) {
                None => return Ok(None),
                clip => clip,
            }
        }
    };
    Ok(Some(Row {
        id,
        avatar: row.get(1)?,
        profile: row.get(2)?,
        audio_name: row.get(3)?,
        has_features: row.get(4)?,
        created: instant(row.get(5)?),
        state,
        failure,
        started: row.get::<_, Option<i64>>(9)?.map(instant),
        finished: row.get::<_, Option<i64>>(10)?.map(instant),
        clip,
    }))
}

fn clip_of(ends: &str, video: (u32, u32, u32, u32, u8), channels: u8) -> Option<Clip> {
    let (num, den, width, height, qp) = video;
    let ends = ends.split(' ').map(|end| end.parse().ok()).collect::<Option<Vec<u64>>>()?;
    let frame_rate = FrameRate::new(num, den)?;
    let timeline = Timeline::from_frames(*ends.last()?, frame_rate)?;
    let config = Config::new(width, height, frame_rate).ok()?;
    let config = config.qp(Qp::new(qp)?);
    Some(Clip {
        plan: SegmentPlan::from_ends(timeline, ends)?,
        config: match channels {
            0 => config.without_sound(),
            channels => config.channels(Channels::from_count(usize::from(channels))?),
        },
    })
}

fn ends_text(plan: &SegmentPlan) -> String {
    let ends: Vec<_> = plan.ends().iter().map(ToString::to_string).collect();
    ends.join(" ")
}

fn state_name(state: State) -> &'static str {
    match state {
        // A job that is being opened begins again.
        State::Queued | State::Opening => "queued",
        State::Rendering => "rendering",
        State::Done => "done",
        State::Failed => "failed",
        State::Cancelled => "cancelled",
    }
}

fn state_of(name: &str) -> Option<State> {
    [State::Queued, State::Rendering, State::Done, State::Failed, State::Cancelled]
        .into_iter()
        .find(|state| state_name(*state) == name)
}

/// Milliseconds since 1970.
fn millis(at: SystemTime) -> i64 {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

fn instant(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(u64::try_from(millis).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(state: State) -> Row {
        Row {
            id: JobId::random().unwrap(),
            avatar: "milo".to_owned(),
            profile: Some("parity".to_owned()),
            audio_name: "讲话'; DROP TABLE jobs.wav".to_owned(),
            has_features: true,
            created: instant(1_700_000_000_123),
            state,
            failure: None,
            started: None,
            finished: None,
            clip: None,
        }
    }

    fn clip() -> Clip {
        clip_of("8 24 51", (25, 1, 450, 450, 21), 2).unwrap()
    }

    #[test]
    fn a_job_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let (database, rows, starts) = Database::open(&path).unwrap();
        assert_eq!((rows.len(), starts), (0, 1));
        let (first, second) = (row(State::Queued), row(State::Queued));
        database.insert(&first).unwrap();
        database.insert(&second).unwrap();
        assert!(database.insert(&first).is_err(), "names are unique");
        let failed = Row {
            state: State::Failed,
            failure: Some(Failure { code: "disk", message: "it is full".to_owned() }),
            started: Some(instant(5)),
            finished: Some(instant(6)),
            clip: Some(clip()),
            ..first.clone()
        };
        database.update(|| failed.clone()).unwrap();
        drop(database);

        let (database, rows, starts) = Database::open(&path).unwrap();
        assert_eq!(starts, 2);
        assert_eq!(format!("{rows:?}"), format!("{:?}", [failed, second.clone()]));
        database.delete(first.id).unwrap();
        drop(database);
        let (_, rows, _) = Database::open(&path).unwrap();
        assert_eq!(rows.len(), 1);
        assert_eq!(rows[0].id, second.id);
    }

    #[test]
    fn an_old_table_is_brought_up_to_date() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let old = Connection::open(&path).unwrap();
        old.execute_batch(MIGRATIONS[0]).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old.execute_batch(
            "INSERT INTO jobs (id, avatar, audio_name, has_features, created_ms, state)
             VALUES ('aaaabbbbccccdddd', 'milo', 'a.wav', 0, 9, 'cancelled')",
        )
        .unwrap();
        drop(old);
        let (database, rows, starts) = Database::open(&path).unwrap();
        assert_eq!((rows.len(), rows[0].state, starts), (1, State::Cancelled, 1));
        database.insert(&row(State::Queued)).unwrap();
        drop(database);

        let newer = Connection::open(&path).unwrap();
        newer.pragma_update(None, "user_version", 99).unwrap();
        drop(newer);
        let refused = Database::open(&path).unwrap_err();
        assert!(matches!(refused, DatabaseError::TooNew { .. }), "{refused}");
    }

    #[test]
    fn damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        std::fs::write(&path, b"this is not a database, it is a text that is a little longer than a header")
            .unwrap();
        assert!(matches!(Database::open(&path).unwrap_err(), DatabaseError::Damaged { .. }));

        std::fs::remove_file(&path).unwrap();
        let (database, ..) = Database::open(&path).unwrap();
        for _ in 0..200 {
            database.insert(&row(State::Queued)).unwrap();
        }
        drop(database);
        let good = std::fs::read(&path).unwrap();
        let mut pages_that_matter = 0;
        for page in 1..good.len() / 4096 {
            let mut bad = good.clone();
            bad[page * 4096..(page + 1) * 4096].fill(0x5a);
            std::fs::write(&path, &bad).unwrap();
            match Database::open(&path) {
                Err(DatabaseError::Damaged { .. }) => pages_that_matter += 1,
                other => panic!("page {page}: {other:?}"),
            }
        }
        assert!(pages_that_matter > 3);
        std::fs::write(&path, &good).unwrap();
        assert_eq!(Database::open(&path).unwrap().1.len(), 200, "the control");
    }

    #[test]
    fn values_that_make_no_sense_are_damage() {
        for change in ["state = 'sleeping'", "id = '../../etc'", "segment_ends = '8 7', frame_rate_num = 25"]
        {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(FILE_NAME);
            let (database, ..) = Database::open(&path).unwrap();
            let job = row(State::Rendering);
            database.insert(&job).unwrap();
            database.update(|| Row { clip: Some(clip()), ..job.clone() }).unwrap();
            database
                .run(|connection| connection.execute_batch(&format!("UPDATE jobs SET {change}")))
                .unwrap();
            drop(database);
            assert!(matches!(Database::open(&path), Err(DatabaseError::Damaged { .. })), "{change}");
        }
    }
}
