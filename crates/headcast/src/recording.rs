//! One recording, read by several who each have a place of their own in it.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A reader of a recording that others read, too, as if it were theirs alone. Cloning gives one that starts at the
/// beginning.
pub(crate) struct Shared<R> {
    source: Arc<Mutex<Source<R>>>,
    at: u64,
}

struct Source<R> {
    inner: R,
    /// Where it stands; unknown after an error.
    at: Option<u64>,
}

impl<R> Shared<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { source: Arc::new(Mutex::new(Source { inner, at: None })), at: 0 }
    }

    fn lock(&self) -> MutexGuard<'_, Source<R>> {
        // The place is unknown while something is done that could panic.
        self.source.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R> Clone for Shared<R> {
    fn clone(&self) -> Self {
        Self { source: Arc::clone(&self.source), at: 0 }
    }
}

impl<R: Read + Seek> Read for Shared<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut source = self.lock();
        if source.at.take() != Some(self.at) {
            source.inner.seek(SeekFrom::Start(self.at))?;
        }
        let read = source.inner.read(buffer)?;
        let at = self.at + read as u64;
        source.at = Some(at);
        drop(source);
        self.at = at;
        Ok(read)
    }
}

impl<R: Seek> Seek for Shared<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
            SeekFrom::End(by) => {
                let mut source = self.lock();
                source.at = None;
                let at = source.inner.seek(SeekFrom::End(by))?;
                source.at = Some(at);
                Some(at)
            }
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    #[test]
    fn each_reader_has_its_own_place() {
        let bytes: Vec<u8> = (0..100).collect();
        let mut first = Shared::new(Cursor::new(bytes.clone()));
        let mut out = [0; 10];
        first.read_exact(&mut out).unwrap();
        let mut second = first.clone();
        second.seek(SeekFrom::End(-5)).unwrap();
        let mut end = Vec::new();
        second.read_to_end(&mut end).unwrap();
        assert_eq!(end, bytes[95..]);
        first.read_exact(&mut out).unwrap();
        assert_eq!(out, bytes[10..20], "where it was");
        assert_eq!(first.seek(SeekFrom::Current(-3)).unwrap(), 17);
        assert!(first.seek(SeekFrom::Current(-18)).is_err());
        first.read_exact(&mut out).unwrap();
        assert_eq!(out, bytes[17..27]);
        let mut whole = Vec::new();
        second.clone().read_to_end(&mut whole).unwrap();
        assert_eq!(whole, bytes);
    }

    #[test]
    fn an_error_leaves_the_place_where_it_was() {
        /// Refuses every second read, after it has moved.
        struct Flaky(Cursor<Vec<u8>>, bool);

        impl Read for Flaky {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let read = self.0.read(buffer)?;
                self.1 = !self.1;
                if self.1 { Err(io::ErrorKind::TimedOut.into()) } else { Ok(read) }
            }
        }

        impl Seek for Flaky {
            fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
                self.0.seek(to)
            }
        }

        let mut reader = Shared::new(Flaky(Cursor::new((0..50).collect()), false));
        let mut out = [0; 4];
        for round in 0..5u8 {
            assert_eq!(reader.read(&mut out).unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert_eq!(reader.read(&mut out).unwrap(), 4);
            assert_eq!(out[0], 4 * round);
        }
    }
}
