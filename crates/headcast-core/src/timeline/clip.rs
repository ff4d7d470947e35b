//! The segments of a clip whose length is known, or not yet.

use std::ops::Range;

use super::{OpenPlan, SegmentPlan, event_playlist, open_playlist};
use crate::clock::FrameRate;

/// Which frames are in which segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClipPlan {
    /// The length is known, and with it every segment.
    Fixed(SegmentPlan),
    /// Frames come until they end, and segments are known as they are closed.
    Open(OpenPlan),
}

impl ClipPlan {
    /// Frames per second.
    pub fn frame_rate(&self) -> FrameRate {
        match self {
            Self::Fixed(plan) => plan.timeline().frame_rate(),
            Self::Open(plan) => plan.frame_rate(),
        }
    }

    /// One past the last frame of each segment that is known.
    pub fn ends(&self) -> &[u64] {
        match self {
            Self::Fixed(plan) => plan.ends(),
            Self::Open(plan) => plan.ends(),
        }
    }

    /// Number of segments that are known.
    pub fn len(&self) -> usize {
        self.ends().len()
    }

    /// Whether no segment is known yet.
    pub fn is_empty(&self) -> bool {
        self.ends().is_empty()
    }

    /// Frames in the segments that are known.
    pub fn frames(&self) -> u64 {
        self.ends().last().copied().unwrap_or(0)
    }

    /// Frames in the first `segments` segments.
    ///
    /// # Panics
    /// If there are fewer.
    pub fn frames_before(&self, segments: usize) -> u64 {
        segments.checked_sub(1).map_or(0, |last| self.ends()[last])
    }

    /// Frames of segment `index`; `None` of one that is not known.
    pub fn frames_of(&self, index: usize) -> Option<Range<u64>> {
        let end = *self.ends().get(index)?;
        Some(self.frames_before(index)..end)
    }

    /// Frames of the whole clip; `None` while nobody knows how many there will be.
    pub fn total_frames(&self) -> Option<u64> {
        match self {
            Self::Fixed(plan) => Some(plan.timeline().frames()),
            Self::Open(_) => None,
        }
    }

    /// Length of the segments that are known, seconds; for text and logs only.
    pub fn secs(&self) -> f64 {
        self.len().checked_sub(1).and_then(|last| self.end_secs(last)).unwrap_or(0.0)
    }

    /// Where segment `index` ends, seconds; `None` of one that is not known. For text and logs only.
    #[expect(clippy::cast_precision_loss, reason = "display value")]
    pub fn end_secs(&self, index: usize) -> Option<f64> {
        Some(*self.ends().get(index)? as f64 / self.frame_rate().as_f64())
    }

    /// Length of segment `index` in microseconds, from which `EXTINF` is written.
    ///
    /// # Panics
    /// If the segment is not known.
    pub fn duration_micros(&self, index: usize) -> u64 {
        match self {
            Self::Fixed(plan) => plan.duration_micros(index),
            Self::Open(plan) => plan.duration_micros(index),
        }
    }

    /// The segments that are known, as a clip; `None` when there are none.
    pub fn known(&self) -> Option<SegmentPlan> {
        match self {
            Self::Fixed(plan) => Some(plan.clone()),
            Self::Open(plan) => plan.plan(),
        }
    }

    /// The growing media playlist of the first `ready` segments, which says where it has `ended`; of a clip of known
    /// length also without being told. `uri` names segment k.
    pub fn growing_playlist(&self, ready: usize, ended: bool, uri: impl Fn(usize) -> String) -> String {
        match self {
            Self::Fixed(plan) => event_playlist(plan, ready, ended, uri),
            Self::Open(plan) => open_playlist(plan, ready, ended, uri),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::timeline::{Speed, Timeline};

    #[test]
    fn both_kinds_tell_of_their_segments_in_the_same_words() {
        let ends = vec![8, 24, 56];
        let fixed = SegmentPlan::from_ends(Timeline::from_frames(56, FrameRate::PAL).unwrap(), ends.clone());
        let open = OpenPlan::continuing(FrameRate::PAL, Speed(3000), ends.clone());
        let (fixed, open) = (ClipPlan::Fixed(fixed.unwrap()), ClipPlan::Open(open.unwrap()));
        for plan in [&fixed, &open] {
            assert_eq!((plan.ends(), plan.frames(), plan.frame_rate()), (&ends[..], 56, FrameRate::PAL));
            assert_eq!((plan.frames_before(0), plan.frames_before(2)), (0, 24));
            assert_eq!((plan.frames_of(1), plan.frames_of(3)), (Some(8..24), None));
            assert_eq!(plan.known(), fixed.known());
            assert_eq!(plan.duration_micros(2), 1_280_000);
        }
        assert_eq!((fixed.total_frames(), open.total_frames()), (Some(56), None));
        let name = |k: usize| k.to_string();
        assert!(fixed.growing_playlist(3, false, name).ends_with("ENDLIST\n"));
        assert!(open.growing_playlist(3, false, name).ends_with("\n2\n"), "more may come");
        assert!(open.growing_playlist(2, true, name).ends_with("\n1\n#EXT-X-ENDLIST\n"));
        let empty = ClipPlan::Open(OpenPlan::new(FrameRate::PAL, Speed(3000)));
        assert_eq!((empty.frames(), empty.known(), empty.frames_before(0)), (0, None, 0));
    }
}
