//! An avatar that speaks a clip, frame by frame.

use std::collections::VecDeque;
use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};

use headcast_core::{FeatureTrack, FrameIndex, Pose, RgbImage, Spools};

use crate::avatar::Avatar;
use crate::background;
use crate::body::{Behind, Blinks, Body, Eyes, Poses};
use crate::clip::Clip;
use crate::conditioning::{WIDE_CODE_LEN, dataset_pose, mirror, smooth_eye, smooth_path};
use crate::cpu::{
    AdEngine, AdFrameRequest, AdView, Config, Engine, FrameRequest, FrameStats, RenderError, SimdLevel,
};
use crate::model::{Network, Scene};
use crate::profile::Profile;

/// Backdrops and full-body pictures kept: 3 MB each at 512×512, and 6 MB at 1920×1080. Enough for a still pose, for the frames that several threads work on
/// at once, and for the turning points of a looped path.
const BACKDROPS: usize = 4;

/// How a [`Renderer`] works. `Default` is what we ship: quality, every core, the fastest instructions, and
/// the body as recorded.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Settings {
    /// Which samples count.
    pub profile: Profile,
    /// Threads that work at a time; `None` is one a core.
    pub threads: Option<NonZero<usize>>,
    /// Instruction set; `None` is the fastest of this CPU.
    pub simd: Option<SimdLevel>,
    /// What the avatar does besides speaking.
    pub body: Body,
}

/// What [`Renderer::probe`] did.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Probe {
    /// What it took.
    pub stats: FrameStats,
    /// How much of a frame's work that was, above 0 and up to 1.
    pub share: f64,
}

/// Renders one avatar.
///
/// Frames may be asked for in any order and from several threads; a frame's bytes depend on the avatar, the
/// settings (threads aside), the clip and the frame's number.
#[derive(Debug)]
pub struct Renderer {
    avatar: Arc<Avatar>,
    engine: AnyEngine,
    /// One a pose, smoothed if asked for.
    poses: Vec<Pose>,
    /// One a pose, smoothed or fixed if asked for.
    eyes: Vec<f32>,
    /// Instead of `eyes`.
    blinks: Option<Blinks>,
    shown: Poses,
    /// Instead of the avatar's.
    background: Option<RgbImage>,
    smooth_lips: bool,
    backdrops: Kept<Vec<f32>>,
    /// Full-body pictures.
    bodies: Kept<RgbImage>,
}

/// What was made for a pose, for the next frames that show it: the last [`BACKDROPS`].
#[derive(Debug)]
struct Kept<T>(Mutex<VecDeque<(usize, Arc<T>)>>);

impl<T> Kept<T> {
    fn new() -> Self {
        Self(Mutex::new(VecDeque::with_capacity(BACKDROPS)))
    }

    /// That of `index`, made if it is not here. Several threads may make the same one at once; it is the same.
    fn get(
        &self,
        index: usize,
        make: impl FnOnce() -> Result<T, RenderError>,
    ) -> Result<Arc<T>, RenderError> {
        let kept = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, value)) = kept().iter().find(|(of, _)| *of == index) {
            return Ok(Arc::clone(value));
        }
        let value = Arc::new(make()?);
        let mut kept = kept();
        while kept.len() >= BACKDROPS {
            kept.pop_front();
        }
        kept.push_back((index, Arc::clone(&value)));
        Ok(value)
    }
}

/// What draws the pictures.
#[derive(Debug)]
enum AnyEngine {
    Cpu(Box<Engine>),
    Ad(Box<AdEngine>),
}

impl Renderer {
    /// Prepares `avatar`: some 20 ms (AD-NeRF: seconds, in which density is looked for) and 10 MB, then 12 MB of backdrops at 512×512.
    ///
    /// # Errors
    /// [`RenderError::NoPoses`], those of [`Body::check`], and those of [`Engine::new`].
    pub fn new(avatar: Arc<Avatar>, settings: &Settings) -> Result<Self, RenderError> {
        Self::with_background(avatar, settings, None)
    }

