//! What the tests of this crate share: synthetic clips, and tools of other people that read ours.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "small synthetic signals; a test that unwraps fails with a line number; a skip must be seen"
)]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its part of this module")]

use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use headcast_core::timeline::Speed;
use headcast_core::{FrameRate, RgbImage, SampleRate, SegmentPlan, Timeline};
use headcast_media::aac::{Channels, Encoder, Fdk};
use headcast_media::segment::{Config, SegmentEncoder};

/// A clip: everything that fixes its segments.
pub struct Clip {
    pub config: Config,
    pub plan: SegmentPlan,
    pub units: Vec<Bytes>,
}

impl Clip {
    /// `frames` frames of `width × height` at `rate`, planned for twice real time, stereo.
    pub fn new(width: u32, height: u32, frames: u64, rate: FrameRate) -> Self {
        Self::with_sound(width, height, frames, rate, Channels::Stereo, &sweep)
    }

    pub fn with_sound(
        width: u32,
        height: u32,
        frames: u64,
        rate: FrameRate,
        channels: Channels,
        sound: &dyn Fn(usize) -> f32,
    ) -> Self {
        let timeline = Timeline::from_frames(frames, rate).unwrap();
        let samples = timeline.samples(SampleRate::AAC) as usize;
        let pcm: Vec<f32> = (0..samples * channels.count()).map(|i| sound(i / channels.count())).collect();
        let mut encoder = Fdk::new(channels).unwrap();
        let mut units = encoder.push(&pcm).unwrap();
        units.extend(encoder.finish().unwrap());
        assert_eq!(units.len() as u64, timeline.aac_units());
        Self {
            config: Config::new(width, height, rate).unwrap().channels(channels),
            plan: SegmentPlan::new(timeline, Speed(2000)),
            units,
        }
    }

    pub fn frame(&self, index: u64) -> RgbImage {
        frame(self.config.video().width(), self.config.video().height(), index)
    }

    pub fn segment(&self, index: usize) -> Bytes {
        let mut encoder = SegmentEncoder::new(&self.config, &self.plan, index).unwrap();
        for frame in encoder.frames() {
            encoder.push(&self.frame(frame)).unwrap();
        }
        let units = encoder.audio_units();
        encoder.finish(&self.units[units.start as usize..units.end as usize]).unwrap()
    }

    pub fn segments(&self) -> Vec<Bytes> {
        (0..self.plan.len()).map(|k| self.segment(k)).collect()
    }

    pub fn secs(&self) -> f64 {
        self.plan.timeline().secs()
    }
}

/// A textured gradient that turns, with a brighter oval that bobs: smooth motion, no noise.
pub fn frame(width: u32, height: u32, index: u64) -> RgbImage {
    let t = index as f32 * 0.07;
    let mut data = Vec::with_capacity((width * height * 3) as usize);
    let (w, h) = (width as f32, height as f32);
    for y in 0..height {
        for x in 0..width {
            let (u, v) = (x as f32 / w - 0.5, y as f32 / h - 0.5);
            let texture = (x as f32 * 0.09 + t).sin() * (y as f32 * 0.07 - 0.6 * t).cos() * 14.0;
            let (du, dv) = (u - 0.1 * t.sin(), v - 0.08 * (1.3 * t).cos());
            let face = 50.0 * ((0.5 - du * du * 9.0 - dv * dv * 5.0) * 6.0).clamp(0.0, 1.0);
            let pixel = [
                120.0 + 90.0 * u + texture + face,
                110.0 + 80.0 * v + 0.7 * texture + 0.8 * face,
                130.0 - 70.0 * u * v + 0.5 * texture + 0.5 * face,
            ];
            data.extend(pixel.map(|value| value.clamp(0.0, 255.0) as u8));
        }
    }
    RgbImage::from_raw(width, height, data).unwrap()
}

/// A sine that rises slowly.
pub fn sweep(sample: usize) -> f32 {
    let t = sample as f32 / 48_000.0;
    0.4 * (std::f32::consts::TAU * (300.0 * t + 40.0 * t * t)).sin()
}

