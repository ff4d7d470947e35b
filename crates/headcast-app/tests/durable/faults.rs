//! A disk that does not do what it should.

use std::fs;
use std::path::Path;

use headcast::core::timeline::Speed;
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

/// The table as it is in one file, without a log beside it.
fn table(place: &Place) -> Vec<u8> {
    let path = place.path("headcast.sqlite");
    assert!(!place.path("headcast.sqlite-wal").exists(), "the server that stopped left nothing in the log");
    fs::read(path).unwrap()
}

#[test]
fn whichever_page_of_the_table_is_damaged_every_job_is_found_again() {
    let place = Place::new();
    let run = place.start();
    let names = ["speech.wav", "broken.wav", "speech.wav", "讲话.wav"];
    let [done, failed, cancelled, half] = names.map(|name| run.job_with(name, 40, None));
    run.jobs.cancel(&cancelled);
    // To the end of the first, four frames into the second, two segments of the last.
    run.gate.allow(40 + 4 + 16);
    until(&failed, State::Failed);
    eventually("two segments", || half.made_from_start() == 2);
    let good = run.segments(&done);
    let start = run.segments_from_start(&half);
    let ids = [&done, &failed, &cancelled, &half].map(|job| job.id());
    run.stop();
    let undamaged = table(&place);
    let pages = undamaged.len() / 4096;
    assert!(pages >= 7, "{pages}");

    let state = |run: &Run, id| run.find(id).state();
    let is_as_before = |run: &Run| {
        assert_eq!(run.jobs.list().iter().map(|job| job.id()).collect::<Vec<_>>(), ids, "in order");
        let states = ids.map(|id| state(run, id));
        assert_eq!(states, [State::Done, State::Failed, State::Cancelled, State::Rendering]);
        assert_eq!(run.segments(&run.find(ids[0])), good);
        assert_eq!(run.find(ids[1]).snapshot().failure.unwrap().code, "render_failed");
        let half = run.find(ids[3]);
        assert_eq!(half.request().audio_name, "讲话.wav");
        assert_eq!(run.segments_from_start(&half)[..2], start[..2]);
    };
    let mut damages: Vec<(String, Vec<u8>)> = (0..pages)
        .map(|page| {
            let mut bytes = undamaged.clone();
            bytes[page * 4096..(page + 1) * 4096].fill(0xa5);
            (format!("page {page} of {pages}"), bytes)
        })
        .collect();
    damages.push(("cut short".to_owned(), undamaged[..5000].to_vec()));
    damages.push(("empty".to_owned(), Vec::new()));
    damages.push(("something else".to_owned(), b"{}".repeat(5000)));
    for (number, (what, bytes)) in (1..).zip(damages) {
        let place = place.as_it_is();
        fs::write(place.path("headcast.sqlite"), &bytes).unwrap();
        let run = place.start();
        let [note] = run.jobs.notes() else { panic!("{what}: {:?}", run.jobs.notes()) };
        assert!(note.contains("damaged") && note.contains("4 jobs") && note.contains("damaged-1"), "{note}");
        assert_eq!(
            fs::read(place.path("damaged-1/headcast.sqlite")).unwrap(),
            bytes,
            "{what}: the old one is kept"
        );
        is_as_before(&run);
        let half = run.find(ids[3]);
        // A reader of before the damage is told that there is a gap, and everything that is new.
        let (events, complete) = half.events_after(1 << 32);
        assert!(!complete && !events.is_empty(), "{what}");
        if number == 1 {
            run.gate.open();
            until(&half, State::Done);
            let next = run.job("speech.wav", 40);
            until(&next, State::Done);
            assert_eq!(run.segments(&next), good);
        }
        run.stop();
        let run = place.start();
        assert_eq!(run.jobs.notes(), [""; 0], "{what}: once is enough");
        assert_eq!(state(&run, ids[0]), State::Done);
    }
    let run = place.start();
    assert_eq!(run.jobs.notes(), [""; 0], "the control");
    is_as_before(&run);
}

