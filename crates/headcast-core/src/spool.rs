//! Bytes put aside until they are needed again: the last ones in memory, what is before them in a file.
//!
//! What grows with a clip (compressed sound, audio codes, what the speech model works on) goes through a [`Spool`],
//! so that an hour takes the memory of a minute. Where the file is, is for the caller to say: [`Spools`] is asked for
//! one when the first spool outgrows its memory, and short clips never ask.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a spool overflows into, as a [`File`](std::fs::File): empty, and nobody else's.
pub trait Backing: Read + Write + Seek + Send {}

impl<T: Read + Write + Seek + Send> Backing for T {}

/// Makes spools that overflow into files of one place. Cloning is cheap.
#[derive(Clone)]
pub struct Spools {
    memory_bytes: usize,
    open: Arc<Open>,
}

type Open = dyn Fn() -> io::Result<Box<dyn Backing>> + Send + Sync;

impl Spools {
    /// Spools that keep everything in memory: for short clips and tests.
    pub fn in_memory() -> Self {
        Self { memory_bytes: usize::MAX, open: Arc::new(|| Err(io::ErrorKind::Unsupported.into())) }
    }

    /// Spools that keep `memory_bytes` in memory each, and the rest in a file of their own.
    ///
    /// * `open`: makes such a file. One without a name (`tempfile::tempfile_in`) leaves nothing behind, whatever
    ///   happens.
    pub fn new(
        memory_bytes: usize,
        open: impl Fn() -> io::Result<Box<dyn Backing>> + Send + Sync + 'static,
    ) -> Self {
        Self { memory_bytes, open: Arc::new(open) }
    }

    /// An empty spool.
    pub fn spool(&self) -> Spool {
        let content = Content { file: None, written: 0, tail: Vec::new() };
        Spool { spools: self.clone(), content: Mutex::new(content) }
    }
}

impl fmt::Debug for Spools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spools").field("memory_bytes", &self.memory_bytes).finish_non_exhaustive()
    }
}

/// Bytes that are appended, and read back from any place and any thread.
///
/// ```text
/// file[0 .. written] ++ tail
/// ```
pub struct Spool {
    spools: Spools,
    content: Mutex<Content>,
}

struct Content {
    file: Option<Box<dyn Backing>>,
    /// Bytes in `file` that count; more may be there when a write failed halfway.
    written: u64,
    tail: Vec<u8>,
}

