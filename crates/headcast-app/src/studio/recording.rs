//! A file that is read from its start, wherever it lies.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use bytes::Bytes;

use crate::jobs::Input;

/// Bytes of an audio or feature file: read and sought, never held in memory twice.
#[derive(Debug)]
pub enum Recording {
    /// On disk.
    File(BufReader<File>),
    /// In memory.
    Memory(Cursor<Bytes>),
}

impl Recording {
    /// Opens a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.is_dir() {
            return Err(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder, not a file"));
        }
        Ok(Self::File(BufReader::with_capacity(64 << 10, file)))
    }

    /// Opens what a request brought.
    ///
    /// # Errors
    /// What the system says.
    pub fn of(audio: &Input) -> io::Result<Self> {
        match audio {
            Input::File(path) => Self::open(path),
            Input::Memory(bytes) => Ok(Self::Memory(Cursor::new(bytes.clone()))),
        }
    }
}

impl Read for Recording {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::File(file) => file.read(buffer),
            Self::Memory(bytes) => bytes.read(buffer),
        }
    }
}

impl Seek for Recording {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::File(file) => file.seek(to),
            Self::Memory(bytes) => bytes.seek(to),
        }
    }
}
