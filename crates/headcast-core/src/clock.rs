//! Integer clocks. A frame or sample index becomes ticks by one multiplication and one division, so no
//! error accumulates however long a session runs.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

/// Ticks per second of a media clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timescale(pub NonZeroU32);

impl Timescale {
    /// The 90 kHz clock of MPEG systems (ISO/IEC 13818-1 §2.4.3.7).
    pub const MPEG: Self = Self(NonZeroU32::new(90_000).expect("90000 is not zero"));

    /// Ticks per second.
    pub fn get(self) -> u32 {
        self.0.get()
    }
}

/// An instant on a media clock. No `+`: two instants do not add, and two clocks do not mix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Timestamp {
    /// Ticks since the session's zero.
    pub ticks: i64,
    /// The clock.
    pub timescale: Timescale,
}

impl Timestamp {
    /// Seconds, for text and logs only.
    #[expect(clippy::cast_precision_loss, reason = "display value")]
    pub fn as_secs_f64(self) -> f64 {
        self.ticks as f64 / f64::from(self.timescale.get())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.ticks, self.timescale.get())
    }
}

/// Position of a video frame in its clip, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrameIndex(pub u64);

impl fmt::Display for FrameIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Audio samples per second and channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleRate(NonZeroU32);

impl SampleRate {
    /// 48 kHz: the rate of every AAC track that headcast writes.
    pub const AAC: Self = Self(NonZeroU32::new(48_000).expect("48000 is not zero"));
    /// 16 kHz: the rate of every speech feature extractor.
    pub const SPEECH: Self = Self(NonZeroU32::new(16_000).expect("16000 is not zero"));

    /// `None` for 0.
    pub fn new(hz: u32) -> Option<Self> {
        NonZeroU32::new(hz).map(Self)
    }

    /// Samples per second and channel.
    pub fn hz(self) -> u32 {
        self.0.get()
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// Frames per second as a ratio, always in lowest terms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameRate {
    num: NonZeroU32,
    den: NonZeroU32,
}

impl FrameRate {
    /// 25 frames per second: what every upstream talking-head model is trained for.
    pub const PAL: Self = Self {
        num: NonZeroU32::new(25).expect("25 is not zero"),
        den: NonZeroU32::new(1).expect("1 is not zero"),
    };

    /// `num / den` frames per second; `None` when either is 0.
    pub fn new(num: u32, den: u32) -> Option<Self> {
        let divisor = gcd(u64::from(num), u64::from(den)).max(1);
        let reduce = |v: u32| NonZeroU32::new(u32::try_from(u64::from(v) / divisor).ok()?);
        Some(Self { num: reduce(num)?, den: reduce(den)? })
    }

    /// Numerator of the reduced ratio.
    pub fn num(self) -> u32 {
        self.num.get()
    }

    /// Denominator of the reduced ratio.
    pub fn den(self) -> u32 {
        self.den.get()
    }

    /// For speed figures and text only.
    pub fn as_f64(self) -> f64 {
        f64::from(self.num.get()) / f64::from(self.den.get())
    }

    /// PTS of frame `index`, rounded down; `None` past `i64::MAX` ticks.
    ///
    /// Computed from the index, never by adding frame durations, so the error stays under one tick
    /// however long the session runs.
    pub fn pts(self, index: FrameIndex, timescale: Timescale) -> Option<Timestamp> {
        // u64 × u32 × u32 fits u128, so only the final narrowing can fail.
        let seconds_num = u128::from(index.0) * u128::from(self.den.get());
        let ticks = seconds_num * u128::from(timescale.get()) / u128::from(self.num.get());
        Some(Timestamp { ticks: i64::try_from(ticks).ok()?, timescale })
    }

    /// `ceil(samples · fps / rate)`: the number of frames that covers `samples` samples.
    ///
    /// Saturates at `u64::MAX`, some ten million years past any clip.
    pub fn frames_covering(self, samples: u64, rate: SampleRate) -> u64 {
        let num = u128::from(samples) * u128::from(self.num.get());
        let den = u128::from(rate.hz()) * u128::from(self.den.get());
        u64::try_from(num.div_ceil(den)).unwrap_or(u64::MAX)
    }

    /// Frames that are shown within `time`, rounded down.
    pub fn frames_within(self, time: Duration) -> u64 {
        let num = time.as_micros() * u128::from(self.num.get());
        u64::try_from(num / (u128::from(self.den.get()) * 1_000_000)).unwrap_or(u64::MAX)
    }

    /// `ceil(frame / fps · rate)`: the first sample at or after the start of `frame`.
    pub fn first_sample(self, frame: FrameIndex, rate: SampleRate) -> u64 {
        let num = u128::from(frame.0) * u128::from(self.den.get()) * u128::from(rate.hz());
        u64::try_from(num.div_ceil(u128::from(self.num.get()))).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for FrameRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.den.get() == 1 { self.num.fmt(f) } else { write!(f, "{}/{}", self.num, self.den) }
    }
}

pub(crate) fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pts_is_exact_at_25_fps_and_rounds_down_at_ntsc() {
        let pts = |fps: FrameRate, i| fps.pts(FrameIndex(i), Timescale::MPEG).unwrap().ticks;
        assert_eq!(pts(FrameRate::PAL, 1), 3600);
        let ntsc = FrameRate::new(30_000, 1001).unwrap();
        assert_eq!(pts(ntsc, 1), 3003);
        assert_eq!(pts(FrameRate::new(24_000, 1001).unwrap(), 1), 3753); // 3753.75
        assert!(FrameRate::PAL.pts(FrameIndex(u64::MAX), Timescale::MPEG).is_none());
    }

    #[test]
    fn frame_count_is_the_ceiling() {
        let frames = |n| FrameRate::PAL.frames_covering(n, SampleRate::SPEECH);
        assert_eq!([frames(0), frames(1), frames(640), frames(641)], [0, 1, 1, 2]);
    }

    #[test]
    fn frame_rates_are_reduced_and_zero_is_refused() {
        assert_eq!(FrameRate::new(50, 2), FrameRate::new(25, 1));
        assert_eq!(FrameRate::new(0, 1), None);
        assert_eq!(FrameRate::new(1, 0), None);
    }
}
