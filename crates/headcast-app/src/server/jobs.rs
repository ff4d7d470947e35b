//! `/api/v1/jobs`: make, look, stop, forget.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::json::JobView;
use super::problem::Problem;
use super::{AppState, FieldError, Form, read_form};
use crate::jobs::{Audio, Job, JobRequest};

/// The job of that name in the address.
pub(super) fn find(state: &AppState, id: &str) -> Result<Arc<Job>, Problem> {
    id.parse().ok().and_then(|id| state.jobs().get(id)).ok_or_else(Problem::no_such_job)
}

pub(super) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Problem> {
    // Before the upload, not after it.
    state.jobs().has_room()?;
    let config = state.config();
    let uploads = config.data_dir.join("uploads");
    let form = read_form(request, &uploads, config.max_audio_bytes, config.max_features_bytes).await?;
    let (request, upload) = to_request(&state, form)?;

    let studio = Arc::clone(state.studio());
    let (request, checked) = tokio::task::spawn_blocking(move || {
        let checked = studio.check(&request);
        (request, checked)
    })
    .await
    .map_err(Problem::internal)?;
    checked?;

    let job = state.jobs().create(request, upload)?;
    let location = format!("/api/v1/jobs/{}", job.id());
    let body = Json(JobView::full(state.jobs(), &job));
    Ok((StatusCode::CREATED, [(header::LOCATION, location)], body).into_response())
}

fn to_request(state: &AppState, form: Form) -> Result<(JobRequest, Option<tempfile::TempPath>), Problem> {
    let refused = |code, detail: String| Problem::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail);
    let studio = state.studio();
    let names: Vec<_> = studio.avatars().into_iter().map(|avatar| avatar.name).collect();
    let avatar = match form.avatar {
        Some(name) if names.contains(&name) => name,
        Some(name) => {
            let there = names.join(", ");
            return Err(refused(
                "no_such_avatar",
                format!("there is no avatar {name:?}; choose one of: {there}"),
            ));
        }
        None => names.into_iter().next().ok_or_else(|| {
            refused("no_avatar", "there is no avatar; import one with `headcast avatar import`".to_owned())
        })?,
    };
    if let Some(profile) = &form.profile {
        let profiles = studio.profiles();
        if !profiles.contains(profile) {
            let there = profiles.join(", ");
            return Err(refused(
                "no_such_profile",
                format!("there is no profile {profile:?}; choose one of: {there}"),
            ));
        }
    }
    let (audio, audio_name, upload) = match (form.audio, form.sample) {
        (Some((path, name)), _) => (Audio::File(path.to_path_buf()), name, Some(path)),
        (None, Some(id)) => {
            let sample = studio.samples().into_iter().find(|sample| sample.id == id).ok_or_else(|| {
                refused("no_such_sample", format!("there is no sample clip {id:?}; see /api/v1/samples"))
            })?;
            (Audio::Memory(sample.bytes), sample.file_name, None)
        }
        (None, None) => return Err(FieldError::NoAudio.into()),
    };
    let request = JobRequest { audio, audio_name, avatar, profile: form.profile, features: form.features };
    Ok((request, upload))
}

impl From<FieldError> for Problem {
    fn from(error: FieldError) -> Self {
        let (status, code) = match &error {
            FieldError::Malformed { .. } => (StatusCode::BAD_REQUEST, "form_malformed"),
            FieldError::Unknown { .. } => (StatusCode::BAD_REQUEST, "field_unknown"),
            FieldError::Twice { .. } => (StatusCode::BAD_REQUEST, "field_twice"),
            FieldError::NotText { .. } => (StatusCode::BAD_REQUEST, "field_not_text"),
            FieldError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too_large"),
            FieldError::Empty { name: "features" } => (StatusCode::UNPROCESSABLE_ENTITY, "features_empty"),
            FieldError::Empty { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "audio_empty"),
            FieldError::NoAudio => (StatusCode::UNPROCESSABLE_ENTITY, "audio_missing"),
            FieldError::TwoAudios => (StatusCode::UNPROCESSABLE_ENTITY, "audio_twice"),
            FieldError::Disk(_) => (StatusCode::INSUFFICIENT_STORAGE, "disk"),
        };
        Self::new(status, code, error.to_string())
    }
}

pub(super) async fn list(State(state): State<AppState>) -> Json<Vec<JobView>> {
    Json(state.jobs().list().iter().rev().map(|job| JobView::brief(state.jobs(), job)).collect())
}

pub(super) async fn show(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    let job = find(&state, &id)?;
    Ok(Json(JobView::full(state.jobs(), &job)))
}

pub(super) async fn cancel(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<Json<JobView>, Problem> {
    let job = find(&state, &id)?;
    state.jobs().cancel(&job);
    Ok(Json(JobView::full(state.jobs(), &job)))
}

pub(super) async fn remove(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    let id = find(&state, &id)?.id();
    // Deletes files.
    tokio::task::spawn_blocking(move || state.jobs().remove(id)).await.map_err(Problem::internal)?;
    Ok(StatusCode::NO_CONTENT)
}
