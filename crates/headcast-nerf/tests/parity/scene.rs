//! What the tests render: fixtures, and differences between pictures.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use headcast_core::{Intrinsics, Pose, RgbImage};
use headcast_nerf::Profile;
use headcast_nerf::avatar::Avatar;
use headcast_nerf::conditioning::{AudioCode, audio_codes};
use headcast_nerf::cpu::{Config, Engine, FrameRequest, SimdLevel};
use headcast_nerf::field::{Budget, FieldRequest, Reference};
use headcast_nerf::model::{ErNerf, Network};

use crate::inputs::{Inputs, Options};
use crate::load;
use crate::npz::Npz;

/// Fixtures that cover the head, the torso, adaptive steps, a model without attention and individual codes,
/// and another feature kind with fixed eyes.
pub(crate) const ALL: [&str; 5] = ["er-head", "er-torso", "er-adaptive", "er-att0-noind", "er-hubert-eye"];

/// A model and what its frames are made of.
pub(crate) struct Scene {
    pub(crate) model: ErNerf,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) intrinsics: Intrinsics,
    pub(crate) poses: Vec<Pose>,
    pub(crate) eyes: Vec<f32>,
    pub(crate) codes: Vec<AudioCode>,
    pub(crate) background: RgbImage,
    /// Frames with a golden picture.
    pub(crate) frames: Vec<usize>,
    folder: PathBuf,
}

pub(crate) fn fixture_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/nerf").join(name)
}

impl Scene {
    pub(crate) fn fixture(name: &str) -> Self {
        let folder = fixture_folder(name);
        let options = Options::read(&folder).expect("an ER-NeRF fixture has options");
        let inputs = Inputs::read(&folder, &options);
        let Network::Er(mut model) = load::network(&folder) else { panic!("{name} is no ER-NeRF") };
        model.options.max_steps = options.number("max_steps").unwrap() as u32;
        model.options.dt_gamma = options.number("dt_gamma").unwrap() as f32;
        model.options.min_near = options.number("min_near").unwrap() as f32;
        let frames = inputs.track.rows() as u64;
        let codes = audio_codes(&*model, &inputs.track, frames, options.flag("smooth_lips")).unwrap();
        let golden = Npz::open(&folder.join("golden.npz"));
        let mut eyes = inputs.eyes;
        if let Some(eye) = options.number("fix_eye") {
            eyes.fill(eye as f32);
        }
        let background = golden.u8("background_u8").data;
        Self {
            background: RgbImage::from_raw(inputs.width, inputs.height, background).unwrap(),
            model: *model,
            width: inputs.width,
            height: inputs.height,
            intrinsics: inputs.intrinsics,
            poses: inputs.poses,
            eyes,
            codes,
            frames: options.frames(),
            folder,
        }
    }

    /// An avatar that hears nothing.
    pub(crate) fn avatar(avatar: Avatar) -> Self {
        let Avatar { width, height, intrinsics, .. } = avatar;
        let Avatar { model, poses, eyes, background, .. } = avatar;
        let Network::Er(model) = model else { panic!("an ER-NeRF avatar is needed") };
        let codes = vec![[0.25; 32]; poses.len()];
        let (frames, folder) = (Vec::new(), PathBuf::new());
        Self { model: *model, width, height, intrinsics, poses, eyes, codes, background, frames, folder }
    }

    /// Arrays of the independent implementation.
    pub(crate) fn golden(&self) -> Npz {
        Npz::open(&self.folder.join("golden.npz"))
    }

    /// The same view in another picture size.
    pub(crate) fn resized(mut self, width: u32, height: u32) -> Self {
        let (x, y) = (width as f32 / self.width as f32, height as f32 / self.height as f32);
        let Intrinsics { fx, fy, cx, cy } = self.intrinsics;
        self.intrinsics = Intrinsics { fx: fx * x, fy: fy * y, cx: cx * x, cy: cy * y };
        (self.width, self.height) = (width, height);
        self.background = RgbImage::filled(width, height, [40, 90, 200]).unwrap();
        self
    }

    pub(crate) fn engine(&self, level: SimdLevel, profile: Profile, threads: usize) -> Engine {
        let config = Config { profile, threads: NonZero::new(threads).unwrap(), simd: level };
        Engine::new(&self.model, self.width, self.height, &config).unwrap()
    }

    pub(crate) fn render(&self, engine: &Engine, frame: usize) -> RgbImage {
        let mut out = RgbImage::filled(self.width, self.height, [1, 2, 3]).unwrap();
        let backdrop = engine.backdrop(&self.poses[frame], &self.background).unwrap();
        let request = FrameRequest {
            pose: &self.poses[frame],
            intrinsics: &self.intrinsics,
            code: &self.codes[frame],
            eye: self.eyes[frame],
            backdrop: &backdrop,
        };
        engine.render(&request, &mut out).unwrap();
        out
    }

    /// The reference's picture of an unchanged fixture, as 8-bit values: made once for all instruction sets.
    pub(crate) fn reference_of_fixture(name: &'static str, frame: usize, profile: Profile) -> Vec<u8> {
        type Key = (&'static str, usize, &'static str);
        static MADE: Mutex<BTreeMap<Key, Vec<u8>>> = Mutex::new(BTreeMap::new());
        let mut made = MADE.lock().unwrap();
        let picture = made.entry((name, frame, profile.name()));
        picture.or_insert_with(|| Self::fixture(name).reference(frame, profile)).clone()
    }

    /// The reference's picture, as 8-bit values.
    pub(crate) fn reference(&self, frame: usize, profile: Profile) -> Vec<u8> {
        let background: Vec<f32> = self.background.data().iter().map(|v| f32::from(*v) / 255.0).collect();
        let request = FieldRequest {
            pose: self.poses[frame],
            intrinsics: self.intrinsics,
            width: self.width,
            height: self.height,
            audio_code: &self.codes[frame],
            eye: self.eyes[frame],
            background: &background,
            budget: match profile {
                Profile::Parity => Budget::Frame,
                _ => Budget::PerRay(self.model.options.max_steps + 7),
            },
        };
        Reference::new(&self.model).render(&request).to_u8()
    }
}

/// How two pictures differ.
#[derive(Debug)]
pub(crate) struct Difference {
    /// Fraction of the pixels with a channel more than one step off.
    pub(crate) beyond_one: f32,
    /// Fraction of the values that differ at all.
    pub(crate) any: f32,
    /// Of all values; printed.
    pub(crate) largest: u8,
}

pub(crate) fn difference(a: &[u8], b: &[u8]) -> Difference {
    assert_eq!(a.len(), b.len());
    let steps = || a.iter().zip(b).map(|(a, b)| a.abs_diff(*b));
    let pixels = a.as_chunks::<3>().0.iter().zip(b.as_chunks::<3>().0);
    let beyond = pixels.filter(|(a, b)| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) > 1)).count();
    Difference {
        beyond_one: beyond as f32 / (a.len() / 3) as f32,
        any: steps().filter(|d| *d > 0).count() as f32 / a.len() as f32,
        largest: steps().max().unwrap_or(0),
    }
}
