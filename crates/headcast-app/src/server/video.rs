//! `video.mp4`: the same pictures and sound in one file.
use super::AppState;
use super::jobs::find;
use super::problem::Problem;
use axum::extract::{Path, State};
use axum::response::Response;
pub(super) async fn mp4(State(state): State<AppState>, Path(id): Path<String>) -> Result<Response, Problem> {
    let _job = find(&state, &id)?;
    Err(Problem::internal("soon"))
}
