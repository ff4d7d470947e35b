//! One stage at a time.

use headcast_nerf::Profile;
use headcast_nerf::cpu::{SimdLevel, probe};
use headcast_nerf::field::{Budget, FieldRequest, Ray, Reference, camera_ray, plane_coordinates};
use headcast_nerf::model::{ErNerf, RadNerf, TorsoPose};

use crate::at_every_level;
use crate::npz::Npz;
use crate::scene::{Model, Scene, SceneOf, fixture_folder};

/// As [`Model::FEATURE`], in the ambient plane: what a coordinate is off by is a thousand times as much of a cell.
const AMBIENT_FEATURE: f32 = 6e-2;
/// ln sigma: absolute, and relative to its value.
const LOG_SIGMA: (f32, f32) = (5e-4, 1e-4);
/// Colour, absolute: a fortieth of an 8-bit step.
const RGB: f32 = 1e-4;
/// How much further off ln sigma and colour may be in 16-bit layers: a quarter of an 8-bit step of colour.
const INTEGER_SLACK: (f32, f32) = (10.0, 10.0);
/// The same of RAD-NeRF in `f32`: what [`AMBIENT_FEATURE`] makes of them.
const RAD_SLACK: (f32, f32) = (4.0, 4.0);
/// Opacity, colour and offset of the torso.
const TORSO: f32 = 2e-5;
/// Rays that may take other samples, because one lies on a cell's face.
const STRAY_RAYS: f32 = 0.002;

/// Golden query points, box corners among them, and their directions.
fn queries<M: Model>(scene: &SceneOf<M>) -> (Vec<[f32; 3]>, Vec<[f32; 3]>) {
    let golden = scene.golden();
    (golden.rows("points"), golden.rows("dirs"))
}

/// Points of the head as rays meet it, and their directions: where activations were measured and 16 bits suffice.
fn samples<M: Model>(scene: &SceneOf<M>) -> (Vec<[f32; 3]>, Vec<[f32; 3]>) {
    let engine = scene.engine(SimdLevel::Scalar, Profile::Parity, 1);
    let origin = scene.poses[0].origin();
    let rays = probe::rays(&engine, &scene.poses[0], &scene.intrinsics);
    let samples = rays.iter().flat_map(|(direction, distances)| {
        distances.iter().map(|t| ([0, 1, 2].map(|axis| origin[axis] + t * direction[axis]), *direction))
    });
    samples.step_by(37).unzip()
}

/// Largest difference of the features, in units of the largest value in the level's table: of positions, and in the
/// ambient plane.
fn encoding_error<M: Model>(level: SimdLevel, scene: &SceneOf<M>, against: &M) -> [f32; 2] {
    let engine = scene.engine(level, Profile::Parity, 1);
    let (points, directions) = queries(scene);
    let reference = Reference::new(against.scene());
    let mut worst = [0.0_f32; 2];
    let code = scene.codes[0].as_ref();
    for ((features, x), d) in probe::encode(&engine, code, &points).iter().zip(&points).zip(&directions) {
        let point = reference.point(code, 0.0, *x, *d);
        let expected = M::features(&point);
        assert_eq!(features.len(), expected.len());
        for (k, (got, want)) in features.iter().zip(&expected).enumerate() {
            let (table, level) = scene.model.table(k);
            let channels = table.channels;
            let level =
                table.offsets[level] as usize * channels..table.offsets[level + 1] as usize * channels;
            let largest = table.embeddings[level].iter().fold(1e-6_f32, |m, v| m.max(v.abs()));
            let worst = &mut worst[usize::from(k >= point.encoding.len())];
            *worst = worst.max((got - want).abs() / largest);
        }
    }
    worst
}

fn encode_of<M: Model>(level: SimdLevel) {
    for name in M::FIXTURES {
        let scene = SceneOf::<M>::fixture(name);
        let [worst, ambient] = encoding_error(level, &scene, &scene.model);
        println!("{name} {level}: features within {worst:.1e}, ambient ones {ambient:.1e}");
        assert!(worst < M::FEATURE && ambient < AMBIENT_FEATURE, "{name}: {worst} {ambient}");
    }
    let scene = SceneOf::<M>::fixture(M::FIXTURES[0]);
    let mut other = scene.model.clone();
    other.scramble();
    assert!(encoding_error(level, &scene, &other)[0] > M::FEATURE, "control: entries exchanged");
}

fn encode(level: SimdLevel) {
    encode_of::<ErNerf>(level);
}
at_every_level!(encode_parity, super::encode);

