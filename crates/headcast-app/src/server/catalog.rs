//! What there is: avatars, samples, limits.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::jobs::find;
use super::json;
use super::problem::Problem;
use super::{AppState, avatar_form, range};
use crate::jobs::{Picture, Script};

pub(super) async fn health() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(state): State<AppState>) -> Result<&'static str, Problem> {
    let not_ready =
        |code, detail: &str| Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail).retry_after(5);
    if *state.closing().borrow() {
        return Err(not_ready("stopping", "the server is being stopped"));
    }
    let uploads = tokio::fs::metadata(state.config().data_dir.join("uploads")).await;
    if !uploads.is_ok_and(|uploads| uploads.is_dir()) {
        let detail =
            "the data folder of the server is not there any more; mount it again, or restart the server";
        return Err(not_ready("data_folder_gone", detail));
    }
    Ok("ready\n")
}

pub(super) async fn info(State(state): State<AppState>) -> Json<json::Info> {
    Json(json::Info {
        version: env!("CARGO_PKG_VERSION"),
        limits: json::Limits {
            audio_bytes: state.config().max_audio_bytes,
            audio_secs: headcast::audio::Limits::default().max_duration.as_secs(),
            features_bytes: state.config().max_features_bytes,
            background_bytes: headcast::nerf::background::MAX_BYTES,
            avatar_bytes: state.config().max_avatar_bytes,
            avatar_frames: avatar_form::MAX_FRAMES,
            text_chars: Script::MAX_CHARS,
            waiting_jobs: state.config().limits.waiting,
        },
        profiles: state.studio().profiles(),
        notes: state.studio().notes(),
        embeddable: state.config().embedders.any(),
    })
}

pub(super) async fn avatars(State(state): State<AppState>) -> Json<Vec<json::Avatar>> {
    Json(state.studio().avatars().into_iter().map(json::Avatar::from).collect())
}

pub(super) async fn thumbnail(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    Ok(picture(state.studio().thumbnail(&name).ok_or_else(Problem::no_such_avatar)?))
}

/// A few seconds of the avatar, whole or in part.
pub(super) async fn preview(
    State(state): State<AppState>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let studio = state.studio().clone();
    // Reads a file.
    let video =
        tokio::task::spawn_blocking(move || studio.preview(&name)).await.map_err(Problem::internal)?;
    let video = video.ok_or_else(|| {
        let detail =
            "there is no avatar of this name, or it has no preview; `headcast avatar preview NAME` makes one";
        Problem::new(StatusCode::NOT_FOUND, "no_preview", detail)
    })?;
    let mut hasher = DefaultHasher::new();
    video.hash(&mut hasher);
    let etag = format!("\"{:016x}\"", hasher.finish());
    let mut answer = HeaderMap::new();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(SHORTLY));
    range::serve(&headers, &etag, video.len() as u64, answer, |range| {
        let at = |position| usize::try_from(position).unwrap_or(usize::MAX);
        Body::from(video.slice(at(range.start)..at(range.end)))
    })
}

/// The first frame; until it is made, the picture of the avatar.
pub(super) async fn poster(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = find(&state, &id)?;
    let poster = tokio::task::spawn_blocking({
        let (state, job) = (state.clone(), Arc::clone(&job));
        move || state.jobs().poster(&job)
    });
    if let Some(bytes) = poster.await.map_err(Problem::internal)? {
        let headers = [(header::CONTENT_TYPE, "image/png"), (header::CACHE_CONTROL, "private, max-age=3600")];
        return Ok((headers, bytes).into_response());
    }
    let thumbnail = state.studio().thumbnail(&job.request().avatar).ok_or_else(|| {
        let detail = "the first frame is not made yet, and the avatar of this job has no picture";
        Problem::new(StatusCode::NOT_FOUND, "no_poster", detail)
    })?;
    let headers = [(header::CONTENT_TYPE, thumbnail.content_type), (header::CACHE_CONTROL, "no-cache")];
    Ok((headers, thumbnail.bytes).into_response())
}

/// An avatar may be imported again under the same name.
const SHORTLY: &str = "private, max-age=300";

fn picture(picture: Picture) -> Response {
    let headers = [(header::CONTENT_TYPE, picture.content_type), (header::CACHE_CONTROL, SHORTLY)];
    (headers, picture.bytes).into_response()
}

pub(super) async fn voices(State(state): State<AppState>) -> Result<Json<Vec<json::Voice>>, Problem> {
    // Programs are asked what they have, the first time.
    let voices = tokio::task::spawn_blocking(move || state.studio().voices()).await;
    Ok(Json(voices.map_err(Problem::internal)?.into_iter().map(json::Voice::from).collect()))
}

pub(super) async fn samples(State(state): State<AppState>) -> Json<Vec<json::Sample>> {
    Json(state.studio().samples().into_iter().map(json::Sample::from).collect())
}

pub(super) async fn sample_audio(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let sample = state.studio().samples().into_iter().find(|sample| sample.id == id).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "no_such_sample", "there is no sample clip of this name")
    })?;
    let content_type = match sample.file_name.rsplit('.').next() {
        Some("wav") => "audio/wav",
        Some("mp3") => "audio/mpeg",
        Some("m4a") => "audio/mp4",
        Some("ogg" | "opus") => "audio/ogg",
        Some("flac") => "audio/flac",
        _ => "application/octet-stream",
    };
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "max-age=3600")];
    Ok((headers, sample.bytes).into_response())
}
