//! What the table and its workers share: the queue itself.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use headcast::core::timeline::ClipPlan;
use headcast::media::store::SegmentStore;

use super::disk::{DatabaseError, Disk, Stored, is_whole};
use super::event::{EventLog, Level};
use super::feed::Feeds;
use super::id::JobId;
use super::job::{Job, Media, State};
use super::limits::{CreateError, Limits, ReadError};
use super::recent::Recent;
use super::retention::{self, Kept};
use super::schedule::{Need, Schedule};
use super::studio::{Input, JobRequest, Studio};

pub(super) struct Shared {
    pub(super) studio: Arc<dyn Studio>,
    schedule: Box<dyn Schedule>,
    pub(super) disk: Disk,
    pub(super) limits: Limits,
    pub(super) recent: Recent,
    pub(super) feeds: Feeds,
    table: Mutex<Table>,
    /// Signalled when there may be something to do.
    work: Condvar,
    /// Signalled when the process ends.
    stopping: Condvar,
    /// Whether events could not be written the last time.
    behind: AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("disk", &self.disk)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

pub(super) struct Table {
    /// In order of arrival.
    pub(super) jobs: Vec<Arc<Job>>,
    /// Jobs that are accepted and not in `jobs` yet, because their upload is on its way to the disk.
    arriving: usize,
    /// The ones that the workers have in hand: their folders must not vanish under them.
    in_hand: BTreeSet<JobId>,
    /// Those for which a voice speaks: likewise.
    speaking: BTreeSet<JobId>,
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

/// Jobs that may hold their clip open, with files of its sound and features, besides those that are worked on.
const SPARE_OPEN: usize = 2;

/// How long a reader waits for a lost segment to be made again.
const REPAIR_WAIT: Duration = Duration::from_secs(60);

/// Events of the n-th start count from n · 2^32, so that a reader from before it learns that it missed some.
const EVENTS_PER_START: u32 = 32;

/// A place in the queue for a job whose upload is on its way to the disk.
pub(super) struct Arrival<'a>(&'a Shared);

impl<'a> Arrival<'a> {
    pub(super) fn announce(shared: &'a Shared) -> Result<Self, CreateError> {
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

/// Who wants a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Readers {
    /// Viewers, who want the same one at about the same time: it is kept in memory for them.
    Many,
    /// Somebody who goes through the clip, and would push out what viewers share.
    One,
}

impl Shared {
    pub(super) fn new(
        studio: Arc<dyn Studio>,
        schedule: Box<dyn Schedule>,
        disk: Disk,
        limits: Limits,
        jobs: Vec<Arc<Job>>,
    ) -> Self {
        Self {
            studio,
            schedule,
            disk,
            limits,
            recent: Recent::new(limits.recent_bytes),
            feeds: Feeds::default(),
            table: Mutex::new(Table {
                jobs,
                arriving: 0,
                in_hand: BTreeSet::new(),
                speaking: BTreeSet::new(),
                turns: 0,
                retained: Instant::now(),
                stop: false,
            }),
            work: Condvar::new(),
            stopping: Condvar::new(),
            behind: AtomicBool::new(false),
        }
    }

    /// Tells the workers that there may be something to do.
    pub(super) fn wake(&self) {
        self.work.notify_all();
    }

    /// Tells the workers and everyone who waits for a job that it ends here.
    pub(super) fn stop(&self) {
        let mut table = self.lock();
        table.stop = true;
        for job in &table.jobs {
            job.halt();
        }
        drop(table);
        self.stopping.notify_all();
        self.wake();
        self.feeds.close_all();
    }

    /// Waits this long, or until the process ends; true when it does.
    pub(super) fn stopped_within(&self, wait: Duration) -> bool {
        let (table, _) = self
            .stopping
            .wait_timeout_while(self.lock(), wait, |table| !table.stop)
            .unwrap_or_else(PoisonError::into_inner);
        table.stop
    }

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

