//! What happened to a job is told after the end of the process, too.

use headcast_app::jobs::{Event, EventBody, Job, Limits, State};
use rusqlite::Connection;

use super::{Place, eventually, until};

/// Everything but progress, which is of the moment.
fn history(job: &Job) -> Vec<Event> {
    let events = job.events_after(0).0;
    events.into_iter().filter(|event| !matches!(event.body, EventBody::Progress(_))).collect()
}

/// Number, millisecond and content: more of the time is not kept.
fn to_the_millisecond(events: &[Event]) -> Vec<(u64, u128, EventBody)> {
    let millis = |event: &Event| event.at.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    events.iter().map(|event| (event.seq, millis(event), event.body.clone())).collect()
}

fn rows(place: &Place, table: &str) -> u64 {
    let connection = Connection::open(place.path("headcast.sqlite")).unwrap();
    let count = format!("SELECT count(*) FROM {table}");
    u64::from(connection.query_row(&count, [], |row| row.get::<_, u32>(0)).unwrap())
}

#[test]
fn the_log_of_a_job_that_is_over_is_the_same_after_a_restart() {
    let place = Place::new();
    let run = place.start_open();
    let jobs = ["speech.wav", "broken.wav"].map(|name| run.job(name, 40));
    until(&jobs[0], State::Done);
    until(&jobs[1], State::Failed);
    let before = jobs.each_ref().map(|job| (history(job), job.snapshot()));
    assert!(before[0].0.iter().any(|event| event.body == EventBody::Ready(4)));
    run.stop();
    for _ in 0..2 {
        let run = place.start();
        for (job, (events, snapshot)) in jobs.iter().zip(&before) {
            let job = run.find(job.id());
            assert_eq!(to_the_millisecond(&history(&job)), to_the_millisecond(events));
            assert_eq!(job.snapshot().seq, snapshot.seq, "who knew all of it learns nothing new");
            assert!(job.events_after(events[3].seq).1);
            let took = |timings: &[Option<headcast_app::jobs::Timing>]| -> Vec<_> {
                timings.iter().map(|timing| timing.map(|timing| timing.took.as_millis())).collect()
            };
            assert_eq!(took(&job.snapshot().timings), took(&snapshot.timings));
        }
        assert_eq!(run.find(jobs[0].id()).snapshot().timings.iter().flatten().count(), 5);
        run.stop();
    }
}

#[test]
fn numbers_grow_over_restarts_and_a_reader_goes_on_where_it_was() {
    let place = Place::new();
    let run = place.start();
    let job = run.job("speech.wav", 40);
    let id = job.id();
    run.gate.allow(8);
    eventually("a segment", || job.made_from_start() == 1);
    let early = job.events_after(0).0[1].seq;
    run.stop();
    let (mut all, mut last) = (history(&job), job.snapshot().seq);
    for _ in 0..3 {
        let run = place.start();
        let job = run.find(id);
        let (rest, complete) = job.events_after(early);
        assert!(complete && rest.iter().any(|event| event.body == EventBody::Ready(0)));
        assert_eq!(to_the_millisecond(&history(&job)[..all.len()]), to_the_millisecond(&all));
        let new = job.events_after(last).0;
        assert!(!new.is_empty() && new.iter().all(|event| event.seq > last), "{last} {new:?}");
        run.stop();
        (all, last) = (history(&job), job.snapshot().seq);
    }
    let run = place.start_open();
    until(&run.find(id), State::Done);
    let history = history(&run.find(id));
    assert!(history.windows(2).all(|pair| pair[0].seq < pair[1].seq), "{history:?}");
    for segment in 0..5 {
        let ready = history.iter().filter(|event| event.body == EventBody::Ready(segment));
        assert_eq!(ready.count(), 1, "segment {segment}");
    }
}

#[test]
fn a_crash_costs_the_last_moments_of_the_log_and_says_so() {
    let place = Place::new();
    let run = place.start();
    let done = run.job("speech.wav", 16);
    let job = run.job("speech.wav", 40);
    run.gate.allow(16 + 8);
    until(&done, State::Done);
    eventually("a segment", || job.made_from_start() == 1);
    // Nobody asks for it and nothing comes to an end, so what happens is in the table within a second.
    let told = history(&job);
    eventually("all of it in the table", || {
        rows(&place, "events") == (told.len() + history(&done).len()) as u64 && rows(&place, "segments") == 3
    });
    let seen = job.snapshot().seq;
    let crashed = place.as_it_is();
    drop(run);

    let run = crashed.start();
    let job = run.find(job.id());
    assert_eq!(to_the_millisecond(&history(&job)[..told.len()]), to_the_millisecond(&told));
    let (new, complete) = job.events_after(seen);
    assert!(!complete, "there may have been more");
    assert!(!new.is_empty() && new.iter().all(|event| event.seq > seen + 1000));
    assert!(job.snapshot().timings[0].is_some());
    let done = run.find(done.id());
    assert!(done.events_after(1).1, "what was over is told whole");
    assert_eq!(done.events_after(done.snapshot().seq).0, []);
}

#[test]
fn of_each_job_the_last_events_are_kept() {
    let place = Place::new();
    let run = place.start_with(Limits { events: 12, ..Limits::default() });
    run.gate.open();
    let job = run.job("speech.wav", 200);
    until(&job, State::Done);
    let before = history(&job);
    run.stop();
    assert_eq!((before.len(), rows(&place, "events")), (12, 12));
    let run = place.start_with(Limits { events: 5, ..Limits::default() });
    let job = run.find(job.id());
    assert_eq!(to_the_millisecond(&history(&job)), to_the_millisecond(&before[7..]));
    assert!(!job.events_after(before[3].seq).1 && job.events_after(before[7].seq).1);
    assert!(run.jobs.remove(job.id()));
    assert_eq!((rows(&place, "events"), rows(&place, "segments")), (0, 0));
}

#[test]
fn the_first_frame_is_shown_after_a_restart() {
    let place = Place::new();
    let run = place.start();
    let job = run.job("speech.wav", 40);
    assert_eq!(run.jobs.poster(&job), None);
    run.gate.allow(8);
    eventually("a segment", || job.made_from_start() == 1);
    let poster = run.jobs.poster(&job).unwrap();
    run.stop();
    let run = place.start();
    let job = run.find(job.id());
    assert_eq!(run.jobs.poster(&job).unwrap(), poster);
    std::fs::write(place.folder(job.id()).join("poster.png"), &poster[..poster.len() / 2]).unwrap();
    assert_eq!(run.jobs.poster(&job), None, "half a picture is none");
}
