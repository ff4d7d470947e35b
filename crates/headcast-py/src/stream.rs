//! `headcast.Stream`: frames in, a playing folder out.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use headcast::audio::Limits;
use headcast::core::FrameRate;
use headcast::core::timeline::Speed;
use headcast::push::{self, End, Format, Length, Output, Pixels, Settings, Viewer};
use headcast::{ClipFolder, Sound};
use headcast_app::studio::spools_beside;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::audio::Audio;
use crate::error::{self, StreamError};
use crate::frame::Frames;

/// How often a wait looks for Ctrl-C.
const PATIENCE: Duration = Duration::from_millis(50);

/// A stream that is open, and what it left when it is not.
#[pyclass(module = "headcast._native", frozen)]
pub(crate) struct Stream {
    pusher: Mutex<Option<Pusher>>,
    viewer: Viewer,
    size: (u32, u32),
    total: Option<u64>,
    playlist_path: PathBuf,
    video_path: PathBuf,
    /// What the user should know about the recording.
    #[pyo3(get)]
    warnings: Vec<String>,
}

/// The writing end.
struct Pusher {
    stream: push::Stream,
    /// A frame of packed RGB; used again and again.
    frame: Vec<u8>,
}

#[pymethods]
impl Stream {
    /// Reads the whole recording, and writes the playlist.
    #[new]
    #[pyo3(signature = (audio, width, height, fps, out, *, expected_fps, video))]
    fn new(
        py: Python<'_>,
        audio: Option<Audio<'_>>,
        width: u32,
        height: u32,
        fps: (u32, u32),
        out: PathBuf,
        expected_fps: Option<f64>,
        video: bool,
    ) -> PyResult<Self> {
        let frame_rate = FrameRate::new(fps.0, fps.1)
            .ok_or_else(|| StreamError::new_err(format!("{}/{} frames per second are none", fps.0, fps.1)))?;
        let mut warnings = Vec::new();
        let length = match &audio {
            None => Length::Open(frame_rate),
            Some(audio) => {
                let sound = listen(py, audio, frame_rate, &out)?;
                warnings.extend(sound.warnings.iter().map(ToString::to_string));
                Length::Sound(sound)
            }
        };
        let mut settings = Settings::new(width, height, length).video(video);
        if let Some(expected) = expected_fps {
            settings = settings.speed(Speed::from_fps(expected, frame_rate));
        }
        let stream = py.detach(|| {
            // Before the folder's last clip goes.
            settings.check()?;
            let folder = ClipFolder::create(&out)?;
            push::Stream::open(settings, Output::Folder(folder))
        });
        let stream = stream.map_err(|error| error::push(&error))?;
        let folder = stream.folder().expect("it was opened on a folder");
        Ok(Self {
            viewer: stream.viewer(),
            size: stream.size(),
            total: stream.total_frames(),
            playlist_path: folder.playlist_path(),
            video_path: folder.video_path(),
            warnings,
            pusher: Mutex::new(Some(Pusher { stream, frame: Vec::new() })),
        })
    }

    /// Takes the frames of a `numpy.ndarray`; waits while enough of them are on their way.
    fn write(&self, py: Python<'_>, array: &Bound<'_, PyAny>) -> PyResult<()> {
        let frames = Frames::new(array, self.size)?;
        let view = frames.view();
        let (width, height) = self.size;
        for index in 0..view.len() {
            // In pieces, so that Ctrl-C is noticed while the encoder is behind, and the frame not taken then.
            while !py.detach(|| -> Result<_, Refused> {
                let mut pusher = self.pusher();
                let Some(Pusher { stream, .. }) = &mut *pusher else { return Err(Refused::Closed) };
                Ok(stream.wait_room(PATIENCE)?)
            })? {
                py.check_signals()?;
            }
            py.detach(|| {
                let mut pusher = self.pusher();
                let Some(Pusher { stream, frame }) = &mut *pusher else { return Err(Refused::Closed) };
                frame.resize(width as usize * height as usize * 3, 0);
                view.copy(index, frame).map_err(Refused::Frame)?;
                let pixels = Pixels::tight(Format::Rgb24, width, height, frame)?;
                Ok(stream.write(&pixels)?)
            })?;
            py.check_signals()?;
        }
        Ok(())
    }

    /// Every frame was written. Returns what the user should know.
    fn finish(&self, py: Python<'_>) -> PyResult<Vec<String>> {
        // Another thread's `write` holds it while it waits for the encoder.
        let Some(Pusher { stream, .. }) = py.detach(|| self.pusher().take()) else { return Ok(Vec::new()) };
        let finished = attentively(py, move || stream.finish())?.map_err(|error| error::push(&error))?;
        Ok(finished.warnings.iter().map(ToString::to_string).collect())
    }

    /// No frame will come: what there is plays. A second call does nothing.
    fn abort(&self, py: Python<'_>, reason: String) -> PyResult<()> {
        let Some(Pusher { stream, .. }) = py.detach(|| self.pusher().take()) else { return Ok(()) };
        attentively(py, move || stream.abort(reason))?.map_err(|error| error::push(&error)).map(drop)
    }