    /// As [`Self::new`], with the picture of [`Behind::Picture`], of any size: its middle fills the frame.
    ///
    /// # Errors
    /// As [`Self::new`], and [`RenderError::NoBackground`] when there is to be one and there is none.
    pub fn with_background(
        avatar: Arc<Avatar>,
        settings: &Settings,
        picture: Option<&RgbImage>,
    ) -> Result<Self, RenderError> {
        if avatar.poses.is_empty() {
            return Err(RenderError::NoPoses);
        }
        let body = settings.body;
        body.check(&avatar)?;
        let config = Config {
            profile: settings.profile,
            threads: settings.threads.unwrap_or_else(default_threads),
            simd: settings.simd.unwrap_or_else(SimdLevel::best),
        };
        let (width, height) = (avatar.width, avatar.height);
        let scene_engine = |scene| Engine::new(scene, width, height, &config);
        let engine = match &avatar.model {
            Network::Er(model) => AnyEngine::Cpu(Box::new(scene_engine(Scene::Er(model))?)),
            Network::Rad(model) => AnyEngine::Cpu(Box::new(scene_engine(Scene::Rad(model))?)),
            Network::Ad(model) => {
                let poses: Vec<_> = avatar.poses.iter().map(dataset_pose).collect();
                let view = AdView { poses: &poses, intrinsics: &avatar.intrinsics, width, height };
                AnyEngine::Ad(Box::new(AdEngine::new(model, &view, &config)?))
            }
        };
        let smoothing = avatar.smoothing;
        let poses = match body.smooth_path.unwrap_or(smoothing.path) {
            true => smooth_path(&avatar.poses),
            false => avatar.poses.clone(),
        };
        let mut eyes = match body.smooth_eyes.unwrap_or(smoothing.eyes) {
            true => smooth_eye(&avatar.eyes),
            false => avatar.eyes.clone(),
        };
        eyes.resize(poses.len(), 0.0);
        if let Eyes::Fixed(value) = body.eyes {
            eyes.fill(value);
        }
        let size = |_| RenderError::Size { width: avatar.width, height: avatar.height };
        let background = match (body.background, picture) {
            (Behind::Own, _) => None,
            (Behind::Colour(colour), _) => Some(RgbImage::filled(avatar.width, avatar.height, colour)),
            (Behind::Picture, Some(picture)) => Some(background::cover(picture, avatar.width, avatar.height)),
            (Behind::Picture, None) => return Err(RenderError::NoBackground),
        };
        let background = background.transpose().map_err(size)?;
        Ok(Self {
            engine,
            poses,
            blinks: (body.eyes == Eyes::Blinking).then(|| Blinks::new(&eyes)),
            eyes,
            shown: body.poses,
            background,
            smooth_lips: body.smooth_lips.unwrap_or(smoothing.lips),
            backdrops: Kept::new(),
            bodies: Kept::new(),
            avatar,
        })
    }

    /// Gets ready to listen to a clip of `frames` frames. What is heard in a frame is found out when it is rendered, for
    /// a few seconds together, and put aside in `spools`.
    ///
    /// # Errors
    /// [`RenderError::Conditioning`] when the features are of an extractor other than the one the avatar was
    /// trained with; the message names both.
    pub fn clip(&self, features: &FeatureTrack, frames: u64, spools: &Spools) -> Result<Clip, RenderError> {
        Clip::new(&self.avatar, features, frames, self.smooth_lips, spools)
    }

