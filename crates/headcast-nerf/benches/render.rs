//! Frames per second of the CPU renderer, where the time goes, and how far from the hardware's limit.
//!
//! `cargo bench -p headcast-nerf`, with `-- avx512 preview` for one instruction set, one profile. Renders the built-in avatar; `HEADCAST_BENCH_AVATAR` names another avatar's
//! folder, or a folder with a checkpoint `ngp.pth` and its `transforms_val.json`. Times are processor time
//! where the system tells it, so that other work on the machine matters little.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a report of rounded figures"
)]

mod subject;

use std::num::NonZero;
use std::time::Instant;

use headcast_nerf::Profile;
use headcast_nerf::cpu::measure::{self, Peak};
use headcast_nerf::cpu::{Config, Engine, SimdLevel};

use subject::{Subject, clock};

/// Frames timed for each figure.
const FRAMES: usize = 6;
/// How long a stage is repeated, seconds.
const STAGE: f64 = 0.3;

fn main() {
    let subject = Subject::find();
    let cores = std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN);
    println!("{}, {}x{}, {cores} cores", subject.name, subject.width, subject.height);
    let wanted: Vec<SimdLevel> = std::env::args().filter_map(|name| SimdLevel::from_name(&name)).collect();
    for level in SimdLevel::ALL {
        if !wanted.is_empty() && !wanted.contains(&level) {
            continue;
        }
        if level.is_available() {
            report(&subject, level, cores);
        } else {
            println!("\n{level}: SKIPPED, not on this CPU");
        }
    }
}

fn report(subject: &Subject, level: SimdLevel, cores: NonZero<usize>) {
    println!("\n{level}");
    let engine = |profile, threads| {
        let config = Config { profile, threads, simd: level };
        Engine::new(&subject.model, subject.width, subject.height, &config).expect("the subject is an avatar")
    };
    let what = subject.view();
    let start = Instant::now();
    let single = engine(Profile::Quality, NonZero::<usize>::MIN);
    println!("  prepared in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let peak = measure::peak(&single, STAGE, &clock);
    println!("  peak of a core: {:.0} GFLOP/s in f32, {:.0} GOP/s in i16", peak.f32 / 1e9, peak.i16 / 1e9);
    let named: Vec<Profile> = std::env::args().filter_map(|name| Profile::from_name(&name)).collect();
    let profiles = if named.is_empty() { Profile::ALL.to_vec() } else { named };
    for &profile in &profiles {
        for threads in [NonZero::<usize>::MIN, cores] {
            frames(&what, &engine(profile, threads));
            if cores.get() == 1 {
                break;
            }
        }
    }
    // The sparse profiles run the stages of `quality`.
    for profile in [Profile::Parity, Profile::Quality] {
        if profile == Profile::Parity && !profiles.contains(&profile) {
            continue;
        }
        stages(&what, &engine(profile, NonZero::<usize>::MIN), peak);
    }
}

/// Pictures, poses far apart.
fn frames(subject: &measure::Subject<'_>, engine: &Engine) {
    let measured = measure::frames(engine, subject, FRAMES, &clock).expect("sizes agree");
    let (threads, stats) = (engine.threads().get(), measured.stats);
    let frames = FRAMES as f64;
    println!(
        "  {}, {threads} thread(s): {:.1} frames/s with the cores to itself ({:.1} by the wall clock), head alone {:.1}; torso {:.1} ms",
        engine.profile(),
        measured.fps_alone(threads),
        measured.fps(),
        measured.fps_of_head(threads),
        measured.torso.cpu * 1e3 / frames,
    );
    if threads == 1 {
        println!(
            "    {} samples a frame, {:.1} a ray that has some ({:.1} % of all), lanes {:.1} % full, {:.0} ns a sample",
            stats.samples / FRAMES as u64,
            stats.samples as f64 / stats.rays as f64,
            100.0 * stats.rays as f64 / (frames * f64::from(engine.width() * engine.height())),
            100.0 * stats.samples as f64 / stats.lanes as f64,
            measured.head.cpu * 1e9 / stats.samples as f64,
        );
    }
}

/// Each stage by itself, on the samples of a frame.
fn stages(subject: &measure::Subject<'_>, engine: &Engine, peak: Peak) {
    let Some(times) = measure::stages(engine, subject, STAGE, &clock) else {
        println!("  nothing to sample in the first pose");
        return;
    };
    let achieved = 2.0 * engine.multiply_adds_per_sample() as f64 / times.evaluate;
    println!(
        "  {}, ns a sample: march {:.0}, encode {:.0}, density and colour {:.0}, which is {:.0} GFLOP/s, {:.0} % of the \
         peak in f32; {} multiply-adds a sample",
        engine.profile(),
        times.march * 1e9,
        times.encode * 1e9,
        times.evaluate * 1e9,
        achieved / 1e9,
        100.0 * achieved / peak.f32,
        engine.multiply_adds_per_sample(),
    );
}
