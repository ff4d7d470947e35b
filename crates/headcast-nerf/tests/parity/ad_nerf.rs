//! AD-NeRF's engine against the reference and the goldens, and against itself.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use headcast_core::npy::Array;
use headcast_core::{FeatureTrack, Intrinsics, RgbImage};
use headcast_nerf::Profile;
use headcast_nerf::avatar::{Avatar, ImportRequest, import};
use headcast_nerf::conditioning::{audio_codes, dataset_pose};
use headcast_nerf::cpu::{AdEngine, AdFrameRequest, AdView, Config, FrameStats, RenderError, SimdLevel};
use headcast_nerf::field::{AdReference, AdRequest, to_u8};
use headcast_nerf::model::{AdNerf, Network};

use crate::at_every_level;
use crate::npz::Npz;
use crate::scene::{Difference, difference, fixture_folder};

/// Values that may be one step off: truncation tells apart what lies on either side of a whole number.
const ONE_STEP: f32 = 0.01;

/// A fixture as it is imported, with what it hears.
pub(crate) struct AdScene {
    pub(crate) model: AdNerf,
    pub(crate) poses: Vec<[[f32; 4]; 3]>,
    pub(crate) intrinsics: Intrinsics,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) background: Vec<f32>,
    pub(crate) codes: Vec<Vec<f32>>,
}

impl AdScene {
    pub(crate) fn fixture(name: &str) -> Self {
        let (folder, library) = (fixture_folder(name), tempfile::tempdir().unwrap());
        let request = ImportRequest::new(folder.join("300000_head.tar"), &folder, "ad");
        let avatar = Avatar::load(&import(&request, library.path()).unwrap().path).unwrap();
        let background = avatar
            .backdrop(0, &avatar.background)
            .unwrap()
            .data()
            .iter()
            .map(|v| f32::from(*v) / 255.0)
            .collect();
        let Network::Ad(model) = avatar.model else { panic!("{name} is no AD-NeRF") };
        let array = Array::read_f32(&std::fs::read(folder.join("aud.npy")).unwrap()).unwrap();
        let track = FeatureTrack::from_windows(array.shape.try_into().unwrap(), array.data).unwrap();
        let codes = audio_codes(&*model, &track, track.rows() as u64, false).unwrap();
        Self {
            poses: avatar.poses.iter().map(dataset_pose).collect(),
            codes: codes.iter().map(|code| code.to_vec()).collect(),
            model: *model,
            intrinsics: avatar.intrinsics,
            width: avatar.width,
            height: avatar.height,
            background,
        }
    }

    /// The same view in another picture size, before one colour.
    pub(crate) fn resized(mut self, width: u32, height: u32) -> Self {
        let (x, y) = (width as f32 / self.width as f32, height as f32 / self.height as f32);
        let Intrinsics { fx, fy, cx, cy } = self.intrinsics;
        self.intrinsics = Intrinsics { fx: fx * x, fy: fy * y, cx: cx * x, cy: cy * y };
        (self.width, self.height) = (width, height);
        self.background = [0.2, 0.4, 0.8].repeat(width as usize * height as usize);
        self
    }

    pub(crate) fn engine(&self, level: SimdLevel, profile: Profile, threads: usize) -> AdEngine {
        let config = Config { profile, threads: NonZero::new(threads).unwrap(), simd: level };
        let view = AdView {
            poses: &self.poses,
            intrinsics: &self.intrinsics,
            width: self.width,
            height: self.height,
        };
        AdEngine::new(&self.model, &view, &config).unwrap()
    }

    fn request(&self, frame: usize) -> AdFrameRequest<'_> {
        AdFrameRequest {
            pose: &self.poses[frame],
            intrinsics: &self.intrinsics,
            code: &self.codes[frame],
            background: &self.background,
        }
    }

    pub(crate) fn render(&self, engine: &AdEngine, frame: usize) -> (RgbImage, FrameStats) {
        let mut out = RgbImage::filled(self.width, self.height, [1, 2, 3]).unwrap();
        let stats = engine.render(&self.request(frame), &|| false, &mut out).unwrap();
        (out, stats)
    }

    /// The reference's picture, as 8-bit values.
    fn reference(&self, frame: usize) -> Vec<u8> {
        let request = AdRequest {
            pose: self.poses[frame],
            intrinsics: self.intrinsics,
            width: self.width,
            height: self.height,
            audio_code: &self.codes[frame],
            background: &self.background,
        };
        let frame = AdReference::new(&self.model).with_threads(NonZero::new(2).unwrap()).render(&request);
        frame.rgb.into_iter().map(to_u8).collect()
    }

    /// The same of an unchanged fixture: made once for all instruction sets.
    fn reference_of_fixture(name: &'static str, frame: usize) -> Vec<u8> {
        static MADE: Mutex<BTreeMap<(&'static str, usize), Vec<u8>>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().unwrap();
        made.entry((name, frame)).or_insert_with(|| Self::fixture(name).reference(frame)).clone()
    }
}

