//! `upload`: files that a call will name.

use axum::Json;
use axum::extract::{Request, State};

use crate::server::AppState;
use crate::server::problem::Problem;
use crate::server::upload::{FieldError, next_field, open, safe_file_name, store};

/// Files of one request.
const MOST: usize = 4;

/// Answers with what stands for each file in a call. Empty ones are taken: the Python client shows no reason for
/// what is refused here, so the call is told.
pub(in crate::server) async fn upload(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<Vec<String>>, Problem> {
    let turn = state.upload_turn()?;
    let config = state.config();
    let folder = config.data_dir.join("uploads");
    let limit = config.max_audio_bytes.max(config.max_features_bytes);
    let (mut multipart, taken) = open(request).await?;
    let mut stored = Vec::new();
    while let Some(mut field) = next_field(&mut multipart, &taken).await? {
        if field.name() != Some("files") || stored.len() == MOST {
            let name = field.name().unwrap_or_default().chars().take(40).collect();
            return Err(FieldError::Unknown { name, fields: "files, up to four times" }.into());
        }
        let name = safe_file_name(field.file_name().unwrap_or_default());
        let (path, bytes) = store(&mut field, "files", &folder, limit, &taken).await?;
        stored.push((path, name, bytes));
    }
    drop(turn);
    if stored.is_empty() {
        return Err(FieldError::Missing { name: "files" }.into());
    }
    let mut paths = Vec::new();
    for (path, name, bytes) in stored {
        // The name is for people; only the first part is looked up.
        let plain: String = name
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' })
            .collect();
        let id = state.uploads().keep(path, name, bytes)?;
        paths.push(format!("{id}/{plain}"));
    }
    Ok(Json(paths))
}
