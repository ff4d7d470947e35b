//! Files of weights, ours and the built-in model's: safetensors, read and written here because the format is a page long and its crate lives
//! in a sibling of this one.

use std::io::{self, Read, Seek, SeekFrom, Write};

use serde_json::{Map, Value, json};

use super::matrix::{Precision, from_half, to_half};

/// Longest header that is read, bytes; large models have 60 kB.
const MAX_HEADER: u64 = 4 << 20;

/// Name and shape of a tensor.
pub type TensorShape = (String, Vec<usize>);

/// Why a file of weights cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// Look at the disk.
    #[error("the weights cannot be read: {0}")]
    Io(#[from] io::Error),
    /// Add the model again.
    #[error("the weights are damaged: {what}; add the model again")]
    Damaged {
        /// What does not fit.
        what: String,
    },
    /// Add the model again.
    #[error("the weights have no tensor `{name}` of shape {expected:?}{}; add the model again", found_text(.found))]
    Tensor {
        /// Name looked for.
        name: String,
        /// Shape looked for.
        expected: Vec<usize>,
        /// Shape found, if the name is there.
        found: Option<Vec<usize>>,
    },
    /// The model was made by a training that diverged, or is damaged.
    #[error(
        "tensor `{name}` holds {value} at element {index}; every weight must be finite: download the model again"
    )]
    NotFinite {
        /// Name of the tensor.
        name: String,
        /// Row-major element number.
        index: usize,
        /// NaN or an infinity.
        value: f32,
    },
}

fn found_text(shape: &Option<Vec<usize>>) -> String {
    shape.as_ref().map_or_else(String::new, |shape| format!(" (it has shape {shape:?})"))
}

fn damaged(what: impl Into<String>) -> ContainerError {
    ContainerError::Damaged { what: what.into() }
}

/// Writes tensors one after the other, as `next` gives them, each in memory by itself.
///
/// * `precision`: of tensors with two and more dimensions; vectors stay `f32`, they are small.
///
/// # Errors
/// What `next` says, or writing.
///
/// # Panics
/// If `next` gives another number of values than the shape has.
pub fn write<E: From<io::Error>>(
    out: &mut impl Write,
    tensors: &[TensorShape],
    precision: Precision,
    mut next: impl FnMut(&str, &[usize]) -> Result<Vec<f32>, E>,
) -> Result<(), E> {
    let half = |shape: &[usize]| precision == Precision::F16 && shape.len() > 1;
    let mut header = Map::new();
    let mut at = 0;
    for (name, shape) in tensors {
        let bytes = shape.iter().product::<usize>() * if half(shape) { 2 } else { 4 };
        let dtype = if half(shape) { "F16" } else { "F32" };
        header.insert(
            name.clone(),
            json!({ "dtype": dtype, "shape": shape, "data_offsets": [at, at + bytes] }),
        );
        at += bytes;
    }
    let mut header = Value::Object(header).to_string();
    // Values start at a multiple of eight bytes.
    header.push_str(&" ".repeat(header.len().next_multiple_of(8) - header.len()));
    out.write_all(&(header.len() as u64).to_le_bytes())?;
    out.write_all(header.as_bytes())?;
    for (name, shape) in tensors {
        let values = next(name, shape)?;
        assert_eq!(values.len(), shape.iter().product::<usize>(), "the values must fill the shape");
        for part in values.chunks(1 << 16) {
            let bytes: Vec<u8> = if half(shape) {
                part.iter().flat_map(|v| to_half(*v).to_le_bytes()).collect()
            } else {
                part.iter().flat_map(|v| v.to_le_bytes()).collect()
            };
            out.write_all(&bytes)?;
        }
    }
    Ok(())
}

/// Reads tensors by name.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    header: Map<String, Value>,
    /// Where values start, and the length of the file.
    start: u64,
    len: u64,
}

