//! `video.mp4`: the same pictures and sound in one file, put together while it is sent.

use std::fmt::Write;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::stream;
use headcast::media::mp4::Layout;

use super::AppState;
use super::jobs::find;
use super::playlist::ended;
use super::problem::Problem;
use super::range;
use crate::jobs::{Job, State as JobState};

/// How long an answer is kept that is named after its video: that may be renamed any time.
pub(super) const NAMED: &str = "no-store";

/// The whole file or one range of it; with `?download` browsers save it under a name of its own.
pub(super) async fn mp4(
    State(state): State<AppState>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let job = find(&state, &id)?;
    let asks = |name: &str| {
        let mut parts = query.as_deref().unwrap_or_default().split('&');
        parts.any(|part| part.split('=').next() == Some(name))
    };
    let download = asks("download");
    match job.state() {
        JobState::Done => {}
        _ if asks("partial") => return partial(state, job, download).await,
        over if over.is_over() => return Err(ended(&job)),
        _ => {
            return Err(Problem::new(
                StatusCode::CONFLICT,
                "not_done",
                "the video is still being made; ask again when the job is done",
            )
            .retry_after(5));
        }
    }
    whole(state, job, &headers, download).await
}

/// The file of a finished job, or the range of it that `headers` ask for.
pub(super) async fn whole(
    state: AppState,
    job: Arc<Job>,
    headers: &HeaderMap,
    download: bool,
) -> Result<Response, Problem> {
    let layout = state.jobs().mp4(&job).await.map_err(|error| {
        // A segment was lost that cannot be made again.
        if job.state() == JobState::Failed { ended(&job) } else { Problem::internal(error) }
    })?;
    let length = layout.total_len();

    // The bytes never change, so the job's name is their tag.
    let etag = format!("\"{}\"", job.id());
    let mut answer = HeaderMap::new();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    let cache = if download { NAMED } else { "private, max-age=31536000, immutable" };
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if download {
        let disposition =
            HeaderValue::try_from(disposition(&file_name(&job, ""))).map_err(Problem::internal)?;
        answer.insert(header::CONTENT_DISPOSITION, disposition);
    }

    range::serve(headers, &etag, length, answer, |range| body(state, job, layout, range))
}

/// What is made from the start without a hole, whole: the next request may get more, so there are no ranges.
async fn partial(state: AppState, job: Arc<Job>, download: bool) -> Result<Response, Problem> {
    let layout = {
        let (state, job) = (state.clone(), Arc::clone(&job));
        tokio::task::spawn_blocking(move || state.jobs().partial_mp4(&job))
            .await
            .map_err(Problem::internal)?
    };
    let layout = layout.map_err(Problem::internal)?.ok_or_else(|| {
        let detail = "the beginning of the video is not made yet; ask again later";
        Problem::new(StatusCode::CONFLICT, "nothing_made", detail).retry_after(5)
    })?;
    let length = layout.total_len();
    let mut answer = HeaderMap::new();
    answer.insert(header::CONTENT_TYPE, HeaderValue::from_static("video/mp4"));
    answer.insert(header::ACCEPT_RANGES, HeaderValue::from_static("none"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    if download {
        let disposition =
            HeaderValue::try_from(disposition(&file_name(&job, "-partial"))).map_err(Problem::internal)?;
        answer.insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok((answer, body(state, job, layout, 0..length)).into_response())
}

/// `range` of the file, one segment in memory at a time.
fn body(state: AppState, job: Arc<Job>, layout: Arc<Layout>, range: Range<u64>) -> Body {
    let header = layout.header();
    let header_len = header.len() as u64;
    let segments = layout.segments_in(range.clone());
    let start = cut(&header, 0, &range);
    let rest = stream::unfold(segments, move |mut left| {
        let (state, job, layout, range) =
            (state.clone(), Arc::clone(&job), Arc::clone(&layout), range.clone());
        async move {
            let index = left.next()?;
            Some((payload(&state, &job, &layout, index, &range).await, left))
        }
    });
    let first = (!start.is_empty() && header_len > 0).then_some(Ok(start));
    Body::from_stream(futures_util::StreamExt::chain(stream::iter(first), rest))
}

async fn payload(
    state: &AppState,
    job: &Arc<Job>,
    layout: &Arc<Layout>,
    index: usize,
    range: &Range<u64>,
) -> io::Result<Bytes> {
    let segment = {
        let (state, job) = (state.clone(), Arc::clone(job));
        let read = tokio::task::spawn_blocking(move || state.jobs().segment_in_passing(&job, index)).await;
        read.map_err(io::Error::other)?.map_err(io::Error::other)?
    };
    let payload = layout.payload(index, &segment).map_err(io::Error::other)?;
    let place = layout.payload_range(index).ok_or_else(|| io::Error::other("no such segment"))?;
    Ok(cut(&payload, place.start, range))
}

/// The part of `bytes`, which lie at `start` in the file, that is inside `range`.
fn cut(bytes: &Bytes, start: u64, range: &Range<u64>) -> Bytes {
    let inside = |position: u64| {
        let offset = position.saturating_sub(start);
        usize::try_from(offset).map_or(bytes.len(), |offset| offset.min(bytes.len()))
    };
    bytes.slice(inside(range.start)..inside(range.end).max(inside(range.start)))
}

/// The file's name: as the video is called, else after the recording and the avatar.
pub(super) fn file_name(job: &Job, suffix: &str) -> String {
    format!("{}{suffix}.mp4", file_stem(job))
}

/// The same without its ending.
pub(super) fn file_stem(job: &Job) -> String {
    let is_spoken = job.request().script.as_ref().is_some_and(|script| script.voice.is_some());
    if job.title().is_none() && !is_spoken {
        return recording_stem(job);
    }
    // No path on any system, and no hidden file.
    let stem = job.name().replace(['/', '\\', ':', '*', '?', '"', '<', '>', '|'], "_");
    let stem = stem.trim_start_matches('.').trim_end_matches(['.', '…', ' ']);
    if stem.is_empty() { recording_stem(job) } else { stem.to_owned() }
}

/// Named after the recording and the avatar, whatever the video is called now.
pub(super) fn recording_stem(job: &Job) -> String {
    let request = job.request();
    let stem = request.audio_name.rsplit_once('.').map_or(request.audio_name.as_str(), |(stem, _)| stem);
    // Frames from outside have no avatar.
    let dash = if request.avatar.is_empty() { "" } else { "-" };
    format!("{stem}{dash}{}", request.avatar)
}

/// `attachment` under a name (RFC 6266, with the RFC 8187 form for what is not ASCII).
pub(super) fn disposition(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "-_. ()".contains(c) { c } else { '_' })
        .collect();
    let mut text = format!("attachment; filename=\"{plain}\"; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.".contains(&byte) {
            text.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_is_what_both_have() {
        let bytes = Bytes::from_static(b"456789");
        assert_eq!(cut(&bytes, 4, &(0..100)), "456789");
        assert_eq!(cut(&bytes, 4, &(6..8)), "67");
        assert_eq!(cut(&bytes, 4, &(0..4)), "");
        assert_eq!(cut(&bytes, 4, &(10..12)), "");
    }
}
