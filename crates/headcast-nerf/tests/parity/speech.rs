//! From an imported avatar and features to pictures, through [`Renderer`].

use std::collections::BTreeSet;
use std::num::NonZero;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use headcast_core::npy::Array;
use headcast_core::{FeatureKind, FeatureTrack, FrameIndex, Maker, RgbImage, Spools, Stop, ValuesError};
use headcast_nerf::avatar::{Avatar, Background, ImportRequest, Smoothing, import};
use headcast_nerf::body::{Behind, Blinks, Body, Eyes, Poses};
use headcast_nerf::conditioning::{ConditioningError, Ears, audio_codes, smooth_eye};
use headcast_nerf::cpu::{Engine, RenderError, SimdLevel, probe};
use headcast_nerf::model::{Network, RadNerf};
use headcast_nerf::{Clip, Probe, Profile, Renderer, Settings};

use crate::at_every_level;
use crate::inputs::{Options, eye_ratios};
use crate::npz::Npz;
use crate::scene::{ALL, ALL_RAD, Model, Scene, SceneOf, difference, fixture_folder};

/// The fixture as a user would import it.
fn imported(name: &str, library: &Path) -> Avatar {
    let folder = fixture_folder(name);
    let options = Options::read(&folder).expect("a fixture of a network has options");
    let mut request = ImportRequest::new(folder.join("ngp.pth"), &folder, name);
    request.transforms = Some(folder.join("transforms_val.json"));
    if options.text("model") == "RAD-NeRF" {
        request.transforms = Some(with_eye_ratios(&folder, &options, library));
        request.attention = options.number("att").map(|v| v as u8);
    }
    request.background = Some(Background::File(folder.join("bc.png")));
    request.max_steps = options.number("max_steps").map(|v| v as u32);
    request.smoothing = Some(Smoothing {
        path: options.flag("smooth_path"),
        eyes: options.flag("smooth_eye"),
        lips: options.flag("smooth_lips"),
    });
    Avatar::load(&import(&request, library).unwrap().path).unwrap()
}

/// The pose file with an `eye_ratio` in every frame, as those of RAD-NeRF's released models have.
fn with_eye_ratios(folder: &Path, options: &Options, library: &Path) -> PathBuf {
    let bytes = std::fs::read(folder.join("transforms_val.json")).unwrap();
    let mut poses: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    for (frame, eye) in poses["frames"].as_array_mut().unwrap().iter_mut().zip(eye_ratios(options)) {
        frame["eye_ratio"] = eye.into();
    }
    std::fs::create_dir_all(library).unwrap();
    let path = library.join("transforms.json");
    std::fs::write(&path, poses.to_string()).unwrap();
    path
}

fn features(name: &str) -> FeatureTrack {
    let folder = fixture_folder(name);
    let file = Options::read(&folder).unwrap().text("audio_file").to_owned();
    let array = Array::read_f32(&std::fs::read(folder.join(file)).unwrap()).unwrap();
    FeatureTrack::from_windows(array.shape.try_into().unwrap(), array.data).unwrap()
}

fn settings(profile: Profile) -> Settings {
    Settings { profile, threads: NonZero::new(2), ..Settings::default() }
}

fn moving(body: Body, profile: Profile) -> Settings {
    Settings { body, ..settings(profile) }
}

fn render(renderer: &Renderer, clip: &Clip, frame: u64) -> RgbImage {
    let mut out = RgbImage::filled(renderer.width(), renderer.height(), [7; 3]).unwrap();
    renderer.render(clip, FrameIndex(frame), &mut out).unwrap();
    out
}

