//! Thirty seconds of speech in, segments out, with the built-in avatar, against the renderer alone:
//! `cargo bench -p headcast --bench end_to_end [-- SECONDS PROFILE ... threads=N SIMD]`, for `quality` and `preview` unless profiles are named.
//!
//! The limit is the renderer alone, a frame after the other on all cores, in the same run and in turns of one segment: whatever
//! features, encoding, multiplexing and waiting cost on top is the difference. On a machine that does other things as well,
//! processor time counts, and how many threads were ready to run: as many as there are cores would keep all of them at work.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a bench prints, and stops where it cannot go on"
)]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

use std::fs;
use std::io::Cursor;
use std::num::NonZero;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, available_parallelism};
use std::time::{Duration, Instant};

use headcast::audio::{Cut, Ears, Ingest, Limits, Options, Progress};
use headcast::core::timeline::Speed;
use headcast::core::{FrameIndex, FrameRate, RgbImage, Spools, Timeline};
use headcast::nerf::avatar::Avatar;
use headcast::nerf::{Profile, Renderer, Settings, SimdLevel};
use headcast::{Features, FrameSource, SegmentSource, Session, Speech, TalkingHead, unwatched};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let seconds: u64 = arguments.iter().find_map(|a| a.parse().ok()).unwrap_or(30);
    let mut profiles: Vec<Profile> = arguments.iter().filter_map(|name| Profile::from_name(name)).collect();
    if profiles.is_empty() {
        profiles = vec![Profile::Quality, Profile::Preview];
    }
    let avatar = Arc::new(Avatar::load(&assets().join("avatars/milo")).unwrap());
    let threads = arguments.iter().find_map(|a| a.strip_prefix("threads=")?.parse().ok());
    let threads = threads.unwrap_or_else(|| available_parallelism().unwrap());
    let simd = arguments.iter().find_map(|name| SimdLevel::from_name(name));
    let settings = Settings { threads: Some(threads), simd, ..Settings::default() };
    for seconds in [12, 600] {
        opening(seconds);
    }
    let clip = clip(seconds);
    for profile in profiles {
        measure(&avatar, &clip, seconds, threads, &Settings { profile, ..settings });
    }
    if let Some(peak) = peak_megabytes() {
        println!("\npeak memory {peak:.0} MB, whole process");
    }
}

/// What has to be known before the first frame, and what the first frames hear.
fn opening(seconds: u64) {
    let clip = clip(seconds);
    let start = Clock::now();
    let speech = open(clip, &Spools::in_memory());
    let opened = start.passed();
    let start = Clock::now();
    let mut window = vec![0.0; speech.features.window_len()];
    speech.features.window_into(0, &mut window).unwrap();
    let heard = start.passed();
    println!(
        "opening {seconds:4} s  {:9.1} ms of processor time, {:.1} ms by the wall clock; the first 5 s are heard in {:.1} ms",
        opened.cpu * 1e3,
        opened.wall * 1e3,
        heard.wall * 1e3
    );
}

fn open(clip: Vec<u8>, spools: &Spools) -> Speech {
    let go_on = &mut |_| ControlFlow::Continue(());
    let (name, limits, whole) = (Some("clip.wav"), Limits::default(), Cut::WHOLE);
    let (clip, built_in) = (Cursor::new(clip), Features::BuiltIn);
    Speech::open(clip, name, &limits, whole, FrameRate::PAL, built_in, spools, go_on).unwrap()
}

fn measure(avatar: &Arc<Avatar>, clip: &[u8], seconds: u64, threads: NonZero<usize>, settings: &Settings) {
    let renderer = Arc::new(Renderer::new(Arc::clone(avatar), settings).unwrap());
    println!("\n{}", renderer.describe());

    let start = Clock::now();
    let spools = Spools::in_memory();
    let speech = open(clip.to_vec(), &spools);
    // What is heard counts here, and not for the renderer alone.
    let mut window = vec![0.0; speech.features.window_len()];
    for row in 0..speech.features.rows() {
        speech.features.window_into(row, &mut window).unwrap();
    }
    let frames = (seconds * 25).min(speech.timeline.frames());
    let timeline = Timeline::from_frames(frames, FrameRate::PAL).unwrap();
    let head = Arc::new(TalkingHead::new(Arc::clone(&renderer), &speech.features, frames, &spools).unwrap());
    let source: Arc<dyn FrameSource> = Arc::<TalkingHead>::clone(&head);
    let session = Session::new(timeline, Speed(0), speech.track, speech.channels, source).unwrap();
    let mut whole = start.passed();
    println!(
        "speech, features      {:9.1} ms of processor time for {:.2} s",
        whole.cpu * 1e3,
        frames as f64 / 25.0
    );

    // In turns, a segment each way, so that a slow moment of the machine falls on both.
    let mut image = RgbImage::filled(renderer.width(), renderer.height(), [0; 3]).unwrap();
    head.render(FrameIndex(0), &mut image).unwrap();
    let (mut alone, mut first, mut bytes) = (Clock::default(), None, 0);
    let (mut ready_alone, mut ready_whole) = (Ready::default(), Ready::default());
    for index in 0..session.plan().len() {
        let start = Clock::now();
        ready_alone.watch(threads, || {
            for frame in session.plan().frames(index).unwrap() {
                head.render(FrameIndex(frame), &mut image).unwrap();
            }
        });
        alone.add(start.passed());
        let start = Clock::now();
        ready_whole.watch(threads, || bytes += session.make_segment(index, &mut unwatched).unwrap().len());
        let passed = start.passed();
        whole.add(passed);
        first.get_or_insert(passed.wall);
    }
    let (frames, cores) = (frames as f64, threads.get() as f64);
    for (what, time, ready) in
        [("renderer alone", alone, ready_alone), ("speech to segments", whole, ready_whole)]
    {
        println!(
            "{what:20} {:7.2} ms of processor time a frame: {:6.2} frames/s if it has {cores} cores to itself and uses them; \
             {:6.2} by the wall clock; {:5.1} % of {cores} cores used if there are no others",
            time.cpu * 1e3 / frames,
            frames * cores / time.cpu,
            frames / time.wall,
            100.0 * ready.share(),
        );
    }
    println!(
        "of the renderer alone  {:6.1} % by processor time, {:.1} % with the cores that each uses, {:.1} % by the wall clock",
        100.0 * alone.cpu / whole.cpu,
        100.0 * alone.cpu / whole.cpu * ready_whole.share() / ready_alone.share(),
        100.0 * alone.wall / whole.wall
    );
    println!(
        "first segment          {:8.1} ms, {} frames; {:.2} times real time; {:.0} kbit/s",
        first.unwrap() * 1e3,
        session.plan().ends()[0],
        frames / 25.0 / whole.wall,
        bytes as f64 * 8.0 / 1e3 / (frames / 25.0)
    );
}

