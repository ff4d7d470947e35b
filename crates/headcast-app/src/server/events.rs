//! One WebSocket per tab: what happens to the job that the tab shows.
//!
//! A WebSocket does not count against the six connections that a browser allows per host, so any number of
//! tabs stays alive. Nothing is queued per client: each reads the job's bounded event log at its own speed,
//! and one that was too slow gets the job's state instead of what was dropped.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::{interval, timeout};

use super::AppState;
use super::json::Message;
use crate::jobs::{EventBody, Job};

/// What a client says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Request {
    /// Follow this job from after this event on; `null` follows none.
    Subscribe {
        // Named, so that it must be there: a missing option would be read as none.
        #[serde(deserialize_with = "Option::deserialize")]
        subscribe: Option<String>,
        #[serde(default)]
        after: u64,
    },
    /// Make this segment of the followed job next.
    Want { want: usize },
}

/// Longest message from a client, in bytes.
const MAX_REQUEST: usize = 4096;

/// A client that takes longer than this to accept a message is gone.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// Keeps proxies from closing a quiet stream.
const PING_EVERY: Duration = Duration::from_secs(20);

pub(super) async fn stream(State(state): State<AppState>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(MAX_REQUEST)
        .max_frame_size(MAX_REQUEST)
        .on_upgrade(|socket| Client { socket, state, following: None }.run())
}

struct Client {
    socket: WebSocket,
    state: AppState,
    following: Option<Following>,
}

struct Following {
    job: Arc<Job>,
    changes: watch::Receiver<u64>,
    /// Last event that was sent.
    seq: u64,
}

/// The client is gone.
struct Gone;

impl Client {
    async fn run(mut self) {
        let mut ping = interval(PING_EVERY);
        loop {
            let changed = async {
                match &mut self.following {
                    Some(following) => following.changes.changed().await.is_ok(),
                    None => std::future::pending().await,
                }
            };
            let result = tokio::select! {
                frame = self.socket.recv() => match frame {
                    Some(Ok(Frame::Text(text))) => self.answer(&text).await,
                    Some(Ok(Frame::Binary(_))) => self.misunderstood().await,
                    Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Ok(()),
                    Some(Ok(Frame::Close(_)) | Err(_)) | None => Err(Gone),
                },
                alive = changed => {
                    if alive { self.send_news(0).await } else { Err(Gone) }
                }
                _ = ping.tick() => self.send_frame(Frame::Ping(Vec::new().into())).await,
            };
            if result.is_err() {
                return;
            }
        }
    }

    async fn answer(&mut self, text: &str) -> Result<(), Gone> {
        match serde_json::from_str(text) {
            Ok(Request::Subscribe { subscribe: None, .. }) => {
                self.following = None;
                Ok(())
            }
            Ok(Request::Subscribe { subscribe: Some(id), after }) => self.follow(id, after).await,
            Ok(Request::Want { want }) => {
                if let Some(following) = &self.following {
                    self.state.jobs().want(&following.job, want);
                }
                Ok(())
            }
            Err(_) => self.misunderstood().await,
        }
    }

    async fn misunderstood(&mut self) -> Result<(), Gone> {
        let detail = "send {\"subscribe\": job, \"after\": event} or {\"want\": segment}".to_owned();
        self.send(&Message::Error { code: "not_understood", detail }).await
    }

    async fn follow(&mut self, id: String, after: u64) -> Result<(), Gone> {
        self.following = None;
        let job = id.parse().ok().and_then(|id| self.state.jobs().get(id));
        let Some(job) = job else { return self.send(&Message::Gone { job: id }).await };
        let changes = job.watch();
        let shown = job.snapshot().seq;
        self.send(&Message::state(self.state.jobs(), &job, after)).await?;
        self.following = Some(Following { job, changes, seq: after });
        self.send_news(shown).await
    }

    /// Sends what happened since the last event that was sent. The client knows the state as of event `shown`.
    async fn send_news(&mut self, shown: u64) -> Result<(), Gone> {
        let Some(following) = &mut self.following else { return Ok(()) };
        following.changes.borrow_and_update();
        let job = Arc::clone(&following.job);
        let (events, complete) = job.events_after(following.seq);
        if shown == 0 && !complete {
            let state = Message::state(self.state.jobs(), &job, following.seq);
            self.send(&state).await?;
        }
        let mut changed_state = false;
        for event in events {
            let seq = event.seq;
            let is_state = event.body == EventBody::State;
            changed_state |= is_state;
            if !is_state || seq > shown {
                self.send(&Message::of(self.state.jobs(), &job, event)).await?;
            }
            if let Some(following) = &mut self.following {
                following.seq = seq;
            }
        }
        if changed_state && self.state.jobs().get(job.id()).is_none() {
            self.following = None;
            self.send(&Message::Gone { job: job.id().to_string() }).await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: &Message) -> Result<(), Gone> {
        let text = serde_json::to_string(message).map_err(|_unserializable| Gone)?;
        self.send_frame(Frame::Text(text.into())).await
    }

    async fn send_frame(&mut self, frame: Frame) -> Result<(), Gone> {
        match timeout(SEND_LIMIT, self.socket.send(frame)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }
}
