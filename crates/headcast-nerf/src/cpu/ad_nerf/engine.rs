//! Pictures of an AD-NeRF, on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use headcast_core::{Intrinsics, RgbImage};

use super::super::engine::Config;
use super::super::error::RenderError;
use super::super::march::{TILE, TILE_RAYS, Tile};
use super::super::picture::{FrameStats, Picture};
use super::super::shade::Shaded;
use super::super::simd::{Dispatch, SimdLevel};
use super::depths::Depths;
use super::lanes::{Lanes, Light, Query, Ray};
use super::network::{BATCH, Heard, Network};
use crate::conditioning::torso_signal;
use crate::field::{coarse_depths, dataset_ray};
use crate::model::{AdField, AdNerf};
use crate::profile::Profile;

/// Most samples a ray may be given, so that options cannot ask for any amount of memory.
const MAX_SAMPLES: u32 = 1024;

/// An AD-NeRF made ready to render at one size.
///
/// Frames may be rendered from several threads at once; each call uses [`Config::threads`] of its own.
/// A picture is a function of its [`AdFrameRequest`] alone, bit by bit, for a given profile; AVX2 and AVX-512 make the
/// same bits, scalar code rounds differently where it has no fused multiply-add.
#[derive(Debug)]
pub struct AdEngine {
    dispatch: Dispatch,
    head: Pair,
    torso: Option<Torso>,
    profile: Profile,
    threads: NonZero<usize>,
    /// Of the coarse samples.
    coarse: Vec<f32>,
    importance: usize,
    width: u32,
    height: u32,
    scratch: Mutex<Vec<Scratch>>,
}

/// Everything one frame depends on besides the model.
#[derive(Debug, Clone, Copy)]
pub struct AdFrameRequest<'a> {
    /// The camera as the dataset has it: x right, y up, looking along -z; upper three rows.
    pub pose: &'a [[f32; 4]; 3],
    /// For the engine's picture size.
    pub intrinsics: &'a Intrinsics,
    /// What the frame says: 64 values.
    pub code: &'a [f32],
    /// `[height, width, 3]` in `[0, 1]`.
    pub background: &'a [f32],
}

/// The networks of a field.
#[derive(Debug)]
struct Pair {
    coarse: Network,
    fine: Network,
}

#[derive(Debug)]
struct Torso {
    networks: Pair,
    pose: [[f32; 4]; 3],
    /// Values of the code that it hears.
    code: usize,
}

/// A field in one frame.
#[derive(Debug)]
struct Posed<'a> {
    networks: &'a Pair,
    heard: [Heard; 2],
    pose: &'a [[f32; 4]; 3],
}

/// Working memory of one thread.
#[derive(Debug)]
struct Scratch {
    lanes: Lanes,
    depths: Depths,
    /// Which rays to trace: number, at most [`TILE_RAYS`], column and row of the picture.
    pixels: Vec<(usize, usize, usize)>,
    rays: Vec<Ray>,
    /// Of the coarse pass: `[TILE_RAYS, coarse samples]`.
    weights: Vec<f32>,
    /// Of the fine pass: `[TILE_RAYS, fine samples]`.
    fine: Vec<f32>,
    /// `[TILE_RAYS]` of the torso, then of the head.
    light: [Vec<Light>; 2],
    shaded: Shaded,
}

impl Pair {
    fn new(field: &AdField) -> Result<Self, RenderError> {
        Ok(Self { coarse: Network::new(&field.coarse)?, fine: Network::new(&field.fine)? })
    }

    fn posed<'a>(&'a self, signal: &[f32], pose: &'a [[f32; 4]; 3]) -> Posed<'a> {
        Posed { networks: self, heard: [&self.coarse, &self.fine].map(|network| network.hear(signal)), pose }
    }
}

impl Scratch {
    /// Lists the pixels of a tile.
    fn see(&mut self, tile: Tile) {
        self.pixels.clear();
        for row in 0..tile.height {
            for column in 0..tile.width {
                self.pixels.push((row * TILE + column, tile.x + column, tile.y + row));
            }
        }
    }
}