fn rad_encode(level: SimdLevel) {
    encode_of::<RadNerf>(level);
    let scene = SceneOf::<RadNerf>::fixture("rad-head");
    let mut other = scene.model.clone();
    other.ambient.layers[1].data.iter_mut().for_each(|weight| *weight = -*weight);
    let [_, ambient] = encoding_error(level, &scene, &other);
    assert!(ambient > 5.0 * AMBIENT_FEATURE, "control: another point, {ambient}");

    // Levels so fine that linear indices are not exact in f32.
    for bound in [2.0, 4.0] {
        let mut scene = SceneOf::<RadNerf>::fixture("rad-head");
        scene.model.options.bound = bound;
        let [worst, _] = encoding_error(level, &scene, &scene.model);
        println!("bound {bound} {level}: features within {worst:.1e}");
        assert!(worst < bound * RadNerf::FEATURE, "bound {bound}: {worst}");
        let mut other = scene.model.clone();
        other.scramble();
        assert!(
            encoding_error(level, &scene, &other)[0] > 10.0 * RadNerf::FEATURE,
            "control: entries exchanged"
        );
    }
}
at_every_level!(rad_encode_parity, super::rad_encode);

/// Largest differences of ln sigma and of colour, in units of their tolerances times `slack`.
fn field_error<M: Model>(
    level: SimdLevel,
    scene: &SceneOf<M>,
    against: &M,
    profile: Profile,
    slack: (f32, f32),
) -> (f32, f32) {
    let engine = scene.engine(level, profile, 1);
    let (points, directions) = if profile == Profile::Parity { queries(scene) } else { samples(scene) };
    assert!(points.len() > 50, "{} points", points.len());
    let (code, eye) = (scene.codes[0].as_ref(), scene.eyes[0]);
    let reference = Reference::new(against.scene());
    let (mut density, mut color) = (0.0_f32, 0.0_f32);
    let ours = probe::field(&engine, code, eye, &points, &directions);
    for ((got, x), d) in ours.iter().zip(&points).zip(&directions) {
        let want = reference.point(code, eye, *x, *d);
        let tolerance = slack.0 * (LOG_SIGMA.0 + LOG_SIGMA.1 * want.log_sigma.abs());
        density = density.max((got.log_sigma - want.log_sigma).abs() / tolerance);
        for (got, want) in got.rgb.iter().zip(want.rgb) {
            color = color.max((got - want).abs() / (slack.1 * RGB));
        }
    }
    (density, color)
}

fn field_of<M: Model>(level: SimdLevel, profile: Profile, slack: (f32, f32)) {
    for name in M::FIXTURES {
        let scene = SceneOf::<M>::fixture(name);
        let (density, color) = field_error(level, &scene, &scene.model, profile, slack);
        println!("{name} {level} {profile}: ln sigma at {density:.2} of its tolerance, colour at {color:.2}");
        assert!(density < 1.0 && color < 1.0, "{name}: {density} {color}");
    }
    let scene = SceneOf::<M>::fixture(M::FIXTURES[0]);
    for (what, change) in M::CHANGES {
        let mut other = scene.model.clone();
        change(&mut other);
        let (density, color) = field_error(level, &scene, &other, profile, slack);
        assert!(density > 1.0 || color > 1.0, "control: {what} changed, {density} {color}");
    }
}

fn field(level: SimdLevel) {
    field_of::<ErNerf>(level, Profile::Parity, (1.0, 1.0));
}
at_every_level!(field_parity, super::field);

fn rad_field(level: SimdLevel) {
    field_of::<RadNerf>(level, Profile::Parity, RAD_SLACK);
}
at_every_level!(rad_field_parity, super::rad_field);

fn integer_field(level: SimdLevel) {
    field_of::<ErNerf>(level, Profile::Quality, INTEGER_SLACK);
}
at_every_level!(integer_field_parity, super::integer_field);

fn rad_integer_field(level: SimdLevel) {
    field_of::<RadNerf>(level, Profile::Quality, INTEGER_SLACK);
}
at_every_level!(rad_integer_field_parity, super::rad_integer_field);

/// Fraction of the rays whose samples differ, and rays with samples.
fn stray_rays<M: Model>(level: SimdLevel, scene: &SceneOf<M>, against: &M) -> (f32, usize) {
    let engine = scene.engine(level, Profile::Parity, 1);
    let reference = Reference::new(against.scene());
    let marcher = reference.marcher();
    let capacity = scene.model.scene().options().max_steps as usize + 7;
    let (mut stray, mut hit) = (0, 0);
    let ours = probe::rays(&engine, &scene.poses[0], &scene.intrinsics);
    for (pixel, (direction, samples)) in (0u32..).zip(&ours) {
        let (i, j) = (pixel % scene.width, pixel / scene.width);
        let exact = camera_ray(&scene.poses[0], &scene.intrinsics, i, j);
        for (got, want) in direction.iter().zip(exact.direction) {
            assert!((got - want).abs() < 1e-6, "pixel {pixel}: {direction:?} {exact:?}");
        }
        // From the very same ray, so that only the placement is compared.
        let ray = Ray { origin: exact.origin, direction: *direction };
        let (mut t, far) = reference.near_far(&ray);
        let mut expected = Vec::new();
        while expected.len() < capacity {
            let Some(sample) = marcher.next_sample(&ray, &mut t, far) else { break };
            expected.push(sample);
        }
        hit += usize::from(!expected.is_empty());
        let same = samples.len() == expected.len()
            && samples.iter().zip(&expected).all(|(t, sample)| {
                let dt = probe::step_length(&engine, *t);
                (t + dt - sample.t_end).abs() < 1e-6 && (dt - sample.dt).abs() < 1e-7
            });
        stray += usize::from(!same);
    }
    (stray as f32 / ours.len() as f32, hit)
}

