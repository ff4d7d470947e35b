//! `/api/v1/jobs/{id}/frames`: frames that come from outside, and how they end.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use bytes::Bytes;
use futures_util::StreamExt;
use headcast::push;
use schemars::JsonSchema;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::AppState;
use super::jobs::find;
use super::json::JobView;
use super::playlist::{not_yet, wait_for};
use super::problem::Problem;
use super::query::Asked;
use super::stall::Stalled;
use crate::jobs::{Claim, FeedError, Job, Level, State as JobState};

/// Where the sender begins, and whether it ends the clip.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Part {
    first: Option<u64>,
    #[serde(default)]
    end: bool,
}

/// Why frames will not come.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct GiveUp {
    /// A sentence, or a traceback: its last hundred lines go to the job's log.
    reason: String,
}

/// What goes from the connection to the thread that feeds the encoder.
enum Piece {
    Bytes(Bytes),
    End,
}

/// Pieces under way: while they are not taken, nothing more is read from the connection, and TCP slows the sender.
const PIECES: usize = 4;

/// Takes frames as fast as they can be encoded.
pub(super) async fn push(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Asked(part): Asked<Part>,
    request: Request,
) -> Result<Json<JobView>, Problem> {
    let job = find(&state, &id)?;
    opened(&state, &job).await?;
    let claim = Claim::new();
    let (send, mut pieces) = mpsc::channel(PIECES);
    let feeding = tokio::task::spawn_blocking({
        let (state, job, claim) = (state.clone(), Arc::clone(&job), claim.clone());
        move || -> Result<bool, FeedError> {
            let mut feed = state.jobs().feed(&job, part.first, &claim)?;
            while let Some(piece) = pieces.blocking_recv() {
                match piece {
                    Piece::Bytes(bytes) => feed.write(&bytes)?,
                    Piece::End if part.end => return feed.end().map(|()| true),
                    Piece::End => return feed.pause().map(|()| true),
                }
            }
            // Whatever ended it, what of a frame there was is lost.
            Ok(false)
        }
    });
    let mut body = request.into_body().into_data_stream();
    let mut broken = None;
    loop {
        let piece = tokio::select! {
            piece = body.next() => piece,
            () = stopped(&job) => break,
            () = claim.lost() => break,
        };
        let last = piece.is_none();
        let piece = match piece {
            Some(Ok(bytes)) => Piece::Bytes(bytes),
            Some(Err(error)) => {
                broken = Some(error);
                break;
            }
            None => Piece::End,
        };
        // Nobody takes it any more: the thread says why.
        if send.send(piece).await.is_err() || last {
            break;
        }
    }
    drop(send);
    let whole = feeding.await.map_err(Problem::internal)??;
    if whole {
        return Ok(Json(JobView::full(state.jobs(), &job)));
    }
    let next = state.jobs().feed_state(&job).map_or(0, |feed| feed.next_frame);
    match broken {
        Some(error) => {
            job.tell(
                Level::Warn,
                format!("the connection that brought frames broke off; frame {next} is next"),
            );
            let detail = format!("the body broke off ({error}); go on with frame {next}");
            let stalled = Stalled::caused(&error);
            let status = if stalled { StatusCode::REQUEST_TIMEOUT } else { StatusCode::BAD_REQUEST };
            Err(Problem::new(status, if stalled { "upload_stalled" } else { "body_broken" }, detail))
        }
        None if claim.is_lost() => Err(FeedError::TakenOver.into()),
        None => Err(job.refuses_frames().unwrap_or(FeedError::Over).into()),
    }
}

pub(super) async fn end(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    let job = find(&state, &id)?;
    opened(&state, &job).await?;
    let ended = tokio::task::spawn_blocking({
        let (state, job) = (state.clone(), Arc::clone(&job));
        move || state.jobs().feed(&job, None, &Claim::new())?.end()
    });
    ended.await.map_err(Problem::internal)??;
    Ok(Json(JobView::full(state.jobs(), &job)))
}

pub(super) async fn give_up(
    State(state): State<AppState>,
    Path(id): Path<String>,
    body: Bytes,
) -> Result<Json<JobView>, Problem> {
    let job = find(&state, &id)?;
    let why: GiveUp = if body.is_empty() {
        GiveUp::default()
    } else {
        serde_json::from_slice(&body).map_err(|error| {
            let detail = format!("the body is not {{\"reason\": …}}: {error}");
            Problem::new(StatusCode::BAD_REQUEST, "body_malformed", detail)
        })?
    };
    if job.request().pushed.is_none() {
        return Err(FeedError::NotPushed.into());
    }
    let given_up = tokio::task::spawn_blocking({
        let (state, job) = (state.clone(), Arc::clone(&job));
        move || state.jobs().give_up(&job, &why.reason)
    });
    given_up.await.map_err(Problem::internal)?;
    Ok(Json(JobView::full(state.jobs(), &job)))
}

/// Waits until the sound is read and the plan made.
async fn opened(state: &AppState, job: &Job) -> Result<(), Problem> {
    if job.request().pushed.is_none() {
        return Err(FeedError::NotPushed.into());
    }
    let open = |job: &Job| job.is_open().then_some(());
    let soon = tokio::time::timeout(state.config().playlist_wait, wait_for(job, open)).await;
    match soon.ok().flatten() {
        Some(()) => Ok(()),
        None => Err(job.refuses_frames().unwrap_or(FeedError::NotOpen).into()),
    }
}

/// Waits until no frame is wanted any more; a job that is done still takes what is left over, and drops it.
async fn stopped(job: &Job) {
    let mut changes = job.watch();
    loop {
        changes.borrow_and_update();
        let state = job.state();
        if state.is_over() && state != JobState::Done {
            return;
        }
        if changes.changed().await.is_err() {
            return;
        }
    }
}

impl From<FeedError> for Problem {
    fn from(error: FeedError) -> Self {
        let (status, code) = match &error {
            FeedError::NotOpen => return not_yet(),
            FeedError::Stopping => {
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", error.to_string())
                    .retry_after(5);
            }
            FeedError::NotPushed => (StatusCode::CONFLICT, "frames_not_wanted"),
            FeedError::Busy | FeedError::TakenOver => (StatusCode::CONFLICT, "frames_busy"),
            FeedError::Over => (StatusCode::CONFLICT, "job_over"),
            FeedError::Lost { .. } => (StatusCode::CONFLICT, "frames_lost"),
            FeedError::Position { .. } => (StatusCode::CONFLICT, "frames_position"),
            FeedError::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "clip_too_long"),
            FeedError::Partial { .. } => (StatusCode::BAD_REQUEST, "frame_partial"),
            FeedError::Stream(push::Error::Store(_)) => (StatusCode::INSUFFICIENT_STORAGE, "disk"),
            FeedError::Stream(push::Error::NoFrame { .. }) => (StatusCode::CONFLICT, "frames_missing"),
            FeedError::Stream(_) => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
        };
        Self::new(status, code, error.to_string())
    }
}
