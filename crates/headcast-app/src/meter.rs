//! How fast frames are made.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Frames per second over the last moments: long enough to be calm, short enough to notice a change.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    /// When each of the last frames was finished.
    finished: VecDeque<Instant>,
}

impl Meter {
    const WINDOW: Duration = Duration::from_secs(8);
    const FRAMES: usize = 256;

    pub(crate) fn frame(&mut self, now: Instant) {
        if self.finished.len() == Self::FRAMES {
            self.finished.pop_front();
        }
        self.finished.push_back(now);
        // Two instants are always left: a renderer slower than the window still has a speed.
        while self.finished.len() > 2 && now.duration_since(self.finished[0]) > Self::WINDOW {
            self.finished.pop_front();
        }
    }

    /// 0 until it is known.
    #[expect(clippy::cast_precision_loss, reason = "at most 256 frames")]
    pub(crate) fn fps(&self) -> f64 {
        let (Some(first), Some(last)) = (self.finished.front(), self.finished.back()) else { return 0.0 };
        let secs = last.duration_since(*first).as_secs_f64();
        if secs > 0.0 { (self.finished.len() - 1) as f64 / secs } else { 0.0 }
    }

    /// Forgets what it knew: the renderer was idle.
    pub(crate) fn pause(&mut self) {
        self.finished.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_last_moments_only() {
        let mut meter = Meter::default();
        assert_eq!(meter.fps(), 0.0);
        let start = Instant::now();
        let mut at = start;
        for _ in 0..100 {
            at += Duration::from_millis(500);
            meter.frame(at);
        }
        assert!((meter.fps() - 2.0).abs() < 1e-6);
        for _ in 0..300 {
            at += Duration::from_millis(10);
            meter.frame(at);
        }
        assert!((meter.fps() - 100.0).abs() < 1.0, "{}", meter.fps());
    }

    /// When the frames of a clip are finished: two at a time, now faster and now slower, with a gap behind each segment of 16.
    fn clip(frames: usize, pair: Duration, slower_from: usize) -> Vec<Duration> {
        let mut at = Duration::ZERO;
        let finished = |frame: usize| {
            if frame.is_multiple_of(2) {
                // 15 % up and down, from pair to pair.
                let share = [100, 115, 85, 107, 93][frame / 2 % 5];
                at += pair * share / 100 * if frame >= slower_from { 2 } else { 1 };
            }
            if frame.is_multiple_of(16) {
                at += pair * 3 / 4;
            }
            at
        };
        (0..frames).map(finished).collect()
    }

    /// Largest error of the time that is left, as a share of it, over the frames `from..to` of a clip.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred frames")]
    fn error(clip: &[Duration], from: usize, to: usize) -> f64 {
        let (start, mut meter, mut worst) = (Instant::now(), Meter::default(), 0.0_f64);
        for (frame, at) in clip[..to].iter().enumerate() {
            meter.frame(start + *at);
            if frame >= from {
                let told = (clip.len() - frame - 1) as f64 / meter.fps();
                let left = (clip[clip.len() - 1] - *at).as_secs_f64();
                worst = worst.max((told - left).abs() / left);
            }
        }
        worst
    }

    #[test]
    fn the_time_left_is_right_within_a_fifth_after_a_tenth() {
        for (frames, pair) in [(150, 800), (300, 200), (1500, 100), (6000, 12)] {
            let clip = clip(frames, Duration::from_millis(pair), usize::MAX);
            // The last twentieth is a moment, of which a gap is much.
            let found = error(&clip, frames / 10, frames * 19 / 20);
            assert!(found < 0.2, "{frames} frames: {found}");
            // Control: before that, nobody could know.
            assert!(error(&clip, 1, frames * 19 / 20) > 0.2, "{frames} frames");
        }
    }

    #[test]
    fn so_it_is_again_soon_after_the_machine_became_slower() {
        let clip = clip(1500, Duration::from_millis(100), 500);
        let soon = clip.iter().position(|at| *at > clip[500] + Meter::WINDOW).unwrap();
        assert!(error(&clip, soon, 1425) < 0.2);
        assert!(error(&clip, 500, 1425) > 0.4, "it was slower");
    }
}
