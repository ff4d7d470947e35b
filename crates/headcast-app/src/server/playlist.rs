//! `index.m3u8`, complete from the start, and `live.m3u8`, growing.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use headcast::core::SegmentPlan;
use headcast::core::timeline::{event_playlist, vod_playlist};
use headcast::media::store::file_name;

use super::AppState;
use super::jobs::find;
use super::problem::Problem;
use crate::jobs::{Job, State as JobState};

pub(super) async fn index(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let job = find(&state, &id)?;
    let plan = wait_for(&job, state.config().playlist_wait, Job::plan).await;
    if job.state().is_over() && job.state() != JobState::Done {
        return Err(ended(&job));
    }
    Ok(answer(vod_playlist(&plan.ok_or_else(not_yet)?, file_name)))
}

pub(super) async fn live(State(state): State<AppState>, Path(id): Path<String>) -> Result<Response, Problem> {
    let job = find(&state, &id)?;
    // An empty list costs a player seconds until it looks again.
    let ready = |job: &Job| (job.made_from_start() > 0).then(|| job.plan()).flatten();
    let plan = wait_for(&job, state.config().playlist_wait, ready).await;
    let over = job.state().is_over();
    let plan: Option<SegmentPlan> = plan.or_else(|| job.plan());
    let plan = plan.ok_or_else(|| if over { ended(&job) } else { not_yet() })?;
    Ok(answer(event_playlist(&plan, job.made_from_start(), over, file_name)))
}

fn answer(text: String) -> Response {
    let headers =
        [(header::CONTENT_TYPE, "application/vnd.apple.mpegurl"), (header::CACHE_CONTROL, "no-cache")];
    (headers, text).into_response()
}

/// What `look` finds in the job as soon as it finds something; `None` when the job is over or time is up.
async fn wait_for<T>(job: &Job, limit: Duration, look: impl Fn(&Job) -> Option<T>) -> Option<T> {
    let mut changes = job.watch();
    let wait = async {
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
    };
    tokio::time::timeout(limit, wait).await.ok().flatten()
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