    /// Waits until there is a text to be spoken, in order of acceptance; `None` when the process ends. Call
    /// [`Self::release`] after.
    pub(super) fn next_unspoken(&self) -> Option<Arc<Job>> {
        let mut table = self.lock();
        loop {
            if table.stop {
                return None;
            }
            let may_speak = |job: &&Arc<Job>| {
                job.waits_for_voice()
                    && !table.has(job.id())
                    && (job.is_watched() || !self.limits.pause_unwatched)
            };
            if let Some(job) = table.jobs.iter().find(may_speak).cloned() {
                table.speaking.insert(job.id());
                return Some(job);
            }
            // Nobody says when a paused job is watched.
            let wait = if self.limits.pause_unwatched { IDLE_WAIT } else { RETAIN_EVERY };
            table = self.work.wait_timeout(table, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn pick(&self, table: &Table) -> Option<Task> {
        let free = table.jobs.iter().filter(|job| !table.has(job.id()));
        // A job whose frames come from outside needs a worker only to be opened, and its sender waits.
        let in_demand = |job: &Job| job.is_watched() || job.request().pushed.is_some();
        let waiting: Vec<_> = free.filter_map(|job| Some((job, in_demand(job), job.need()?))).collect();
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

    /// The worker has let go of what [`Self::next`] or [`Self::next_unspoken`] gave it.
    pub(super) fn release(&self, job: &Job) {
        let mut table = self.lock();
        table.in_hand.remove(&job.id());
        table.speaking.remove(&job.id());
        let gone = !table.jobs.iter().any(|other| other.id() == job.id());
        drop(table);
        if gone {
            self.disk.folder(job.id()).delete();
        }
        self.wake();
    }

    /// Writes the job to the table, as it is now. An error is on the job's log: the job goes on, and after a crash it
    /// would be taken up where the table has it.
    pub(super) fn save(&self, job: &Job) {
        if let Err(error) = self.write(&[job], true) {
            job.log(Level::Warn, error.to_string());
        }
    }

    /// Writes down what happened to all jobs since the last time. When that is not possible, the jobs say so once, and
    /// keep as much as their logs hold.
    pub(super) fn flush(&self) {
        let jobs = self.lock().jobs.clone();
        let jobs: Vec<_> = jobs.iter().map(|job| &**job).filter(|job| job.changes(false).is_some()).collect();
        if jobs.is_empty() {
            return;
        }
        match self.write(&jobs, false) {
            Ok(()) => self.behind.store(false, Ordering::Relaxed),
            Err(error) if !self.behind.swap(true, Ordering::Relaxed) => {
                for job in jobs {
                    job.log(Level::Warn, format!("log lines are kept in memory only, for now: {error}"));
                }
            }
            Err(_) => {}
        }
    }

    /// Writes down the last of what happened, and that nothing is missing. If that fails, the next start takes this for a
    /// crash, and is right.
    pub(super) fn end(&self) {
        let jobs = self.lock().jobs.clone();
        let jobs: Vec<_> = jobs.iter().map(|job| &**job).collect();
        let _ = self.write(&jobs, false).and_then(|()| self.disk.end());
    }

    /// In one transaction; waits for the disk.
    pub(super) fn write(&self, jobs: &[&Job], with_row: bool) -> Result<(), DatabaseError> {
        let mut written = Vec::new();
        self.disk.update(|| {
            written = jobs.iter().map(|job| job.changes(with_row)).collect();
            written.iter().flatten().cloned().collect()
        })?;
        for (job, changes) in jobs.iter().zip(&written) {
            if let Some(changes) = changes {
                job.saved(changes);
            }
        }
        Ok(())
    }

    /// Stops a job and forgets it with its files; false when there is none of that name.
    pub(super) fn remove(&self, id: JobId) -> bool {
        let mut table = self.lock();
        let Some(index) = table.jobs.iter().position(|job| job.id() == id) else { return false };
        let job = table.jobs.remove(index);
        // Of a job that came to its own end, nothing more is written.
        let written = table.has(id) && !matches!(job.state(), State::Done | State::Failed);
        drop(table);
        job.cancel();
        self.recent.forget(id);
        self.feeds.forget(id);
        // The row first: a folder without a row is deleted at the next start.
        if let Err(error) = self.disk.delete(id) {
            job.log(Level::Warn, error.to_string());
        }
        // Else the worker deletes when it lets go, or it would put a segment into a folder that is gone.
        if !written {
            self.disk.folder(id).delete();
        }
        self.wake();
        true
    }

    /// Makes room for a job of `bytes` more.
    pub(super) fn make_room(&self, bytes: u64) -> Result<(), CreateError> {
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

    pub(super) fn has_room(&self, table: &Table) -> Result<(), CreateError> {
        let waiting = table.waiting() + table.arriving;
        if waiting < self.limits.waiting { Ok(()) } else { Err(CreateError::Full { waiting }) }
    }

    /// A segment that is in memory, as long as its file is there, too.
    pub(super) fn at_hand(&self, job: &Job, index: usize) -> Option<Bytes> {
        let bytes = self.recent.get(job.id(), index).filter(|_| job.is_made(index) == Some(true))?;
        let file = std::fs::metadata(job.media()?.store.segment_path(index)).ok()?;
        (file.len() == bytes.len() as u64).then_some(bytes)
    }

    /// A segment that is in memory, or on the disk and whole.
    fn find(
        &self,
        job: &Job,
        media: &Media,
        plan: &ClipPlan,
        index: usize,
        readers: Readers,
    ) -> Result<Option<Bytes>, ReadError> {
        if let Some(bytes) = self.at_hand(job, index) {
            return Ok(Some(bytes));
        }
        if readers == Readers::One {
            return Ok(media.store.get(index)?.filter(|bytes| is_whole(bytes, plan, index)));
        }
        let _turn = self.recent.turn(index);
        if let Some(bytes) = self.at_hand(job, index) {
            return Ok(Some(bytes));
        }
        let bytes = media.store.get(index)?.filter(|bytes| is_whole(bytes, plan, index));
        if let Some(bytes) = &bytes {
            self.recent.put(job.id(), index, bytes.clone());
        }
        Ok(bytes)
    }

    /// A whole segment, made again if it has to be.
    pub(super) fn read(&self, job: &Job, index: usize, readers: Readers) -> Result<Bytes, ReadError> {
        let not_made = ReadError::NotMade { index };
        job.asked();
        // The second time reads what was made again.
        for _ in 0..2 {
            let (Some(media), Some(plan)) = (job.media(), job.plan()) else { return Err(not_made) };
            if job.is_made(index) == Some(true) {
                if let Some(bytes) = self.find(job, &media, &plan, index, readers)? {
                    return Ok(bytes);
                }
                let clear = || drop(std::fs::remove_file(media.store.segment_path(index)));
                let again = job.segment_lost(index, clear);
                self.save(job);
                if !again {
                    return Err(not_made);
                }
            } else if !job.is_lost(index) || job.request().pushed.is_some() {
                return Err(not_made);
            }
            job.want(index);
            self.wake();
            if !job.wait_made(index, REPAIR_WAIT) {
                return Err(not_made);
            }
        }
        Err(not_made)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Table> {
        // Nothing panics halfway through a change, so a poisoned table is still a whole one.
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A job as the last process left it.
pub(super) fn restore(disk: &Disk, stored: Stored, events: usize) -> Arc<Job> {
    let Stored { mut row, events: told, timings } = stored;
    let folder = disk.folder(row.id);
    let mut made = Vec::new();
    let mut store = None;
    if let Some(clip) = &mut row.clip {
        made = folder.made(clip.plan.len());
        store = folder.store().ok().map(Arc::new);
        if let (ClipPlan::Open(plan), false) = (&mut clip.plan, row.state == State::Done) {
            // What was to be made when the process ended, and nobody has seen.
            made.truncate(made.iter().rposition(|made| *made).map_or(0, |last| last + 1));
            plan.reopen(made.len());
        }
    }
    if store.is_none() {
        // Without a plan, or a place, there are no segments to go on from.
        row.clip = None;
        made.clear();
    }
    let request = JobRequest {
        audio: Input::File(folder.input()),
        audio_name: row.audio_name.clone(),
        title: row.title.clone(),
        cut: row.cut,
        script: row.script.clone(),
        captions: None,
        avatar: row.avatar.clone(),
        profile: row.profile.clone(),
        extractor: None,
        body: row.body.clone(),
        features: None,
        background: None,
        pushed: row.pushed,
    };
    let start = disk.start();
    // What a job was told before it was over is in the table together with its end.
    let gap = !start.after_clean_end && !row.state.is_over();
    let log = EventLog::restored(events, told, start.number << EVENTS_PER_START, gap);
    let before = row.state;
    let job = Job::restored(row, request, made, store, log, &timings);
    job.set_disk_bytes(folder.size());
    job.set_captions(folder.has_captions());
    job.set_unspoken(job.is_spoken_by_a_voice() && !folder.has_input());
    if job.state() != before {
        // Its last word did not reach the table, or segments are missing. If this does not either, the next start
        // finds out again.
        let _ = disk.update(|| job.changes(true).into_iter().collect());
    }
    Arc::new(job)
}

impl Table {
    /// Whether somebody works on it.
    fn has(&self, id: JobId) -> bool {
        self.in_hand.contains(&id) || self.speaking.contains(&id)
    }

    fn waiting(&self) -> usize {
        self.jobs.iter().filter(|job| !job.state().is_over()).count()
    }
}
