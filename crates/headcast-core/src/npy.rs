//! NumPy `.npy` arrays (format versions 1 to 3), read from bytes.
//!
//! The format is that of NumPy's `numpy.lib.format`: a magic string, a version, a header that is a Python
//! dictionary literal with the keys `descr`, `fortran_order` and `shape`, then the raw values. Only plain
//! numbers are read; an array of Python objects (a pickle) is refused, so nothing in a file is ever run.

mod header;
mod stored;

use header::{Dtype, Header};

pub use stored::Stored;

/// An array of numbers, row-major whatever order the file stores it in.
#[derive(Debug, Clone, PartialEq)]
pub struct Array<T> {
    /// Length of each axis; empty for a single number.
    pub shape: Vec<usize>,
    /// As many values as the product of `shape`, row-major.
    pub data: Vec<T>,
}

/// Why bytes are not a readable `.npy` array.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum NpyError {
    /// Another kind of file; write it with `numpy.save`.
    #[error("this is not a .npy file (it does not start with \\x93NUMPY); write it with numpy.save")]
    Magic,
    /// A version that NumPy has not defined at the time of writing.
    #[error(
        ".npy format version {major}.{minor} is not known; save the array again with a current numpy.save"
    )]
    Version {
        /// Major number found.
        major: u8,
        /// Minor number found.
        minor: u8,
    },
    /// The header is cut off, too long or not the dictionary that NumPy writes.
    #[error("the .npy header is damaged ({what}); save the array again with numpy.save")]
    Header {
        /// What is wrong with it.
        what: &'static str,
    },
    /// Convert the array, for example `a.astype("float32")`.
    #[error(
        "the .npy array has values of type {descr:?}, which cannot be read as {wanted}; convert it with \
         a.astype({advice:?}) and save it again"
    )]
    Dtype {
        /// NumPy's name of the type found, shortened to 32 characters.
        descr: String,
        /// What was asked for.
        wanted: &'static str,
        /// A type that works.
        advice: &'static str,
    },
    /// The file was cut off, or has bytes after its values.
    #[error(
        "the .npy file holds {found} bytes of values where shape {shape:?} needs {expected}; it is cut off \
         or damaged: copy or save it again"
    )]
    Length {
        /// Shape in the header.
        shape: Vec<usize>,
        /// Bytes that the shape needs; saturates.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// Look at the disk.
    #[error("the .npy file cannot be read: {reason}")]
    Unreadable {
        /// What the system said.
        reason: String,
    },
}

impl Array<f32> {
    /// Reads an array of floats, integers or booleans as `f32`.
    ///
    /// Types read: `f2`, `f4`, `f8`, `i1` to `i8`, `u1` to `u8`, `?`, either byte order, C or Fortran order.
    /// Values beyond the range or precision of `f32` are rounded to the nearest, or to infinity.
    ///
    /// Memory is taken only after the byte count has been found to match the shape, so at most four times
    /// `bytes.len()` is allocated.
    ///
    /// # Errors
    /// [`NpyError`], see its variants.
    pub fn read_f32(bytes: &[u8]) -> Result<Self, NpyError> {
        let (header, values) = open(bytes)?;
        let data = floats(&header.dtype, values)?;
        Ok(header.into_array(data))
    }
}

impl Array<i64> {
    /// Reads an array of integers or booleans exactly.
    ///
    /// Types read: `i1` to `i8`, `u1` to `u4`, `u8` up to `i64::MAX` (larger values saturate), `?`.
    ///
    /// # Errors
    /// [`NpyError`], see its variants; [`NpyError::Dtype`] for floats.
    pub fn read_i64(bytes: &[u8]) -> Result<Self, NpyError> {
        let (header, values) = open(bytes)?;
        let data = match (header.dtype.kind, header.dtype.size) {
            (b'b', 1) => values.iter().map(|&v| i64::from(v != 0)).collect(),
            (b'i' | b'u', 1 | 2 | 4 | 8) => {
                integers(&header.dtype, values, |v| i64::try_from(v).unwrap_or(i64::MAX))
            }
            _ => return Err(header.dtype.refuse("integers", "int64")),
        };
        Ok(header.into_array(data))
    }
}

