//! `call/NAME`: one call at a time, for curl: a `POST` that answers with an event, and a `GET` that tells of it.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::Json;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::Event as Line;
use futures_util::stream;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::watch;

use super::Endpoint;
use super::arguments::Given;
use super::join::{Joined, enter, json_body};
use super::message::Step;
use super::root::Root;
use super::stream::answer;
use super::telling::Telling;
use crate::server::AppState;
use crate::server::connections::closed;
use crate::server::problem::Problem;

/// A call with its arguments in order.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::server) struct Data {
    /// In the order of `/gradio_api/info`; what is left out at the end gets its default.
    data: Vec<Value>,
}

/// A call with its arguments by name.
#[derive(Debug, Deserialize, JsonSchema)]
pub(in crate::server) struct NamedCall {
    /// By the names of `/gradio_api/info`; what is left out gets its default.
    #[serde(flatten)]
    arguments: Map<String, Value>,
}

pub(in crate::server) async fn make_call(
    State(state): State<AppState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Joined>, Problem> {
    let endpoint = find(&name)?;
    let Data { data } = json_body(request).await?;
    enter(&state, endpoint, Given::List(data), None).await
}

pub(in crate::server) async fn make_named_call(
    State(state): State<AppState>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Json<Joined>, Problem> {
    let endpoint = find(&name)?;
    let NamedCall { arguments } = json_body(request).await?;
    enter(&state, endpoint, Given::Named(arguments), None).await
}

fn find(name: &str) -> Result<Endpoint, Problem> {
    Endpoint::of_name(name).ok_or_else(|| {
        let detail = format!("there is no endpoint {name:?}; /gradio_api/info has those that there are");
        Problem::new(StatusCode::NOT_FOUND, "no_such_endpoint", detail)
    })
}

/// An event that nobody knows is an error on the stream, as it is with Gradio.
pub(in crate::server) async fn hear_call(
    State(state): State<AppState>,
    root: Root,
    Path((name, id)): Path<(String, String)>,
) -> Result<Response, Problem> {
    find(&name)?;
    let telling = state.gradio().get(&id).map(|event| Telling::new(&state, &root, event));
    let call = Call { telling, closing: state.closing(), ready: VecDeque::new(), ended: false };
    let counted = state.metrics().streams.enter();
    let lines = stream::unfold((call, counted), async |(mut call, counted)| {
        let line = call.next().await?;
        Some((Ok::<_, Infallible>(line), (call, counted)))
    });
    Ok(answer(lines, line("heartbeat", &Value::Null), state.config().heartbeat))
}

/// The stream of one call.
struct Call {
    telling: Option<Telling>,
    closing: watch::Receiver<bool>,
    ready: VecDeque<Line>,
    ended: bool,
}

impl Call {
    async fn next(&mut self) -> Option<Line> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(line);
            }
            if self.ended {
                return None;
            }
            let Some(telling) = &mut self.telling else {
                self.ended = true;
                return Some(line("error", &"404: Not Found".into()));
            };
            let alive = tokio::select! {
                alive = telling.changed() => alive,
                () = closed(&mut self.closing) => false,
            };
            if !alive {
                return None;
            }
            for step in telling.news().await {
                self.ready.extend(named(step));
            }
            self.ended = telling.is_over();
        }
    }
}

/// Queue, progress and log are not told here.
fn named(step: Step) -> Option<Line> {
    if let Some(error) = step.error() {
        return Some(line("error", &error));
    }
    match step {
        Step::Generating(outputs) => Some(line("generating", &outputs.into())),
        Step::Completed(outputs) => Some(line("complete", &outputs.into())),
        _ => None,
    }
}

fn line(name: &str, data: &Value) -> Line {
    Line::default().event(name).data(data.to_string())
}
