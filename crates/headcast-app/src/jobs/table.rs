//! The table of jobs, the queue, and the thread that works it off.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use headcast::media::mp4::{self, Index, Layout};
use headcast::media::store::{Folder, StoreError};
use tempfile::TempPath;

use super::id::JobId;
use super::job::{Job, State};
use super::schedule::{Need, PlayheadFirst, Schedule};
use super::studio::{JobRequest, Studio};
use super::worker;

/// What bounds the memory and the disk that jobs take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Jobs that are not over; one more is refused. Default 64.
    pub waiting: usize,
    /// Jobs that are remembered, over or not; the oldest that are over make room. Default 256.
    pub kept: usize,
    /// Events that are remembered of each job. Default 2000.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { waiting: 64, kept: 256, events: 2000 }
    }
}

/// Why a job was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Come back when a job is over.
    #[error("{waiting} jobs are waiting already; try again when one is done")]
    Full {
        /// How many wait.
        waiting: usize,
    },
    /// The operating system has no randomness to name a job with.
    #[error("the operating system gives no random numbers to name a job with")]
    Name,
}

/// Why something made cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Wait until it is made; look at the disk when it was.
    #[error("segment {index} is not there")]
    NotMade {
        /// The segment.
        index: usize,
    },
    /// Look at the disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Make the job again.
    #[error("the video file cannot be put together: {0}")]
    Mp4(#[from] mp4::Error),
    /// Ask again, unless the server is stopping.
    #[error("interrupted: {0}")]
    Interrupted(String),
}

/// All jobs of this process.
#[derive(Debug)]
pub struct Jobs {
    shared: Arc<Shared>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

pub(super) struct Shared {
    pub(super) studio: Arc<dyn Studio>,
    schedule: Box<dyn Schedule>,
    dir: PathBuf,
    limits: Limits,
    table: Mutex<Table>,
    /// Signalled when there may be something to do.
    work: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("dir", &self.dir).field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[derive(Default)]
struct Table {
    /// In order of arrival.
    jobs: Vec<Arc<Job>>,
    /// The one that the worker has in hand: its folder must not vanish under it.
    in_hand: Option<JobId>,
    stop: bool,
}

/// Something for the worker to do.
pub(super) enum Task {
    Open(Arc<Job>),
    Make(Arc<Job>, usize),
}

impl Jobs {
    /// Starts with an empty table; segments go to `dir`, one folder per job.
    ///
    /// # Errors
    /// When the folder or the worker thread cannot be made.
    pub fn start(studio: Arc<dyn Studio>, dir: &Path, limits: Limits) -> io::Result<Self> {
        Self::with_schedule(studio, dir, limits, Box::new(PlayheadFirst))
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
        std::fs::create_dir_all(dir)?;
        let shared = Arc::new(Shared {
            studio,
            schedule,
            dir: dir.to_owned(),
            limits,
            table: Mutex::default(),
            work: Condvar::new(),
        });
        let worker = std::thread::Builder::new().name("headcast-jobs".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || worker::run(&shared)
        })?;
        Ok(Self { shared, worker: Mutex::new(Some(worker)) })
    }

    /// Puts a job at the end of the queue. `upload` is deleted when the job no longer needs it.
    ///
    /// # Errors
    /// [`CreateError::Full`] when too many jobs wait.
    pub fn create(&self, request: JobRequest, upload: Option<TempPath>) -> Result<Arc<Job>, CreateError> {
        let id = JobId::random().ok_or(CreateError::Name)?;
        let mut table = self.shared.lock();
        let waiting = table.waiting();
        if waiting >= self.shared.limits.waiting {
            return Err(CreateError::Full { waiting });
        }
        while table.jobs.len() >= self.shared.limits.kept {
            let Some(oldest) = table.jobs.iter().position(|job| job.state().is_over()) else { break };
            let id = table.jobs[oldest].id();
            self.shared.remove(&mut table, id);
        }
        let job = Arc::new(Job::new(id, request, upload, self.shared.limits.events));
        table.jobs.push(Arc::clone(&job));
        drop(table);
        self.shared.work.notify_one();
        Ok(job)
    }

    /// Whether [`Self::create`] would accept a job now.
    ///
    /// # Errors
    /// [`CreateError::Full`] when too many jobs wait.
    pub fn has_room(&self) -> Result<(), CreateError> {
        let waiting = self.shared.lock().waiting();
        if waiting < self.shared.limits.waiting { Ok(()) } else { Err(CreateError::Full { waiting }) }
    }

    /// The job of that name.
    pub fn get(&self, id: JobId) -> Option<Arc<Job>> {
        self.shared.lock().jobs.iter().find(|job| job.id() == id).cloned()
    }

    /// Every job, the oldest first.
    pub fn list(&self) -> Vec<Arc<Job>> {
        self.shared.lock().jobs.clone()
    }

    /// How many jobs will be worked on before this one; 0 when its turn has come.
    pub fn ahead_of(&self, id: JobId) -> usize {
        let table = self.shared.lock();
        table.jobs.iter().take_while(|job| job.id() != id).filter(|job| !job.state().is_over()).count()
    }

