//! What the tests render: fixtures, and differences between pictures.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use headcast_core::{FeatureTrack, Intrinsics, Pose, RgbImage};
use headcast_nerf::Profile;
use headcast_nerf::avatar::Avatar;
use headcast_nerf::conditioning::{AudioCode, WIDE_CODE_LEN, audio_codes};
use headcast_nerf::cpu::{Config, Engine, FrameRequest, SimdLevel};
use headcast_nerf::field::{Budget, FieldRequest, PointConditioning, PointOutput, Reference};
use headcast_nerf::model::{self, ErNerf, GridTable, Network, RadNerf, SceneOptions, Torso};

use crate::inputs::{Inputs, Options};
use crate::load;
use crate::npz::Npz;

/// Fixtures that cover the head, the torso, adaptive steps, a model without attention and individual codes,
/// and another feature kind with fixed eyes.
pub(crate) const ALL: [&str; 5] = ["er-head", "er-torso", "er-adaptive", "er-att0-noind", "er-hubert-eye"];

/// The same of RAD-NeRF: a model without eyes and individual codes, too.
pub(crate) const ALL_RAD: [&str; 3] = ["rad-head", "rad-torso", "rad-noeye-noind-att1"];

/// A changed weight, and what it is called.
pub(crate) type Change<M> = (&'static str, fn(&mut M));

/// A network that the engine knows.
pub(crate) trait Model: Clone + 'static {
    /// Audio code.
    type Code: AsRef<[f32]> + Copy;
    /// Those of its fixtures that pictures and kernels are compared on; a head, then one with a torso.
    const FIXTURES: &'static [&'static str];
    /// What a feature may be off by, of the largest value of its level's table: half a step of 16 bits, and what f32
    /// positions cost on the finest level.
    const FEATURE: f32;
    /// Weights that show in the field.
    const CHANGES: &'static [Change<Self>];

    fn of(network: Network) -> Option<Self>;
    fn scene(&self) -> model::Scene<'_>;
    fn options(&mut self) -> &mut SceneOptions;
    fn torso(&mut self) -> &mut Option<Torso>;
    fn codes(&self, track: &FeatureTrack, frames: u64, smooth_lips: bool) -> Vec<Self::Code>;
    /// Table and level of feature `k`.
    fn table(&self, k: usize) -> (&GridTable, usize);
    /// What `table` describes.
    fn features(point: &PointOutput) -> Vec<f32>;
    /// Exchanges entries of the tables.
    fn scramble(&mut self);
}

impl Model for ErNerf {
    type Code = AudioCode;
    const FIXTURES: &'static [&'static str] = &ALL;
    const FEATURE: f32 = 6e-5;
    const CHANGES: &'static [Change<Self>] = &[
        ("audio attention", |m| m.audio_channel_attention.layers[1].data[70] += 0.5),
        ("eye attention", |m| m.eye_attention.layers[1].data[3] += 2.0),
        ("sigma", |m| m.sigma.layers[1].data[100] += 0.1),
        ("geometry", |m| m.sigma.layers[2].data[64 * 9..64 * 10].iter_mut().for_each(|w| *w += 0.1)),
        ("individual code", |m| m.individual_code[1] += 0.2),
    ];

    fn of(network: Network) -> Option<Self> {
        let Network::Er(model) = network else { return None };
        Some(*model)
    }

    fn scene(&self) -> model::Scene<'_> {
        self.into()
    }

    fn options(&mut self) -> &mut SceneOptions {
        &mut self.options
    }

    fn torso(&mut self) -> &mut Option<Torso> {
        &mut self.torso
    }

    fn codes(&self, track: &FeatureTrack, frames: u64, smooth_lips: bool) -> Vec<AudioCode> {
        audio_codes(self, track, frames, smooth_lips).unwrap()
    }

    fn table(&self, k: usize) -> (&GridTable, usize) {
        (&self.planes[k / 12], k % 12)
    }

    fn features(point: &PointOutput) -> Vec<f32> {
        point.encoding.clone()
    }

    fn scramble(&mut self) {
        self.planes.swap(1, 2);
    }
}

/// Turns weights round. A single one moves a point of the ambient plane, and what is there is much the same.
fn negate<'a>(weights: impl IntoIterator<Item = &'a mut f32>) {
    weights.into_iter().for_each(|weight| *weight = -*weight);
}

