//! A table comes back as it was, or says that it is damaged.

use headcast::audio::Cut;

use super::super::super::job::{Failure, State};
use super::super::super::script::{Pace, Script};
use super::super::super::title::Title;
use super::super::record::Clip;
use super::*;

fn row(state: State) -> Row {
    Row {
        id: JobId::random().unwrap(),
        avatar: "milo".to_owned(),
        profile: Some("parity".to_owned()),
        extractor: Some("ears 0123456789abcdef".to_owned()),
        body: "eyes=blink".to_owned(),
        audio_name: "讲话'; DROP TABLE jobs.wav".to_owned(),
        script: Some(Script {
            text: "Hello.\n你好。".to_owned(),
            voice: Some("espeak-ng/en-us".to_owned()),
            speed: Pace::from_percent(125).unwrap(),
        }),
        title: Title::parse("讲'; --").unwrap(),
        cut: Cut::new(Duration::from_millis(250), Some(Duration::from_nanos(1_333_333_333))).unwrap(),
        has_features: true,
        pushed: "64x48 30000/1001 yuv420p 51".parse().ok(),
        created: instant(1_700_000_000_123),
        state,
        failure: None,
        started: None,
        finished: None,
        clip: None,
    }
}

fn clip() -> Clip {
    let clip = ClipRecord {
        segment_ends: "8 24 51".to_owned(),
        frame_rate_num: 25,
        frame_rate_den: 1,
        width: 450,
        height: 450,
        qp: 21,
        channels: 2,
    };
    clip.clip(false).unwrap()
}

fn with_row(row: Row) -> Changes {
    Changes {
        id: row.id,
        row: Some(row),
        events: Vec::new(),
        first_event: 0,
        timings: Vec::new(),
        replanned: false,
    }
}

fn texts(jobs: &[Stored]) -> Vec<String> {
    jobs.iter().map(|job| format!("{:?}", job.row)).collect()
}

#[test]
fn a_job_comes_back_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let (database, jobs) = Database::open(&path).unwrap();
    assert!(jobs.is_empty());
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
    database.update(|| vec![with_row(failed.clone())]).unwrap();
    drop(database);

    let (database, jobs) = Database::open(&path).unwrap();
    assert_eq!(texts(&jobs), [format!("{failed:?}"), format!("{second:?}")]);
    database.delete(first.id).unwrap();
    drop(database);
    let (_, jobs) = Database::open(&path).unwrap();
    assert_eq!(texts(&jobs), [format!("{second:?}")]);
}

#[test]
fn events_and_timings_come_back_as_they_were_and_go_with_their_job() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let (database, _) = Database::open(&path).unwrap();
    let (job, other) = (row(State::Queued), row(State::Queued));
    database.insert(&job).unwrap();
    database.insert(&other).unwrap();
    let event = |seq, body| Event { seq, at: instant(1000 + i64::try_from(seq).unwrap()), body };
    let events = vec![
        event(1, EventBody::State),
        event(4, EventBody::Log(Level::Warn, "it's quiet; 太安静".to_owned())),
        event(5, EventBody::Ready(3)),
        event((7 << 32) + 1, EventBody::Log(Level::Error, String::new())),
    ];
    let timing = |made, took| Timing { made: instant(made), took: Duration::from_millis(took) };
    let changes = Changes {
        row: None,
        events: events.clone(),
        timings: vec![(0, timing(5, 40)), (2, timing(6, 41))],
        ..with_row(job.clone())
    };
    // Twice, as when two threads write down the same.
    for _ in 0..2 {
        database.update(|| vec![changes.clone(), with_row(other.clone())]).unwrap();
    }
    let again = || Database::open(&path).unwrap().1;
    assert_eq!(again()[0].events, events);
    assert_eq!(again()[0].timings, changes.timings);
    assert!(again()[1].events.is_empty() && again()[1].timings.is_empty());

    let later = Changes {
        events: Vec::new(),
        first_event: 5,
        timings: vec![(1, timing(9, 9))],
        replanned: true,
        ..changes.clone()
    };
    database.update(|| vec![later]).unwrap();
    assert_eq!(again()[0].events, events[2..], "what is older than the first one is forgotten");
    assert_eq!(again()[0].timings, [(1, timing(9, 9))]);

    database.delete(job.id).unwrap();
    // What is written late goes nowhere.
    database.update(|| vec![changes]).unwrap();
    let left = |table| -> u32 {
        let count = format!("SELECT count(*) FROM {table}");
        database.run(|connection| connection.query_row(&count, [], |row| row.get(0))).unwrap()
    };
    assert_eq!((left("events"), left("segments"), left("jobs")), (0, 0, 1));
}

#[test]
fn a_start_knows_whether_the_one_before_came_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let start = |ends: bool| {
        let (database, _) = Database::open(&path).unwrap();
        let start = database.begin().unwrap();
        if ends {
            database.end(start).unwrap();
        }
        (start.number, start.after_clean_end)
    };
    assert_eq!(start(true), (1, true), "there is none before the first");
    assert_eq!(start(false), (2, true));
    assert_eq!(start(false), (3, false));
    assert_eq!(start(true), (4, false));
    // A look at the table is no start.
    Database::open(&path).unwrap();
    assert_eq!(start(true), (5, true));
}

