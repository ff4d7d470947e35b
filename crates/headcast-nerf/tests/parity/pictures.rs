//! Whole frames: against the reference, against goldens, and against themselves.

use headcast_core::RgbImage;
use headcast_nerf::Profile;
use headcast_nerf::cpu::SimdLevel;
use headcast_nerf::model::{ErNerf, RadNerf};

use crate::at_every_level;
use crate::scene::{Difference, Model, Scene, SceneOf, difference};

/// Pixels that may be more than one step of 8 bits off: a sample on a cell's face.
const BEYOND_ONE: f32 = 0.001;
/// Values that may be one step off: truncation tells apart what lies on either side of a whole number.
const ONE_STEP: f32 = 0.02;

fn assert_close(what: &str, difference: &Difference) {
    let Difference { beyond_one, any, largest } = difference;
    println!("{what}: {beyond_one:.5} beyond one step, {any:.5} differ, {largest} at most");
    assert!(difference.beyond_one <= BEYOND_ONE && difference.any <= ONE_STEP, "{what}: {difference:?}");
}

fn whole_frame<M: Model>(level: SimdLevel, profile: Profile) {
    for name in M::FIXTURES {
        let scene = SceneOf::<M>::fixture(name);
        let engine = scene.engine(level, profile, 2);
        for frame in &scene.frames {
            let what = format!("{name} frame {frame}, {level}, {profile}");
            let ours = scene.render(&engine, *frame);
            assert_close(
                &what,
                &difference(ours.data(), &SceneOf::<M>::reference_of_fixture(name, *frame, profile)),
            );
            if profile == Profile::Parity {
                let golden = scene.golden().u8(&format!("frame{frame}_u8")).data;
                assert_close(&format!("{what}, golden"), &difference(ours.data(), &golden));
            }
        }
    }
}

fn parity(level: SimdLevel) {
    whole_frame::<ErNerf>(level, Profile::Parity);
}
at_every_level!(parity_profile, super::parity);

fn rad_parity(level: SimdLevel) {
    whole_frame::<RadNerf>(level, Profile::Parity);
}
at_every_level!(rad_parity_profile, super::rad_parity);

fn quality(level: SimdLevel) {
    whole_frame::<ErNerf>(level, Profile::Quality);
}
at_every_level!(quality_profile, super::quality);

fn rad_quality(level: SimdLevel) {
    whole_frame::<RadNerf>(level, Profile::Quality);
}
at_every_level!(rad_quality_profile, super::rad_quality);

/// A picture with several tiles, whose right and lower ones are cut.
fn odd_size() -> Scene {
    odd_size_of()
}

fn odd_size_of<M: Model>() -> SceneOf<M> {
    SceneOf::fixture(M::FIXTURES[1]).resized(71, 53)
}

#[test]
fn controls_turn_red() {
    controls::<ErNerf>(|model| model.sigma.layers[1].data[100] += 0.5);
    controls::<RadNerf>(|model| model.sigma.layers[2].data[..64].iter_mut().for_each(|w| *w *= 0.8));
}

fn controls<M: Model>(weights: fn(&mut M)) {
    let fixture = || SceneOf::<M>::fixture(M::FIXTURES[1]);
    let mut scene = fixture();
    let expected = scene.reference(0, Profile::Parity);
    let render = |scene: &SceneOf<M>, profile| scene.render(&scene.engine(SimdLevel::best(), profile, 1), 0);
    assert_close("nothing changed", &difference(render(&scene, Profile::Parity).data(), &expected));

    let red = |what: &str, picture: &RgbImage| {
        let difference = difference(picture.data(), &expected);
        println!("control, {what}: {difference:?}");
        assert!(difference.beyond_one > BEYOND_ONE || difference.any > ONE_STEP, "{what}: {difference:?}");
    };
    scene.codes[0] = scene.codes[5];
    red("the audio code of another frame", &render(&scene, Profile::Parity));
    let mut scene = fixture();
    weights(&mut scene.model);
    red("weights", &render(&scene, Profile::Parity));
    let mut scene = fixture();
    scene.poses[0] = scene.poses[5];
    red("the pose of another frame", &render(&scene, Profile::Parity));
}

#[test]
fn the_schedule_of_the_frame_matters() {
    // Otherwise the profiles' tests would not tell the profiles apart.
    let scene = Scene::fixture("er-att0-noind");
    let frame = scene.frames[0];
    assert_ne!(scene.reference(frame, Profile::Parity), scene.reference(frame, Profile::Quality));
    let render = |profile| scene.render(&scene.engine(SimdLevel::best(), profile, 1), frame);
    assert_ne!(render(Profile::Parity), render(Profile::Quality));
}

