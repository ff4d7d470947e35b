//! `headcast.Avatar` and `headcast.inspect`.

use std::path::PathBuf;

use headcast::nerf::avatar::{self as library, Background, FullBodyRequest, ImportRequest, Smoothing};
use headcast_app::data_dir;
use headcast_app::studio::Avatars;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::error::{Error, avatar as avatar_error};

/// Where avatars and jobs are kept: the folder that is named, or the user's.
pub(crate) fn data_dir(named: Option<PathBuf>) -> PyResult<PathBuf> {
    let named = named.or_else(|| std::env::var_os("HEADCAST_DATA_DIR").map(PathBuf::from));
    data_dir::choose(named).map_err(Error::new_err)
}

/// What a checkpoint, an avatar's folder or a data folder holds.
#[pyfunction]
pub(crate) fn inspect<'py>(py: Python<'py>, path: PathBuf) -> PyResult<Bound<'py, PyDict>> {
    let report = py.detach(|| library::inspect(&path)).map_err(|error| avatar_error(&error))?;
    let facts = PyDict::new(py);
    facts.set_item("path", &report.path)?;
    facts.set_item("bytes", report.bytes)?;
    facts.set_item("family", report.family.to_string())?;
    facts.set_item("tensors", report.tensors)?;
    facts.set_item("parameters", report.parameters)?;
    facts.set_item("features", report.features.map(|kind| kind.describe()))?;
    facts.set_item("attention", report.attention)?;
    facts.set_item("eye", report.eye)?;
    facts.set_item("torso", report.torso)?;
    facts.set_item("problems", &report.problems)?;
    facts.set_item("text", report.to_string())?;
    if let Some(avatar) = &report.avatar {
        facts.set_item("title", &avatar.title)?;
        facts.set_item("size", (avatar.width, avatar.height))?;
        facts.set_item("poses", avatar.poses)?;
        facts.set_item("credits", &avatar.credits)?;
        facts.set_item("licence", &avatar.licence)?;
    }
    Ok(facts)
}

/// Name, title, width, height and credits of every avatar, the built-in one first; and what is wrong with others.
#[pyfunction]
#[expect(clippy::type_complexity, reason = "a tuple is what crosses over; the Python side names its parts")]
pub(crate) fn avatars(
    py: Python<'_>,
    data_dir: Option<PathBuf>,
) -> PyResult<(Vec<(String, String, u32, u32, String)>, Vec<String>)> {
    let avatars = Avatars::new(&self::data_dir(data_dir)?);
    let (entries, problems) = py.detach(|| avatars.list()).map_err(|error| avatar_error(&error))?;
    let entries = entries.into_iter().map(|entry| {
        let info = entry.info;
        (info.name, info.title, info.width, info.height, info.credits)
    });
    Ok((entries.collect(), problems))
}

/// Imports an avatar; returns its folder and notes.
#[pyfunction]
#[pyo3(signature = (
    checkpoint, data, name, *, body, config, title, credits, licence, licence_file, transforms, background, full_body,
    full_body_offset, thumbnail, fix_eye, attention, max_steps, smooth_path, smooth_eyes, smooth_lips, half, overwrite, data_dir
))]
pub(crate) fn import_avatar(
    py: Python<'_>,
    checkpoint: PathBuf,
    data: PathBuf,
    name: String,
    body: Option<PathBuf>,
    config: Option<PathBuf>,
    title: Option<String>,
    credits: Option<String>,
    licence: Option<String>,
    licence_file: Option<PathBuf>,
    transforms: Option<PathBuf>,
    background: Option<&str>,
    full_body: Option<PathBuf>,
    full_body_offset: (u32, u32),
    thumbnail: Option<PathBuf>,
    fix_eye: Option<f32>,
    attention: Option<u8>,
    max_steps: Option<u32>,
    smooth_path: Option<bool>,
    smooth_eyes: Option<bool>,
    smooth_lips: Option<bool>,
    half: bool,
    overwrite: bool,
    data_dir: Option<PathBuf>,
) -> PyResult<(PathBuf, Vec<String>)> {
    let avatars = Avatars::new(&self::data_dir(data_dir)?);
    let smooth = [smooth_path, smooth_eyes, smooth_lips];
    let smoothing = smooth.iter().any(Option::is_some).then(|| {
        let [path, eyes, lips] = smooth.map(Option::unwrap_or_default);
        Smoothing { path, eyes, lips }
    });
    let request = ImportRequest {
        body,
        config,
        title,
        credits,
        licence,
        licence_file,
        transforms,
        background: background.map(Background::from_name),
        full_body: full_body.map(|pictures| {
            let (offset_x, offset_y) = full_body_offset;
            FullBodyRequest { pictures, offset_x, offset_y }
        }),
        thumbnail,
        fix_eye,
        attention,
        max_steps,
        smoothing,
        half,
        overwrite,
        ..ImportRequest::new(checkpoint, data, name)
    };
    let report =
        py.detach(|| library::import(&request, avatars.library())).map_err(|error| avatar_error(&error))?;
    Ok((report.path, report.notes))
}
