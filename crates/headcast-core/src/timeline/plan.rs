//! Which frames go into which segment.

use std::ops::Range;

use super::Timeline;
use crate::clock::FrameRate;

/// Rendering speed over real time, in thousandths: 2000 renders two seconds of video per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Speed(pub u32);

impl Speed {
    /// `frames_per_sec` against the frame rate of the clip; anything that is not positive is 0.
    pub fn from_fps(frames_per_sec: f64, frame_rate: FrameRate) -> Self {
        let milli = (frames_per_sec / frame_rate.as_f64() * 1000.0).clamp(0.0, 1e9);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped above; NaN becomes 0"
        )]
        Self(milli as u32)
    }
}

/// The frames of every segment, fixed before the first one is rendered.
///
/// Segments start short, so that the first picture comes at once, and grow no faster than the renderer can
/// keep ahead of the player. With `r` the rendering speed, `L(k)` the length and `e(k)` the end of segment
/// k, playback never stalls if `L(k+1) ≤ L(0) + (r - 1) · e(k)`: the player needs segment k+1 when it has
/// played `e(k)`, at which time the renderer has had `L(0) / r + e(k)` to make `e(k+1)`. Below r = 1 no
/// plan avoids a stall and every segment keeps the length of the first.
///
/// Every segment is a multiple of the [quantum](Timeline::quantum) but the last, none is a single picture
/// unless the whole clip is, and lengths at most double from one segment to the next, which forgives a
/// speed that was measured too high.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentPlan {
    timeline: Timeline,
    /// `ends[k]` is one past the last frame of segment k; strictly increasing, the last is the frame count.
    ends: Vec<u64>,
}

impl SegmentPlan {
    /// The plan for a renderer of `speed`.
    pub fn new(timeline: Timeline, speed: Speed) -> Self {
        Self::continued(timeline, speed, Vec::new())
    }

    /// The plan for a renderer of `speed` whose first segments end at `ends`, because they are made.
    ///
    /// `None` unless they increase strictly and leave no frame, or more than one, for the rest.
    pub fn continuing(timeline: Timeline, speed: Speed, ends: Vec<u64>) -> Option<Self> {
        let last = ends.last().copied().unwrap_or(0);
        let left = timeline.frames().checked_sub(last)?;
        let fits = increases(&ends) && (left != 1 || ends.is_empty());
        fits.then(|| Self::continued(timeline, speed, ends))
    }

    fn continued(timeline: Timeline, speed: Speed, mut ends: Vec<u64>) -> Self {
        let frames = timeline.frames();
        let quantum = timeline.quantum();
        // One frame would be left over, and the segment that swallows it must not be longer than the growth rule
        // allows.
        let one_over = frames % quantum == 1;
        let growth = Growth::new(quantum, speed, one_over, whole_quanta(timeline.frame_rate(), quantum, 5));
        let mut end = ends.last().copied().unwrap_or(0);
        while end < frames {
            let left = frames - end;
            let mut length = growth.next(&ends);
            if left <= length || (left == length + 1 && length == quantum) {
                length = left;
            } else if left == length + 1 {
                length -= quantum;
            }
            end += length;
            ends.push(end);
        }
        Self { timeline, ends }
    }

    /// The plan whose segments end at these frames, as [`Self::ends`] gave them.
    ///
    /// `None` unless they increase strictly and the last is the clip's frame count.
    pub fn from_ends(timeline: Timeline, ends: Vec<u64>) -> Option<Self> {
        (increases(&ends) && ends.last() == Some(&timeline.frames())).then_some(Self { timeline, ends })
    }

    /// The clip's timeline.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// One past the last frame of each segment.
    pub fn ends(&self) -> &[u64] {
        &self.ends
    }

    /// Number of segments, at least 1.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Never: a clip has at least one frame.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Frames of segment `index`; `None` past the last.
    pub fn frames(&self, index: usize) -> Option<Range<u64>> {
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(start..end)
    }

    /// The segment that holds `frame`; `None` past the end of the clip.
    pub fn segment_of(&self, frame: u64) -> Option<usize> {
        let index = self.ends.partition_point(|&end| end <= frame);
        (index < self.ends.len()).then_some(index)
    }

    /// Length of segment `index` in microseconds, from which `EXTINF` is written.
    ///
    /// Each boundary is rounded once, so the lengths add up to the rounded length of the clip.
    ///
    /// # Panics
    /// If `index` is not below [`Self::len`].
    pub fn duration_micros(&self, index: usize) -> u64 {
        let frames = self.frames(index).expect("the caller asks for a planned segment");
        let rate = self.timeline.frame_rate();
        micros(frames.end, rate) - micros(frames.start, rate)
    }

