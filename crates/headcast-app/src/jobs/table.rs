//! The table of jobs, the queue, and the threads that work it off.

use std::collections::BTreeSet;
use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use headcast::media::mp4::{self, Index, Layout};
use headcast::media::store::{SegmentStore, StoreError};
use tempfile::TempPath;

use super::disk::{DatabaseError, Disk, Found, Row, is_whole};
use super::event::{EventLog, Level};
use super::id::JobId;
use super::job::{Job, State};
use super::retention::{self, Kept};
use super::schedule::{Fair, Need, Schedule};
use super::studio::{Audio, JobRequest, Studio};
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
    /// Jobs that are worked on at the same time; each has a clip in memory, and all share the renderer's threads.
    /// Default 1.
    pub in_flight: NonZeroUsize,
    /// Leave alone what nobody watches. Default false.
    pub pause_unwatched: bool,
    /// How long a job is kept once it is over; `None` for ever, which is the default.
    pub keep: Option<Duration>,
    /// Bytes that all job folders may take; those that were over first make room, and without room a job is refused
    /// or fails. `None`, the default, for whatever the disk has.
    pub max_disk_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting: 64,
            kept: 256,
            events: 2000,
            in_flight: NonZeroUsize::MIN,
            pause_unwatched: false,
            keep: None,
            max_disk_bytes: None,
        }
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
    /// Free some space.
    #[error("the upload cannot be stored ({0}); free some space and try again")]
    Disk(#[from] io::Error),
    /// Delete some jobs, or allow more.
    #[error(
        "the jobs take {} MB already, more than the {} MB that --max-disk allows; delete some and try again",
        used / 1_000_000, limit / 1_000_000
    )]
    DiskLimit {
        /// Bytes with this job.
        used: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// See there.
    #[error(transparent)]
    Table(#[from] DatabaseError),
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
    workers: Mutex<Vec<JoinHandle<()>>>,
    notes: Vec<String>,
}

pub(super) struct Shared {
    pub(super) studio: Arc<dyn Studio>,
    schedule: Box<dyn Schedule>,
    pub(super) disk: Disk,
    limits: Limits,
    table: Mutex<Table>,
    /// Signalled when there may be something to do.
    work: Condvar,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("disk", &self.disk)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

struct Table {
    /// In order of arrival.
    jobs: Vec<Arc<Job>>,
    /// Jobs that are accepted and not in `jobs` yet, because their upload is on its way to the disk.
    arriving: usize,
    /// The ones that the workers have in hand: their folders must not vanish under them.
    in_hand: BTreeSet<JobId>,
    /// Segments given out so far.
    turns: u64,
    /// When retention was last looked at.
    retained: Instant,
    stop: bool,
}

/// Something for a worker to do.
pub(super) enum Task {
    Open(Arc<Job>),
    Make(Arc<Job>, usize),
    /// Delete what has been kept for long enough.
    Retain,
}

/// A worker without work looks this often whether somebody began to watch a paused job.
const IDLE_WAIT: Duration = Duration::from_millis(200);

/// Retention is looked at this often, and whenever a job is over.
const RETAIN_EVERY: Duration = Duration::from_secs(60);

/// Jobs that may hold their clip in memory besides those that are worked on.
const SPARE_OPEN: usize = 2;

/// How long a reader waits for a lost segment to be made again.
const REPAIR_WAIT: Duration = Duration::from_secs(60);

/// Events of the n-th start count from n · 2^32, so that a reader from before it learns that it missed some.
const EVENTS_PER_START: u32 = 32;

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
        let (disk, Found { rows, starts, notes }) = Disk::open(dir)?;
        let jobs = rows.into_iter().map(|row| restore(&disk, row, limits.events, starts)).collect();
        let shared = Arc::new(Shared {
            studio,
            schedule,
            disk,
            limits,
            table: Mutex::new(Table {
                jobs,
                arriving: 0,
                in_hand: BTreeSet::new(),
                turns: 0,
                retained: Instant::now(),
                stop: false,
            }),
            work: Condvar::new(),
        });
        shared.retain(SystemTime::now());
        let started = Self { shared, workers: Mutex::default(), notes };
        for number in 0..limits.in_flight.get() {
            let shared = Arc::clone(&started.shared);
            let worker = std::thread::Builder::new()
                .name(format!("headcast-jobs-{number}"))
                .spawn(move || worker::run(&shared))?;
            started.workers.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        }
        Ok(started)
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
            folder.accept(&request.audio, upload, request.features.as_ref())?;
            let bytes = folder.size();
            shared.make_room(bytes)?;
            let has_features = request.features.is_some();
            // Features may be large, and are needed for a moment when the job is opened.
            let request =
                JobRequest { audio: Audio::File(folder.input()), features: None, ..request.clone() };
            let job = Job::new(id, request, has_features, shared.limits.events);
            job.set_disk_bytes(bytes);
            shared.disk.database.insert(&job.row())?;
            Ok(Arc::new(job))
        };
        let job = accept().inspect_err(|_: &CreateError| folder.delete())?;
        shared.lock().jobs.push(Arc::clone(&job));
        shared.work.notify_all();
        Ok(job)
    }

    /// Puts another job for the same clip, avatar and options at the end of the queue. Blocks for the disk.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn rerun(&self, job: &Job) -> Result<Arc<Job>, CreateError> {
        let folder = self.shared.disk.folder(job.id());
        let features = job.has_features().then(|| folder.features()).transpose()?;
        self.create(JobRequest { features, ..job.request().clone() }, None)
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

    /// How many jobs that arrived earlier are not over; 0 when its turn has come.
    pub fn ahead_of(&self, id: JobId) -> usize {
        let table = self.shared.lock();
        table.jobs.iter().take_while(|job| job.id() != id).filter(|job| !job.state().is_over()).count()
    }

    /// Stops a job, within one frame. One that is over stays as it is.
    pub fn cancel(&self, job: &Job) {
        job.cancel();
        self.shared.save(job);
        self.shared.work.notify_all();
    }

    /// Stops a job and forgets it with all its files; false when there is none of that name.
    pub fn remove(&self, id: JobId) -> bool {
        self.shared.remove(id)
    }

    /// Somebody waits for segment `index` of `job`: make it next.
    pub fn want(&self, job: &Job, index: usize) {
        if job.want(index) {
            self.shared.work.notify_all();
        }
    }

    /// Reads a made segment. One that was deleted or cut short on the disk is made again first. Blocks.
    ///
    /// # Errors
    /// When it is not made, or cannot be read.
    pub fn segment(&self, job: &Job, index: usize) -> Result<Bytes, ReadError> {
        self.shared.read(job, index)
    }

    /// Where everything is in the video file of a finished job. Reads every segment when asked first.
    ///
    /// # Errors
    /// When a segment is not made, or cannot be read.
    pub async fn mp4(&self, job: &Arc<Job>) -> Result<Arc<Layout>, ReadError> {
        let make = || async {
            let (job, shared) = (Arc::clone(job), Arc::clone(&self.shared));
            let made = tokio::task::spawn_blocking(move || layout(&shared, &job)).await;
            made.map_err(|error| ReadError::Interrupted(error.to_string()))?
        };
        job.mp4().get_or_try_init(make).await.cloned()
    }

    /// Deletes finished jobs that were kept for long enough at `now`, or make room, and names them. Happens by itself
    /// once a minute and whenever a job is over. Blocks for the disk.
    pub fn retain(&self, now: SystemTime) -> Vec<JobId> {
        self.shared.retain(now)
    }

    /// Ends everyone's wait and stops the workers; jobs that are not over go on at the next start. Blocks for one
    /// frame at most.
    pub fn stop(&self) {
        let mut table = self.shared.lock();
        table.stop = true;
        for job in &table.jobs {
            job.halt();
        }
        drop(table);
        self.shared.work.notify_all();
        let workers = std::mem::take(&mut *self.workers.lock().unwrap_or_else(PoisonError::into_inner));
        for worker in workers {
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

/// A place in the queue for a job whose upload is on its way to the disk.
struct Arrival<'a>(&'a Shared);

impl<'a> Arrival<'a> {
    fn announce(shared: &'a Shared) -> Result<Self, CreateError> {
        let mut table = shared.lock();
        shared.has_room(&table)?;
        table.arriving += 1;
        Ok(Self(shared))
    }
}

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.0.lock().arriving -= 1;
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
            if table.retained.elapsed() >= RETAIN_EVERY {
                table.retained = Instant::now();
                return Some(Task::Retain);
            }
            if let Some(task) = self.pick(&table) {
                if let Task::Make(job, _) = &task {
                    table.turns += 1;
                    // Opening is no turn: it would be the next one's before this one has got anything.
                    job.set_served(table.turns);
                }
                if let Task::Open(job) | Task::Make(job, _) = &task {
                    table.in_hand.insert(job.id());
                }
                return Some(task);
            }
            let wait = if table.waiting() > 0 { IDLE_WAIT } else { RETAIN_EVERY };
            table = self.work.wait_timeout(table, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn pick(&self, table: &Table) -> Option<Task> {
        let free = table.jobs.iter().filter(|job| !table.in_hand.contains(&job.id()));
        let waiting: Vec<_> = free.filter_map(|job| Some((job, job.is_watched(), job.need()?))).collect();
        let needs: Vec<_> = waiting
            .iter()
            .map(|(job, watched, (made, wanted, served))| Need {
                job: job.id(),
                made,
                wanted: *wanted,
                watched: *watched,
                served: *served,
            })
            .collect();
        let pick = self.schedule.next(&needs)?;
        let (job, ..) = waiting.iter().find(|(job, ..)| job.id() == pick.job)?;
        if job.source().is_some() {
            return Some(Task::Make(Arc::clone(job), pick.segment));
        }
        let open: Vec<_> = waiting.iter().filter(|(job, ..)| job.source().is_some()).collect();
        if open.len() + table.in_hand.len() >= self.limits.in_flight.get() + SPARE_OPEN {
            // The one whose turn is the farthest away: of unwatched ones the youngest, else the one served last.
            let order = |place: usize, watched: bool, served: u64| {
                (!watched, if watched { served } else { place as u64 })
            };
            let last = open
                .iter()
                .enumerate()
                .max_by_key(|(place, (_, watched, (.., served)))| order(*place, *watched, *served));
            if let Some((_, (last, ..))) = last {
                last.park();
            }
        }
        Some(Task::Open(Arc::clone(job)))
    }

    /// The worker has let go of what [`Self::next`] gave it.
    pub(super) fn release(&self, job: &Job) {
        let mut table = self.lock();
        table.in_hand.remove(&job.id());
        let gone = !table.jobs.iter().any(|other| other.id() == job.id());
        drop(table);
        if gone {
            self.disk.folder(job.id()).delete();
        }
        self.work.notify_all();
    }

    /// Writes the job to the table, as it is now. An error is on the job's log: the job goes on, and after a crash it
    /// would be taken up where the table has it.
    pub(super) fn save(&self, job: &Job) {
        if let Err(error) = self.disk.database.update(|| job.row()) {
            job.log(Level::Warn, error.to_string());
        }
    }

    fn remove(&self, id: JobId) -> bool {
        let mut table = self.lock();
        let Some(index) = table.jobs.iter().position(|job| job.id() == id) else { return false };
        let job = table.jobs.remove(index);
        // Of a job that came to its own end, nothing more is written.
        let written = table.in_hand.contains(&id) && !matches!(job.state(), State::Done | State::Failed);
        drop(table);
        job.cancel();
        // The row first: a folder without a row is deleted at the next start.
        if let Err(error) = self.disk.database.delete(id) {
            job.log(Level::Warn, error.to_string());
        }
        // Else the worker deletes when it lets go, or it would put a segment into a folder that is gone.
        if !written {
            self.disk.folder(id).delete();
        }
        self.work.notify_all();
        true
    }

    /// Makes room for a job of `bytes` more.
    fn make_room(&self, bytes: u64) -> Result<(), CreateError> {
        loop {
            let table = self.lock();
            if table.jobs.len() < self.limits.kept {
                break;
            }
            let oldest = table.jobs.iter().find(|job| job.state().is_over()).map(|job| job.id());
            drop(table);
            let Some(oldest) = oldest else { break };
            self.remove(oldest);
        }
        let Some(limit) = self.limits.max_disk_bytes else { return Ok(()) };
        self.retain_below(SystemTime::now(), limit.saturating_sub(bytes));
        let used = self.disk_bytes() + bytes;
        if used <= limit { Ok(()) } else { Err(CreateError::DiskLimit { used, limit }) }
    }

    /// Bytes above the limit, after everything that can make room did; `None` when all is well.
    pub(super) fn over_limit(&self) -> Option<u64> {
        let limit = self.limits.max_disk_bytes?;
        if self.disk_bytes() > limit {
            self.retain(SystemTime::now());
        }
        self.disk_bytes().checked_sub(limit).filter(|over| *over > 0)
    }

    fn disk_bytes(&self) -> u64 {
        self.lock().jobs.iter().map(|job| job.disk_bytes()).sum()
    }

    pub(super) fn retain(&self, now: SystemTime) -> Vec<JobId> {
        self.retain_below(now, self.limits.max_disk_bytes.unwrap_or(u64::MAX))
    }

    fn retain_below(&self, now: SystemTime, max_bytes: u64) -> Vec<JobId> {
        let kept: Vec<_> = self
            .lock()
            .jobs
            .iter()
            .map(|job| Kept { id: job.id(), finished: job.finished(), bytes: job.disk_bytes() })
            .collect();
        let gone = retention::expired(&kept, now, self.limits.keep, Some(max_bytes));
        for id in &gone {
            self.remove(*id);
        }
        gone
    }

    fn has_room(&self, table: &Table) -> Result<(), CreateError> {
        let waiting = table.waiting() + table.arriving;
        if waiting < self.limits.waiting { Ok(()) } else { Err(CreateError::Full { waiting }) }
    }

    /// A whole segment, made again if it has to be.
    fn read(&self, job: &Job, index: usize) -> Result<Bytes, ReadError> {
        let not_made = ReadError::NotMade { index };
        job.asked();
        // The second time reads what was made again.
        for _ in 0..2 {
            let (Some(media), Some(plan)) = (job.media(), job.plan()) else { return Err(not_made) };
            if job.is_made(index) == Some(true) {
                if let Some(bytes) = media.store.get(index)?.filter(|bytes| is_whole(bytes, &plan, index)) {
                    return Ok(bytes);
                }
                let clear = || drop(std::fs::remove_file(media.store.segment_path(index)));
                if !job.segment_lost(index, clear) {
                    return Err(not_made);
                }
                self.save(job);
            } else if !job.is_lost(index) {
                return Err(not_made);
            }
            job.want(index);
            self.work.notify_all();
            if !job.wait_made(index, REPAIR_WAIT) {
                return Err(not_made);
            }
        }
        Err(not_made)
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics halfway through a change, so a poisoned table is still a whole one.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job as the last process left it.
fn restore(disk: &Disk, mut row: Row, events: usize, starts: u64) -> Arc<Job> {
    let folder = disk.folder(row.id);
    let mut made = Vec::new();
    let mut store = None;
    if let Some(clip) = &row.clip {
        made = folder.made(clip.plan.len());
        store = folder.store().ok().map(Arc::new);
    }
    if store.is_none() {
        // Without a plan, or a place, there are no segments to go on from.
        row.clip = None;
    }
    let request = JobRequest {
        audio: Audio::File(folder.input()),
        audio_name: row.audio_name.clone(),
        avatar: row.avatar.clone(),
        profile: row.profile.clone(),
        features: None,
    };
    let log = EventLog::after_gap(events, starts << EVENTS_PER_START);
    let before = row.state;
    let job = Job::restored(row, request, made, store, log);
    job.set_disk_bytes(folder.size());
    if job.state() != before {
        // Its last word did not reach the table, or segments are missing. If this does not either, the next start
        // finds out again.
        let _ = disk.database.update(|| job.row());
    }
    Arc::new(job)
}

fn layout(shared: &Shared, job: &Job) -> Result<Arc<Layout>, ReadError> {
    let (Some(media), Some(plan)) = (job.media(), job.plan()) else {
        return Err(ReadError::NotMade { index: 0 });
    };
    let mut file = Index::new(&media.config, &plan);
    for index in 0..plan.len() {
        file.push(&shared.read(job, index)?)?;
    }
    Ok(Arc::new(file.finish()?))
}

impl Table {
    fn waiting(&self) -> usize {
        self.jobs.iter().filter(|job| !job.state().is_over()).count()
    }
}