    /// Renders frame `frame` of `clip` into `out`.
    ///
    /// Poses, eyes and captured torsos are taken back and forth, `0 … n-1, n-1 … 0, 0 …`, unless the settings' [`Body`]
    /// says otherwise.
    ///
    /// # Errors
    /// [`RenderError::NoSuchFrame`], [`RenderError::PictureSize`] when `out` is not of the video's size,
    /// [`RenderError::Avatar`] when a captured torso or a full-body picture cannot be read, and as [`Clip::code`] when
    /// what the frame hears cannot.
    pub fn render(
        &self,
        clip: &Clip,
        frame: FrameIndex,
        out: &mut RgbImage,
    ) -> Result<FrameStats, RenderError> {
        self.render_until(clip, frame, &|| false, out)
    }

    /// As [`Self::render`], for a caller who may want to give the frame up: one of AD-NeRF takes minutes, and so does
    /// hearing what comes before a frame behind a jump.
    ///
    /// * `stop`: asked as by [`Clip::code_until`], and by AD-NeRF's engine every few milliseconds, from several threads.
    ///
    /// # Errors
    /// As [`Self::render`], and [`RenderError::Stopped`] when `stop` said so.
    pub fn render_until(
        &self,
        clip: &Clip,
        frame: FrameIndex,
        stop: &(dyn Fn() -> bool + Sync),
        out: &mut RgbImage,
    ) -> Result<FrameStats, RenderError> {
        let code = clip.code_until(frame, stop)?;
        let pose = self.shown.at(frame.0, self.poses.len());
        let eye = self.blinks.map_or(self.eyes[pose], |blinks| blinks.at(frame.0));
        self.render_pose(pose, eye, &code, stop, out)
    }

    /// Renders a frame, or a small part of one where a frame takes minutes, for a caller who wants to know how long a
    /// frame of a clip takes: call it a few times with rising `round` and look at the clock. The first call also
    /// warms caches.
    ///
    /// * `round`: picks a pose; consecutive rounds are far apart in the recorded path.
    /// * `out`: drawn into by the CPU engine.
    ///
    /// # Errors
    /// As [`Self::render`].
    pub fn probe(&self, round: u64, out: &mut RgbImage) -> Result<Probe, RenderError> {
        // A stride near the golden ratio visits the path evenly however many rounds there are.
        let poses = self.poses.len() as u64;
        let pose = (round % poses * (poses * 382 / 1000).max(1)) % poses;
        let pose = mirror(pose, self.poses.len());
        match &self.engine {
            AnyEngine::Cpu(engine) => {
                let code = vec![0.0; engine.code_len()];
                let stats = self.render_pose(pose, self.eyes[pose], &code, &|| false, out)?;
                Ok(Probe { stats, share: 1.0 })
            }
            AnyEngine::Ad(engine) => {
                let backdrop = self.backdrop(pose)?;
                let code = [0.0; WIDE_CODE_LEN];
                let request = AdFrameRequest {
                    pose: &dataset_pose(&self.poses[pose]),
                    intrinsics: &self.avatar.intrinsics,
                    code: &code,
                    background: &backdrop,
                };
                let (stats, share) = engine.probe(&request, round);
                Ok(Probe { stats, share })
            }
        }
    }

    /// A picture of the video: what the network renders, pasted into the full-body picture of the pose if there is one.
    fn render_pose(
        &self,
        pose: usize,
        eye: f32,
        code: &[f32],
        stop: &(dyn Fn() -> bool + Sync),
        out: &mut RgbImage,
    ) -> Result<FrameStats, RenderError> {
        let Some(body) = &self.avatar.full_body else {
            return self.render_network(pose, eye, code, stop, out);
        };
        let (width, height) = (body.width(), body.height());
        let found = (out.width(), out.height());
        if found != (width, height) {
            return Err(RenderError::PictureSize { width, height, found });
        }
        let index = body.index(pose);
        let picture = self.bodies.get(index, || Ok(body.picture(index)?))?;
        let (width, height) = (self.avatar.width, self.avatar.height);
        let mut rendered = RgbImage::filled(width, height, [0; 3])
            .map_err(|_refused| RenderError::Size { width, height })?;
        let stats = self.render_network(pose, eye, code, stop, &mut rendered)?;
        body.compose(&picture, &rendered, out);
        Ok(stats)
    }

