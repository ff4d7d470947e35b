//! The MP4 file as other people's software reads it: ffmpeg and ffprobe. Skipped aloud where they are missing.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::io::Write;

use common::{Clip, assert_decodes_silently, decode_pictures, decode_sound, have, probe, values};
use headcast_core::FrameRate;
use headcast_media::{mp4, ts};

fn remux(clip: &Clip) -> (Vec<u8>, mp4::Layout) {
    let segments = clip.segments();
    let mut index = mp4::Index::new(&clip.config, &clip.plan);
    segments.iter().for_each(|segment| index.push(segment).unwrap());
    let layout = index.finish().unwrap();
    let mut file = layout.header().to_vec();
    for (k, segment) in segments.iter().enumerate() {
        assert_eq!(layout.payload_range(k).unwrap().start, file.len() as u64);
        file.extend_from_slice(&layout.payload(k, segment).unwrap());
    }
    assert_eq!(layout.total_len(), file.len() as u64);
    (file, layout)
}

fn write(bytes: &[u8], suffix: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().suffix(suffix).tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn both_tracks_start_and_end_together() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    for (num, den, frames) in [(25, 1, 77), (24, 1, 61), (30_000, 1001, 75), (25, 1, 1), (25, 1, 9)] {
        let rate = FrameRate::new(num, den).unwrap();
        let clip = Clip::new(160, 96, frames, rate);
        let (bytes, _) = remux(&clip);
        let file = write(&bytes, ".mp4");
        assert_decodes_silently(file.path());

        let entries = "stream=codec_type,start_time,duration,nb_frames,color_range,color_space,color_transfer,\
                       color_primaries,r_frame_rate,codec_tag_string:format=duration,start_time";
        let lines = probe(file.path(), &["-show_entries", entries]);
        assert_eq!(values(&lines, "start_time"), ["0.000000"; 3], "{rate} fps");
        for duration in values(&lines, "duration") {
            let duration: f64 = duration.parse().unwrap();
            // ffprobe rounds to the microsecond, and the format's length to its own clock.
            assert!((duration - clip.secs()).abs() < 2e-6, "{rate} fps: {duration} s for {} s", clip.secs());
        }
        assert_eq!(values(&lines, "nb_frames"), [frames.to_string(), clip.units.len().to_string()]);
        assert_eq!(values(&lines, "codec_tag_string"), ["avc1", "mp4a"]);
        assert_eq!(values(&lines, "r_frame_rate")[0], rate_text(rate));
        for (key, value) in [
            ("color_range", "tv"),
            ("color_space", "bt709"),
            ("color_transfer", "bt709"),
            ("color_primaries", "bt709"),
        ] {
            assert_eq!(values(&lines, key)[0], value);
        }

        // No steps but frame to frame and unit to unit.
        let lines = probe(file.path(), &["-select_streams", "v", "-show_entries", "packet=pts,dts,duration"]);
        let pts: Vec<i64> = values(&lines, "pts").iter().map(|p| p.parse().unwrap()).collect();
        let delta: i64 = values(&lines, "duration")[0].parse().unwrap();
        assert_eq!(pts, (0..frames.cast_signed()).map(|i| i * delta).collect::<Vec<_>>());
        assert_eq!(values(&lines, "pts"), values(&lines, "dts"));
        let lines = probe(file.path(), &["-select_streams", "a", "-show_entries", "packet=pts"]);
        let pts: Vec<i64> = values(&lines, "pts").iter().map(|p| p.parse().unwrap()).collect();
        assert_eq!(pts, (0..clip.units.len()).map(|j| 1024 * j.cast_signed() as i64).collect::<Vec<_>>());

        // Both end with the last frame: the last access unit is shorter, to the sample.
        let lines = probe(
            file.path(),
            &["-select_streams", "a", "-show_entries", "packet=duration:stream=duration_ts"],
        );
        let samples = clip.plan.timeline().samples(headcast_core::SampleRate::AAC);
        let last: u64 = values(&lines, "duration").last().unwrap().parse().unwrap();
        assert_eq!((clip.units.len() as u64 - 1) * 1024 + last, samples, "{rate} fps");
        assert_eq!(values(&lines, "duration_ts"), [samples.to_string()]);
    }
}

fn rate_text(rate: FrameRate) -> String {
    format!("{}/{}", rate.num(), rate.den())
}

