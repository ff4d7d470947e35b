//! `segment_00000.ts`: served when made, held until then.

use std::future::ready;
use std::io;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use headcast::media::store::index_of;
use tokio::time::timeout;

use super::jobs::find;
use super::playlist::{ended, not_yet};
use super::problem::Problem;
use super::{AppState, problem};
use crate::jobs::Job;

/// A made segment, whole; a planned one starts at once with its first packet and goes on when it exists.
///
/// Never 404 for a planned one: hls.js does not retry a 4xx, and ffplay, mpv, VLC and `GStreamer` give up.
/// The first packet at once keeps the first-byte timers of players quiet.
pub(super) async fn segment(
    State(state): State<AppState>,
    method: Method,
    Path((id, name)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let job = find(&state, &id)?;
    let Some(index) = index_of(&name) else { return Err(problem::no_such_page().await) };
    let Some(plan) = job.plan() else {
        return Err(if job.state().is_over() { ended(&job) } else { not_yet() });
    };
    let segments = plan.len();
    if index >= segments {
        let detail = format!("the job has {segments} segments, counted from 0");
        return Err(Problem::new(StatusCode::NOT_FOUND, "no_such_segment", detail));
    }
    let content_type = (header::CONTENT_TYPE, "video/mp2t");
    // Asked first: a job that is over makes nothing any more, so the second answer cannot be overtaken.
    let mut over = job.state().is_over();
    let mut found = None;
    if job.is_made(index) == Some(true) {
        match read(&state, &job, index).await {
            Ok(bytes) => found = Some(bytes),
            Err(error) => {
                over = job.state().is_over();
                if job.is_made(index) == Some(true) {
                    return Err(Problem::internal(error));
                }
                // It was lost on the disk, and whoever brings its frames may do so again.
            }
        }
    }
    if let Some(bytes) = found {
        let cache = (header::CACHE_CONTROL, "private, max-age=31536000, immutable".to_owned());
        let content_type = (content_type.0, content_type.1.to_owned());
        let length = (header::CONTENT_LENGTH, bytes.len().to_string());
        let body = Body::from_stream(pieces(state, job, index, bytes, 0));
        return Ok(([content_type, cache, length], body).into_response());
    }
    if over {
        return Err(ended(&job));
    }
    // Who only asks about a segment does not change what is rendered next.
    if method == Method::GET {
        state.jobs().want(&job, index);
    }
    let headers = [content_type, (header::CACHE_CONTROL, "no-store")];
    Ok((headers, held(state, job, index)).into_response())
}

/// The body of a segment that is not made: the first packet of its head now, the rest of the head byte by byte while
/// it waits, and what is left when it exists. When the segment will never exist the body breaks off without its last
/// chunk, so nobody takes the head for the whole.
///
/// A byte now and then is what a player needs to see: Shaka gives up after five silent seconds, and `GStreamer`
/// leaves a segment out after fifteen.
fn held(state: AppState, job: Arc<Job>, index: usize) -> Body {
    let counted = state.metrics().held.enter();
    let held = Held { head: job.segment_head(), sent: 0, state, job, index, _counted: counted };
    let parts = stream::try_unfold(Some(held), |held| async move {
        let Some(held) = held else { return Ok(None) };
        held.next().await.map(Some)
    });
    Body::from_stream(parts.try_flatten())
}

/// A segment on its way to somebody who waits for it.
struct Held<C> {
    state: AppState,
    job: Arc<Job>,
    index: usize,
    head: Bytes,
    /// Bytes of the head that were sent.
    sent: usize,
    _counted: C,
}

impl<C> Held<C> {
    /// The next bytes, and what comes after them: nothing when they are the last.
    async fn next(self) -> io::Result<(impl Stream<Item = io::Result<Bytes>> + Send, Option<Self>)> {
        if self.sent == 0 && !self.head.is_empty() {
            let (more, held) = self.more_head(PACKET);
            return Ok((stream::once(ready(Ok(more))).left_stream(), held));
        }
        let waits = made(&self.job, self.index);
        let exists = if self.sent < self.head.len() {
            match timeout(self.state.config().keep_alive, waits).await {
                Ok(exists) => exists,
                Err(_) => {
                    let (more, held) = self.more_head(1);
                    return Ok((stream::once(ready(Ok(more))).left_stream(), held));
                }
            }
        } else {
            waits.await
        };
        if !exists {
            return Err(io::Error::other("the job ended before this segment"));
        }
        let bytes = read(&self.state, &self.job, self.index).await?;
        if bytes.get(..self.sent) == self.head.get(..self.sent) {
            let rest = pieces(self.state, self.job, self.index, bytes, self.sent);
            Ok((rest.right_stream(), None))
        } else {
            Err(io::Error::other("the segment does not begin with the head that was sent"))
        }
    }

    fn more_head(mut self, bytes: usize) -> (Bytes, Option<Self>) {
        let end = self.head.len().min(self.sent + bytes);
        let more = self.head.slice(self.sent..end);
        self.sent = end;
        (more, Some(self))
    }
}

/// One transport stream packet, in bytes.
const PACKET: usize = 188;

/// Most of a segment that is on its way to one client.
const PIECE: usize = 64 << 10;

/// The bytes of a segment from `start` on, a piece at a time.
///
/// Each piece is a copy, and the segment is asked for again for the next one: most likely it is still in memory, where
/// everyone shares it. So a client that takes nothing holds a piece, not a segment.
fn pieces(
    state: AppState,
    job: Arc<Job>,
    index: usize,
    bytes: Bytes,
    start: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send {
    let length = bytes.len();
    stream::try_unfold((start, Some(bytes)), move |(at, bytes)| {
        let (state, job) = (state.clone(), Arc::clone(&job));
        async move {
            if at == length {
                return Ok(None);
            }
            let bytes = match bytes {
                Some(bytes) => bytes,
                None => read(&state, &job, index).await?,
            };
            let end = length.min(at + PIECE);
            let piece = bytes.get(at..end).ok_or_else(|| io::Error::other("the segment has changed"))?;
            Ok(Some((Bytes::copy_from_slice(piece), (end, None))))
        }
    })
}

/// Waits until the segment exists; false when it never will.
async fn made(job: &Job, index: usize) -> bool {
    let mut changes = job.watch();
    loop {
        changes.borrow_and_update();
        let over = job.state().is_over();
        if job.is_made(index) == Some(true) {
            return true;
        }
        if over || changes.changed().await.is_err() {
            return false;
        }
    }
}

async fn read(state: &AppState, job: &Arc<Job>, index: usize) -> io::Result<Bytes> {
    if let Some(bytes) = state.jobs().segment_at_hand(job, index) {
        return Ok(bytes);
    }
    let (state, job) = (state.clone(), Arc::clone(job));
    let read = tokio::task::spawn_blocking(move || state.jobs().segment(&job, index)).await;
    read.map_err(io::Error::other)?.map_err(io::Error::other)
}