impl Model for RadNerf {
    type Code = AudioCode<WIDE_CODE_LEN>;
    const FIXTURES: &'static [&'static str] = &ALL_RAD;
    /// Its finest level is four times as fine as ER-NeRF's.
    const FEATURE: f32 = 2.4e-4;
    const CHANGES: &'static [Change<Self>] = &[
        ("ambient, position", |m| {
            negate(m.ambient.layers[0].data.chunks_mut(96).flat_map(|row| &mut row[..32]));
        }),
        ("ambient, audio", |m| {
            negate(m.ambient.layers[0].data.chunks_mut(96).flat_map(|row| &mut row[32..]));
        }),
        ("ambient", |m| negate(&mut m.ambient.layers[1].data)),
        ("ambient coordinate", |m| negate(&mut m.ambient.layers[2].data[64..])),
        ("ambient features", |m| m.ambient_grid.embeddings.rotate_left(2)),
        ("eye", |m| m.sigma.layers[0].data.iter_mut().skip(64).step_by(65).for_each(|w| *w += 0.5)),
        ("sigma", |m| negate(&mut m.sigma.layers[1].data)),
        ("geometry", |m| negate(&mut m.sigma.layers[2].data[64..])),
        ("individual code", |m| m.individual_code[1] += 1.0),
    ];

    fn of(network: Network) -> Option<Self> {
        let Network::Rad(model) = network else { return None };
        Some(*model)
    }

    fn scene(&self) -> model::Scene<'_> {
        self.into()
    }

    fn options(&mut self) -> &mut SceneOptions {
        &mut self.options
    }

    fn torso(&mut self) -> &mut Option<Torso> {
        &mut self.torso
    }

    fn codes(&self, track: &FeatureTrack, frames: u64, smooth_lips: bool) -> Vec<AudioCode<WIDE_CODE_LEN>> {
        audio_codes(self, track, frames, smooth_lips).unwrap()
    }

    fn table(&self, k: usize) -> (&GridTable, usize) {
        match k {
            0..32 => (&self.grid, k / 2),
            _ => (&self.ambient_grid, k / 2 - 16),
        }
    }

    fn features(point: &PointOutput) -> Vec<f32> {
        let PointConditioning::Rad { encoding, .. } = &point.conditioning else { panic!("RAD-NeRF's point") };
        [&point.encoding[..], encoding].concat()
    }

    fn scramble(&mut self) {
        self.grid.embeddings.rotate_left(2);
    }
}

/// A model and what its frames are made of.
pub(crate) struct SceneOf<M: Model> {
    pub(crate) model: M,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) intrinsics: Intrinsics,
    pub(crate) poses: Vec<Pose>,
    pub(crate) eyes: Vec<f32>,
    pub(crate) codes: Vec<M::Code>,
    pub(crate) background: RgbImage,
    /// Frames with a golden picture.
    pub(crate) frames: Vec<usize>,
    folder: PathBuf,
}

pub(crate) fn fixture_folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/nerf").join(name)
}

/// Of an ER-NeRF.
pub(crate) type Scene = SceneOf<ErNerf>;

impl<M: Model> SceneOf<M> {
    pub(crate) fn fixture(name: &str) -> Self {
        let folder = fixture_folder(name);
        let options = Options::read(&folder).expect("a fixture of a network has options");
        let inputs = Inputs::read(&folder, &options);
        let mut model = M::of(load::network(&folder)).expect("a fixture of this network");
        model.options().max_steps = options.number("max_steps").unwrap() as u32;
        model.options().dt_gamma = options.number("dt_gamma").unwrap() as f32;
        model.options().min_near = options.number("min_near").unwrap() as f32;
        if let Some(attention) = options.number("att") {
            model.options().attention = attention as u8;
        }
        let frames = inputs.track.rows() as u64;
        let codes = model.codes(&inputs.track, frames, options.flag("smooth_lips"));
        let golden = Npz::open(&folder.join("golden.npz"));
        let mut eyes = inputs.eyes;
        if let Some(eye) = options.number("fix_eye") {
            eyes.fill(eye as f32);
        }
        let background = golden.u8("background_u8").data;
        Self {
            background: RgbImage::from_raw(inputs.width, inputs.height, background).unwrap(),
            model,
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
        Engine::new(self.model.scene(), self.width, self.height, &config).unwrap()
    }

    pub(crate) fn render(&self, engine: &Engine, frame: usize) -> RgbImage {
        let mut out = RgbImage::filled(self.width, self.height, [1, 2, 3]).unwrap();
        let backdrop = engine.backdrop(&self.poses[frame], &self.background).unwrap();
        let request = FrameRequest {
            pose: &self.poses[frame],
            intrinsics: &self.intrinsics,
            code: self.codes[frame].as_ref(),
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
            audio_code: self.codes[frame].as_ref(),
            eye: self.eyes[frame],
            background: &background,
            budget: match profile {
                Profile::Parity => Budget::Frame,
                _ => Budget::PerRay(self.model.scene().options().max_steps + 7),
            },
        };
        Reference::new(self.model.scene()).render(&request).to_u8()
    }
}

impl Scene {
    /// An avatar that hears nothing.
    pub(crate) fn avatar(avatar: Avatar) -> Self {
        let Avatar { width, height, intrinsics, .. } = avatar;
        let Avatar { model, poses, eyes, background, .. } = avatar;
        let Network::Er(model) = model else { panic!("an ER-NeRF avatar is needed") };
        let codes = vec![[0.25; 32]; poses.len()];
        let (frames, folder) = (Vec::new(), PathBuf::new());
        Self { model: *model, width, height, intrinsics, poses, eyes, codes, background, frames, folder }
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
