//! The next process goes on where the last one ended.

use bytes::Bytes;
use headcast_app::jobs::{Input, Jobs, Limits, State};

use super::double::Double;
use super::{Place, eventually, until};

#[test]
fn a_job_goes_on_at_its_first_missing_segment() {
    let elsewhere = Place::new();
    let undisturbed = elsewhere.start_open();
    let reference = undisturbed.job("speech.wav", 60);
    until(&reference, State::Done);

    let place = Place::new();
    let run = place.start();
    let job = run.job_with("讲话.wav", 60, Some(Bytes::from_static(b"npy")));
    run.gate.allow(20);
    eventually("two segments", || job.made_from_start() == 2);
    let (id, plan, seen) = (job.id(), job.plan().unwrap(), job.snapshot().seq);
    let first = run.jobs.segment(&job, 0).unwrap();
    let mut watcher = job.watch();
    run.stop();
    assert!(watcher.has_changed().is_err(), "nobody waits for a server that stopped");
    assert!(!job.state().is_over());
    watcher.mark_unchanged();

    let run = place.start();
    let job = run.find(id);
    let now = job.snapshot();
    assert_eq!((now.state, now.plan, now.progress.total), (State::Rendering, Some(plan), Some(60)));
    assert_eq!(now.progress.frames, 8 * job.made_from_start() as u64);
    assert!((2..7).contains(&job.made_from_start()), "{}", job.made_from_start());
    assert_eq!((job.request().audio_name.as_str(), job.has_features()), ("讲话.wav", true));
    assert_eq!(std::fs::read(place.folder(id).join("features.npy")).unwrap(), b"npy");
    assert_eq!(run.jobs.segment(&job, 0).unwrap(), first, "what is there can be played at once");
    assert!(job.events_after(seen).1, "a reader from before misses nothing");
    assert!(job.events_after(seen).0.iter().all(|event| event.seq > seen));

    run.gate.open();
    until(&job, State::Done);
    assert_eq!(run.segments(&job), undisturbed.segments(&reference));
}

#[test]
fn every_state_survives() {
    let place = Place::new();
    let run = place.start_open();
    let names = ["speech.wav", "broken.wav", "late.wav"];
    let [done, broken, late] = names.map(|name| run.job(name, 24));
    until(&late, State::Failed);
    let states = |run: &super::Run| -> Vec<_> {
        let jobs = run.jobs.list();
        jobs.iter().map(|job| (job.id(), job.state(), job.snapshot().failure)).collect()
    };
    let before = states(&run);
    assert_eq!(
        before.iter().map(|job| job.1).collect::<Vec<_>>(),
        [State::Done, State::Failed, State::Failed]
    );
    let segments = run.segments(&done);
    let length = mp4_length(&run, &done);
    let finished = done.finished().unwrap();
    run.stop();

    let run = place.start();
    assert_eq!(states(&run), before);
    assert_eq!(run.find(broken.id()).snapshot().failure.unwrap().code, "render_failed");
    let done = run.find(done.id());
    assert_eq!(run.segments(&done), segments);
    assert_eq!(mp4_length(&run, &done), length);
    let kept = done.finished().unwrap();
    assert!(finished.duration_since(kept).unwrap().as_millis() <= 1, "milliseconds are kept");
    // Those that waited go on waiting, and a cancelled one stays so.
    let [first, second, third] = names.map(|_| run.job("speech.wav", 24));
    run.jobs.cancel(&second);
    run.stop();
    let run = place.start_open();
    until(&run.find(third.id()), State::Done);
    assert_eq!(run.find(first.id()).state(), State::Done);
    assert_eq!(run.find(second.id()).state(), State::Cancelled);
}

/// A download goes through everything, and viewers share the memory that there is for segments.
#[test]
fn who_goes_through_a_clip_keeps_nothing_of_it_in_memory() {
    let place = Place::new();
    let run = place.start_open();
    let id = run.job("speech.wav", 24).id();
    until(&run.find(id), State::Done);
    run.stop();
    let run = place.start();
    let job = run.find(id);
    mp4_length(&run, &job);
    let passed = run.jobs.segment_in_passing(&job, 1).unwrap();
    assert!((0..3).all(|index| run.jobs.segment_at_hand(&job, index).is_none()));
    // Control.
    assert_eq!(run.jobs.segment(&job, 1).unwrap(), passed);
    assert_eq!(run.jobs.segment_at_hand(&job, 1), Some(passed));
}

fn mp4_length(run: &super::Run, job: &std::sync::Arc<headcast_app::jobs::Job>) -> u64 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(run.jobs.mp4(job)).unwrap().total_len()
}

#[test]
fn a_deleted_job_stays_deleted() {
    let place = Place::new();
    let run = place.start_open();
    let job = run.job("speech.wav", 24);
    until(&job, State::Done);
    assert!(run.jobs.remove(job.id()));
    assert!(!place.folder(job.id()).exists());
    run.stop();
    assert!(place.start().jobs.list().is_empty());
}