impl AdEngine {
    /// Prepares `model` for pictures of `width` × `height`: some 20 ms and 10 MB for upstream's default sizes; each thread
    /// keeps 2 MB of working memory more.
    ///
    /// # Errors
    /// [`RenderError::SimdUnavailable`] when the CPU lacks the level, [`RenderError::Size`] for a side of 0
    /// or above [`RgbImage::MAX_SIDE`], [`RenderError::Unsupported`] for layers that do not fit each other and for
    /// options out of the ordinary.
    pub fn new(model: &AdNerf, width: u32, height: u32, config: &Config) -> Result<Self, RenderError> {
        let dispatch = Dispatch::new(config.simd)
            .ok_or(RenderError::SimdUnavailable { wanted: config.simd, best: SimdLevel::best() })?;
        let sides = 1..=RgbImage::MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(RenderError::Size { width, height });
        }
        let options = &model.options;
        if !(4..=MAX_SAMPLES).contains(&options.samples) || options.importance > MAX_SAMPLES {
            return Err(RenderError::Unsupported {
                what: format!(
                    "{} coarse and {} fine samples a ray, outside 4 and 0 to {MAX_SAMPLES}",
                    options.samples, options.importance
                ),
            });
        }
        let torso = model.torso.as_ref().map(|torso| {
            Ok::<_, RenderError>(Torso {
                networks: Pair::new(&torso.field)?,
                pose: torso.pose,
                code: torso.code(),
            })
        });
        Ok(Self {
            dispatch,
            head: Pair::new(&model.head)?,
            torso: torso.transpose()?,
            profile: match config.profile {
                Profile::Parity => Profile::Parity,
                _ => Profile::Quality,
            },
            threads: config.threads,
            coarse: coarse_depths(options.near, options.far, options.samples),
            importance: options.importance as usize,
            width,
            height,
            scratch: Mutex::new(Vec::new()),
        })
    }

    /// Pixels per row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Instruction set in use.
    pub fn simd(&self) -> SimdLevel {
        self.dispatch.level()
    }

    /// Threads that work on one frame.
    pub fn threads(&self) -> NonZero<usize> {
        self.threads
    }

    /// Which samples count.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    pub(super) fn dispatch(&self) -> Dispatch {
        self.dispatch
    }

    pub(super) fn head_network(&self) -> &Network {
        &self.head.fine
    }

    /// Renders a frame into `out`.
    ///
    /// * `stop`: asked every few milliseconds from every thread; when it says so, the frame is given up.
    ///
    /// # Errors
    /// [`RenderError::PictureSize`] when `out` has another size, [`RenderError::Stopped`].
    ///
    /// # Panics
    /// If the request's background is not of the engine's size, or its code is not what the networks hear.
    pub fn render(
        &self,
        request: &AdFrameRequest<'_>,
        stop: &(dyn Fn() -> bool + Sync),
        out: &mut RgbImage,
    ) -> Result<FrameStats, RenderError> {
        let (width, height) = (self.width as usize, self.height as usize);
        let found = (out.width(), out.height());
        if found != (self.width, self.height) {
            return Err(RenderError::PictureSize { width: self.width, height: self.height, found });
        }
        assert_eq!(request.background.len(), width * height * 3, "the background has the picture's size");
        let stopped = AtomicBool::new(false);
        let stop = || {
            if !stopped.load(Ordering::Relaxed) && stop() {
                stopped.store(true, Ordering::Relaxed);
            }
            stopped.load(Ordering::Relaxed)
        };
        let fields = self.posed(request);
        let picture = Mutex::new(Picture::new(out.data_mut(), request.background, width, 0));
        self.for_each(Tile::count(width, height), |number, scratch| {
            let tile = Tile::of(number, width, height);
            scratch.see(tile);
            self.trace(&fields, request.intrinsics, scratch, &stop);
            picture.lock().unwrap_or_else(PoisonError::into_inner).add(tile, &scratch.shaded);
        });
        if stopped.load(Ordering::Relaxed) {
            return Err(RenderError::Stopped);
        }
        Ok(picture.into_inner().unwrap_or_else(PoisonError::into_inner).stats)
    }

    /// The torso, if there is one, and the head, as they are in a frame.
    fn posed<'a>(&'a self, request: &AdFrameRequest<'a>) -> [Option<Posed<'a>>; 2] {
        let torso = self.torso.as_ref().map(|torso| {
            torso.networks.posed(&torso_signal(&request.code[..torso.code], request.pose), &torso.pose)
        });
        [torso, Some(self.head.posed(request.code, request.pose))]
    }

    /// Traces some rays of a frame, spread over the picture evenly, for a caller who wants to know how long a frame takes.
    ///
    /// Returns what it took, and which share of a frame's work that was.
    ///
    /// # Panics
    /// As [`Self::render`].
    pub fn probe(&self, request: &AdFrameRequest<'_>) -> (FrameStats, f64) {
        let (width, height) = (self.width as usize, self.height as usize);
        let fields = self.posed(request);
        let pixels = width * height;
        let jobs = self.threads.get().min(pixels.div_ceil(BATCH));
        let wanted = (jobs * BATCH).min(pixels);
        let stats = Mutex::new(FrameStats::default());
        self.for_each(jobs, |job, scratch| {
            scratch.pixels.clear();
            for (number, k) in (job..wanted).step_by(jobs).enumerate() {
                // The golden ratio's multiples are spread evenly however many there are, in both directions.
                let pixel = spread(k, pixels);
                scratch.pixels.push((number, pixel % width, pixel / width));
            }
            self.trace(&fields, request.intrinsics, scratch, &|| false);
            stats.lock().unwrap_or_else(PoisonError::into_inner).add(&scratch.shaded);
        });
        let stats = stats.into_inner().unwrap_or_else(PoisonError::into_inner);
        #[expect(clippy::cast_precision_loss, reason = "pixels of a picture")]
        let share = wanted as f64 / pixels as f64;
        (stats, share)
    }

    /// Puts the light of the rays through [`Scratch::pixels`] into [`Scratch::shaded`]: of the torso in front of the head.
    fn trace(
        &self,
        fields: &[Option<Posed<'_>>; 2],
        intrinsics: &Intrinsics,
        scratch: &mut Scratch,
        stop: &(dyn Fn() -> bool + Sync),
    ) {
        scratch.shaded.clear();
        scratch.light.iter_mut().for_each(|light| light.fill(NOTHING));
        for (which, field) in fields.iter().enumerate() {
            let Some(field) = field else { continue };
            scratch.rays.clear();
            for (number, x, y) in &scratch.pixels {
                #[expect(clippy::cast_possible_truncation, reason = "pixels of a picture")]
                let (origin, direction) = dataset_ray(field.pose, intrinsics, *x as u32, *y as u32);
                scratch.rays.push(Ray { number: *number, origin, direction });
            }
            scratch.shaded.rays += scratch.rays.len() as u64;
            self.two_passes(field, which, scratch, stop);
        }
        let [torso, head] = &scratch.light;
        for ((light, torso), head) in scratch.shaded.light.iter_mut().zip(torso).zip(head) {
            let [r, g, b] = [0, 1, 2].map(|c| head.front[c] * torso.last + torso.front[c]);
            *light = [1.0 - head.last * torso.last, r, g, b];
        }
    }

    /// The coarse and the fine pass of [`Scratch::rays`].
    fn two_passes(
        &self,
        field: &Posed<'_>,
        which: usize,
        scratch: &mut Scratch,
        stop: &(dyn Fn() -> bool + Sync),
    ) {
        let Scratch { lanes, depths, rays, weights, fine, light, shaded, .. } = scratch;
        let Pair { coarse, fine: second } = field.networks;
        let light = &mut light[which];
        let samples = self.coarse.len();
        let single = self.importance == 0;
        let count = lanes.sum(
            self.dispatch,
            Query { network: coarse, heard: &field.heard[0], color: single },
            rays,
            |_| &self.coarse,
            |ray, sample, weight| weights[ray * samples + sample] = weight,
            |ray, collected| light[ray] = collected,
            stop,
        );
        shaded.samples += count.samples;
        shaded.lanes += count.lanes;
        if single {
            return;
        }
        let placed = depths.fine();
        for Ray { number, .. } in rays.iter() {
            let weights = &weights[number * samples..][..samples];
            depths.place(weights, &mut fine[number * placed..][..placed]);
        }
        let fine = &fine[..];
        let count = lanes.sum(
            self.dispatch,
            Query { network: second, heard: &field.heard[1], color: true },
            rays,
            |ray| &fine[ray * placed..][..placed],
            |_, _, _| (),
            |ray, collected| light[ray] = collected,
            stop,
        );
        shaded.samples += count.samples;
        shaded.lanes += count.lanes;
    }

    fn networks(&self) -> impl Iterator<Item = &Network> {
        let pairs = [Some(&self.head), self.torso.as_ref().map(|torso| &torso.networks)];
        pairs.into_iter().flatten().flat_map(|pair| [&pair.coarse, &pair.fine])
    }

    fn new_scratch(&self) -> Scratch {
        let depths = Depths::new(self.coarse.clone(), self.importance);
        Scratch {
            lanes: Lanes::new(self.networks()),
            pixels: Vec::with_capacity(TILE_RAYS),
            rays: Vec::with_capacity(TILE_RAYS),
            weights: vec![0.0; TILE_RAYS * self.coarse.len()],
            fine: vec![0.0; TILE_RAYS * depths.fine()],
            depths,
            light: [vec![NOTHING; TILE_RAYS], vec![NOTHING; TILE_RAYS]],
            shaded: Shaded::new(None),
        }
    }

    /// Does `jobs` jobs on the engine's threads, in no particular order.
    fn for_each(&self, jobs: usize, job: impl Fn(usize, &mut Scratch) + Sync) {
        let next = AtomicUsize::new(0);
        let work = || {
            let kept = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut scratch = kept.unwrap_or_else(|| self.new_scratch());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    break;
                }
                job(number, &mut scratch);
            }
            self.scratch.lock().unwrap_or_else(PoisonError::into_inner).push(scratch);
        };
        std::thread::scope(|scope| {
            for _ in 1..self.threads.get().min(jobs) {
                scope.spawn(work);
            }
            work();
        });
    }
}

/// Number `k` of a sequence without repetition that visits `count` places evenly.
fn spread(k: usize, count: usize) -> usize {
    // The step nearest to the golden section that has no factor in common with the count.
    let mut step = (count * 382 / 1000).max(1);
    while gcd(step, count) != 1 {
        step += 1;
    }
    k * step % count
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Nothing in front of the background.
const NOTHING: Light = Light { front: [0.0; 3], last: 1.0 };