    /// `EXT-X-TARGETDURATION`: the longest `EXTINF` in seconds, rounded up (RFC 8216 §4.3.3.1).
    pub fn target_duration(&self) -> u64 {
        let longest = (0..self.len()).map(|k| self.duration_micros(k)).max().unwrap_or(0);
        longest.div_ceil(1_000_000)
    }
}

/// The start of `frame` in microseconds, rounded.
pub(super) fn micros(frame: u64, rate: FrameRate) -> u64 {
    let num = u128::from(frame) * u128::from(rate.den()) * 1_000_000;
    let den = u128::from(rate.num());
    u64::try_from((num + den / 2) / den).unwrap_or(u64::MAX)
}

/// Whether `ends` are the ends of segments that each have a frame.
pub(super) fn increases(ends: &[u64]) -> bool {
    ends.first().is_none_or(|&e| e > 0) && ends.windows(2).all(|w| w[0] < w[1])
}

/// The whole quanta in `secs` seconds, at least one: the longest segment, in frames.
pub(super) fn whole_quanta(rate: FrameRate, quantum: u64, secs: u64) -> u64 {
    let frames = secs * u64::from(rate.num()) / u64::from(rate.den());
    (frames / quantum).max(1) * quantum
}

/// How long the next segment may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    quantum: u64,
    speed: Speed,
    first: u64,
    longest: u64,
}

impl Growth {
    /// * `two`: start with two quanta even if `speed` does not ask for it.
    pub(super) fn new(quantum: u64, speed: Speed, two: bool, longest: u64) -> Self {
        let first = if speed.0 < 1000 || two { 2 * quantum } else { quantum };
        Self { quantum, speed, first, longest: longest.max(first) }
    }

    /// Frames of the segment that follows those that end at `ends`: whole quanta.
    pub(super) fn next(&self, ends: &[u64]) -> u64 {
        let Some(&end) = ends.last() else { return self.first };
        let start = ends.len().checked_sub(2).map_or(0, |before| ends[before]);
        let length = allowed(self.first, self.speed, end).min(2 * (end - start)).min(self.longest);
        (length - length % self.quantum).max(self.quantum)
    }

    pub(super) fn longest(&self) -> u64 {
        self.longest
    }
}