/// What there is of a clip, whose cuts of picture and sound do not meet.
#[test]
fn a_part_from_the_start_is_a_file() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    for (num, den) in [(25, 1), (24, 1), (30_000, 1001)] {
        let rate = FrameRate::new(num, den).unwrap();
        let clip = Clip::new(160, 96, 200, rate);
        for count in 1..clip.plan.len() {
            let mut index = mp4::Index::new(&clip.config, &clip.plan);
            (0..count).for_each(|k| index.push(&clip.segment(k)).unwrap());
            let layout = index.finish_early().unwrap();
            let mut bytes = layout.header().to_vec();
            (0..count).for_each(|k| bytes.extend_from_slice(&layout.payload(k, &clip.segment(k)).unwrap()));
            assert_eq!(layout.total_len(), bytes.len() as u64);
            let file = write(&bytes, ".mp4");
            assert_decodes_silently(file.path());
            let frames = clip.plan.ends()[count - 1];
            let lines = probe(file.path(), &["-select_streams", "v", "-show_entries", "stream=nb_frames"]);
            assert_eq!(values(&lines, "nb_frames"), [frames.to_string()], "{rate} fps");
        }
        let none = mp4::Index::new(&clip.config, &clip.plan).finish_early();
        assert!(matches!(none, Err(mp4::Error::Incomplete { found: 0, .. })));
    }
}

#[test]
fn the_index_comes_first() {
    let (bytes, layout) = remux(&Clip::new(64, 64, 20, FrameRate::PAL));
    let mut kinds = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        kinds.push(bytes[at + 4..at + 8].to_vec());
        at += u32::from_be_bytes(*bytes[at..].first_chunk().unwrap()) as usize;
    }
    assert_eq!(at, bytes.len());
    assert_eq!(kinds, [b"ftyp", b"moov", b"mdat"]);
    assert!(bytes.starts_with(&layout.header()));
}

#[test]
fn pictures_and_sound_are_those_of_the_segments() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let clip = Clip::new(160, 96, 30, FrameRate::PAL);
    let (bytes, _) = remux(&clip);
    let (ts, mp4) = (write(&clip.segments().concat(), ".ts"), write(&bytes, ".mp4"));
    let pictures = decode_pictures(mp4.path(), 160, 96);
    assert_eq!(pictures.len(), 30);
    assert!(pictures == decode_pictures(ts.path(), 160, 96));
    let (sound, whole) = (decode_sound(mp4.path(), &[]), decode_sound(ts.path(), &[]));
    assert!(sound.len() <= whole.len() && sound == whole[..sound.len()]);
    // Control: the pictures do differ from each other.
    assert_ne!(pictures[0], pictures[29]);
}

#[test]
fn segments_out_of_place_are_refused() {
    let clip = Clip::new(64, 64, 40, FrameRate::PAL);
    let other = Clip::new(80, 64, 40, FrameRate::PAL);
    let segments = clip.segments();
    let mut index = mp4::Index::new(&clip.config, &clip.plan);
    assert!(matches!(index.push(&segments[1]), Err(mp4::Error::WrongSegment { segment: 0, .. })));
    index.push(&segments[0]).unwrap();
    assert!(matches!(index.push(&other.segment(1)), Err(mp4::Error::WrongSegment { segment: 1, .. })));
    assert!(matches!(index.push(&segments[1][1..]), Err(mp4::Error::Demux { segment: 1, .. })));
    index.push(&segments[1]).unwrap();
    let incomplete = mp4::Index::new(&clip.config, &clip.plan).finish();
    assert!(matches!(incomplete, Err(mp4::Error::Incomplete { found: 0, .. })));
    segments[2..].iter().for_each(|segment| index.push(segment).unwrap());
    assert!(matches!(index.push(&segments[0]), Err(mp4::Error::WrongSegment { .. })));
    let layout = index.finish().unwrap();
    assert!(layout.payload(0, &segments[0]).is_ok());
    assert!(layout.payload(1, &segments[0]).is_err());
    assert!(matches!(layout.payload(99, &segments[0]), Err(mp4::Error::NoSuchSegment { .. })));
    assert_eq!(layout.payload_range(99), None);
}

#[test]
fn ranges_of_the_file_name_their_segments() {
    let clip = Clip::new(64, 64, 77, FrameRate::PAL);
    let (_, layout) = remux(&clip);
    let header = layout.header().len() as u64;
    let count = clip.plan.len();
    assert_eq!(layout.segments_in(0..header), 0..0);
    assert_eq!(layout.segments_in(0..header + 1), 0..1);
    assert_eq!(layout.segments_in(0..layout.total_len()), 0..count);
    assert_eq!(layout.segments_in(0..u64::MAX), 0..count);
    assert!(layout.segments_in(layout.total_len()..u64::MAX).is_empty());
    for k in 0..count {
        let range = layout.payload_range(k).unwrap();
        assert_eq!(layout.segments_in(range.clone()), k..k + 1);
        assert_eq!(layout.segments_in(range.end - 1..range.end), k..k + 1);
    }
    // The header is the same for every segment: what a held request is answered with.
    assert!(clip.segments().iter().all(|segment| segment.starts_with(&ts::head(true))));
}