#[test]
fn imported_fixtures_meet_their_goldens() {
    let library = tempfile::tempdir().unwrap();
    for name in ALL {
        let options = Options::read(&fixture_folder(name)).unwrap();
        let eyes = options.number("fix_eye").map_or(Eyes::Recorded, |v| Eyes::Fixed(v as f32));
        let avatar = Arc::new(imported(name, library.path()));
        let renderer =
            Renderer::new(avatar, &moving(Body { eyes, ..Body::default() }, Profile::Parity)).unwrap();
        let track = features(name);
        let clip = renderer.clip(&track, track.rows() as u64, &Spools::in_memory()).unwrap();
        assert_eq!(clip.frames(), track.rows() as u64);
        let golden = Npz::open(&fixture_folder(name).join("golden.npz"));
        for frame in options.frames() {
            let ours = render(&renderer, &clip, frame as u64);
            let difference = difference(ours.data(), &golden.u8(&format!("frame{frame}_u8")).data);
            println!("{name} frame {frame}: {difference:?}");
            assert!(difference.beyond_one <= 0.001 && difference.any <= 0.02, "{name}: {difference:?}");
        }
    }
}

#[test]
fn imported_rad_nerf_fixtures_meet_their_goldens() {
    let library = tempfile::tempdir().unwrap();
    for name in ALL_RAD {
        let avatar = Arc::new(imported(name, library.path()));
        let renderer = Renderer::new(Arc::clone(&avatar), &settings(Profile::Parity)).unwrap();
        let track = features(name);
        let clip = renderer.clip(&track, track.rows() as u64, &Spools::in_memory()).unwrap();
        let golden = Npz::open(&fixture_folder(name).join("golden.npz"));
        for frame in Options::read(&fixture_folder(name)).unwrap().frames() {
            let ours = render(&renderer, &clip, frame as u64);
            let golden = golden.u8(&format!("frame{frame}_u8")).data;
            let difference = difference(ours.data(), &golden);
            println!("{name} frame {frame}: {difference:?}");
            assert!(difference.beyond_one <= 0.001 && difference.any <= 0.02, "{name}: {difference:?}");
        }
        let frame = Options::read(&fixture_folder(name)).unwrap().frames()[0];
        let golden = golden.u8(&format!("frame{frame}_u8")).data;
        let still = moving(Body { smooth_lips: Some(false), ..Body::default() }, Profile::Parity);
        let still = Renderer::new(avatar, &still).unwrap();
        let clip = still.clip(&track, track.rows() as u64, &Spools::in_memory()).unwrap();
        let ours = render(&still, &clip, frame.max(1) as u64);
        let difference = difference(ours.data(), &golden);
        assert!(difference.any > 0.02, "control: {name} with other lips, {difference:?}");
    }
}

#[test]
fn an_imported_ad_nerf_fixture_meets_its_golden() {
    let library = tempfile::tempdir().unwrap();
    let folder = fixture_folder("ad-torso");
    let request = ImportRequest::new(folder.join("300000_head.tar"), &folder, "ad");
    let avatar = Arc::new(Avatar::load(&import(&request, library.path()).unwrap().path).unwrap());
    let renderer = Renderer::new(avatar, &settings(Profile::Parity)).unwrap();
    let level = SimdLevel::best();
    assert_eq!(renderer.describe(), format!("CPU, {level}, 2 threads, parity profile"));
    let array = Array::read_f32(&std::fs::read(folder.join("aud.npy")).unwrap()).unwrap();
    let track = FeatureTrack::from_windows(array.shape.try_into().unwrap(), array.data).unwrap();
    let clip = renderer.clip(&track, track.rows() as u64, &Spools::in_memory()).unwrap();
    let golden = Npz::open(&folder.join("golden.npz"));
    let ours = render(&renderer, &clip, 6);
    let same = difference(ours.data(), &golden.u8("frame6_u8").data);
    println!("ad-torso frame 6: {same:?}");
    assert!(same.beyond_one == 0.0 && same.any <= 0.005, "{same:?}");
    let other = difference(ours.data(), &golden.u8("frame0_u8").data);
    assert!(other.any > 0.02, "control: another frame, {other:?}");

    // A frame takes minutes at the size of real avatars: a probe traces some of its rays and says how many.
    let mut out = RgbImage::filled(24, 24, [0; 3]).unwrap();
    let Probe { stats, share } = renderer.probe(1, &mut out).unwrap();
    assert_eq!((stats.rays, share), (2 * 256, 256.0 / 576.0), "of the torso and of the head");
    let mut given_up = RgbImage::filled(24, 24, [0; 3]).unwrap();
    let error = renderer.render_until(&clip, FrameIndex(6), &|| true, &mut given_up).unwrap_err();
    assert!(matches!(error, RenderError::Stopped), "{error}");
    let error = renderer.clip(&features("rad-head"), 3, &Spools::in_memory()).unwrap_err().to_string();
    assert!(error.contains("DeepSpeech 0.1.0") && error.contains("esperanto"), "{error}");
}

