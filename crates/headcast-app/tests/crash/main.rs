//! The real program, killed at any instant: nothing that was acknowledged is lost, and what comes out in the end is
//! what an undisturbed run makes, byte for byte.
//!
//! `HEADCAST_CRASH_KILLS` says how often (default 6); `cargo xtask crash --kills 100` is the long run.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

#[allow(dead_code, reason = "shared with the load tests and benches, which need more of it")]
mod server;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use server::{Output, Server, data_folder, repository};

/// Speeds that segments are planned for: what a server measures differs from start to start, and the plan of a job
/// must not. Each gives another plan.
const SPEEDS: [&str; 3] = ["20", "60", "200"];

/// xorshift64 with a fixed seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    fn speed(&mut self) -> [&'static str; 2] {
        ["--assume-fps", SPEEDS[usize::try_from(self.below(SPEEDS.len() as u64)).unwrap()]]
    }
}

/// Three seconds of speech.
fn speech() -> Vec<u8> {
    let mut wav = fs::read(repository().join("fixtures/speech/en.wav")).unwrap();
    let bytes = 3 * 32_000;
    wav.truncate(44 + bytes);
    wav[4..8].copy_from_slice(&u32::try_from(36 + bytes).unwrap().to_le_bytes());
    wav[40..44].copy_from_slice(&u32::try_from(bytes).unwrap().to_le_bytes());
    wav
}

/// What undisturbed runs make, one for each speed.
fn references(speech: &[u8]) -> Vec<Output> {
    let run = |speed: &str| {
        let dir = data_folder();
        let server = Server::start(dir.path(), &["--assume-fps", speed]);
        let id = server.post(speech).unwrap();
        Output::of(&server, &id)
    };
    SPEEDS.into_iter().map(run).collect()
}

/// Segments of all jobs on the disk.
fn segments(dir: &Path) -> usize {
    let jobs = fs::read_dir(dir.join("jobs")).into_iter().flatten().flatten();
    let files = jobs.filter_map(|job| fs::read_dir(job.path()).ok()).flatten().flatten();
    files.filter(|file| file.file_name().to_string_lossy().starts_with("segment_")).count()
}

#[test]
fn killed_at_any_instant_nothing_is_lost_and_the_output_is_the_same() {
    let kills: u32 = std::env::var("HEADCAST_CRASH_KILLS").map_or(6, |text| text.parse().unwrap());
    let speech = speech();
    let references = references(&speech);
    let plans: BTreeSet<_> = references.iter().map(|output| &output.playlist).collect();
    assert_eq!(plans.len(), SPEEDS.len(), "the control: other speeds give other plans");

    let dir = data_folder();
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut acknowledged = BTreeSet::new();
    let (mut halfway, mut unanswered, mut slowest) = (0, 0, Duration::ZERO);
    for _ in 0..kills {
        let before = segments(dir.path());
        let start = Instant::now();
        let server = Server::start(dir.path(), &random.speed());
        slowest = slowest.max(start.elapsed());
        let jobs = server.json("/api/v1/jobs");
        let jobs = jobs.as_array().unwrap();
        let listed: BTreeSet<_> = jobs.iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect();
        assert!(listed.is_superset(&acknowledged), "of {acknowledged:?} only {listed:?} are left");
        for job in jobs {
            assert!(!["failed", "cancelled"].contains(&job["state"].as_str().unwrap()), "{job}");
            let ready = job["clip"]["ready"].as_array().map_or(0, Vec::len);
            halfway += u32::from(job["state"] != "done" && ready > 0);
        }

        let wait = Duration::from_millis(random.below(150));
        let idle = jobs.iter().all(|job| job["state"] == "done");
        if idle && random.below(3) == 0 {
            // In the middle of an upload, or of writing down that it is here.
            std::thread::scope(|scope| {
                let post = scope.spawn(|| server.post(&speech));
                std::thread::sleep(wait / 8);
                let process = server.id().to_string();
                let killed = std::process::Command::new("kill").args(["-KILL", &process]).status();
                assert!(killed.unwrap().success());
                match post.join().unwrap() {
                    Some(id) => drop(acknowledged.insert(id)),
                    None => unanswered += 1,
                }
            });
            server.wait();
            continue;
        }
        if idle {
            acknowledged.insert(server.post(&speech).unwrap());
        }
        // Some segments later, and somewhere within the next: the place does not depend on the machine's speed.
        let more = usize::try_from(random.below(3)).unwrap();
        while segments(dir.path()) < before + more {
            let jobs = server.json("/api/v1/jobs");
            if jobs.as_array().unwrap().iter().all(|job| job["state"] == "done") {
                break;
            }
            assert!(start.elapsed() < Duration::from_secs(120), "{jobs}");
            std::thread::sleep(Duration::from_millis(5));
        }
        std::thread::sleep(wait);
        server.kill();
    }

    let server = Server::start(dir.path(), &random.speed());
    let jobs = server.json("/api/v1/jobs");
    let ids: Vec<_> = jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap()).collect();
    let mut used = BTreeSet::new();
    for id in &ids {
        let output = Output::of(&server, id);
        let same = references.iter().position(|reference| reference.playlist == output.playlist);
        let reference = &references[same.expect("the plan is one of an undisturbed run")];
        used.insert(same);
        for (index, (found, expected)) in output.segments.iter().zip(&reference.segments).enumerate() {
            assert!(found == expected, "job {id}: segment {index} differs");
        }
        assert!(output == *reference, "job {id}");
        // What was said before the kills can be read, under numbers that only grew.
        let (status, events) = server.get(&format!("/api/v1/jobs/{id}/events"));
        let events = String::from_utf8(events).unwrap();
        assert!(status == 200 && events.contains("opened in"), "job {id}: {events}");
        let numbers = events.lines().filter_map(|line| line.strip_prefix("id: ")?.parse::<u64>().ok());
        // The first one is the state as of now.
        assert!(numbers.skip(1).is_sorted_by(|one, next| one < next), "job {id}: {events}");
    }
    assert!(ids.len() >= acknowledged.len() && !ids.is_empty());
    println!(
        "{kills} kills: {} jobs, {} acknowledged, {unanswered} posts cut off, {halfway} times a job was found half \
         made, {} different plans; slowest start {:.2} s; every segment, playlist and video file as undisturbed",
        ids.len(),
        acknowledged.len(),
        used.len(),
        slowest.as_secs_f64()
    );
}

/// Ctrl-C ends the server, not its jobs.
#[cfg(unix)]
#[test]
fn a_stopped_server_goes_on_where_it_was() {
    let (dir, speech) = (data_folder(), speech());
    let server = Server::start(dir.path(), &["--assume-fps", "20"]);
    let id = server.post(&speech).unwrap();
    while segments(dir.path()) < 1 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // A second server on the same folder is refused, and does no harm.
    let second = std::process::Command::new(env!("CARGO_BIN_EXE_headcast"))
        .args(["serve", "--port", "0", "--data-dir"])
        .arg(dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&second.stderr);
    assert_eq!(second.status.code(), Some(1), "{said}");
    assert!(said.contains("another headcast server") && said.contains("--data-dir"), "{said}");

    let stop = std::process::Command::new("kill").args(["-INT", &server.id().to_string()]).status();
    assert!(stop.unwrap().success());
    assert!(server.wait().success());
    let server = Server::start(dir.path(), &["--assume-fps", "200"]);
    let job = server.json(&format!("/api/v1/jobs/{id}"));
    assert_ne!(job["state"], "cancelled", "{job}");
    let output = Output::of(&server, &id);
    assert!(output.segments.len() > 2);
}
