//! Full disks, which are small ones made of memory, and folders that became read-only.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use headcast_app::jobs::{CreateError, EventBody, State};

use super::{Place, Run, eventually, until};

/// A data folder on a disk of its own.
struct SmallDisk {
    place: Place,
}

impl SmallDisk {
    /// `None`, and said aloud, where this user may not mount. In CI that is a failure.
    fn new() -> Option<Self> {
        let place = Place::new();
        let dir = place.dir.path().to_str().unwrap();
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs", dir]).output();
        if mounted.as_ref().is_ok_and(|output| output.status.success()) {
            fs::create_dir(place.path("uploads")).unwrap();
            return Some(Self { place });
        }
        skip("full disks", &[mounted]);
        None
    }

    fn dir(&self) -> &Path {
        self.place.dir.path()
    }

    /// Fills it to the last byte, and returns what it is filled with.
    fn fill(&self) -> std::path::PathBuf {
        let filler = self.place.path("filler");
        let mut file = fs::File::create(&filler).unwrap();
        for block in [64 << 10, 1] {
            while std::io::Write::write_all(&mut file, &vec![0; block]).is_ok() {
                // It is made of memory, of which there must be no end otherwise.
                assert!(file.metadata().unwrap().len() < 8 << 20, "the disk is larger than it was to be");
            }
        }
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The server may have it open still; what is detached goes when it is closed.
        let _ = Command::new("umount").arg("-l").arg(self.dir()).status();
    }
}

/// Says aloud what is not tested. In CI that is a failure.
#[expect(clippy::print_stdout, reason = "a skipped test must not look green")]
fn skip(what: &str, why: &[std::io::Result<std::process::Output>]) {
    assert!(
        std::env::var_os("HEADCAST_REQUIRE_TOOLS").is_none(),
        "{what} cannot be made here, and HEADCAST_REQUIRE_TOOLS is set: {why:?}"
    );
    println!("SKIPPED: {what} are not tested: only root may mount ({why:?})");
}

