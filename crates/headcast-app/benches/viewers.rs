//! 200 viewers of one job while it renders, and 50 jobs in the queue:
//! `cargo bench -p headcast-app --bench viewers [-- VIEWERS ROUNDS SECONDS]`.
//!
//! The real program, over loopback, with the built-in avatar at 512x512. Viewers (`tests/load/viewer.rs`) are tasks of
//! this process: half of them are held players, half follow events as our page does; half begin at the start of the clip,
//! half at the newest segment; each loads up to 60 s ahead of what it shows, and shows a second per second.
//!
//! Rounds with and without viewers take turns, so that a slow moment of the machine falls on both. Three figures: frames
//! by the wall clock, in which the viewers themselves and everything else on the machine have a part; frames per second
//! of processor time of the threads that render and encode; and the processor time of all other threads of the server.
//! Linux only: times are those of `/proc`.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops where it cannot go on"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "../tests/load/clip.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod clip;
#[path = "../tests/crash/server.rs"]
#[allow(dead_code, reason = "shared with the tests")]
mod server;
#[path = "../tests/load/viewer.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod viewer;
#[path = "../tests/load/watch.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the tests")]
mod watch;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use server::Server;
use viewer::{Kind, Pace};

/// Viewers arrive over this long, and a round begins when they are all there.
const ARRIVAL: Duration = Duration::from_secs(5);

fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u32>().ok());
    let viewers = numbers.next().unwrap_or(200);
    let rounds = numbers.next().unwrap_or(5);
    let seconds = numbers.next().unwrap_or(30);
    watched(viewers, rounds, Duration::from_secs(seconds.into()));
    queued();
}

/// What one round saw.
#[derive(Debug, Clone, Copy)]
struct Round {
    secs: f64,
    frames: f64,
    render_secs: f64,
    serve_secs: f64,
}

impl Round {
    fn per_second(self) -> f64 {
        self.frames / self.secs
    }

    fn per_render_second(self) -> f64 {
        self.frames / self.render_secs
    }
}

fn watched(viewers: u32, rounds: u32, length: Duration) {
    println!("{viewers} viewers of one job, {rounds} rounds of {} s each way\n", length.as_secs());
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    // An hour: it will not be over.
    let id = server.post_as("milo", &clip::recording(3600)).unwrap();
    until(&server, &id, 3);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut alone, mut together) = (Vec::new(), Vec::new());
    let (mut errors, mut bytes) = (0, 0);
    let (mut peak_alone, mut peak_together) = (0, 0);
    for _ in 0..rounds {
        watch::forget_peak(server.id());
        alone.push(round(&server, &id, length, || std::thread::sleep(length)));
        peak_alone = peak_alone.max(watch::peak_bytes(server.id()).unwrap_or(0));
        watch::forget_peak(server.id());
        let stop = Arc::new(AtomicBool::new(false));
        let newest = ready(&server, &id).saturating_sub(1);
        let watching: Vec<_> = (0..viewers)
            .map(|n| {
                let kind = if n % 2 == 0 { Kind::Player } else { Kind::Page };
                let first = if n % 4 < 2 { 0 } else { newest };
                let pace = Pace { first, ahead_secs: 60.0, speed: 1.0 };
                let (address, id, stop) = (server.address().to_owned(), id.clone(), Arc::clone(&stop));
                runtime.spawn(async move {
                    tokio::time::sleep(ARRIVAL * n / viewers).await;
                    viewer::watch(&address, &id, kind, pace, &stop).await
                })
            })
            .collect();
        runtime.block_on(async { tokio::time::sleep(ARRIVAL).await });
        together.push(round(&server, &id, length, || {
            runtime.block_on(async { tokio::time::sleep(length).await });
        }));
        stop.store(true, Ordering::Relaxed);
        runtime.block_on(async {
            for viewer in watching {
                match viewer.await.unwrap() {
                    Ok(seen) => bytes += seen.values().map(|(bytes, _)| bytes).sum::<u64>(),
                    Err(error) => {
                        println!("a viewer's error: {error}");
                        errors += 1;
                    }
                }
            }
        });
        peak_together = peak_together.max(watch::peak_bytes(server.id()).unwrap_or(0));
    }
    let show = |name: &str, of: fn(Round) -> f64| {
        let (a, b) = (median(alone.iter().map(|r| of(*r))), median(together.iter().map(|r| of(*r))));
        let ratio = median(alone.iter().zip(&together).map(|(a, b)| of(*b) / of(*a)));
        println!("{name:<52}{a:>9.2}{b:>9.2}   {:+.1} % (median of the rounds)", 100.0 * (ratio - 1.0));
    };
    println!("{:<52}{:>9}{:>9}", "", "alone", "watched");
    show("frames/s by the wall clock", Round::per_second);
    show("frames per second of rendering threads' time", Round::per_render_second);
    let serving = |of: &[Round]| median(of.iter().map(|r| 100.0 * r.serve_secs / r.secs));
    println!(
        "{:<52}{:>8.2}%{:>8.2}%",
        "other threads of the server, of one core",
        serving(&alone),
        serving(&together)
    );
    let mb = |bytes: u64| bytes as f64 / 1e6;
    println!("{:<52}{:>9.1}{:>9.1}", "peak memory of the server, MB", mb(peak_alone), mb(peak_together));
    println!("{:.1} MB taken by viewers, {errors} errors\n", mb(bytes));
    assert_eq!(errors, 0, "a viewer saw an error");
}

