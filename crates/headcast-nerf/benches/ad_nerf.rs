//! How near to the hardware's limit AD-NeRF's networks are evaluated.
//!
//! `cargo bench -p headcast-nerf --bench ad_nerf`. Networks have upstream's sizes and weights that mean nothing: a product of
//! matrices takes as long whatever is in them. `HEADCAST_BENCH_AD` names an avatar's folder, or one with `NNNNNN_head.tar` and what is beside it: how long
//! a frame of it takes is estimated for each profile, as `headcast bench` does.
//! Times are those of the calling thread in turns, so that the ratio holds on a machine with other work, too.
#![expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "a report of rounded figures")]

use std::fs::File;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use headcast_core::{FeatureKind, Intrinsics, RgbImage};
use headcast_nerf::avatar::{Avatar, ImportRequest, import};
use headcast_nerf::checkpoint::Checkpoint;
use headcast_nerf::cpu::ad_nerf::measure;
use headcast_nerf::cpu::{AdEngine, AdView, Config, SimdLevel};
use headcast_nerf::field::face_point;
use headcast_nerf::model::{AdField, AdNerf, AdOptions, FaceNet, Linear, Matrix};
use headcast_nerf::{Profile, Renderer, Settings};

/// Turns of each loop; the fastest counts.
const TURNS: usize = 20;
/// Points of the reference in a turn.
const POINTS: usize = 64;

fn main() {
    let model = model();
    let net = &model.head.fine;
    let reference = best(|| {
        for k in 0..POINTS {
            let x = [k as f32 * 0.003, -0.1, 0.05];
            std::hint::black_box(face_point(net, &[0.1; 64], x, [0.0, 0.0, -1.0]));
        }
        (2 * POINTS * net.multiply_adds()) as u64
    });
    println!("reference: {:.1} GFLOP/s", reference / 1e9);
    for simd in SimdLevel::ALL {
        if !simd.is_available() {
            println!("{simd}: SKIPPED, not on this CPU");
            continue;
        }
        let config = Config { profile: Profile::Parity, threads: NonZero::<usize>::MIN, simd };
        let intrinsics = Intrinsics { fx: 1100.0, fy: 1100.0, cx: 225.0, cy: 225.0 };
        let view = AdView { poses: &[], intrinsics: &intrinsics, width: 450, height: 450 };
        let engine = AdEngine::new(&model, &view, &config).expect("upstream's sizes");
        let peak = best(|| measure::peak_f32(&engine, 1 << 20));
        let ours = best(|| measure::evaluate(&engine, 4));
        println!(
            "{simd}: {:.0} GFLOP/s of a peak of {:.0}: {:.0} %; {:.0} times the reference",
            ours / 1e9,
            peak / 1e9,
            100.0 * ours / peak,
            ours / reference
        );
    }
    if let Some(folder) = std::env::var_os("HEADCAST_BENCH_AD") {
        frames(Path::new(&folder));
    }
}

/// Seconds a frame, from blocks of three frames.
fn frames(folder: &Path) {
    let library = tempfile::tempdir().expect("a place for the avatar");
    let folder = match folder.join("avatar.toml").exists() {
        true => folder.to_owned(),
        false => {
            let file = last_head(folder).expect("NNNNNN_head.tar in the folder");
            import(&ImportRequest::new(file, folder, "bench"), library.path()).expect("an AD-NeRF").path
        }
    };
    let avatar = Arc::new(Avatar::load(&folder).expect("an avatar"));
    let mut out = RgbImage::filled(avatar.width, avatar.height, [0; 3]).expect("an avatar's size");
    for profile in Profile::ALL {
        let start = Instant::now();
        let settings = Settings { profile, ..Settings::default() };
        let renderer = Renderer::new(Arc::clone(&avatar), &settings).expect("an avatar");
        let ready = start.elapsed().as_secs_f64();
        let start = Instant::now();
        let share: f64 =
            (0..3).map(|round| renderer.probe(round, &mut out).expect("sizes agree").share).sum();
        let secs = start.elapsed().as_secs_f64() / share;
        println!("{}: {secs:.1} s a frame, ready in {ready:.1} s", renderer.describe());
    }
}

fn last_head(folder: &Path) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    files.filter(|path| path.to_string_lossy().ends_with("_head.tar")).max()
}

/// Operations per second of the fastest turn.
fn best(turn: impl Fn() -> u64) -> f64 {
    turn();
    (0..TURNS).fold(0.0, |best, _| {
        let start = Instant::now();
        let operations = turn();
        f64::max(best, operations as f64 / start.elapsed().as_secs_f64())
    })
}

/// The ears of a fixture between networks of upstream's sizes.
fn model() -> AdNerf {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/nerf/ad-head/300000_head.tar");
    let mut head = Checkpoint::open(File::open(file).expect("a fixture")).expect("a checkpoint");
    let options =
        AdOptions { features: FeatureKind::DeepSpeech, near: 0.57, far: 1.17, samples: 64, importance: 128 };
    let narrow = AdNerf::from_checkpoints(&mut head, None::<&mut Checkpoint<File>>, options, [[0.0; 4]; 3]);
    let narrow = narrow.expect("the head of an AD-NeRF");
    AdNerf { head: AdField { coarse: wide(), fine: wide() }, ..narrow }
}

fn wide() -> FaceNet {
    const WIDTH: usize = 256;
    let input = FaceNet::POSITION + 64;
    let linear = |rows: usize, cols: usize| {
        let value = |k: usize| ((k * 37 % 101) as f32 / 50.0 - 1.0) / (cols as f32).sqrt();
        Linear {
            weight: Matrix { rows, cols, data: (0..rows * cols).map(value).collect() },
            bias: vec![0.1; rows],
        }
    };
    let points = (0..8).map(|k| match k {
        0 => linear(WIDTH, input),
        5 => linear(WIDTH, input + WIDTH),
        _ => linear(WIDTH, WIDTH),
    });
    let half = WIDTH / 2;
    FaceNet {
        points: points.collect(),
        alpha: linear(1, WIDTH),
        views: vec![linear(half, WIDTH + FaceNet::DIRECTION), linear(half, half), linear(half, half)],
        rgb: linear(3, half),
    }
}