/// Evaluations of parity: every sample of every ray but the last of each pass, which is the background.
fn faithful(scene: &AdScene) -> u64 {
    naive(scene) * (63 + 191) / (64 + 192)
}

/// Evaluations of upstream: every sample of every ray.
fn naive(scene: &AdScene) -> u64 {
    let fields = 1 + u64::from(scene.model.torso.is_some());
    u64::from(scene.width) * u64::from(scene.height) * fields * (64 + 192)
}

fn close(difference: &Difference) -> bool {
    difference.beyond_one == 0.0 && difference.any <= ONE_STEP
}

fn whole_frame(level: SimdLevel) {
    for (name, frame) in [("ad-head", 0), ("ad-torso", 6)] {
        let scene = AdScene::fixture(name);
        let (ours, stats) = scene.render(&scene.engine(level, Profile::Parity, 2), frame);
        let golden = Npz::open(&fixture_folder(name).join("golden.npz")).u8(&format!("frame{frame}_u8")).data;
        let reference = AdScene::reference_of_fixture(name, frame);
        for (what, right) in [("reference", reference), ("golden", golden)] {
            let difference = difference(ours.data(), &right);
            println!("{name} frame {frame}, {level}, {what}: {difference:?}");
            assert!(close(&difference), "{name} frame {frame}, {what}: {difference:?}");
        }
        assert_eq!(stats.samples, faithful(&scene), "{name}");
    }
}
at_every_level!(ad_parity_profile, super::whole_frame);

#[test]
fn ad_controls_turn_red() {
    let expected = AdScene::reference_of_fixture("ad-torso", 6);
    type Change = (&'static str, fn(&mut AdScene));
    let changes: [Change; 6] = [
        ("a weight of the coarse head", |s| s.model.head.coarse.alpha.bias[0] -= 60.0),
        ("a weight of the fine head", |s| s.model.head.fine.points[5].weight.data[200] += 0.5),
        ("a bias of the head's colour", |s| s.model.head.fine.rgb.bias[1] += 0.3),
        ("a bias of the torso's colour", |s| {
            s.model.torso.as_mut().unwrap().field.fine.rgb.bias[0] += 0.3;
        }),
        ("what is heard", |s| s.codes[6][3] += 0.5),
        ("where the torso stands", |s| s.model.torso.as_mut().unwrap().pose[1][3] += 0.01),
    ];
    for (what, change) in changes {
        let mut scene = AdScene::fixture("ad-torso");
        change(&mut scene);
        let (ours, _) = scene.render(&scene.engine(SimdLevel::best(), Profile::Parity, 2), 6);
        let difference = difference(ours.data(), &expected);
        println!("{what}: {difference:?}");
        assert!(!close(&difference), "control: {what}, {difference:?}");
    }
}

/// Tiles that are cut, and frames in either order on any number of threads.
#[test]
fn ad_pictures_depend_on_no_thread_and_no_order() {
    let scene = AdScene::fixture("ad-torso").resized(45, 36);
    for profile in [Profile::Quality, Profile::Fast] {
        let render = |threads: usize, frames: [usize; 2]| {
            let engine = scene.engine(SimdLevel::best(), profile, threads);
            frames.map(|frame| scene.render(&engine, frame))
        };
        let [first, second] = render(1, [2, 7]);
        assert_ne!(first.0, second.0, "{profile}: two frames");
        assert_eq!(render(3, [7, 2]), [second, first], "{profile}");
    }
}

#[test]
fn ad_frames_are_given_up_between_batches() {
    let scene = AdScene::fixture("ad-torso");
    let engine = scene.engine(SimdLevel::best(), Profile::Parity, 2);
    let mut out = RgbImage::filled(24, 24, [0; 3]).unwrap();
    let asked = AtomicUsize::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) == 10;
    let error = engine.render(&scene.request(0), &stop, &mut out).unwrap_err();
    assert!(matches!(error, RenderError::Stopped), "{error}");
    assert_eq!(asked.into_inner(), 11, "it is asked no more once it has said so");
    // The next frame knows nothing of it.
    assert_eq!(
        scene.render(&engine, 0),
        scene.render(&scene.engine(SimdLevel::best(), Profile::Parity, 1), 0)
    );
}