/// `L(0) + (r - 1) · e`, in whole frames.
fn allowed(first: u64, speed: Speed, end: u64) -> u64 {
    let ahead = u128::from(speed.0.saturating_sub(1000)) * u128::from(end) / 1000;
    first.saturating_add(u64::try_from(ahead).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{FrameIndex, SampleRate, Timescale};

    fn plan(frames: u64, speed: u32) -> SegmentPlan {
        SegmentPlan::new(Timeline::from_frames(frames, FrameRate::PAL).unwrap(), Speed(speed))
    }

    fn lengths(plan: &SegmentPlan) -> Vec<u64> {
        (0..plan.len()).map(|k| plan.frames(k).unwrap()).map(|f| f.end - f.start).collect()
    }

    #[test]
    fn a_fast_renderer_doubles_to_five_seconds() {
        assert_eq!(lengths(&plan(750, 3000)), [8, 16, 32, 64, 120, 120, 120, 120, 120, 30]);
    }

    #[test]
    fn a_slow_renderer_keeps_two_quanta() {
        assert_eq!(lengths(&plan(50, 200)), [16, 16, 16, 2]);
    }

    #[test]
    fn no_segment_is_a_single_picture() {
        assert_eq!(lengths(&plan(1, 3000)), [1]);
        assert_eq!(lengths(&plan(9, 3000)), [9]);
        assert_eq!(lengths(&plan(17, 1000)), [8, 9]);
        assert_eq!(lengths(&plan(17, 500)), [8, 9]);
        assert_eq!(lengths(&plan(25, 1000)), [16, 9]);
    }

    #[test]
    fn segment_of_is_the_inverse_of_frames() {
        let plan = plan(750, 1500);
        for k in 0..plan.len() {
            for frame in plan.frames(k).unwrap() {
                assert_eq!(plan.segment_of(frame), Some(k));
            }
        }
        assert_eq!(plan.segment_of(750), None);
    }

    #[test]
    fn a_plan_goes_on_where_another_stopped() {
        for (frames, speed) in [(750, 3000), (750, 1200), (250, 500), (25, 1000)] {
            let whole = plan(frames, speed);
            let timeline = *whole.timeline();
            for made in 0..=whole.len() {
                let ends = whole.ends()[..made].to_vec();
                assert_eq!(SegmentPlan::continuing(timeline, Speed(speed), ends), Some(whole.clone()));
            }
        }
        let timeline = Timeline::from_frames(50, FrameRate::PAL).unwrap();
        let ends = SegmentPlan::continuing(timeline, Speed(3000), vec![11, 20]).unwrap();
        assert_eq!(ends.ends(), [11, 20, 36, 50]);
        for wrong in [vec![49], vec![51], vec![8, 8], vec![0, 8]] {
            assert_eq!(SegmentPlan::continuing(timeline, Speed(3000), wrong), None);
        }
    }

    fn frame_rates() -> impl Strategy<Value = FrameRate> {
        prop_oneof![
            4 => Just((25, 1)),
            4 => prop::sample::select(vec![(24, 1), (30, 1), (50, 1), (60, 1), (30_000, 1001), (24_000, 1001)]),
            1 => (1u32..=240, 1u32..=4),
        ]
        .prop_filter_map("a frame rate of at least one frame in two seconds", |(n, d)| {
            (2 * n >= d).then(|| FrameRate::new(n, d)).flatten()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, rng_seed: proptest::test_runner::RngSeed::Fixed(7), ..Default::default() })]

        /// From one sample to 24 hours, at any rate and any speed.
        #[test]
        fn every_plan_keeps_its_promises(
            seconds in prop_oneof![0f64..20.0, 0f64..86_400.0],
            hz in prop::sample::select(vec![8000u32, 16_000, 44_100, 48_000, 192_000]),
            rate in frame_rates(),
            speed in prop_oneof![0u32..1000, 1000u32..3000, 3000u32..100_000],
        ) {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below 2^35")]
            let samples = ((seconds * f64::from(hz)) as u64).max(1);
            let timeline = Timeline::new(samples, SampleRate::new(hz).unwrap(), rate).unwrap();
            let plan = SegmentPlan::new(timeline, Speed(speed));
            let lengths = lengths(&plan);
            let quantum = timeline.quantum();

            // Frames cover the samples, and one less would not.
            let n = timeline.frames();
            prop_assert!(rate.first_sample(FrameIndex(n), SampleRate::new(hz).unwrap()) >= samples);
            prop_assert!(rate.frames_covering(samples, SampleRate::new(hz).unwrap()) == n);

            // Whole quanta but the last, which is no single picture.
            prop_assert_eq!(lengths.iter().sum::<u64>(), n);
            prop_assert!(lengths[..lengths.len() - 1].iter().all(|l| l % quantum == 0 && *l > 0));
            prop_assert!(n == 1 || *lengths.last().unwrap() > 1);

            // Growth rule.
            for k in 1..lengths.len() {
                let ahead = u128::from(speed.saturating_sub(1000)) * u128::from(plan.ends()[k - 1]);
                prop_assert!(u128::from(lengths[k]) * 1000 <= u128::from(lengths[0]) * 1000 + ahead,
                    "segment {} of {:?}", k, lengths);
            }

            // EXTINF: none above the target, sum exact to the microsecond and to the 90 kHz tick.
            let target = plan.target_duration() * 1_000_000;
            prop_assert!((0..plan.len()).all(|k| plan.duration_micros(k) <= target));
            let sum: u64 = (0..plan.len()).map(|k| plan.duration_micros(k)).sum();
            let exact = u128::from(n) * u128::from(rate.den()) * 1_000_000;
            let num = u128::from(rate.num());
            prop_assert_eq!(u128::from(sum), (exact + num / 2) / num);
            let ticks = rate.pts(FrameIndex(n), Timescale::MPEG).unwrap().ticks;
            let from_text = (i128::from(sum) * 90_000 + 500_000) / 1_000_000;
            prop_assert!((from_text - i128::from(ticks)).abs() <= 1, "{} against {}", from_text, ticks);
            if 1_000_000 % rate.num() == 0 {
                prop_assert_eq!(u128::from(sum) * num, exact); // no rounding at all
            }

            // Audio: units tile the clip and lie within one unit of the picture's cut.
            let mut unit = 0;
            for k in 0..plan.len() {
                let units = timeline.aac_units_of(plan.frames(k).unwrap());
                prop_assert_eq!(units.start, unit);
                unit = units.end;
                let cut = rate.first_sample(FrameIndex(plan.ends()[k]), SampleRate::AAC);
                prop_assert!((units.end * 1024).abs_diff(cut) <= 1024);
                if timeline.quantum_is_exact() && k + 1 < plan.len() {
                    prop_assert_eq!(units.end * 1024, cut);
                }
            }
            prop_assert_eq!(unit, timeline.aac_units());
            prop_assert_eq!(SegmentPlan::from_ends(timeline, plan.ends().to_vec()), Some(plan));
        }
    }
}
