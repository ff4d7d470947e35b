//! The segments that were made or read last, shared by everyone who wants them.
//!
//! A segment that is finished is wanted by all viewers of its job in the same instant. They get the same bytes, and
//! the disk is asked once.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::id::JobId;

/// At most so many bytes of whole segments, the one used last going last.
#[derive(Debug)]
pub(super) struct Recent {
    max_bytes: usize,
    kept: Mutex<Kept>,
    turns: [Mutex<()>; TURNS],
}

#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    /// The one used last at the back.
    segments: VecDeque<((JobId, usize), Bytes)>,
}

/// Segments that may be read from the disk at the same time.
const TURNS: usize = 8;

impl Recent {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, kept: Mutex::default(), turns: Default::default() }
    }

    /// Segment `index` of `job`, if it is kept.
    pub(super) fn get(&self, job: JobId, index: usize) -> Option<Bytes> {
        let mut kept = self.lock();
        let at = kept.segments.iter().rposition(|(of, _)| *of == (job, index))?;
        let found = kept.segments.remove(at)?;
        let bytes = found.1.clone();
        kept.segments.push_back(found);
        Some(bytes)
    }

    /// Keeps a segment, which is whole; the ones used longest ago make room.
    pub(super) fn put(&self, job: JobId, index: usize, segment: Bytes) {
        if segment.len() > self.max_bytes {
            return;
        }
        let mut kept = self.lock();
        kept.retain(|of| of != (job, index));
        while kept.bytes + segment.len() > self.max_bytes {
            let Some((_, gone)) = kept.segments.pop_front() else { break };
            kept.bytes -= gone.len();
        }
        kept.bytes += segment.len();
        kept.segments.push_back(((job, index), segment));
    }

    /// Lets go of all segments of a job.
    pub(super) fn forget(&self, job: JobId) {
        self.lock().retain(|(of, _)| of != job);
    }

    /// Held while a segment is read from the disk: whoever wants the same one waits here, and then finds it kept.
    pub(super) fn turn(&self, index: usize) -> MutexGuard<'_, ()> {
        self.turns[index % TURNS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing panics halfway through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn retain(&mut self, stays: impl Fn((JobId, usize)) -> bool) {
        self.segments.retain(|(of, _)| stays(*of));
        self.bytes = self.segments.iter().map(|(_, segment)| segment.len()).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_used_longest_ago_makes_room() {
        let (job, other) = (JobId::random().unwrap(), JobId::random().unwrap());
        let recent = Recent::new(100);
        let segment = |n: u8| Bytes::from(vec![n; 40]);
        recent.put(job, 0, segment(0));
        recent.put(job, 1, segment(1));
        assert_eq!(recent.get(job, 0), Some(segment(0)));
        recent.put(other, 0, segment(2));
        assert_eq!(recent.get(job, 1), None, "0 was used since");
        assert_eq!(recent.get(job, 0), Some(segment(0)));
        assert_eq!(recent.get(other, 0), Some(segment(2)));
        recent.put(job, 7, Bytes::from(vec![7; 101]));
        assert_eq!(recent.get(job, 7), None, "larger than everything");
        recent.put(job, 0, segment(0));
        assert_eq!(recent.lock().bytes, 80, "the same one is not kept twice");
        recent.forget(job);
        assert_eq!((recent.get(job, 0), recent.lock().bytes), (None, 40));
    }
}
