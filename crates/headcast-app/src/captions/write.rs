//! `WebVTT` (W3C) and `SubRip`.

use std::fmt::Write as _;

use super::Cue;
use super::lines::fitted;

/// A `WebVTT` file (W3C, §4): UTF-8, with a cue for what fits on two lines.
pub fn webvtt(cues: &[Cue]) -> String {
    let mut text = "WEBVTT\n".to_owned();
    for Cue { start_ms, end_ms, text: words } in fitted(cues) {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n{} --> {}\n{}\n", time(start_ms, '.'), time(end_ms, '.'), escaped(&words));
    }
    text
}

/// A `SubRip` file: numbers from 1, a comma before the milliseconds, CR LF at the end of a line as the players of televisions
/// want it. It has no escapes: `<` and `{` begin tags in many players, so look-alikes stand for them.
pub fn srt(cues: &[Cue]) -> String {
    let mut text = String::new();
    for (number, Cue { start_ms, end_ms, text: words }) in (1..).zip(fitted(cues)) {
        let words = words
            .replace('<', "‹")
            .replace('>', "›")
            .replace('{', "(")
            .replace('}', ")")
            .replace('\n', "\r\n");
        // Writing to a String cannot fail.
        let _ =
            write!(text, "{number}\r\n{} --> {}\r\n{words}\r\n\r\n", time(start_ms, ','), time(end_ms, ','));
    }
    text
}

/// Hours, minutes, seconds, milliseconds.
fn time(millis: u64, point: char) -> String {
    let secs = millis / 1000;
    format!("{:02}:{:02}:{:02}{point}{:03}", secs / 3600, secs / 60 % 60, secs % 60, millis % 1000)
}

/// Cue text in which nothing is a tag (§4.2.2) and no line ends the cue: escaped, `-->` cannot occur.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cues() -> Vec<Cue> {
        let cue = |start_ms, end_ms, text: &str| Cue { start_ms, end_ms, text: text.to_owned() };
        vec![cue(0, 1500, "Hello & <b>goodbye</b>."), cue(3_723_004, 3_725_000, "a --> b {\\an8}")]
    }

    #[test]
    fn web_vtt_as_the_w3c_writes_it() {
        let wanted = "WEBVTT\n\n00:00:00.000 --> 00:00:01.500\nHello &amp; &lt;b&gt;goodbye&lt;/b&gt;.\n\n\
                      01:02:03.004 --> 01:02:05.000\na --&gt; b {\\an8}\n";
        assert_eq!(webvtt(&cues()), wanted);
        assert_eq!(webvtt(&[]), "WEBVTT\n");
    }

    #[test]
    fn sub_rip_as_players_read_it() {
        let wanted = "1\r\n00:00:00,000 --> 00:00:01,500\r\nHello & ‹b›goodbye‹/b›.\r\n\r\n\
                      2\r\n01:02:03,004 --> 01:02:05,000\r\na --› b (\\an8)\r\n\r\n";
        assert_eq!(srt(&cues()), wanted);
    }
}