#[test]
fn settings_replace_what_the_avatar_asks_for() {
    let library = tempfile::tempdir().unwrap();
    let avatar = Arc::new(imported("er-torso", library.path()));
    let track = features("er-torso");
    let picture = |body: Body| {
        let renderer = Renderer::new(Arc::clone(&avatar), &moving(body, Profile::Quality)).unwrap();
        let clip = renderer.clip(&track, track.rows() as u64, &Spools::in_memory()).unwrap();
        render(&renderer, &clip, 4)
    };
    let base = Body::default();
    let shipped = picture(base);
    // The fixture smooths everything.
    let same = Body { smooth_path: Some(true), smooth_eyes: Some(true), smooth_lips: Some(true), ..base };
    assert_eq!(picture(same), shipped);
    let changes = [
        ("path", Body { smooth_path: Some(false), ..base }),
        ("eyes", Body { smooth_eyes: Some(false), ..base }),
        ("lips", Body { smooth_lips: Some(false), ..base }),
        ("fixed eyes", Body { eyes: Eyes::Fixed(1.0), ..base }),
        ("another pose", Body { poses: Poses::Still(0), ..base }),
        ("green", Body { background: Behind::Colour([0, 177, 64]), ..base }),
    ];
    for (what, body) in changes {
        assert_ne!(picture(body), shipped, "{what}");
    }
    let fixed = Body { eyes: Eyes::Fixed(0.3), ..base };
    let unsmoothed = Body { smooth_eyes: Some(false), ..fixed };
    assert_eq!(picture(fixed), picture(unsmoothed), "fixed eyes have nothing to smooth");
    let green = picture(Body { background: Behind::Colour([0, 177, 64]), ..base });
    let corner = green.pixel(0, 0);
    assert!(corner == [0, 177, 64] && corner != shipped.pixel(0, 0), "{corner:?}");
    // A picture of the same colour, of another size and shape.
    let sea = RgbImage::filled(50, 20, [0, 177, 64]).unwrap();
    let settings = moving(Body { background: Behind::Picture, ..base }, Profile::Quality);
    let renderer = Renderer::with_background(Arc::clone(&avatar), &settings, Some(&sea)).unwrap();
    let clip = renderer.clip(&track, track.rows() as u64, &Spools::in_memory()).unwrap();
    assert_eq!(render(&renderer, &clip, 4), green);
    let error = Renderer::new(Arc::clone(&avatar), &settings).unwrap_err();
    assert!(matches!(error, RenderError::NoBackground), "{error}");
    let here = Body { poses: Poses::Still(4), ..base };
    assert_eq!(picture(here), shipped, "frame 4 of a loop shows pose 4");
}

#[test]
fn eyes_blink_by_the_frame_not_by_the_pose() {
    let library = tempfile::tempdir().unwrap();
    let avatar = Arc::new(imported("er-torso", library.path()));
    let track = features("er-torso");
    let still = Body { poses: Poses::Still(0), ..Body::default() };
    let blinking = Body { eyes: Eyes::Blinking, ..still };
    let blinks = Blinks::new(&smooth_eye(&avatar.eyes));
    // Far past the end of the features, where every frame sounds the same: the eyes alone differ.
    let (awake, asleep) = (750, (750..825).max_by(|a, b| blinks.at(*a).total_cmp(&blinks.at(*b))).unwrap());
    assert!(track.rows() < 740 && blinks.at(asleep) > blinks.at(awake) + 0.2);
    let picture = |body: Body, frame: u64| {
        let renderer = Renderer::new(Arc::clone(&avatar), &moving(body, Profile::Quality)).unwrap();
        let clip = renderer.clip(&track, 1000, &Spools::in_memory()).unwrap();
        render(&renderer, &clip, frame)
    };
    assert_ne!(picture(blinking, asleep), picture(blinking, awake));
    assert_eq!(picture(still, asleep), picture(still, awake), "control: without blinks both are the same");
    for frame in [awake, asleep] {
        let fixed = Body { eyes: Eyes::Fixed(blinks.at(frame)), ..still };
        assert_eq!(picture(blinking, frame), picture(fixed, frame));
    }
}

