//! `fast` and `preview` against `quality`: how far whole pictures, the face and the mouth may be off, and whether they
//! flicker.

use std::path::Path;
use std::sync::OnceLock;

use headcast_core::RgbImage;
use headcast_nerf::Profile;
use headcast_nerf::avatar::Avatar;
use headcast_nerf::conditioning::AudioCode;
use headcast_nerf::cpu::{FrameRequest, SimdLevel};
use headcast_nerf::model::RadNerf;

use crate::at_every_level;
use crate::scene::{Model, Scene, SceneOf, difference};

/// A rectangle of the built-in avatar's picture, first and last column and row.
type Region = [u32; 4];
const ALL: Region = [0, 0, 512, 512];
const FACE: Region = [150, 90, 362, 330];
const MOUTH: Region = [200, 260, 300, 330];

/// Frames that are looked at: two neighbours, and another pose.
const FRAMES: [usize; 3] = [40, 41, 700];

/// The built-in avatar at its own size, with a mouth that moves.
fn milo() -> Scene {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../headcast-app/assets/avatars/milo");
    let mut scene = Scene::avatar(Avatar::load(&folder).unwrap());
    for (frame, code) in scene.codes.iter_mut().enumerate() {
        *code = moving(frame);
    }
    scene
}

fn moving(frame: usize) -> AudioCode {
    std::array::from_fn(|k| 0.4 * ((frame * (k % 5 + 1)) as f32 * 0.21 + k as f32).sin())
}

fn pictures(scene: &Scene, profile: Profile) -> [RgbImage; 3] {
    let engine = scene.engine(SimdLevel::best(), profile, 2);
    FRAMES.map(|frame| scene.render(&engine, frame))
}

fn quality() -> &'static [RgbImage; 3] {
    static MADE: OnceLock<[RgbImage; 3]> = OnceLock::new();
    MADE.get_or_init(|| pictures(&milo(), Profile::Quality))
}

fn decibels(squares: f64, values: usize) -> f64 {
    10.0 * (255.0 * 255.0 * values as f64 / squares.max(1e-9)).log10()
}

/// Of the frame in which it is lowest.
fn psnr(a: &[RgbImage; 3], b: &[RgbImage; 3], [left, top, right, bottom]: Region) -> f64 {
    let of = |a: &RgbImage, b: &RgbImage| {
        let (mut squares, mut values) = (0.0, 0);
        for (x, y) in (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y))) {
            for (a, b) in a.pixel(x, y).iter().zip(b.pixel(x, y)) {
                squares += f64::from(a.abs_diff(b)).powi(2);
                values += 1;
            }
        }
        decibels(squares, values)
    };
    a.iter().zip(b).map(|(a, b)| of(a, b)).fold(f64::INFINITY, f64::min)
}

/// How much more or less than in `quality` pixels change from a frame to the next, root mean square: in 8-bit steps, and
/// over the change itself.
fn flicker(ours: &[RgbImage; 3]) -> [f64; 2] {
    let change = |pictures: &[RgbImage; 3]| -> Vec<f64> {
        let [a, b, _] = pictures;
        a.data().iter().zip(b.data()).map(|(a, b)| f64::from(*b) - f64::from(*a)).collect()
    };
    let (ours, right) = (change(ours), change(quality()));
    let off: f64 = ours.iter().zip(&right).map(|(a, b)| (a - b).powi(2)).sum();
    [(off / right.len() as f64).sqrt(), (off / right.iter().map(|change| change.powi(2)).sum::<f64>()).sqrt()]
}

/// Decibels that pictures have at least: whole ones, the face, the mouth.
struct Bound(f64, f64, f64);

fn meets(what: &str, pictures: &[RgbImage; 3], Bound(all, face, mouth): &Bound) -> bool {
    let found = [ALL, FACE, MOUTH].map(|region| psnr(pictures, quality(), region));
    println!("{what}: {found:.1?} dB of all, face, mouth");
    found[0] >= *all && found[1] >= *face && found[2] >= *mouth
}

const FAST: Bound = Bound(55.0, 52.0, 52.0);
const PREVIEW: Bound = Bound(40.0, 36.0, 36.0);

#[test]
fn fast_and_preview_are_close_to_quality() {
    let fast = pictures(&milo(), Profile::Fast);
    let preview = pictures(&milo(), Profile::Preview);
    assert!(meets("fast", &fast, &FAST));
    assert!(meets("preview", &preview, &PREVIEW));
    assert!(!meets("control: detail is not traced", &preview, &FAST));

    let mut changed = milo();
    // Those of one colour: the first of three rows.
    let last = changed.model.color.layers.last_mut().unwrap();
    let row = last.data.len() / 3;
    last.data[..row].iter_mut().for_each(|weight| *weight *= 0.9);
    let preview = pictures(&changed, Profile::Preview);
    assert!(!meets("control: weights", &preview, &PREVIEW));
    let fast = pictures(&changed, Profile::Fast);
    assert!(!meets("control: weights", &fast, &FAST));
}