/// Counts frames and processor time while `wait` waits.
fn round(server: &Server, id: &str, length: Duration, wait: impl FnOnce()) -> Round {
    let look = || {
        let threads = watch::thread_nanos(server.id());
        // The workers live as long as the server; encoders come and go with their segments, so they are what is missing
        // from the sum of the threads.
        let serving: u64 =
            threads.iter().filter(|(name, _)| name.starts_with("tokio")).map(|(_, nanos)| nanos).sum();
        (frames(server, id), serving, watch::process_nanos(server.id()).unwrap_or(0), Instant::now())
    };
    let before = look();
    wait();
    let after = look();
    let secs = after.3.duration_since(before.3).as_secs_f64();
    assert!(secs >= length.as_secs_f64() * 0.99);
    let serve_secs = (after.1 - before.1) as f64 / 1e9;
    Round {
        secs,
        frames: (after.0 - before.0) as f64,
        render_secs: (after.2 - before.2) as f64 / 1e9 - serve_secs,
        serve_secs,
    }
}

/// A viewer comes to the last of 50 jobs.
fn queued() {
    const JOBS: usize = 50;
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(dir.path(), &[]);
    let ids: Vec<_> = (0..JOBS).map(|_| server.post_as("milo", &clip::recording(20)).unwrap()).collect();
    until(&server, &ids[0], 2);
    // Of the first job: how long a segment takes here and now.
    let (from, started) = (ready(&server, &ids[0]), Instant::now());
    until(&server, &ids[0], from + 3);
    let segment = started.elapsed().as_secs_f64() / (ready(&server, &ids[0]) - from) as f64;
    let last = &ids[JOBS - 1];
    let asked = Instant::now();
    // Looking at the job is watching it, as the page does.
    while server.json(&format!("/api/v1/jobs/{last}"))["clip"].is_null() {
        let _ = server.get(&format!("/api/v1/jobs/{last}/index.m3u8"));
    }
    let (status, body) = server.get(&format!("/api/v1/jobs/{last}/segment_00000.ts"));
    assert_eq!(status, 200);
    assert!(!body.is_empty());
    let waited = asked.elapsed().as_secs_f64();
    println!("{JOBS} jobs in the queue, a viewer comes to the last of them:");
    println!(
        "its first segment after {waited:.2} s: {:.1} times what a segment takes ({segment:.2} s)",
        waited / segment
    );
    let begun = ids[1..JOBS - 1].iter().filter(|id| frames(&server, id) > 0).count();
    println!("{begun} of the 48 jobs between were begun");
}

fn until(server: &Server, id: &str, segments: usize) {
    while ready(server, id) < segments {
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Segments from the start.
fn ready(server: &Server, id: &str) -> usize {
    let job = server.json(&format!("/api/v1/jobs/{id}"));
    assert_ne!(job["state"], "failed", "{job}");
    job["clip"]["ready"][0][1].as_u64().map_or(0, |end| usize::try_from(end).unwrap())
}

fn frames(server: &Server, id: &str) -> u64 {
    server.json(&format!("/api/v1/jobs/{id}"))["progress"]["frames"].as_u64().unwrap_or(0)
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