#[test]
fn what_a_crash_left_behind_is_cleared_away() {
    let place = Place::new();
    let run = place.start_open();
    let job = run.job("speech.wav", 24);
    until(&job, State::Done);
    run.stop();
    let orphan = place.path("jobs/aaaabbbbccccdddd");
    std::fs::create_dir(&orphan).unwrap();
    std::fs::write(orphan.join("input"), b"never acknowledged").unwrap();
    std::fs::write(place.path("uploads/upload-x7Yz01"), b"half").unwrap();
    std::fs::create_dir(place.path("uploads/avatar-x7Yz02")).unwrap();
    std::fs::write(place.path("uploads/avatar-x7Yz02/ngp.pth"), b"half").unwrap();
    let foreign = ["uploads/upload-of-mine.txt", "uploads/avatars", "jobs/applications"];
    let foreign = foreign.map(|name| place.path(name));
    for path in &foreign {
        std::fs::write(path, b"not ours").unwrap();
    }
    // Only under the lock: what another server has in hand is its own.
    let owner = Place::new();
    let other = owner.start();
    std::fs::write(owner.path("uploads/upload-x7Yz01"), b"arriving").unwrap();
    Jobs::start(std::sync::Arc::new(Double::default()), &owner.path("jobs"), Limits::default()).unwrap_err();
    assert!(owner.path("uploads/upload-x7Yz01").exists());
    drop(other);
    let run = place.start();
    assert!(!orphan.exists());
    assert_eq!(std::fs::read_dir(place.path("uploads")).unwrap().count(), 2, "the two that are not ours");
    assert!(foreign.iter().all(|path| path.exists()), "what is not ours is left alone");
    assert!(place.folder(job.id()).join("input").exists());
    assert_eq!(run.jobs.list().len(), 1);
}

#[test]
fn one_server_per_data_folder() {
    let place = Place::new();
    let run = place.start();
    let second = Jobs::start(std::sync::Arc::new(Double::default()), &place.path("jobs"), Limits::default());
    let refused = second.unwrap_err().to_string();
    assert!(refused.contains("another headcast server") && refused.contains("--data-dir"), "{refused}");
    run.stop();
    place.start();
}

#[test]
fn a_job_can_be_run_again_from_what_is_stored() {
    let place = Place::new();
    let run = place.start_open();
    let job = run.job_before("speech.wav", 24, Bytes::from_static(b"npy"), Bytes::from_static(b"png"));
    until(&job, State::Done);
    let segments = run.segments(&job);
    run.stop();
    let run = place.start_open();
    let stored = run.jobs.stored_request(&run.find(job.id())).unwrap();
    let Some(Input::File(features)) = &stored.features else { panic!("{stored:?}") };
    assert_eq!(std::fs::read(features).unwrap(), b"npy");
    let Some(Input::File(background)) = &stored.background else { panic!("{stored:?}") };
    assert_eq!(std::fs::read(background).unwrap(), b"png");
    let again = run.jobs.rerun(&run.find(job.id())).unwrap();
    assert!(run.jobs.remove(job.id()));
    assert_eq!(std::fs::read(place.folder(again.id()).join("background")).unwrap(), b"png");
    until(&again, State::Done);
    assert_ne!(again.id(), job.id());
    assert!(again.has_features());
    assert_eq!(run.segments(&again), segments);
}

#[test]
fn a_profile_is_chosen_once_for_a_job() {
    let place = Place::new();
    let at = |chooses| {
        let mut studio = Double::default();
        studio.chooses = chooses;
        place.start_studio(studio, Limits::default())
    };
    let undisturbed = |profile| {
        let place = Place::new();
        let run = place.start_open();
        let job = run.job_in("speech.wav", 60, None, Some(profile));
        until(&job, State::Done);
        run.segments(&job)
    };
    let run = at("fast");
    let job = run.job_in("speech.wav", 60, None, Some("auto"));
    run.gate.allow(20);
    eventually("two segments", || job.made_from_start() == 2);
    assert_eq!(job.profile().as_deref(), Some("fast"));
    let id = job.id();
    run.stop();

    // The machine has become faster, as it is measured now.
    let run = at("quality");
    run.gate.open();
    let job = run.find(id);
    until(&job, State::Done);
    assert_eq!(job.profile().as_deref(), Some("fast"));
    let segments = run.segments(&job);
    assert!(segments == undisturbed("fast"), "what is made after a restart looks like what was made before");
    assert!(segments != undisturbed("quality"), "control: profiles differ");
    let new = run.job_in("speech.wav", 60, None, Some("auto"));
    until(&new, State::Done);
    assert!(run.segments(&new) == undisturbed("quality"), "a new job is another choice");
}
