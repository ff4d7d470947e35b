//! Clients that send or take nothing do not stay.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::Stream;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

/// A body came too slowly. It is the source of whatever error the reader of the body reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("less than {STEP} bytes came within {} seconds", .0.as_secs())]
pub(super) struct Stalled(Duration);

/// What has to arrive within the limit, or the end: less is a client that only keeps the line busy.
const STEP: usize = 4096;

impl Stalled {
    /// Whether this is why `error` happened.
    pub(super) fn caused(error: &(dyn std::error::Error + 'static)) -> bool {
        let mut cause = Some(error);
        while let Some(error) = cause {
            if error.is::<Self>() {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// Gives the bodies of a route's requests this limit.
pub(super) async fn limit(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    next.run(request.map(|body| Body::from_stream(Patient::new(body, limit)))).await
}

/// A body that fails with [`Stalled`] when less than [`STEP`] bytes come within the limit.
///
/// Only the time that is spent waiting for the client counts, not what the server does with the bytes.
struct Patient {
    body: BodyDataStream,
    limit: Duration,
    /// Since the last whole step.
    bytes: usize,
    /// What is left of the limit for this step.
    left: Duration,
    /// When the wait that is going on began.
    waiting: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl Patient {
    fn new(body: Body, limit: Duration) -> Self {
        let timer = Box::pin(sleep(limit));
        Self { body: body.into_data_stream(), limit, bytes: 0, left: limit, waiting: None, timer }
    }
}

impl Stream for Patient {
    type Item = Result<Bytes, axum::BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(piece) = Pin::new(&mut self.body).poll_next(context) {
            if let Some(began) = self.waiting.take() {
                self.left = self.left.saturating_sub(began.elapsed());
            }
            self.bytes += piece.as_ref().and_then(|piece| piece.as_ref().ok()).map_or(0, Bytes::len);
            if self.bytes >= STEP {
                (self.bytes, self.left) = (0, self.limit);
            }
            return Poll::Ready(piece.map(|piece| piece.map_err(Into::into)));
        }
        if self.waiting.is_none() {
            let now = Instant::now();
            let deadline = now + self.left;
            self.waiting = Some(now);
            self.timer.as_mut().reset(deadline);
        }
        ready!(self.timer.as_mut().poll(context));
        Poll::Ready(Some(Err(Stalled(self.limit).into())))
    }
}

/// A connection whose writing fails when the client takes nothing for as long as the limit.
#[derive(Debug)]
pub(super) struct TakingStream<S> {
    stream: S,
    limit: Duration,
    /// Runs while a write waits for the client.
    timer: Option<Pin<Box<Sleep>>>,
}

impl<S> TakingStream<S> {
    pub(super) fn new(stream: S, limit: Duration) -> Self {
        Self { stream, limit, timer: None }
    }

    fn watch<T>(&mut self, context: &mut Context<'_>, result: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if result.is_ready() {
            self.timer = None;
            return result;
        }
        let limit = self.limit;
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(timer.as_mut().poll(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TakingStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TakingStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.watch(context, result)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        self.watch(context, result)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_flush(context);
        self.watch(context, result)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let result = Pin::new(&mut self.stream).poll_shutdown(context);
        self.watch(context, result)
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};
    use tokio::io::AsyncWriteExt;

    use super::*;

    const LIMIT: Duration = Duration::from_millis(200);

    /// A body of pieces of this many bytes, each after this many milliseconds.
    fn slow(pieces: usize, bytes: usize, millis: u64) -> Patient {
        let body = stream::iter(0..pieces).then(move |_| async move {
            sleep(Duration::from_millis(millis)).await;
            Ok::<_, io::Error>(vec![0; bytes])
        });
        Patient::new(Body::from_stream(body), LIMIT)
    }

    async fn read(mut body: Patient) -> Result<usize, axum::BoxError> {
        let mut total = 0;
        while let Some(bytes) = body.next().await {
            total += bytes?.len();
        }
        Ok(total)
    }

    #[tokio::test]
    async fn a_trickle_is_a_stall_and_a_steady_stream_is_none() {
        assert_eq!(read(slow(8, STEP, 50)).await.unwrap(), 8 * STEP);
        for stalled in [slow(100, 1, 10), slow(1, 1, 1000)] {
            let error = read(stalled).await.unwrap_err();
            assert!(Stalled::caused(&*error), "{error}");
        }
        assert!(!Stalled::caused(&io::Error::other("something else")));
    }

    #[tokio::test]
    async fn time_that_the_reader_takes_does_not_count() {
        let mut body = slow(3, 10, 0);
        while let Some(bytes) = body.next().await {
            bytes.unwrap();
            sleep(LIMIT).await;
        }
    }

    #[tokio::test]
    async fn who_takes_nothing_is_let_go() {
        let (ours, theirs) = tokio::io::duplex(64);
        let mut ours = TakingStream::new(ours, LIMIT);
        ours.write_all(&[0; 64]).await.unwrap();
        assert_eq!(ours.write_all(&[0; 1]).await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        drop(theirs);
    }
}
