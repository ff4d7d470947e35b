//! What a program writes into a pipe, read on a thread of its own.

use std::io::{ErrorKind, Read};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

/// What came so far, bounded.
#[derive(Debug, Default, Clone)]
pub(super) struct Gathered(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    bytes: Vec<u8>,
    is_over_limit: bool,
    is_closed: bool,
}

/// A pipe that is not there says nothing.
impl Default for Inner {
    fn default() -> Self {
        Self { bytes: Vec::new(), is_over_limit: false, is_closed: true }
    }
}

impl Gathered {
    /// Keeps all of it, and stops to read beyond the limit.
    pub(super) fn first(pipe: impl Read + Send + 'static, limit: usize) -> Self {
        Self::spawn(pipe, move |inner, new| {
            inner.bytes.extend(new);
            inner.is_over_limit = inner.bytes.len() > limit;
            inner.bytes.truncate(limit);
            !inner.is_over_limit
        })
    }

    /// Reads to the end, however long that takes, and keeps the last bytes.
    pub(super) fn last(pipe: impl Read + Send + 'static, limit: usize) -> Self {
        Self::spawn(pipe, move |inner, new| {
            inner.bytes.extend(new);
            let surplus = inner.bytes.len().saturating_sub(limit);
            inner.bytes.drain(..surplus);
            true
        })
    }

    /// Reads as long as `keep` wants more.
    fn spawn(
        mut pipe: impl Read + Send + 'static,
        keep: impl Fn(&mut Inner, &[u8]) -> bool + Send + 'static,
    ) -> Self {
        let gathered = Self::default();
        gathered.lock().is_closed = false;
        let shared = gathered.clone();
        thread::spawn(move || {
            let mut buffer = [0; 8 << 10];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(read @ 1..) if keep(&mut shared.lock(), &buffer[..read]) => {}
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    // An error is an end: what was said before it counts.
                    _ => break,
                }
            }
            shared.lock().is_closed = true;
        });
        gathered
    }

    /// Whether more came than may.
    pub(super) fn is_over_limit(&self) -> bool {
        self.lock().is_over_limit
    }

    /// Whether nothing more comes.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// What was kept.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.lock().bytes)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Nothing panics halfway through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