    fn render_network(
        &self,
        pose: usize,
        eye: f32,
        code: &[f32],
        stop: &(dyn Fn() -> bool + Sync),
        out: &mut RgbImage,
    ) -> Result<FrameStats, RenderError> {
        let backdrop = self.backdrop(pose)?;
        match &self.engine {
            AnyEngine::Cpu(engine) => engine.render(
                &FrameRequest {
                    pose: &self.poses[pose],
                    intrinsics: &self.avatar.intrinsics,
                    code,
                    eye,
                    backdrop: &backdrop,
                },
                out,
            ),
            AnyEngine::Ad(engine) => {
                let request = AdFrameRequest {
                    pose: &dataset_pose(&self.poses[pose]),
                    intrinsics: &self.avatar.intrinsics,
                    code,
                    background: &backdrop,
                };
                engine.render(&request, stop, out)
            }
        }
    }

    /// What is behind the head in pose `pose`.
    fn backdrop(&self, pose: usize) -> Result<Arc<Vec<f32>>, RenderError> {
        self.backdrops.get(pose, || {
            let own = self.background.as_ref().unwrap_or(&self.avatar.background);
            let background = self.avatar.backdrop(pose, own)?;
            Ok(match &self.engine {
                AnyEngine::Cpu(engine) => engine.backdrop(&self.poses[pose], &background)?,
                // It draws the torso itself.
                AnyEngine::Ad(_) => background.data().iter().map(|v| f32::from(*v) / 255.0).collect(),
            })
        })
    }

    /// Pixels per row of the video.
    pub fn width(&self) -> u32 {
        self.avatar.video_size().0
    }

    /// Rows of the video.
    pub fn height(&self) -> u32 {
        self.avatar.video_size().1
    }

    /// The avatar.
    pub fn avatar(&self) -> &Arc<Avatar> {
        &self.avatar
    }

    /// How its pictures are made: as asked for, but [`Profile::Quality`] instead of a faster one that there is not
    /// for this avatar.
    pub fn profile(&self) -> Profile {
        match &self.engine {
            AnyEngine::Cpu(engine) => engine.profile(),
            AnyEngine::Ad(engine) => engine.profile(),
        }
    }

    /// How many frames at the same time keep every thread at work: two, and one for every two threads where there are more, up to
    /// eight; one where a thread has nothing to wait for. They share [`Settings::threads`], and the one that was begun first
    /// goes first. Each takes 5 MB at 512×512.
    pub fn frames_at_once(&self) -> usize {
        match &self.engine {
            AnyEngine::Cpu(engine) if engine.threads().get() > 1 => (engine.threads().get() / 2).clamp(2, 8),
            _ => 1,
        }
    }

    /// Whether [`Profile::Fast`] and [`Profile::Preview`] differ from [`Profile::Quality`] for this avatar.
    pub fn has_faster_profiles(&self) -> bool {
        matches!(self.engine, AnyEngine::Cpu(_) | AnyEngine::Ad(_))
    }

    /// For a log line: `CPU, avx512, 2 threads, quality profile`.
    pub fn describe(&self) -> String {
        let (threads, what) = match &self.engine {
            AnyEngine::Cpu(engine) => (engine.threads(), engine.simd().name()),
            AnyEngine::Ad(engine) => (engine.threads(), engine.simd().name()),
        };
        let profile = self.profile();
        let plural = if threads.get() == 1 { "" } else { "s" };
        format!("CPU, {what}, {threads} thread{plural}, {profile} profile")
    }
}

// Frames are asked for from several threads at once.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    shared::<Renderer>();
    shared::<Clip>();
};

fn default_threads() -> NonZero<usize> {
    std::thread::available_parallelism().unwrap_or(NonZero::<usize>::MIN)
}
