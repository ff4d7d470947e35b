//! The sockets: how many there are, and how long a client may take.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use super::stall::TakingStream;

/// How long a client may take for what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the headers of a request, and between two requests of a connection. Default 30 s.
    pub headers: Duration,
    /// For each further 4 KiB of a request's body. Default 30 s.
    pub upload: Duration,
    /// For each further 4 KiB of frames that come from outside: whoever makes them may be slow. Default 10 min.
    pub frames: Duration,
    /// Without taking anything of an answer. Default 60 s.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            headers: Duration::from_secs(30),
            upload: Duration::from_secs(30),
            frames: Duration::from_secs(600),
            answer: Duration::from_secs(60),
        }
    }
}

/// One of the connections that may exist; in the extensions of each request.
///
/// An event stream outlives the HTTP connection that it was made from, and keeps this for as long.
#[derive(Debug, Clone)]
pub(super) struct Slot(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// Requests with longer headers than this many bytes are refused.
const MAX_HEADERS: usize = 64 << 10;

/// How many clients are told at a time that there is no room.
const REFUSALS: usize = 32;

/// Accepts connections until `closing` says so, and returns when all of them have ended.
///
/// One more than `max_connections` is told so and closed: waiting in the system's queue, it would look dead.
pub(super) async fn serve(
    listener: TcpListener,
    router: Router,
    max_connections: usize,
    timeouts: Timeouts,
    mut closing: watch::Receiver<bool>,
) {
    let slots = Arc::new(Semaphore::new(max_connections));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // No file handles left, or the client is gone already: neither is the end.
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            _ = closed(&mut closing) => break,
        };
        // Small packets (the first ones of a held segment, events) must not wait for larger ones.
        let _ = stream.set_nodelay(true);
        match Arc::clone(&slots).try_acquire_owned() {
            Ok(slot) => {
                let slot = Slot(Arc::new(slot));
                tokio::spawn(connection(stream, router.clone(), slot, timeouts, closing.clone()));
            }
            Err(_) => {
                if let Ok(turn) = Arc::clone(&refusals).try_acquire_owned() {
                    tokio::spawn(refuse(stream, turn));
                }
            }
        }
    }
    drop(listener);
    // Every one of them: then no connection is left.
    if let Ok(all) = u32::try_from(max_connections) {
        let _ = slots.acquire_many(all).await;
    }
}

async fn connection(
    stream: TcpStream,
    router: Router,
    slot: Slot,
    timeouts: Timeouts,
    mut closing: watch::Receiver<bool>,
) {
    let io = TokioIo::new(TakingStream::new(stream, timeouts.answer));
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(slot.clone());
        let answer = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answer.await.unwrap_or_else(|never| match never {})) }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(timeouts.headers)
        .max_buf_size(MAX_HEADERS)
        .serve_connection(io, service)
        .with_upgrades();
    let mut serving = std::pin::pin!(serving);
    // What goes wrong on a connection is the client's matter: it is gone, or it does not speak HTTP.
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = closed(&mut closing) => {}
    }
    serving.as_mut().graceful_shutdown();
    let _ = serving.await;
}

/// Says that there is no room, in words that a client understands before it has finished asking.
async fn refuse(mut stream: TcpStream, turn: OwnedSemaphorePermit) {
    const BODY: &str = "{\"type\":\"urn:headcast:problem:too_many_connections\",\"title\":\"Service Unavailable\",\
        \"status\":503,\"detail\":\"this server has as many connections as it takes; try again in a moment\",\
        \"code\":\"too_many_connections\"}";
    let answer = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         retry-after: 5\r\ncache-control: no-store\r\nconnection: close\r\n\r\n{BODY}",
        BODY.len()
    );
    let say = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        // Closing with something unread would reset the connection, and the answer could be lost.
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        Ok::<_, std::io::Error>(())
    };
    let _ = timeout(Duration::from_secs(1), say).await;
    drop(turn);
}

/// Resolves when the server ends, or is gone.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    let _ = closing.wait_for(|closing| *closing).await;
}