fn warnings(run: &Run, id: headcast_app::jobs::JobId) -> String {
    let lines = run.find(id).events_after(0).0.into_iter().filter_map(|event| match event.body {
        EventBody::Log(_, text) => Some(text),
        _ => None,
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn a_full_disk_costs_what_is_being_made_and_nothing_else() {
    let Some(disk) = SmallDisk::new() else { return };
    let elsewhere = Place::new();
    let undisturbed = elsewhere.start_open();
    let reference = undisturbed.job("speech.wav", 40);
    until(&reference, State::Done);

    let run = disk.place.start();
    run.gate.allow(16);
    let done = run.job("speech.wav", 16);
    until(&done, State::Done);
    let good = run.segments(&done);
    let (job, other) = (run.job("speech.wav", 40), run.job("speech.wav", 40));
    run.gate.allow(8);
    eventually("a segment", || job.made_from_start() == 1);
    let filler = disk.fill();
    run.gate.allow(8);
    until(&job, State::Failed);
    let failure = job.snapshot().failure.unwrap();
    assert_eq!(failure.code, "disk");
    assert!(
        failure.message.contains("the disk is full") && failure.message.contains("free some space"),
        "{}",
        failure.message
    );
    assert!(warnings(&run, job.id()).contains(&failure.message), "{}", warnings(&run, job.id()));

    // Its turn came, and not even its plan could be written down.
    until(&other, State::Failed);
    assert_eq!(other.snapshot().failure.unwrap().code, "disk");

    // What is there is served, and what comes is refused without a trace.
    assert_eq!(run.segments(&done), good);
    let request = done.request().clone();
    let refused = run.jobs.create(request.clone(), None).unwrap_err();
    assert!(matches!(refused, CreateError::Disk(_) | CreateError::Table(_)), "{refused}");
    assert!(refused.to_string().contains("free some space"), "{refused}");
    assert_eq!(fs::read_dir(disk.place.path("jobs")).unwrap().count(), 3);

    // With room, everything goes on by itself.
    fs::remove_file(&filler).unwrap();
    run.gate.open();
    let next = run.jobs.create(request, None).unwrap();
    until(&next, State::Done);
    assert_eq!(run.segments(&next), good);
    let again = run.jobs.rerun(&job).unwrap();
    until(&again, State::Done);
    assert_eq!(run.segments(&again), undisturbed.segments(&reference));
    run.stop();
    let run = disk.place.start();
    assert_eq!(run.jobs.notes(), [""; 0]);
    assert_eq!(run.segments(&run.find(done.id())), good);
}

#[test]
fn a_server_that_is_started_on_a_full_disk_says_so_and_loses_nothing() {
    let Some(disk) = SmallDisk::new() else { return };
    let run = disk.place.start_open();
    let job = run.job("speech.wav", 40);
    until(&job, State::Done);
    let good = run.segments(&job);
    run.stop();
    let filler = disk.fill();
    let studio = std::sync::Arc::new(super::double::Double::default());
    let jobs = disk.place.path("jobs");
    let refused = headcast_app::jobs::Jobs::start(studio, &jobs, headcast_app::jobs::Limits::default());
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("No space left") || refused.contains("free some space"), "{refused}");
    fs::remove_file(filler).unwrap();
    let run = disk.place.start();
    assert_eq!(run.segments(&run.find(job.id())), good);
}

/// A folder in which nothing can be written, for as long as this lives.
struct ReadOnly<'a>(&'a Path);

impl<'a> ReadOnly<'a> {
    /// By its mode, or, because that does not bind root, by a mount over itself.
    fn make(path: &'a Path) -> Option<Self> {
        let mode = fs::Permissions::from_mode(0o555);
        fs::set_permissions(path, mode).unwrap();
        let folder = Self(path);
        let probe = path.join("probe");
        if fs::write(&probe, b"").is_err() {
            return Some(folder);
        }
        fs::remove_file(probe).unwrap();
        let mount = |options: &[&str]| Command::new("mount").args(options).arg(path).output();
        let outputs = [mount(&["--bind", path.to_str()?]), mount(&["-o", "remount,bind,ro"])];
        if outputs.iter().all(|output| output.as_ref().is_ok_and(|output| output.status.success())) {
            return Some(folder);
        }
        skip("read-only folders", &outputs);
        None
    }
}

impl Drop for ReadOnly<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).output();
        let _ = fs::set_permissions(self.0, fs::Permissions::from_mode(0o755));
    }
}

#[test]
fn a_folder_that_became_read_only_costs_what_is_being_made_and_nothing_else() {
    let place = Place::new();
    let run = place.start();
    run.gate.allow(16);
    let done = run.job("speech.wav", 16);
    until(&done, State::Done);
    let good = run.segments(&done);
    let (job, other) = (run.job("speech.wav", 40), run.job("speech.wav", 40));
    run.gate.allow(8);
    eventually("a segment", || job.made_from_start() == 1);
    let folder = place.folder(job.id());
    let Some(read_only) = ReadOnly::make(&folder) else { return };
    run.gate.open();
    until(&job, State::Failed);
    let failure = job.snapshot().failure.unwrap();
    assert_eq!(failure.code, "disk");
    assert!(failure.message.contains(folder.to_str().unwrap()), "{}", failure.message);
    until(&other, State::Done);
    drop(read_only);

    // All of them.
    let folder = place.path("jobs");
    let Some(read_only) = ReadOnly::make(&folder) else { return };
    let refused = run.jobs.create(done.request().clone(), None).unwrap_err();
    assert!(matches!(refused, CreateError::Disk(_)), "{refused}");
    assert_eq!(run.segments(&done), good);
    drop(read_only);
    let next = run.job("speech.wav", 16);
    until(&next, State::Done);
    assert_eq!(run.segments(&next), good);
}
