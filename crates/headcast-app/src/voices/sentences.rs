//! Text cut into what is spoken in one breath, so that where each part begins and ends is known exactly.

/// What is spoken at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sentence<'a> {
    /// Its words, without space around them; line breaks are as they came.
    pub words: &'a str,
    /// Whether a paragraph ends with it.
    pub ends_paragraph: bool,
}

/// Longest part in columns, where a CJK character counts two: what a voice speaks well, and a server takes at once.
const MAX_COLUMNS: usize = 240;

/// Words before a full stop that does not end a sentence, in lower case. In English, German, French and Spanish.
const ABBREVIATIONS: &[&str] = &[
    "mr", "mrs", "ms", "dr", "prof", "st", "sr", "jr", "vs", "e.g", "i.e", "approx", "cf", "fig", "vol",
    "ca", "bzw", "z.b", "d.h", "u.a", "usw", "nr", "str", "hr", "fr", "mme", "mlle", "sra", "ud", "uds",
    "gen", "col", "lt", "sgt",
];

/// Words that are one before a number alone: "No. 5", and not "No. I will not."
const BEFORE_NUMBERS: &[&str] = &["no", "nos", "p", "pp", "art", "sec", "ch"];

/// Cuts a text at the ends of its sentences, lines and paragraphs, and sentences that are too long at commas, else
/// between words. Parts in which there is nothing to say (no letter and no digit) are left out.
pub fn sentences(text: &str) -> Vec<Sentence<'_>> {
    let mut found: Vec<Sentence<'_>> = Vec::new();
    for line in text.split(['\n', '\r', '\u{2028}', '\u{2029}']) {
        if line.trim().is_empty() {
            // An empty line ends a paragraph.
            if let Some(last) = found.last_mut() {
                last.ends_paragraph = true;
            }
            continue;
        }
        let mut rest = line;
        while !rest.is_empty() {
            let (sentence, after) = rest.split_at(sentence_end(rest));
            rest = after;
            cut(sentence, &mut found);
        }
    }
    found
}

/// Columns that a text takes: CJK characters are twice as wide as others, in print and in time.
pub fn columns(text: &str) -> usize {
    text.chars().map(|c| if is_wide(c) { 2 } else { 1 }).sum()
}

/// Whether a character is as wide as high (Unicode UAX #11, wide and full width), as far as people write with it.
pub fn is_wide(c: char) -> bool {
    matches!(c, '\u{1100}'..='\u{115f}' | '\u{2e80}'..='\u{303e}' | '\u{3041}'..='\u{a4cf}' | '\u{ac00}'..='\u{d7a3}'
        | '\u{f900}'..='\u{faff}' | '\u{fe30}'..='\u{fe4f}' | '\u{ff00}'..='\u{ff60}' | '\u{ffe0}'..='\u{ffe6}'
        | '\u{1f300}'..='\u{1faff}' | '\u{20000}'..='\u{3fffd}')
}

/// Bytes of the first sentence of a line.
fn sentence_end(line: &str) -> usize {
    for (at, c) in line.char_indices() {
        let after = &line[at + c.len_utf8()..];
        let ends = match c {
            // These stand for nothing else.
            '。' | '！' | '？' | '｡' | '．' | '।' | '؟' => !after.starts_with(['。', '！', '？']),
            '!' | '?' | '…' => is_followed_by_space(after),
            '.' => is_followed_by_space(after) && !is_abbreviation(&line[..at], after),
            _ => false,
        };
        if ends {
            let closing = after.chars().take_while(|c| is_closing(*c)).map(char::len_utf8).sum::<usize>();
            return at + c.len_utf8() + closing;
        }
    }
    line.len()
}

fn is_closing(c: char) -> bool {
    matches!(c, '"' | '\'' | ')' | ']' | '”' | '’' | '»' | '」' | '』' | '）' | '】' | '》')
}

fn is_followed_by_space(after: &str) -> bool {
    let after = after.trim_start_matches(is_closing);
    after.is_empty() || after.starts_with(char::is_whitespace) || after.starts_with(is_wide)
}

/// Whether the full stop between these belongs to the word before it.
fn is_abbreviation(before: &str, after: &str) -> bool {
    let next = after.trim_start().chars().next();
    // Whatever goes on in lower case is no sentence of its own.
    if next.is_some_and(char::is_lowercase) {
        return true;
    }
    let word = before.rsplit(|c: char| c.is_whitespace() || "(\"'“‘«".contains(c)).next().unwrap_or_default();
    let lower = word.to_lowercase();
    let mut letters = word.chars();
    let is_initial =
        letters.next().is_some_and(char::is_uppercase) && letters.next().is_none() && word != "I";
    next.is_some() && (is_initial || ABBREVIATIONS.contains(&lower.as_str()))
        || next.is_some_and(|c| c.is_ascii_digit()) && BEFORE_NUMBERS.contains(&lower.as_str())
}