#[test]
fn what_a_body_cannot_do_is_refused() {
    let library = tempfile::tempdir().unwrap();
    let refusal = |avatar: &Arc<Avatar>, body: &str| {
        let settings = moving(body.parse().unwrap(), Profile::Quality);
        Renderer::new(Arc::clone(avatar), &settings).unwrap_err().to_string()
    };
    let error = refusal(&Arc::new(imported("er-torso", library.path())), "poses=4000");
    assert!(error.contains("no pose 4000") && error.contains("the avatar has"), "{error}");
    let eyeless = Arc::new(imported("rad-noeye-noind-att1", library.path()));
    for eyes in ["eyes=blink", "eyes=0.5"] {
        let error = refusal(&eyeless, eyes);
        assert!(error.contains("no eye value"), "{error}");
    }
}

#[test]
fn frames_do_not_depend_on_what_was_rendered_before() {
    let library = tempfile::tempdir().unwrap();
    let avatar = Arc::new(imported("er-torso", library.path()));
    let track = features("er-torso");
    let new = || {
        let renderer = Renderer::new(Arc::clone(&avatar), &settings(Profile::Quality)).unwrap();
        // Longer than the path and the features: both turns of the path, and the last row over and over.
        let clip = renderer.clip(&track, 3 * avatar.poses.len() as u64, &Spools::in_memory()).unwrap();
        (renderer, clip)
    };
    let (renderer, clip) = new();
    let forwards: Vec<RgbImage> = (0..clip.frames()).map(|frame| render(&renderer, &clip, frame)).collect();
    let distinct: BTreeSet<&[u8]> = forwards.iter().map(RgbImage::data).collect();
    assert!(distinct.len() > avatar.poses.len(), "{} different pictures", distinct.len());
    let (renderer, clip) = new();
    for frame in (0..clip.frames()).rev() {
        assert_eq!(render(&renderer, &clip, frame), forwards[frame as usize], "frame {frame}");
    }
    std::thread::scope(|scope| {
        for offset in 0..3 {
            let (renderer, clip, forwards) = (&renderer, &clip, &forwards);
            scope.spawn(move || {
                for frame in (offset..clip.frames()).step_by(3) {
                    assert_eq!(render(renderer, clip, frame), forwards[frame as usize], "frame {frame}");
                }
            });
        }
    });
}

