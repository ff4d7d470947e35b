//! Who comes first, and who makes room.

use std::num::NonZeroUsize;
use std::time::{Duration, SystemTime};

use headcast_app::jobs::{CreateError, Limits, State};

use super::{Place, eventually, until};

#[test]
fn a_newly_watched_job_gets_its_first_segments_before_an_unwatched_one_goes_on() {
    let place = Place::new();
    let run = place.start();
    let (old, new) = (run.job("speech.wav", 80), run.job("speech.wav", 80));
    run.gate.allow(12);
    eventually("a segment", || old.made_from_start() == 1);
    let _viewer = new.watch();
    assert!(new.is_watched() && !old.is_watched());
    // The segment that was begun is finished, then it is the other one's turn.
    run.gate.allow(4 + 24);
    eventually("three segments", || new.made_from_start() == 3);
    assert_eq!(old.made_from_start(), 2);
    assert_eq!(old.state(), State::Rendering);
    run.gate.open();
    until(&old, State::Done);
    until(&new, State::Done);
}

#[test]
fn a_job_that_made_way_often_is_the_same_in_the_end() {
    let elsewhere = Place::new();
    let undisturbed = elsewhere.start_open();
    let reference = undisturbed.job("speech.wav", 80);
    until(&reference, State::Done);

    // More watched jobs than may be in memory: the early ones are closed and opened again.
    let place = Place::new();
    let run = place.start();
    let jobs: Vec<_> = (0..6).map(|_| run.job("speech.wav", 80)).collect();
    let viewers: Vec<_> = jobs.iter().map(|job| job.watch()).collect();
    run.gate.allow(6 * 8);
    eventually("a segment each", || jobs.iter().all(|job| job.made_from_start() == 1));
    drop(viewers);
    run.gate.open();
    for job in &jobs {
        until(job, State::Done);
        assert_eq!(run.segments(job), undisturbed.segments(&reference));
    }
}

#[test]
fn pausing_leaves_alone_what_nobody_watches() {
    let place = Place::new();
    let run = place.start_with(Limits { pause_unwatched: true, ..Limits::default() });
    run.gate.open();
    let (unwatched, watched) = (run.job("speech.wav", 24), run.job("speech.wav", 24));
    let viewer = watched.watch();
    until(&watched, State::Done);
    assert_eq!(unwatched.state(), State::Queued);
    drop(viewer);
    let _viewer = unwatched.watch();
    until(&unwatched, State::Done);
}

#[test]
fn two_jobs_in_flight() {
    let place = Place::new();
    let run = place.start_with(Limits { in_flight: NonZeroUsize::new(2).unwrap(), ..Limits::default() });
    let jobs: Vec<_> = (0..3).map(|_| run.job("speech.wav", 40)).collect();
    eventually("two of three", || jobs[0].plan().is_some() && jobs[1].plan().is_some());
    assert_eq!(jobs[2].state(), State::Queued);
    run.gate.open();
    for job in &jobs {
        until(job, State::Done);
    }
    assert_eq!(run.segments(&jobs[0]), run.segments(&jobs[2]));
}

#[test]
fn what_was_kept_long_enough_goes() {
    let place = Place::new();
    let week = Duration::from_secs(7 * 86400);
    let run = place.start_with(Limits { keep: Some(week), ..Limits::default() });
    run.gate.allow(24);
    let (done, waiting) = (run.job("speech.wav", 24), run.job("speech.wav", 24));
    until(&done, State::Done);
    let minute = Duration::from_secs(60);
    assert_eq!(run.jobs.retain(SystemTime::now() + week - minute), []);
    assert_eq!(run.jobs.retain(SystemTime::now() + week + minute), [done.id()]);
    assert!(!place.folder(done.id()).exists() && place.folder(waiting.id()).exists());
    assert_eq!(run.jobs.list().len(), 1);
    run.stop();
    assert_eq!(place.start().jobs.list().len(), 1);
}

#[test]
fn jobs_stay_within_their_disk_space() {
    let place = Place::new();
    let elsewhere = Place::new();
    let measure = elsewhere.start_open();
    let one = measure.job("speech.wav", 24);
    until(&one, State::Done);
    let size = one.disk_bytes();
    assert!(size > 3 * 188 * 16);

    // Room for two and a half.
    let run = place.start_with(Limits { max_disk_bytes: Some(size * 5 / 2), ..Limits::default() });
    run.gate.open();
    let jobs: Vec<_> = (0..4)
        .map(|_| {
            let job = run.job("speech.wav", 24);
            until(&job, State::Done);
            job
        })
        .collect();
    eventually("two left", || run.jobs.list().len() == 2);
    assert_eq!(run.jobs.list()[1].id(), jobs[3].id(), "the oldest made room");
    eventually("their files gone", || !place.folder(jobs[0].id()).exists());

    // Too large for any: it fails with a sentence, or is not even accepted.
    let large = run.job("speech.wav", 400);
    until(&large, State::Failed);
    let failure = large.snapshot().failure.unwrap();
    assert_eq!(failure.code, "disk");
    assert!(failure.message.contains("--max-disk"), "{}", failure.message);
    let request = large.request().clone();
    let upload = place.path("uploads/large");
    std::fs::write(&upload, vec![0; usize::try_from(size * 3).unwrap()]).unwrap();
    let request =
        headcast_app::jobs::JobRequest { audio: headcast_app::jobs::Input::File(upload), ..request };
    assert!(matches!(run.jobs.create(request, None), Err(CreateError::DiskLimit { .. })));
    let small = run.job("speech.wav", 8);
    until(&small, State::Done);
}
