//! `/metrics`: how the server is, in the Prometheus text format.

use std::collections::VecDeque;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::json::StateName;
use crate::jobs::State as JobState;

/// What is counted while the server runs.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    frames: AtomicU64,
    segments: Histogram,
    speed: Speed,
    /// Requests for a segment that is not made yet.
    pub(super) held: Gauge,
    /// Event streams.
    pub(super) streams: Gauge,
}

impl Metrics {
    /// One more frame.
    pub(super) fn frame(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
        self.speed.frame(Instant::now());
    }

    /// One more segment, made in this time.
    pub(super) fn segment(&self, took: Duration) {
        self.segments.observe(took);
    }
}

/// How many of something there are now.
#[derive(Debug, Default, Clone)]
pub(super) struct Gauge(Arc<AtomicU64>);

impl Gauge {
    /// One more, until the guard is dropped.
    pub(super) fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(Arc::clone(&self.0))
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See [`Gauge::enter`].
#[derive(Debug)]
pub(super) struct Entered(Arc<AtomicU64>);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How long something took, in classes.
#[derive(Debug, Default)]
struct Histogram {
    /// Not cumulative; the last is for what is longer than every bound.
    counts: [AtomicU64; BOUNDS_MILLIS.len() + 1],
    sum_micros: AtomicU64,
}

/// From a short segment on a fast machine to a long one on a slow one.
const BOUNDS_MILLIS: [u64; 10] = [50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

impl Histogram {
    fn observe(&self, took: Duration) {
        let class = BOUNDS_MILLIS.iter().take_while(|bound| took.as_millis() > u128::from(**bound)).count();
        self.counts[class].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.sum_micros.fetch_add(micros, Ordering::Relaxed);
    }
}

/// Frames of the last seconds.
#[derive(Debug, Default)]
struct Speed(Mutex<VecDeque<(Instant, u32)>>);

impl Speed {
    const WINDOW: Duration = Duration::from_secs(10);
    /// Frames that are nearer than this are counted together, which bounds the memory.
    const GRAIN: Duration = Duration::from_millis(250);

    fn frame(&self, now: Instant) {
        let mut grains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match grains.back_mut() {
            Some((start, frames)) if now.duration_since(*start) < Self::GRAIN => *frames += 1,
            _ => grains.push_back((now, 1)),
        }
        while grains.front().is_some_and(|(start, _)| now.duration_since(*start) > Self::WINDOW) {
            grains.pop_front();
        }
    }

    /// Frames per second over the window that ends now.
    fn fps(&self, now: Instant) -> f64 {
        let grains = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = grains.iter().filter(|(start, _)| now.duration_since(*start) <= Self::WINDOW);
        let frames: u32 = recent.map(|(_, frames)| frames).sum();
        f64::from(frames) / Self::WINDOW.as_secs_f64()
    }
}

/// Prometheus text exposition format, version 0.0.4.
pub(super) async fn metrics(State(state): State<AppState>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    (headers, text(&state)).into_response()
}

fn text(state: &AppState) -> String {
    let metrics = state.metrics();
    let mut out = Page(String::new());
    out.family("headcast_build_info", "gauge", "Version of the program.");
    out.sample("headcast_build_info", &format!("{{version=\"{}\"}}", env!("CARGO_PKG_VERSION")), 1);

    out.single(
        "headcast_frames_rendered_total",
        "counter",
        "Frames rendered since the start.",
        metrics.frames.load(Ordering::Relaxed),
    );
    let fps = format!("{:.2}", metrics.speed.fps(Instant::now()));
    out.single("headcast_frames_per_second", "gauge", "Frames per second over the last 10 s.", fps);
    out.segments(&metrics.segments);

    let states: Vec<_> = state.jobs().list().iter().map(|job| job.state()).collect();
    let count = |wanted: &dyn Fn(JobState) -> bool| states.iter().filter(|state| wanted(**state)).count();
    out.family("headcast_jobs", "gauge", "Jobs that are known, by state.");
    for name in StateName::ALL {
        let labels = format!("{{state=\"{}\"}}", name.word());
        out.sample("headcast_jobs", &labels, count(&|state| StateName::from(state) == name));
    }
    out.single(
        "headcast_queue_length",
        "gauge",
        "Jobs that wait for their turn.",
        count(&|state| state == JobState::Queued),
    );
    out.single(
        "headcast_held_requests",
        "gauge",
        "Requests for a segment that is not made yet.",
        metrics.held.value(),
    );
    out.single("headcast_event_streams", "gauge", "Open event streams.", metrics.streams.value());
    if let Some(bytes) = crate::process::resident_bytes() {
        out.single("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", bytes);
    }
    out.0
}

struct Page(String);

// Writing to a String cannot fail.
impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &str, value: impl std::fmt::Display) {
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, "", value);
    }

    fn segments(&mut self, histogram: &Histogram) {
        let name = "headcast_segment_seconds";
        self.family(name, "histogram", "Time to render and encode a segment.");
        let mut total = 0;
        for (index, count) in histogram.counts.iter().enumerate() {
            total += count.load(Ordering::Relaxed);
            let bound = match BOUNDS_MILLIS.get(index) {
                Some(millis) => seconds(Duration::from_millis(*millis)),
                None => "+Inf".to_owned(),
            };
            self.sample("headcast_segment_seconds_bucket", &format!("{{le=\"{bound}\"}}"), total);
        }
        let sum = Duration::from_micros(histogram.sum_micros.load(Ordering::Relaxed));
        self.sample("headcast_segment_seconds_sum", "", seconds(sum));
        self.sample("headcast_segment_seconds_count", "", total);
    }
}

fn seconds(duration: Duration) -> String {
    duration.as_secs_f64().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_long_is_in_no_class_of_what_took_short() {
        let histogram = Histogram::default();
        for millis in [0, 50, 51, 99_000] {
            histogram.observe(Duration::from_millis(millis));
        }
        let mut page = Page(String::new());
        page.segments(&histogram);
        for line in [
            "_bucket{le=\"0.05\"} 2\n",
            "_bucket{le=\"0.1\"} 3\n",
            "_bucket{le=\"60\"} 3\n",
            "_bucket{le=\"+Inf\"} 4\n",
            "_sum 99.101\n",
            "_count 4\n",
        ] {
            assert!(page.0.contains(line), "{line} is not in\n{}", page.0);
        }
    }

    #[test]
    fn speed_is_of_the_last_seconds() {
        let speed = Speed::default();
        let start = Instant::now();
        for frame in 0..1000 {
            speed.frame(start + Duration::from_millis(20 * frame));
        }
        let end = start + Duration::from_secs(20);
        assert!((speed.fps(end) - 50.0).abs() < 2.0, "{}", speed.fps(end));
        assert_eq!(speed.fps(end + Duration::from_secs(11)), 0.0);
        assert!(speed.0.lock().unwrap().len() <= 42);
    }

    #[test]
    fn a_gauge_goes_back() {
        let gauge = Gauge::default();
        let entered = gauge.enter();
        assert_eq!(gauge.value(), 1);
        drop(entered);
        assert_eq!(gauge.value(), 0);
    }
}