/// Whether `tools` are installed. A missing one is printed, and a failure where `HEADCAST_REQUIRE_TOOLS` is set.
pub fn have(tools: &[&str]) -> bool {
    let runs = |tool: &&&str| !Command::new(tool).arg("-version").output().is_ok_and(|o| o.status.success());
    let missing: Vec<_> = tools.iter().filter(runs).collect();
    if missing.is_empty() {
        return true;
    }
    let required = std::env::var_os("HEADCAST_REQUIRE_TOOLS").is_some();
    assert!(!required, "HEADCAST_REQUIRE_TOOLS is set and {missing:?} cannot be run");
    println!("SKIPPED: {missing:?} not installed, nothing was read by foreign software");
    false
}

/// Runs `tool` and gives what it wrote to stdout and stderr.
///
/// # Panics
/// If it fails.
pub fn run(tool: &str, arguments: &[&str]) -> (Vec<u8>, String) {
    let output = Command::new(tool).args(arguments).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{tool} {arguments:?}: {stderr}");
    (output.stdout, stderr)
}

/// Decodes everything and expects no word of complaint.
pub fn assert_decodes_silently(file: &Path) {
    let file = file.to_str().unwrap();
    let (_, stderr) = run("ffmpeg", &["-v", "warning", "-xerror", "-i", file, "-f", "null", "-"]);
    assert_eq!(stderr, "", "ffmpeg complains about {file}");
}

/// `key=value` lines of ffprobe for one stream.
pub fn probe(file: &Path, arguments: &[&str]) -> Vec<String> {
    let mut all = vec!["-v", "error"];
    all.extend_from_slice(arguments);
    all.extend_from_slice(&["-of", "default=noprint_wrappers=1", file.to_str().unwrap()]);
    let (stdout, stderr) = run("ffprobe", &all);
    assert_eq!(stderr, "");
    String::from_utf8(stdout).unwrap().lines().map(str::to_owned).collect()
}

/// Values of `key` in the lines of [`probe`].
pub fn values<'a>(lines: &'a [String], key: &str) -> Vec<&'a str> {
    lines.iter().filter_map(|line| line.strip_prefix(key)?.strip_prefix('=')).collect()
}

/// Decoded sound, `[samples, channels]` f32 at 48 kHz.
pub fn decode_sound(file: &Path, arguments: &[&str]) -> Vec<f32> {
    let mut all = vec!["-v", "error"];
    all.extend_from_slice(arguments);
    all.extend_from_slice(&["-i", file.to_str().unwrap(), "-map", "0:a", "-f", "f32le", "-"]);
    let (stdout, _) = run("ffmpeg", &all);
    stdout.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
}

/// Decoded pictures, each `[height, width, 3]` RGB, converted back by BT.709.
pub fn decode_pictures(file: &Path, width: u32, height: u32) -> Vec<Vec<u8>> {
    let filter = "scale=in_color_matrix=bt709:in_range=tv:out_range=pc:flags=accurate_rnd+full_chroma_int,format=rgb24";
    let (stdout, _) = run(
        "ffmpeg",
        &[
            "-v",
            "error",
            "-i",
            file.to_str().unwrap(),
            "-map",
            "0:v",
            "-vsync",
            "0",
            "-vf",
            filter,
            "-f",
            "rawvideo",
            "-",
        ],
    );
    stdout.chunks((width * height * 3) as usize).map(<[u8]>::to_vec).collect()
}

/// PSNR in dB of the part of `found` (`found_width` pixels wide) that `image` covers.
pub fn psnr(image: &RgbImage, found: &[u8], found_width: u32) -> f64 {
    let row = image.width() as usize * 3;
    let rows = found.chunks(found_width as usize * 3);
    let mut sum = 0.0;
    for (expected, found) in image.data().chunks(row).zip(rows) {
        for (e, f) in expected.iter().zip(found) {
            let d = f64::from(*e) - f64::from(*f);
            sum += d * d;
        }
    }
    10.0 * (255.0 * 255.0 * image.data().len() as f64 / sum.max(1e-9)).log10()
}