/// `seconds` of the sample recording, again and again, as a WAV file.
#[expect(clippy::cast_possible_truncation, reason = "clamped; half a minute")]
fn clip(seconds: u64) -> Vec<u8> {
    let recording = fs::read(assets().join("samples/en_male_short.flac")).unwrap();
    let ingest = Ingest::open(Cursor::new(recording), Some("clip.flac"), &Limits::default()).unwrap();
    let channels = ingest.info().output_channels as usize;
    let options = Options { frame_rate: FrameRate::PAL, features: Ears::Deaf, spools: Spools::in_memory() };
    let mut sound = Vec::new();
    let mut sink = |block: &[f32], _: Progress| {
        sound.extend(block.iter().step_by(channels).map(|v| (v.clamp(-1.0, 1.0) * 32_767.0) as i16));
        ControlFlow::Continue(())
    };
    ingest.run(&options, &mut sink).unwrap();
    let data: Vec<u8> =
        sound.into_iter().cycle().take(HZ as usize * seconds as usize).flat_map(i16::to_le_bytes).collect();
    let bytes = data.len() as u32;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(HZ.to_le_bytes());
    file.extend((2 * HZ).to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(bytes.to_le_bytes());
    file.extend(data);
    file
}

/// Rate at which recordings are decoded.
const HZ: u32 = 48_000;

fn assets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../headcast-app/assets")
}

/// How many threads of the process were ready to run, looked at every few milliseconds, up to the number of cores; Linux only.
///
/// On a machine that is busy otherwise the process gets about as much done whether one of its threads is ready or all are, so each look
/// stands for the same work, which takes longer the fewer cores it has: what counts is the harmonic mean.
#[derive(Debug, Clone, Copy, Default)]
struct Ready {
    looks: f64,
    /// What the work of the looks would take, in that of a look on all cores.
    time: f64,
}

impl Ready {
    fn watch(&mut self, cores: NonZero<usize>, work: impl FnOnce()) {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    // This thread is one of them.
                    let Some(ready) = ready_threads() else { break };
                    self.looks += 1.0;
                    let cores = cores.get() as f64;
                    self.time += cores / (ready - 1.0).clamp(1.0, cores);
                    thread::sleep(Duration::from_millis(4));
                }
            });
            work();
            over.store(true, Ordering::Relaxed);
        });
    }

    /// NaN when nobody looked.
    fn share(&self) -> f64 {
        self.looks / self.time
    }
}

/// Threads that run or wait for a core.
fn ready_threads() -> Option<f64> {
    let mut ready = 0.0;
    for thread in fs::read_dir("/proc/self/task").ok()?.flatten() {
        // One that has ended since is none.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { continue };
        if stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('R')) {
            ready += 1.0;
        }
    }
    Some(ready)
}

/// Seconds, by two clocks.
#[derive(Debug, Clone, Copy, Default)]
struct Clock {
    wall: f64,
    /// Of all threads of the process, to a hundredth; the wall's where the system does not tell.
    cpu: f64,
}

impl Clock {
    fn now() -> Self {
        static START: OnceLock<Instant> = OnceLock::new();
        let wall = START.get_or_init(Instant::now).elapsed().as_secs_f64();
        Self { wall, cpu: cpu_time().unwrap_or(wall) }
    }

    fn passed(self) -> Self {
        let now = Self::now();
        Self { wall: now.wall - self.wall, cpu: now.cpu - self.cpu }
    }

    fn add(&mut self, other: Self) {
        self.wall += other.wall;
        self.cpu += other.cpu;
    }
}

/// Processor time of all threads so far, those that have ended too; `None` where the system does not tell.
fn cpu_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // utime and stime, proc(5), in ticks of USER_HZ.
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}

/// Largest resident size so far; Linux only.
fn peak_megabytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let kilobytes =
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().strip_suffix(" kB")?;
    Some(kilobytes.parse::<f64>().ok()? / 1e3)
}
