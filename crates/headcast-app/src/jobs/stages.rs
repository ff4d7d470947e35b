//! Where the time of a job goes.

use std::time::{Duration, Instant};

use super::studio::Phase;

/// What a job spends its time with, in the order in which it comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Others come first, or its frames come from outside and nobody brings them.
    Waiting,
    /// The avatar and its renderer are made ready.
    Preparing,
    /// A voice speaks the text; the audio becomes samples, and those what the avatar hears.
    Hearing,
    /// Frames are rendered, and all but the last ones of a segment encoded meanwhile.
    Rendering,
    /// The last frames of a segment are encoded, and it is put together.
    Encoding,
    /// A segment goes to the disk, and to those who wait for it.
    Publishing,
}

impl Stage {
    /// `None` when the job is over.
    pub(super) fn of(phase: Phase) -> Option<Self> {
        match phase {
            Phase::Queued | Phase::Awaiting => Some(Self::Waiting),
            Phase::Preparing => Some(Self::Preparing),
            Phase::Speaking | Phase::Decoding | Phase::Listening => Some(Self::Hearing),
            Phase::Rendering => Some(Self::Rendering),
            Phase::Over => None,
        }
    }
}

/// Time that a job spent with each stage, in this run of the server. Together it is all the time since the job was made, or
/// taken up again after a restart, until it was over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Stages {
    /// Until its turn came: other jobs come first, also between two segments.
    pub waiting: Duration,
    /// The avatar and its renderer.
    pub preparing: Duration,
    /// Speaking the text, where there is one, decoding and hearing the speech.
    pub hearing: Duration,
    /// Rendering. Frames are encoded meanwhile.
    pub rendering: Duration,
    /// What is left to encode when the last frame of a segment is rendered.
    pub encoding: Duration,
    /// Writing segments.
    pub publishing: Duration,
}

impl Stages {
    pub(super) const NONE: Self = Self {
        waiting: Duration::ZERO,
        preparing: Duration::ZERO,
        hearing: Duration::ZERO,
        rendering: Duration::ZERO,
        encoding: Duration::ZERO,
        publishing: Duration::ZERO,
    };

    fn add(&mut self, stage: Stage, spent: Duration) {
        *match stage {
            Stage::Waiting => &mut self.waiting,
            Stage::Preparing => &mut self.preparing,
            Stage::Hearing => &mut self.hearing,
            Stage::Rendering => &mut self.rendering,
            Stage::Encoding => &mut self.encoding,
            Stage::Publishing => &mut self.publishing,
        } += spent;
    }
}

/// Measures [`Stages`]: two readings of a clock for each change of the stage.
#[derive(Debug, Default)]
pub(super) struct Stopwatch {
    spent: Stages,
    /// What goes on now, and since when.
    running: Option<(Stage, Instant)>,
}

impl Stopwatch {
    /// From `now` on it is `stage`, or nothing.
    pub(super) fn enter(&mut self, stage: Option<Stage>, now: Instant) {
        self.spent = self.read(now);
        self.running = stage.map(|stage| (stage, now));
    }

    /// With what goes on now.
    pub(super) fn read(&self, now: Instant) -> Stages {
        let mut spent = self.spent;
        if let Some((stage, since)) = self.running {
            spent.add(stage, now.saturating_duration_since(since));
        }
        spent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_moment_is_counted_once() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut watch = Stopwatch::default();
        assert_eq!(watch.read(at(50)), Stages::NONE);
        watch.enter(Some(Stage::Waiting), at(0));
        watch.enter(Some(Stage::Hearing), at(100));
        for segment in 0..3 {
            watch.enter(Some(Stage::Rendering), at(200 + 100 * segment));
            watch.enter(Some(Stage::Encoding), at(270 + 100 * segment));
            watch.enter(Some(Stage::Publishing), at(290 + 100 * segment));
        }
        let spent = watch.read(at(505));
        assert_eq!(watch.read(at(505)), spent, "reading changes nothing");
        watch.enter(None, at(505));
        assert_eq!(watch.read(at(900)), spent, "what is over takes no time");
        let millis = |spent: Stages| {
            let Stages { waiting, preparing, hearing, rendering, encoding, publishing } = spent;
            [waiting, preparing, hearing, rendering, encoding, publishing].map(|spent| spent.as_millis())
        };
        assert_eq!(millis(spent), [100, 0, 100, 210, 60, 35]);
    }
}
