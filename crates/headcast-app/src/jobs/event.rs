//! What happens to a job, in order, bounded.

use std::collections::VecDeque;
use std::time::SystemTime;

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
    /// Frames of the clip; 0 until it is known.
    pub total: u64,
    /// Frames per second over the last moments; 0 until it is known.
    pub fps: f64,
    /// `fps` over the frame rate of the clip.
    pub times_real_time: f64,
    /// Seconds until every frame is made; `None` until it is known.
    pub eta_secs: Option<f64>,
}

impl Progress {
    pub(super) const START: Self =
        Self { phase: Phase::Queued, frames: 0, total: 0, fps: 0.0, times_real_time: 0.0, eta_secs: None };
}

/// The last events of a job.
///
/// Of progress only the latest is kept: a reader who comes late wants to know where the job is, not where
/// it was.
#[derive(Debug)]
pub(super) struct EventLog {
    last_seq: u64,
    kept: VecDeque<Event>,
    capacity: usize,
    progress: Option<Event>,
    /// Highest sequence number that was dropped for room.
    dropped: u64,
}

impl EventLog {
    pub(super) fn new(capacity: usize) -> Self {
        Self::after_gap(capacity, 0)
    }

    /// A log whose events up to `seq` are lost: readers that knew of some learn that there is a gap.
    pub(super) fn after_gap(capacity: usize, seq: u64) -> Self {
        Self { last_seq: seq, kept: VecDeque::new(), capacity, progress: None, dropped: seq }
    }

    pub(super) fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Adds an event and returns its sequence number.
    pub(super) fn push(&mut self, at: SystemTime, body: EventBody) -> u64 {
        self.last_seq += 1;
        let event = Event { seq: self.last_seq, at, body };
        if matches!(event.body, EventBody::Progress(_)) {
            self.progress = Some(event);
        } else {
            if self.kept.len() == self.capacity
                && let Some(oldest) = self.kept.pop_front()
            {
                self.dropped = oldest.seq;
            }
            self.kept.push_back(event);
        }
        self.last_seq
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
