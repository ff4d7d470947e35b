//! As many threads at work as were asked for, however many frames are under way.
//!
//! A frame ends with cores that have nothing left to do: the last tiles take longer than others, and what is done once a frame
//! is done by one thread. Whoever renders the next frame at the same time fills them. The frame that was begun first goes
//! first, so that it is not the slower for it.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// The cores of an engine.
#[derive(Debug)]
pub(super) struct Cores {
    state: Mutex<State>,
    freed: Condvar,
}

#[derive(Debug)]
struct State {
    free: usize,
    next: u64,
    /// How many threads wait, by their turn.
    waiting: BTreeMap<u64, usize>,
}

/// When something was begun: what was begun earlier goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Turn(u64);

/// A core, until it is dropped.
#[derive(Debug)]
pub(super) struct Core<'a> {
    cores: &'a Cores,
    turn: Turn,
}

impl Cores {
    pub(super) fn new(count: NonZero<usize>) -> Self {
        let state = State { free: count.get(), next: 0, waiting: BTreeMap::new() };
        Self { state: Mutex::new(state), freed: Condvar::new() }
    }

    /// Begins something.
    pub(super) fn turn(&self) -> Turn {
        let mut state = self.lock();
        state.next += 1;
        Turn(state.next)
    }

    /// Waits for a core.
    pub(super) fn take(&self, turn: Turn) -> Core<'_> {
        drop(self.wait(self.lock(), turn));
        Core { cores: self, turn }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, mut state: MutexGuard<'a, State>, turn: Turn) -> MutexGuard<'a, State> {
        *state.waiting.entry(turn.0).or_default() += 1;
        while state.free == 0 || state.is_behind(turn) {
            state = self.freed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state.free -= 1;
        if let Some(waiting) = state.waiting.get_mut(&turn.0) {
            *waiting -= 1;
            if *waiting == 0 {
                state.waiting.remove(&turn.0);
            }
        }
        if state.free > 0 && !state.waiting.is_empty() {
            // Those who let this one go first.
            self.freed.notify_all();
        }
        state
    }
}

impl State {
    /// Whether something that was begun before `turn` waits.
    fn is_behind(&self, turn: Turn) -> bool {
        self.waiting.first_key_value().is_some_and(|(first, _)| *first < turn.0)
    }
}

impl Core<'_> {
    /// Lets those go first who were begun first.
    pub(super) fn give_way(&self) {
        let mut state = self.cores.lock();
        if state.is_behind(self.turn) {
            state.free += 1;
            self.cores.freed.notify_all();
            drop(self.cores.wait(state, self.turn));
        }
    }
}

impl Drop for Core<'_> {
    fn drop(&mut self) {
        let mut state = self.cores.lock();
        state.free += 1;
        if !state.waiting.is_empty() {
            self.cores.freed.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc;
    use std::thread;
    use std::time::Duration;

    use super::*;

    /// Long enough for any machine; nothing waits for it unless something is broken.
    const PATIENCE: Duration = Duration::from_secs(30);

    fn cores(count: usize) -> Cores {
        Cores::new(NonZero::new(count).expect("not 0"))
    }

    #[test]
    fn no_more_than_there_are_work_at_a_time() {
        let (cores, busy, most) = (cores(3), AtomicUsize::new(0), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    let turn = cores.turn();
                    for _ in 0..200 {
                        let core = cores.take(turn);
                        most.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        thread::yield_now();
                        busy.fetch_sub(1, Ordering::SeqCst);
                        core.give_way();
                    }
                });
            }
        });
        assert!((1..=3).contains(&most.into_inner()));
        let state = cores.lock();
        assert!(state.free == 3 && state.waiting.is_empty(), "{state:?}");
    }

    #[test]
    fn what_was_begun_first_goes_first() {
        let cores = cores(1);
        let (early, late) = (cores.turn(), cores.turn());
        let (done, order) = mpsc::sync_channel(3);
        thread::scope(|scope| {
            let core = cores.take(late);
            // Nobody waits yet: the core is kept.
            core.give_way();
            for (turn, name) in [(late, "late"), (early, "early")] {
                let (done, cores) = (done.clone(), &cores);
                scope.spawn(move || {
                    let core = cores.take(turn);
                    let _ = done.send(name);
                    drop(core);
                });
            }
            let waiting = || cores.lock().waiting.values().sum::<usize>();
            let start = std::time::Instant::now();
            while waiting() < 2 && start.elapsed() < PATIENCE {
                thread::yield_now();
            }
            assert_eq!(waiting(), 2);
            // The early one is served now, and the late one is not.
            core.give_way();
            let _ = done.send("itself");
            drop(core);
        });
        drop(done);
        let order: Vec<_> = order.iter().collect();
        assert_eq!(order[0], "early", "{order:?}");
        assert_eq!(order.len(), 3);
    }
}
