//! An array that stays in its file: values are read when they are asked for.

use std::fmt;
use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Mutex, PoisonError};

use super::header::{Header, MAX_PREFIX_BYTES};
use super::{NpyError, expected_bytes, floats};
use crate::feature::{Values, ValuesError};

/// Values read together: 1 MiB of them, or one item of the first axis if that is more.
const BLOCK: usize = 1 << 18;

/// An array of numbers in a file, read as `f32` in row-major order, whatever order and type it is stored in.
///
/// Types as [`Array::read_f32`](super::Array::read_f32). Takes the memory of one block, however large the file is;
/// reading forwards reads every byte once.
pub struct Stored<R> {
    header: Header,
    /// Where the values begin in the file.
    values_at: u64,
    /// Values in one item of the first axis.
    item: usize,
    reader: Mutex<Reader<R>>,
}

struct Reader<R> {
    source: R,
    /// Number of the first item in `block`.
    first: usize,
    /// Whole items, row-major.
    block: Vec<f32>,
}

impl<R: Read + Seek> Stored<R> {
    /// Reads the header of the array that `source` consists of.
    ///
    /// # Errors
    /// [`NpyError`]; that a value cannot be converted is found here, too.
    pub fn open(mut source: R) -> Result<Self, NpyError> {
        let unreadable = |error: io::Error| NpyError::Unreadable { reason: error.to_string() };
        let bytes = source.seek(SeekFrom::End(0)).map_err(unreadable)?;
        source.rewind().map_err(unreadable)?;
        let mut prefix = Vec::new();
        source.by_ref().take(MAX_PREFIX_BYTES as u64).read_to_end(&mut prefix).map_err(unreadable)?;
        let (header, rest) = Header::parse(&prefix)?;
        let values_at = (prefix.len() - rest.len()) as u64;
        let found = bytes.saturating_sub(values_at);
        let expected = expected_bytes(&header);
        if expected != Some(found) {
            let expected = expected.unwrap_or(u64::MAX);
            return Err(NpyError::Length { shape: header.shape, expected, found });
        }
        // No value is no conversion, so this only looks at the type.
        floats(&header.dtype, &[])?;
        let item = header.shape.iter().skip(1).fold(1usize, |n, &axis| n.saturating_mul(axis));
        let reader = Mutex::new(Reader { source, first: 0, block: Vec::new() });
        Ok(Self { header, values_at, item, reader })
    }

    /// Length of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.header.shape
    }

    fn items(&self) -> usize {
        self.header.shape.first().copied().unwrap_or(1)
    }

    /// Brings item `item` and those after it into the block.
    fn fill(&self, reader: &mut Reader<R>, item: usize) -> io::Result<()> {
        let items = (BLOCK / self.item.max(1)).clamp(1, self.items() - item);
        let Reader { source, first, block } = reader;
        block.clear();
        *first = item;
        let size = self.header.dtype.size;
        let mut bytes = Vec::new();
        let mut run = |at: usize, count: usize| {
            bytes.resize(count * size, 0);
            source.seek(SeekFrom::Start(self.values_at + at as u64 * size as u64))?;
            source.read_exact(&mut bytes)?;
            floats(&self.header.dtype, &bytes).map_err(io::Error::other)
        };
        if !self.header.fortran_order {
            *block = run(item * self.item, items * self.item)?;
            return Ok(());
        }
        // In Fortran order the first axis is the one that lies together: one run of it for every place in an item.
        let mut columns = vec![0.0; items * self.item];
        for place in 0..self.item {
            for (row, value) in run(self.column_at(place) + item, items)?.into_iter().enumerate() {
                columns[row * self.item + place] = value;
            }
        }
        *block = columns;
        Ok(())
    }

    /// Where in a file of Fortran order item 0 has the value that is number `place` in row-major order.
    fn column_at(&self, mut place: usize) -> usize {
        let shape = &self.header.shape;
        let mut stride: usize = shape.iter().product();
        let mut at = 0;
        for &axis in shape.iter().skip(1).rev() {
            stride /= axis;
            at += place % axis * stride;
            place /= axis;
        }
        at
    }
}

impl<R: Read + Seek + Send> Values for Stored<R> {
    fn count(&self) -> u64 {
        self.items() as u64 * self.item as u64
    }

    fn read(&self, at: u64, out: &mut [f32]) -> Result<(), ValuesError> {
        let end = at.checked_add(out.len() as u64).filter(|end| *end <= self.count());
        let (Some(_), Ok(mut at)) = (end, usize::try_from(at)) else {
            return Err(ValuesError::past_end());
        };
        // A reader that broke off in a panic has a block that is cleared and filled again, or whole.
        let mut reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let mut out = out;
        while !out.is_empty() {
            let start = reader.first * self.item;
            if at < start || at >= start + reader.block.len() {
                self.fill(&mut reader, at / self.item)?;
                continue;
            }
            let from = &reader.block[at - start..];
            let now = from.len().min(out.len());
            let (done, rest) = out.split_at_mut(now);
            done.copy_from_slice(&from[..now]);
            at += now;
            out = rest;
        }
        Ok(())
    }
}

impl<R> fmt::Debug for Stored<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Stored({:?})", self.header.shape)
    }
}
