//! `captions.vtt`, `captions.srt`: what is said in a video, and when.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::AppState;
use super::jobs::find;
use super::problem::Problem;
use super::query::Asked;
use super::video::{self, disposition, file_stem};
use crate::captions::{self, Cue};

/// How it is wanted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    download: Option<String>,
}

pub(super) async fn vtt(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Asked(wish): Asked<Wish>,
) -> Result<Response, Problem> {
    file(state, &id, &wish, "vtt", "text/vtt; charset=utf-8", captions::webvtt).await
}

pub(super) async fn srt(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Asked(wish): Asked<Wish>,
) -> Result<Response, Problem> {
    file(state, &id, &wish, "srt", "application/x-subrip; charset=utf-8", captions::srt).await
}

async fn file(
    state: AppState,
    id: &str,
    wish: &Wish,
    ending: &str,
    kind: &'static str,
    write: fn(&[Cue]) -> String,
) -> Result<Response, Problem> {
    let job = find(&state, id)?;
    // Goes with the thread and not with who asked.
    let turn = job.captioning().lock_owned().await;
    // Reads a file, and the first time of a recording all of it.
    let cues = tokio::task::spawn_blocking({
        let (state, job) = (state.clone(), Arc::clone(&job));
        move || {
            let _turn = turn;
            state.jobs().captions(&job)
        }
    });
    let unreadable = |error: headcast::audio::AudioError| {
        Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "audio_unusable", error.to_string())
    };
    let cues = cues.await.map_err(Problem::internal)?.map_err(unreadable)?.ok_or_else(|| {
        let detail = "nobody knows what is said in this video, or not yet; send `text` with the recording, or make it of a \
                      text";
        Problem::new(StatusCode::NOT_FOUND, "no_captions", detail)
    })?;
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    let cache = if wish.download.is_some() { video::NAMED } else { "private, max-age=3600" };
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if wish.download.is_some() {
        let attachment = disposition(&format!("{}.{ending}", file_stem(&job)));
        headers.insert(header::CONTENT_DISPOSITION, attachment.try_into().map_err(Problem::internal)?);
    }
    Ok((headers, write(&cues)).into_response())
}
