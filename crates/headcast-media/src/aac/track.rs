//! The access units of a clip, growing while segments already need the first ones.
//!
//! The units themselves are in a [`Spool`]; what is in memory of a long clip is where each of them ends.

use std::ops::Range;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use headcast_core::{Spool, Spools, Stop};

use super::Error;

/// How long who waits for units goes without asking [`Stop`].
const UNASKED: Duration = Duration::from_millis(50);

/// Reading side: any number of threads may wait for units. Cloning gives another reader of the same track.
#[derive(Debug, Clone)]
pub struct Track {
    readers: Arc<Readers>,
}

/// Writing side: one thread appends. Dropping it before [`Self::finish`] fails the track, so no reader waits
/// for ever.
#[derive(Debug)]
pub struct TrackWriter {
    shared: Arc<Shared>,
    ended: bool,
}

/// All readers of a track: its drop is the end of the last one.
#[derive(Debug)]
struct Readers(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    units: Spool,
    state: Mutex<State>,
    /// For the readers.
    grown: Condvar,
    /// For the writer.
    asked: Condvar,
}

#[derive(Debug)]
struct State {
    /// Where each unit ends in the spool.
    ends: Vec<u64>,
    end: End,
    /// Units up to here were asked for.
    wanted: u64,
    /// Nobody reads any more.
    abandoned: bool,
}

#[derive(Debug)]
enum End {
    NotYet,
    Finished,
    Failed(String),
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.0.lock().abandoned = true;
        self.0.asked.notify_all();
    }
}

impl Track {
    /// An empty track and its only writer. Units are kept in memory.
    pub fn new() -> (TrackWriter, Self) {
        Self::spooled(&Spools::in_memory())
    }

    /// As [`Self::new`], with units put aside in `spools`.
    pub fn spooled(spools: &Spools) -> (TrackWriter, Self) {
        let state = State { ends: Vec::new(), end: End::NotYet, wanted: 0, abandoned: false };
        let (grown, asked) = (Condvar::new(), Condvar::new());
        let shared = Arc::new(Shared { units: spools.spool(), state: Mutex::new(state), grown, asked });
        let readers = Arc::new(Readers(Arc::clone(&shared)));
        (TrackWriter { shared, ended: false }, Self { readers })
    }

    /// A finished track of `units`, in memory.
    pub fn from_units(units: Vec<Bytes>) -> Self {
        let (mut writer, track) = Self::new();
        writer.push(units);
        writer.finish();
        track
    }

    /// The units of `range`, as soon as they are all there.
    ///
    /// # Errors
    /// [`Error::TrackFailed`] when the writer failed before it wrote them, or they cannot be read again;
    /// [`Error::PastEnd`] when the track ended before them.
    pub fn wait(&self, range: Range<u64>) -> Result<Vec<Bytes>, Error> {
        self.wait_until(range, &|| false)
    }

    /// As [`Self::wait`], for a caller who may want to give up.
    ///
    /// * `stop`: asked many times a second while units are missing.
    ///
    /// # Errors
    /// As [`Self::wait`], and [`Error::Stopped`] when `stop` said so.
    pub fn wait_until(&self, range: Range<u64>, stop: &Stop<'_>) -> Result<Vec<Bytes>, Error> {
        let ends = self.wait_ends(range, stop)?;
        let Some((&first, &last)) = ends.first().zip(ends.last()) else { return Ok(Vec::new()) };
        let unreadable = |reason: String| Error::TrackFailed { reason };
        let length = usize::try_from(last - first).map_err(|error| unreadable(error.to_string()))?;
        let mut bytes = vec![0; length];
        self.shared().units.read(first, &mut bytes).map_err(|error| unreadable(error.to_string()))?;
        let bytes = Bytes::from(bytes);
        // Differences within `bytes`, whose length fits.
        let place = |end: u64| usize::try_from(end - first).unwrap_or(length);
        Ok(ends.windows(2).map(|pair| bytes.slice(place(pair[0])..place(pair[1]))).collect())
    }

    /// Says that the units before `end` are needed soon: a writer that waits for that goes on. [`Self::wait`] says so by
    /// itself.
    pub fn want(&self, end: u64) {
        self.shared().want(&mut self.shared().lock(), end);
    }

    fn shared(&self) -> &Shared {
        &self.readers.0
    }

    /// Where the first unit of `range` begins and where each of them ends, as soon as they are all there.
    fn wait_ends(&self, range: Range<u64>, stop: &Stop<'_>) -> Result<Vec<u64>, Error> {
        let past_end = |units: usize| Error::PastEnd { wanted: range.end, units: units as u64 };
        let mut state = self.shared().lock();
        self.shared().want(&mut state, range.end);
        loop {
            let have = state.ends.len();
            let wanted = usize::try_from(range.start)
                .ok()
                .zip(usize::try_from(range.end).ok())
                .ok_or_else(|| past_end(have))?;
            if wanted.1 <= have {
                let ends = state.ends.get(wanted.0..wanted.1).unwrap_or_default();
                let first = wanted.0.checked_sub(1).and_then(|before| state.ends.get(before));
                let first = first.copied().unwrap_or(0);
                return Ok(std::iter::once(first).chain(ends.iter().copied()).collect());
            }
            match &state.end {
                End::NotYet => {}
                End::Finished => return Err(past_end(have)),
                End::Failed(reason) => return Err(Error::TrackFailed { reason: reason.clone() }),
            }
            let waited = self.shared().grown.wait_timeout(state, UNASKED);
            drop(waited.unwrap_or_else(PoisonError::into_inner));
            if stop() {
                return Err(Error::Stopped);
            }
            state = self.shared().lock();
        }
    }