/// Codes of frames asked for here and there, by several threads, are those of a clip heard from its first frame on.
#[test]
fn codes_asked_for_in_any_order_are_those_of_one_pass() {
    fn eager<'a, const N: usize>(
        model: impl Into<Ears<'a, N>>,
        track: &'a FeatureTrack,
        frames: u64,
        lips: bool,
    ) -> Vec<Vec<f32>> {
        audio_codes(model, track, frames, lips).unwrap().iter().map(|code| code.to_vec()).collect()
    }
    let library = tempfile::tempdir().unwrap();
    for name in ["er-torso", "er-hubert-eye", ALL_RAD[0], "rad-noeye-noind-att1"] {
        let avatar = Arc::new(imported(name, library.path()));
        let track = features(name);
        // Several chunks, and the last row over and over.
        let frames = track.rows() as u64 + 150;
        let [raw, smooth] = [false, true].map(|lips| match &avatar.model {
            Network::Er(model) => eager(&**model, &track, frames, lips),
            Network::Rad(model) => eager(&**model, &track, frames, lips),
            Network::Ad(model) => eager(&**model, &track, frames, lips),
        });
        assert_ne!(raw, smooth, "control: {name}, smoothing matters");
        for (lips, eager) in [(false, raw), (true, smooth)] {
            let body = Body { smooth_lips: Some(lips), ..Body::default() };
            let renderer = Renderer::new(Arc::clone(&avatar), &moving(body, Profile::Quality)).unwrap();
            for first in [0, 100, frames - 1] {
                let clip = renderer.clip(&track, frames, &Spools::in_memory()).unwrap();
                let code = clip.code(FrameIndex(first)).unwrap();
                assert_eq!(code, eager[first as usize], "{name}, frame {first} first, smooth lips: {lips}");
                std::thread::scope(|scope| {
                    for stride in [1, 37, 113] {
                        let (clip, eager) = (&clip, &eager);
                        scope.spawn(move || {
                            for step in 0..frames {
                                let frame = (step * stride + stride) % frames;
                                assert_eq!(clip.code(FrameIndex(frame)).unwrap(), eager[frame as usize]);
                            }
                        });
                    }
                });
            }
        }
    }
}

/// Scores that are made when they are read, a second at a time.
#[derive(Debug)]
struct Heard {
    seconds: u64,
    made: Arc<AtomicUsize>,
    /// A second that holds no numbers.
    poisoned: Option<u64>,
}

impl Heard {
    const SECOND: u64 = 50 * 29;

    fn track(seconds: u64, poisoned: Option<u64>) -> (FeatureTrack, Arc<AtomicUsize>) {
        let made = Arc::new(AtomicUsize::new(0));
        let maker = Self { seconds, made: Arc::clone(&made), poisoned };
        let track = FeatureTrack::lazy_scores(FeatureKind::DeepSpeech, maker, &Spools::in_memory());
        (track.unwrap(), made)
    }
}

impl Maker for Heard {
    type Error = ValuesError;

    fn count(&self) -> u64 {
        self.seconds * Self::SECOND
    }

    fn chunk(&self) -> usize {
        Self::SECOND as usize
    }

    fn make(
        &self,
        range: Range<u64>,
        _before: &[f32],
        _stop: &Stop<'_>,
        out: &mut Vec<f32>,
    ) -> Result<(), ValuesError> {
        self.made.fetch_add(1, Ordering::Relaxed);
        let poison = self.poisoned == Some(range.start / Self::SECOND);
        out.extend(range.map(|i| if poison { f32::NAN } else { (i % 31) as f32 / 31.0 }));
        Ok(())
    }
}

/// Behind a jump an avatar with smoothed lips has to hear all that comes before: whoever asked for the frame can give it up.
#[test]
fn a_frame_is_given_up_while_the_speech_before_it_is_heard() {
    let library = tempfile::tempdir().unwrap();
    let avatar = Arc::new(imported("er-torso", library.path()));
    let body = Body { smooth_lips: Some(true), ..Body::default() };
    let renderer = Renderer::new(Arc::clone(&avatar), &moving(body, Profile::Quality)).unwrap();
    let (track, made) = Heard::track(60, None);
    let clip = renderer.clip(&track, 1500, &Spools::in_memory()).unwrap();
    let made = || made.load(Ordering::Relaxed);
    let mut out = RgbImage::filled(avatar.width, avatar.height, [0; 3]).unwrap();
    let error = renderer.render_until(&clip, FrameIndex(1400), &|| made() >= 5, &mut out).unwrap_err();
    assert!(matches!(error, RenderError::Stopped), "{error}");
    assert_eq!(made(), 5, "seconds of speech that were heard before the question was heard");
    // What was heard is not heard again, and the frame is what it always was.
    let code = clip.code(FrameIndex(1400)).unwrap();
    assert!((56..=60).contains(&made()), "{} seconds heard", made());
    let again = renderer.clip(&Heard::track(60, None).0, 1500, &Spools::in_memory()).unwrap();
    assert_eq!(again.code(FrameIndex(1400)).unwrap(), code);
    // Control: nobody who does not want to stop is stopped.
    renderer.render_until(&clip, FrameIndex(1400), &|| false, &mut out).unwrap();
}