#[test]
fn a_table_is_made_of_rows() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new");
    let done = Row { clip: Some(clip()), finished: Some(instant(9)), ..row(State::Done) };
    let rows = [row(State::Queued), done];
    Database::rebuild(&path, &rows, 41).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "in one file");
    let (database, jobs) = Database::open(&path).unwrap();
    assert_eq!(texts(&jobs), rows.map(|row| format!("{row:?}")));
    let start = database.begin().unwrap();
    assert_eq!((start.number, start.after_clean_end), (42, false));
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
    let (database, jobs) = Database::open(&path).unwrap();
    assert_eq!((jobs.len(), jobs[0].row.state), (1, State::Cancelled));
    assert_eq!(database.begin().unwrap().number, 1);
    database.insert(&row(State::Queued)).unwrap();
    drop(database);

    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", 99).unwrap();
    drop(newer);
    let refused = Database::open(&path).unwrap_err();
    assert!(matches!(refused, DatabaseError::TooNew { .. }), "{refused}");
}

/// As the version before clips of open length left it; and what that one would take for damage.
#[test]
fn an_old_table_takes_clips_of_open_length() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let old = Connection::open(&path).unwrap();
    for step in &MIGRATIONS[..4] {
        old.execute_batch(step).unwrap();
    }
    old.pragma_update(None, "user_version", 4).unwrap();
    old.execute_batch(
        "INSERT INTO jobs (id, avatar, audio_name, has_features, created_ms, state, pushed, segment_ends,
            frame_rate_num, frame_rate_den, width, height, qp, channels)
         VALUES ('aaaabbbbccccdddd', '', '64x48', 0, 9, 'rendering', '64x48 25/1 rgb24 51', '8 24 51', 25, 1, 64, 48, 21, 0)",
    )
    .unwrap();
    drop(old);
    let (database, jobs) = Database::open(&path).unwrap();
    let clip = jobs[0].row.clip.clone().unwrap();
    assert_eq!((clip.plan.ends(), clip.plan.total_frames()), (&[8, 24, 51][..], Some(51)));
    let open = Row { pushed: "64x48 25/1 rgb24 open".parse().ok(), ..row(State::Rendering) };
    database.insert(&open).unwrap();
    for ends in ["", "8", "8 16 32"] {
        let record = ClipRecord { segment_ends: ends.to_owned(), channels: 0, ..ClipRecord::from(&clip) };
        let row = Row { clip: record.clip(true), ..open.clone() };
        database.update(|| vec![with_row(row.clone())]).unwrap();
        let again = Database::open(&path).unwrap().1;
        assert_eq!(format!("{:?}", again[1].row), format!("{row:?}"));
        let plan = &again[1].row.clip.as_ref().unwrap().plan;
        assert_eq!((plan.len(), plan.total_frames()), (ends.split_whitespace().count(), None));
        assert!(record.clip(false).is_none() == ends.is_empty(), "a known length has a segment");
    }
    // The control: a version that does not know them does not touch them.
    let version: i64 = database
        .run(|connection| connection.pragma_query_value(None, "user_version", |row| row.get(0)))
        .unwrap();
    assert!(version > 4);
}

/// As the version before events were kept left it.
#[test]
fn a_table_without_events_gets_some() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(FILE_NAME);
    let old = Connection::open(&path).unwrap();
    for step in &MIGRATIONS[..2] {
        old.execute_batch(step).unwrap();
    }
    old.pragma_update(None, "user_version", 2).unwrap();
    old.execute_batch(
        "INSERT INTO starts (at_ms) VALUES (1), (2);
         INSERT INTO jobs (id, avatar, audio_name, has_features, created_ms, state)
         VALUES ('aaaabbbbccccdddd', 'milo', 'a.wav', 0, 9, 'queued')",
    )
    .unwrap();
    drop(old);
    let (database, jobs) = Database::open(&path).unwrap();
    let start = database.begin().unwrap();
    assert_eq!((start.number, start.after_clean_end), (3, false), "it kept no events, so some are missing");
    let event = Event { seq: 1, at: instant(1), body: EventBody::State };
    let changes = Changes { events: vec![event.clone()], ..with_row(jobs[0].row.clone()) };
    database.update(|| vec![changes]).unwrap();
    drop(database);
    assert_eq!(Database::open(&path).unwrap().1[0].events, [event]);
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
    for page in 0..good.len() / 4096 {
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
    for change in ["state = 'sleeping'", "id = '../../etc'", "segment_ends = '8 7', frame_rate_num = 25"] {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE_NAME);
        let (database, ..) = Database::open(&path).unwrap();
        let job = row(State::Rendering);
        database.insert(&job).unwrap();
        database.update(|| vec![with_row(Row { clip: Some(clip()), ..job.clone() })]).unwrap();
        database.run(|connection| connection.execute_batch(&format!("UPDATE jobs SET {change}"))).unwrap();
        drop(database);
        assert!(matches!(Database::open(&path), Err(DatabaseError::Damaged { .. })), "{change}");
    }
}
