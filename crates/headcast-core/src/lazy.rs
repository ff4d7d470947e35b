//! Values that are made when they are first read, so that a clip can be shown before all of it was heard.
//!
//! A [`Maker`] knows how to make any chunk of a track; [`Lazy`] makes each chunk once, for whoever reads it first, and
//! puts it aside. To the reader it is [`Values`] like any other.
//!
//! **How an extractor becomes lazy.** While the clip is decoded, keep what the network works on (samples, spectra) in a
//! [`Spool`], together with whatever belongs to the clip as a whole: its length and the statistics that it is
//! normalised with. At the end, hand these to a `Maker` instead of running the network, and make the track with
//! [`FeatureTrack::lazy_scores`](crate::FeatureTrack::lazy_scores) or
//! [`lazy_windows`](crate::FeatureTrack::lazy_windows). A chunk is what the network makes in one run (so a run that
//! stands for 50 rows makes chunks of 50 rows, and reads as many samples around them as it needs). What must hear the
//! whole clip before its first row is known, as an LSTM that runs backwards, has nothing to gain.

use std::fmt;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::feature::{Values, ValuesError};
use crate::spool::{Spool, Spools};

/// Whether to give up what takes long. Asked now and then, perhaps from several threads.
pub type Stop<'a> = dyn Fn() -> bool + Sync + 'a;

/// How long who waits for another thread goes without asking [`Stop`].
const UNASKED: Duration = Duration::from_millis(50);

/// Makes the values of a track, a chunk at a time.
///
/// A chunk's values depend on the maker, on which chunk it is, and, where [`Self::before`] says so, on the values just
/// before it: on no thread, no order and no other chunk.
pub trait Maker: Send + Sync + fmt::Debug {
    /// Why a chunk cannot be made: [`ValuesError`], unless there is more to say.
    type Error: From<ValuesError>;

    /// How many values there are.
    fn count(&self) -> u64;

    /// Values in a chunk, above 0; the last chunk may have fewer. A chunk is held in memory while it is made.
    fn chunk(&self) -> usize;

    /// How many of the values before a chunk it is made from, up to [`Self::chunk`]. By default none; else chunks are
    /// made in order, all of them up to the one that is read.
    fn before(&self) -> usize {
        0
    }

    /// Appends the values of `range`, which is one chunk, to `out`, which is empty. They must be finite.
    ///
    /// Called from any thread, for several chunks at the same time, and again for a chunk that failed.
    ///
    /// * `before`: the last [`Self::before`] values before the chunk; nothing for the first one.
    /// * `stop`: has just said no; to be asked again on the way where a chunk takes longer than a moment.
    ///
    /// # Errors
    /// [`ValuesError::Io`] when what was put aside cannot be read, [`ValuesError::Stopped`] when `stop` said so.
    fn make(
        &self,
        range: Range<u64>,
        before: &[f32],
        stop: &Stop<'_>,
        out: &mut Vec<f32>,
    ) -> Result<(), Self::Error>;
}

/// What a [`Maker`] makes, each chunk once. Whoever reads a chunk that another thread is making waits for it.
pub struct Lazy<M> {
    maker: M,
    made: Spool,
    state: Mutex<State>,
    /// Signalled when a chunk is made, or will not be.
    changed: Condvar,
}

struct State {
    chunks: Vec<Chunk>,
    /// Chunks from the first on that are made.
    in_order: usize,
}

#[derive(Clone, Copy)]
enum Chunk {
    Absent,
    Making,
    /// From which byte of the spool on.
    At(u64),
}

impl<M: Maker> Lazy<M> {
    /// Nothing is made yet; what is made is put aside in `spools`.
    pub fn new(maker: M, spools: &Spools) -> Self {
        let chunks = maker.count().div_ceil(maker.chunk() as u64);
        let chunks = vec![Chunk::Absent; usize::try_from(chunks).unwrap_or(usize::MAX)];
        Self {
            maker,
            made: spools.spool(),
            state: Mutex::new(State { chunks, in_order: 0 }),
            changed: Condvar::new(),
        }
    }

    /// What it is made from.
    pub fn maker(&self) -> &M {
        &self.maker
    }

