//! Premade frames and sound to segments: in process, and, where ffmpeg is installed, by the two pipelines that
//! people use today, on the same frames.
//!
//! `cargo bench -p headcast-media --bench media [-- SECONDS]`; CPU time needs `/proc` (Linux).
#![expect(clippy::print_stdout, reason = "a bench reports on stdout")]
#![expect(clippy::cast_precision_loss, reason = "figures for people")]

#[path = "../tests/common/mod.rs"]
mod common;

use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{frame, sweep};
use headcast_core::timeline::Speed;
use headcast_core::{FrameRate, RgbImage, SampleRate, SegmentPlan, Timeline};
use headcast_media::aac::{Channels, Encoder, Fdk};
use headcast_media::color::Picture;
use headcast_media::h264;
use headcast_media::segment::{Config, SegmentEncoder};
use tempfile::TempDir;

const SIDE: u32 = 512;
const FPS: usize = 25;
/// Frames in five seconds: what people hand to ffmpeg at a time.
const BATCH: usize = 5 * FPS;

/// What one pipeline took.
struct Figures {
    name: &'static str,
    wall: Duration,
    cpu: Option<Duration>,
    first_segment: Duration,
    first_secs: f64,
    bytes: u64,
    psnr: Option<f64>,
}

fn main() {
    let secs = std::env::args().skip(1).find_map(|a| a.parse::<usize>().ok()).unwrap_or(15).clamp(5, 60);
    let frames: Vec<RgbImage> = (0..(secs * FPS) as u64).map(|i| frame(SIDE, SIDE, i)).collect();
    let pcm: Vec<f32> = (0..secs * 48_000).flat_map(|i| [sweep(i); 2]).collect();
    let count = frames.len();
    println!(
        "{count} frames of {SIDE}x{SIDE}, {secs} s of stereo; OpenH264 assembly: {}",
        h264::has_assembly()
    );

    stages(&frames, &pcm);
    let folder = TempDir::new().expect("a temporary folder can be made");
    let ours = in_process(&frames, &pcm, folder.path());
    println!(
        "in process: {:.2} ms per frame, {:.1} times real time",
        ours.wall.as_secs_f64() * 1e3 / count as f64,
        secs as f64 / ours.wall.as_secs_f64()
    );

    let mut all = vec![ours];
    if common::have(&["ffmpeg"]) {
        let wav = write_wav(&pcm, folder.path());
        all[0].psnr = Some(psnr(&[folder.path().join("ours.ts")], &frames));
        all.push(two_passes("two ffmpeg passes per 5 s", &["-c:v", "libx264"], &frames, &wav));
        all.push(two_passes("the same, second copies video", &["-c:v", "copy"], &frames, &wav));
        all.push(one_pass(&frames, &wav));
    }
    report(&all);
}

fn stages(frames: &[RgbImage], pcm: &[f32]) {
    let per_frame = |spent: Duration| spent.as_secs_f64() * 1e6 / frames.len() as f64;
    let mut picture = Picture::new(SIDE, SIDE);
    let spent = cpu_of(|| frames.iter().for_each(|image| picture.fill_from(black_box(image))));
    println!("RGB to I420: {:.0} µs of CPU per frame", per_frame(spent));

    let config = h264::Config::new(SIDE, SIDE, FrameRate::PAL, h264::Qp::DEFAULT).expect("a common size");
    let mut encoder = h264::Encoder::new(&config).expect("OpenH264 starts");
    let spent = cpu_of(|| {
        for image in frames {
            black_box(encoder.encode(image).expect("frames have the encoder's size"));
        }
    });
    println!("RGB to H.264: {:.0} µs of CPU per frame", per_frame(spent));

    let spent = cpu_of(|| drop(black_box(encode_sound(pcm))));
    let secs = pcm.len() as f64 / 96_000.0;
    println!("PCM to AAC: {:.0} times real time", secs / spent.as_secs_f64());
}

/// CPU time, or wall time where that is not known.
fn cpu_of(work: impl FnOnce()) -> Duration {
    let (start, cpu) = (Instant::now(), cpu_time());
    work();
    cpu_since(cpu).unwrap_or_else(|| start.elapsed())
}

fn encode_sound(pcm: &[f32]) -> Vec<bytes::Bytes> {
    let mut encoder = Fdk::new(Channels::Stereo).expect("the AAC encoder starts");
    let mut units = encoder.push(pcm).expect("whole frames of samples");
    units.extend(encoder.finish().expect("the clip ends once"));
    units
}

