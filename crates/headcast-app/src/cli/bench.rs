//! `headcast bench`: how fast avatars are rendered here, where the time goes, and what the processor could do at best.

#![expect(clippy::print_stdout, reason = "this command answers on the terminal")]

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use headcast::core::RgbImage;
use headcast::nerf::avatar::Avatar;
use headcast::nerf::cpu::measure::{self, Frames, Peak, Seconds, StageTimes, Subject};
use headcast::nerf::cpu::{Config, Engine, RenderError};
use headcast::nerf::model::Scene;
use headcast::nerf::{Profile, Renderer, Settings, SimdLevel};
use serde_json::{Map, Value, json};

use super::args::BenchOptions;
use super::failure::Failure;
use crate::amount::pace;
use crate::data_dir;
use crate::process::{processor_seconds, resident_bytes};
use crate::studio::{Avatars, Choice, EngineSettings};

/// How long each stage is repeated, seconds.
const STAGE: f64 = 0.3;

pub(super) fn run(options: &BenchOptions) -> Result<(), Failure> {
    let data_dir = data_dir::choose(options.data.data_dir.clone()).map_err(Failure::machine)?;
    let engine = EngineSettings::from_env(options.engine.threads).map_err(Failure::input)?;
    let before = resident_bytes();
    let avatar = load(&Avatars::new(&data_dir), &options.avatar)?;
    let settings = Settings { threads: engine.threads, simd: engine.simd, ..Settings::default() };
    let profiles = match options.profile.map(Choice::from) {
        None => Profile::ALL.to_vec(),
        Some(Choice::Profile(profile)) => vec![profile],
        Some(Choice::Auto) => {
            return Err(Failure::input(
                "auto is a choice among profiles, not one; bench without --profile measures all of them",
            ));
        }
    };
    let bench = Bench { avatar: Arc::new(avatar), settings, frames: options.frames.get() };
    let memory = bench.memory(profiles[0], before).map_err(Failure::machine)?;
    let measured: Result<Vec<_>, _> = profiles.into_iter().map(|profile| bench.measure(profile)).collect();
    let report = Report {
        measured: measured.map_err(Failure::machine)?,
        peak: bench.peak().map_err(Failure::machine)?,
        memory,
    };
    match options.json {
        true => println!("{:#}", bench.json(&report)),
        false => bench.print(&report),
    }
    Ok(())
}

/// An avatar by its name, or else by its folder.
fn load(avatars: &Avatars, name: &str) -> Result<Avatar, Failure> {
    if let Some(avatar) = avatars.load(name).map_err(Failure::input)? {
        return Ok(avatar);
    }
    if Path::new(name).is_dir() {
        return Avatar::load(Path::new(name)).map_err(Failure::input);
    }
    Err(Failure::input(format!("there is no avatar {name:?}; `headcast avatar list` shows those there are")))
}

/// What is measured.
struct Bench {
    avatar: Arc<Avatar>,
    settings: Settings,
    frames: usize,
}

struct Report {
    measured: Vec<Measured>,
    /// Of one core.
    peak: Option<Peak>,
    /// By how much the process grew for the avatar, its renderer and a frame.
    memory: Option<u64>,
}

/// One profile.
struct Measured {
    profile: Profile,
    /// By the clock on the wall.
    fps: f64,
    /// `None` for networks without an occupancy grid.
    engine: Option<OfEngine>,
}

struct OfEngine {
    frames: Frames,
    /// `None` when there is nothing to be seen.
    stages: Option<StageTimes>,
    multiply_adds: usize,
}

impl Bench {
    fn threads(&self) -> NonZeroUsize {
        let cores = || std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        self.settings.threads.unwrap_or_else(cores)
    }

    fn simd(&self) -> SimdLevel {
        self.settings.simd.unwrap_or_else(SimdLevel::best)
    }

