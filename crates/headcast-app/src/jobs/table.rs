//! The table of jobs, as the server sees it.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;

use bytes::Bytes;
use headcast::audio::AudioError;
use headcast::media::mp4::Layout;
use tempfile::TempPath;

use super::disk::{DatabaseError, Disk, Found};
use super::id::JobId;
use super::job::Job;
pub(super) use super::limits::ReadError;
use super::limits::{CreateError, Limits};
use super::schedule::{Fair, Schedule};
use super::shared::{Arrival, Readers, Shared, restore};
use super::studio::{Input, JobRequest, Studio};
use super::title::Title;
use super::video::layout;
use super::{poster, speaker, transcript, worker, writer};
use crate::captions::{self, Cue};

/// All jobs of this process.
#[derive(Debug)]
pub struct Jobs {
    pub(super) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    notes: Vec<String>,
}

impl Jobs {
    /// Takes up the jobs that are kept in `dir`, one folder per job, and in the table beside it; what was not over
    /// goes on.
    ///
    /// # Errors
    /// When another server has the folder, it cannot be written to, or the threads cannot be started. The cause is
    /// [`StartError`](super::StartError) where there is more to say than what the system said.
    pub fn start(studio: Arc<dyn Studio>, dir: &Path, limits: Limits) -> io::Result<Self> {
        let schedule = Fair { pause_unwatched: limits.pause_unwatched };
        Self::with_schedule(studio, dir, limits, Box::new(schedule))
    }

