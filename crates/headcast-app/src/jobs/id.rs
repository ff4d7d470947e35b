//! Names of jobs.

use std::fmt;
use std::str::FromStr;

/// A job's name in addresses and folder names: 80 random bits as 16 characters of `a-z2-7`.
///
/// Unguessable, because whoever knows the address may watch; safe as a folder name on every system.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobId([u8; 16]);

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

impl JobId {
    /// A new random name; `None` when the operating system has no randomness to give.
    pub fn random() -> Option<Self> {
        let mut id = [0; 16];
        getrandom::fill(&mut id).ok()?;
        for byte in &mut id {
            *byte = ALPHABET[usize::from(*byte % 32)];
        }
        Some(Self(id))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        // Made of ASCII letters and digits only, so the fallback is never taken.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for JobId {
    type Err = NotAJobId;

    fn from_str(text: &str) -> Result<Self, NotAJobId> {
        let id: [u8; 16] = text.as_bytes().try_into().map_err(|_wrong_length| NotAJobId)?;
        if id.iter().all(|c| ALPHABET.contains(c)) { Ok(Self(id)) } else { Err(NotAJobId) }
    }
}

/// The text is not 16 characters of `a-z2-7`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a job")]
pub struct NotAJobId;

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JobId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_survive_text_and_nothing_else_does() {
        let id = JobId::random().unwrap();
        assert_eq!(id.as_str().parse(), Ok(id));
        for bad in ["", "..", "aaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaa/", "AAAAAAAAAAAAAAAA"]
        {
            assert_eq!(bad.parse::<JobId>(), Err(NotAJobId), "{bad:?}");
        }
        assert_ne!(JobId::random(), Some(id));
    }
}