#[test]
fn an_extractor_that_makes_no_numbers_is_named_and_not_the_disk() {
    let library = tempfile::tempdir().unwrap();
    let avatar = Arc::new(imported("er-torso", library.path()));
    let renderer = Renderer::new(Arc::clone(&avatar), &settings(Profile::Quality)).unwrap();
    let (track, _) = Heard::track(60, Some(20));
    let clip = renderer.clip(&track, 1500, &Spools::in_memory()).unwrap();
    clip.code(FrameIndex(0)).unwrap();
    let error = clip.code(FrameIndex(520)).unwrap_err();
    assert!(
        matches!(error, RenderError::Conditioning(ConditioningError::NotFinite { value }) if value.is_nan()),
        "{error:?}"
    );
    let text = error.to_string();
    assert!(text.contains("add the model again") && text.contains("NaN"), "{text}");
    // And an avatar that makes none of numbers is not the extractor.
    let loud = FeatureTrack::from_windows([100, 16, 29], vec![f32::MAX; 100 * 16 * 29]).unwrap();
    let error = renderer.clip(&loud, 100, &Spools::in_memory()).unwrap().code(FrameIndex(50)).unwrap_err();
    assert!(matches!(error, RenderError::NotFinite { .. }), "{error:?}");
}

#[test]
fn refusals_name_both_sides() {
    let library = tempfile::tempdir().unwrap();
    let avatar = Arc::new(imported("er-torso", library.path()));
    let renderer = Renderer::new(Arc::clone(&avatar), &settings(Profile::Quality)).unwrap();
    let hubert = features("er-hubert-eye");
    assert_eq!(hubert.kind(), FeatureKind::Hubert);
    let error = renderer.clip(&hubert, 3, &Spools::in_memory()).unwrap_err();
    assert!(matches!(error, RenderError::Conditioning(_)));
    let text = error.to_string();
    assert!(text.contains("DeepSpeech 0.1.0") && text.contains("HuBERT"), "{text}");

    let clip = renderer.clip(&features("er-torso"), 3, &Spools::in_memory()).unwrap();
    let mut out = RgbImage::filled(avatar.width, avatar.height, [0; 3]).unwrap();
    let error = renderer.render(&clip, FrameIndex(3), &mut out).unwrap_err();
    assert_eq!(error.to_string(), "frame 3 does not exist, the clip has 3 frames");
    let mut small = RgbImage::filled(3, 4, [0; 3]).unwrap();
    let error = renderer.render(&clip, FrameIndex(0), &mut small).unwrap_err();
    assert!(matches!(error, RenderError::PictureSize { found: (3, 4), .. }), "{error}");

    for value in [f32::NAN, -0.1, 1.1] {
        let settings = moving(Body { eyes: Eyes::Fixed(value), ..Body::default() }, Profile::Quality);
        let error = Renderer::new(Arc::clone(&avatar), &settings).unwrap_err();
        assert!(matches!(error, RenderError::EyeValue { .. }), "{error}");
    }
}

#[test]
fn probes_are_frames_and_the_description_says_how() {
    let library = tempfile::tempdir().unwrap();
    let avatar = Arc::new(imported("er-head", library.path()));
    let settings = Settings { simd: Some(SimdLevel::Scalar), ..settings(Profile::Parity) };
    let renderer = Renderer::new(avatar, &settings).unwrap();
    assert_eq!(renderer.describe(), "CPU, scalar, 2 threads, parity profile");
    let mut out = RgbImage::filled(renderer.width(), renderer.height(), [0; 3]).unwrap();
    for round in [0, 1, 2, u64::MAX] {
        let Probe { stats, share } = renderer.probe(round, &mut out).unwrap();
        assert_eq!(share, 1.0);
        assert!(stats.samples > 1000 && stats.rays > 100 && stats.lanes >= stats.samples, "{stats:?}");
    }
}

