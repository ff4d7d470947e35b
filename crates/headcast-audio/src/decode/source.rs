//! The byte source as the demuxers want it, with what they would hide: real I/O errors and progress.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use symphonia::core::io::MediaSource;

use crate::error::AudioError;

/// Bytes looked at to name the format.
const HEAD_BYTES: usize = 4096;

/// A source of known length, seekable unless it is cut off.
pub(super) struct Source {
    inner: Box<dyn ReadSeek>,
    len: u64,
    pos: u64,
    cut_off: bool,
    shared: Arc<Shared>,
}

/// The outside view of a [`Source`] that a demuxer owns.
#[derive(Debug, Clone)]
pub(super) struct Status {
    len: u64,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    furthest: AtomicU64,
    error: Mutex<Option<io::Error>>,
}

trait ReadSeek: Read + Seek + Send + Sync {}
impl<T: Read + Seek + Send + Sync> ReadSeek for T {}

impl Source {
    pub(super) fn new(inner: impl Read + Seek + Send + Sync + 'static) -> io::Result<(Self, Status)> {
        let mut inner = Box::new(inner);
        let len = inner.seek(SeekFrom::End(0))?;
        inner.rewind()?;
        let shared = Arc::new(Shared::default());
        Ok((Self { inner, len, pos: 0, cut_off: false, shared: Arc::clone(&shared) }, Status { len, shared }))
    }

    /// The container goes on behind the end of the file. A demuxer that knew where that is would refuse all of it, and one
    /// that may seek would look for an index that is gone.
    pub(super) fn set_cut_off(&mut self) {
        self.cut_off = true;
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The first bytes, fewer than [`HEAD_BYTES`] only if the file is shorter; the position stays 0.
    pub(super) fn head(&mut self) -> io::Result<Vec<u8>> {
        let mut head = Vec::new();
        self.inner.by_ref().take(HEAD_BYTES as u64).read_to_end(&mut head)?;
        self.inner.rewind()?;
        Ok(head)
    }
}

impl Read for Source {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self.inner.read(buf) {
            Ok(n) => {
                self.pos += n as u64;
                self.shared.furthest.fetch_max(self.pos, Ordering::Relaxed);
                Ok(n)
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let copy = io::Error::from(error.kind());
                *self.shared.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Err(copy)
            }
        }
    }
}

impl Seek for Source {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.pos = self.inner.seek(to)?;
        Ok(self.pos)
    }
}

impl MediaSource for Source {
    fn is_seekable(&self) -> bool {
        !self.cut_off
    }

    fn byte_len(&self) -> Option<u64> {
        (!self.cut_off).then_some(self.len)
    }
}

impl Status {
    /// Furthest byte read, and the length.
    pub(super) fn bytes(&self) -> (u64, u64) {
        (self.shared.furthest.load(Ordering::Relaxed), self.len)
    }

    /// Demuxers take a failed read for the end of the file; a real I/O error wins over what they concluded.
    pub(super) fn check<T>(&self, result: Result<T, AudioError>) -> Result<T, AudioError> {
        match self.shared.error.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(error) => Err(error.into()),
            None => result,
        }
    }
}
