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
}
