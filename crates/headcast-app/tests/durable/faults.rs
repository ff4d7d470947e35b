//! A disk that does not do what it should.

use std::fs;
use std::path::Path;

use headcast_app::jobs::State;

use super::{Place, Run, eventually, until};

type Damage = fn(&Path);

/// What can happen to the file of a segment.
fn damages() -> [(&'static str, Damage); 4] {
    fn cut(path: &Path, keep: impl Fn(u64) -> u64) {
        let file = fs::OpenOptions::new().write(true).open(path).unwrap();
        file.set_len(keep(file.metadata().unwrap().len())).unwrap();
    }
    [
        ("deleted", |path| fs::remove_file(path).unwrap()),
        ("empty", |path| cut(path, |_| 0)),
        ("cut short", |path| cut(path, |length| length - 1)),
        ("cut between packets", |path| cut(path, |_| 188 * 16 * 2)),
    ]
}

#[test]
fn a_lost_segment_is_made_again_when_it_is_asked_for() {
    for (what, damage) in damages() {
        let place = Place::new();
        let run = place.start_open();
        let job = run.job("speech.wav", 40);
        until(&job, State::Done);
        let good = run.segments(&job);
        damage(&place.folder(job.id()).join("segment_00001.ts"));
        assert_eq!(run.jobs.segment(&job, 0).unwrap(), good[0]);
        assert_eq!(run.jobs.segment(&job, 1).unwrap(), good[1], "{what}");
        until(&job, State::Done);
        assert_eq!(run.segments(&job), good, "{what}");
        // Everyone at once.
        damage(&place.folder(job.id()).join("segment_00002.ts"));
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| assert_eq!(run.jobs.segment(&job, 2).unwrap(), good[2], "{what}"));
            }
        });
    }
}

#[test]
fn a_lost_segment_is_made_again_after_a_restart() {
    for (what, damage) in damages() {
        let place = Place::new();
        let run = place.start_open();
        let job = run.job("speech.wav", 40);
        until(&job, State::Done);
        let good = run.segments(&job);
        run.stop();
        damage(&place.folder(job.id()).join("segment_00001.ts"));
        let run = place.start_open();
        let job = run.find(job.id());
        until(&job, State::Done);
        assert_eq!(run.segments(&job), good, "{what}");
    }
}

#[test]
fn without_its_input_a_job_says_so() {
    let place = Place::new();
    let run = place.start();
    let job = run.job("speech.wav", 40);
    run.stop();
    fs::remove_dir_all(place.folder(job.id())).unwrap();
    let run = place.start_open();
    until(&run.find(job.id()), State::Failed);
    let next = run.job("speech.wav", 16);
    until(&next, State::Done);
}

#[test]
fn a_folder_that_cannot_be_written_costs_its_job_only() {
    let place = Place::new();
    let run = place.start();
    let (job, other) = (run.job("speech.wav", 40), run.job("speech.wav", 40));
    run.gate.allow(10);
    eventually("a segment", || job.made_from_start() == 1);
    let folder = place.folder(job.id());
    fs::rename(&folder, place.path("elsewhere")).unwrap();
    fs::write(&folder, b"in the way").unwrap();
    run.gate.open();
    until(&job, State::Failed);
    let failure = job.snapshot().failure.unwrap();
    assert_eq!(failure.code, "disk");
    assert!(failure.message.contains("is not a folder: choose another name"), "{}", failure.message);
    until(&other, State::Done);
}

fn damaged_table(place: &Place, damage: impl Fn(&mut Vec<u8>)) -> Run {
    let table = place.path("headcast.sqlite");
    let mut bytes = fs::read(&table).unwrap();
    damage(&mut bytes);
    fs::write(&table, bytes).unwrap();
    place.start_open()
}

#[test]
fn a_damaged_table_is_put_aside_with_its_jobs() {
    let place = Place::new();
    let run = place.start_open();
    let job = run.job("speech.wav", 24);
    until(&job, State::Done);
    run.stop();
    let run = damaged_table(&place, |_| {});
    assert_eq!((run.jobs.notes().len(), run.jobs.list().len()), (0, 1), "the control");
    run.stop();

    let run = damaged_table(&place, |bytes| bytes[4096..8192].fill(0xa5));
    let [note] = run.jobs.notes() else { panic!("{:?}", run.jobs.notes()) };
    assert!(note.contains("damaged") && note.contains("damaged-1"), "{note}");
    assert!(run.jobs.list().is_empty());
    let aside = place.path("damaged-1");
    assert!(aside.join("headcast.sqlite").exists());
    let kept = aside.join("jobs").join(job.id().as_str());
    assert!(kept.join("input").exists() && kept.join("segment_00000.ts").exists());
    let next = run.job("speech.wav", 24);
    until(&next, State::Done);
    run.stop();

    let run = damaged_table(&place, |bytes| bytes.truncate(5000));
    assert!(run.jobs.notes()[0].contains("damaged-2"), "{:?}", run.jobs.notes());
    assert!(kept.exists(), "what was put aside is left alone");
}
