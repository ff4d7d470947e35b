//! Pictures from poses, audio codes and eye values, on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use headcast_core::{Intrinsics, Pose, RgbImage};

use super::error::RenderError;
use super::fold::Field;
use super::march::{Lattice, March, Rays, TILE, Tile};
use super::occupancy::Occupancy;
use super::picture::{FrameStats, Picture};
use super::shade::{Lanes, OVERRUN, Shade, Shaded};
use super::simd::{Dispatch, SimdLevel};
use super::torso::{ShadeTorso, TorsoEngine, TorsoRows};
use crate::conditioning::AudioCode;
use crate::model::ErNerf;
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
    /// Threads that work on one frame.
    pub threads: NonZero<usize>,
    /// Instruction set.
    pub simd: SimdLevel,
}

/// A model made ready to render at one size.
///
/// Frames may be rendered from several threads at once; each call uses [`Config::threads`] of its own.
/// A picture is a function of its [`FrameRequest`] alone, bit by bit, for a given profile; AVX2 and AVX-512, with
/// and without VNNI, make the same bits, scalar code rounds differently where it has no fused multiply-add.
#[derive(Debug)]
pub struct Engine {
    pub(super) dispatch: Dispatch,
    pub(super) field: Field,
    pub(super) lattice: Lattice,
    pub(super) occupancy: Occupancy,
    pub(super) torso: Option<TorsoEngine>,
    profile: Profile,
    threads: NonZero<usize>,
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
    /// What the frame says.
    pub code: &'a AudioCode,
    /// 0 open, 1 closed.
    pub eye: f32,
    /// `[height, width, 3]` in `[0, 1]`: what is behind the head, of [`Engine::backdrop`].
    pub backdrop: &'a [f32],
}

/// Working memory of one thread.
#[derive(Debug)]
struct Scratch {
    rays: Rays,
    lanes: Lanes,
    shaded: Shaded,
    torso: TorsoRows,
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
    pub fn new(model: &ErNerf, width: u32, height: u32, config: &Config) -> Result<Self, RenderError> {
        let dispatch = Dispatch::new(config.simd)
            .ok_or(RenderError::SimdUnavailable { wanted: config.simd, best: SimdLevel::best() })?;
        let sides = 1..=RgbImage::MAX_SIDE;
        if !sides.contains(&width) || !sides.contains(&height) {
            return Err(RenderError::Size { width, height });
        }
        let options = &model.options;
        if !(1..=MAX_STEPS).contains(&options.max_steps) {
            return Err(RenderError::Unsupported {
                what: format!("max_steps {}, outside 1 to {MAX_STEPS}", options.max_steps),
            });
        }
        let torso = model.torso.as_ref();
        let occupancy = Occupancy::new(&model.density_bitfield, options.cascades, options.bound)?;
        let field = Field::new(model)?;
        let field = match config.profile {
            Profile::Parity => field,
            _ => field.with_integers(dispatch, &occupancy.points(PROBES)),
        };
        Ok(Self {
            dispatch,
            field,
            lattice: Lattice::new(options, model.aabb),
            occupancy,
            torso: torso
                .map(|torso| TorsoEngine::new(torso, options.torso_shrink, width, height))
                .transpose()?,
            profile: config.profile,
            threads: config.threads,
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

    /// Threads that work on one frame.
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
        let mut out: Vec<f32> = background.data().iter().map(|v| f32::from(*v) / 255.0).collect();
        let Some(torso) = &self.torso else { return Ok(out) };
        let posed = torso.posed(pose);
        // Large enough that the lock below is free nearly always.
        const PACKETS_PER_JOB: usize = 64;
        let packets = torso.packets();
        let shared = Mutex::new(&mut out);
        self.for_each(packets.div_ceil(PACKETS_PER_JOB), |job, scratch| {
            let work = &mut scratch.torso;
            for packet in job * PACKETS_PER_JOB..packets.min((job + 1) * PACKETS_PER_JOB) {
                self.dispatch.run(ShadeTorso { torso: &posed, packet, work });
                let mut out = shared.lock().unwrap_or_else(PoisonError::into_inner);
                for lane in 0..work.len {
                    let [alpha, rgb @ ..] = [0, 1, 2, 3].map(|i| work.out[i].0[lane]);
                    let pixel = &mut out[work.pixels[lane] as usize * 3..][..3];
                    for (out, torso) in pixel.iter_mut().zip(rgb) {
                        *out = torso * alpha + *out * (1.0 - alpha);
                    }
                }
            }
        });
        Ok(out)
    }

    /// Renders a frame into `out`.
    ///
    /// # Errors
    /// [`RenderError::PictureSize`] when `out` has another size.
    ///
    /// # Panics
    /// If the request's backdrop is not of the engine's size.
    pub fn render(&self, request: &FrameRequest<'_>, out: &mut RgbImage) -> Result<FrameStats, RenderError> {
        self.check_size(out)?;
        let (width, height) = (self.width as usize, self.height as usize);
        assert_eq!(request.backdrop.len(), width * height * 3, "the backdrop has the picture's size");
        let frame = self.field.of_frame(self.dispatch, request.code, request.eye);
        let scheduled = self.scheduled();
        let across = width.div_ceil(TILE);
        let picture = Mutex::new(Picture::new(out.data_mut(), request.backdrop, width, self.max_steps));
        self.for_each(across * height.div_ceil(TILE), |job, scratch| {
            let (x, y) = (job % across * TILE, job / across * TILE);
            let tile = Tile { x, y, width: TILE.min(width - x), height: TILE.min(height - y) };
            let Scratch { rays, lanes, shaded, .. } = scratch;
            self.dispatch.run(March {
                lattice: &self.lattice,
                occupancy: &self.occupancy,
                pose: request.pose,
                intrinsics: request.intrinsics,
                tile,
                rays,
            });
            shaded.clear();
            lanes.queue(rays, tile, shaded);
            self.dispatch.run(Shade {
                field: &self.field,
                frame: &frame,
                lattice: &self.lattice,
                origin: request.pose.origin(),
                rays,
                scheduled,
                faithful: self.faithful(),
                work: lanes,
                out: shaded,
            });
            picture.lock().unwrap_or_else(PoisonError::into_inner).add(tile, shaded);
        });
        let mut picture = picture.into_inner().unwrap_or_else(PoisonError::into_inner);
        if let Some(max_steps) = scheduled {
            picture.apply_schedule(max_steps);
        }
        Ok(picture.stats)
    }

    /// `max_steps`, when the profile asks for upstream's schedule.
    fn scheduled(&self) -> Option<usize> {
        self.faithful().then_some(self.max_steps)
    }

    /// Whether samples are upstream's, in `f32` and as many.
    pub(super) fn faithful(&self) -> bool {
        self.profile == Profile::Parity
    }

    fn new_scratch(&self) -> Scratch {
        Scratch {
            rays: Rays::new(self.max_steps + OVERRUN),
            lanes: Lanes::new(),
            shaded: Shaded::new(self.scheduled()),
            torso: TorsoRows::new(),
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