fn march_of<M: Model>(level: SimdLevel) {
    for name in M::FIXTURES {
        let scene = SceneOf::<M>::fixture(name);
        let (stray, hit) = stray_rays(level, &scene, &scene.model);
        println!("{name} {level}: {hit} rays with samples, {stray:.4} of all differ");
        assert!(stray <= STRAY_RAYS && hit > 100, "{name}: {stray} {hit}");
    }
}

fn march(level: SimdLevel) {
    march_of::<ErNerf>(level);
    march_of::<RadNerf>(level);
    let scene = Scene::fixture("er-head");
    let mut other = scene.model.clone();
    other.density_bitfield.iter_mut().for_each(|byte| *byte = byte.reverse_bits());
    assert!(stray_rays(level, &scene, &other).0 > 10.0 * STRAY_RAYS, "control: bits from the other end");
}
at_every_level!(march_parity, super::march);

fn march_two_cascades(level: SimdLevel) {
    let golden = Npz::open(&fixture_folder("march-cascade2").join("golden.npz"));
    let mut scene = Scene::fixture("er-head");
    scene.model.density_bitfield = golden.u8("bitfield").data;
    scene.model.aabb = golden.rows::<6>("box")[0];
    scene.model.options.bound = scene.model.aabb[3];
    scene.model.options.cascades = 2;
    let (origins, directions) = (golden.rows::<3>("rays_o"), golden.rows::<3>("rays_d"));
    for max_steps in [16, 256, 512, 1024] {
        scene.model.options.max_steps = max_steps;
        let engine = scene.engine(level, Profile::Parity, 1);
        let xyz = golden.f32(&format!("xyz_{max_steps}"));
        let slots = xyz.shape[1];
        let t_end = golden.f32(&format!("t_{max_steps}")).data;
        let mut stray = 0;
        for (ray, (origin, direction)) in origins.iter().zip(&directions).enumerate() {
            let expected = t_end[ray * slots..(ray + 1) * slots].iter().filter(|t| **t != 0.0);
            let samples = probe::samples(&engine, *origin, &[*direction]).remove(0);
            let count = expected.clone().count().min(max_steps as usize + 7);
            let same = samples.len().min(slots) == count
                && samples
                    .iter()
                    .zip(expected)
                    .all(|(t, end)| (t + probe::step_length(&engine, *t) - end).abs() < 4e-6);
            stray += usize::from(!same);
        }
        let fraction = stray as f32 / origins.len() as f32;
        println!("{level}, {max_steps} steps: {stray} of {} rays differ", origins.len());
        assert!(fraction <= 0.01, "{max_steps} steps: {stray} of {}", origins.len());
    }
}
at_every_level!(march_cascade_parity, super::march_two_cascades);

fn torso_error<M: Model>(level: SimdLevel, scene: &SceneOf<M>, against: &M, pose: usize) -> f32 {
    let engine = scene.engine(level, Profile::Parity, 1);
    let reference = Reference::new(against.scene());
    let pose_code = reference.torso_pose_code(&scene.poses[pose]).unwrap();
    let ours = probe::torso(&engine, &scene.poses[0]);
    let q =
        |pixel: u32| plane_coordinates(scene.width, scene.height, pixel % scene.width, pixel / scene.width);
    let visible = (0..scene.width * scene.height).filter(|pixel| reference.torso_mask(q(*pixel)));
    assert!(visible.eq(ours.iter().map(|pixel| pixel.pixel)), "the mask");
    let mut worst = 0.0_f32;
    for got in &ours {
        let want = reference.torso_point(&pose_code, q(got.pixel)).unwrap();
        let got = [got.alpha, got.rgb[0], got.rgb[1], got.rgb[2], got.offset[0], got.offset[1]];
        let want = [want.alpha, want.rgb[0], want.rgb[1], want.rgb[2], want.offset[0], want.offset[1]];
        for (got, want) in got.iter().zip(want) {
            worst = worst.max((got - want).abs());
        }
    }
    worst
}

