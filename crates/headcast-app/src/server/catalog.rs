//! What there is: avatars, samples, limits.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::AppState;
use super::json;
use super::problem::Problem;

pub(super) async fn health() -> &'static str {
    "ok\n"
}

pub(super) async fn info(State(state): State<AppState>) -> Json<json::Info> {
    Json(json::Info {
        version: env!("CARGO_PKG_VERSION"),
        limits: json::Limits {
            audio_bytes: state.config().max_audio_bytes,
            features_bytes: state.config().max_features_bytes,
            waiting_jobs: state.config().limits.waiting,
        },
        profiles: state.studio().profiles(),
        notes: state.studio().notes(),
    })
}

pub(super) async fn avatars(State(state): State<AppState>) -> Json<Vec<json::Avatar>> {
    Json(state.studio().avatars().into_iter().map(json::Avatar::from).collect())
}

pub(super) async fn thumbnail(
    State(state): State<AppState>,
    Path(name): Path<String>,
) -> Result<Response, Problem> {
    let picture = state.studio().thumbnail(&name).ok_or_else(|| {
        Problem::new(StatusCode::NOT_FOUND, "no_such_avatar", "there is no avatar of this name")
    })?;
    // An avatar may be imported again under the same name, so not for long.
    let headers = [(header::CONTENT_TYPE, picture.content_type), (header::CACHE_CONTROL, "max-age=300")];
    Ok((headers, picture.bytes).into_response())
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
