//! What Python sees of errors: the classes of `headcast._errors`, one per kind of remedy.

use headcast::SpeechError;
use headcast::nerf::avatar::AvatarError as AvatarProblem;
use headcast::push;
use headcast_app::jobs::OpenError;
use headcast_app::render::RenderError;
use headcast_app::server::BackgroundError;
use pyo3::prelude::*;

pyo3::import_exception!(headcast._errors, AudioError);
pyo3::import_exception!(headcast._errors, AvatarError);
pyo3::import_exception!(headcast._errors, Error);
pyo3::import_exception!(headcast._errors, FeaturesError);
pyo3::import_exception!(headcast._errors, FrameError);
pyo3::import_exception!(headcast._errors, OutputError);
pyo3::import_exception!(headcast._errors, ServerError);
pyo3::import_exception!(headcast._errors, StreamError);

pub(crate) fn avatar(error: &AvatarProblem) -> PyErr {
    AvatarError::new_err(in_python(&error.to_string()))
}

/// Advice names options of the command line; they are called the same here, as arguments.
fn in_python(text: &str) -> String {
    text.replace("--overwrite", "overwrite=True").replace("--fix-eye 0.25", "fix_eye=0.25")
}

pub(crate) fn speech(error: &SpeechError) -> PyErr {
    match error {
        SpeechError::Audio(_) => AudioError::new_err(error.to_string()),
        _ => Error::new_err(error.to_string()),
    }
}

pub(crate) fn background(error: &BackgroundError) -> PyErr {
    ServerError::new_err(error.to_string())
}

pub(crate) fn push(error: &push::Error) -> PyErr {
    let text = error.to_string();
    match error {
        push::Error::Video(_) | push::Error::Pixels(_) | push::Error::WrongSize { .. } => {
            FrameError::new_err(text)
        }
        push::Error::Folder(_) | push::Error::Store(_) | push::Error::Mismatch { .. } => {
            OutputError::new_err(text)
        }
        _ => StreamError::new_err(text),
    }
}

pub(crate) fn render(error: &RenderError) -> PyErr {
    let text = error.to_string();
    match error {
        RenderError::Avatar(problem) => avatar(problem),
        RenderError::UnknownAvatar { .. } => AvatarError::new_err(text),
        RenderError::Open { source, .. } => open(source, text),
        RenderError::Unreadable { .. } => FeaturesError::new_err(text),
        RenderError::Folder(_) | RenderError::Frames { .. } => OutputError::new_err(text),
        RenderError::Partial { source, .. } => {
            let reason = render(source);
            Python::attach(|py| PyErr::from_type(reason.get_type(py), text))
        }
        _ => Error::new_err(text),
    }
}

fn open(error: &OpenError, text: String) -> PyErr {
    match error.code {
        code if code.starts_with("audio") || code.starts_with("recording") => AudioError::new_err(text),
        code if code.starts_with("features") => FeaturesError::new_err(text),
        "unknown_avatar" | "avatar_unusable" => AvatarError::new_err(text),
        _ => Error::new_err(text),
    }
}
