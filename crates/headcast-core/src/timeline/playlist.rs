//! Media playlist text (RFC 8216).

use std::fmt::Write;

use super::SegmentPlan;

/// The complete media playlist, every segment listed, written before the first one exists.
///
/// `uri` names segment k, relative to the playlist.
pub fn vod_playlist(plan: &SegmentPlan, uri: impl Fn(usize) -> String) -> String {
    let mut text = head(plan, "VOD");
    entries(&mut text, plan, plan.len(), uri);
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
    let mut text = head(plan, "EVENT");
    entries(&mut text, plan, ready, uri);
    if ended || ready == plan.len() {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

fn head(plan: &SegmentPlan, kind: &str) -> String {
    // Version 6: EXT-X-INDEPENDENT-SEGMENTS in a media playlist (RFC 8216 §7).
    format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:{}\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-PLAYLIST-TYPE:{kind}\n#EXT-X-INDEPENDENT-SEGMENTS\n",
        plan.target_duration()
    )
}

fn entries(text: &mut String, plan: &SegmentPlan, count: usize, uri: impl Fn(usize) -> String) {
    for k in 0..count {
        let micros = plan.duration_micros(k);
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