    /// Units written so far.
    pub fn len(&self) -> u64 {
        self.shared().lock().ends.len() as u64
    }

    /// Whether nothing was written so far.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl TrackWriter {
    /// Appends units and wakes the readers. When there is no room for them, the track has failed.
    pub fn push(&mut self, units: impl IntoIterator<Item = Bytes>) {
        for unit in units {
            if self.ended {
                return;
            }
            // The bytes first: a reader that sees the end of a unit finds all of it.
            match self.shared.units.append(&unit) {
                Ok(()) => {
                    let mut state = self.shared.lock();
                    let start = state.ends.last().copied().unwrap_or(0);
                    state.ends.push(start + unit.len() as u64);
                }
                Err(error) => self.end(End::Failed(format!("it cannot be put aside ({error})"))),
            }
        }
        self.shared.grown.notify_all();
    }

    /// Whether the writer may stop: nobody can read the track any more, or it has failed.
    pub fn is_abandoned(&self) -> bool {
        self.ended || self.shared.lock().abandoned
    }

    /// Waits until somebody asks for units further on; false when there is nobody left, or the track has failed.
    ///
    /// * `lead`: how far the track is to be written when units up to a place were asked for; goes by that place, 0 at
    ///   first.
    pub fn wait_for_readers(&self, lead: impl Fn(u64) -> u64) -> bool {
        let mut state = self.shared.lock();
        loop {
            if self.ended || state.abandoned {
                return false;
            }
            if (state.ends.len() as u64) < lead(state.wanted) {
                return true;
            }
            state = self.shared.asked.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The clip is complete.
    pub fn finish(mut self) {
        if !self.ended {
            self.end(End::Finished);
        }
    }

    /// The clip will not be complete; readers of units that exist still get them.
    pub fn fail(mut self, reason: impl Into<String>) {
        if !self.ended {
            self.end(End::Failed(reason.into()));
        }
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
    fn want(&self, state: &mut State, end: u64) {
        if end > state.wanted {
            state.wanted = end;
            self.asked.notify_all();
        }
    }

    /// Every change is one statement under the lock, so a panic elsewhere leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
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
    fn whoever_waits_can_give_up() {
        let (mut writer, track) = Track::new();
        writer.push(units(0..2));
        assert_eq!(track.wait_until(0..2, &|| true), Ok(units(0..2)), "what is there is there");
        let asked = AtomicUsize::new(0);
        let stop = || asked.fetch_add(1, Ordering::Relaxed) == 2;
        assert_eq!(track.wait_until(1..3, &stop), Err(Error::Stopped));
        assert_eq!(asked.into_inner(), 3);
        // The others wait on, and the track is none the worse.
        let other = &track;
        thread::scope(move |scope| {
            let waiting = scope.spawn(|| other.wait(1..3));
            assert_eq!(other.wait_until(2..3, &|| true), Err(Error::Stopped));
            writer.push(units(2..3));
            assert_eq!(waiting.join().unwrap(), Ok(units(1..3)));
        });
    }

    #[test]
    fn a_track_is_the_same_from_a_file_and_fails_when_the_disk_is_full() {
        let on_disk = Spools::new(0, || Ok(Box::new(std::io::Cursor::new(Vec::new()))));
        let (mut writer, track) = Track::spooled(&on_disk);
        let units: Vec<Bytes> = (1..9).map(|len| Bytes::from(vec![len; usize::from(len)])).collect();
        writer.push(units.clone());
        assert_eq!(track.wait(0..8), Ok(units.clone()));
        assert_eq!(track.wait(3..5), Ok(units[3..5].to_vec()));
        assert_eq!(track.wait(8..8), Ok(vec![]));

        let full = Spools::new(3, || Err(std::io::ErrorKind::StorageFull.into()));
        let (mut writer, track) = Track::spooled(&full);
        writer.push(units.clone());
        assert!(writer.is_abandoned());
        let error = track.wait(0..3).unwrap_err();
        assert!(error.to_string().contains("cannot be put aside"), "{error}");
        assert_eq!(track.wait(0..2), Ok(units[..2].to_vec()));
        writer.finish();
        assert!(track.wait(0..3).is_err(), "failed for good");
    }

    #[test]
    fn a_writer_that_waits_goes_on_for_whoever_asks_and_ends_with_the_last_reader() {
        let (mut writer, track) = Track::new();
        let other = track.clone();
        let written = thread::spawn(move || {
            let mut unit = 0;
            while writer.wait_for_readers(|wanted| 2 * wanted + 3) {
                writer.push(units(unit..unit + 1));
                unit += 1;
            }
            unit
        });
        // Three without being asked for, then twice as far.
        assert_eq!(track.wait(0..3), Ok(units(0..3)));
        assert_eq!(other.wait(8..9), Ok(units(8..9)));
        track.want(10);
        assert_eq!(track.wait(7..10), Ok(units(7..10)));
        drop(track);
        assert!(other.len() <= 23);
        drop(other);
        assert!((10..=23).contains(&written.join().unwrap()), "not further than was asked for");
    }

    #[test]
    fn the_writer_notices_that_nobody_reads() {
        let (writer, track) = Track::new();
        assert!(!writer.is_abandoned());
        drop(track);
        assert!(writer.is_abandoned());
    }
}
