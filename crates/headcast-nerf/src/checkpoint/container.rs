//! What the containers have in common: bounded reads from a file of known length.

use std::io::{Read, Seek, SeekFrom};

use super::error::CheckpointError;

/// Where a storage's bytes lie in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) start: u64,
    pub(super) bytes: u64,
    /// CRC-32 of all the bytes, where the container has one.
    pub(super) crc32: Option<u32>,
}

/// A reader and the length of what it reads.
#[derive(Debug)]
pub(super) struct Source<R> {
    reader: R,
    len: u64,
}

impl<R: Read + Seek> Source<R> {
    pub(super) fn new(mut reader: R) -> Result<Self, CheckpointError> {
        let len = reader.seek(SeekFrom::End(0))?;
        Ok(Self { reader, len })
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Reads `bytes` bytes at `start`; memory is asked for only if the file is long enough.
    pub(super) fn read_at(&mut self, start: u64, bytes: u64, what: &str) -> Result<Vec<u8>, CheckpointError> {
        let inside = start.checked_add(bytes).is_some_and(|end| end <= self.len);
        let len = usize::try_from(bytes).ok().filter(|_| inside).ok_or_else(|| {
            CheckpointError::damaged(format!(
                "{what} would end {bytes} bytes after byte {start}, the file has {} bytes",
                self.len
            ))
        })?;
        self.reader.seek(SeekFrom::Start(start))?;
        let mut buffer = vec![0; len];
        self.reader.read_exact(&mut buffer)?;
        Ok(buffer)
    }

    /// Reads part of a storage, verifying the checksum when the part is the whole.
    pub(super) fn read_place(
        &mut self,
        place: Place,
        skip: u64,
        bytes: u64,
        what: &str,
    ) -> Result<Vec<u8>, CheckpointError> {
        let data = self.read_at(place.start.saturating_add(skip), bytes, what)?;
        match place.crc32 {
            Some(stored) if skip == 0 && bytes == place.bytes && crc32(&data) != stored => {
                Err(CheckpointError::damaged(format!("the checksum of {what} does not match")))
            }
            _ => Ok(data),
        }
    }
}

/// CRC-32 of zip (ISO 3309, reflected polynomial 0xEDB88320), eight bytes at a time.
fn crc32(bytes: &[u8]) -> u32 {
    let table = &CRC_TABLES;
    let (chunks, rest) = bytes.as_chunks::<8>();
    let mut crc = u32::MAX;
    for chunk in chunks {
        let word = u64::from_le_bytes(*chunk) ^ u64::from(crc);
        crc = 0;
        for (i, byte) in word.to_le_bytes().into_iter().enumerate() {
            crc ^= table[7 - i][byte as usize];
        }
    }
    for byte in rest {
        crc = crc >> 8 ^ table[0][(crc & 0xff) as usize ^ *byte as usize];
    }
    !crc
}

static CRC_TABLES: [[u32; 256]; 8] = crc_tables();

#[expect(clippy::cast_possible_truncation, reason = "the table index is below 256")]
const fn crc_tables() -> [[u32; 256]; 8] {
    let mut tables = [[0; 256]; 8];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            bit += 1;
        }
        tables[0][i] = crc;
        i += 1;
    }
    let mut k = 1;
    while k < 8 {
        let mut i = 0;
        while i < 256 {
            let before = tables[k - 1][i];
            tables[k][i] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            i += 1;
        }
        k += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crc_has_its_check_value() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
        let long: Vec<u8> = (0..=255).collect();
        assert_eq!(crc32(&long), 0x2905_8c73);
    }

    #[test]
    fn reads_past_the_end_are_refused_before_allocation() {
        let mut source = Source::new(std::io::Cursor::new(vec![0u8; 16])).unwrap();
        let error = source.read_at(8, 4 << 30, "storage `0`").unwrap_err().to_string();
        assert!(error.contains("storage `0`") && error.contains("16 bytes"), "{error}");
        assert!(source.read_at(u64::MAX, 2, "x").is_err());
        assert_eq!(source.read_at(14, 2, "x").unwrap(), [0, 0]);
    }
}