    /// Stops a job, within one frame. One that is over stays as it is.
    pub fn cancel(&self, job: &Job) {
        job.cancel();
        self.shared.work.notify_one();
    }

    /// Stops a job and forgets it with all its segments; false when there is none of that name.
    pub fn remove(&self, id: JobId) -> bool {
        let removed = self.shared.remove(&mut self.shared.lock(), id);
        self.shared.work.notify_one();
        removed
    }

    /// Somebody waits for segment `index` of `job`: make it next.
    pub fn want(&self, job: &Job, index: usize) {
        if job.want(index) {
            self.shared.work.notify_one();
        }
    }

    /// Reads a made segment. Blocks for the disk.
    ///
    /// # Errors
    /// When it is not made, or cannot be read.
    pub fn segment(&self, job: &Job, index: usize) -> Result<Bytes, ReadError> {
        let media = job.media().ok_or(ReadError::NotMade { index })?;
        media.store.get(index)?.ok_or(ReadError::NotMade { index })
    }

    /// Where everything is in the video file of a finished job. Reads every segment when asked first.
    ///
    /// # Errors
    /// When a segment is not made, or cannot be read.
    pub async fn mp4(&self, job: &Arc<Job>) -> Result<Arc<Layout>, ReadError> {
        let make = || async {
            let job = Arc::clone(job);
            let made = tokio::task::spawn_blocking(move || layout(&job)).await;
            made.map_err(|error| ReadError::Interrupted(error.to_string()))?
        };
        job.mp4.get_or_try_init(make).await.cloned()
    }

    /// Cancels every job, which ends everyone's wait, and stops the worker. Blocks for one frame at most.
    pub fn stop(&self) {
        let mut table = self.shared.lock();
        table.stop = true;
        for job in &table.jobs {
            job.cancel();
        }
        drop(table);
        self.shared.work.notify_one();
        let worker = self.worker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(worker) = worker {
            // It catches its own panics, so there is nothing to learn from the result.
            let _ = worker.join();
        }
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    /// Waits until there is something to do; `None` when the process ends. Call [`Self::release`] after.
    pub(super) fn next(&self) -> Option<Task> {
        let mut table = self.lock();
        loop {
            if table.stop {
                return None;
            }
            if let Some(task) = self.pick(&table) {
                let (Task::Open(job) | Task::Make(job, _)) = &task;
                table.in_hand = Some(job.id());
                return Some(task);
            }
            table = self.work.wait(table).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn pick(&self, table: &Table) -> Option<Task> {
        let opened: Vec<_> = table
            .jobs
            .iter()
            .filter_map(|job| Some((job, job.need(|made, wanted| (made.to_vec(), wanted))?)))
            .collect();
        let needs: Vec<_> = opened
            .iter()
            .map(|(job, (made, wanted))| Need { job: job.id(), made, wanted: *wanted })
            .collect();
        if let Some(pick) = self.schedule.next(&needs) {
            let job = table.jobs.iter().find(|job| job.id() == pick.job)?;
            return Some(Task::Make(Arc::clone(job), pick.segment));
        }
        let queued = table.jobs.iter().find(|job| job.state() == State::Queued)?;
        Some(Task::Open(Arc::clone(queued)))
    }

    /// The worker has let go of what [`Self::next`] gave it.
    pub(super) fn release(&self) {
        let mut table = self.lock();
        let Some(id) = table.in_hand.take() else { return };
        if !table.jobs.iter().any(|job| job.id() == id) {
            self.delete_files(id);
        }
    }

    fn remove(&self, table: &mut Table, id: JobId) -> bool {
        let Some(index) = table.jobs.iter().position(|job| job.id() == id) else { return false };
        table.jobs.remove(index).cancel();
        // Else the worker deletes when it lets go, or it would put a segment into a folder that is gone.
        if table.in_hand != Some(id) {
            self.delete_files(id);
        }
        true
    }

    fn delete_files(&self, id: JobId) {
        // What cannot be deleted now is only disk space; the job is gone either way.
        let _ = std::fs::remove_dir_all(self.dir.join(id.as_str()));
    }

    /// A place for the segments of this job.
    pub(super) fn store(&self, id: JobId) -> Result<Folder, StoreError> {
        Folder::open(self.dir.join(id.as_str()))
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics halfway through a change, so a poisoned table is still a whole one.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn layout(job: &Job) -> Result<Arc<Layout>, ReadError> {
    let (Some(media), Some(plan)) = (job.media(), job.plan()) else {
        return Err(ReadError::NotMade { index: 0 });
    };
    let mut file = Index::new(&media.config, &plan);
    for index in 0..plan.len() {
        file.push(&media.store.get(index)?.ok_or(ReadError::NotMade { index })?)?;
    }
    Ok(Arc::new(file.finish()?))
}

impl Table {
    fn waiting(&self) -> usize {
        self.jobs.iter().filter(|job| !job.state().is_over()).count()
    }
}
