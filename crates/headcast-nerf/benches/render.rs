//! Frames per second of the CPU renderer, where the time goes, and how far from the hardware's limit.
//!
//! `cargo bench -p headcast-nerf`, with `-- avx512` for one instruction set. Renders the built-in avatar; `HEADCAST_BENCH_AVATAR` names another avatar's
//! folder, or a folder with a checkpoint `ngp.pth` and its `transforms_val.json`. Times are processor time
//! where the system tells it, so that other work on the machine matters little.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a report of rounded figures"
)]

use std::fs::{self, File};
use std::hint::black_box;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use headcast_core::{Intrinsics, Pose, RgbImage};
use headcast_nerf::Profile;
use headcast_nerf::avatar::Avatar;
use headcast_nerf::checkpoint::Checkpoint;
use headcast_nerf::conditioning::{AudioCode, ngp_pose};
use headcast_nerf::cpu::probe::{self, Stages};
use headcast_nerf::cpu::{Config, Engine, FrameRequest, FrameStats, SimdLevel};
use headcast_nerf::model::{ErNerf, Network};

/// Frames timed for each figure.
const FRAMES: usize = 6;
/// How long a stage is repeated.
const STAGE: Duration = Duration::from_millis(300);

struct Subject {
    name: String,
    model: ErNerf,
    width: u32,
    height: u32,
    intrinsics: Intrinsics,
    poses: Vec<Pose>,
    background: RgbImage,
}

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
    let engine = |threads| {
        let config = Config { profile: Profile::Quality, threads, simd: level };
        Engine::new(&subject.model, subject.width, subject.height, &config).expect("the subject is an avatar")
    };
    let start = Instant::now();
    let single = engine(NonZero::<usize>::MIN);
    println!("  prepared in {:.0} ms", start.elapsed().as_secs_f64() * 1e3);
    let backdrop = single.backdrop(&subject.poses[0], &subject.background).expect("sizes agree");
    let backdrop_ms = per_round(|| {
        black_box(single.backdrop(&subject.poses[0], &subject.background).expect("sizes agree"));
    }) * 1e3;
    frames(subject, &single, &backdrop, backdrop_ms);
    if cores.get() > 1 {
        frames(subject, &engine(cores), &backdrop, backdrop_ms);
    }
    stages(subject, &single, backdrop_ms);
}

/// Pictures, poses far apart.
fn frames(subject: &Subject, engine: &Engine, backdrop: &[f32], backdrop_ms: f64) {
    let mut out = RgbImage::filled(subject.width, subject.height, [0; 3]).expect("an avatar's size");
    let mut render = |frame: usize| {
        let pose = &subject.poses[frame * subject.poses.len() / FRAMES];
        let request = FrameRequest { pose, intrinsics: &subject.intrinsics, code: &CODE, eye: 0.2, backdrop };
        engine.render(&request, &mut out).expect("sizes agree")
    };
    render(0);
    let (wall, cpu) = (Instant::now(), cpu_time());
    let mut sum = FrameStats::default();
    for frame in 0..FRAMES {
        let stats = render(frame);
        (sum.samples, sum.lanes, sum.rays) =
            (sum.samples + stats.samples, sum.lanes + stats.lanes, sum.rays + stats.rays);
    }
    let wall_ms = wall.elapsed().as_secs_f64() * 1e3 / FRAMES as f64;
    let cpu_ms = cpu_time().zip(cpu).map_or(wall_ms, |(end, start)| (end - start) * 1e3 / FRAMES as f64);
    let threads = engine.threads().get();
    println!(
        "  {threads} thread(s): head {wall_ms:.0} ms wall, {cpu_ms:.0} ms processor time, so {:.1} frames/s with \
         the cores to itself ({:.1} as measured); with a new torso every frame {:.1}",
        1e3 * threads as f64 / cpu_ms,
        1e3 / wall_ms,
        1e3 * threads as f64 / (cpu_ms + backdrop_ms),
    );
    if threads == 1 {
        println!(
            "  {} samples a frame, {:.1} a ray that has some ({:.1} % of all), lanes {:.1} % full, {:.0} ns a sample",
            sum.samples / FRAMES as u64,
            sum.samples as f64 / sum.rays as f64,
            100.0 * sum.rays as f64 / (FRAMES as f64 * f64::from(subject.width * subject.height)),
            100.0 * sum.samples as f64 / sum.lanes as f64,
            cpu_ms * 1e6 * FRAMES as f64 / sum.samples as f64,
        );
    }
}

