//! Pictures from poses, audio codes and eye values, on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use headcast_core::{Intrinsics, Pose, RgbImage};

use super::cores::{Cores, Turn};
use super::error::RenderError;
use super::field::AnyField;
use super::march::{Lattice, March, Rays, TILE, Tile};
use super::nodes::{Between, Nodes, node_intrinsics};
use super::occupancy::Occupancy;
use super::packet::PACKET;
use super::picture::{FrameStats, Picture};
use super::shade::{Ending, Lanes, OVERRUN, Shade, Shaded};
use super::simd::{Dispatch, SimdLevel};
use super::torso::{ShadeTorso, TorsoEngine, TorsoRows};
use crate::model::Scene;
use crate::profile::Profile;

/// Most samples a ray may be given, so that a checkpoint's options cannot ask for any amount of memory.
const MAX_STEPS: u32 = 4096;

/// Points at which the reach of activations is measured, once a frame: a hundredth of a frame's samples.
const PROBES: usize = 1024;

/// How an engine works; see [`Engine::new`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    /// Which samples count.
    pub profile: Profile,
    /// Threads that work at a time.
    pub threads: NonZero<usize>,
    /// Instruction set.
    pub simd: SimdLevel,
}

/// A model made ready to render at one size.
///
/// Frames may be rendered from several threads at once: they share [`Config::threads`] cores, and who calls first goes first.
/// A picture is a function of its [`FrameRequest`] alone, bit by bit, for a given profile; AVX2 and AVX-512, with
/// and without VNNI, make the same bits, scalar code rounds differently where it has no fused multiply-add.
#[derive(Debug)]
pub struct Engine {
    pub(super) dispatch: Dispatch,
    pub(super) field: AnyField,
    pub(super) lattice: Lattice,
    pub(super) occupancy: Occupancy,
    pub(super) torso: Option<TorsoEngine>,
    profile: Profile,
    /// See [`tolerance`].
    tolerance: Option<f32>,
    threads: NonZero<usize>,
    cores: Cores,
    max_steps: usize,
    width: u32,
    height: u32,
    scratch: Mutex<Vec<Scratch>>,
}

/// Everything one frame depends on besides the model.
#[derive(Debug, Clone, Copy)]
pub struct FrameRequest<'a> {
    /// `world_from_camera`.
    pub pose: &'a Pose,
    /// For the engine's picture size.
    pub intrinsics: &'a Intrinsics,
    /// What the frame says: [`Engine::code_len`] values.
    pub code: &'a [f32],
    /// 0 open, 1 closed.
    pub eye: f32,
    /// `[height, width, 3]` in `[0, 1]`: what is behind the head, of [`Engine::backdrop`].
    pub backdrop: &'a [f32],
}

/// Working memory of one thread.
#[derive(Debug)]
struct Scratch {
    between: Between,
    work: Work,
}

/// What tracing a patch takes.
#[derive(Debug)]
struct Work {
    rays: Rays,
    lanes: Lanes,
    shaded: Shaded,
    torso: TorsoRows,
    torso_pixels: Vec<(u32, usize)>,
}

/// Pixels or nodes of a rectangle.
#[derive(Debug, Clone, Copy)]
struct Patch<'a> {
    tile: Tile,
    /// Pixels from one to the next: 1, of nodes 2.
    spacing: usize,
    /// `[TILE_RAYS]`, `None` is all.
    wanted: Option<&'a [bool]>,
}

/// How much the light of the nodes around a pixel may bend, of 1, before its ray is traced; `None` traces every ray.
///
/// Measured on the built-in avatar. A curve is off by a tenth of the bend and less. 24/255 keeps 57 dB and traces 56 % of
/// the rays (4/255: 63 dB and 78 %). 200/255 is what outlines against a bright background do: without them edges are stairs,
/// with them a third more rays are traced than nodes alone.
fn tolerance(profile: Profile) -> Option<f32> {
    match profile {
        Profile::Parity | Profile::Quality => None,
        Profile::Fast => Some(24.0 / 255.0),
        Profile::Preview => Some(200.0 / 255.0),
    }
}