    /// Fills `out` with the values from number `at` on. Those that are not made yet are made now, unless `stop`, which is
    /// asked before each chunk, says otherwise; what is made by then stays.
    ///
    /// # Errors
    /// What the maker says, and as [`ValuesError`]: values past the end, those that are no numbers, what was put aside
    /// and cannot be read again, and [`ValuesError::Stopped`].
    pub fn read_until(&self, at: u64, stop: &Stop<'_>, out: &mut [f32]) -> Result<(), M::Error> {
        let end = at.checked_add(out.len() as u64).filter(|end| *end <= self.maker.count());
        if end.is_none() {
            return Err(ValuesError::past_end().into());
        }
        let chunk = self.maker.chunk() as u64;
        let (mut at, mut left) = (at, out);
        while !left.is_empty() {
            let place = self.place(usize::try_from(at / chunk).unwrap_or(usize::MAX), stop)?;
            let now = usize::try_from(chunk - at % chunk).map_or(left.len(), |n| n.min(left.len()));
            let (part, rest) = left.split_at_mut(now);
            self.made.read_f32s(place / 4 + at % chunk, part).map_err(ValuesError::Io)?;
            at += now as u64;
            left = rest;
        }
        Ok(())
    }

    /// Where chunk `index` is, made if it was not.
    fn place(&self, index: usize, stop: &Stop<'_>) -> Result<u64, M::Error> {
        if self.maker.before() > 0 {
            loop {
                let next = self.lock().in_order;
                if next >= index {
                    break;
                }
                self.make(next, stop)?;
                let mut state = self.lock();
                state.in_order = state.in_order.max(next + 1);
            }
        }
        self.make(index, stop)
    }

    /// As [`Self::place`], when those before it are made if they have to be.
    fn make(&self, index: usize, stop: &Stop<'_>) -> Result<u64, M::Error> {
        let mut state = self.lock();
        loop {
            match state.chunks[index] {
                Chunk::At(place) => return Ok(place),
                Chunk::Absent => break,
                Chunk::Making => {
                    // Whoever makes it has a question of its own.
                    drop(self.changed.wait_timeout(state, UNASKED).unwrap_or_else(PoisonError::into_inner));
                    if stop() {
                        return Err(ValuesError::Stopped.into());
                    }
                    state = self.lock();
                }
            }
        }
        let wanted = self.maker.before().min(self.maker.chunk());
        let before = match index.checked_sub(1).map(|before| state.chunks[before]) {
            Some(Chunk::At(place)) => Some(place + 4 * (self.maker.chunk() - wanted) as u64),
            _ => None,
        };
        state.chunks[index] = Chunk::Making;
        drop(state);

        // Whatever happens from here on, nobody waits for ever.
        let mut claim = Claim { lazy: self, index, became: Chunk::Absent };
        if stop() {
            return Err(ValuesError::Stopped.into());
        }
        let mut context = vec![0.0; if before.is_some() { wanted } else { 0 }];
        if let Some(place) = before {
            self.made.read_f32s(place / 4, &mut context).map_err(ValuesError::Io)?;
        }
        let start = index as u64 * self.maker.chunk() as u64;
        let range = start..self.maker.count().min(start + self.maker.chunk() as u64);
        let mut values = Vec::new();
        self.maker.make(range.clone(), &context, stop, &mut values)?;
        assert_eq!(values.len() as u64, range.end - range.start, "a maker makes a whole chunk");
        if let Some(&value) = values.iter().find(|value| !value.is_finite()) {
            return Err(ValuesError::NotFinite { value }.into());
        }
        // Two that append at once would not know who was first.
        let state = self.lock();
        let place = self.made.len();
        self.made.append_f32s(&values).map_err(ValuesError::Io)?;
        drop(state);
        claim.became = Chunk::At(place);
        Ok(place)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is one statement under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A chunk that is being made by one thread.
struct Claim<'a, M: Maker> {
    lazy: &'a Lazy<M>,
    index: usize,
    became: Chunk,
}

impl<M: Maker> Drop for Claim<'_, M> {
    fn drop(&mut self) {
        self.lazy.lock().chunks[self.index] = self.became;
        self.lazy.changed.notify_all();
    }
}

impl<M: Maker<Error = ValuesError>> Values for Lazy<M> {
    fn count(&self) -> u64 {
        self.maker.count()
    }

    fn read(&self, at: u64, out: &mut [f32]) -> Result<(), ValuesError> {
        Self::read_until(self, at, &|| false, out)
    }

    fn read_until(&self, at: u64, stop: &Stop<'_>, out: &mut [f32]) -> Result<(), ValuesError> {
        Self::read_until(self, at, stop, out)
    }
}

