//! Media playlist text (RFC 8216).

use std::fmt::Write;

use super::plan::micros;
use super::{OpenPlan, SegmentPlan};
use crate::clock::FrameRate;

/// The complete media playlist, every segment listed, written before the first one exists.
///
/// `uri` names segment k, relative to the playlist.
pub fn vod_playlist(plan: &SegmentPlan, uri: impl Fn(usize) -> String) -> String {
    let mut text = head(plan.target_duration(), "VOD");
    entries(&mut text, plan.len(), |k| plan.duration_micros(k), uri);
    text.push_str("#EXT-X-ENDLIST\n");
    text
}

/// The growing media playlist of the first `ready` segments, for players that cannot wait for a segment.
///
/// It ends (`EXT-X-ENDLIST`) when every planned segment is in it, or when `ended` says that no more will
/// come. Its target duration is that of the whole plan and never changes (RFC 8216 §6.2.1).
pub fn event_playlist(
    plan: &SegmentPlan,
    ready: usize,
    ended: bool,
    uri: impl Fn(usize) -> String,
) -> String {
    let ready = ready.min(plan.len());
    let mut text = head(plan.target_duration(), "EVENT");
    entries(&mut text, ready, |k| plan.duration_micros(k), uri);
    if ended || ready == plan.len() {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// The growing media playlist of the first `ready` segments of a clip whose end nobody knows until it has `ended`.
pub fn open_playlist(plan: &OpenPlan, ready: usize, ended: bool, uri: impl Fn(usize) -> String) -> String {
    let mut text = head(plan.target_duration(), "EVENT");
    entries(&mut text, ready.min(plan.ends().len()), |k| plan.duration_micros(k), uri);
    if ended {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

/// Where the segments of a playlist of ours end, in frames, with the names of their files.
///
/// `None` for any text that this module does not write for frames at `frame_rate`.
pub fn listed_ends(text: &str, frame_rate: FrameRate) -> Option<Vec<(u64, &str)>> {
    let mut lines = text.lines();
    let known = ["#EXTM3U", "#EXT-X-VERSION:6"];
    if !known.into_iter().all(|line| lines.next() == Some(line)) {
        return None;
    }
    let (mut ends, mut total) = (Vec::new(), 0u64);
    while let Some(line) = lines.next() {
        let Some(duration) = line.strip_prefix("#EXTINF:") else {
            if !line.starts_with('#') {
                return None;
            }
            continue;
        };
        let (secs, fraction) = duration.strip_suffix(',')?.split_once('.')?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse::<u64>().ok());
        let fraction = (fraction.len() == 6).then(|| digits(fraction)).flatten().flatten()?;
        total = digits(secs).flatten()?.checked_mul(1_000_000)?.checked_add(fraction)?.checked_add(total)?;
        // Boundaries are rounded to the microsecond, each once, so this frame is the only candidate.
        let den = u128::from(frame_rate.den()) * 1_000_000;
        let frame = (u128::from(total) * u128::from(frame_rate.num()) + den / 2) / den;
        let frame = u64::try_from(frame).ok().filter(|&frame| micros(frame, frame_rate) == total)?;
        ends.push((frame, lines.next()?));
    }
    Some(ends)
}

fn head(target_duration: u64, kind: &str) -> String {
    // Version 6: EXT-X-INDEPENDENT-SEGMENTS in a media playlist (RFC 8216 §7).
    format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{target_duration}\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-PLAYLIST-TYPE:{kind}\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    )
}

fn entries(
    text: &mut String,
    count: usize,
    duration_micros: impl Fn(usize) -> u64,
    uri: impl Fn(usize) -> String,
) {
    for k in 0..count {
        let micros = duration_micros(k);
        let (secs, micros) = (micros / 1_000_000, micros % 1_000_000);
        writeln!(text, "#EXTINF:{secs}.{micros:06},\n{}", uri(k)).expect("writing to a String cannot fail");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::{Speed, Timeline};
    use crate::{FrameRate, SampleRate};

    fn plan() -> SegmentPlan {
        let timeline = Timeline::new(16_000 * 3 + 1, SampleRate::SPEECH, FrameRate::PAL).unwrap();
        SegmentPlan::new(timeline, Speed(2000))
    }

    #[test]
    fn golden_vod_playlist() {
        let text = vod_playlist(&plan(), |k| format!("segment_{k:05}.ts"));
        assert_eq!(
            text,
            "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n\
             #EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXTINF:0.320000,\nsegment_00000.ts\n#EXTINF:0.640000,\nsegment_00001.ts\n\
             #EXTINF:1.280000,\nsegment_00002.ts\n#EXTINF:0.800000,\nsegment_00003.ts\n#EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn open_playlist_grows_by_appending_and_says_when_it_ends() {
        let mut plan = OpenPlan::new(FrameRate::PAL, Speed(1000));
        let mut before = String::new();
        for frames in [8, 8, 9] {
            let text = open_playlist(&plan, usize::MAX, false, |k| format!("{k}.ts"));
            assert!(text.starts_with(&before) && !text.contains("ENDLIST"));
            before = text;
            plan.close(frames);
        }
        let text = open_playlist(&plan, usize::MAX, true, |k| format!("{k}.ts"));
        assert!(text.starts_with(&before), "{text}");
        assert!(text.ends_with("#EXTINF:0.360000,\n2.ts\n#EXT-X-ENDLIST\n"), "{text}");
    }

    #[test]
    fn ends_are_read_back_from_our_own_playlists_only() {
        for (num, den) in [(25, 1), (30_000, 1001), (60, 1), (7, 3)] {
            let rate = FrameRate::new(num, den).unwrap();
            let plan = SegmentPlan::new(Timeline::from_frames(500, rate).unwrap(), Speed(1700));
            let name = |k| format!("segment_{k:05}.ts");
            let listed = |text: &str| {
                listed_ends(text, rate).map(|ends| ends.iter().map(|(end, _)| *end).collect::<Vec<_>>())
            };
            let text = vod_playlist(&plan, name);
            assert_eq!(listed(&text).as_deref(), Some(plan.ends()));
            assert_eq!(listed_ends(&text, rate).unwrap()[2].1, name(2));
            assert_eq!(listed(&event_playlist(&plan, 2, true, name)).as_deref(), Some(&plan.ends()[..2]));
            // Control: another clock, another author.
            if num != 60 {
                assert_eq!(listed_ends(&text, FrameRate::new(60, 1).unwrap()), None);
            }
            assert_eq!(listed_ends("#EXTM3U\n#EXTINF:4,\nmovie.ts\n", rate), None);
            assert_eq!(listed_ends(&text.replace(".ts", ".ts\nmore"), rate), None);
        }
    }

    #[test]
    fn event_playlist_grows_by_appending() {
        let plan = plan();
        let mut before = String::new();
        for ready in 0..plan.len() {
            let text = event_playlist(&plan, ready, false, |k| format!("{k}.ts"));
            assert!(text.starts_with(&before) && !text.contains("ENDLIST"));
            before = text;
        }
        assert!(
            event_playlist(&plan, plan.len(), false, |k| format!("{k}.ts")).ends_with("#EXT-X-ENDLIST\n")
        );
        assert!(event_playlist(&plan, 1, true, |k| format!("{k}.ts")).ends_with("#EXT-X-ENDLIST\n"));
    }
}
