//! `index.m3u8`, complete from the start where the length is known, and `live.m3u8`, growing.

use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use headcast::core::timeline::{ClipPlan, vod_playlist};
use headcast::media::store::file_name;

use super::AppState;
use super::jobs::find;
use super::problem::Problem;
use crate::jobs::{Job, Listing, State as JobState};

pub(super) async fn index(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = find(&state, &id)?;
    list(&state, job, |job| {
        let Listing { plan, state, made, known } = job.listing()?;
        let will_be_whole = !state.is_over() || state == JobState::Done;
        let ready = match (&plan, will_be_whole) {
            (ClipPlan::Fixed(plan), true) => return Some(vod_playlist(plan, file_name)),
            // A segment that was lost stays in the list, which only grows, and is held until it is made again.
            (ClipPlan::Open(_), true) => known,
            // The complete list is of no use when segments of it will not come. Frames that came from outside cannot
            // be made again, so what there is of them plays.
            (_, false) if job.request().pushed.is_some() => made,
            (_, false) => 0,
        };
        (ready > 0).then(|| plan.growing_playlist(ready, state.is_over(), file_name))
    })
    .await
}

pub(super) async fn live(State(state): State<AppState>, Path(id): Path<String>) -> Result<Response, Problem> {
    let job = find(&state, &id)?;
    list(&state, job, |job| {
        let Listing { plan, state, made, .. } = job.listing()?;
        let over = state.is_over();
        // An empty list costs a player seconds until it looks again.
        (over || made > 0).then(|| plan.growing_playlist(made, over, file_name))
    })
    .await
}

/// The list as soon as `write` can write it. When that takes long, as in a queue, it is held as a segment is: what
/// every list begins with goes out now, the rest when it is known; ffmpeg, mpv, VLC and `GStreamer` give up on a 503.
async fn list(
    state: &AppState,
    job: Arc<Job>,
    write: impl Fn(&Job) -> Option<String> + Send + Sync + 'static,
) -> Result<Response, Problem> {
    let headers =
        [(header::CONTENT_TYPE, "application/vnd.apple.mpegurl"), (header::CACHE_CONTROL, "no-cache")];
    let soon = tokio::time::timeout(state.config().playlist_wait, wait_for(&job, &write)).await;
    match soon {
        Ok(Some(text)) => return Ok((headers, text).into_response()),
        Ok(None) if job.state().is_over() => return Err(ended(&job)),
        // The server stops.
        Ok(None) => return Err(not_yet()),
        Err(_) => {}
    }
    let counted = state.metrics().held.enter();
    let rest = stream::once(async move {
        let _counted = counted;
        let text = wait_for(&job, &write).await;
        let rest = text.as_deref().and_then(|text| text.strip_prefix(LIST_HEAD));
        // Broken off: a head alone would pass for an empty list.
        rest.map(|rest| Bytes::copy_from_slice(rest.as_bytes()))
            .ok_or_else(|| io::Error::other("the job ended before its list could be written"))
    });
    let head = stream::once(async { Ok(Bytes::from_static(LIST_HEAD.as_bytes())) });
    Ok((headers, Body::from_stream(head.chain(rest))).into_response())
}

/// What every list begins with.
const LIST_HEAD: &str = "#EXTM3U\n";

/// What `look` finds in the job as soon as it finds something; `None` when it is over, or the server stops.
pub(super) async fn wait_for<T>(job: &Job, look: impl Fn(&Job) -> Option<T>) -> Option<T> {
    let mut changes = job.watch();
    loop {
        changes.borrow_and_update();
        // Asked first: a job that is over changes no more, so the look after it is the last word.
        let over = job.state().is_over();
        if let Some(found) = look(job) {
            return Some(found);
        }
        if over || changes.changed().await.is_err() {
            return None;
        }
    }
}

pub(super) fn not_yet() -> Problem {
    Problem::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "not_opened",
        "the job waits for its turn or its audio is still being read; ask again",
    )
    .retry_after(2)
}

/// For what will never exist, because the job failed or was cancelled.
pub(super) fn ended(job: &Job) -> Problem {
    match job.snapshot().failure {
        Some(failure) => Problem::new(StatusCode::GONE, failure.code, failure.message),
        None => Problem::new(StatusCode::GONE, "job_cancelled", "the job was cancelled; start it again"),
    }
}
