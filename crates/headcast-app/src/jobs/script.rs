//! The words of a video: what a voice is to say, or what is said in a recording.

use std::fmt;

use super::title;

/// What is said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// Its words.
    pub text: String,
    /// Who says them; `None` where they are in the recording already.
    pub voice: Option<String>,
    /// How fast.
    pub speed: Pace,
}

impl Script {
    /// Longest text in characters: some twelve minutes of speech.
    pub const MAX_CHARS: usize = 10_000;

    /// A text without what ends it early or is no text: control characters are spaces, but for tabs and line ends.
    pub fn plain(text: &str) -> String {
        let plain = |c: char| match c {
            '\r' => '\n',
            '\n' | '\t' => c,
            c if c.is_control() => ' ',
            c => c,
        };
        text.replace("\r\n", "\n").chars().map(plain).collect()
    }

    /// Its first words, as a name of the video.
    pub fn excerpt(&self) -> String {
        let words = self.text.split_whitespace().collect::<Vec<_>>().join(" ");
        let words: String = words.chars().filter(|c| !title::is_control(*c)).collect();
        if words.chars().count() <= EXCERPT {
            return words;
        }
        let start: String = words.chars().take(EXCERPT).collect();
        // Between words, unless that leaves next to nothing, as where no spaces are written.
        let end = start.rfind(' ').filter(|at| *at > start.len() / 2).unwrap_or(start.len());
        format!("{}…", &start[..end])
    }
}

/// Characters of [`Script::excerpt`].
const EXCERPT: usize = 48;

/// How fast a voice speaks, in percent of its own speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace(u16);

/// A speed that no voice has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("use a speed from 0.5 to 2, such as 1.2")]
pub struct NotAPace;

impl Default for Pace {
    fn default() -> Self {
        Self(100)
    }
}

impl Pace {
    /// From percent, 50 to 200.
    pub fn from_percent(percent: u16) -> Option<Self> {
        (50..=200).contains(&percent).then_some(Self(percent))
    }

    /// From text, such as `1.2`.
    ///
    /// # Errors
    /// When it is no number from 0.5 to 2.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is between 50 and 200")]
    pub fn parse(text: &str) -> Result<Self, NotAPace> {
        let factor: f64 = text.trim().parse().map_err(|_no_number| NotAPace)?;
        if (0.5..=2.0).contains(&factor) { Ok(Self((factor * 100.0).round() as u16)) } else { Err(NotAPace) }
    }

    /// Percent of the voice's own speed.
    pub fn percent(self) -> u16 {
        self.0
    }

    /// Times the voice's own speed.
    pub fn factor(self) -> f64 {
        f64::from(self.0) / 100.0
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.factor())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_words_are_a_name() {
        let name =
            |text: &str| Script { text: text.to_owned(), voice: None, speed: Pace::default() }.excerpt();
        assert_eq!(name(" Hello\n there.  "), "Hello there.");
        assert_eq!(name(&"word ".repeat(30)), "word word word word word word word word word…");
        assert_eq!(name(&"讲".repeat(60)), format!("{}…", "讲".repeat(48)));
        // Nothing that a title may not have: this would read as "exe.jpg" in a list.
        assert_eq!(name("\u{202e}gpj.exe\u{2069} \u{2028}is\u{7f} fine"), "gpj.exe is fine");
    }

    #[test]
    fn a_text_has_no_control_characters() {
        let text = "One\r\ntwo\rthree\tfour.\0 \x1b[1mFive\u{85}six\n\n讲 \u{202e}é";
        let plain = Script::plain(text);
        assert_eq!(plain, "One\ntwo\nthree\tfour.   [1mFive six\n\n讲 \u{202e}é");
        assert_eq!(Script::plain(&plain), plain, "once is enough");
    }

    #[test]
    fn speeds_that_voices_have() {
        assert_eq!(Pace::parse("1.25").map(Pace::percent), Ok(125));
        for bad in ["0.4", "2.01", "NaN", "inf", "fast", ""] {
            assert_eq!(Pace::parse(bad), Err(NotAPace), "{bad}");
        }
    }
}