#[test]
fn a_job_folder_that_nothing_is_known_of_is_put_aside_with_the_damaged_table() {
    let place = Place::new();
    let run = place.start_open();
    let (known, unknown) = (run.job("speech.wav", 24), run.job("speech.wav", 24));
    until(&unknown, State::Done);
    run.stop();
    fs::write(place.folder(unknown.id()).join("job.json"), b"{\"start\": 1, \"job\": {}}").unwrap();
    // The card of another job is none of this one.
    let impostor = place.path("jobs/aaaabbbbccccdddd");
    fs::create_dir(&impostor).unwrap();
    fs::copy(place.folder(known.id()).join("job.json"), impostor.join("job.json")).unwrap();
    fs::write(place.path("headcast.sqlite"), b"not a table").unwrap();
    let run = place.start();
    let [note] = run.jobs.notes() else { panic!("{:?}", run.jobs.notes()) };
    assert!(note.contains("1 jobs") && note.contains("2 job folders"), "{note}");
    let jobs = run.jobs.list();
    assert_eq!(jobs.iter().map(|job| job.id()).collect::<Vec<_>>(), [known.id()]);
    let kept = place.path("damaged-1/jobs").join(unknown.id().as_str());
    assert!(kept.join("input").exists() && kept.join("segment_00000.ts").exists());
    run.stop();
    // What was put aside is left alone.
    fs::write(place.path("headcast.sqlite"), b"not a table").unwrap();
    let run = place.start();
    assert!(run.jobs.notes()[0].contains("damaged-2"), "{:?}", run.jobs.notes());
    assert!(kept.exists());
}

#[test]
fn a_table_that_is_damaged_while_it_is_in_use_costs_what_is_being_written() {
    let place = Place::new();
    let run = place.start();
    run.gate.allow(16);
    let done = run.job("speech.wav", 16);
    until(&done, State::Done);
    let good = run.segments(&done);
    // Under the feet of the server: the file is there and says nothing that makes sense.
    for name in ["headcast.sqlite", "headcast.sqlite-wal", "headcast.sqlite-shm"] {
        let file = fs::OpenOptions::new().write(true).open(place.path(name)).unwrap();
        let length = file.metadata().unwrap().len();
        std::io::Write::write_all(&mut &file, &vec![0xa5; usize::try_from(length).unwrap()]).unwrap();
    }
    // What it has in memory may be enough for a while; what it accepts then has to be there later.
    let accepted = match run.jobs.create(done.request().clone(), None) {
        Ok(job) => Some(job.id()),
        Err(error) => {
            let said = error.to_string();
            assert!(said.contains("headcast.sqlite") && said.contains("again"), "{said}");
            None
        }
    };
    assert_eq!(run.segments(&done), good, "what is there is served");
    run.gate.open();
    run.stop();
    let run = place.start_open();
    assert_eq!(run.segments(&run.find(done.id())), good);
    if let Some(id) = accepted {
        until(&run.find(id), State::Done);
    }
    let next = run.job("speech.wav", 16);
    until(&next, State::Done);
}

#[test]
fn a_plan_that_changes_when_a_job_is_opened_again_costs_its_segments_only() {
    let elsewhere = Place::new();
    let undisturbed = elsewhere.start_at(OTHER_SPEED, false);
    undisturbed.gate.open();
    let reference = undisturbed.job("speech.wav", 200);
    until(&reference, State::Done);

    for keeps_plan in [false, true] {
        let place = Place::new();
        let run = place.start();
        run.gate.allow(24 + 16);
        let other = run.job("speech.wav", 24);
        let job = run.job("speech.wav", 200);
        until(&other, State::Done);
        eventually("two segments", || job.made_from_start() == 2);
        let (plan, start) = (job.plan().unwrap(), run.segments_from_start(&job));
        assert_ne!(Some(&plan), reference.plan().as_ref(), "the control: another speed is another plan");
        let good = run.segments(&other);
        run.stop();

        let run = place.start_at(OTHER_SPEED, keeps_plan);
        run.gate.open();
        let job = run.find(job.id());
        until(&job, State::Done);
        assert_eq!(job.plan().unwrap() == plan, keeps_plan);
        assert_eq!(run.segments(&run.find(other.id())), good, "nobody else has to do with it");
        if keeps_plan {
            assert_eq!(run.segments(&job)[..2], start[..2]);
        } else {
            assert_eq!(run.segments(&job), undisturbed.segments(&reference));
            assert_eq!(job.snapshot().timings.iter().flatten().count(), job.plan().unwrap().len());
        }
        // Nothing of the old plan is left, on the disk or in the table.
        run.stop();
        let segments = fs::read_dir(place.folder(job.id())).unwrap();
        let segments = segments
            .filter(|file| file.as_ref().unwrap().file_name().to_str().unwrap().starts_with("segment_"));
        assert_eq!(segments.count(), job.plan().unwrap().len());
        let run = place.start();
        let timings = run.find(job.id()).snapshot().timings;
        assert_eq!(timings.len(), job.plan().unwrap().len());
    }
}

/// Of the renderer of another machine: its segments grow.
const OTHER_SPEED: Speed = Speed(4000);
