//! What happens to a job, in order, bounded.

use std::collections::VecDeque;
use std::time::SystemTime;

use super::stages::Stages;
use super::studio::Phase;

/// One thing that happened to a job.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Position in the job's history, from 1, without repeats.
    pub seq: u64,
    /// When.
    pub at: SystemTime,
    /// What.
    pub body: EventBody,
}

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum EventBody {
    /// The job's state changed; the state itself is read from the job.
    State,
    /// A segment can be fetched.
    Ready(usize),
    /// Frames were made, or the phase changed.
    Progress(Progress),
    /// A line for people.
    Log(Level, String),
}

/// How serious a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Of interest to those who look.
    Info,
    /// Something is not as it should be, and the job goes on.
    Warn,
    /// The job ends because of this.
    Error,
}

/// How far a job is and how fast it goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// What it is doing.
    pub phase: Phase,
    /// Frames made.
    pub frames: u64,
    /// Frames of the clip; `None` until it is known, of a clip of open length until it ends.
    pub total: Option<u64>,
    /// Frames per second over the last moments; 0 until it is known.
    pub fps: f64,
    /// `fps` over the frame rate of the clip.
    pub times_real_time: f64,
    /// Seconds until every frame is made; `None` until it is known.
    pub eta_secs: Option<f64>,
    /// Where its time went so far.
    pub stages: Stages,
}

impl Progress {
    pub(super) const START: Self = Self {
        phase: Phase::Queued,
        frames: 0,
        total: None,
        fps: 0.0,
        times_real_time: 0.0,
        eta_secs: None,
        stages: Stages::NONE,
    };
}

/// The last events of a job.
///
/// Of progress only the latest is kept: a reader who comes late wants to know where the job is, not where
/// it was.
#[derive(Debug)]
pub(super) struct EventLog {
    last_seq: u64,
    /// Every new event comes after this.
    floor: u64,
    /// Everything up to here is in the table.
    saved: u64,
    kept: VecDeque<Event>,
    capacity: usize,
    progress: Option<Event>,
    /// Highest sequence number that was dropped for room.
    dropped: u64,
}

impl EventLog {
    pub(super) fn new(capacity: usize) -> Self {
        Self { last_seq: 0, floor: 0, saved: 0, kept: VecDeque::new(), capacity, progress: None, dropped: 0 }
    }

    /// The log of an earlier process, as far as it is `stored`, in order. New events count from above `floor`, which
    /// no number of that process reached. When it may have lost some (`gap`), every reader that knew of some learns
    /// that there is a gap.
    pub(super) fn restored(capacity: usize, stored: Vec<Event>, floor: u64, gap: bool) -> Self {
        // A log that nothing was dropped from begins with event 1.
        let before = stored.first().map_or(floor, |first| first.seq.saturating_sub(1));
        let mut log = Self { floor, dropped: if gap { floor } else { before }, ..Self::new(capacity) };
        for event in stored {
            log.last_seq = event.seq;
            log.keep(event);
        }
        log.saved = log.last_seq;
        log
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Adds an event and returns its sequence number.
    pub(super) fn push(&mut self, at: SystemTime, body: EventBody) -> u64 {
        self.last_seq = self.last_seq.max(self.floor) + 1;
        let event = Event { seq: self.last_seq, at, body };
        if matches!(event.body, EventBody::Progress(_)) {
            self.progress = Some(event);
        } else {
            self.keep(event);
        }
        self.last_seq
    }

    fn keep(&mut self, event: Event) {
        if self.kept.len() == self.capacity
            && let Some(oldest) = self.kept.pop_front()
        {
            self.dropped = self.dropped.max(oldest.seq);
        }
        self.kept.push_back(event);
    }

    /// Whether there is nothing to tell.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// What is not in the table yet.
    pub(super) fn unsaved(&self) -> Vec<Event> {
        let start = self.kept.partition_point(|event| event.seq <= self.saved);
        self.kept.range(start..).cloned().collect()
    }

    /// The first event that is kept; 0 when there is none.
    pub(super) fn first_seq(&self) -> u64 {
        self.kept.front().map_or(0, |event| event.seq)
    }

    /// Everything up to `seq` is in the table.
    pub(super) fn saved(&mut self, seq: u64) {
        self.saved = self.saved.max(seq);
    }

    /// Everything after `seq`, oldest first, and whether nothing in between was dropped.
    pub(super) fn after(&self, seq: u64) -> (Vec<Event>, bool) {
        let start = self.kept.partition_point(|event| event.seq <= seq);
        let mut events: Vec<_> = self.kept.range(start..).cloned().collect();
        if let Some(progress) = self.progress.as_ref().filter(|event| event.seq > seq) {
            let place = events.partition_point(|event| event.seq < progress.seq);
            events.insert(place, progress.clone());
        }
        (events, seq >= self.dropped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log_line(text: &str) -> EventBody {
        EventBody::Log(Level::Info, text.to_owned())
    }

    #[test]
    fn a_reader_resumes_where_it_stopped_and_learns_of_gaps() {
        let mut log = EventLog::new(3);
        let now = SystemTime::UNIX_EPOCH;
        for n in 0..3 {
            log.push(now, log_line(&n.to_string()));
        }
        assert_eq!(log.after(0).0.len(), 3);
        assert!(log.after(0).1);
        log.push(now, EventBody::Ready(0));
        let (events, complete) = log.after(0);
        assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [2, 3, 4]);
        assert!(!complete, "the first line was dropped");
        assert!(log.after(1).1);
        assert!(log.after(4).0.is_empty());
    }

    #[test]
    fn a_restored_log_goes_on_above_what_any_reader_knows() {
        let mut log = EventLog::new(3);
        let now = SystemTime::UNIX_EPOCH;
        for n in 0..3 {
            log.push(now, log_line(&n.to_string()));
        }
        assert_eq!(log.unsaved().len(), 3);
        log.saved(2);
        assert_eq!(log.unsaved().iter().map(|event| event.seq).collect::<Vec<_>>(), [3]);

        let stored = log.after(0).0;
        let mut again = EventLog::restored(3, stored.clone(), 100, false);
        assert_eq!((again.last_seq(), again.unsaved(), again.first_seq()), (3, vec![], 1));
        assert_eq!(again.after(1), (stored[1..].to_vec(), true));
        assert_eq!(again.push(now, log_line("new")), 101);
        assert_eq!(again.push(now, log_line("newer")), 102);
        assert_eq!(again.after(2).0.iter().map(|event| event.seq).collect::<Vec<_>>(), [3, 101, 102]);
        assert_eq!((again.after(1).1, again.after(2).1), (false, true), "two had to make room");
        assert_eq!(again.unsaved().len(), 2);

        let after_crash = EventLog::restored(3, stored.clone(), 100, true);
        assert_eq!((after_crash.after(3).1, after_crash.after(100).1), (false, true));
        let shortened = EventLog::restored(3, stored[1..].to_vec(), 100, false);
        assert_eq!((shortened.after(0).1, shortened.after(1).1), (false, true));
        assert!(!EventLog::restored(3, Vec::new(), 100, false).after(50).1, "a table without events");
    }

    #[test]
    fn only_the_latest_progress_is_kept_in_its_place() {
        let mut log = EventLog::new(8);
        let now = SystemTime::UNIX_EPOCH;
        for frames in 0..5 {
            log.push(now, EventBody::Progress(Progress { frames, ..Progress::START }));
        }
        log.push(now, log_line("end"));
        let (events, complete) = log.after(0);
        assert_eq!(events.iter().map(|e| e.seq).collect::<Vec<_>>(), [5, 6]);
        assert!(complete);
    }
}
