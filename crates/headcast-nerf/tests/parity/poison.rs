//! Inputs that no one should hand over.

use headcast_core::{Intrinsics, Pose, RgbImage};
use headcast_nerf::Profile;
use headcast_nerf::cpu::{Config, Engine, FrameRequest, RenderError, SimdLevel, probe};
use headcast_nerf::model::{ErNerf, RadNerf};

use crate::at_every_level;
use crate::scene::{Change, Model, Scene, SceneOf};

fn poisoned_requests(level: SimdLevel) {
    requests::<ErNerf>(level);
    requests::<RadNerf>(level);
}

fn requests<M: Model>(level: SimdLevel) {
    let scene = SceneOf::<M>::fixture(M::FIXTURES[1]).resized(33, 17);
    let values = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, 0.0, f32::MAX, f32::MIN_POSITIVE, 1e-40, -1e30];
    for profile in Profile::ALL {
        let engine = scene.engine(level, profile, 2);
        let mut out = RgbImage::filled(33, 17, [0; 3]).unwrap();
        let mut render = |pose: &Pose, intrinsics: &Intrinsics, code: &[f32], eye: f32| {
            let backdrop = engine.backdrop(pose, &scene.background).unwrap();
            let request = FrameRequest { pose, intrinsics, code, eye, backdrop: &backdrop };
            engine.render(&request, &mut out).unwrap();
        };
        let (pose, intrinsics, code) = (scene.poses[0], scene.intrinsics, scene.codes[0].as_ref());
        for value in values {
            for entry in 0..16 {
                let mut pose = pose;
                pose.0[entry / 4][entry % 4] = value;
                render(&pose, &intrinsics, code, 0.5);
            }
            render(&Pose([[value; 4]; 4]), &intrinsics, code, 0.5);
            let camera = Intrinsics { fx: value, fy: value, ..intrinsics };
            render(&pose, &camera, code, 0.5);
            let camera = Intrinsics { cx: value, cy: value, ..intrinsics };
            render(&pose, &camera, code, 0.5);
            render(&pose, &intrinsics, &vec![value; code.len()], 0.5);
            render(&pose, &intrinsics, code, value);
        }
        for value in values {
            let mut origin = pose.origin();
            origin[1] = value;
            let directions = [[0.0; 3], [value; 3], [0.0, value, 0.0], [1.0, 0.0, 0.0], [f32::NAN, 1.0, 0.0]];
            for direction in directions {
                let found = probe::samples(&engine, origin, &[direction]);
                assert!(found[0].len() <= scene.model.scene().options().max_steps as usize + 7);
            }
        }
    }
}
at_every_level!(poisoned_requests_end, super::poisoned_requests);

fn poisoned_models(level: SimdLevel) {
    let er: [fn(&mut ErNerf); 8] = [
        |m| m.density_bitfield.fill(0),
        |m| m.density_bitfield.fill(255),
        |m| m.sigma.layers[1].data.fill(f32::NAN),
        |m| m.planes[0].embeddings.fill(f32::INFINITY),
        |m| m.aabb = [f32::NAN; 6],
        |m| m.aabb = [1.0, 1.0, 1.0, -1.0, -1.0, -1.0],
        |m| m.torso.as_mut().unwrap().density_grid.fill(f32::NAN),
        |m| m.torso.as_mut().unwrap().deform.layers[2].data.fill(f32::INFINITY),
    ];
    let rad: [fn(&mut RadNerf); 7] = [
        |m| m.density_bitfield.fill(0),
        |m| m.ambient.layers[1].data.fill(f32::NAN),
        |m| m.ambient.layers[2].data.fill(f32::INFINITY),
        |m| m.grid.embeddings.fill(f32::INFINITY),
        |m| m.ambient_grid.embeddings.fill(f32::NAN),
        |m| m.sigma.layers[0].data.fill(f32::MAX),
        |m| m.torso.as_mut().unwrap().deform.layers[2].data.fill(f32::INFINITY),
    ];
    models(level, er);
    models(level, rad);
}