/// Each stage by itself, on the samples of a frame.
fn stages(subject: &Subject, engine: &Engine, backdrop_ms: f64) {
    let pose = &subject.poses[0];
    let rays = probe::rays(engine, pose, &subject.intrinsics);
    let origin = pose.origin();
    let (mut points, mut directions) = (Vec::new(), Vec::new());
    // In the order of the engine's tiles, so that caches see what they see there.
    let width = subject.width as usize;
    for tile in tiles(subject) {
        for pixel in (0..Stages::TILE * Stages::TILE)
            .map(|i| (tile.1 + i / Stages::TILE) * width + tile.0 + i % Stages::TILE)
        {
            let Some((direction, distances)) = rays.get(pixel) else { continue };
            for t in distances {
                points.push([0, 1, 2].map(|axis| origin[axis] + t * direction[axis]));
                directions.push(*direction);
            }
        }
    }
    let packets: Vec<&[[f32; 3]]> = points.chunks_exact(Stages::SAMPLES).collect();
    if packets.is_empty() {
        println!("  nothing to sample in the first pose");
        return;
    }
    let mut stages = Stages::new(engine, &CODE, 0.2, packets[0], &directions[..Stages::SAMPLES]);
    let samples = points.len() as f64;

    let march = per_round(|| {
        for (x, y) in tiles(subject) {
            black_box(stages.march(pose, &subject.intrinsics, x, y));
        }
    }) / samples;
    let encode = per_round(|| {
        for packet in &packets {
            stages.encode(packet);
        }
    }) / samples;
    let evaluate = per_round(|| {
        for _ in 0..256 {
            black_box(stages.evaluate());
        }
    }) / (256.0 * Stages::SAMPLES as f64);
    let rounds = 1 << 20;
    let flops = stages.peak(rounds) as f64;
    let peak = flops
        / per_round(|| {
            black_box(stages.peak(rounds));
        });
    let achieved = 2.0 * engine.multiply_adds_per_sample() as f64 / evaluate;
    println!(
        "  ns a sample: march {:.0}, encode {:.0}, density and colour {:.0}; torso {backdrop_ms:.1} ms a pose",
        march * 1e9,
        encode * 1e9,
        evaluate * 1e9,
    );
    println!(
        "  density and colour: {:.0} GFLOP/s of {:.0} at most ({:.0} %), {} multiply-adds a sample",
        achieved / 1e9,
        peak / 1e9,
        100.0 * achieved / peak,
        engine.multiply_adds_per_sample(),
    );
}

/// Corners of the whole tiles of the picture.
fn tiles(subject: &Subject) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (width, height) = (subject.width as usize, subject.height as usize);
    let last = Stages::TILE - 1;
    (0..height.saturating_sub(last))
        .step_by(Stages::TILE)
        .flat_map(move |y| (0..width.saturating_sub(last)).step_by(Stages::TILE).map(move |x| (x, y)))
}

/// Seconds of processor time for one call of `f`, from calls of [`STAGE`] in all.
fn per_round(mut f: impl FnMut()) -> f64 {
    f();
    let (wall, cpu) = (Instant::now(), cpu_time());
    let mut rounds = 0;
    while rounds < 3 || wall.elapsed() < STAGE {
        f();
        rounds += 1;
    }
    let wall = wall.elapsed().as_secs_f64();
    cpu_time().zip(cpu).map_or(wall, |(end, start)| end - start) / f64::from(rounds)
}

/// Processor time of all threads so far, in seconds, to a hundredth; `None` where the system does not tell.
fn cpu_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // utime and stime, proc(5), in ticks of USER_HZ.
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}

/// Any audio code will do: it changes colours, not work.
const CODE: AudioCode = [0.1; 32];

impl Subject {
    fn find() -> Self {
        let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let folder = std::env::var_os("HEADCAST_BENCH_AVATAR").map(PathBuf::from);
        let built_in = repository.join("crates/headcast-app/assets/avatars/milo");
        let fixture = repository.join("fixtures/nerf/er-torso");
        let folder = folder.unwrap_or(if built_in.exists() { built_in } else { fixture });
        let name = folder.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        if folder.join("avatar.toml").exists() {
            let avatar = Avatar::load(&folder).expect("an avatar");
            let Avatar { width, height, intrinsics, .. } = avatar;
            let Avatar { model, poses, background, .. } = avatar;
            let Network::Er(model) = model else { panic!("{name} is no ER-NeRF avatar") };
            return Self { name, model: *model, width, height, intrinsics, poses, background };
        }
        let file = File::open(folder.join("ngp.pth")).expect("a folder with avatar.toml or ngp.pth");
        let mut checkpoint = Checkpoint::open(file).expect("a checkpoint");
        let model = ErNerf::from_checkpoint(&mut checkpoint).expect("an ER-NeRF checkpoint");
        let text = fs::read(folder.join("transforms_val.json")).expect("poses beside the checkpoint");
        let transforms: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        let number = |value: &serde_json::Value| value.as_f64().expect("a number") as f32;
        let frames = transforms["frames"].as_array().expect("frames");
        let poses = frames
            .iter()
            .map(|frame| {
                let m = &frame["transform_matrix"];
                ngp_pose(std::array::from_fn(|r| std::array::from_fn(|c| number(&m[r][c]))))
            })
            .collect();
        // Whatever the size it was made for, the figures are for this one.
        const SIZE: f32 = 512.0;
        let focal = number(&transforms["focal_len"]) * SIZE / (2.0 * number(&transforms["cx"]));
        let intrinsics = Intrinsics { fx: focal, fy: focal, cx: SIZE / 2.0, cy: SIZE / 2.0 };
        let (width, height) = (SIZE as u32, SIZE as u32);
        let background = RgbImage::filled(width, height, [90, 100, 110]).expect("a size within the limits");
        Self { name, model, width, height, intrinsics, poses, background }
    }
}
