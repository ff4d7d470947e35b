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
use std::io;
use std::ops::Range;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::feature::Values;
use crate::spool::{Spool, Spools};

/// Makes the values of a track, a chunk at a time.
///
/// A chunk's values depend on the maker, on which chunk it is, and, where [`Self::before`] says so, on the values just
/// before it: on no thread, no order and no other chunk.
pub trait Maker: Send + Sync + fmt::Debug {
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
    ///
    /// # Errors
    /// What the system says when what was put aside cannot be read.
    fn make(&self, range: Range<u64>, before: &[f32], out: &mut Vec<f32>) -> io::Result<()>;
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

    /// Where chunk `index` is, made if it was not.
    fn place(&self, index: usize) -> io::Result<u64> {
        if self.maker.before() > 0 {
            loop {
                let next = self.lock().in_order;
                if next >= index {
                    break;
                }
                self.make(next)?;
                let mut state = self.lock();
                state.in_order = state.in_order.max(next + 1);
            }
        }
        self.make(index)
    }

    /// As [`Self::place`], when those before it are made if they have to be.
    fn make(&self, index: usize) -> io::Result<u64> {
        let mut state = self.lock();
        loop {
            match state.chunks[index] {
                Chunk::At(place) => return Ok(place),
                Chunk::Absent => break,
                Chunk::Making => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
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
        let mut context = vec![0.0; if before.is_some() { wanted } else { 0 }];
        if let Some(place) = before {
            self.made.read_f32s(place / 4, &mut context)?;
        }
        let start = index as u64 * self.maker.chunk() as u64;
        let range = start..self.maker.count().min(start + self.maker.chunk() as u64);
        let mut values = Vec::new();
        self.maker.make(range.clone(), &context, &mut values)?;
        assert_eq!(values.len() as u64, range.end - range.start, "a maker makes a whole chunk");
        if let Some(value) = values.iter().find(|value| !value.is_finite()) {
            let text = format!("they hold {value} where every value must be finite");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        // Two that append at once would not know who was first.
        let state = self.lock();
        let place = self.made.len();
        self.made.append_f32s(&values)?;
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

impl<M: Maker> Values for Lazy<M> {
    fn count(&self) -> u64 {
        self.maker.count()
    }

    fn read(&self, at: u64, out: &mut [f32]) -> io::Result<()> {
        let end = at.checked_add(out.len() as u64).filter(|end| *end <= self.count());
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let chunk = self.maker.chunk() as u64;
        let (mut at, mut left) = (at, out);
        while !left.is_empty() {
            let place = self.place(usize::try_from(at / chunk).unwrap_or(usize::MAX))?;
            let now = usize::try_from(chunk - at % chunk).map_or(left.len(), |n| n.min(left.len()));
            let (part, rest) = left.split_at_mut(now);
            self.made.read_f32s(place / 4 + at % chunk, part)?;
            at += now as u64;
            left = rest;
        }
        Ok(())
    }
}

impl<M: Maker> fmt::Debug for Lazy<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lazy").field("maker", &self.maker).field("made", &self.made).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
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
        fn count(&self) -> u64 {
            self.count
        }

        fn chunk(&self) -> usize {
            5
        }

        fn before(&self) -> usize {
            self.before
        }

        fn make(&self, range: Range<u64>, before: &[f32], out: &mut Vec<f32>) -> io::Result<()> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if self.fails.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::StorageFull.into());
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
        maker.make(0..maker.count, &[], &mut out).unwrap();
        out
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
                    assert_eq!(
                        lazy.read(count, &mut [0.0]).unwrap_err().kind(),
                        io::ErrorKind::UnexpectedEof
                    );
                }
            }
        }
        // Control: what comes before does matter where it is asked for.
        let maker = Numbers { count: 10, before: 2, ..Numbers::default() };
        let mut alone = Vec::new();
        maker.make(5..10, &[], &mut alone).unwrap();
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
                        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
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
            assert!(error.to_string().contains(&poison.to_string()), "{error}");
            lazy.read(5, &mut [0.0; 5]).unwrap();
        }
    }
}
