//! Jobs over the end of their process: what is kept, what goes on, what is repaired, what makes room.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

#[path = "../http/double.rs"]
mod double;
mod events;
mod faults;
#[cfg(target_os = "linux")]
mod full_disk;
mod order;
mod queue;
mod restart;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use double::{Double, Gate};
use headcast::audio::Cut;
use headcast::core::timeline::Speed;
use headcast_app::jobs::{Input, Job, JobId, JobRequest, Jobs, Limits, State};

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

    /// What a crash at this moment would leave on the disk; for moments in which nothing is being written.
    fn as_it_is(&self) -> Self {
        let copy = Self::new();
        copy_folder(self.dir.path(), copy.dir.path());
        copy
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
        self.start_studio(Double::default(), limits)
    }

    fn start_studio(&self, studio: Double, limits: Limits) -> Run {
        let gate = Arc::clone(&studio.gate);
        let jobs = Jobs::start(Arc::new(studio), &self.path("jobs"), limits).unwrap();
        Run { jobs, gate, uploads: self.path("uploads") }
    }

    /// On a machine of another speed, whose studio may keep the plan of a job that it opens again.
    fn start_at(&self, speed: Speed, keeps_plan: bool) -> Run {
        let mut studio = Double::default();
        (studio.speed, studio.keeps_plan) = (Some(speed), keeps_plan);
        self.start_studio(studio, Limits::default())
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
        self.job_in(name, frames, features, None)
    }

    /// With features and a picture behind it.
    fn job_before(&self, name: &str, frames: usize, features: Bytes, background: Bytes) -> Arc<Job> {
        let (request, upload) = self.request(name, frames);
        let features = Some(Input::Memory(features));
        let background = Some(Input::Memory(background));
        let body = "background=picture".to_owned();
        self.jobs.create(JobRequest { features, background, body, ..request }, Some(upload)).unwrap()
    }

    fn job_in(&self, name: &str, frames: usize, features: Option<Bytes>, profile: Option<&str>) -> Arc<Job> {
        let (request, upload) = self.request(name, frames);
        let (features, profile) = (features.map(Input::Memory), profile.map(str::to_owned));
        self.jobs.create(JobRequest { features, profile, ..request }, Some(upload)).unwrap()
    }

    fn request(&self, name: &str, frames: usize) -> (JobRequest, tempfile::TempPath) {
        let upload = tempfile::NamedTempFile::with_prefix_in("upload-", &self.uploads).unwrap();
        std::fs::write(upload.path(), vec![b'x'; frames]).unwrap();
        let upload = upload.into_temp_path();
        let request = JobRequest {
            audio: Input::File(upload.to_path_buf()),
            audio_name: name.to_owned(),
            title: None,
            cut: Cut::WHOLE,
            script: None,
            captions: None,
            avatar: "milo".to_owned(),
            profile: None,
            extractor: None,
            body: String::new(),
            features: None,
            background: None,
            pushed: None,
        };
        (request, upload)
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

    fn segments_from_start(&self, job: &Job) -> Vec<Bytes> {
        (0..job.made_from_start()).map(|index| self.jobs.segment(job, index).unwrap()).collect()
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

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_folder(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
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
