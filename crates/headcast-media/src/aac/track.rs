//! The access units of a clip, growing while segments already need the first ones.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::Error;

/// Reading side: any number of threads may wait for units. Cloning gives another reader of the same track.
#[derive(Debug, Clone)]
pub struct Track {
    shared: Arc<Shared>,
}

/// Writing side: one thread appends. Dropping it before [`Self::finish`] fails the track, so no reader waits
/// for ever.
#[derive(Debug)]
pub struct TrackWriter {
    shared: Arc<Shared>,
    ended: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    grown: Condvar,
}

#[derive(Debug)]
struct State {
    units: Vec<Bytes>,
    end: End,
}

#[derive(Debug)]
enum End {
    NotYet,
    Finished,
    Failed(String),
}

impl Track {
    /// An empty track and its only writer.
    pub fn new() -> (TrackWriter, Self) {
        let state = State { units: Vec::new(), end: End::NotYet };
        let shared = Arc::new(Shared { state: Mutex::new(state), grown: Condvar::new() });
        (TrackWriter { shared: Arc::clone(&shared), ended: false }, Self { shared })
    }

    /// A finished track of `units`.
    pub fn from_units(units: Vec<Bytes>) -> Self {
        let state = State { units, end: End::Finished };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), grown: Condvar::new() }) }
    }

    /// The units of `range`, as soon as they are all there. Cheap: the bytes are shared.
    ///
    /// # Errors
    /// [`Error::TrackFailed`] when the writer failed before it wrote them, [`Error::PastEnd`] when the track ended
    /// before them.
    pub fn wait(&self, range: Range<u64>) -> Result<Vec<Bytes>, Error> {
        let past_end = |units: usize| Error::PastEnd { wanted: range.end, units: units as u64 };
        let mut state = self.shared.lock();
        loop {
            let have = state.units.len();
            let wanted = usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok())
                .ok_or_else(|| past_end(have))?;
            if wanted.1 <= have {
                return Ok(state.units.get(wanted.0..wanted.1).unwrap_or_default().to_vec());
            }
            match &state.end {
                End::NotYet => {}
                End::Finished => return Err(past_end(have)),
                End::Failed(reason) => return Err(Error::TrackFailed { reason: reason.clone() }),
            }
            state = self.shared.grown.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Units written so far.
    pub fn len(&self) -> u64 {
        self.shared.lock().units.len() as u64
    }

    /// Whether nothing was written so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TrackWriter {
    /// Appends units and wakes the readers.
    pub fn push(&mut self, units: impl IntoIterator<Item = Bytes>) {
        let mut state = self.shared.lock();
        state.units.extend(units);
        drop(state);
        self.shared.grown.notify_all();
    }

    /// Whether nobody can read the track any more: the writer may stop.
    pub fn is_abandoned(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
    }

    /// The clip is complete.
    pub fn finish(mut self) {
        self.end(End::Finished);
    }

    /// The clip will not be complete; readers of units that exist still get them.
    pub fn fail(mut self, reason: impl Into<String>) {
        self.end(End::Failed(reason.into()));
    }

    fn end(&mut self, end: End) {
        self.ended = true;
        self.shared.lock().end = end;
        self.shared.grown.notify_all();
    }
}

impl Drop for TrackWriter {
    fn drop(&mut self) {
        if !self.ended {
            self.end(End::Failed("the encoding thread stopped before its end".into()));
        }
    }
}

impl Shared {
    /// Every change is one statement under the lock, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn units(range: Range<u8>) -> Vec<Bytes> {
        range.map(|i| Bytes::from(vec![i])).collect()
    }

    #[test]
    fn readers_wait_for_their_range_and_no_longer() {
        let (mut writer, track) = Track::new();
        writer.push(units(0..3));
        assert_eq!(track.wait(1..3), Ok(units(1..3)));
        assert_eq!(track.wait(0..0), Ok(vec![]));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| track.wait(2..6));
            writer.push(units(3..5));
            writer.push(units(5..7));
            assert_eq!(waiting.join().unwrap(), Ok(units(2..6)));
        });
        writer.finish();
        assert_eq!(track.len(), 7);
        assert_eq!(track.wait(5..8), Err(Error::PastEnd { wanted: 8, units: 7 }));
        assert_eq!(track.wait(u64::MAX - 1..u64::MAX), Err(Error::PastEnd { wanted: u64::MAX, units: 7 }));
    }

    #[test]
    fn failure_wakes_the_waiters_and_keeps_what_exists() {
        for drop_it in [true, false] {
            let (mut writer, track) = Track::new();
            writer.push(units(0..2));
            thread::scope(|scope| {
                let waiting = scope.spawn(|| track.wait(0..3));
                if drop_it {
                    drop(writer);
                } else {
                    writer.fail("no more memory");
                }
                let error = waiting.join().unwrap().unwrap_err();
                let reason = if drop_it { "stopped before its end" } else { "no more memory" };
                assert!(error.to_string().contains(reason), "{error}");
            });
            assert_eq!(track.wait(0..2), Ok(units(0..2)));
        }
    }

    #[test]
    fn the_writer_notices_that_nobody_reads() {
        let (writer, track) = Track::new();
        assert!(!writer.is_abandoned());
        drop(track);
        assert!(writer.is_abandoned());
    }
}
