//! A stored segment, and what ffprobe said about it: our reader agrees, with or without ffprobe at hand.
//!
//! `HEADCAST_BLESS=1 cargo test -p headcast-media --test stored_report` makes both again.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::fmt::Write;
use std::path::{Path, PathBuf};

use common::Clip;
use headcast_core::FrameRate;
use headcast_media::ts;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/media").join(name)
}

fn bless() {
    std::fs::write(fixture("tiny.ts"), Clip::new(64, 48, 9, FrameRate::PAL).segment(0)).unwrap();
    let file = fixture("tiny.ts");
    let mut report = String::new();
    for stream in ["v", "a"] {
        let entries = ["-select_streams", stream, "-show_entries", "packet=pts,size,flags"];
        let lines = common::probe(&file, &entries);
        let column = |key| common::values(&lines, key);
        for ((pts, size), flags) in column("pts").iter().zip(column("size")).zip(column("flags")) {
            // Releases differ in how many other flags they print.
            let key = if flags.starts_with('K') { "key" } else { "-" };
            writeln!(report, "{stream} {pts} {size} {key}").unwrap();
        }
    }
    std::fs::write(fixture("tiny.ffprobe.txt"), report).unwrap();
}

/// Our reading in the words of the report. ffprobe counts the seven bytes of the ADTS header.
fn read(segment: &[u8]) -> String {
    let streams = ts::demux(segment).unwrap();
    let mut report = String::new();
    let mut line = |stream, unit: &ts::Unit, header| {
        let key = if unit.random_access { "key" } else { "-" };
        writeln!(report, "{stream} {} {} {key}", unit.pts, unit.data.len() + header).unwrap();
    };
    streams.video.iter().for_each(|unit| line("v", unit, 0));
    streams.audio.iter().for_each(|unit| line("a", unit, 7));
    report
}

#[test]
fn our_reader_agrees_with_the_stored_report() {
    if std::env::var_os("HEADCAST_BLESS").is_some() {
        bless();
    }
    let segment = std::fs::read(fixture("tiny.ts")).unwrap();
    let report = std::fs::read_to_string(fixture("tiny.ffprobe.txt")).unwrap();
    assert_eq!(read(&segment), report);
    // Control: another segment reads otherwise.
    assert_ne!(read(&Clip::new(64, 48, 40, FrameRate::PAL).segment(1)), report);
}
