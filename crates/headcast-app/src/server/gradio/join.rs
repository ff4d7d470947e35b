//! `queue/join`: a call becomes a job, or an answer, or a reason why not.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Endpoint;
use super::arguments::{Arguments, File, Given};
use super::events::{MAX_SESSION, Outcome};
use super::message::Outputs;
use crate::jobs::Job;
use crate::server::jobs::{NewJob, gather, submit};
use crate::server::problem::Problem;
use crate::server::upload::safe_file_name;
use crate::server::{AppState, json};

/// A call, as the clients make it. They say more, which does not matter here.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::server) struct Called {
    /// Arguments in the order of `/gradio_api/info`.
    data: Vec<Value>,
    /// Which endpoint, by the `id` that `/config` has for it.
    fn_index: u64,
    /// On whose stream it is told; any text of at most 128 bytes.
    session_hash: String,
}

/// A call that is told of.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::server) struct Joined {
    /// Its name on the stream.
    event_id: String,
}

/// Longest JSON that is accepted, in bytes.
const MAX_JSON: usize = 64 << 10;

pub(in crate::server) async fn join(
    State(state): State<AppState>,
    request: Request,
) -> Result<Json<Joined>, Problem> {
    let Called { data, fn_index, session_hash } = json_body(request).await?;
    let malformed = |detail: String| Problem::new(StatusCode::BAD_REQUEST, "body_malformed", detail);
    if session_hash.is_empty() || session_hash.len() > MAX_SESSION {
        return Err(malformed(format!("session_hash is empty, or longer than {MAX_SESSION} bytes")));
    }
    let endpoint = Endpoint::of_index(fn_index)
        .ok_or_else(|| malformed(format!("there is no function {fn_index}; see dependencies of /config")))?;
    enter(&state, endpoint, Given::List(data), Some(session_hash)).await
}

/// Reads a small body as JSON, whatever type it says it has, as curl says another.
pub(super) async fn json_body<T: DeserializeOwned>(request: Request) -> Result<T, Problem> {
    let malformed = |reason: String| {
        let detail = format!("the body is not the JSON of a call: {reason}; see /api/v1/openapi.json");
        Problem::new(StatusCode::BAD_REQUEST, "body_malformed", detail)
    };
    let body = axum::body::to_bytes(request.into_body(), MAX_JSON).await;
    let body = body.map_err(|error| malformed(error.to_string()))?;
    serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()))
}

/// Makes an event of a call.
pub(super) async fn enter(
    state: &AppState,
    endpoint: Endpoint,
    given: Given,
    session: Option<String>,
) -> Result<Json<Joined>, Problem> {
    let outcome = match endpoint {
        Endpoint::Avatars => match given.is_empty() {
            true => Outcome::Answer(avatars(state)),
            false => Outcome::Refused("/avatars takes no arguments".to_owned()),
        },
        Endpoint::Generate => {
            // Both clients know this status, and say that the queue is full. Their upload can be used again.
            state.jobs().has_room().map_err(|full| {
                let detail = full.to_string();
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, "queue_full", detail).retry_after(30)
            })?;
            // Everything else is said on the stream: of another status the Python client shows the number alone.
            match generate(state, given).await {
                Ok(job) => Outcome::Job(job.id()),
                Err(reason) => Outcome::Refused(reason),
            }
        }
    };
    let event = state
        .gradio()
        .add(state.jobs(), session, outcome)
        .ok_or_else(|| Problem::internal("the system gives no random numbers"))?;
    Ok(Json(Joined { event_id: event.id.clone() }))
}

fn avatars(state: &AppState) -> Outputs {
    let all: Vec<_> = state.studio().avatars().into_iter().map(json::Avatar::from).collect();
    vec![json!(all)]
}

async fn generate(state: &AppState, given: Given) -> Result<Arc<Job>, String> {
    let Arguments { audio, avatar, profile, features, body } = Arguments::of(given)?;
    let id = |file: &File| file.id.clone();
    let wish = NewJob {
        upload: Some(id(&audio)),
        avatar,
        profile,
        body,
        features: features.as_ref().map(id),
        ..NewJob::default()
    };
    let made = async {
        let mut form = gather(state, wish).await?;
        // The JavaScript client uploads under Node as `blob`, and says here what the file is called.
        if let (Some((_, name)), Some(called)) = (&mut form.audio, &audio.name) {
            *name = safe_file_name(called);
        }
        submit(state, form).await
    };
    made.await.map_err(|problem: Problem| problem.detail().to_owned())
}
