//! What benches render, and the clock they go by.
//!
//! The built-in avatar; `HEADCAST_BENCH_AVATAR` names another avatar's folder, or a folder with a checkpoint `ngp.pth` and its
//! `transforms_val.json`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use headcast_core::{Intrinsics, Pose, RgbImage};
use headcast_nerf::avatar::Avatar;
use headcast_nerf::checkpoint::Checkpoint;
use headcast_nerf::conditioning::ngp_pose;
use headcast_nerf::cpu::measure::{self, Seconds};
use headcast_nerf::model::{ErNerf, Network};

pub(crate) struct Subject {
    pub(crate) name: String,
    pub(crate) model: ErNerf,
    pub(crate) width: u32,
    pub(crate) height: u32,
    intrinsics: Intrinsics,
    poses: Vec<Pose>,
    background: RgbImage,
}

pub(crate) fn clock() -> Seconds {
    static START: OnceLock<Instant> = OnceLock::new();
    let wall = START.get_or_init(Instant::now).elapsed().as_secs_f64();
    Seconds { wall, cpu: cpu_time().unwrap_or(wall) }
}

/// Processor time of all threads so far, in seconds, to a hundredth; `None` where the system does not tell.
fn cpu_time() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // utime and stime, proc(5), in ticks of USER_HZ.
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(ticks as f64 / 100.0)
}

impl Subject {
    pub(crate) fn view(&self) -> measure::Subject<'_> {
        let Self { intrinsics, poses, background, .. } = self;
        measure::Subject { intrinsics, poses, background }
    }

    pub(crate) fn find() -> Self {
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