fn in_process(frames: &[RgbImage], pcm: &[f32], folder: &Path) -> Figures {
    let (start, cpu) = (Instant::now(), cpu_time());
    let timeline =
        Timeline::new((pcm.len() / 2) as u64, SampleRate::AAC, FrameRate::PAL).expect("there is sound");
    let plan = SegmentPlan::new(timeline, Speed(3000));
    let config = Config::new(SIDE, SIDE, FrameRate::PAL).expect("a common size");
    let units = encode_sound(pcm);
    let mut first_segment = Duration::ZERO;
    let mut all = Vec::new();
    for k in 0..plan.len() {
        let mut encoder = SegmentEncoder::new(&config, &plan, k).expect("a planned segment");
        for image in &frames[span(&encoder.frames())] {
            encoder.push(image).expect("frames have the encoder's size");
        }
        let units = &units[span(&encoder.audio_units())];
        all.push(encoder.finish(units).expect("all frames and units are there"));
        if k == 0 {
            first_segment = start.elapsed();
        }
    }
    let (wall, cpu) = (start.elapsed(), cpu_since(cpu));
    fs::write(folder.join("ours.ts"), all.concat()).expect("the temporary folder is writable");
    Figures {
        name: "in process",
        wall,
        cpu,
        first_segment,
        first_secs: plan.duration_micros(0) as f64 / 1e6,
        bytes: all.iter().map(|s| s.len() as u64).sum(),
        psnr: None,
    }
}

/// Every five seconds: frames to an MP4 by one ffmpeg, then another adds the sound and makes the segment.
fn two_passes(name: &'static str, second_codec: &[&str], frames: &[RgbImage], wav: &Path) -> Figures {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut first_segment = Duration::ZERO;
    let mut segments = Vec::new();
    for (k, batch) in frames.chunks(BATCH).enumerate() {
        let mp4 = folder.path().join(format!("{k}.mp4"));
        let mut child = ffmpeg(&raw_video(), &["-c:v", "libx264", "-pix_fmt", "yuv420p"], &mp4);
        feed(&mut child, batch);
        finish(child);
        let ts = folder.path().join(format!("{k}.ts"));
        let (from, length) = ((k * 5).to_string(), (batch.len() as f64 / FPS as f64).to_string());
        let inputs = ["-i", text(&mp4), "-ss", &from, "-t", &length, "-i", text(wav)];
        let mut outputs = second_codec.to_vec();
        outputs.extend(["-c:a", "aac", "-output_ts_offset", &from]);
        finish(ffmpeg(&inputs.map(str::to_owned), &outputs, &ts));
        if k == 0 {
            first_segment = start.elapsed();
        }
        segments.push(ts);
    }
    let (wall, cpu) = (start.elapsed(), cpu_since(cpu));
    let bytes = segments.iter().map(|s| fs::metadata(s).map_or(0, |m| m.len())).sum();
    let psnr = Some(psnr(&segments, frames));
    Figures { name, wall, cpu, first_segment, first_secs: 5.0, bytes, psnr }
}

/// One ffmpeg with x264 as it comes and its own HLS muxer.
fn one_pass(frames: &[RgbImage], wav: &Path) -> Figures {
    let folder = TempDir::new().expect("a temporary folder can be made");
    let playlist = folder.path().join("index.m3u8");
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut inputs = raw_video().to_vec();
    inputs.extend(["-i".into(), text(wav).into()]);
    let outputs = [
        "-c:v",
        "libx264",
        "-pix_fmt",
        "yuv420p",
        "-c:a",
        "aac",
        "-g",
        "125",
        "-f",
        "hls",
        "-hls_time",
        "5",
        "-hls_list_size",
        "0",
    ];
    let mut child = ffmpeg(&inputs, &outputs, &playlist);
    let first_segment = std::thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(&mut child, frames));
        let mut first = None;
        while !feeding.is_finished() {
            if first.is_none() && playlist.exists() {
                first = Some(start.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        first
    });
    finish(child);
    let (wall, cpu) = (start.elapsed(), cpu_since(cpu));
    let segments: Vec<PathBuf> =
        (0..).map(|k| folder.path().join(format!("index{k}.ts"))).take_while(|s| s.exists()).collect();
    Figures {
        name: "one ffmpeg pass, x264 medium",
        wall,
        cpu,
        first_segment: first_segment.unwrap_or(wall),
        first_secs: 5.0,
        bytes: segments.iter().map(|s| fs::metadata(s).map_or(0, |m| m.len())).sum(),
        psnr: Some(psnr(&segments, frames)),
    }
}