    fn engine(
        &self,
        scene: Scene<'_>,
        profile: Profile,
        threads: NonZeroUsize,
    ) -> Result<Engine, RenderError> {
        let config = Config { profile, threads, simd: self.simd() };
        Engine::new(scene, self.avatar.width, self.avatar.height, &config)
    }

    fn picture(&self) -> Result<RgbImage, RenderError> {
        let (width, height) = self.avatar.video_size();
        RgbImage::filled(width, height, [0; 3]).or(Err(RenderError::Size { width, height }))
    }

    fn renderer(&self, profile: Profile) -> Result<Renderer, RenderError> {
        Renderer::new(Arc::clone(&self.avatar), &Settings { profile, ..self.settings })
    }

    /// What a renderer and a frame need, on top of `before`.
    fn memory(&self, profile: Profile, before: Option<u64>) -> Result<Option<u64>, RenderError> {
        let renderer = self.renderer(profile)?;
        // Of other networks a probe takes seconds, and is done below.
        if renderer.has_faster_profiles() {
            renderer.probe(0, &mut self.picture()?)?;
        }
        Ok(resident_bytes().zip(before).map(|(after, before)| after.saturating_sub(before)))
    }

    fn measure(&self, profile: Profile) -> Result<Measured, RenderError> {
        let Some(scene) = self.avatar.model.as_scene() else {
            let (renderer, start) = (self.renderer(profile)?, clock());
            let probe = renderer.probe(0, &mut self.picture()?)?;
            let fps = probe.share / (clock().wall - start.wall).max(1e-9);
            return Ok(Measured { profile, fps, engine: None });
        };
        let background = self.avatar.backdrop(0, &self.avatar.background)?;
        let subject = Subject {
            intrinsics: &self.avatar.intrinsics,
            poses: &self.avatar.poses,
            background: &background,
        };
        let engine = self.engine(scene, profile, self.threads())?;
        let frames = measure::frames(&engine, &subject, self.frames, &clock)?;
        let stages = measure::stages(&engine, &subject, STAGE, &clock);
        let engine = OfEngine { frames, stages, multiply_adds: engine.multiply_adds_per_sample() };
        Ok(Measured { profile, fps: frames.fps(), engine: Some(engine) })
    }

    fn peak(&self) -> Result<Option<Peak>, RenderError> {
        let Some(scene) = self.avatar.model.as_scene() else { return Ok(None) };
        let engine = self.engine(scene, Profile::Quality, NonZeroUsize::MIN)?;
        Ok(Some(measure::peak(&engine, STAGE, &clock)))
    }

    fn json(&self, report: &Report) -> Value {
        let mut profiles = Map::new();
        for measured in &report.measured {
            let mut values = json!({ "fps": round(measured.fps, 2) });
            if let (Some(engine), Some(values)) = (&measured.engine, values.as_object_mut()) {
                values.extend(self.figures(engine, report.peak));
            }
            profiles.insert(measured.profile.name().to_owned(), values);
        }
        json!({
            "avatar": { "title": self.avatar.title, "width": self.avatar.width, "height": self.avatar.height },
            "simd": self.simd().name(),
            "threads": self.threads(),
            "frames": self.frames,
            "profiles": profiles,
            "peak": report.peak.map(|peak| json!({
                "f32_gflops": round(peak.f32 / 1e9, 1),
                "i16_gops": round(peak.i16 / 1e9, 1),
            })),
            "renderer_bytes": report.memory,
        })
    }

