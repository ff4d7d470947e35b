//! What tells two folders of weights apart without comparing them.

use std::fmt;
use std::io::{self, Write};

/// A number that other weights hardly share: FNV-1a, 64 bits. It tells what was replaced by accident; who wants to deceive can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    const START: Self = Self(0xcbf2_9ce4_8422_2325);

    fn take(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// That of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut fingerprint = Self::START;
        fingerprint.take(bytes);
        fingerprint
    }

    /// What [`fmt::Display`] wrote.
    pub fn parse(text: &str) -> Option<Self> {
        (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok().map(Self))?
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Writes, and looks at what is written.
#[derive(Debug)]
pub(super) struct Marked<W> {
    out: W,
    fingerprint: Fingerprint,
}

impl<W: Write> Marked<W> {
    /// * `before`: what counts and is not written.
    pub(super) fn new(out: W, before: &[u8]) -> Self {
        Self { out, fingerprint: Fingerprint::of(before) }
    }

    pub(super) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }
}

impl<W: Write> Write for Marked<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.fingerprint.take(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts_however_they_come() {
        // Known answer of FNV-1a.
        assert_eq!(Fingerprint::of(b"foobar").to_string(), "85944171f73967e8");
        let mut out = Marked::new(Vec::new(), b"foo");
        out.write_all(b"b").unwrap();
        out.write_all(b"ar").unwrap();
        assert_eq!((out.fingerprint(), &out.out[..]), (Fingerprint::of(b"foobar"), &b"bar"[..]));
        assert_ne!(Fingerprint::of(b"foobas"), Fingerprint::of(b"foobar"));
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let fingerprint = Fingerprint::of(b"a");
        assert_eq!(Fingerprint::parse(&fingerprint.to_string()), Some(fingerprint));
        for other in ["", "85944171f73967e", "85944171f73967e8 ", "+5944171f73967e8x"] {
            assert_eq!(Fingerprint::parse(other), None, "{other:?}");
        }
    }
}
