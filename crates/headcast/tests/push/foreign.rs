//! Streams as other people's software reads them. Skipped aloud where it is missing.

use std::path::Path;
use std::process::Command;

use headcast::ClipFolder;
use headcast::core::FrameRate;
use headcast::push::{Length, Output, Settings, Stream};

use crate::{push, settings, silent, sound};

fn have_ffmpeg() -> bool {
    if Command::new("ffprobe").arg("-version").output().is_ok() {
        return true;
    }
    assert!(std::env::var_os("HEADCAST_REQUIRE_TOOLS").is_none(), "ffmpeg is required and not on PATH");
    println!("SKIPPED: ffmpeg is not on PATH");
    false
}

/// `key=value` lines of ffprobe, which may not complain.
fn probe(file: &Path, entries: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "warning", "-count_packets", "-show_entries", entries, "-of", "default=nw=1"])
        .arg(file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", file.display());
    String::from_utf8(output.stdout).unwrap()
}

fn decodes_silently(file: &Path) {
    let output = Command::new("ffmpeg")
        .args(["-v", "warning", "-xerror", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.is_empty(), "{}: {said}", file.display());
}

#[test]
fn playlists_and_videos_are_clean() {
    if !have_ffmpeg() {
        return;
    }
    let ntsc = FrameRate::new(30_000, 1001).unwrap();
    let lengths = [
        (Length::Sound(sound(3.0)), "75", true),
        (silent(75), "75", false),
        (Length::Open(FrameRate::PAL), "75", false),
        (Length::Open(ntsc), "75", false),
    ];
    for (length, frames, heard) in lengths {
        let folder = tempfile::tempdir().unwrap();
        let clip = ClipFolder::create(folder.path()).unwrap();
        let name = format!("{length:?}");
        let mut stream = Stream::open(Settings::new(64, 48, length), Output::Folder(clip.clone())).unwrap();
        push(&mut stream, 0..75);
        stream.finish().unwrap();
        for file in [clip.playlist_path(), clip.video_path()] {
            decodes_silently(&file);
            let streams = probe(&file, "stream=codec_type,nb_read_packets");
            assert!(
                streams.contains(&format!("codec_type=video\nnb_read_packets={frames}")),
                "{name}: {streams}"
            );
            assert_eq!(streams.contains("codec_type=audio"), heard, "{name}: {streams}");
        }
    }
}

#[test]
fn what_an_aborted_clip_left_is_clean() {
    if !have_ffmpeg() {
        return;
    }
    for (length, frames) in [(Length::Sound(sound(4.0)), 24), (Length::Open(FrameRate::PAL), 40)] {
        let folder = tempfile::tempdir().unwrap();
        let clip = ClipFolder::create(folder.path()).unwrap();
        let mut stream = Stream::open(settings(length), Output::Folder(clip.clone())).unwrap();
        push(&mut stream, 0..40);
        stream.abort("enough").unwrap();
        decodes_silently(&clip.playlist_path());
        let streams = probe(&clip.playlist_path(), "stream=nb_read_packets");
        assert!(streams.contains(&format!("nb_read_packets={frames}")), "{streams}");
        // Control: a playlist that promises more does not decode silently.
        let missing = clip.segments().segment_path(1);
        std::fs::remove_file(missing).unwrap();
        let output = Command::new("ffmpeg")
            .args(["-v", "warning", "-xerror", "-i"])
            .arg(clip.playlist_path())
            .args(["-f", "null", "-"])
            .output()
            .unwrap();
        assert!(!output.stderr.is_empty());
    }
}
