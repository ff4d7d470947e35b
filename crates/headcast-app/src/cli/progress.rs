//! How far a render is: a bar on a terminal, plain lines in a pipe, nothing when quiet.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use headcast::core::Timeline;
use indicatif::{ProgressBar, ProgressStyle};

use crate::meter::Meter;

/// Frames per second over the last moments, and what follows from it.
#[derive(Debug)]
pub(super) struct Pace {
    meter: Meter,
    frames: u64,
    total: u64,
    real_time: f64,
}

impl Pace {
    pub(super) fn new(timeline: &Timeline) -> Self {
        Self {
            meter: Meter::default(),
            frames: 0,
            total: timeline.frames(),
            real_time: timeline.frame_rate().as_f64(),
        }
    }

    fn frame(&mut self) {
        self.meter.frame(Instant::now());
        self.frames += 1;
    }

    /// `12.3 frames/s, 0.49x real time, 0:12 left`
    fn text(&self) -> String {
        #[expect(clippy::cast_precision_loss, reason = "display value")]
        let left = (self.total - self.frames) as f64;
        let fps = self.meter.fps();
        let left = if fps > 0.0 { clock(Duration::from_secs_f64((left / fps).min(1e6))) } else { "?".into() };
        format!("{fps:.1} frames/s, {:.2}x real time, {left} left", fps / self.real_time)
    }
}

fn clock(time: Duration) -> String {
    let secs = time.as_secs();
    if secs >= 3600 {
        format!("{}:{:02}:{:02}", secs / 3600, secs / 60 % 60, secs % 60)
    } else {
        format!("{}:{:02}", secs / 60, secs % 60)
    }
}

/// What the user sees.
#[derive(Debug)]
pub(super) enum Progress {
    Quiet,
    Lines { pace: Option<Pace> },
    Bar { bar: ProgressBar, pace: Option<Pace> },
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        if quiet {
            Self::Quiet
        } else if std::io::stderr().is_terminal() {
            Self::Bar { bar: ProgressBar::hidden(), pace: None }
        } else {
            Self::Lines { pace: None }
        }
    }

    /// One line that stays.
    #[expect(clippy::print_stderr, reason = "progress belongs to the terminal; results are files")]
    pub(super) fn say(&self, line: &str) {
        match self {
            Self::Quiet => {}
            Self::Lines { .. } => eprintln!("{line}"),
            Self::Bar { bar, .. } if bar.is_hidden() => eprintln!("{line}"),
            Self::Bar { bar, .. } => bar.println(line),
        }
    }

    pub(super) fn start(&mut self, timeline: &Timeline) {
        let now = Some(Pace::new(timeline));
        match self {
            Self::Quiet => {}
            Self::Lines { pace } => *pace = now,
            Self::Bar { bar, pace } => {
                *bar = ProgressBar::new(timeline.frames()).with_style(
                    ProgressStyle::with_template("{bar:32} {pos}/{len} frames, {msg}")
                        .unwrap_or_else(|_| ProgressStyle::default_bar()),
                );
                *pace = now;
            }
        }
    }

    pub(super) fn frame(&mut self) {
        match self {
            Self::Quiet | Self::Lines { pace: None } | Self::Bar { pace: None, .. } => {}
            Self::Lines { pace: Some(pace) } => pace.frame(),
            Self::Bar { bar, pace: Some(pace) } => {
                pace.frame();
                bar.set_position(pace.frames);
                bar.set_message(pace.text());
            }
        }
    }

    pub(super) fn segment(&self, name: &str) {
        if let Self::Lines { pace: Some(pace) } = self {
            self.say(&format!("{name}: {}/{} frames, {}", pace.frames, pace.total, pace.text()));
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}