#[test]
fn fast_does_not_flicker() {
    let scene = milo();
    let [fast, preview] =
        [Profile::Fast, Profile::Preview].map(|profile| flicker(&pictures(&scene, profile)));
    println!("steps, and of the change between frames: fast {fast:.3?}, preview {preview:.3?}");
    assert!(fast[0] < 0.7 && fast[1] < 0.2, "{fast:?}");
    assert!(preview[0] < 3.0 && preview[1] < 0.8, "{preview:?}");
    assert!(
        preview[0] > 0.7 && preview[1] > 0.2,
        "control: {preview:?}, where detail is not traced it flickers"
    );
}

/// Rays end before they have met everything: what is left of them has the colour of the face, not of what is behind it.
#[test]
fn nothing_shines_through_a_face() {
    const INSIDE: Region = [200, 130, 312, 240];
    const OUTSIDE: Region = [0, 0, 16, 16];
    for profile in [Profile::Quality, Profile::Fast, Profile::Preview] {
        let mut scene = milo();
        let [white, black] = [255, 0].map(|level| {
            scene.background = RgbImage::filled(512, 512, [level; 3]).unwrap();
            scene.render(&scene.engine(SimdLevel::best(), profile, 2), FRAMES[0])
        });
        let most = |[left, top, right, bottom]: Region| {
            let pixels = (top..bottom).flat_map(|y| (left..right).map(move |x| (x, y)));
            let differences = pixels.flat_map(|(x, y)| {
                let (white, black) = (white.pixel(x, y), black.pixel(x, y));
                [0, 1, 2].map(|channel| white[channel].abs_diff(black[channel]))
            });
            differences.max().unwrap()
        };
        println!("{profile}: {} of 255", most(INSIDE));
        assert!(most(INSIDE) <= 2, "{profile}: {}", most(INSIDE));
        assert_eq!(most(OUTSIDE), 255, "control: backgrounds differ");
    }
}

#[test]
fn fast_and_preview_trace_fewer_rays() {
    let scene = milo();
    let [quality, fast, preview] = [Profile::Quality, Profile::Fast, Profile::Preview].map(|profile| {
        let engine = scene.engine(SimdLevel::best(), profile, 2);
        let backdrop = engine.backdrop(&scene.poses[0], &scene.background).unwrap();
        let request = FrameRequest {
            pose: &scene.poses[0],
            intrinsics: &scene.intrinsics,
            code: &scene.codes[0],
            eye: 0.2,
            backdrop: &backdrop,
        };
        let mut out = RgbImage::filled(512, 512, [0; 3]).unwrap();
        engine.render(&request, &mut out).unwrap()
    });
    println!("{} rays, {} and {}", quality.rays, fast.rays, preview.rays);
    assert!(fast.rays * 10 < quality.rays * 7, "{} of {}", fast.rays, quality.rays);
    assert!(preview.rays * 10 < quality.rays * 4, "{} of {}", preview.rays, quality.rays);
    assert!(preview.rays * 4 > quality.rays, "every fourth is traced at least");
    assert!(fast.samples < quality.samples && preview.samples < fast.samples);
}

/// Whichever instruction set traced them, the same pixels come out, but for those where rounding tips the choice.
fn every_level(level: SimdLevel) {
    // Smooth enough that pixels between nodes are interpolated, and rough enough that some are not.
    agrees("er-torso", level, &Scene::fixture("er-torso").resized(150, 117));
    agrees("rad-torso", level, &SceneOf::<RadNerf>::fixture("rad-torso").resized(150, 117));
    agrees("milo", level, &milo().resized(200, 181));
}
at_every_level!(sparse_profiles_agree, super::every_level);

fn agrees<M: Model>(name: &str, level: SimdLevel, scene: &SceneOf<M>) {
    for profile in [Profile::Fast, Profile::Preview] {
        let render = |level| scene.render(&scene.engine(level, profile, 2), 0);
        let (ours, best) = (render(level), render(SimdLevel::best()));
        let difference = difference(ours.data(), best.data());
        println!("{name}, {level}, {profile}: {difference:?}");
        assert!(difference.beyond_one <= 0.001 && difference.any <= 0.02, "{difference:?}");
        let quality = scene.render(&scene.engine(level, Profile::Quality, 2), 0);
        assert_ne!(quality, ours, "control: {profile} is not quality");
    }
}