impl Array<u8> {
    /// Reads an array of `uint8` or booleans as bytes.
    ///
    /// # Errors
    /// [`NpyError`], see its variants; [`NpyError::Dtype`] for every other type.
    pub fn read_u8(bytes: &[u8]) -> Result<Self, NpyError> {
        let (header, values) = open(bytes)?;
        match (header.dtype.kind, header.dtype.size) {
            (b'b' | b'u', 1) => {
                let data = values.to_vec();
                Ok(header.into_array(data))
            }
            _ => Err(header.dtype.refuse("bytes", "uint8")),
        }
    }
}

/// Header and values; the values are as many bytes as the shape needs.
fn open(bytes: &[u8]) -> Result<(Header, &[u8]), NpyError> {
    let (header, values) = Header::parse(bytes)?;
    let expected = expected_bytes(&header);
    if expected != Some(values.len() as u64) {
        return Err(NpyError::Length {
            shape: header.shape,
            expected: expected.unwrap_or(u64::MAX),
            found: values.len() as u64,
        });
    }
    Ok((header, values))
}

/// Bytes of values that the header promises; `None` when no file is that large.
fn expected_bytes(header: &Header) -> Option<u64> {
    header.shape.iter().try_fold(header.dtype.size as u64, |n, &axis| n.checked_mul(axis as u64))
}

/// `values` in file order, as floats.
fn floats(dtype: &Dtype, values: &[u8]) -> Result<Vec<f32>, NpyError> {
    let little = dtype.little_endian;
    Ok(match (dtype.kind, dtype.size) {
        (b'f', 2) => convert(values, little, |b| f16_to_f32(u16::from_le_bytes(b))),
        (b'f', 4) => convert(values, little, f32::from_le_bytes),
        (b'f', 8) => convert(values, little, |b| narrow(f64::from_le_bytes(b))),
        (b'b', 1) => values.iter().map(|&v| f32::from(u8::from(v != 0))).collect(),
        (b'i' | b'u', 1 | 2 | 4 | 8) => integers(dtype, values, approximate),
        _ => return Err(dtype.refuse("floats", "float32")),
    })
}

fn convert<const N: usize, T>(values: &[u8], little: bool, read: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (values, rest) = values.as_chunks::<N>();
    debug_assert!(rest.is_empty(), "the byte count is a multiple of the value size");
    values
        .iter()
        .map(|&value| {
            let mut value = value;
            if !little {
                value.reverse();
            }
            read(value)
        })
        .collect()
}

fn integers<T>(dtype: &Dtype, values: &[u8], out: impl Fn(i128) -> T) -> Vec<T> {
    let little = dtype.little_endian;
    match (dtype.kind, dtype.size) {
        (b'i', 1) => convert(values, little, |b| out(i8::from_le_bytes(b).into())),
        (b'i', 2) => convert(values, little, |b| out(i16::from_le_bytes(b).into())),
        (b'i', 4) => convert(values, little, |b| out(i32::from_le_bytes(b).into())),
        (b'i', _) => convert(values, little, |b| out(i64::from_le_bytes(b).into())),
        (_, 1) => convert(values, little, |b| out(u8::from_le_bytes(b).into())),
        (_, 2) => convert(values, little, |b| out(u16::from_le_bytes(b).into())),
        (_, 4) => convert(values, little, |b| out(u32::from_le_bytes(b).into())),
        (_, _) => convert(values, little, |b| out(u64::from_le_bytes(b).into())),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to f32 is what the caller asks for")]
fn narrow(value: f64) -> f32 {
    value as f32
}

#[expect(clippy::cast_precision_loss, reason = "rounding to f32 is what the caller asks for")]
fn approximate(value: i128) -> f32 {
    value as f32
}

/// IEEE 754 binary16 to binary32; exact.
fn f16_to_f32(half: u16) -> f32 {
    let sign = if half >> 15 == 0 { 1.0 } else { -1.0 };
    let exponent = i32::from(half >> 10 & 0x1f);
    let fraction = f32::from(half & 0x3ff);
    match exponent {
        0 => sign * fraction * 2f32.powi(-24),
        31 if fraction == 0.0 => sign * f32::INFINITY,
        31 => f32::NAN,
        _ => sign * (1024.0 + fraction) * 2f32.powi(exponent - 25),
    }
}

#[cfg(test)]
mod tests;
