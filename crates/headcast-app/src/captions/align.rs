//! A known text over a recording: when each sentence is heard, about.

use std::ops::Range;

use super::Cue;
use crate::voices::sentences::{columns, sentences};

/// A pause that may be one between sentences, in milliseconds.
const PAUSE_MS: u64 = 160;

/// How far the end of a sentence is moved to a pause: of the time that the sentence takes, at most this share.
const REACH: u64 = 3;

/// Sentences of `text` over a recording of `length_ms`, by their lengths, with their ends moved to pauses of the sound.
/// That is a guess: good where a speaker's pace is even and pauses are between sentences, off by a word or more where not.
///
/// * `loudness`: of each 10 ms of the sound, its mean absolute sample.
pub fn align(text: &str, loudness: &[f32]) -> Vec<Cue> {
    let sentences = sentences(text);
    let length_ms = loudness.len() as u64 * STEP_MS;
    let (quiet, speech) = quiet(loudness);
    let total: u64 = sentences.iter().map(|sentence| columns(sentence.words).max(1) as u64).sum();
    if sentences.is_empty() || length_ms == 0 {
        return Vec::new();
    }
    let span = speech.end - speech.start;
    let mut before = 0;
    let mut start_ms = speech.start;
    let last = sentences.len() - 1;
    let mut cues = Vec::new();
    for (k, sentence) in sentences.iter().enumerate() {
        let weight = columns(sentence.words).max(1) as u64;
        before += weight;
        let guess = speech.start + span * before / total;
        let reach = (span * weight / total / REACH).max(PAUSE_MS);
        let near = |pause: &&Range<u64>| pause.start > start_ms && middle(pause).abs_diff(guess) <= reach;
        let pause = quiet.iter().filter(near).min_by_key(|pause| middle(pause).abs_diff(guess));
        let (end_ms, next) = match pause {
            Some(pause) if k < last => (pause.start, pause.end),
            _ if k == last => (speech.end, speech.end),
            _ => (guess, guess),
        };
        let end_ms = end_ms.max(start_ms);
        cues.push(Cue {
            start_ms,
            end_ms,
            text: sentence.words.split_whitespace().collect::<Vec<_>>().join(" "),
        });
        start_ms = next.max(end_ms);
    }
    cues
}

fn middle(pause: &Range<u64>) -> u64 {
    u64::midpoint(pause.start, pause.end)
}

/// Milliseconds of one step of loudness.
pub const STEP_MS: u64 = 10;

/// Pauses within the speech, and where speech begins and ends, in milliseconds.
fn quiet(loudness: &[f32]) -> (Vec<Range<u64>>, Range<u64>) {
    let loudest = loudness.iter().copied().fold(0.0, f32::max);
    // 30 dB below the loudest tenth of a second is a pause in any recording that people make.
    let sounds: Vec<bool> = loudness.iter().map(|level| *level > loudest / 30.0).collect();
    let ms = |steps: usize| steps as u64 * STEP_MS;
    let (Some(first), Some(last)) = (sounds.iter().position(|s| *s), sounds.iter().rposition(|s| *s)) else {
        return (Vec::new(), 0..ms(loudness.len()));
    };
    let mut pauses = Vec::new();
    let mut begun = None;
    for (step, sounds) in sounds.iter().enumerate().take(last + 1).skip(first) {
        match (sounds, begun) {
            (false, None) => begun = Some(step),
            (true, Some(start)) => {
                if ms(step - start) >= PAUSE_MS {
                    pauses.push(ms(start)..ms(step));
                }
                begun = None;
            }
            _ => {}
        }
    }
    (pauses, ms(first)..ms(last + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Steps of speech and of silence in turn, speech first.
    fn sound(steps: &[usize]) -> Vec<f32> {
        let level = |k: usize| if k.is_multiple_of(2) { 0.2 } else { 0.001 };
        steps.iter().enumerate().flat_map(|(k, steps)| vec![level(k); *steps]).collect()
    }

    fn spans(text: &str, loudness: &[f32]) -> Vec<(u64, u64)> {
        align(text, loudness).iter().map(|cue| (cue.start_ms, cue.end_ms)).collect()
    }

    #[test]
    fn sentences_end_at_pauses() {
        // 1 s, a pause, 2 s, a pause, 1 s; and 0.3 s of silence at the ends.
        let loudness = [sound(&[0, 30]), sound(&[100, 40, 200, 40, 100, 30])].concat();
        let text = "Ten letters. Twenty letters, which is more. Ten again.";
        assert_eq!(spans(text, &loudness), [(300, 1300), (1700, 3700), (4100, 5100)]);
        // The control: without pauses, by length.
        let even = spans(text, &sound(&[500]));
        assert_eq!((even[0].0, even[2].1), (0, 5000));
        assert!(even.windows(2).all(|pair| pair[0].1 == pair[1].0));
        assert_ne!(even[0].1, 1300);
    }

    #[test]
    fn cues_follow_each_other_whatever_the_sound_is() {
        let text = "One. Two and three. 四。五六七八九十。 Eleven!";
        for steps in [&[1][..], &[50, 20, 1, 300, 2], &[3, 17, 3, 17, 3, 17, 3], &[0, 500]] {
            let cues = spans(text, &sound(steps));
            assert_eq!(cues.len(), 5, "{steps:?}");
            let length = steps.iter().sum::<usize>() as u64 * STEP_MS;
            let ordered = cues.windows(2).all(|pair| pair[0].1 <= pair[1].0);
            assert!(ordered && cues.iter().all(|cue| cue.0 <= cue.1 && cue.1 <= length), "{cues:?}");
        }
        assert_eq!(align("...", &sound(&[9])), []);
        assert_eq!(align("One.", &[]), []);
    }
}