fn torso_of<M: Model>(level: SimdLevel, tolerance: f32) {
    let scene = SceneOf::<M>::fixture(M::FIXTURES[1]);
    let worst = torso_error(level, &scene, &scene.model, 0);
    println!("{level}: torso within {worst:.1e}");
    assert!(worst < tolerance, "{worst}");
    let worst = torso_error(level, &scene, &scene.model, 5);
    assert!(worst > tolerance, "control: another pose, {worst}");
    type Change = fn(&mut headcast_nerf::model::Torso);
    let changes: [(&str, Change); 3] = [
        ("deformation", |torso| torso.deform.layers[1].data[40] += 0.5),
        ("features", |torso| torso.grid.embeddings.rotate_left(2)),
        ("individual code", |torso| torso.individual_code[2] += 0.1),
    ];
    for (what, change) in changes {
        let mut other = scene.model.clone();
        change(other.torso().as_mut().unwrap());
        let worst = torso_error(level, &scene, &other, 0);
        assert!(worst > tolerance, "control: {what} changed, {worst}");
    }
}

fn torso(level: SimdLevel) {
    torso_of::<ErNerf>(level, TORSO);
    let scene = Scene::fixture("er-torso");
    let mut other = scene.model.clone();
    let Some(TorsoPose::Anchors(anchors)) = other.torso.as_mut().map(|torso| &mut torso.pose) else {
        panic!("ER-NeRF's torso follows anchors");
    };
    anchors[1][0] += 0.05;
    let worst = torso_error(level, &scene, &other, 0);
    assert!(worst > TORSO, "control: anchor changed, {worst}");
}
at_every_level!(torso_parity, super::torso);

fn rad_torso(level: SimdLevel) {
    torso_of::<RadNerf>(level, TORSO);
}
at_every_level!(rad_torso_parity, super::rad_torso);

/// Sum of weights and colour of a ray, absolute: in `f32`, and as [`Profile::Quality`] promises.
const LIGHT: [(Profile, f32); 2] = [(Profile::Parity, 1e-4), (Profile::Quality, 1.0 / 255.0)];

/// The same of RAD-NeRF; see [`AMBIENT_FEATURE`].
const RAD_LIGHT: [(Profile, f32); 2] = [(Profile::Parity, 0.25 / 255.0), (Profile::Quality, 1.0 / 255.0)];

/// Fraction of the rays that collect something else.
fn stray_light<M: Model>(
    level: SimdLevel,
    scene: &SceneOf<M>,
    eye: f32,
    (profile, tolerance): (Profile, f32),
) -> f32 {
    let engine = scene.engine(level, profile, 1);
    let ours = probe::light(&engine, &scene.poses[0], &scene.intrinsics, scene.codes[0].as_ref(), eye);
    let black = vec![0.0; ours.len() * 3];
    let expected = Reference::new(scene.model.scene()).render(&FieldRequest {
        pose: scene.poses[0],
        intrinsics: scene.intrinsics,
        width: scene.width,
        height: scene.height,
        audio_code: scene.codes[0].as_ref(),
        eye: scene.eyes[0],
        background: &black,
        budget: Budget::PerRay(scene.model.scene().options().max_steps + 7),
    });
    let close = |a: f32, b: f32| (a - b).abs() <= tolerance;
    let stray = ours.iter().enumerate().filter(|(i, [weight, rgb @ ..])| {
        let want = &expected.rgb[i * 3..i * 3 + 3];
        !close(*weight, expected.weights[*i])
            || !rgb.iter().zip(want).all(|(got, want)| close(got.clamp(0.0, 1.0), *want))
    });
    stray.count() as f32 / ours.len() as f32
}

fn composite_of<M: Model>(level: SimdLevel, names: &[&str], promises: [(Profile, f32); 2]) {
    for promise in promises {
        for name in names {
            let scene = SceneOf::<M>::fixture(name);
            let stray = stray_light(level, &scene, scene.eyes[0], promise);
            println!("{name} {level} {}: {stray:.4} of the rays collect something else", promise.0);
            assert!(stray <= STRAY_RAYS, "{name}: {stray}");
        }
        let scene = SceneOf::<M>::fixture(names[0]);
        let stray = stray_light(level, &scene, 1.0 - scene.eyes[0], promise);
        assert!(stray > 10.0 * STRAY_RAYS, "control: other eyes, {stray}");
    }
}

fn composite(level: SimdLevel) {
    composite_of::<ErNerf>(level, &["er-head", "er-adaptive", "er-att0-noind"], LIGHT);
}
at_every_level!(composite_parity, super::composite);

fn rad_composite(level: SimdLevel) {
    composite_of::<RadNerf>(level, &["rad-head", "rad-noeye-noind-att1"], RAD_LIGHT);
}
at_every_level!(rad_composite_parity, super::rad_composite);
