//! Segments as other people's software reads them: ffmpeg and ffprobe. Skipped aloud where they are missing.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::io::Write;

use bytes::Bytes;
use common::{Clip, assert_decodes_silently, decode_pictures, decode_sound, have, probe, psnr, values};
use headcast_core::FrameRate;
use headcast_core::timeline::vod_playlist;
use headcast_media::aac::Channels;
use headcast_media::store::{Folder, SegmentStore, file_name};

fn write(name: &str, segments: &[Bytes]) -> tempfile::NamedTempFile {
    let mut file = tempfile::Builder::new().prefix(name).suffix(".ts").tempfile().unwrap();
    segments.iter().for_each(|segment| file.write_all(segment).unwrap());
    file.flush().unwrap();
    file
}

#[test]
fn joins_have_no_gap_and_no_overlap() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    for (num, den, frames) in
        [(25, 1, 77), (24, 1, 61), (30_000, 1001, 75), (60, 1, 131), (25, 1, 1), (25, 1, 9)]
    {
        let rate = FrameRate::new(num, den).unwrap();
        let clip = Clip::new(160, 96, frames, rate);
        let file = write("joins", &clip.segments());
        assert_decodes_silently(file.path());

        let lines = probe(file.path(), &["-select_streams", "v", "-show_entries", "packet=pts,flags"]);
        let pts: Vec<u64> = values(&lines, "pts").iter().map(|p| p.parse().unwrap()).collect();
        let expected: Vec<u64> =
            (0..frames).map(|i| 900_000 + i * 90_000 * u64::from(den) / u64::from(num)).collect();
        assert_eq!(pts, expected, "{rate} fps: every picture, one frame apart");
        let keys: Vec<u64> = values(&lines, "flags")
            .iter()
            .enumerate()
            .filter(|(_, flags)| flags.starts_with('K'))
            .map(|(i, _)| i as u64)
            .collect();
        let starts: Vec<u64> = (0..clip.plan.len()).map(|k| clip.plan.frames(k).unwrap().start).collect();
        assert_eq!(keys, starts, "{rate} fps: a key picture at each start and nowhere else");

        let lines = probe(file.path(), &["-select_streams", "a", "-show_entries", "packet=pts,duration"]);
        let pts: Vec<u64> = values(&lines, "pts").iter().map(|p| p.parse().unwrap()).collect();
        let expected: Vec<u64> = (0..clip.units.len() as u64).map(|j| 900_000 + 1920 * j).collect();
        assert_eq!(pts, expected, "{rate} fps: every access unit, 1024 samples apart");

        let lines = probe(file.path(), &["-show_entries", "stream=codec_type,start_time,duration"]);
        // A transport stream lists the streams once more, under their program.
        let starts = values(&lines, "start_time");
        assert!(
            starts.len() >= 2 && starts.iter().all(|s| *s == "10.000000"),
            "both start together: {starts:?}"
        );
        if frames > 1 {
            let video: f64 = values(&lines, "duration")[0].parse().unwrap();
            assert!((video - clip.secs()).abs() < 0.001, "{rate} fps: {video} s for {} s", clip.secs());
        }
    }
}

#[test]
fn the_playlist_plays() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    let clip = Clip::new(160, 96, 77, FrameRate::PAL);
    let folder = tempfile::tempdir().unwrap();
    let store = Folder::open(folder.path()).unwrap();
    // Last first: the order of making them cannot matter.
    (0..clip.plan.len()).rev().for_each(|k| store.put(k, clip.segment(k)).unwrap());
    let playlist = folder.path().join("index.m3u8");
    std::fs::write(&playlist, vod_playlist(&clip.plan, file_name)).unwrap();
    assert_decodes_silently(&playlist);
    let lines = probe(&playlist, &["-show_entries", "format=duration"]);
    assert_eq!(values(&lines, "duration"), [format!("{:.6}", clip.secs())]);
    let lines = probe(&playlist, &["-count_packets", "-show_entries", "stream=nb_read_packets"]);
    assert!(values(&lines, "nb_read_packets").contains(&"77"));
}