    /// Text of `index.m3u8`, as it is now.
    fn playlist(&self) -> String {
        self.viewer.playlist()
    }

    /// Text of a list of the segments that there are.
    fn live_playlist(&self) -> String {
        self.viewer.event_playlist()
    }

    /// The first bytes of every segment.
    fn segment_head<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.viewer.segment_head())
    }

    /// Segment `index` as soon as it is there; `None` when that is not within `timeout` seconds.
    fn wait_segment<'py>(
        &self,
        py: Python<'py>,
        index: usize,
        timeout: f64,
    ) -> PyResult<Option<Bound<'py, PyBytes>>> {
        let timeout = Duration::try_from_secs_f64(timeout.clamp(0.0, 3600.0)).unwrap_or_default();
        let segment = py.detach(|| self.viewer.wait_segment(index, timeout));
        let segment = segment.map_err(|error| error::push(&error.into()))?;
        Ok(segment.map(|bytes| PyBytes::new(py, &bytes)))
    }

    /// How it ended: `None` while frames are awaited, else `finished`, `aborted` or `failed`.
    #[getter]
    fn end(&self) -> Option<&'static str> {
        Some(match self.viewer.end()? {
            End::Finished => "finished",
            End::Aborted(_) => "aborted",
            _ => "failed",
        })
    }

    /// Frames that are encoded.
    #[getter]
    fn frames(&self) -> u64 {
        self.viewer.frames()
    }

    /// Frames of the clip, where its length is known.
    #[getter]
    fn total_frames(&self) -> Option<u64> {
        self.total
    }

    /// Segments that are made.
    #[getter]
    fn segments(&self) -> usize {
        self.viewer.segments()
    }

    #[getter]
    fn playlist_path(&self) -> PathBuf {
        self.playlist_path.clone()
    }

    #[getter]
    fn video_path(&self) -> PathBuf {
        self.video_path.clone()
    }
}

impl Stream {
    /// A panic in between leaves a stream that says itself that it has ended.
    fn pusher(&self) -> MutexGuard<'_, Option<Pusher>> {
        self.pusher.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stream {
    /// As `abort`: what was written plays. Other threads of Python run while the encoder ends.
    fn drop(&mut self) {
        let mut pusher = self.pusher.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if pusher.is_some() {
            // Not done when Python itself has ended: then there is nobody to let run.
            let _ = Python::try_attach(|py| py.detach(|| drop(pusher.take())));
        }
    }
}

/// Why a frame was not taken.
enum Refused {
    Closed,
    Frame(String),
    Push(push::Error),
}

impl<E: Into<push::Error>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Push(error.into())
    }
}

impl From<Refused> for PyErr {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Closed => StreamError::new_err("the stream is closed; it takes no more frames"),
            Refused::Frame(reason) => error::FrameError::new_err(reason),
            Refused::Push(error) => error::push(&error),
        }
    }
}

/// Reads a recording; Ctrl-C stops that. Of a long one the compressed sound is put aside on the disk of `out`.
fn listen(py: Python<'_>, audio: &Audio<'_>, frame_rate: FrameRate, out: &Path) -> PyResult<Sound> {
    let recording = audio.recording(py)?;
    let name = audio.name();
    let spools = spools_beside(out);
    let mut interrupted = None;
    let sound = py.detach(|| {
        let mut on_progress = |_progress| match Python::attach(|py| py.check_signals()) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                interrupted = Some(error);
                ControlFlow::Break(())
            }
        };
        Sound::open_beside(recording, Some(&name), &Limits::default(), frame_rate, &spools, &mut on_progress)
    });
    match interrupted {
        Some(error) => Err(error),
        None => sound.map_err(|error| error::speech(&error)),
    }
}

/// Runs `work` on another thread, and stops waiting for it on Ctrl-C: it goes on to its end.
fn attentively<T: Send + 'static>(py: Python<'_>, work: impl FnOnce() -> T + Send + 'static) -> PyResult<T> {
    use std::sync::mpsc::{RecvTimeoutError, sync_channel};
    let (done, mut result) = sync_channel(1);
    let thread = std::thread::Builder::new().name("headcast-end".into()).spawn(move || {
        // Nobody waits for it after Ctrl-C.
        let _ = done.send(work());
    })?;
    loop {
        // A receiver is not to be shared, so it moves there and back.
        let received;
        (result, received) = py.detach(move || {
            let received = result.recv_timeout(PATIENCE);
            (result, received)
        });
        match received {
            Ok(value) => return Ok(value),
            Err(RecvTimeoutError::Timeout) => py.check_signals()?,
            Err(RecvTimeoutError::Disconnected) => match thread.join() {
                Err(panic) => std::panic::resume_unwind(panic),
                Ok(()) => unreachable!("it sends before it ends"),
            },
        }
    }
}
