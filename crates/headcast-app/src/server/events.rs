//! One WebSocket per tab: what happens to the jobs that it follows.
//!
//! A WebSocket does not count against the six connections that a browser allows per host, so any number of
//! tabs stays alive. Nothing is queued per client: each reads the jobs' bounded event logs at its own speed,
//! and one that was too slow gets a job's state instead of what was dropped.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::extract::ws::{Message as Frame, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use futures_util::future::select_all;
use serde::Deserialize;
use tokio::time::{Instant, interval_at, timeout};

use super::AppState;
use super::connections::{Slot, closed};
use super::feed::Feed;
use super::json::Message;

/// What a client says.
#[derive(Deserialize)]
#[serde(untagged)]
enum Request {
    /// Follow these jobs and no others; `null` follows none.
    Subscribe {
        // Named, so that it must be there: a missing option would be read as none.
        #[serde(deserialize_with = "Option::deserialize")]
        subscribe: Option<Wish>,
        /// Of one job, only what comes after this event.
        #[serde(default)]
        after: u64,
    },
    /// Make this segment next, of this job or of the only one that is followed.
    Want {
        want: usize,
        #[serde(default)]
        job: Option<String>,
    },
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Wish {
    One(String),
    Many(Vec<Place>),
}

/// One of several jobs.
#[derive(Deserialize)]
#[serde(untagged)]
enum Place {
    FromStart(String),
    After { job: String, after: u64 },
}

/// Longest message from a client, in bytes.
const MAX_REQUEST: usize = 8192;

/// Jobs that one client may follow at a time.
const MAX_FOLLOWED: usize = 64;

/// A client that takes longer than this to accept a message is gone.
const SEND_LIMIT: Duration = Duration::from_secs(30);

/// A client that answers no ping for this long is gone.
const SILENCE_LIMIT: Duration = Duration::from_secs(70);

pub(super) async fn stream(
    State(state): State<AppState>,
    slot: Option<Extension<Slot>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let heard = Instant::now();
    upgrade.max_message_size(MAX_REQUEST).max_frame_size(MAX_REQUEST).on_upgrade(async move |socket| {
        let _counted = state.metrics().streams.enter();
        Client { socket, state, followed: Vec::new(), heard }.run().await;
        // It still was one of the connections.
        drop(slot);
    })
}

struct Client {
    socket: WebSocket,
    state: AppState,
    followed: Vec<Feed>,
    heard: Instant,
}

/// The client is gone.
struct Gone;

impl Client {
    async fn run(mut self) {
        // Keeps proxies from closing a quiet stream, too.
        let quiet = self.state.config().heartbeat;
        let mut beat = interval_at(Instant::now() + quiet, quiet);
        let mut closing = self.state.closing();
        loop {
            let changed = async {
                if self.followed.is_empty() {
                    return std::future::pending().await;
                }
                let feeds = self.followed.iter_mut().map(|feed| Box::pin(feed.changed()));
                let (alive, index, _) = select_all(feeds).await;
                (alive, index)
            };
            let result = tokio::select! {
                frame = self.socket.recv() => {
                    self.heard = Instant::now();
                    match frame {
                        Some(Ok(Frame::Text(text))) => self.answer(&text).await,
                        Some(Ok(Frame::Binary(_))) => self.misunderstood().await,
                        Some(Ok(Frame::Ping(_) | Frame::Pong(_))) => Ok(()),
                        Some(Ok(Frame::Close(_)) | Err(_)) | None => Err(Gone),
                    }
                }
                (alive, index) = changed => {
                    if alive { self.tell(index).await } else { Err(Gone) }
                }
                _ = beat.tick() => {
                    if self.heard.elapsed() > SILENCE_LIMIT { Err(Gone) } else { self.beat().await }
                }
                _ = closed(&mut closing) => {
                    // The last news of each job are on their way out already, or the next start has them.
                    let _ = self.send_frame(Frame::Close(None)).await;
                    Err(Gone)
                }
            };
            if result.is_err() {
                return;
            }
        }
    }

    async fn answer(&mut self, text: &str) -> Result<(), Gone> {
        match serde_json::from_str(text) {
            Ok(Request::Subscribe { subscribe, after }) => {
                self.followed.clear();
                match subscribe {
                    None => Ok(()),
                    Some(Wish::One(id)) => self.follow(id, after).await,
                    Some(Wish::Many(places)) if places.len() > MAX_FOLLOWED => {
                        let detail =
                            format!("one stream follows up to {MAX_FOLLOWED} jobs; open another one");
                        self.send(&Message::Error { code: "too_many_jobs", detail }).await
                    }
                    Some(Wish::Many(places)) => {
                        for place in places {
                            let (id, after) = match place {
                                Place::FromStart(id) => (id, 0),
                                Place::After { job, after } => (job, after),
                            };
                            self.follow(id, after).await?;
                        }
                        Ok(())
                    }
                }
            }
            Ok(Request::Want { want, job }) => {
                let named = |feed: &&Feed| job.as_ref().is_none_or(|id| feed.job().id().as_str() == id);
                let mut meant = self.followed.iter().filter(named);
                if let (Some(feed), None) = (meant.next(), meant.next()) {
                    self.state.jobs().want(feed.job(), want);
                }
                Ok(())
            }
            Err(_) => self.misunderstood().await,
        }
    }

    async fn misunderstood(&mut self) -> Result<(), Gone> {
        let detail =
            "send {\"subscribe\": job or [jobs], \"after\": event} or {\"want\": segment, \"job\": job}"
                .to_owned();
        self.send(&Message::Error { code: "not_understood", detail }).await
    }

    async fn follow(&mut self, id: String, after: u64) -> Result<(), Gone> {
        let job = id.parse().ok().and_then(|id| self.state.jobs().get(id));
        let Some(job) = job else { return self.send(&Message::Gone { job: id }).await };
        if self.followed.iter().any(|feed| Arc::ptr_eq(feed.job(), &job)) {
            return Ok(());
        }
        let (feed, messages) = Feed::new(&self.state, job, after);
        if !feed.is_gone() {
            self.followed.push(feed);
        }
        self.send_all(messages).await
    }

    /// A ping, so that the client is heard, and a message, so that it hears: pages are not told of pings.
    async fn beat(&mut self) -> Result<(), Gone> {
        self.send_frame(Frame::Ping(Vec::new().into())).await?;
        self.send(&Message::Heartbeat {}).await
    }

    async fn tell(&mut self, index: usize) -> Result<(), Gone> {
        let messages = self.followed[index].news(&self.state);
        if self.followed[index].is_gone() {
            self.followed.remove(index);
        }
        self.send_all(messages).await
    }

    async fn send_all(&mut self, messages: Vec<Message>) -> Result<(), Gone> {
        for message in &messages {
            self.send(message).await?;
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