#[test]
fn a_broken_join_is_noticed() {
    if !have(&["ffmpeg"]) {
        return;
    }
    let clip = Clip::new(160, 96, 77, FrameRate::PAL);
    let mut segments = clip.segments();
    // Control: a packet of the first picture less, and ffmpeg does complain.
    let at = 188 * 4;
    segments[1] = [&segments[1][..at], &segments[1][at + 188..]].concat().into();
    let file = write("broken", &segments);
    let path = file.path().to_str().unwrap();
    let output = std::process::Command::new("ffmpeg")
        .args(["-v", "warning", "-i", path, "-f", "null", "-"])
        .output()
        .unwrap();
    assert_ne!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn colours_and_sizes_are_signalled_and_pictures_are_good() {
    if !have(&["ffmpeg", "ffprobe"]) {
        return;
    }
    // Constant quality 24 on smooth pictures, over RGB, chroma subsampling included; the smaller the picture, the
    // steeper its gradients.
    let sizes = [
        (450, 450, 9, 42.0),
        (451, 333, 9, 42.0),
        (64, 64, 9, 39.0),
        (1920, 1080, 3, 43.0),
        (16, 16, 9, 33.0),
    ];
    for (width, height, frames, floor_db) in sizes {
        let clip = Clip::new(width, height, frames, FrameRate::PAL);
        let file = write("colour", &clip.segments());
        assert_decodes_silently(file.path());
        let (shown_width, shown_height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        let entries = "stream=width,height,color_range,color_space,color_transfer,color_primaries,profile,\
                       chroma_location,r_frame_rate,avg_frame_rate,has_b_frames,pix_fmt";
        let lines = probe(file.path(), &["-select_streams", "v", "-show_entries", entries]);
        for (key, value) in [
            ("width", shown_width.to_string().as_str()),
            ("height", shown_height.to_string().as_str()),
            ("color_range", "tv"),
            ("color_space", "bt709"),
            ("color_transfer", "bt709"),
            ("color_primaries", "bt709"),
            ("chroma_location", "center"),
            ("pix_fmt", "yuv420p"),
            ("profile", "Main"),
            ("has_b_frames", "0"),
            ("r_frame_rate", "25/1"),
            ("avg_frame_rate", "25/1"),
        ] {
            // A transport stream lists its program's streams twice.
            assert!(values(&lines, key).iter().all(|v| *v == value), "{width}x{height}: {key} in {lines:?}");
            assert!(!values(&lines, key).is_empty(), "{width}x{height}: {key}");
        }
        let pictures = decode_pictures(file.path(), shown_width, shown_height);
        assert_eq!(pictures.len() as u64, frames);
        let mut worst = f64::MAX;
        for (index, picture) in (0..).zip(&pictures) {
            let found = psnr(&clip.frame(index), picture, shown_width);
            worst = worst.min(found);
        }
        println!("{width}x{height}: {worst:.2} dB at worst");
        assert!(worst >= floor_db, "{width}x{height}: {worst} dB");
        // Control: a later frame is another picture.
        let next = psnr(&clip.frame(8), &pictures[0], shown_width);
        assert!(next < floor_db, "{width}x{height}: frame 8 passes for frame 0 at {next} dB");
    }
}

#[test]
fn a_click_is_heard_when_it_was_made() {
    if !have(&["ffmpeg"]) {
        return;
    }
    // In the first access unit, in the middle of one, around a cut (8 frames = 15,360 samples), near the end.
    let clicks = [1500, 9_000, 15_360, 30_719, 60_011];
    for channels in [Channels::Mono, Channels::Stereo] {
        let sound = |sample: usize| {
            // A Hann pulse of 0.3 ms with its peak at the click.
            clicks
                .iter()
                .map(|&click| {
                    let distance = sample.abs_diff(click);
                    #[expect(clippy::cast_precision_loss, reason = "below 8")]
                    let phase = distance as f32 / 8.0;
                    if distance < 8 { 0.4 * (1.0 + (phase * std::f32::consts::PI).cos()) } else { 0.0 }
                })
                .sum::<f32>()
        };
        let clip = Clip::with_sound(64, 64, 40, FrameRate::PAL, channels, &sound);
        let file = write("click", &clip.segments());
        let samples = decode_sound(file.path(), &[]);
        let count = channels.count();
        assert_eq!(samples.len(), clip.units.len() * 1024 * count);
        for click in clicks {
            let near = click - 700..click + 700;
            let peak = near.max_by(|a, b| samples[a * count].total_cmp(&samples[b * count])).unwrap();
            let off = peak.abs_diff(click);
            println!("{channels:?}: click at {click} heard at {peak}");
            assert!(off <= 4, "{channels:?}: click at {click} heard at {peak}, {off} samples off");
            assert!(
                samples[peak * count] > 0.3,
                "{channels:?}: click at {click} is only {}",
                samples[peak * count]
            );
        }
    }
}
