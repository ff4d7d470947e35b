//! `file=PATH`: what was handed out as a file, and nothing else.

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;

use crate::jobs::{Job, State as JobState};
use crate::server::AppState;
use crate::server::problem::Problem;
use crate::server::video::{recording_stem, whole};

/// The name of a finished job's video on the line, which stays when the job is renamed: it was handed out. Older clients do not escape it, so it has nothing to escape.
pub(super) fn file_path(job: &Job) -> String {
    let plain: String = recording_stem(job)
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
        .collect();
    format!("out/{}/{plain}.mp4", job.id())
}

/// The path is a name to be looked up, never a path on the disk.
pub(in crate::server) async fn file(
    State(state): State<AppState>,
    Path(path): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = path.strip_prefix("out/").and_then(|rest| rest.split('/').next());
    let job = id.and_then(|id| id.parse().ok()).and_then(|id| state.jobs().get(id));
    let issued = job.filter(|job| job.state() == JobState::Done && file_path(job) == path);
    let job = issued.ok_or_else(|| {
        Problem::new(StatusCode::FORBIDDEN, "not_issued", "this server never handed out a file of this name")
    })?;
    whole(state, job, &headers, false).await
}
