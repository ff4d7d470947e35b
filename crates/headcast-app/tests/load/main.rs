//! Many viewers of one job, and long clips, with the real program: no error, every byte, and little memory.
//!
//! The short form of `cargo bench -p headcast-app --bench viewers` and `--bench memory`, without a clock. Memory is read from `/proc`, so what
//! is said about it is only tested on Linux.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

#[allow(dead_code, unreachable_pub, reason = "shared with the benches, which need more of it")]
mod clip;
mod render;
#[path = "../crash/server.rs"]
#[allow(dead_code, reason = "the crash tests need more of it")]
mod server;
#[allow(dead_code, unreachable_pub, reason = "shared with the benches, which need more of it")]
mod viewer;
#[allow(dead_code, unreachable_pub, reason = "shared with the benches, which need more of it")]
mod watch;

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clip::recording;
use server::{Output, Server, data_folder};
use viewer::{Kind, Pace};

/// 40 viewers of one job while it renders, half of them as players that are held and half as our page. Every segment
/// that any of them got is the one that is stored.
#[test]
fn forty_viewers_get_every_byte_and_cost_little_memory() {
    const VIEWERS: usize = 40;
    // Of each viewer: two connections, and a piece of a segment.
    const PER_VIEWER: u64 = 256 << 10;
    // Of all: the segments that are kept for everyone, and room for the allocator.
    const TOGETHER: u64 = 32 << 20;
    let dir = data_folder();
    // A given speed, or the plan would depend on how busy the machine is.
    let server = Arc::new(Server::start(dir.path(), &["--assume-fps", "30"]));
    let audio = recording(8);
    let alone = Output::of(&server, &server.post(&audio).unwrap());
    let before = watch::peak_bytes(server.id());

    let id = server.post(&audio).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let seen = runtime.block_on(async {
        let viewers: Vec<_> = (0..VIEWERS)
            .map(|n| {
                let kind = if n % 2 == 0 { Kind::Player } else { Kind::Page };
                let pace = Pace { first: n % 4, ahead_secs: 60.0, speed: f64::INFINITY };
                let (address, id, stop) = (server.address().to_owned(), id.clone(), Arc::clone(&stop));
                tokio::spawn(async move { (pace, viewer::watch(&address, &id, kind, pace, &stop).await) })
            })
            .collect();
        let mut seen = Vec::new();
        for viewer in viewers {
            seen.push(viewer.await.unwrap());
        }
        seen
    });
    let output = Output::of(&server, &id);
    assert!(output == alone, "viewers change nothing");
    for (pace, seen) in seen {
        let seen = seen.unwrap();
        assert_eq!(
            seen.keys().copied().collect::<Vec<_>>(),
            (pace.first..output.segments.len()).collect::<Vec<_>>()
        );
        for (index, (bytes, digest)) in seen {
            let stored = &output.segments[index];
            assert_eq!((bytes, digest), (stored.len() as u64, viewer::digest(stored)), "segment {index}");
        }
    }
    // Control: the digest sees one changed byte.
    let mut changed = output.segments[0].clone();
    changed[1000] ^= 1;
    assert_ne!(viewer::digest(&changed), viewer::digest(&output.segments[0]));
    let (Some(before), Some(after)) = (before, watch::peak_bytes(server.id())) else {
        return println!("SKIPPED: memory is not to be read on this system");
    };
    println!("peak {} MB before, {} MB with {VIEWERS} viewers", before >> 20, after >> 20);
    let bound = before + TOGETHER + PER_VIEWER * VIEWERS as u64;
    assert!(after <= bound, "{after} bytes at the peak, {before} without viewers");
}

/// Five minutes more, and memory for less than the features of them.
#[test]
fn a_longer_clip_takes_no_more_memory() {
    const SHORT: u32 = 60;
    const LONG: u32 = SHORT + 300;
    // An hour may take 50 MB more, so five minutes a twelfth of that. Another 4 MB are the allocator's, which has one heap
    // for all threads: with more, each that ever held a video encoder would take 6.5 MB.
    const BOUND: u64 = 8 << 20;
    assert!(clip::features(LONG - SHORT).len() as u64 > BOUND, "to hold the features is to fail");
    let dir = data_folder();
    let peak = |secs| {
        let place = tempfile::tempdir().unwrap();
        render::peak(render::command(dir.path(), place.path(), secs, true))
    };
    let (Some(short), Some(long)) = (peak(SHORT), peak(LONG)) else {
        return println!("SKIPPED: memory is not to be read on this system");
    };
    println!("peak {} kB for {SHORT} s, {} kB for {LONG} s", short >> 10, long >> 10);
    assert!(long <= short + BOUND, "{long} bytes at the peak, {short} for the short clip");
    // Control: what takes less memory is seen to.
    let mut command = Command::new(env!("CARGO_BIN_EXE_headcast"));
    command.arg("--help").stdout(Stdio::null());
    assert!(render::peak(command).is_none_or(|idle| idle < short / 2));
}
