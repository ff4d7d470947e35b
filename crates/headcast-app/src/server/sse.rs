//! Server-sent events of one job, for programs that have an `EventSource` and no WebSocket.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;

use super::AppState;
use super::connections::closed;
use super::feed::Feed;
use super::jobs::find;
use super::json::Message;
use super::problem::Problem;
use super::query::Asked;

/// Keeps proxies from closing a quiet stream.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

/// How long an `EventSource` waits before it comes back.
const RETRY: Duration = Duration::from_secs(2);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    after: Option<u64>,
}

/// From after `Last-Event-ID`, which an `EventSource` sends when it comes back, or `?after=`.
///
/// The stream ends with the job. An `EventSource` that comes back after that gets 204, which tells it to stop
/// (WHATWG HTML §9.2).
pub(super) async fn stream(
    State(state): State<AppState>,
    Path(id): Path<String>,
    Asked(wish): Asked<Wish>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find(&state, &id)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let after = last.or(wish.after).unwrap_or(0);
    if job.state().is_over() && after >= job.snapshot().seq {
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let counted = state.metrics().streams.enter();
    let (feed, first) = Feed::new(&state, job, after);
    let closing = state.closing();
    let start = (state, feed, VecDeque::from(first), closing, counted);
    let events = stream::unfold(start, async |(state, mut feed, mut ready, mut closing, counted)| {
        while ready.is_empty() {
            if feed.is_over() {
                return None;
            }
            let alive = tokio::select! {
                alive = feed.changed() => alive,
                _ = closed(&mut closing) => false,
            };
            if !alive {
                return None;
            }
            ready.extend(feed.news(&state));
        }
        let message = ready.pop_front()?;
        Some((Ok::<_, Infallible>(event(&message)), (state, feed, ready, closing, counted)))
    });
    let keep_alive = KeepAlive::new().interval(COMMENT_EVERY);
    Ok(Sse::new(events).keep_alive(keep_alive).into_response())
}

fn event(message: &Message) -> Event {
    let event = Event::default().event(message.name()).retry(RETRY);
    let event = match message.seq() {
        Some(seq) => event.id(seq.to_string()),
        None => event,
    };
    // Serializing what is made of strings and numbers cannot fail; an empty event would be passed over.
    event.json_data(message).unwrap_or_default()
}
