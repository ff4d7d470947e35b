//! The header: magic, version, and the one dictionary literal that NumPy writes.

use super::{Array, NpyError};

const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// NumPy's own limit for headers it does not trust (`max_header_size`).
const MAX_HEADER_BYTES: usize = 10_000;
/// Magic, version, length and header.
pub(super) const MAX_PREFIX_BYTES: usize = 12 + MAX_HEADER_BYTES;
/// NumPy's limit (`NPY_MAXDIMS`).
const MAX_AXES: usize = 64;

pub(super) struct Header {
    pub(super) dtype: Dtype,
    pub(super) fortran_order: bool,
    pub(super) shape: Vec<usize>,
}

/// A `descr` such as `<f4`: byte order, kind letter, bytes per value.
pub(super) struct Dtype {
    descr: String,
    pub(super) little_endian: bool,
    pub(super) kind: u8,
    pub(super) size: usize,
}

impl Dtype {
    fn parse(descr: &str) -> Self {
        let (order, rest) = match descr.as_bytes() {
            [order @ (b'<' | b'>' | b'|' | b'='), rest @ ..] => (*order, rest),
            rest => (b'<', rest),
        };
        let kind = rest.first().copied().unwrap_or(0);
        // A boolean may be spelled `?`; an unreadable size becomes 0, which no reader accepts.
        let (kind, size) = match rest {
            b"?" => (b'b', 1),
            [_, digit @ b'1'..=b'9'] => (kind, usize::from(digit - b'0')),
            _ => (kind, 0),
        };
        Self { descr: descr.chars().take(32).collect(), little_endian: order != b'>', kind, size }
    }

    pub(super) fn refuse(&self, wanted: &'static str, advice: &'static str) -> NpyError {
        NpyError::Dtype { descr: self.descr.clone(), wanted, advice }
    }
}

impl Header {
    /// Splits `bytes` into the parsed header and the values.
    pub(super) fn parse(bytes: &[u8]) -> Result<(Self, &[u8]), NpyError> {
        let rest = bytes.strip_prefix(MAGIC).ok_or(NpyError::Magic)?;
        let cut = NpyError::Header { what: "it is cut off" };
        let [major, minor, rest @ ..] = rest else { return Err(cut) };
        let (len, rest) = match major {
            1 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Err(cut) };
                (usize::from(u16::from_le_bytes(*len)), rest)
            }
            2 | 3 => {
                let Some((len, rest)) = rest.split_first_chunk() else { return Err(cut) };
                (usize::try_from(u32::from_le_bytes(*len)).unwrap_or(usize::MAX), rest)
            }
            _ => return Err(NpyError::Version { major: *major, minor: *minor }),
        };
        if len > MAX_HEADER_BYTES {
            return Err(NpyError::Header { what: "it is longer than 10000 bytes" });
        }
        let Some((text, values)) = rest.split_at_checked(len) else { return Err(cut) };
        // Versions 1 and 2 are Latin-1, 3 is UTF-8; the dictionary of a plain array is ASCII in all.
        let Ok(text) = str::from_utf8(text) else { return Err(NpyError::Header { what: "it is not text" }) };
        Ok((Literal { rest: text }.header()?, values))
    }

    /// `data` in file order becomes a row-major array.
    pub(super) fn into_array<T: Copy>(self, data: Vec<T>) -> Array<T> {
        let shape = self.shape;
        if !self.fortran_order || shape.len() < 2 || data.is_empty() {
            return Array { shape, data };
        }
        // Walk the row-major positions and keep the file position of each in step, like an odometer.
        let mut strides = Vec::with_capacity(shape.len());
        let mut stride = 1usize;
        for &axis in &shape {
            strides.push(stride);
            stride *= axis;
        }
        let mut index = vec![0; shape.len()];
        let mut at = 0;
        let mut out = Vec::with_capacity(data.len());
        loop {
            out.push(data[at]);
            let mut axis = shape.len() - 1;
            loop {
                index[axis] += 1;
                at += strides[axis];
                if index[axis] < shape[axis] {
                    break;
                }
                at -= strides[axis] * shape[axis];
                index[axis] = 0;
                if axis == 0 {
                    return Array { shape, data: out };
                }
                axis -= 1;
            }
        }
    }
}

/// A cursor over the dictionary literal.
struct Literal<'a> {
    rest: &'a str,
}

impl<'a> Literal<'a> {
    fn header(mut self) -> Result<Header, NpyError> {
        let bad = |what| NpyError::Header { what };
        let (mut dtype, mut fortran_order, mut shape) = (None, None, None);
        if !self.eat('{') {
            return Err(bad("it is not a dictionary"));
        }
        while !self.eat('}') {
            let key = self.string().ok_or(bad("a key is missing"))?;
            if !self.eat(':') {
                return Err(bad("a colon is missing"));
            }
            match key {
                "descr" => {
                    if self.peek('[') {
                        return Err(NpyError::Dtype {
                            descr: "a record".to_owned(),
                            wanted: "plain numbers",
                            advice: "float32",
                        });
                    }
                    dtype = Some(Dtype::parse(self.string().ok_or(bad("descr is not a string"))?));
                }
                "fortran_order" => {
                    let order = if self.word("True") { Some(true) } else { None };
                    let order = order.or_else(|| self.word("False").then_some(false));
                    fortran_order = Some(order.ok_or(bad("fortran_order is not True or False"))?);
                }
                "shape" => shape = Some(self.tuple().ok_or(bad("shape is not a tuple of numbers"))?),
                _ => return Err(bad("it has an unknown key")),
            }
            if !self.eat(',') && !self.peek('}') {
                return Err(bad("a comma is missing"));
            }
        }
        if !self.rest.trim_start().is_empty() {
            return Err(bad("text follows the dictionary"));
        }
        let (Some(dtype), Some(fortran_order), Some(shape)) = (dtype, fortran_order, shape) else {
            return Err(bad("descr, fortran_order or shape is missing"));
        };
        Ok(Header { dtype, fortran_order, shape })
    }

    fn peek(&mut self, c: char) -> bool {
        self.rest = self.rest.trim_start();
        self.rest.starts_with(c)
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek(c);
        if found {
            self.rest = &self.rest[c.len_utf8()..];
        }
        found
    }

    fn word(&mut self, word: &str) -> bool {
        self.rest = self.rest.trim_start();
        match self.rest.strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// A quoted string without escapes, which is all that NumPy writes here.
    fn string(&mut self) -> Option<&'a str> {
        let quote = ['\'', '"'].into_iter().find(|&quote| self.eat(quote))?;
        let (text, rest) = self.rest.split_once(quote)?;
        self.rest = rest;
        Some(text)
    }

    fn tuple(&mut self) -> Option<Vec<usize>> {
        if !self.eat('(') {
            return None;
        }
        let mut axes = Vec::new();
        while !self.eat(')') {
            self.rest = self.rest.trim_start();
            let digits = self.rest.find(|c: char| !c.is_ascii_digit())?;
            let axis = self.rest[..digits].parse().ok()?;
            // Python 2 wrote long integers with an L.
            self.rest = self.rest[digits..].trim_start_matches('L');
            axes.push(axis);
            if axes.len() > MAX_AXES || (!self.eat(',') && !self.peek(')')) {
                return None;
            }
        }
        Some(axes)
    }
}
