//! Peak memory of the real program over a minute and over an hour: `cargo bench -p headcast-app --bench memory [-- MINUTES]`.
//!
//! The avatar has 64x64 pixels, so that an hour is over soon; what grows with a clip does not depend on the size of its
//! pictures, but for the segments, of which a few are in memory whatever the length. Linux only: peaks are those of
//! `/proc`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops where it cannot go on"
)]

#[path = "../tests/load/clip.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod clip;
#[path = "../tests/crash/server.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod server;
#[path = "../tests/load/watch.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod watch;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use server::{Server, data_folder};

fn main() {
    let minutes = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(60);
    println!("peak resident memory, MB (64x64 pixels, 25 fps)\n");
    println!("{:<44}{:>8}{:>12}", "", "1 min", format!("{minutes} min"));
    let dir = data_folder();
    row("render", minutes, |minutes| render(dir.path(), minutes, false));
    row("render, features from a file", minutes, |minutes| render(dir.path(), minutes, true));
    row("serve: job", minutes, |minutes| serve(minutes, false));
    row("serve: job with uploaded features, video.mp4", minutes, |minutes| serve(minutes, true));
}

fn row(name: &str, minutes: u32, peak: impl Fn(u32) -> u64) {
    let started = Instant::now();
    let (short, long) = (peak(1), peak(minutes));
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!(
        "{name:<44}{:>8.1}{:>12.1}   {:+.1} MB, in {:.0} s",
        mb(short),
        mb(long),
        mb(long) - mb(short),
        started.elapsed().as_secs_f64()
    );
}

fn render(dir: &Path, minutes: u32, features: bool) -> u64 {
    let place = tempfile::tempdir().unwrap();
    let audio = place.path().join("clip.wav");
    std::fs::write(&audio, clip::recording(minutes * 60)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_headcast"));
    command.args(["render", "--quiet", "--avatar", "cube", "--audio"]).arg(&audio);
    if features {
        let file = place.path().join("clip.npy");
        std::fs::write(&file, clip::features(frames(minutes))).unwrap();
        command.arg("--features").arg(file);
    }
    command.arg("-o").arg(place.path().join("out")).arg("--data-dir").arg(dir).stdout(Stdio::null());
    let mut child = command.spawn().unwrap();
    let mut peak = 0;
    loop {
        // The peak only rises, so the last look counts.
        peak = watch::peak_bytes(child.id()).unwrap_or(peak);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn serve(minutes: u32, more: bool) -> u64 {
    let dir = data_folder();
    let server = Server::start(dir.path(), &[]);
    let features = more.then(|| clip::features(frames(minutes)));
    let id = server.post_with(&clip::recording(minutes * 60), features.as_deref()).unwrap();
    drop(features);
    let base = format!("/api/v1/jobs/{id}");
    let mut looks = 0;
    loop {
        let job = server.json(&base);
        match job["state"].as_str().unwrap() {
            "done" => break,
            "failed" | "cancelled" => panic!("{job}"),
            _ => {}
        }
        looks += 1;
        // Now and then, as somebody who cannot wait.
        if more && looks % 100 == 50 {
            server.get(&format!("{base}/video.mp4?partial=1"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    if more {
        let (status, _) = server.get(&format!("{base}/video.mp4"));
        assert_eq!(status, 200);
    }
    watch::peak_bytes(server.id()).unwrap()
}

fn frames(minutes: u32) -> usize {
    usize::try_from(minutes * 60 * 25).unwrap()
}