    /// As [`Self::start`], with another order of work.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn with_schedule(
        studio: Arc<dyn Studio>,
        dir: &Path,
        limits: Limits,
        schedule: Box<dyn Schedule>,
    ) -> io::Result<Self> {
        let (disk, Found { jobs, notes }) = Disk::open(dir)?;
        let jobs = jobs.into_iter().map(|stored| restore(&disk, stored, limits.events)).collect();
        let shared = Arc::new(Shared::new(studio, schedule, disk, limits, jobs));
        shared.retain(SystemTime::now());
        let started = Self { shared, threads: Mutex::default(), notes };
        started.spawn("headcast-events".to_owned(), writer::run)?;
        for number in 0..limits.in_flight.get() {
            started.spawn(format!("headcast-jobs-{number}"), worker::run)?;
        }
        for number in 0..speaker::AT_ONCE {
            started.spawn(format!("headcast-voice-{number}"), speaker::run)?;
        }
        Ok(started)
    }

    fn spawn(&self, name: String, run: fn(&Shared)) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let thread = std::thread::Builder::new().name(name).spawn(move || run(&shared))?;
        self.threads.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    /// Sentences for the owner of the machine about what was found at the start.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Puts a job at the end of the queue. When this returns, the job survives a crash. `upload` becomes the job's.
    /// Blocks for the disk.
    ///
    /// # Errors
    /// [`CreateError::Full`] when too many jobs wait; others when the disk does not take it.
    pub fn create(&self, request: JobRequest, upload: Option<TempPath>) -> Result<Arc<Job>, CreateError> {
        let id = JobId::random().ok_or(CreateError::Name)?;
        let shared = &*self.shared;
        let _arrival = Arrival::announce(shared)?;
        let folder = shared.disk.folder(id);
        let accept = || {
            // All are in the job's folder then, whatever becomes of the files that the request names.
            let stored = JobRequest {
                audio: Input::File(folder.input()),
                features: None,
                background: None,
                captions: None,
                ..request.clone()
            };
            let job = Job::new(id, stored, request.features.is_some(), shared.limits.events);
            let card = shared.disk.card(&job.row());
            folder.accept(&request, upload, &card)?;
            job.set_captions(folder.has_captions());
            job.set_unspoken(request.is_unspoken());
            let bytes = folder.size();
            shared.make_room(bytes)?;
            job.set_disk_bytes(bytes);
            shared.disk.insert(&job.row())?;
            Ok(Arc::new(job))
        };
        let job = accept().inspect_err(|_: &CreateError| folder.delete())?;
        shared.lock().jobs.push(Arc::clone(&job));
        shared.wake();
        Ok(job)
    }

    /// What was asked for, with the speech features and the background if some came with the clip: what another job can be made of.
    /// Blocks for the disk.
    ///
    /// # Errors
    /// When the stored features cannot be read.
    pub fn stored_request(&self, job: &Job) -> io::Result<JobRequest> {
        let folder = self.shared.disk.folder(job.id());
        let features = job.has_features().then(|| folder.features()).transpose()?;
        let mut request = JobRequest {
            features,
            background: folder.background(),
            captions: folder.captions_file(),
            title: job.title(),
            ..job.request().clone()
        };
        let is_spoken = request.script.as_ref().is_some_and(|script| script.voice.is_some());
        if is_spoken && !folder.has_input() {
            // The voice failed, or did not get so far: it tries again.
            request.audio = Input::Memory(Bytes::new());
        }
        Ok(request)
    }

    /// What is said in a job and when, as far as that is known; of a recording whose words somebody told, found out now and
    /// kept. Blocks; one call at a time, see [`Job::captioning`].
    ///
    /// # Errors
    /// What is wrong with the recording.
    pub fn captions(&self, job: &Job) -> Result<Option<Vec<Cue>>, AudioError> {
        let folder = self.shared.disk.folder(job.id());
        if let Some(cues) = folder.captions() {
            return Ok(Some(cues));
        }
        let Some(script) = job.request().script.as_ref().filter(|_| job.is_transcribed()) else {
            return Ok(None);
        };
        let loudness = transcript::loudness(&folder.input(), &job.request().audio_name, job.request().cut)?;
        let cues = captions::align(&script.text, &loudness);
        // Without a file, it is found out again.
        let _ = folder.put_captions(&cues);
        job.captioned();
        Ok(Some(cues))
    }

    /// Puts another job for the same clip, avatar and options at the end of the queue. Blocks for the disk.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn rerun(&self, job: &Job) -> Result<Arc<Job>, CreateError> {
        self.create(self.stored_request(job)?, None)
    }

    /// Whether [`Self::create`] would accept a job now.
    ///
    /// # Errors
    /// [`CreateError::Full`] when too many jobs wait.
    pub fn has_room(&self) -> Result<(), CreateError> {
        self.shared.has_room(&self.shared.lock())
    }

    /// The job of that name.
    pub fn get(&self, id: JobId) -> Option<Arc<Job>> {
        self.shared.lock().jobs.iter().find(|job| job.id() == id).cloned()
    }

    /// Every job, the oldest first.
    pub fn list(&self) -> Vec<Arc<Job>> {
        self.shared.lock().jobs.clone()
    }

    /// How many jobs that arrived earlier wait for a renderer or have one, or a voice where its text is still to be spoken; 0
    /// when its turn has come.
    pub fn ahead_of(&self, id: JobId) -> usize {
        let table = self.shared.lock();
        let Some(place) = table.jobs.iter().position(|job| job.id() == id) else { return 0 };
        let is_unspoken = table.jobs[place].waits_for_voice();
        let comes_first =
            |job: &&Arc<Job>| if is_unspoken { job.waits_for_voice() } else { job.takes_turns() };
        table.jobs[..place].iter().filter(comes_first).count()
    }

    /// The first frame of a job as a PNG file, once it is made. Blocks for the disk.
    pub fn poster(&self, job: &Job) -> Option<Bytes> {
        self.shared.disk.folder(job.id()).poster().and_then(poster::whole)
    }

    /// Stops a job, within one frame or one step of what is made before it. One that is over stays as it is. When this returns, the job stays stopped after
    /// a crash, too. Blocks for the disk.
    pub fn cancel(&self, job: &Job) {
        job.cancel();
        self.shared.feeds.forget(job.id());
        self.shared.save(job);
        self.shared.wake();
    }

    /// Stops a job and forgets it with all its files; false when there is none of that name.
    pub fn remove(&self, id: JobId) -> bool {
        self.shared.remove(id)
    }

    /// Gives a job another title; `None` is the name of its recording. When this returns, it survives a crash. Blocks for
    /// the disk.
    ///
    /// # Errors
    /// When the table cannot be written; the job is called as before then.
    pub fn rename(&self, job: &Job, title: Option<Title>) -> Result<(), DatabaseError> {
        let before = job.rename(title);
        self.shared.write(&[job], true).inspect_err(|_| drop(job.rename(before)))
    }

    /// Somebody waits for segment `index` of `job`: make it next.
    pub fn want(&self, job: &Job, index: usize) {
        if job.want(index) {
            self.shared.wake();
        }
    }

    /// Reads a made segment. One that was deleted or cut short on the disk is made again first. Blocks.
    ///
    /// # Errors
    /// When it is not made, or cannot be read.
    pub fn segment(&self, job: &Job, index: usize) -> Result<Bytes, ReadError> {
        self.shared.read(job, index, Readers::Many)
    }

    /// As [`Self::segment`], for somebody who goes through the whole clip: what is read is not kept in memory for others.
    ///
    /// # Errors
    /// When it is not made, or cannot be read.
    pub fn segment_in_passing(&self, job: &Job, index: usize) -> Result<Bytes, ReadError> {
        self.shared.read(job, index, Readers::One)
    }

    /// A made segment that is in memory: one that was made or read lately. Asks the disk only whether its file is
    /// still there.
    pub fn segment_at_hand(&self, job: &Job, index: usize) -> Option<Bytes> {
        job.asked();
        self.shared.at_hand(job, index)
    }

    /// Where everything is in the video file of a finished job. Reads every segment when asked first.
    ///
    /// # Errors
    /// When a segment is not made, or cannot be read.
    pub async fn mp4(&self, job: &Arc<Job>) -> Result<Arc<Layout>, ReadError> {
        let make = || async {
            let (job, shared) = (Arc::clone(job), Arc::clone(&self.shared));
            let made = tokio::task::spawn_blocking(move || {
                let plan = job.plan().and_then(|plan| plan.known()).ok_or(ReadError::NotMade { index: 0 })?;
                layout(&shared, &job, &plan, plan.len())
            })
            .await;
            made.map_err(|error| ReadError::Interrupted(error.to_string()))?
        };
        job.mp4().get_or_try_init(make).await.cloned()
    }

    /// Deletes finished jobs that were kept for long enough at `now`, or make room, and names them. Happens by itself
    /// once a minute and whenever a job is over. Blocks for the disk.
    pub fn retain(&self, now: SystemTime) -> Vec<JobId> {
        self.shared.retain(now)
    }

    /// Ends everyone's wait and stops the workers; jobs that are not over go on at the next start. Blocks until each
    /// worker is done with what it cannot leave in the middle: a frame, or a layer of a speech network.
    pub fn stop(&self) {
        self.shared.stop();
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        if threads.is_empty() {
            return;
        }
        for thread in threads {
            // A worker catches its own panics, so there is nothing to learn from the result.
            let _ = thread.join();
        }
        self.shared.end();
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.stop();
    }
}
