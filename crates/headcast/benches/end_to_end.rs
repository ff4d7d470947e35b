//! Speech in, segments out, with the built-in avatar: `cargo bench -p headcast --bench end_to_end [-- SECONDS]`.
//!
//! The limit it is measured against is the renderer alone, in the same run: whatever decoding, features,
//! encoding and multiplexing cost on top is the difference. Machines are noisy: compare ratios.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops where it cannot go on"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fs::File;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use headcast::audio::Limits;
use headcast::core::timeline::Speed;
use headcast::core::{FrameIndex, FrameRate, RgbImage, Spools, Timeline};
use headcast::nerf::avatar::Avatar;
use headcast::nerf::{Renderer, Settings};
use headcast::{Features, FrameSource, SegmentSource, Session, Speech, TalkingHead, unwatched};

fn main() {
    let seconds: u64 = std::env::args().skip(1).find_map(|a| a.parse().ok()).unwrap_or(4);
    let assets = Path::new(env!("CARGO_MANIFEST_DIR")).join("../headcast-app/assets");
    let clip = assets.join("samples/en_male_short.flac");

    let started = Instant::now();
    let avatar = Avatar::load(&assets.join("avatars/milo")).unwrap();
    let renderer = Arc::new(Renderer::new(Arc::new(avatar), &Settings::default()).unwrap());
    println!("avatar ready            {:8.1} ms   {}", millis(started), renderer.describe());

    let started = Instant::now();
    let spools = Spools::in_memory();
    let go_on = &mut |_| ControlFlow::Continue(());
    let speech = Speech::open(
        File::open(&clip).unwrap(),
        Some("clip.flac"),
        &Limits::default(),
        FrameRate::PAL,
        Features::BuiltIn,
        &spools,
        go_on,
    )
    .unwrap();
    let listened = started.elapsed().as_secs_f64();
    println!(
        "decode, features        {:8.1} ms   {:.0} times real time, {:.2} s of audio",
        listened * 1e3,
        speech.timeline.secs() / listened,
        speech.timeline.secs()
    );

    let frames = (seconds * 25).min(speech.timeline.frames());
    let timeline = Timeline::from_frames(frames, FrameRate::PAL).unwrap();
    let head = Arc::new(TalkingHead::new(Arc::clone(&renderer), &speech.features, frames, &spools).unwrap());
    let source: Arc<dyn FrameSource> = Arc::<TalkingHead>::clone(&head);
    let session = Session::new(timeline, Speed(0), speech.track, speech.channels, source).unwrap();

    // In turns, a segment each way, so that a slow moment of the machine falls on both.
    let mut image = RgbImage::filled(renderer.width(), renderer.height(), [0; 3]).unwrap();
    head.render(FrameIndex(0), &mut image).unwrap();
    let (mut alone, mut whole, mut first, mut bytes) = (0.0, 0.0, None, 0);
    for index in 0..session.plan().len() {
        let started = Instant::now();
        for frame in session.plan().frames(index).unwrap() {
            head.render(FrameIndex(frame), &mut image).unwrap();
        }
        alone += started.elapsed().as_secs_f64();
        let started = Instant::now();
        bytes += session.make_segment(index, &mut unwatched).unwrap().len();
        whole += started.elapsed().as_secs_f64();
        first.get_or_insert(started.elapsed());
    }
    let frames = frames as f64;
    println!("renderer alone          {:8.2} frames/s", frames / alone);
    println!(
        "to finished segments    {:8.2} frames/s   {:.1} % of the renderer alone",
        frames / whole,
        100.0 * alone / whole
    );
    println!("                        {:8.2} times real time", frames / 25.0 / whole);
    println!(
        "first segment           {:8.1} ms   {} frames",
        first.unwrap().as_secs_f64() * 1e3,
        session.plan().ends()[0]
    );
    println!("size                    {:8.0} kbit/s", bytes as f64 * 8.0 / 1e3 / (frames / 25.0));
    if let Some(peak) = peak_megabytes() {
        println!("peak memory             {peak:8.0} MB   whole process");
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

/// Largest resident size so far; Linux only.
fn peak_megabytes() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kilobytes.parse::<f64>().ok()? / 1e3)
}
