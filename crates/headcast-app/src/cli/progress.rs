//! How far a render is: a bar on a terminal, plain lines in a pipe, nothing when quiet.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use headcast::core::FrameRate;
use indicatif::{ProgressBar, ProgressStyle};

use crate::meter::Meter;

/// Frames per second over the last moments, and what follows from it.
#[derive(Debug)]
pub(super) struct Pace {
    meter: Meter,
    frames: u64,
    /// `None` when nobody knows.
    total: Option<u64>,
    real_time: f64,
}

impl Pace {
    fn new(done: u64, total: Option<u64>, rate: FrameRate) -> Self {
        Self { meter: Meter::default(), frames: done, total, real_time: rate.as_f64() }
    }

    fn frame(&mut self) {
        self.meter.frame(Instant::now());
        self.frames += 1;
    }

    /// `12.3 frames/s, 0.49x real time, 0:12 left`
    fn text(&self) -> String {
        let fps = self.meter.fps();
        let times = fps / self.real_time;
        let pace = match fps > 0.0 && times < 0.01 {
            // Digits would say 0.
            true => crate::amount::pace(fps),
            false => format!("{fps:.1} frames/s, {times:.2}x real time"),
        };
        let Some(total) = self.total else { return pace };
        #[expect(clippy::cast_precision_loss, reason = "display value")]
        let left = total.saturating_sub(self.frames) as f64;
        let left = if fps > 0.0 { clock(Duration::from_secs_f64((left / fps).min(1e6))) } else { "?".into() };
        format!("{pace}, {left} left")
    }

    /// `12/75 frames`
    fn count(&self) -> String {
        match self.total {
            Some(total) => format!("{}/{total} frames", self.frames),
            None => format!("{} frames", self.frames),
        }
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

    /// * `done`: frames that an earlier run made.
    /// * `total`: `None` when nobody knows.
    pub(super) fn start(&mut self, done: u64, total: Option<u64>, rate: FrameRate) {
        let now = Some(Pace::new(done, total, rate));
        match self {
            Self::Quiet => {}
            Self::Lines { pace } => *pace = now,
            Self::Bar { bar, pace } => {
                let (new, template) = match total {
                    Some(total) => (ProgressBar::new(total), "{bar:32} {pos}/{len} frames, {msg}"),
                    None => (ProgressBar::new_spinner(), "{spinner} {pos} frames, {msg}"),
                };
                let style = ProgressStyle::with_template(template);
                *bar = new.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
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
            self.say(&format!("{name}: {}, {}", pace.count(), pace.text()));
        }
    }

    pub(super) fn finish(&self) {
        if let Self::Bar { bar, .. } = self {
            bar.finish_and_clear();
        }
    }
}