impl<M: Maker> fmt::Debug for Lazy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy").field("maker", &self.maker).field("made", &self.made).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
    use std::thread;

    use super::*;

    /// Value i is `7 i`, or with `before` the sum of the two before it and i.
    #[derive(Debug, Default)]
    struct Numbers {
        count: u64,
        before: usize,
        calls: AtomicUsize,
        fails: AtomicBool,
        poison: Option<f32>,
    }

    #[expect(clippy::cast_precision_loss, reason = "small test values")]
    impl Maker for Numbers {
        type Error = ValuesError;

        fn count(&self) -> u64 {
            self.count
        }

        fn chunk(&self) -> usize {
            5
        }

        fn before(&self) -> usize {
            self.before
        }

        fn make(
            &self,
            range: Range<u64>,
            before: &[f32],
            _stop: &Stop<'_>,
            out: &mut Vec<f32>,
        ) -> Result<(), ValuesError> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if self.fails.load(Ordering::Relaxed) {
                return Err(ValuesError::Io(io::ErrorKind::StorageFull.into()));
            }
            let mut last: Vec<f32> = before.to_vec();
            for i in range {
                let value = match self.before {
                    0 => 7.0 * i as f32,
                    _ => (last.iter().rev().take(2).sum::<f32>() + i as f32) % 1000.0,
                };
                last.push(value);
                out.push(self.poison.filter(|_| i == 3).unwrap_or(value));
            }
            Ok(())
        }
    }

    fn eager(maker: &Numbers) -> Vec<f32> {
        let mut out = Vec::new();
        maker.make(0..maker.count, &[], &|| false, &mut out).unwrap();
        out
    }

    fn io_kind(error: &ValuesError) -> io::ErrorKind {
        match error {
            ValuesError::Io(error) => error.kind(),
            other => panic!("{other}"),
        }
    }

    /// Reads of a linear congruential generator, some of them empty.
    fn reads(count: u64, seed: u64) -> Vec<(u64, usize)> {
        let mut state = seed;
        let mut next = |below: u64| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) % below
        };
        let read = |_| {
            let at = next(count);
            (at, usize::try_from(next((count - at).min(12) + 1)).unwrap())
        };
        (0..200).map(read).collect()
    }

    #[test]
    fn any_order_reads_what_one_pass_makes_and_nothing_is_made_twice() {
        for before in [0, 2] {
            for count in [1, 4, 5, 6, 123] {
                let maker = Numbers { count, before, ..Numbers::default() };
                let whole = eager(&maker);
                for (seed, memory) in [(1, usize::MAX), (2, 0), (3, 33)] {
                    maker.calls.store(0, Ordering::Relaxed);
                    let open = || Ok(Box::new(io::Cursor::new(Vec::new())) as Box<dyn crate::spool::Backing>);
                    let maker = Numbers { count, before, ..Numbers::default() };
                    let lazy = Lazy::new(maker, &Spools::new(memory, open));
                    for (at, len) in reads(count, seed) {
                        let mut out = vec![-1.0; len];
                        lazy.read(at, &mut out).unwrap();
                        let start = usize::try_from(at).unwrap();
                        assert_eq!(out, whole[start..start + len], "{len} from {at} of {count}");
                    }
                    let chunks = usize::try_from(count.div_ceil(5)).unwrap();
                    assert!(lazy.maker().calls.load(Ordering::Relaxed) <= chunks);
                    let error = lazy.read(count, &mut [0.0]).unwrap_err();
                    assert_eq!(io_kind(&error), io::ErrorKind::UnexpectedEof);
                }
            }
        }
        // Control: what comes before does matter where it is asked for.
        let maker = Numbers { count: 10, before: 2, ..Numbers::default() };
        let mut alone = Vec::new();
        maker.make(5..10, &[], &|| false, &mut alone).unwrap();
        assert_ne!(alone, eager(&maker)[5..]);
    }

    #[test]
    fn only_what_is_read_is_made_unless_it_hangs_together() {
        for (before, expected) in [(0, 1), (2, 21)] {
            let lazy = Lazy::new(Numbers { count: 123, before, ..Numbers::default() }, &Spools::in_memory());
            lazy.read(101, &mut [0.0; 3]).unwrap();
            assert_eq!(lazy.maker().calls.load(Ordering::Relaxed), expected);
        }
    }

    #[test]
    fn readers_at_the_same_time_make_each_chunk_once() {
        for before in [0, 2] {
            let maker = Numbers { count: 1003, before, ..Numbers::default() };
            let whole = eager(&maker);
            maker.calls.store(0, Ordering::Relaxed);
            let lazy = Arc::new(Lazy::new(maker, &Spools::in_memory()));
            thread::scope(|scope| {
                for seed in 0..8 {
                    let (lazy, whole) = (Arc::clone(&lazy), &whole);
                    scope.spawn(move || {
                        for (at, len) in reads(1003, seed) {
                            let mut out = vec![0.0; len];
                            lazy.read(at, &mut out).unwrap();
                            let start = usize::try_from(at).unwrap();
                            assert_eq!(out, whole[start..start + len]);
                        }
                    });
                }
            });
            assert!(lazy.maker().calls.load(Ordering::Relaxed) <= 201);
        }
    }

    #[test]
    fn a_chunk_that_failed_is_tried_again_and_nobody_waits_for_it() {
        for before in [0, 2] {
            let maker = Numbers { count: 20, before, fails: AtomicBool::new(true), ..Numbers::default() };
            let lazy = Lazy::new(maker, &Spools::in_memory());
            thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        let error = lazy.read(11, &mut [0.0; 4]).unwrap_err();
                        assert_eq!(io_kind(&error), io::ErrorKind::StorageFull);
                    });
                }
            });
            lazy.maker().fails.store(false, Ordering::Relaxed);
            let mut out = [0.0; 4];
            lazy.read(11, &mut out).unwrap();
            assert_eq!(out, eager(lazy.maker())[11..15]);
        }
    }

    #[test]
    fn values_that_are_no_numbers_are_refused() {
        for poison in [f32::NAN, f32::INFINITY] {
            let maker = Numbers { count: 10, poison: Some(poison), ..Numbers::default() };
            let lazy = Lazy::new(maker, &Spools::in_memory());
            let error = lazy.read(0, &mut [0.0]).unwrap_err();
            assert!(matches!(error, ValuesError::NotFinite { .. }), "{error}");
            assert!(error.to_string().contains(&poison.to_string()), "{error}");
            lazy.read(5, &mut [0.0; 5]).unwrap();
        }
    }

    #[test]
    fn whoever_gives_up_is_heard_before_the_next_chunk_and_what_is_made_stays() {
        for (before, in_all) in [(0, 4), (2, 21)] {
            let lazy = Lazy::new(Numbers { count: 123, before, ..Numbers::default() }, &Spools::in_memory());
            let calls = || lazy.maker().calls.load(Ordering::Relaxed);
            let mut out = [0.0; 16];
            let error = lazy.read_until(88, &|| calls() >= 3, &mut out).unwrap_err();
            assert!(matches!(error, ValuesError::Stopped), "{error}");
            assert_eq!(calls(), 3);
            // What is made is there for whoever wants to stop, too.
            let made = if before == 0 { 88 } else { 0 };
            lazy.read_until(made, &|| true, &mut out[..10]).unwrap();
            assert_eq!(calls(), 3);
            lazy.read_until(88, &|| false, &mut out).unwrap();
            assert_eq!(calls(), in_all, "nothing is made twice");
            assert_eq!(out, eager(lazy.maker())[88..104]);
        }
    }

    /// One chunk, which is made as soon as somebody opens the gate or is gone.
    #[derive(Debug)]
    struct Gated {
        began: SyncSender<()>,
        gate: Mutex<Receiver<()>>,
    }

    impl Maker for Gated {
        type Error = ValuesError;

        fn count(&self) -> u64 {
            1
        }

        fn chunk(&self) -> usize {
            1
        }

        fn make(
            &self,
            _range: Range<u64>,
            _before: &[f32],
            _stop: &Stop<'_>,
            out: &mut Vec<f32>,
        ) -> Result<(), ValuesError> {
            self.began.send(()).unwrap();
            let _ = self.gate.lock().unwrap().recv_timeout(Duration::from_secs(30));
            out.push(7.0);
            Ok(())
        }
    }

    #[test]
    fn whoever_waits_for_another_reader_can_give_up() {
        let (began, has_begun) = sync_channel(1);
        let (gate, opened) = sync_channel::<()>(1);
        let lazy = Lazy::new(Gated { began, gate: Mutex::new(opened) }, &Spools::in_memory());
        thread::scope(|scope| {
            // Dropped when this closure ends, however it does.
            let gate = gate;
            let other = scope.spawn(|| {
                let mut out = [0.0];
                lazy.read(0, &mut out).map(|()| out)
            });
            has_begun.recv_timeout(Duration::from_secs(30)).unwrap();
            let asked = AtomicUsize::new(0);
            let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 2;
            let error = lazy.read_until(0, &stop, &mut [0.0]).unwrap_err();
            assert!(matches!(error, ValuesError::Stopped), "{error}");
            assert!(!other.is_finished(), "the chunk is still being made");
            drop(gate);
            assert_eq!(other.join().unwrap().unwrap(), [7.0]);
        });
    }
}
