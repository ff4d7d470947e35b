//! Peak memory of the real program over a minute and over an hour: `cargo bench -p headcast-app --bench memory [-- MINUTES
//! [ROW]]`, where ROW is a part of the name of the rows that are wanted.
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
#[path = "../tests/load/render.rs"]
mod render;
#[path = "../tests/crash/server.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod server;
#[path = "../tests/load/watch.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod watch;

use std::path::Path;
use std::time::{Duration, Instant};

use server::{Server, data_folder};

fn main() {
    let minutes = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(60);
    println!("peak resident memory, MB (64x64 pixels, 25 fps)\n");
    println!("{:<44}{:>8}{:>12}", "", "1 min", format!("{minutes} min"));
    let dir = data_folder();
    let wanted = std::env::args()
        .skip(1)
        .find(|argument| !argument.starts_with('-') && argument.parse::<u32>().is_err());
    let row = |name: &str, peak: &dyn Fn(u32) -> u64| {
        if wanted.as_ref().is_none_or(|wanted| name.contains(wanted)) {
            row(name, minutes, peak);
        }
    };
    row("render", &|minutes| render(dir.path(), minutes, false));
    row("render, features from a file", &|minutes| render(dir.path(), minutes, true));
    row("serve: job", &|minutes| serve(minutes, false));
    row("serve: job with uploaded features, video.mp4", &|minutes| serve(minutes, true));
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
    render::peak(render::command(dir, place.path(), minutes * 60, features)).unwrap()
}

fn serve(minutes: u32, more: bool) -> u64 {
    let dir = data_folder();
    let server = Server::start(dir.path(), &[]);
    let features = more.then(|| clip::features(minutes * 60));
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