fn report(all: &[Figures]) {
    println!(
        "\n{:<30} {:>8} {:>8} {:>22} {:>9} {:>8}",
        "pipeline", "CPU s", "wall s", "first segment", "bytes", "PSNR dB"
    );
    for f in all {
        let cpu = f.cpu.map_or("-".into(), |cpu| format!("{:.2}", cpu.as_secs_f64()));
        let psnr = f.psnr.map_or("-".into(), |psnr| format!("{psnr:.2}"));
        let first = format!("{:.3} s ({:.2} s long)", f.first_segment.as_secs_f64(), f.first_secs);
        let wall = f.wall.as_secs_f64();
        println!("{:<30} {cpu:>8} {wall:>8.2} {first:>22} {:>9} {psnr:>8}", f.name, f.bytes);
    }
    let Some((ours, others)) = all.split_first() else { return };
    for f in others {
        let ratio = |theirs: Duration, ours: Duration| theirs.as_secs_f64() / ours.as_secs_f64().max(1e-9);
        let cpu = f.cpu.zip(ours.cpu).map_or("-".into(), |(f, o)| format!("{:.1}", ratio(f, o)));
        println!(
            "{} over in process: {cpu} times the CPU, {:.1} times the wall time, first segment {:.1} times later",
            f.name,
            ratio(f.wall, ours.wall),
            ratio(f.first_segment, ours.first_segment)
        );
    }
}

fn raw_video() -> [String; 10] {
    let size = format!("{SIDE}x{SIDE}");
    ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size, "-r", "25", "-i", "-"].map(str::to_owned)
}

fn ffmpeg(inputs: &[String], outputs: &[&str], file: &Path) -> Child {
    Command::new("ffmpeg")
        .args(["-v", "error", "-y"])
        .args(inputs)
        .args(outputs)
        .arg(file)
        .stdin(Stdio::piped())
        .spawn()
        .expect("ffmpeg ran a moment ago")
}

fn feed(child: &mut Child, frames: &[RgbImage]) {
    let mut stdin = child.stdin.take().expect("stdin is piped");
    frames.iter().for_each(|image| stdin.write_all(image.data()).expect("ffmpeg reads to the end"));
}

fn finish(mut child: Child) {
    drop(child.stdin.take());
    assert!(child.wait().expect("ffmpeg was started").success(), "ffmpeg failed");
}

/// Over all frames and channels; what is missing counts as black.
fn psnr(segments: &[PathBuf], frames: &[RgbImage]) -> f64 {
    let list: Vec<&str> = segments.iter().map(|s| text(s)).collect();
    let input = format!("concat:{}", list.join("|"));
    let (found, _) = common::run(
        "ffmpeg",
        &[
            "-v", "error", "-i", &input, "-map", "0:v", "-vsync", "0", "-pix_fmt", "rgb24", "-f", "rawvideo",
            "-",
        ],
    );
    let expected = frames.iter().flat_map(|image| image.data());
    let found = found.iter().copied().chain(std::iter::repeat(0));
    let sum: f64 = expected.zip(found).map(|(e, f)| f64::from(i32::from(*e) - i32::from(f)).powi(2)).sum();
    let values: usize = frames.iter().map(|image| image.data().len()).sum();
    10.0 * (255.0 * 255.0 * values as f64 / sum).log10()
}

fn write_wav(pcm: &[f32], folder: &Path) -> PathBuf {
    let raw = folder.join("sound.f32");
    let bytes: Vec<u8> = pcm.iter().flat_map(|s| s.to_le_bytes()).collect();
    fs::write(&raw, bytes).expect("the temporary folder is writable");
    let wav = folder.join("sound.wav");
    common::run(
        "ffmpeg",
        &["-v", "error", "-f", "f32le", "-ar", "48000", "-ac", "2", "-i", text(&raw), text(&wav)],
    );
    wav
}

fn span(range: &std::ops::Range<u64>) -> std::ops::Range<usize> {
    usize::try_from(range.start).expect("a short clip")..usize::try_from(range.end).expect("a short clip")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are UTF-8")
}

/// CPU time of this process and of the children it has waited for; `None` without `/proc`.
fn cpu_time() -> Option<Duration> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // utime, stime, cutime, cstime are fields 14 to 17; the name in field 2 may hold spaces, its end is the last
    // parenthesis. Linux counts 100 ticks a second for user space on every architecture that Rust runs on.
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(4);
    let ticks: u64 = fields.filter_map(|field| field.parse::<u64>().ok()).sum();
    Some(Duration::from_millis(ticks * 10))
}

fn cpu_since(before: Option<Duration>) -> Option<Duration> {
    Some(cpu_time()? - before?)
}
