//! `headcast.render`.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use headcast::audio::Cut;
use headcast::core::{RgbImage, Timeline};
use headcast::nerf::{Body, background};
use headcast_app::jobs::{Level, Phase, Reporter};
use headcast_app::render::{Request, Watcher, render as render_clip};
use headcast_app::studio::{Choice, EngineSettings, LocalStudio, Look};
use pyo3::prelude::*;

use crate::audio::Audio;
use crate::avatar::data_dir;
use crate::error::{self, Error};
use crate::frame::Frames;

/// Renders a clip. Returns playlist, video, frames, segments and warnings.
#[pyfunction]
#[pyo3(signature = (avatar, audio, out, *, start, end, features, profile, body, background, frames, threads, data_dir, on_progress))]
pub(crate) fn render(
    py: Python<'_>,
    avatar: String,
    audio: Audio<'_>,
    out: PathBuf,
    start: Option<f64>,
    end: Option<f64>,
    features: Option<PathBuf>,
    profile: &str,
    body: Vec<(String, String)>,
    background: Option<Bound<'_, PyAny>>,
    frames: Option<PathBuf>,
    threads: Option<NonZeroUsize>,
    data_dir: Option<PathBuf>,
    on_progress: Option<Py<PyAny>>,
) -> PyResult<(PathBuf, PathBuf, u64, usize, Vec<String>)> {
    let data_dir = self::data_dir(data_dir)?;
    let profile = Choice::from_name(profile).map_err(Error::new_err)?;
    let engine = EngineSettings::from_env(threads).map_err(Error::new_err)?;
    let mut choices = Body::default();
    for (name, value) in body {
        choices.set(&name, &value).map_err(|error| Error::new_err(error.to_string()))?;
    }
    let look = match background {
        None => choices.into(),
        Some(given) => Look::before(choices, picture(py, &given)?),
    };
    let cut = Cut::from_secs(start, end).map_err(|error| error::AudioError::new_err(error.to_string()))?;
    let recording = audio.recording(py)?;
    let studio = LocalStudio::new(&data_dir, engine).with_spools_beside(&out);
    let name = audio.name();
    // What is said in a recording is not known.
    let captions = Vec::new();
    let request =
        Request { avatar, recording, name, cut, features, profile, look, captions, output: out, frames };
    let mut watch = Watch { on_progress, done: 0, total: 0, warnings: Vec::new(), raised: Mutex::new(None) };
    let rendered = py.detach(|| render_clip(&studio, request, &mut watch));
    if let Some(raised) = watch.raised.into_inner().unwrap_or_else(PoisonError::into_inner) {
        return Err(raised);
    }
    let rendered = rendered.map_err(|error| error::render(&error))?;
    Ok((rendered.playlist, rendered.video, rendered.frames, rendered.segments, watch.warnings))
}

/// A background: a path, or an array of `(height, width, 3)`.
fn picture(py: Python<'_>, given: &Bound<'_, PyAny>) -> PyResult<RgbImage> {
    let refused = |reason: String| Error::new_err(format!("the background cannot be used: {reason}"));
    if let Ok(path) = given.extract::<PathBuf>() {
        return py.detach(|| background::read(&path)).map_err(|error| refused(error.to_string()));
    }
    let shape: Vec<u32> = given.getattr("shape")?.extract()?;
    let [height, width, _] = shape[..] else {
        return Err(refused(format!("an array must have the shape (height, width, 3), not {shape:?}")));
    };
    // Bounded before it is copied.
    let mut image = RgbImage::filled(width, height, [0; 3]).map_err(|error| refused(error.to_string()))?;
    let frames = Frames::new(given, (width, height))?;
    let view = frames.view();
    py.detach(|| view.copy(0, image.data_mut())).map_err(refused)?;
    Ok(image)
}

/// Tells Python of every frame, and stops when that raises or somebody presses Ctrl-C.
struct Watch {
    on_progress: Option<Py<PyAny>>,
    done: u64,
    total: u64,
    warnings: Vec<String>,
    raised: Mutex<Option<PyErr>>,
}

impl Watch {
    fn keep(&self, result: PyResult<()>) {
        if let Err(error) = result {
            // The first one is what went wrong.
            self.raised.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }

    fn tell(&self) {
        if let Some(call) = &self.on_progress {
            self.keep(Python::attach(|py| call.call1(py, (self.done, self.total)).map(drop)));
        }
    }
}

impl Reporter for Watch {
    fn phase(&self, _phase: Phase) {}

    fn log(&self, _level: Level, _message: &str) {}

    fn cancelled(&self) -> bool {
        self.keep(Python::attach(|py| py.check_signals()));
        self.raised.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl Watcher for Watch {
    fn start(&mut self, timeline: &Timeline) {
        self.total = timeline.frames();
        self.tell();
    }

    fn frame(&mut self) {
        self.done += 1;
        self.tell();
    }

    fn segment(&mut self, _index: usize) {}

    fn warning(&mut self, text: &str) {
        self.warnings.push(text.to_owned());
    }
}
