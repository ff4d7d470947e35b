//! The timeline: everything that the sample count of an audio clip fixes before the first frame exists.
//!
//! From samples follow the frame count, the quantum, the [`SegmentPlan`], the playlist text, every PTS and
//! every AAC frame. All of it is integer arithmetic.

mod clip;
mod open;
mod plan;
mod playlist;

pub use clip::ClipPlan;
pub use open::OpenPlan;
pub use plan::{SegmentPlan, Speed};
pub use playlist::{event_playlist, listed_ends, open_playlist, vod_playlist};

use std::ops::Range;

use crate::clock::{FrameIndex, FrameRate, SampleRate, gcd};

/// Samples per channel in one AAC-LC access unit (ISO/IEC 14496-3 §4.5.2.1.1, `frameLengthFlag` 0).
pub const AAC_FRAME_SAMPLES: u64 = 1024;

/// Frames and AAC access units of one clip.
///
/// The clip has `ceil(samples · fps / rate)` frames; its audio is padded with silence to the end of the
/// last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeline {
    frame_rate: FrameRate,
    frames: u64,
}

impl Timeline {
    /// The timeline of `samples` samples per channel at `rate`; `None` when there is no sample.
    pub fn new(samples: u64, rate: SampleRate, frame_rate: FrameRate) -> Option<Self> {
        Self::from_frames(frame_rate.frames_covering(samples, rate), frame_rate)
    }

    /// The timeline of a clip of exactly `frames` frames; `None` when there is none.
    pub fn from_frames(frames: u64, frame_rate: FrameRate) -> Option<Self> {
        (frames > 0).then_some(Self { frame_rate, frames })
    }

    /// Frames per second.
    pub fn frame_rate(&self) -> FrameRate {
        self.frame_rate
    }

    /// Number of frames, at least 1.
    pub fn frames(&self) -> u64 {
        self.frames
    }

    /// Samples per channel, at `rate`, that reach the end of the last frame: what audio is padded to.
    pub fn samples(&self, rate: SampleRate) -> u64 {
        self.frame_rate.first_sample(FrameIndex(self.frames), rate)
    }

    /// Length in seconds, for text and logs only.
    #[expect(clippy::cast_precision_loss, reason = "display value")]
    pub fn secs(&self) -> f64 {
        self.frames as f64 / self.frame_rate.as_f64()
    }

    /// AAC access units that cover the clip: the last one may reach past its end.
    pub fn aac_units(&self) -> u64 {
        self.samples(SampleRate::AAC).div_ceil(AAC_FRAME_SAMPLES)
    }

    /// AAC access units that belong to `frames`, a range that starts and ends on segment boundaries.
    ///
    /// The cut lies at the access unit boundary nearest to the picture's; exactly on it where the boundary
    /// is a multiple of [`Self::quantum`] of a frame rate that has a short one. The end of the clip takes
    /// all units that are left.
    pub fn aac_units_of(&self, frames: Range<u64>) -> Range<u64> {
        let cut = |frame: u64| {
            if frame >= self.frames {
                return self.aac_units();
            }
            // round(frame / fps · 48000 / 1024), halves up
            let num =
                u128::from(frame) * u128::from(self.frame_rate.den()) * u128::from(SampleRate::AAC.hz());
            let den = u128::from(self.frame_rate.num()) * u128::from(AAC_FRAME_SAMPLES);
            u64::try_from((num + den / 2) / den).unwrap_or(u64::MAX)
        };
        cut(frames.start)..cut(frames.end)
    }

    /// Segments are multiples of this many frames (the last one is what is left).
    ///
    /// It is the shortest span of at least a quarter of a second in which video frames and AAC access units
    /// both come out whole: 8 frames = 0.32 s = 15 units at 25 fps. A frame rate whose shortest such span
    /// is above one second (23.976, 24, 29.97) gets about 0.32 s instead, and audio is cut at the nearest
    /// access unit.
    pub fn quantum(&self) -> u64 {
        quantum(self.frame_rate).0
    }

    /// Whether picture and sound are cut at the same instant at every multiple of the quantum.
    pub fn quantum_is_exact(&self) -> bool {
        quantum(self.frame_rate).1
    }
}

fn quantum(frame_rate: FrameRate) -> (u64, bool) {
    let (num, den) = (u64::from(frame_rate.num()), u64::from(frame_rate.den()));
    // q · den / num seconds hold q · den · 48000 / (num · 1024) access units; the smallest whole q:
    let units_den = num * AAC_FRAME_SAMPLES;
    let shortest = units_den / gcd(units_den, den * u64::from(SampleRate::AAC.hz()));
    let quarter_second = num.div_ceil(4 * den).max(2);
    let whole = quarter_second.div_ceil(shortest) * shortest;
    if whole * den <= num {
        (whole, true)
    } else {
        // At least two frames: a segment of one picture puts two IDR pictures side by side.
        // 8 / 25 s, rounded.
        (((num * 8 + den * 12) / (den * 25)).max(2), false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(frames: u64, num: u32, den: u32) -> Timeline {
        Timeline::from_frames(frames, FrameRate::new(num, den).unwrap()).unwrap()
    }

    #[test]
    fn quantum_of_common_frame_rates() {
        let quantum = |num, den| {
            let t = timeline(1, num, den);
            (t.quantum(), t.quantum_is_exact())
        };
        assert_eq!(quantum(25, 1), (8, true));
        assert_eq!(quantum(30, 1), (16, true));
        assert_eq!(quantum(50, 1), (16, true));
        assert_eq!(quantum(60, 1), (32, true));
        assert_eq!(quantum(24, 1), (8, false));
        assert_eq!(quantum(30_000, 1001), (10, false));
        assert_eq!(quantum(1, 1), (2, false));
    }

    #[test]
    fn access_units_tile_the_clip() {
        for (num, den) in [(25, 1), (24, 1), (30_000, 1001), (60, 1)] {
            let t = timeline(727, num, den);
            let q = t.quantum();
            let mut end = 0;
            for start in (0..727).step_by(usize::try_from(q).unwrap()) {
                let units = t.aac_units_of(start..(start + q).min(727));
                assert_eq!(units.start, end);
                end = units.end;
            }
            assert_eq!(end, t.aac_units());
        }
        assert_eq!(timeline(800, 25, 1).aac_units_of(8..24), 15..45);
    }
}