    fn figures(&self, engine: &OfEngine, peak: Option<Peak>) -> Map<String, Value> {
        let OfEngine { frames, stages, .. } = engine;
        let stats = &frames.stats;
        let (count, threads) = (to_f64(frames.frames), self.threads().get());
        let pixels = count * f64::from(self.avatar.width) * f64::from(self.avatar.height);
        let [samples, rays, lanes] = [stats.samples, stats.rays, stats.lanes].map(u64_to_f64);
        let nanos = |seconds: f64| round(seconds * 1e9, 1);
        let gflops = stages.map(|stages| 2.0 * to_f64(engine.multiply_adds) / stages.evaluate / 1e9);
        let values = json!({
            "fps_alone": round(frames.fps_alone(threads), 2),
            "fps_alone_head": round(frames.fps_of_head(threads), 2),
            "torso_ms": round(frames.torso.cpu * 1e3 / count, 2),
            "samples_per_frame": round(samples / count, 0),
            "samples_per_ray": round(ratio(samples, rays), 2),
            "rays_of_pixels": round(rays / pixels, 4),
            "lanes_used": round(ratio(samples, lanes), 4),
            "ns_per_sample": {
                "all": nanos(ratio(frames.head.cpu, samples)),
                "march": stages.map(|stages| nanos(stages.march)),
                "encode": stages.map(|stages| nanos(stages.encode)),
                "evaluate": stages.map(|stages| nanos(stages.evaluate)),
            },
            "gflops": gflops.map(|gflops| round(gflops, 1)),
            "of_f32_peak": gflops.zip(peak).map(|(gflops, peak)| round(gflops * 1e9 / peak.f32, 3)),
        });
        match values {
            Value::Object(values) => values,
            _ => Map::new(),
        }
    }

    fn print(&self, report: &Report) {
        let Avatar { title, width, height, .. } = &*self.avatar;
        let (threads, frames) = (self.threads(), self.frames);
        println!("{title}, {width}x{height}, {}, {threads} threads, {frames} frames a profile", self.simd());
        if let Some(Peak { f32, i16 }) = report.peak {
            println!(
                "peak of a core: {:.0} GFLOP/s in f32, {:.0} GOP/s in 16-bit integers",
                f32 / 1e9,
                i16 / 1e9
            );
        }
        if let Some(bytes) = report.memory {
            println!("memory of avatar and renderer: {:.0} MB", u64_to_f64(bytes) / 1e6);
        }
        for Measured { profile, fps, engine } in &report.measured {
            println!("\n{profile}: {}", pace(*fps));
            let Some(engine) = engine else { continue };
            let figures = Value::Object(self.figures(engine, report.peak));
            let number = |path: &str| figures.pointer(path).and_then(Value::as_f64).unwrap_or(f64::NAN);
            println!(
                "  with the cores to itself {:.1}, head alone {:.1}; torso {:.1} ms of processor time",
                number("/fps_alone"),
                number("/fps_alone_head"),
                number("/torso_ms"),
            );
            println!(
                "  {:.0} samples a frame, {:.1} a ray; {:.1} % of the pixels traced and hit, {:.1} % of the lanes used",
                number("/samples_per_frame"),
                number("/samples_per_ray"),
                100.0 * number("/rays_of_pixels"),
                100.0 * number("/lanes_used"),
            );
            println!(
                "  ns a sample: {:.0} in all, march {:.0}, encode {:.0}, density and colour {:.0}: {:.0} GFLOP/s, {:.0} % of \
                 the f32 peak",
                number("/ns_per_sample/all"),
                number("/ns_per_sample/march"),
                number("/ns_per_sample/encode"),
                number("/ns_per_sample/evaluate"),
                number("/gflops"),
                100.0 * number("/of_f32_peak"),
            );
        }
    }
}

fn clock() -> Seconds {
    static START: OnceLock<Instant> = OnceLock::new();
    let wall = START.get_or_init(Instant::now).elapsed().as_secs_f64();
    Seconds { wall, cpu: processor_seconds().unwrap_or(wall) }
}

fn round(value: f64, digits: i32) -> f64 {
    let scale = 10.0_f64.powi(digits);
    (value * scale).round() / scale
}

/// 0 of nothing, so that a figure is a number.
fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn u64_to_f64(count: u64) -> f64 {
    count as f64
}

fn to_f64(count: usize) -> f64 {
    u64_to_f64(count as u64)
}
