//! How long an engine takes, where the time goes, and what the machine could do at best.
//!
//! The caller holds the clocks: nothing here knows the time by itself.

use headcast_core::{Intrinsics, Pose, RgbImage};

use super::probe::{self, Stages};
use super::{Engine, FrameRequest, FrameStats, RenderError};

/// What is rendered: the view of an engine's model.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// For the engine's picture size.
    pub intrinsics: &'a Intrinsics,
    /// At least one.
    pub poses: &'a [Pose],
    /// Of the engine's picture size.
    pub background: &'a RgbImage,
}

/// Readings of two clocks, or what passed between two readings, seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Seconds {
    /// Of the clock on the wall.
    pub wall: f64,
    /// Of the processor, all threads together; the wall's where the system does not tell.
    pub cpu: f64,
}

/// Frames, each of another pose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frames {
    /// How many.
    pub frames: usize,
    /// The person's head, for all frames together.
    pub head: Seconds,
    /// What is behind it, anew for every frame.
    pub torso: Seconds,
    /// Sums over all frames.
    pub stats: FrameStats,
}

impl Frames {
    /// Frames per second by the clock on the wall, with a new torso in each.
    pub fn fps(&self) -> f64 {
        self.rate(self.head.wall + self.torso.wall)
    }

    /// Frames per second that `threads` cores have the time for if nothing else runs, with a new torso in each.
    pub fn fps_alone(&self, threads: usize) -> f64 {
        self.rate((self.head.cpu + self.torso.cpu) / to_f64(threads))
    }

    /// As [`Self::fps_alone`], with torsos that are there already.
    pub fn fps_of_head(&self, threads: usize) -> f64 {
        self.rate(self.head.cpu / to_f64(threads))
    }

    fn rate(&self, seconds: f64) -> f64 {
        to_f64(self.frames) / seconds.max(1e-9)
    }
}

/// Seconds of processor time for a sample, on one thread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StageTimes {
    /// Finding it.
    pub march: f64,
    /// From its position to features.
    pub encode: f64,
    /// From features to density and colour.
    pub evaluate: f64,
}

/// Operations per second of one thread that does nothing else; a multiplication and an addition are two.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Peak {
    /// Of `f32`.
    pub f32: f64,
    /// Of 16-bit integers, added up in 32 bits.
    pub i16: f64,
}

/// Any audio code will do: it changes colours, and work hardly.
const CODE: f32 = 0.1;
const EYE: f32 = 0.2;

/// Renders `count` frames, at least one, after one that warms caches; poses far apart.
///
/// # Errors
/// [`RenderError::PictureSize`] when the subject is not of the engine's size.
///
/// # Panics
/// If the subject has no poses.
pub fn frames(
    engine: &Engine,
    subject: &Subject<'_>,
    count: usize,
    clock: &dyn Fn() -> Seconds,
) -> Result<Frames, RenderError> {
    let count = count.max(1);
    let code = vec![CODE; engine.code_len()];
    let mut out =
        RgbImage::filled(engine.width(), engine.height(), [0; 3]).expect("an engine has a picture's size");
    let mut sum = Frames {
        frames: count,
        head: Seconds::default(),
        torso: Seconds::default(),
        stats: FrameStats::default(),
    };
    for (round, frame) in [0].into_iter().chain(0..count).enumerate() {
        let pose = &subject.poses[frame * subject.poses.len() / count];
        let before = clock();
        let backdrop = engine.backdrop(pose, subject.background)?;
        let between = clock();
        let intrinsics = subject.intrinsics;
        let request = FrameRequest { pose, intrinsics, code: &code, eye: EYE, backdrop: &backdrop };
        let stats = engine.render(&request, &mut out)?;
        let after = clock();
        if round > 0 {
            sum.torso.add(before, between);
            sum.head.add(between, after);
            sum.stats.merge(&stats);
        }
    }
    Ok(sum)
}

impl Seconds {
    fn add(&mut self, from: Self, to: Self) {
        self.wall += to.wall - from.wall;
        self.cpu += to.cpu - from.cpu;
    }
}