fn same_bytes(level: SimdLevel) {
    same_bytes_of::<ErNerf>(level);
    same_bytes_of::<RadNerf>(level);
}

fn same_bytes_of<M: Model + Sync>(level: SimdLevel)
where
    M::Code: Sync,
{
    let scene = odd_size_of::<M>();
    for profile in Profile::ALL {
        let one = scene.engine(level, profile, 1);
        let pictures: Vec<RgbImage> = (0..4).map(|frame| scene.render(&one, frame)).collect();
        assert_ne!(pictures[0], pictures[3], "frames differ at all");
        for threads in [1, 3, 16] {
            // Backwards, on an engine that has other things behind it, and by several callers at once.
            let engine = scene.engine(level, profile, threads);
            for frame in [3, 0, 1] {
                assert_eq!(scene.render(&engine, frame), pictures[frame], "{profile}, {threads} threads");
            }
            std::thread::scope(|scope| {
                for frame in 0..4 {
                    let (engine, scene, pictures) = (&engine, &scene, &pictures);
                    scope.spawn(move || assert_eq!(scene.render(engine, frame), pictures[frame]));
                }
            });
        }
    }
}
at_every_level!(order_and_threads_do_not_matter, super::same_bytes);

#[test]
fn vector_instruction_sets_agree_bit_by_bit() {
    // The same operations in the same order, all of them rounded once: wider vectors change nothing. On x86-64
    // scalar code has no fused multiply-adds and rounds twice; on `AArch64` it has them.
    let levels: &[SimdLevel] = if cfg!(target_arch = "aarch64") {
        &[SimdLevel::Scalar, SimdLevel::Neon]
    } else {
        &[SimdLevel::Avx2, SimdLevel::Avx512, SimdLevel::Avx512Vnni]
    };
    let (available, missing): (Vec<SimdLevel>, Vec<_>) =
        levels.iter().partition(|level| level.is_available());
    for level in missing {
        println!("SKIPPED: vector_instruction_sets_agree_bit_by_bit at {level} (this CPU has none)");
    }
    let Some((first, others)) = available.split_first() else { return };
    if others.is_empty() {
        println!("SKIPPED: vector_instruction_sets_agree_bit_by_bit (this CPU has {first} alone)");
    }
    agree(&odd_size_of::<ErNerf>(), *first, others);
    agree(&odd_size_of::<RadNerf>(), *first, others);
}

fn agree<M: Model>(scene: &SceneOf<M>, first: SimdLevel, others: &[SimdLevel]) {
    for profile in Profile::ALL {
        let expected = scene.render(&scene.engine(first, profile, 2), 1);
        for level in others {
            let found = scene.render(&scene.engine(*level, profile, 2), 1);
            assert_eq!(found, expected, "{profile}, {first} and {level}");
        }
    }
}

#[test]
fn quality_does_not_depend_on_the_rest_of_the_picture() {
    let scene = odd_size();
    let whole = scene.render(&scene.engine(SimdLevel::best(), Profile::Quality, 1), 0);
    // The same camera, looking at a window of the picture: rays of pixels (x, y) of the window are those of
    // (x + 20, y + 16) of the whole.
    let mut crop = odd_size();
    (crop.width, crop.height) = (40, 30);
    crop.intrinsics.cx -= 20.0;
    crop.intrinsics.cy -= 16.0;
    crop.model.torso = None;
    crop.background = RgbImage::filled(40, 30, [40, 90, 200]).unwrap();
    let window = crop.render(&crop.engine(SimdLevel::best(), Profile::Quality, 1), 0);
    let mut without_torso = odd_size();
    without_torso.model.torso = None;
    let whole_head = without_torso.render(&without_torso.engine(SimdLevel::best(), Profile::Quality, 1), 0);
    let mut head = 0;
    for y in 0..30 {
        for x in 0..40 {
            let (a, b) = (window.pixel(x, y), whole_head.pixel(x + 20, y + 16));
            // A window's pixel positions round differently in the last bit.
            assert!(a.iter().zip(b).all(|(a, b)| a.abs_diff(b) <= 1), "({x}, {y}): {a:?} {b:?}");
            head += usize::from(a != [40, 90, 200]);
        }
    }
    assert!(head > 200, "{head} pixels of the window show the head");
    assert_ne!(whole, whole_head, "the torso is in the picture");
}
