//! `queue/data`: everything that a session joined, on one stream.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::{HeaderName, HeaderValue};
use axum::response::sse::{Event as Line, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::future::select_all;
use futures_util::stream;
use serde::Deserialize;
use serde_json::Value;
use tokio::sync::watch;

use super::message::{HEARTBEAT, Speaker, close_stream, no_such_session};
use super::root::Root;
use super::telling::Telling;
use crate::server::AppState;
use crate::server::connections::closed;
use crate::server::metrics::Entered;

#[derive(Deserialize)]
pub(in crate::server) struct Wish {
    session_hash: String,
}

pub(in crate::server) async fn stream(
    State(state): State<AppState>,
    root: Root,
    Query(wish): Query<Wish>,
) -> Response {
    let quiet = state.config().heartbeat;
    let listener = Listener::new(state, root, wish.session_hash);
    let lines = stream::unfold(listener, async |mut listener| {
        let message = listener.next().await?;
        Some((Ok::<_, Infallible>(Line::default().data(message.to_string())), listener))
    });
    answer(lines, Line::default().data(HEARTBEAT), quiet)
}

/// A stream that says `heartbeat` when there is nothing else to say, and that no proxy keeps for later.
pub(super) fn answer(
    lines: impl Stream<Item = Result<Line, Infallible>> + Send + 'static,
    heartbeat: Line,
    quiet: Duration,
) -> Response {
    let mut response =
        Sse::new(lines).keep_alive(KeepAlive::new().interval(quiet).event(heartbeat)).into_response();
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    response
}

/// One stream of a session.
struct Listener {
    state: AppState,
    root: Root,
    session: String,
    told: Vec<(Telling, Speaker)>,
    joined: watch::Receiver<u64>,
    closing: watch::Receiver<bool>,
    ready: VecDeque<Value>,
    /// Whether anything of the session was ever seen.
    known: bool,
    ended: bool,
    _counted: Entered,
}

impl Listener {
    fn new(state: AppState, root: Root, session: String) -> Self {
        Self {
            root,
            session,
            told: Vec::new(),
            joined: state.gradio().watch(),
            closing: state.closing(),
            ready: VecDeque::new(),
            known: false,
            ended: false,
            _counted: state.metrics().streams.enter(),
            state,
        }
    }

    /// The next message; `None` after the last.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            if self.ended {
                return None;
            }
            self.adopt();
            if self.told.is_empty() {
                self.ended = true;
                return Some(if self.known { close_stream() } else { no_such_session() });
            }
            let changed = {
                let changes = self.told.iter_mut().map(|(telling, _)| Box::pin(telling.changed()));
                tokio::select! {
                    (alive, index, _) = select_all(changes) => alive.then_some(Some(index)),
                    _ = self.joined.changed() => Some(None),
                    () = closed(&mut self.closing) => None,
                }
            };
            // The server ends, and the job goes on with the next one.
            let changed = changed?;
            if let Some(index) = changed {
                self.tell(index).await;
            }
        }
    }

    /// Takes up what joined since.
    fn adopt(&mut self) {
        self.joined.borrow_and_update();
        for event in self.state.gradio().of_session(&self.session) {
            self.known = true;
            if !self.told.iter().any(|(telling, _)| telling.id() == event.id) {
                let speaker = Speaker::new(&event.id);
                self.told.push((Telling::new(&self.state, &self.root, event), speaker));
            }
        }
    }

    async fn tell(&mut self, index: usize) {
        let (telling, speaker) = &mut self.told[index];
        let steps = telling.news().await;
        self.ready.extend(steps.into_iter().map(|step| speaker.message(step)));
        if telling.is_over() {
            self.state.gradio().forget(telling.id());
            self.told.remove(index);
        }
    }
}