/// * `changes`: the first one empties the scene.
fn models<M: Model>(level: SimdLevel, changes: impl IntoIterator<Item = fn(&mut M)>) {
    for (i, change) in changes.into_iter().enumerate() {
        let mut scene = SceneOf::<M>::fixture(M::FIXTURES[1]).resized(20, 20);
        change(&mut scene.model);
        for profile in Profile::ALL {
            let picture = scene.render(&scene.engine(level, profile, 1), 0);
            if i == 0 {
                *scene.model.torso() = None;
                let picture = scene.render(&scene.engine(level, profile, 1), 0);
                assert!(picture.data().as_chunks::<3>().0.iter().all(|p| *p == [40, 90, 200]), "background");
            }
            assert_eq!(picture.width(), 20);
        }
    }
}
at_every_level!(poisoned_models_end, super::poisoned_models);

fn sizes(level: SimdLevel) {
    for (width, height) in [(1, 1), (7, 5), (1, 40), (33, 1), (32, 32), (65, 31)] {
        let scene = Scene::fixture("er-torso").resized(width, height);
        for profile in Profile::ALL {
            let picture = scene.render(&scene.engine(level, profile, 4), 0);
            assert_ne!(picture.data(), scene.background.data(), "{width}x{height} shows something");
        }
    }
}
at_every_level!(any_size_renders, super::sizes);

#[test]
fn refusals_say_what_to_do() {
    let scene = Scene::fixture("er-head");
    let config = |simd| Config { profile: Profile::Quality, threads: std::num::NonZero::<usize>::MIN, simd };
    let make = |model: &_, width, height| Engine::new(model, width, height, &config(SimdLevel::Scalar));
    assert!(matches!(make(&scene.model, 0, 5), Err(RenderError::Size { width: 0, height: 5 })));
    assert!(make(&scene.model, 9000, 5).is_err());

    let mut model = scene.model.clone();
    model.sigma.layers[1].data.pop();
    let error = make(&model, 8, 8).unwrap_err().to_string();
    assert!(error.contains("sigma_net") && error.contains("default sizes"), "{error}");
    let mut model = scene.model.clone();
    model.options.max_steps = u32::MAX;
    assert!(make(&model, 8, 8).unwrap_err().to_string().contains("max_steps 4294967295"));
    let mut model = scene.model.clone();
    model.options.cascades = 3;
    assert!(make(&model, 8, 8).is_err());
    let mut model = scene.model.clone();
    model.options.bound = f32::NAN;
    assert!(make(&model, 8, 8).is_err());

    let rad = SceneOf::<RadNerf>::fixture("rad-head").model;
    let make_rad = |model: &RadNerf| Engine::new(model, 8, 8, &config(SimdLevel::Scalar));
    let changes: [Change<RadNerf>; 4] = [
        ("ambient_net", |m| m.ambient.layers[0].cols -= 1),
        ("sigma_net", |m| m.sigma.layers[0].rows -= 1),
        ("position grid", |m| m.options.bound = 64.0),
        ("ambient grid", |m| m.ambient_grid.channels = 1),
    ];
    for (what, change) in changes {
        let mut model = rad.clone();
        change(&mut model);
        let error = make_rad(&model).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("default sizes"), "{error}");
    }
    assert!(make_rad(&rad).is_ok(), "control");

    let engine = make(&scene.model, 8, 8).unwrap();
    let small = RgbImage::filled(4, 4, [0; 3]).unwrap();
    let error = engine.backdrop(&scene.poses[0], &small).unwrap_err();
    assert_eq!(error.to_string(), "the picture is 4x4, the avatar renders 8x8");

    for level in SimdLevel::ALL {
        assert_eq!(SimdLevel::from_name(level.name()), Some(level));
        if !level.is_available() {
            let error = Engine::new(&scene.model, 8, 8, &config(level)).unwrap_err();
            assert!(matches!(error, RenderError::SimdUnavailable { .. }), "{error}");
        }
    }
    for profile in Profile::ALL {
        assert_eq!(Profile::from_name(profile.name()), Some(profile));
    }
}
