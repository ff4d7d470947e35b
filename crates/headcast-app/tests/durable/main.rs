//! Jobs over the end of their process: what is kept, what goes on, what is repaired, what makes room.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

#[path = "../http/double.rs"]
mod double;
mod faults;
mod order;
mod restart;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use double::{Double, Gate};
use headcast_app::jobs::{Audio, Job, JobId, JobRequest, Jobs, Limits, State};

/// A data folder.
struct Place {
    dir: tempfile::TempDir,
}

/// A process on it.
struct Run {
    jobs: Jobs,
    gate: Arc<Gate>,
    uploads: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("uploads")).unwrap();
        Self { dir }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn folder(&self, id: JobId) -> PathBuf {
        self.path("jobs").join(id.as_str())
    }

    /// No frame gets through until the gate says so.
    fn start(&self) -> Run {
        self.start_with(Limits::default())
    }

    fn start_with(&self, limits: Limits) -> Run {
        let studio = Double::default();
        let gate = Arc::clone(&studio.gate);
        let jobs = Jobs::start(Arc::new(studio), &self.path("jobs"), limits).unwrap();
        Run { jobs, gate, uploads: self.path("uploads") }
    }

    fn start_open(&self) -> Run {
        let run = self.start();
        run.gate.open();
        run
    }
}

impl Run {
    /// A job of `frames` frames.
    fn job(&self, name: &str, frames: usize) -> Arc<Job> {
        self.job_with(name, frames, None)
    }

    fn job_with(&self, name: &str, frames: usize, features: Option<Bytes>) -> Arc<Job> {
        let upload = tempfile::NamedTempFile::with_prefix_in("upload-", &self.uploads).unwrap();
        std::fs::write(upload.path(), vec![b'x'; frames]).unwrap();
        let upload = upload.into_temp_path();
        let request = JobRequest {
            audio: Audio::File(upload.to_path_buf()),
            audio_name: name.to_owned(),
            avatar: "milo".to_owned(),
            profile: None,
            features,
        };
        self.jobs.create(request, Some(upload)).unwrap()
    }

    fn find(&self, id: JobId) -> Arc<Job> {
        self.jobs.get(id).unwrap()
    }

    /// As Ctrl-C does; a frame that is under way is let through, as it would be.
    fn stop(self) {
        std::thread::scope(|scope| {
            scope.spawn(|| self.jobs.stop());
            std::thread::sleep(Duration::from_millis(50));
            self.gate.open();
        });
    }

    fn segments(&self, job: &Job) -> Vec<Bytes> {
        (0..job.plan().unwrap().len()).map(|index| self.jobs.segment(job, index).unwrap()).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // Or the worker would wait for a frame for ever, and everyone for the worker.
        self.gate.open();
    }
}

fn eventually(what: &str, is: impl Fn() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(30), "never {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn until(job: &Job, state: State) {
    eventually(&format!("{state:?}"), || job.state() == state);
}
