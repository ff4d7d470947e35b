//! What people call a video.

use std::fmt;

/// A title: something to read, on one line, not too long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Title(String);

/// Why a text is no title.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotATitle {
    /// Send a shorter one.
    #[error(
        "a title has at most {} characters, and this one has {length}; send a shorter one",
        Title::MAX_CHARS
    )]
    TooLong {
        /// Its characters.
        length: usize,
    },
    /// Send it on one line, and without characters that turn the direction of the text.
    #[error(
        "a title is one line of plain text, and this one has the control character {found:?}; leave it out"
    )]
    Control {
        /// The first such character.
        found: char,
    },
}

impl Title {
    /// Longest title in characters.
    pub const MAX_CHARS: usize = 120;

    /// Reads a title; `None` when there is nothing but space in it.
    ///
    /// # Errors
    /// When it is too long, or has characters that cannot be seen.
    pub fn parse(text: &str) -> Result<Option<Self>, NotATitle> {
        let text = text.trim();
        if let Some(found) = text.chars().find(|c| is_control(*c)) {
            return Err(NotATitle::Control { found });
        }
        match text.chars().count() {
            0 => Ok(None),
            length if length > Self::MAX_CHARS => Err(NotATitle::TooLong { length }),
            _ => Ok(Some(Self(text.to_owned()))),
        }
    }

    /// As it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Title {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Control characters, line separators, and those that turn the direction of what follows, so that a name reads as
/// another one (Unicode UAX #9, table 4).
pub(super) fn is_control(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn titles_are_one_line_of_a_bounded_length() {
        let read = |text: &str| Title::parse(text).map(|title| title.map(|title| title.to_string()));
        assert_eq!(read("  Welcome, 你好 👋 "), Ok(Some("Welcome, 你好 👋".to_owned())));
        assert_eq!((read(""), read(" \u{3000}")), (Ok(None), Ok(None)));
        let longest = "讲".repeat(120);
        assert_eq!(read(&longest), Ok(Some(longest.clone())));
        assert_eq!(read(&format!("{longest}话")), Err(NotATitle::TooLong { length: 121 }));
        for bad in ["a\nb", "a\0b", "a\u{7f}b", "a\u{2028}b", "gpj.\u{202e}exe", "a\u{2067}b"] {
            assert!(matches!(read(bad), Err(NotATitle::Control { .. })), "{bad:?}");
        }
    }
}