#[test]
fn ad_probes_say_which_share_of_a_frame_they_were() {
    let scene = AdScene::fixture("ad-torso").resized(64, 48);
    let engine = scene.engine(SimdLevel::best(), Profile::Parity, 1);
    let (stats, share) = engine.probe(&scene.request(3), 1);
    assert_eq!((share, stats.samples), (128.0 / 3072.0, 2 * 128 * (63 + 191)), "two blocks of 8x8");

    // All blocks of a picture in some rounds: together they are a frame, as far as lanes go.
    for profile in [Profile::Quality, Profile::Fast] {
        let engine = scene.engine(SimdLevel::best(), profile, 1);
        let blocks = if profile == Profile::Quality { 8 } else { 16 };
        let whole = (0..48 / blocks).map(|round| engine.probe(&scene.request(3), round));
        let (lanes, share) =
            whole.fold((0, 0.0), |(lanes, sum), (stats, share)| (lanes + stats.lanes, sum + share));
        let frame = scene.render(&engine, 3).1;
        // Frames per second that follow from the probes, over those of the frame.
        let estimate = share / lanes as f64 * frame.lanes as f64;
        println!("{profile}: estimate {estimate:.2} of the frame's speed, {share:.2} {lanes} {frame:?}");
        assert!((0.6..1.6).contains(&estimate), "{profile}: {estimate}");
    }
}

/// Decibels from `a` to `b`.
fn psnr(a: &RgbImage, b: &RgbImage) -> f64 {
    let squares: f64 = a.data().iter().zip(b.data()).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.data().len() as f64 / squares.max(1e-9)).log10()
}

/// The fixtures as they are, and seen through more pixels, where nodes are what they are made for.
fn views() -> impl Iterator<Item = (String, AdScene)> {
    ["ad-head", "ad-torso"].into_iter().flat_map(|name| {
        [24, 64].into_iter().map(move |size| {
            let scene = AdScene::fixture(name);
            let scene = if size == 24 { scene } else { scene.resized(size, size) };
            (format!("{name} of {size}x{size}"), scene)
        })
    })
}

#[test]
fn ad_quality_and_faster_profiles_stay_close_to_parity() {
    for (name, scene) in views() {
        let [exact, quality, fast, preview] =
            [Profile::Parity, Profile::Quality, Profile::Fast, Profile::Preview].map(|profile| {
                let engine = scene.engine(SimdLevel::best(), profile, 2);
                let (picture, stats) = scene.render(&engine, 6);
                let fewer = naive(&scene) as f64 / stats.samples as f64;
                let occupied = engine.occupied_share();
                println!("{name}, {profile}: {fewer:.1} times fewer evaluations; occupied {occupied:.3?}");
                (picture, fewer)
            });
        let off = difference(quality.0.data(), exact.0.data());
        println!("{name}, quality: {off:?}");
        assert!(off.beyond_one <= 0.002, "{name}: {off:?}");
        let [of_fast, of_preview] = [&fast, &preview].map(|(picture, _)| psnr(picture, &exact.0));
        println!("{name}: fast {of_fast:.1} dB, preview {of_preview:.1} dB");
        assert!(of_fast >= 45.0 && fast.1 >= 15.0, "{name}: {of_fast} dB, {} times fewer", fast.1);
        assert!(of_preview >= 30.0 && preview.1 > fast.1, "{name}: {of_preview} dB, {}", preview.1);
        let (other, _) = scene.render(&scene.engine(SimdLevel::best(), Profile::Fast, 2), 5);
        let of_other = psnr(&other, &exact.0);
        assert!(of_other < 40.0, "control: {name}, another frame, {of_other}");
    }
}