impl Engine {
    /// Prepares `model` for pictures of `width` × `height`.
    ///
    /// Takes some 20 ms and 10 MB for upstream's default sizes; each thread keeps some 200 kB of working
    /// memory more.
    ///
    /// # Errors
    /// [`RenderError::SimdUnavailable`] when the CPU lacks the level, [`RenderError::Size`] for a side of 0
    /// or above [`RgbImage::MAX_SIDE`], [`RenderError::Unsupported`] for a network of other sizes.
    pub fn new<'a>(
        model: impl Into<Scene<'a>>,
        width: u32,
        height: u32,
        config: &Config,
    ) -> Result<Self, RenderError> {
        let model = model.into();
        let dispatch = Dispatch::new(config.simd)
            .ok_or(RenderError::SimdUnavailable { wanted: config.simd, best: SimdLevel::best() })?;
        let sides = 1..=RgbImage::MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(RenderError::Size { width, height });
        }
        let options = model.options();
        if !(1..=MAX_STEPS).contains(&options.max_steps) {
            return Err(RenderError::Unsupported {
                what: format!("max_steps {}, outside 1 to {MAX_STEPS}", options.max_steps),
            });
        }
        let torso = model.torso();
        let occupancy = Occupancy::new(model.density_bitfield(), options.cascades, options.bound)?;
        let field = AnyField::new(model)?;
        let field = match config.profile {
            Profile::Parity => field,
            _ => field.with_integers(dispatch, &occupancy.points(PROBES)),
        };
        Ok(Self {
            dispatch,
            field,
            lattice: Lattice::new(options, *model.aabb()),
            occupancy,
            torso: torso
                .map(|torso| TorsoEngine::new(torso, options.torso_shrink, width, height))
                .transpose()?,
            profile: config.profile,
            tolerance: tolerance(config.profile),
            threads: config.threads,
            cores: Cores::new(config.threads),
            max_steps: options.max_steps as usize,
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

    /// Threads that work at a time.
    pub fn threads(&self) -> NonZero<usize> {
        self.threads
    }

    /// Which samples count.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    pub(super) fn max_steps(&self) -> usize {
        self.max_steps
    }

    /// Values of the audio codes that the model hears.
    pub fn code_len(&self) -> usize {
        self.field.code_len()
    }

    /// Multiply-adds of one sample after folding, the encoding aside.
    pub fn multiply_adds_per_sample(&self) -> usize {
        self.field.multiply_adds()
    }

    /// What is behind the head: `background` as `[height, width, 3]` in `[0, 1]`, with the torso over it if the
    /// model has one. Depends on the pose and on nothing else of a frame.
    ///
    /// # Errors
    /// [`RenderError::PictureSize`] when `background` has another size.
    pub fn backdrop(&self, pose: &Pose, background: &RgbImage) -> Result<Vec<f32>, RenderError> {
        self.check_size(background)?;
        let turn = self.cores.turn();
        let core = self.cores.take(turn);
        let mut out: Vec<f32> = background.data().iter().map(|v| f32::from(*v) / 255.0).collect();
        let Some(torso) = &self.torso else { return Ok(out) };
        let posed = torso.posed(pose);
        drop(core);
        let width = self.width as usize;
        let picture = Mutex::new(&mut out);
        self.draw(
            turn,
            |patch, work| {
                let Work { shaded, torso: rows, torso_pixels: pixels, .. } = work;
                shaded.clear();
                torso.list(patch.tile, patch.spacing, patch.wanted, pixels);
                for pixels in pixels.chunks(PACKET) {
                    self.dispatch.run(ShadeTorso { torso: &posed, pixels, work: rows });
                    for (lane, (_, ray)) in pixels.iter().enumerate() {
                        let [alpha, rgb @ ..] = [0, 1, 2, 3].map(|i| rows.out[i].0[lane]);
                        let [red, green, blue] = rgb.map(|v| v * alpha);
                        shaded.light[*ray] = [alpha, red, green, blue];
                    }
                }
            },
            |tile, shaded| {
                let mut picture = picture.lock().unwrap_or_else(PoisonError::into_inner);
                for row in 0..tile.height {
                    let first = (tile.y + row) * width + tile.x;
                    let pixels = picture[first * 3..(first + tile.width) * 3].as_chunks_mut::<3>().0;
                    for (pixel, light) in pixels.iter_mut().zip(&shaded.light[row * TILE..]) {
                        for channel in 0..3 {
                            pixel[channel] = light[channel + 1] + pixel[channel] * (1.0 - light[0]);
                        }
                    }
                }
            },
        );
        Ok(out)
    }

    /// Renders a frame into `out`.
    ///
    /// # Errors
    /// [`RenderError::PictureSize`] when `out` has another size.
    ///
    /// # Panics
    /// If the request's backdrop is not of the engine's size, or its code has not [`Self::code_len`] values.
    pub fn render(&self, request: &FrameRequest<'_>, out: &mut RgbImage) -> Result<FrameStats, RenderError> {
        self.check_size(out)?;
        let (width, height) = (self.width as usize, self.height as usize);
        assert_eq!(request.backdrop.len(), width * height * 3, "the backdrop has the picture's size");
        let turn = self.cores.turn();
        let core = self.cores.take(turn);
        let frame = self.field.of_frame(self.dispatch, request.code, request.eye);
        drop(core);
        let scheduled = self.scheduled();
        let picture = Mutex::new(Picture::new(out.data_mut(), request.backdrop, width, self.max_steps));
        let between = node_intrinsics(request.intrinsics);
        let at_nodes = self.draw(
            turn,
            |patch, work| {
                let Work { rays, lanes, shaded, .. } = work;
                self.dispatch.run(March {
                    lattice: &self.lattice,
                    occupancy: &self.occupancy,
                    pose: request.pose,
                    intrinsics: if patch.spacing == 1 { request.intrinsics } else { &between },
                    tile: patch.tile,
                    wanted: patch.wanted,
                    rays,
                });
                shaded.clear();
                lanes.queue(rays, patch.tile, shaded);
                let shade = Shade {
                    lattice: &self.lattice,
                    origin: request.pose.origin(),
                    rays,
                    scheduled,
                    ending: self.ending(),
                    work: lanes,
                    out: shaded,
                };
                frame.run(self.dispatch, shade);
            },
            |tile, shaded| picture.lock().unwrap_or_else(PoisonError::into_inner).add(tile, shaded),
        );
        let mut picture = picture.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(max_steps) = scheduled {
            picture.apply_schedule(max_steps);
        }
        picture.stats.merge(&at_nodes);
        Ok(picture.stats)
    }

    /// `max_steps`, when the profile asks for upstream's schedule.
    fn scheduled(&self) -> Option<usize> {
        (self.profile == Profile::Parity).then_some(self.max_steps)
    }

    /// Where rays end that have samples left.
    ///
    /// What further samples could add in the dark is this part of full light at most: 1/1024 spares `quality` a fifth of its samples.
    /// Filled, `fast` and `preview` spare 6 and 14 % more, and the decibels of the built-in avatar stay within 0.3.
    pub(super) fn ending(&self) -> Ending {
        match self.profile {
            Profile::Parity => Ending::Upstream,
            Profile::Quality => Ending::Dark(1.0 / 1024.0),
            Profile::Fast => Ending::Filled(1.0 / 128.0),
            Profile::Preview => Ending::Filled(1.0 / 16.0),
        }
    }

    /// Fills the tiles of a picture with light, in no particular order: all pixels traced, or the nodes and what lies
    /// between. Returns what the nodes took.
    ///
    /// * `trace`: puts the light of a patch into [`Work::shaded`], zeros where it is not wanted.
    /// * `put`: takes a finished tile of pixels.
    fn draw(
        &self,
        turn: Turn,
        trace: impl Fn(Patch<'_>, &mut Work) + Sync,
        put: impl Fn(Tile, &Shaded) + Sync,
    ) -> FrameStats {
        let (width, height) = (self.width as usize, self.height as usize);
        let mut stats = FrameStats::default();
        let Some(tolerance) = self.tolerance else {
            self.for_each(turn, Tile::count(width, height), |number, Scratch { work, .. }| {
                let tile = Tile::of(number, width, height);
                trace(Patch { tile, spacing: 1, wanted: None }, work);
                put(tile, &work.shaded);
            });
            return stats;
        };
        let mut nodes = Nodes::new(width, height);
        let (across, down) = (nodes.width, nodes.height);
        let taken = Mutex::new((&mut nodes, &mut stats));
        self.for_each(turn, Tile::count(across, down), |number, Scratch { work, .. }| {
            let tile = Tile::of(number, across, down);
            trace(Patch { tile, spacing: 2, wanted: None }, work);
            let mut taken = taken.lock().unwrap_or_else(PoisonError::into_inner);
            taken.0.add(tile, &work.shaded.light);
            taken.1.add(&work.shaded);
        });
        self.for_each(turn, Tile::count(width, height), |number, Scratch { work, between }| {
            let tile = Tile::of(number, width, height);
            let lit = between.look(&nodes, tile);
            if lit && between.choose(tile, tolerance) > 0 {
                trace(Patch { tile, spacing: 1, wanted: Some(&between.wanted) }, work);
            } else {
                work.shaded.clear();
            }
            if lit {
                between.fill(tile, &mut work.shaded.light);
            }
            put(tile, &work.shaded);
        });
        stats
    }

    fn new_scratch(&self) -> Scratch {
        Scratch { between: Between::new(), work: self.new_work() }
    }

    fn new_work(&self) -> Work {
        Work {
            rays: Rays::new(self.max_steps + OVERRUN),
            lanes: Lanes::new(),
            shaded: Shaded::new(self.scheduled()),
            torso: TorsoRows::new(),
            torso_pixels: Vec::new(),
        }
    }

    fn check_size(&self, image: &RgbImage) -> Result<(), RenderError> {
        let found = (image.width(), image.height());
        if found == (self.width, self.height) {
            return Ok(());
        }
        Err(RenderError::PictureSize { width: self.width, height: self.height, found })
    }

    /// Calls `job` for every number below `jobs`, on [`Self::threads`] threads, in no particular order.
    fn for_each(&self, turn: Turn, jobs: usize, job: impl Fn(usize, &mut Scratch) + Sync) {
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
