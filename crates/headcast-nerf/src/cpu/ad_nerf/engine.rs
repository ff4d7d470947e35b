//! Pictures of an AD-NeRF, on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use headcast_core::{Intrinsics, RgbImage};

use super::super::cores::{Cores, Turn};
use super::super::engine::Config;
use super::super::error::RenderError;
use super::super::march::{TILE, TILE_RAYS, Tile};
use super::super::nodes::{Between, Nodes};
use super::super::picture::{FrameStats, Picture};
use super::super::shade::Shaded;
use super::super::simd::{Dispatch, SimdLevel};
use super::density::typical_codes;
use super::depths::Depths;
use super::effort::{Effort, LEAST_SAMPLES};
use super::lanes::{Lanes, Light, Query, Ray, Seen};
use super::network::{Heard, Network};
use super::occupancy::Occupancy;
use crate::conditioning::torso_signal;
use crate::field::{coarse_depths, dataset_ray};
use crate::model::{AdField, AdNerf};
use crate::profile::Profile;

/// Most samples a ray may be given, so that options cannot ask for any amount of memory.
const MAX_SAMPLES: u32 = 1024;

/// An AD-NeRF made ready to render at one size.
///
/// Frames may be rendered from several threads at once: they share [`Config::threads`] cores, and who calls first goes first.
/// A picture is a function of its [`AdFrameRequest`] alone, bit by bit, for a given profile; AVX2 and AVX-512 make the
/// same bits, scalar code rounds differently where it has no fused multiply-add.
#[derive(Debug)]
pub struct AdEngine {
    pub(super) dispatch: Dispatch,
    pub(super) head: Pair,
    pub(super) torso: Option<Torso>,
    pub(super) profile: Profile,
    pub(super) effort: Effort,
    pub(super) threads: NonZero<usize>,
    pub(super) cores: Cores,
    /// Of the coarse samples.
    pub(super) coarse: Vec<f32>,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) scratch: Mutex<Vec<Scratch>>,
}

/// What an engine is made for.
#[derive(Debug, Clone, Copy)]
pub struct AdView<'a> {
    /// Cameras of the avatar as the dataset has them: where they look is where density is looked for.
    pub poses: &'a [[[f32; 4]; 3]],
    /// For the picture's size.
    pub intrinsics: &'a Intrinsics,
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
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
pub(super) struct Pair {
    pub(super) coarse: Network,
    pub(super) fine: Network,
    /// Where there may be density; `None` is everywhere.
    pub(super) occupancy: Option<Occupancy>,
}

#[derive(Debug)]
pub(super) struct Torso {
    pub(super) networks: Pair,
    pub(super) pose: [[f32; 4]; 3],
    /// Values of the code that it hears.
    pub(super) code: usize,
}

/// A field in one frame.
#[derive(Debug)]
pub(super) struct Posed<'a> {
    pub(super) networks: &'a Pair,
    pub(super) heard: [Heard; 2],
    pub(super) pose: &'a [[f32; 4]; 3],
}

/// Working memory of one thread.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) between: Between,
    pub(super) work: Work,
}

/// What tracing some rays takes.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) lanes: Lanes,
    pub(super) depths: Depths,
    /// Which rays to trace: number, at most [`TILE_RAYS`], column and row of the picture.
    pub(super) pixels: Vec<(usize, usize, usize)>,
    pub(super) rays: Vec<Ray>,
    /// Of the coarse pass: `[TILE_RAYS, coarse samples]`.
    pub(super) weights: Vec<f32>,
    /// Of the fine pass: `[TILE_RAYS, fine samples]`.
    pub(super) fine: Vec<f32>,
    /// `[TILE_RAYS]` of the torso, then of the head.
    pub(super) light: [Vec<Light>; 2],
    pub(super) shaded: Shaded,
}

impl Pair {
    fn new(field: &AdField) -> Result<Self, RenderError> {
        Ok(Self { coarse: Network::new(&field.coarse)?, fine: Network::new(&field.fine)?, occupancy: None })
    }

    pub(super) fn hear(&self, signal: &[f32]) -> [Heard; 2] {
        [&self.coarse, &self.fine].map(|network| network.hear(signal))
    }

    fn posed<'a>(&'a self, signal: &[f32], pose: &'a [[f32; 4]; 3]) -> Posed<'a> {
        Posed { networks: self, heard: self.hear(signal), pose }
    }
}

impl Work {
    /// Lists the pixels of a tile, those that are `wanted` or all.
    pub(super) fn see(&mut self, tile: Tile, wanted: Option<&[bool]>) {
        self.pixels.clear();
        for row in 0..tile.height {
            for column in 0..tile.width {
                let number = row * TILE + column;
                if wanted.is_none_or(|wanted| wanted[number]) {
                    self.pixels.push((number, tile.x + column, tile.y + row));
                }
            }
        }
    }
}