/// The built-in avatar, seen through a small picture.
fn milo() -> Scene {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../headcast-app/assets/avatars/milo");
    assert!(folder.is_dir(), "{} is part of the repository and is not there", folder.display());
    Scene::avatar(Avatar::load(&folder).unwrap()).resized(64, 56)
}

fn built_in(level: SimdLevel) {
    let scene = milo();
    // The others trace fewer rays: see `profiles`.
    for profile in [Profile::Parity, Profile::Quality] {
        let ours = scene.render(&scene.engine(level, profile, 2), 40);
        let difference = difference(ours.data(), &scene.reference(40, profile));
        println!("milo, {level}, {profile}: {difference:?}");
        assert!(difference.beyond_one <= 0.001 && difference.any <= 0.03, "{difference:?}");
    }
}
at_every_level!(built_in_avatar, super::built_in);

/// What every ray of two engines collects: largest difference in 8-bit steps, and decibels over all.
fn light_difference<M: Model>(ours: &Engine, exact: &Engine, scene: &SceneOf<M>, frame: usize) -> (f32, f64) {
    let [a, b] = [ours, exact].map(|engine| {
        let (code, eye) = (scene.codes[frame].as_ref(), scene.eyes[frame]);
        probe::light(engine, &scene.poses[frame], &scene.intrinsics, code, eye)
    });
    let off = || a.as_flattened().iter().zip(b.as_flattened()).map(|(a, b)| 255.0 * (a - b).abs());
    let squares: f64 = off().map(|off| f64::from(off).powi(2)).sum();
    let decibels = 10.0 * (255.0 * 255.0 * off().count() as f64 / squares).log10();
    (off().fold(0.0, f32::max), decibels)
}

#[test]
fn quality_is_less_than_a_step_from_f32_on_every_ray() {
    // The same rays and samples in both, so nothing is excused.
    let mut scene = milo().resized(160, 144);
    let exact = scene.engine(SimdLevel::best(), Profile::Parity, 2);
    let ours = scene.engine(SimdLevel::best(), Profile::Quality, 2);
    for (frame, code) in [(0, 0.1), (700, -0.3), (1400, 0.4)] {
        scene.codes[frame] = [code; 32];
        let (largest, decibels) = light_difference(&ours, &exact, &scene, frame);
        println!("pose {frame}: {largest:.2} steps at most, {decibels:.1} dB");
        assert!(largest < 1.0 && decibels > 75.0, "{largest} {decibels}");
    }
    scene.model.sigma.layers[1].data[100] += 0.5;
    let changed = scene.engine(SimdLevel::best(), Profile::Quality, 2);
    let (largest, decibels) = light_difference(&changed, &exact, &scene, 0);
    assert!(largest > 1.0 && decibels < 75.0, "control: one weight, {largest} {decibels}");
}

#[test]
fn rad_nerf_in_quality_is_less_than_a_step_from_f32_on_every_ray() {
    for name in ALL_RAD {
        let mut scene = SceneOf::<RadNerf>::fixture(name).resized(128, 120);
        let exact = scene.engine(SimdLevel::best(), Profile::Parity, 2);
        let ours = scene.engine(SimdLevel::best(), Profile::Quality, 2);
        for frame in 0..scene.codes.len().min(4) {
            let (largest, decibels) = light_difference(&ours, &exact, &scene, frame);
            println!("{name} frame {frame}: {largest:.2} steps at most, {decibels:.1} dB");
            assert!(largest < 1.0 && decibels > 70.0, "{largest} {decibels}");
        }
        scene.model.ambient.layers[1].data.iter_mut().for_each(|weight| *weight = -*weight);
        let changed = scene.engine(SimdLevel::best(), Profile::Quality, 2);
        let (largest, decibels) = light_difference(&changed, &exact, &scene, 0);
        assert!(largest > 1.0 && decibels < 70.0, "control: one weight, {largest} {decibels}");
    }
}
