//! Sentences in pieces that fit under a picture.

use super::Cue;
use crate::voices::sentences::{columns, is_wide};

/// Columns of a line, where a CJK character takes two, as subtitles on a screen have them.
const LINE: usize = 42;

/// Lines of a cue.
const LINES: usize = 2;

/// The same in cues of at most two lines of 42 columns. A sentence that is longer becomes several cues, each with its
/// share of the time by its length. Lines are as long as each other, as far as words allow.
pub(super) fn fitted(cues: &[Cue]) -> Vec<Cue> {
    cues.iter().flat_map(split).collect()
}

fn split(cue: &Cue) -> Vec<Cue> {
    let lines = balanced(&cue.text, LINE);
    let weight = |lines: &[String]| lines.iter().map(|line| columns(line).max(1) as u64).sum::<u64>();
    let (total, span) = (weight(&lines).max(1), cue.end_ms.saturating_sub(cue.start_ms));
    let mut before = 0;
    lines
        .chunks(LINES)
        .map(|piece| {
            let start_ms = cue.start_ms + span * before / total;
            before += weight(piece);
            Cue { start_ms, end_ms: cue.start_ms + span * before / total, text: piece.join("\n") }
        })
        .collect()
}

/// A text cut between words into as few parts of at most `most` columns as there must be, of about the same length.
fn balanced(text: &str, most: usize) -> Vec<String> {
    let words = words(text);
    let greedy = filled(&words, most);
    let mut best = greedy;
    // A narrower limit that takes no more parts makes them more alike.
    let mut limit = columns(text).div_ceil(best.len().max(1)).max(1);
    while limit < most {
        let parts = filled(&words, limit);
        if parts.len() <= best.len() && parts.iter().all(|part| columns(part) <= most) {
            best = parts;
            break;
        }
        limit += 1;
    }
    best
}

/// Parts of at most `most` columns, each as full as it can be.
fn filled(words: &[&str], most: usize) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for word in words {
        match parts.last_mut() {
            Some(part) if columns(part.trim_end()) + columns(word.trim_end()) + trailing(part) <= most => {
                part.push_str(word);
            }
            _ => parts.push((*word).to_owned()),
        }
    }
    parts.into_iter().map(|part| part.trim_end().to_owned()).collect()
}

/// Spaces at its end.
fn trailing(part: &str) -> usize {
    part.len() - part.trim_end().len()
}

/// What is not cut: words with the space after them, and CJK characters with the punctuation that may not begin a line. A
/// word that fits on no line is cut.
fn words(text: &str) -> Vec<&str> {
    let mut words = Vec::new();
    let (mut start, mut width) = (0, 0);
    let mut before: Option<char> = None;
    for (at, c) in text.char_indices() {
        let is_break = before.is_some_and(|before| {
            let after_space = before.is_whitespace() && !c.is_whitespace();
            let between_wide =
                (is_wide(c) || is_wide(before)) && !keeps_to_the_one_before(c) && !keeps_to_the_next(before);
            after_space || between_wide && !c.is_whitespace() || width >= LINE
        });
        if is_break {
            words.push(&text[start..at]);
            (start, width) = (at, 0);
        }
        width += if is_wide(c) { 2 } else { 1 };
        before = Some(c);
    }
    if start < text.len() {
        words.push(&text[start..]);
    }
    words
}

/// Never begins a line (JIS X 4051, CLREQ).
fn keeps_to_the_one_before(c: char) -> bool {
    "，。、；：！？）】》」』”’…—·,.;:!?)]}%ー々".contains(c)
}

/// Never ends a line.
fn keeps_to_the_next(c: char) -> bool {
    "（【《「『“‘([{".contains(c)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        fitted(&[Cue { start_ms: 1000, end_ms: 9000, text: text.to_owned() }])
            .into_iter()
            .map(|cue| cue.text)
            .collect()
    }

    #[test]
    fn lines_are_as_long_as_each_other() {
        assert_eq!(texts("Short."), ["Short."]);
        assert_eq!(
            texts("This sentence is a little longer than one line is."),
            ["This sentence is a little\nlonger than one line is."]
        );
    }

    /// Both lines of a cue could hold half of these, and no two lines do.
    #[test]
    fn three_lines_are_two_cues() {
        let words = ["a".repeat(40), "b".repeat(20), "c".repeat(24)];
        let cues = texts(&words.join(" "));
        assert_eq!(cues, [format!("{}\n{}", words[0], words[1]), words[2].clone()]);
    }

    #[test]
    fn what_is_too_long_becomes_several_cues_that_share_the_time() {
        let text = "word ".repeat(60);
        let cues = fitted(&[Cue { start_ms: 1000, end_ms: 9000, text: text.trim().to_owned() }]);
        assert_eq!(cues.len(), 4);
        assert_eq!((cues[0].start_ms, cues[3].end_ms), (1000, 9000));
        assert!(
            cues.windows(2)
                .all(|pair| pair[0].end_ms == pair[1].start_ms && pair[0].start_ms < pair[0].end_ms)
        );
        let lengths: Vec<u64> =
            cues.iter().map(|cue| cue.text.lines().map(columns).sum::<usize>() as u64).collect();
        let total: u64 = lengths.iter().sum();
        for (cue, length) in cues.iter().zip(&lengths) {
            assert!((cue.end_ms - cue.start_ms).abs_diff(8000 * length / total) <= 1, "{cue:?}");
        }
        let all: Vec<String> = cues.iter().map(|cue| cue.text.replace('\n', " ")).collect();
        assert_eq!(all.join(" "), text.trim());
    }

    #[test]
    fn chinese_is_cut_between_characters_and_never_before_punctuation() {
        let text =
            "这是一个很长的句子，没有空格，所以必须在字与字之间换行，但是不能在标点之前换行。".repeat(3);
        let cues = texts(&text);
        assert_eq!(cues.concat().replace('\n', ""), text);
        for line in cues.iter().flat_map(|cue| cue.lines()) {
            assert!(columns(line) <= LINE, "{line}");
            assert!(!line.starts_with(['，', '。']), "{line}");
        }
        assert!(cues.iter().all(|cue| cue.lines().count() <= LINES));
        assert!(cues.len() >= 3);
    }

    #[test]
    fn no_line_is_wider_than_the_picture_whatever_comes() {
        let pieces = ["a", "longer", " ", "讲", "，", "“", "”", ".", "x".repeat(99).leak(), "é", "  "];
        let mut state = 3_u64;
        for _ in 0..300 {
            let mut text = String::new();
            for _ in 0..40 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text += pieces[usize::try_from(state >> 33).unwrap() % pieces.len()];
            }
            let text = text.trim();
            let cues = texts(text);
            let solid = |text: &str| text.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            assert_eq!(solid(&cues.concat()), solid(text), "nothing is lost");
            assert!(cues.iter().all(|cue| cue.lines().count() <= LINES), "{cues:?}");
            for line in cues.iter().flat_map(|cue| cue.lines()) {
                // Punctuation that may not begin a line hangs over its end.
                let own = line.trim_end_matches(keeps_to_the_one_before);
                assert!(columns(own) <= LINE + 2, "{line:?}");
            }
        }
    }
}