impl Spool {
    /// Appends `bytes`.
    ///
    /// # Errors
    /// What the system says when they cannot be written. What was appended before is still there; the bytes may be.
    pub fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut content = self.lock();
        content.tail.extend_from_slice(bytes);
        if content.tail.len() > self.spools.memory_bytes { content.flush(&self.spools) } else { Ok(()) }
    }

    /// Fills `out` with the bytes from `at` on.
    ///
    /// # Errors
    /// [`io::ErrorKind::UnexpectedEof`] when fewer are there, else what the system says.
    pub fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        let mut content = self.lock();
        let end = at.checked_add(out.len() as u64).filter(|end| *end <= content.len());
        if end.is_none() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let written = content.written;
        let in_file = usize::try_from(written.saturating_sub(at)).map_or(out.len(), |n| n.min(out.len()));
        let (from_file, from_tail) = out.split_at_mut(in_file);
        if let Some(file) = content.file.as_mut().filter(|_| !from_file.is_empty()) {
            file.seek(SeekFrom::Start(at))?;
            file.read_exact(from_file)?;
        }
        if !from_tail.is_empty() {
            let start = usize::try_from(at.saturating_sub(written)).unwrap_or(usize::MAX);
            from_tail.copy_from_slice(&content.tail[start..start + from_tail.len()]);
        }
        Ok(())
    }

    /// Bytes appended.
    pub fn len(&self) -> u64 {
        self.lock().len()
    }

    /// Whether nothing was appended.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// As [`Self::append`], for values of four bytes.
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_f32s(&self, values: &[f32]) -> io::Result<()> {
        let mut bytes = vec![0; values.len() * 4];
        for (bytes, value) in bytes.as_chunks_mut::<4>().0.iter_mut().zip(values) {
            *bytes = value.to_le_bytes();
        }
        self.append(&bytes)
    }

    /// As [`Self::read`], for values of four bytes: those from number `at` on.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_f32s(&self, at: u64, out: &mut [f32]) -> io::Result<()> {
        let mut bytes = vec![0; out.len() * 4];
        self.read(at.saturating_mul(4), &mut bytes)?;
        for (value, bytes) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
            *value = f32::from_le_bytes(*bytes);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Content> {
        // Nothing panics halfway through a change, so poisoned content is still whole.
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Content {
    fn len(&self) -> u64 {
        self.written + self.tail.len() as u64
    }

    fn flush(&mut self, spools: &Spools) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some((spools.open)()?);
        }
        if let Some(file) = &mut self.file {
            file.seek(SeekFrom::Start(self.written))?;
            file.write_all(&self.tail)?;
            self.written += self.tail.len() as u64;
            self.tail.clear();
        }
        Ok(())
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let content = self.lock();
        f.debug_struct("Spool")
            .field("file_bytes", &content.written)
            .field("memory_bytes", &content.tail.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn counted(memory_bytes: usize) -> (Spools, Arc<AtomicUsize>) {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let open = move || {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(Box::new(Cursor::new(Vec::new())) as Box<dyn Backing>)
        };
        (Spools::new(memory_bytes, open), opened)
    }

    #[test]
    fn everything_comes_back_from_any_place_whatever_is_in_the_file() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        for memory in [0, 1, 10, 999, 1000, usize::MAX] {
            let (spools, opened) = counted(memory);
            let spool = spools.spool();
            for part in bytes.chunks(7) {
                spool.append(part).unwrap();
                // Reading in between moves the file's position.
                let mut first = [9];
                spool.read(0, &mut first).unwrap();
                assert_eq!(first, [0]);
            }
            assert_eq!(spool.len(), 1000);
            assert_eq!(opened.load(Ordering::Relaxed), usize::from(memory < 1000), "{memory}");
            assert!(spool.lock().tail.len() <= memory);
            for (at, len) in [(0, 1000), (0, 0), (1000, 0), (5, 990), (993, 7), (300, 1)] {
                let mut out = vec![0; len];
                spool.read(at as u64, &mut out).unwrap();
                assert_eq!(out, bytes[at..at + len], "{len} from {at}, {memory} in memory");
            }
            for (at, len) in [(1000, 1), (0, 1001), (u64::MAX, 1)] {
                let error = spool.read(at, &mut vec![0; len]).unwrap_err();
                assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
            }
        }
    }

    #[test]
    fn values_are_kept_bit_by_bit() {
        let (spools, _) = counted(9);
        let spool = spools.spool();
        spool.append_f32s(&[1.5, -0.0, f32::MIN_POSITIVE]).unwrap();
        spool.append_f32s(&[f32::MAX]).unwrap();
        let mut out = [0.0; 3];
        spool.read_f32s(1, &mut out).unwrap();
        assert_eq!(out.map(f32::to_bits), [-0.0, f32::MIN_POSITIVE, f32::MAX].map(f32::to_bits));
    }

    #[test]
    fn a_place_that_takes_nothing_says_so_and_loses_nothing() {
        let spools = Spools::new(4, || Err(io::ErrorKind::StorageFull.into()));
        let spool = spools.spool();
        spool.append(b"1234").unwrap();
        assert_eq!(spool.append(b"5").unwrap_err().kind(), io::ErrorKind::StorageFull);
        let mut out = [0; 4];
        spool.read(0, &mut out).unwrap();
        assert_eq!(&out, b"1234");
    }
}
