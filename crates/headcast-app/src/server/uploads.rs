//! `/api/v1/uploads`: a file first, the job that uses it later, so that jobs can be made with plain JSON.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use futures_util::StreamExt;
use serde::Deserialize;
use tempfile::{NamedTempFile, TempPath};
use tokio::io::AsyncWriteExt;

use super::json;
use super::problem::Problem;
use super::query::Asked;
use super::stall::Stalled;
use super::upload::safe_file_name;
use super::{AppState, FieldError};
use crate::jobs::JobId;

/// Files that wait for their job. They are gone when it takes them, after [`KEPT_FOR`], or with the process.
#[derive(Debug, Default)]
pub(super) struct Uploads(Mutex<Vec<Waiting>>);

/// One of them.
#[derive(Debug)]
pub(super) struct Waiting {
    id: JobId,
    pub(super) path: TempPath,
    /// Without any folder.
    pub(super) name: String,
    pub(super) bytes: u64,
    since: Instant,
}

/// Waiting files; the oldest makes room for one more.
const MOST: usize = 32;

const KEPT_FOR: Duration = Duration::from_hours(1);

impl Uploads {
    /// Keeps a file under a new name, which is the answer.
    pub(super) fn keep(&self, path: TempPath, name: String, bytes: u64) -> Result<JobId, Problem> {
        let id = JobId::random().ok_or_else(|| Problem::internal("the system gives no random numbers"))?;
        self.put(Waiting { id, path, name, bytes, since: Instant::now() });
        Ok(id)
    }

    fn put(&self, waiting: Waiting) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|waiting| waiting.since.elapsed() < KEPT_FOR);
        if all.len() == MOST {
            all.remove(0);
        }
        all.push(waiting);
    }

    /// The file of that name, which is the caller's from now on.
    pub(super) fn take(&self, id: &str) -> Option<Waiting> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|waiting| waiting.since.elapsed() < KEPT_FOR);
        let index = all.iter().position(|waiting| waiting.id.as_str() == id)?;
        Some(all.remove(index))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Called {
    #[serde(default)]
    name: String,
}

/// Keeps the body of the request as a file.
pub(super) async fn create(
    State(state): State<AppState>,
    Asked(called): Asked<Called>,
    request: Request,
) -> Result<(StatusCode, Json<json::Upload>), Problem> {
    let turn = state.upload_turn()?;
    let config = state.config();
    let limit = config.max_audio_bytes.max(config.max_features_bytes);
    let (path, bytes) = store(request, &config.data_dir.join("uploads"), limit).await?;
    drop(turn);
    let name = safe_file_name(&called.name);
    let id = state.uploads().keep(path, name.clone(), bytes)?;
    let made = json::Upload { id: id.to_string(), name, bytes, kept_secs: KEPT_FOR.as_secs() };
    Ok((StatusCode::CREATED, Json(made)))
}

/// Lets go of a file for which there will be no job.
pub(super) async fn forget(
    State(state): State<AppState>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    match state.uploads().take(&id) {
        Some(_gone) => Ok(StatusCode::NO_CONTENT),
        None => Err(Problem::new(
            StatusCode::NOT_FOUND,
            "no_such_upload",
            "there is no upload of this name any more",
        )),
    }
}

async fn store(
    request: Request,
    folder: &std::path::Path,
    limit: u64,
) -> Result<(TempPath, u64), FieldError> {
    const NAME: &str = "upload";
    let (file, path) = NamedTempFile::with_prefix_in("upload-", folder)?.into_parts();
    let mut file = tokio::fs::File::from_std(file);
    let mut body = request.into_body().into_data_stream();
    let mut size = 0;
    while let Some(piece) = body.next().await {
        let piece = piece.map_err(|error| {
            if Stalled::caused(&error) {
                FieldError::Stalled
            } else {
                FieldError::Malformed { reason: error.to_string() }
            }
        })?;
        size += piece.len() as u64;
        if size > limit {
            return Err(FieldError::TooLarge { name: NAME, limit });
        }
        file.write_all(&piece).await?;
    }
    // Without this, an error of the last write would go unnoticed.
    file.flush().await?;
    if size == 0 { Err(FieldError::Empty { name: NAME }) } else { Ok((path, size)) }
}