impl AdEngine {
    /// Prepares `model` for pictures of `view`: some 20 ms and 10 MB for upstream's default sizes; each thread
    /// keeps 2 MB of working memory more. All profiles but [`Profile::Parity`] look for density first, which takes as long as a
    /// part of a frame, seconds.
    ///
    /// # Errors
    /// [`RenderError::SimdUnavailable`] when the CPU lacks the level, [`RenderError::Size`] for a side of 0
    /// or above [`RgbImage::MAX_SIDE`], [`RenderError::Unsupported`] for layers that do not fit each other and for
    /// options out of the ordinary.
    pub fn new(model: &AdNerf, view: &AdView<'_>, config: &Config) -> Result<Self, RenderError> {
        let AdView { width, height, .. } = *view;
        let dispatch = Dispatch::new(config.simd)
            .ok_or(RenderError::SimdUnavailable { wanted: config.simd, best: SimdLevel::best() })?;
        let sides = 1..=RgbImage::MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(RenderError::Size { width, height });
        }
        let options = &model.options;
        if !(LEAST_SAMPLES..=MAX_SAMPLES).contains(&options.samples) || options.importance > MAX_SAMPLES {
            return Err(RenderError::Unsupported {
                what: format!(
                    "{} coarse and {} fine samples a ray, outside {LEAST_SAMPLES} and 0 to {MAX_SAMPLES}",
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
        let effort = Effort::of(config.profile, options);
        let mut engine = Self {
            dispatch,
            head: Pair::new(&model.head)?,
            torso: torso.transpose()?,
            profile: config.profile,
            effort,
            threads: config.threads,
            cores: Cores::new(config.threads),
            coarse: coarse_depths(options.near, options.far, effort.samples),
            width,
            height,
            scratch: Mutex::new(Vec::new()),
        };
        if engine.effort.sparse && !view.poses.is_empty() {
            engine.find_density(view, &typical_codes(model), [options.near, options.far]);
        }
        Ok(engine)
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

    /// Threads that work at a time.
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
        let at_nodes = self.draw(&fields, request.intrinsics, &stop, |tile, shaded| {
            picture.lock().unwrap_or_else(PoisonError::into_inner).add(tile, shaded);
        });
        if stopped.load(Ordering::Relaxed) {
            return Err(RenderError::Stopped);
        }
        let mut stats = picture.into_inner().unwrap_or_else(PoisonError::into_inner).stats;
        stats.merge(&at_nodes);
        Ok(stats)
    }

    /// Fills the tiles of a picture with light, in no particular order: all pixels traced, or the nodes and what lies
    /// between. Returns what the nodes took.
    ///
    /// * `put`: takes a finished tile of pixels.
    fn draw(
        &self,
        fields: &[Option<Posed<'_>>; 2],
        intrinsics: &Intrinsics,
        stop: &(dyn Fn() -> bool + Sync),
        put: impl Fn(Tile, &Shaded) + Sync,
    ) -> FrameStats {
        let (width, height) = (self.width as usize, self.height as usize);
        let turn = self.cores.turn();
        let mut stats = FrameStats::default();
        let Some(tolerance) = self.effort.tolerance else {
            self.for_each(turn, Tile::count(width, height), |number, Scratch { work, .. }| {
                let tile = Tile::of(number, width, height);
                work.see(tile, None);
                self.trace(fields, intrinsics, work, stop);
                put(tile, &work.shaded);
            });
            return stats;
        };
        let mut nodes = Nodes::new(width, height);
        let (across, down) = (nodes.width, nodes.height);
        let node_intrinsics = node_intrinsics(intrinsics);
        let taken = Mutex::new((&mut nodes, &mut stats));
        self.for_each(turn, Tile::count(across, down), |number, Scratch { work, .. }| {
            let tile = Tile::of(number, across, down);
            work.see(tile, None);
            self.trace(fields, &node_intrinsics, work, stop);
            let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.0.add(tile, &work.shaded.light);
            taken.1.add(&work.shaded);
        });
        self.for_each(turn, Tile::count(width, height), |number, Scratch { work, between }| {
            let tile = Tile::of(number, width, height);
            self.fill_between(&nodes, tile, tolerance, fields, intrinsics, between, work, stop);
            put(tile, &work.shaded);
        });
        stats
    }

    /// Puts the light of a tile into [`Work::shaded`]: of its nodes, traced where it bends, and read off a curve elsewhere.
    pub(super) fn fill_between(
        &self,
        nodes: &Nodes,
        tile: Tile,
        tolerance: f32,
        fields: &[Option<Posed<'_>>; 2],
        intrinsics: &Intrinsics,
        between: &mut Between,
        work: &mut Work,
        stop: &(dyn Fn() -> bool + Sync),
    ) {
        let lit = between.look(nodes, tile);
        if lit && between.choose(tile, tolerance) > 0 {
            work.see(tile, Some(&between.wanted));
            self.trace(fields, intrinsics, work, stop);
        } else {
            work.shaded.clear();
        }
        if lit {
            between.fill(tile, &mut work.shaded.light);
        }
    }

    /// The torso, if there is one, and the head, as they are in a frame.
    pub(super) fn posed<'a>(&'a self, request: &AdFrameRequest<'a>) -> [Option<Posed<'a>>; 2] {
        let torso = self.torso.as_ref().map(|torso| {
            torso.networks.posed(&torso_signal(&request.code[..torso.code], request.pose), &torso.pose)
        });
        [torso, Some(self.head.posed(request.code, request.pose))]
    }

    /// Puts the light of the rays through [`Work::pixels`] into [`Work::shaded`]: of the torso in front of the head.
    pub(super) fn trace(
        &self,
        fields: &[Option<Posed<'_>>; 2],
        intrinsics: &Intrinsics,
        work: &mut Work,
        stop: &(dyn Fn() -> bool + Sync),
    ) {
        work.shaded.clear();
        work.light.iter_mut().for_each(|light| light.fill(NOTHING));
        for (which, field) in fields.iter().enumerate() {
            let Some(field) = field else { continue };
            work.rays.clear();
            for (number, x, y) in &work.pixels {
                // Nobody sees a head behind an opaque torso.
                if which == HEAD && work.light[TORSO][*number].last < self.effort.opaque {
                    continue;
                }
                #[expect(clippy::cast_possible_truncation, reason = "pixels of a picture")]
                let (origin, direction) = dataset_ray(field.pose, intrinsics, *x as u32, *y as u32);
                work.rays.push(Ray { number: *number, origin, direction });
            }
            work.shaded.rays += work.rays.len() as u64;
            self.two_passes(field, which, work, stop);
        }
        let [torso, head] = &work.light;
        for ((light, torso), head) in work.shaded.light.iter_mut().zip(torso).zip(head) {
            let [r, g, b] = [0, 1, 2].map(|c| head.front[c] * torso.last + torso.front[c]);
            *light = [1.0 - head.last * torso.last, r, g, b];
        }
    }

    /// The coarse and the fine pass of [`Work::rays`].
    fn two_passes(&self, field: &Posed<'_>, which: usize, work: &mut Work, stop: &(dyn Fn() -> bool + Sync)) {
        let Work { lanes, depths, rays, weights, fine, light, shaded, .. } = work;
        let Pair { coarse, fine: second, occupancy } = field.networks;
        let light = &mut light[which];
        let samples = self.coarse.len();
        let single = self.effort.importance == 0;
        // What is not evaluated has no weight.
        for Ray { number, .. } in rays.iter() {
            weights[number * samples..][..samples].fill(0.0);
        }
        let query = Query {
            network: coarse,
            heard: &field.heard[0],
            color: single,
            occupancy: occupancy.as_ref(),
            seen: None,
            // Where light is collected no more, samples are not to be placed: a tenth of that moves none of them.
            opaque: if single { self.effort.opaque } else { self.effort.opaque * 0.1 },
        };
        let count = lanes.sum(
            self.dispatch,
            query,
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
        let (near, far) = (self.coarse[0], self.coarse[samples - 1]);
        #[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
        let seen = Seen {
            weights,
            samples,
            near,
            samples_per_unit: (samples - 1) as f32 / (far - near),
            least: self.effort.least,
        };
        let count = lanes.sum(
            self.dispatch,
            Query {
                network: second,
                heard: &field.heard[1],
                color: true,
                seen: (seen.least > 0.0).then_some(seen),
                opaque: self.effort.opaque,
                ..query
            },
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
        let depths = Depths::new(self.coarse.clone(), self.effort.importance);
        let work = Work {
            lanes: Lanes::new(self.networks()),
            pixels: Vec::with_capacity(TILE_RAYS),
            rays: Vec::with_capacity(TILE_RAYS),
            weights: vec![0.0; TILE_RAYS * self.coarse.len()],
            fine: vec![0.0; TILE_RAYS * depths.fine()],
            depths,
            light: [vec![NOTHING; TILE_RAYS], vec![NOTHING; TILE_RAYS]],
            shaded: Shaded::new(None),
        };
        Scratch { between: Between::new(), work }
    }

    /// Does `jobs` jobs on the engine's threads, in no particular order.
    pub(super) fn for_each(&self, turn: Turn, jobs: usize, job: impl Fn(usize, &mut Scratch) + Sync) {
        let next = AtomicUsize::new(0);
        let work = || {
            let core = self.cores.take(turn);
            let kept = self.scratch.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut scratch = kept.unwrap_or_else(|| self.new_scratch());
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= jobs {
                    break;
                }
                job(number, &mut scratch);
                core.give_way();
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

/// The camera whose pixel (i, j) sees what pixel (2i, 2j) of `full` sees: AD-NeRF's rays go through corners.
pub(super) fn node_intrinsics(full: &Intrinsics) -> Intrinsics {
    let Intrinsics { fx, fy, cx, cy } = *full;
    Intrinsics { fx: fx * 0.5, fy: fy * 0.5, cx: cx * 0.5, cy: cy * 0.5 }
}

/// Nothing in front of the background.
const NOTHING: Light = Light { front: [0.0; 3], last: 1.0 };
/// Fields of a frame, in the order in which they are traced.
const TORSO: usize = 0;
const HEAD: usize = 1;