/// Times each stage by itself on the samples of the first pose, on the calling thread; `None` when there are none.
///
/// * `seconds`: how long each stage is repeated, at least.
pub fn stages(
    engine: &Engine,
    subject: &Subject<'_>,
    seconds: f64,
    clock: &dyn Fn() -> Seconds,
) -> Option<StageTimes> {
    let pose = subject.poses.first()?;
    let (points, directions) = samples(engine, subject);
    let packets: Vec<&[[f32; 3]]> = points.chunks_exact(Stages::SAMPLES).collect();
    let mut stages = Stages::new(
        engine,
        &vec![CODE; engine.code_len()],
        EYE,
        packets.first()?,
        &directions[..Stages::SAMPLES],
    );
    let samples = to_f64(points.len());
    let march = repeat(seconds, clock, || {
        for (x, y) in tiles(engine) {
            std::hint::black_box(stages.march(pose, subject.intrinsics, x, y));
        }
    });
    let encode = repeat(seconds, clock, || {
        for packet in &packets {
            stages.encode(packet);
        }
    });
    let evaluate = repeat(seconds, clock, || {
        for _ in 0..256 {
            std::hint::black_box(stages.evaluate());
        }
    });
    Some(StageTimes {
        march: march / samples,
        encode: encode / samples,
        evaluate: evaluate / to_f64(256 * Stages::SAMPLES),
    })
}

/// Positions and directions of all samples of the first pose, in the order of the engine's tiles, so that caches see what
/// they see there.
pub(super) fn samples(engine: &Engine, subject: &Subject<'_>) -> (Vec<[f32; 3]>, Vec<[f32; 3]>) {
    let (mut points, mut directions) = (Vec::new(), Vec::new());
    let Some(pose) = subject.poses.first() else { return (points, directions) };
    let rays = probe::rays(engine, pose, subject.intrinsics);
    let origin = pose.origin();
    let width = engine.width() as usize;
    for (x, y) in tiles(engine) {
        let pixels =
            (0..Stages::TILE * Stages::TILE).map(|i| (y + i / Stages::TILE) * width + x + i % Stages::TILE);
        for (direction, distances) in pixels.map(|pixel| &rays[pixel]) {
            for t in distances {
                points.push([0, 1, 2].map(|axis| origin[axis] + t * direction[axis]));
                directions.push(*direction);
            }
        }
    }
    (points, directions)
}

/// Measures what the engine's instruction set could do at best, on the calling thread.
///
/// * `seconds`: how long each loop is repeated, at least.
pub fn peak(engine: &Engine, seconds: f64, clock: &dyn Fn() -> Seconds) -> Peak {
    const ROUNDS: usize = 1 << 18;
    let rate = |operations: &dyn Fn() -> u64| {
        let mut done = 0;
        let time = repeat(seconds, clock, || done = std::hint::black_box(operations()));
        to_f64(usize::try_from(done).unwrap_or(usize::MAX)) / time.max(1e-9)
    };
    Peak { f32: rate(&|| probe::peak_f32(engine, ROUNDS)), i16: rate(&|| probe::peak_i16(engine, ROUNDS)) }
}

/// Corners of the whole tiles of the picture.
pub(super) fn tiles(engine: &Engine) -> impl Iterator<Item = (usize, usize)> + use<> {
    let (width, height) = (engine.width() as usize, engine.height() as usize);
    let last = Stages::TILE - 1;
    (0..height.saturating_sub(last))
        .step_by(Stages::TILE)
        .flat_map(move |y| (0..width.saturating_sub(last)).step_by(Stages::TILE).map(move |x| (x, y)))
}

/// Seconds of processor time for one call of `f`, from three calls and `seconds` of it at least.
pub fn repeat(seconds: f64, clock: &dyn Fn() -> Seconds, mut f: impl FnMut()) -> f64 {
    f();
    let start = clock();
    let mut rounds = 0;
    loop {
        f();
        rounds += 1;
        let mut passed = Seconds::default();
        passed.add(start, clock());
        // Processor time is told in steps of a hundredth of a second.
        if rounds >= 3 && passed.cpu >= seconds {
            return passed.cpu / to_f64(rounds);
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn to_f64(count: usize) -> f64 {
    count as f64
}
