//! `cancel` and `reset`: a client has enough.

use axum::Json;
use axum::extract::{Request, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::events::Outcome;
use super::join::json_body;
use crate::server::AppState;
use crate::server::problem::Problem;

/// Which event. Clients say more, which does not matter here.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::server) struct Stop {
    /// Nothing is stopped without.
    #[serde(default)]
    event_id: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::server) struct Stopped {
    /// Always; an event that is over stays as it was.
    success: bool,
}

/// Stops the job. Its end is told on the stream.
pub(in crate::server) async fn cancel(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<Stopped>, Problem> {
    let Stop { event_id } = json_body(request).await?;
    let event = event_id.and_then(|id| state.gradio().get(&id));
    if let Some(Outcome::Job(id)) = event.as_deref().map(|event| &event.outcome)
        && let Some(job) = state.jobs().get(*id)
    {
        // Writes to the table.
        tokio::task::spawn_blocking(move || state.jobs().cancel(&job)).await.map_err(Problem::internal)?;
    }
    Ok(Json(Stopped { success: true }))
}

/// Gradio's word for ending a function that yields, which is what `/generate` is: both clients say it after `cancel`.
pub(in crate::server) async fn reset(
    state: State<AppState>,
    request: Request,
) -> Result<Json<Stopped>, Problem> {
    cancel(state, request).await
}