/// Adds a sentence in parts that are not too long.
fn cut<'a>(sentence: &'a str, found: &mut Vec<Sentence<'a>>) {
    let mut rest = sentence.trim();
    while !rest.is_empty() {
        let (part, after) = rest.split_at(part_end(rest));
        rest = after.trim_start();
        let words = part.trim();
        if words.chars().any(char::is_alphanumeric) {
            found.push(Sentence { words, ends_paragraph: false });
        }
    }
}

/// Bytes of what is spoken first of a sentence.
fn part_end(sentence: &str) -> usize {
    if columns(sentence) <= MAX_COLUMNS {
        return sentence.len();
    }
    let (mut width, mut comma, mut space, mut end) = (0, None, None, sentence.len());
    for (at, c) in sentence.char_indices() {
        width += if is_wide(c) { 2 } else { 1 };
        if width > MAX_COLUMNS {
            end = at;
            break;
        }
        let after = at + c.len_utf8();
        match c {
            '，' | '、' | '；' | '：' => comma = Some(after),
            ',' | ';' | ':' if sentence[after..].starts_with(char::is_whitespace) => comma = Some(after),
            _ if c.is_whitespace() => space = Some(at),
            _ => {}
        }
    }
    // A comma right at the start would leave a part of one word.
    let comma = comma.filter(|at| columns(&sentence[..*at]) >= MAX_COLUMNS / 4);
    comma.or(space).filter(|at| *at > 0).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<&str> {
        sentences(text).into_iter().map(|sentence| sentence.words).collect()
    }

    #[test]
    fn sentences_end_where_people_end_them() {
        assert_eq!(words("Hello there. How are you?  Fine!"), ["Hello there.", "How are you?", "Fine!"]);
        assert_eq!(words("\"Is it?\" she asked. (Yes.) No"), ["\"Is it?\"", "she asked.", "(Yes.)", "No"]);
        assert_eq!(words("One line\nanother line"), ["One line", "another line"]);
        assert_eq!(
            words("你好。你怎么样？“很好！”她说，是的。"),
            ["你好。", "你怎么样？", "“很好！”", "她说，是的。"]
        );
        assert_eq!(words("真的？！是的"), ["真的？！", "是的"]);
        assert_eq!(words("Hi.你好"), ["Hi.", "你好"]);
    }

    #[test]
    fn a_full_stop_may_end_nothing() {
        for one in [
            "It costs 3.50 in total.",
            "Dr. Smith met Mr. J. Doe.",
            "Take e.g. this one.",
            "See headcast.example for more.",
            "It is approx. five.",
            "Number No. 5 is alive.",
            "Das ist z.B. Berlin.",
        ] {
            assert_eq!(words(one), [one]);
        }
        assert_eq!(words("No. I will not."), ["No.", "I will not."]);
        assert_eq!(words("So am I. Good."), ["So am I.", "Good."]);
        assert_eq!(words("We met Dr."), ["We met Dr."]);
    }

    #[test]
    fn paragraphs_end_at_empty_lines() {
        let found = sentences("One. Two.\r\n\r\nThree.");
        assert_eq!(
            found.iter().map(|sentence| sentence.ends_paragraph).collect::<Vec<_>>(),
            [false, true, false]
        );
        assert_eq!(words(" \n--- …\n ... \n"), [""; 0], "nothing to say");
    }

    #[test]
    fn long_sentences_are_cut_at_commas_else_between_words_and_nothing_is_lost() {
        let clause = "this is a clause of some length, ".repeat(20);
        let many = "word ".repeat(200);
        let solid = "讲".repeat(1000);
        let endless = "x".repeat(1000);
        for text in [&clause, &many, &solid, &endless] {
            let parts = words(text);
            assert!(parts.len() >= 3 && parts.iter().all(|part| columns(part) <= MAX_COLUMNS), "{parts:?}");
            let kept: String = parts.concat().split_whitespace().collect();
            assert_eq!(kept, text.split_whitespace().collect::<String>());
        }
        assert!(words(&clause).iter().all(|part| part.ends_with(',')), "{:?}", words(&clause));
        assert!(words(&many).iter().all(|part| part.ends_with("word")));
    }

    #[test]
    fn whatever_comes_every_letter_is_spoken_once_and_in_order() {
        let pieces =
            ["a", "B", ".", "。", " ", "\n", "!", "\"", "”", "讲", "é", ",", "，", "3", "…", "👋", "\u{301}"];
        let mut state = 7_u64;
        for _ in 0..500 {
            let mut text = String::new();
            for _ in 0..60 {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                text += pieces[usize::try_from(state >> 33).unwrap() % pieces.len()];
            }
            let letters = |text: &str| text.chars().filter(|c| c.is_alphanumeric()).collect::<String>();
            assert_eq!(letters(&words(&text).concat()), letters(&text), "{text:?}");
        }
    }
}
