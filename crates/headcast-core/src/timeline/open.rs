//! Segments of a clip whose length nobody knows yet.

use super::plan::{Growth, increases, micros, whole_quanta};
use super::{SegmentPlan, Speed, Timeline, quantum};
use crate::clock::FrameRate;

/// Which frames go into which segment while frames are still coming and nobody knows how many.
///
/// Segments start short and grow as in a [`SegmentPlan`], up to about two seconds: a player of a growing playlist
/// joins some segments behind its end. What is [closed](Self::close) is final, also where it has to be made again; the
/// last segment ends where frames end. A last segment of one picture is none, so the one before it may take that picture
/// in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenPlan {
    frame_rate: FrameRate,
    growth: Growth,
    /// Of the closed segments.
    ends: Vec<u64>,
}

impl OpenPlan {
    /// The plan for frames that come at `speed`.
    pub fn new(frame_rate: FrameRate, speed: Speed) -> Self {
        let quantum = quantum(frame_rate).0;
        let longest = whole_quanta(frame_rate, quantum, LONGEST_SECS);
        Self { frame_rate, growth: Growth::new(quantum, speed, false, longest), ends: Vec::new() }
    }

    /// The plan of a clip whose first segments end at `ends`; `None` unless these increase strictly and none is
    /// longer than [`Self::target_duration`] allows.
    pub fn continuing(frame_rate: FrameRate, speed: Speed, ends: Vec<u64>) -> Option<Self> {
        let mut plan = Self::new(frame_rate, speed);
        let target_micros = plan.target_duration().checked_mul(1_000_000)?;
        plan.ends = ends;
        let fits = (0..plan.ends.len()).all(|k| plan.duration_micros(k) <= target_micros);
        (increases(&plan.ends) && fits).then_some(plan)
    }

    /// Frames per second.
    pub fn frame_rate(&self) -> FrameRate {
        self.frame_rate
    }

    /// One past the last frame of each closed segment.
    pub fn ends(&self) -> &[u64] {
        &self.ends
    }

    /// Frames in the closed segments.
    pub fn frames(&self) -> u64 {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Frames that the next segment should have. One more is allowed, if it is the last of the clip.
    pub fn next_length(&self) -> u64 {
        self.growth.next(&self.ends)
    }

    /// The next segment has `frames` frames.
    ///
    /// # Panics
    /// If that is none, or more than [`Self::next_length`] and one.
    pub fn close(&mut self, frames: u64) {
        assert!((1..=self.next_length() + 1).contains(&frames), "a segment of {frames} frames");
        self.ends.push(self.frames() + frames);
    }

    /// Segments from `index` on are not closed: they were not kept, and nobody has seen them.
    pub fn reopen(&mut self, index: usize) {
        self.ends.truncate(index);
    }

    /// The closed segments as a clip; `None` when there is none.
    pub fn plan(&self) -> Option<SegmentPlan> {
        let timeline = Timeline::from_frames(self.frames(), self.frame_rate)?;
        SegmentPlan::from_ends(timeline, self.ends.clone())
    }

    /// `EXT-X-TARGETDURATION`: the longest segment that there can be, in seconds, rounded up. It never changes
    /// (RFC 8216 §6.2.1).
    pub fn target_duration(&self) -> u64 {
        micros(self.growth.longest() + 1, self.frame_rate).div_ceil(1_000_000)
    }

    /// Length of closed segment `index` in microseconds, as [`SegmentPlan::duration_micros`].
    ///
    /// # Panics
    /// If `index` is not below the number of closed segments.
    pub fn duration_micros(&self, index: usize) -> u64 {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        micros(self.ends[index], self.frame_rate).saturating_sub(micros(start, self.frame_rate))
    }
}

/// Of the longest segment.
const LONGEST_SECS: u64 = 2;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_grow_to_two_seconds_and_no_further() {
        let mut plan = OpenPlan::new(FrameRate::PAL, Speed(3000));
        assert_eq!((plan.plan(), plan.target_duration()), (None, 2));
        for length in [8, 16, 32, 48, 48] {
            assert_eq!(plan.next_length(), length);
            plan.close(length);
        }
        plan.close(49);
        assert_eq!(plan.ends(), [8, 24, 56, 104, 152, 201]);
        let fixed = plan.plan().unwrap();
        assert_eq!(fixed.timeline().frames(), 201);
        assert!(fixed.target_duration() <= plan.target_duration());
        assert_eq!(fixed.duration_micros(5), plan.duration_micros(5));
        assert_eq!(OpenPlan::continuing(FrameRate::PAL, Speed(3000), plan.ends().to_vec()), Some(plan));
        assert_eq!(OpenPlan::continuing(FrameRate::PAL, Speed(3000), vec![8, 70]), None);
        assert_eq!(OpenPlan::continuing(FrameRate::PAL, Speed(3000), vec![8, 8]), None);
    }

    #[test]
    fn slow_frame_rates_have_segments_too() {
        let plan = OpenPlan::new(FrameRate::new(1, 1).unwrap(), Speed(0));
        assert_eq!((plan.next_length(), plan.target_duration()), (4, 5));
    }
}
