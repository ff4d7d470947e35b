//! The protobuf wire format, read from a file without trusting a length.

use std::io::{BufReader, Read, Seek, SeekFrom};

use super::graph::GraphError;

/// A message's field. What is [`Value::Bytes`] begins where the reader is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) number: u64,
    pub(super) value: Value,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Value {
    Number(u64),
    Fixed32(u32),
    /// Eight bytes that were passed over.
    Fixed64,
    /// A string, bytes or a message, up to this place; within the message around.
    Bytes {
        end: u64,
    },
}

/// Reader of fields. Its place never passes the end of the message that it was told of.
pub(super) struct Wire<R> {
    source: BufReader<R>,
    at: u64,
    len: u64,
}

impl<R: Read + Seek> Wire<R> {
    /// `source` is at its start and has `len` bytes.
    pub(super) fn new(source: BufReader<R>, len: u64) -> Self {
        Self { source, at: 0, len }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    /// The next field of a message that ends at `end`; `None` at its end.
    pub(super) fn field(&mut self, end: u64) -> Result<Option<Field>, GraphError> {
        if self.at >= end {
            return Ok(None);
        }
        let key = self.number(end)?;
        let value = match key & 7 {
            0 => Value::Number(self.number(end)?),
            1 => {
                self.go(self.within(8, end)?)?;
                Value::Fixed64
            }
            2 => {
                let length = self.number(end)?;
                Value::Bytes { end: self.within(length, end)? }
            }
            5 => Value::Fixed32(self.fixed32(end)?),
            // Groups, which TensorFlow has none of, and numbers that mean nothing.
            _ => return Err(self.damaged("a field of a kind that is not known")),
        };
        Ok(Some(Field { number: key >> 3, value }))
    }

    /// Goes to the end of a field that is of no interest.
    pub(super) fn pass(&mut self, field: &Field) -> Result<(), GraphError> {
        match field.value {
            Value::Bytes { end } => self.go(end),
            Value::Number(_) | Value::Fixed32(_) | Value::Fixed64 => Ok(()),
        }
    }

    /// Goes on to `end`.
    pub(super) fn go(&mut self, end: u64) -> Result<(), GraphError> {
        let ahead = i64::try_from(end.saturating_sub(self.at)).unwrap_or(i64::MAX);
        self.source.seek_relative(ahead)?;
        self.at = end.max(self.at);
        Ok(())
    }

    /// A string that ends at `end`, of at most `max` bytes.
    pub(super) fn text(&mut self, end: u64, max: u64) -> Result<String, GraphError> {
        let length = end - self.at;
        if length > max {
            return Err(self.damaged("a name that is too long"));
        }
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.fill(&mut bytes)?;
        String::from_utf8(bytes).map_err(|_bad| self.damaged("a name that is no text"))
    }

    pub(super) fn fixed32(&mut self, end: u64) -> Result<u32, GraphError> {
        self.within(4, end)?;
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }

    /// `count` little-endian floats at `at`.
    pub(super) fn floats_at(&mut self, at: u64, count: u64) -> Result<Vec<f32>, GraphError> {
        self.source.seek(SeekFrom::Start(at))?;
        self.at = at;
        // So many bytes are there, so this much memory is justified.
        self.within(count.saturating_mul(4), self.len)?;
        let mut values = vec![0.0; usize::try_from(count).unwrap_or(0)];
        let mut bytes = [0; 1 << 14];
        for values in values.chunks_mut(bytes.len() / 4) {
            let bytes = &mut bytes[..values.len() * 4];
            self.fill(bytes)?;
            for (value, bytes) in values.iter_mut().zip(bytes.as_chunks().0) {
                *value = f32::from_le_bytes(*bytes);
            }
        }
        Ok(values)
    }

    pub(super) fn damaged(&self, what: &'static str) -> GraphError {
        GraphError::Damaged { at: self.at, what }
    }

    /// Base 128, seven bits at a time, the lowest first.
    fn number(&mut self, end: u64) -> Result<u64, GraphError> {
        let mut number = 0;
        for shift in (0..70).step_by(7) {
            self.within(1, end)?;
            let mut byte = [0];
            self.fill(&mut byte)?;
            // The tenth byte has one bit of a number of 64.
            number |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] < 0x80 {
                return Ok(number);
            }
        }
        Err(self.damaged("a number of more than 64 bits"))
    }

    /// The place `length` bytes on, if that is within a message that ends at `end`.
    fn within(&self, length: u64, end: u64) -> Result<u64, GraphError> {
        match self.at.checked_add(length) {
            Some(place) if place <= end => Ok(place),
            // Past the end of everything: the rest is missing.
            Some(place) if end == self.len => Err(GraphError::CutOff { found: self.len, needed: place }),
            _ => Err(self.damaged("a length beyond the end of what it is in")),
        }
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), GraphError> {
        self.source.read_exact(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }
}