impl<R: Read + Seek> Reader<R> {
    /// Reads the header, 4 MiB at most.
    ///
    /// # Errors
    /// [`ContainerError`]: no such file, or shorter than its header says.
    pub fn open(mut source: R) -> Result<Self, ContainerError> {
        let len = source.seek(SeekFrom::End(0))?;
        source.seek(SeekFrom::Start(0))?;
        let mut bytes = [0; 8];
        source.read_exact(&mut bytes).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => damaged(format!("the file has only {len} bytes")),
            _ => error.into(),
        })?;
        let header_bytes = u64::from_le_bytes(bytes);
        if header_bytes > MAX_HEADER || len - 8 < header_bytes {
            return Err(damaged(format!(
                "its header is said to have {header_bytes} bytes, the file has {len}"
            )));
        }
        let mut header = vec![0; usize::try_from(header_bytes).unwrap_or(0)];
        source.read_exact(&mut header)?;
        let header: Map<String, Value> =
            serde_json::from_slice(&header).map_err(|error| damaged(format!("its header: {error}")))?;
        let reader = Self { source, header, start: 8 + header_bytes, len };
        for (name, entry) in &reader.header {
            if name != "__metadata__" {
                reader.place(name, entry)?;
            }
        }
        Ok(reader)
    }

    /// Names of all tensors.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.header.keys().map(String::as_str).filter(|name| *name != "__metadata__")
    }

    /// Offset and bytes in the file, type and shape: all checked against each other and the file.
    fn place(&self, name: &str, entry: &Value) -> Result<(u64, usize, usize, Vec<usize>), ContainerError> {
        let numbers =
            |key| -> Option<Vec<u64>> { entry.get(key)?.as_array()?.iter().map(Value::as_u64).collect() };
        let size = match entry.get("dtype").and_then(Value::as_str) {
            Some("F32") => 4,
            Some("F16") => 2,
            other => return Err(damaged(format!("tensor `{name}` is of type {other:?}"))),
        };
        let broken = || damaged(format!("the place of tensor `{name}` makes no sense"));
        let shape = numbers("shape").ok_or_else(broken)?;
        let offsets = numbers("data_offsets").ok_or_else(broken)?;
        let &[from, to] = &offsets[..] else { return Err(broken()) };
        let bytes = shape.iter().try_fold(size, |n: u64, &axis| n.checked_mul(axis)).ok_or_else(broken)?;
        if to.checked_sub(from) != Some(bytes) {
            return Err(broken());
        }
        if self.start.checked_add(to).is_none_or(|end| end > self.len) {
            return Err(damaged(format!(
                "tensor `{name}` ends at byte {}, the file has {}; it was not copied to its end",
                self.start.saturating_add(to),
                self.len
            )));
        }
        let narrow = |n: u64| usize::try_from(n).map_err(|_error| broken());
        let shape = shape.into_iter().map(narrow).collect::<Result<_, _>>()?;
        Ok((self.start + from, narrow(bytes)?, narrow(size)?, shape))
    }

    /// Values of tensor `name`, row-major.
    ///
    /// # Errors
    /// [`ContainerError`]: it is not there, has another shape, or holds values that are no numbers.
    pub fn read(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ContainerError> {
        let missing =
            |found| ContainerError::Tensor { name: name.to_owned(), expected: shape.to_vec(), found };
        let entry = self.header.get(name).ok_or_else(|| missing(None))?;
        let (at, bytes, size, found) = self.place(name, entry)?;
        if found != shape {
            return Err(missing(Some(found)));
        }
        self.source.seek(SeekFrom::Start(at))?;
        let mut data = vec![0; bytes];
        self.source.read_exact(&mut data)?;
        let values: Vec<f32> = if size == 2 {
            // Infinities would become large numbers: they are found before.
            let halves = data.as_chunks::<2>().0.iter().map(|b| u16::from_le_bytes(*b));
            halves.map(|half| if half & 0x7c00 == 0x7c00 { f32::NAN } else { from_half(half) }).collect()
        } else {
            data.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
        };
        match values.iter().position(|v| !v.is_finite()) {
            Some(index) => {
                Err(ContainerError::NotFinite { name: name.to_owned(), index, value: values[index] })
            }
            None => Ok(values),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn file(precision: Precision) -> Vec<u8> {
        let tensors = [("a.weight".to_owned(), vec![2, 2]), ("a.bias".to_owned(), vec![3])];
        let mut out = Vec::new();
        write(&mut out, &tensors, precision, |name, _| {
            Ok::<_, io::Error>(if name == "a.bias" { vec![0.1, 0.2, 0.3] } else { vec![1.0, 0.1, -2.0, 3.0] })
        })
        .unwrap();
        out
    }

    #[test]
    fn what_is_written_is_read() {
        let mut reader = Reader::open(Cursor::new(file(Precision::F32))).unwrap();
        assert_eq!(reader.names().count(), 2);
        assert_eq!(reader.read("a.weight", &[2, 2]).unwrap(), [1.0, 0.1, -2.0, 3.0]);
        assert_eq!(reader.read("a.bias", &[3]).unwrap(), [0.1, 0.2, 0.3]);
        let mut half = Reader::open(Cursor::new(file(Precision::F16))).unwrap();
        assert_eq!(half.read("a.weight", &[2, 2]).unwrap(), [1.0, from_half(to_half(0.1)), -2.0, 3.0]);
        assert_eq!(half.read("a.bias", &[3]).unwrap(), [0.1, 0.2, 0.3]);
    }

    #[test]
    fn what_is_missing_or_cut_off_is_said() {
        let whole = file(Precision::F32);
        let mut reader = Reader::open(Cursor::new(&whole)).unwrap();
        let error = reader.read("b", &[1]).unwrap_err().to_string();
        assert!(error.contains("no tensor `b` of shape [1]"), "{error}");
        let error = reader.read("a.bias", &[4]).unwrap_err().to_string();
        assert!(error.contains("(it has shape [3])"), "{error}");
        for cut in 0..whole.len() {
            let error = Reader::open(Cursor::new(&whole[..cut])).unwrap_err().to_string();
            assert!(error.contains("add the model again"), "{cut}: {error}");
        }
        let mut nan = whole.clone();
        let last = nan.len() - 4;
        nan[last..].copy_from_slice(&f32::NAN.to_le_bytes());
        let error = Reader::open(Cursor::new(nan)).unwrap().read("a.bias", &[3]).unwrap_err().to_string();
        assert!(error.contains("NaN at element 2"), "{error}");
        let mut huge = whole;
        huge[..8].copy_from_slice(&u64::MAX.to_le_bytes());
        assert!(Reader::open(Cursor::new(huge)).is_err());
    }
}
