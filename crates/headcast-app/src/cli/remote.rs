//! A running server, spoken to over plain HTTP: makes a job, brings its frames, ends it.

use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, Uri, header};
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::failure::Failure;
use crate::jobs::Pushed;

/// Frames under way to the connection; the rest waits in the program that makes them.
const FRAMES: usize = 2;

/// Largest answer that is read, in bytes: a job of a day has some hundred kilobytes.
const MAX_ANSWER: usize = 16 << 20;

/// How long a job may take to read its sound before frames are taken.
const TRIES: usize = 60;

/// A server, and perhaps the secret that it asks for.
#[derive(Debug)]
pub(super) struct Remote {
    runtime: Runtime,
    host: String,
    port: u16,
    token: Option<String>,
}

/// A job on that server.
#[derive(Debug)]
pub(super) struct RemoteJob {
    pub(super) id: String,
    pub(super) next_frame: u64,
    pub(super) total: Option<u64>,
}

/// What the server answered.
type Answer = (StatusCode, Value);

impl Remote {
    /// The server at `url`, and the job that the address names, if it names one.
    pub(super) fn at(url: &str, token: Option<String>) -> Result<(Self, Option<String>), Failure> {
        let wrong = |reason: &str| Failure::input(format!("--job {url:?} cannot be used: {reason}"));
        let uri: Uri = url.parse().map_err(|_bad| wrong("use an address such as http://127.0.0.1:7860"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => {
                return Err(wrong("https is not spoken here; use the http address behind the proxy"));
            }
            _ => return Err(wrong("begin with http://")),
        }
        let host = uri.host().ok_or_else(|| wrong("it names no machine"))?.to_owned();
        let port = uri.port_u16().unwrap_or(80);
        let job = match uri.path() {
            "" | "/" => None,
            path => {
                let id = path.strip_prefix("/j/").or_else(|| path.strip_prefix("/api/v1/jobs/"));
                let id = id.filter(|id| id.parse::<crate::jobs::JobId>().is_ok());
                Some(id.ok_or_else(|| wrong("it is neither a server nor the page of a job"))?.to_owned())
            }
        };
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(Failure::machine)?;
        Ok((Self { runtime, host, port, token }, job))
    }

    /// `host:port`, as a browser has it.
    pub(super) fn authority(&self) -> String {
        if self.port == 80 { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Makes a job for these frames, with the sound of a file if there is one.
    pub(super) fn create(&self, pushed: &Pushed, audio: Option<&Path>) -> Result<RemoteJob, Failure> {
        let rate = pushed.frame_rate;
        let mut wish = json!({
            "size": format!("{}x{}", pushed.width, pushed.height),
            "fps": format!("{}/{}", rate.num(), rate.den()),
            "pix_fmt": pushed.format.name(),
        });
        if let Some(path) = audio {
            wish["upload"] = self.upload(path)?["id"].take();
        }
        if let Some(frames) = pushed.frames {
            wish["frames"] = frames.into();
        }
        let answer = self.ask(Method::POST, "/api/v1/jobs", "application/json", wish.to_string().into())?;
        self.opened(job_id(&answer)?)
    }

    /// A job that is there, once it takes frames.
    pub(super) fn opened(&self, id: String) -> Result<RemoteJob, Failure> {
        for _ in 0..TRIES {
            let job = self.ask(Method::GET, &format!("/api/v1/jobs/{id}"), "", Body::empty())?;
            if let Some(error) = job["error"]["detail"].as_str() {
                return Err(Failure::input(error));
            }
            let Some(next_frame) = job["frames"]["next_frame"].as_u64() else {
                return Err(Failure::input(format!(
                    "the frames of job {id} are rendered by the server itself"
                )));
            };
            if let Some(total) = job["clip"]["frames"].as_u64() {
                return Ok(RemoteJob { id, next_frame, total: Some(total) });
            }
            std::thread::sleep(Duration::from_millis(500));
        }
        Err(Failure::machine("the server does not open the job; look at its page"))
    }

    fn upload(&self, path: &Path) -> Result<Value, Failure> {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let open = self.runtime.block_on(tokio::fs::File::open(path));
        let file = open.map_err(|error| super::render::unreadable(path, &error))?;
        let pieces = stream::try_unfold(file, |mut file| async move {
            let mut piece = BytesMut::with_capacity(64 << 10);
            let read = file.read_buf(&mut piece).await?;
            Ok::<_, std::io::Error>((read > 0).then(|| (piece.freeze(), file)))
        });
        let address = format!("/api/v1/uploads?name={}", percent(&name));
        self.ask(Method::POST, &address, "application/octet-stream", Body::from_stream(pieces))
    }

    /// Begins to bring frames.
    pub(super) fn push(&self, job: &RemoteJob) -> Pusher<'_> {
        let (frames, receive) = mpsc::channel::<Bytes>(FRAMES);
        let body = stream::unfold(receive, |mut receive| async move {
            Some((Ok::<_, std::convert::Infallible>(receive.recv().await?), receive))
        });
        let path = format!("/api/v1/jobs/{}/frames?first={}", job.id, job.next_frame);
        let request = self.request(Method::POST, &path, "application/octet-stream", Body::from_stream(body));
        let address = (self.host.clone(), self.port);
        let answer = self.runtime.spawn(async move { send(address, request?).await });
        Pusher { remote: self, id: job.id.clone(), frames: Some(frames), answer: Some(answer) }
    }

    fn ask(&self, method: Method, path: &str, content_type: &str, body: Body) -> Result<Value, Failure> {
        let request = self.request(method, path, content_type, body)?;
        let answer = self.runtime.block_on(send((self.host.clone(), self.port), request))?;
        success(answer)
    }

    fn request(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Body,
    ) -> Result<Request<Body>, Failure> {
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, self.authority());
        if !content_type.is_empty() {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        if let Some(token) = &self.token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        request.body(body).map_err(|error| Failure::input(format!("the request cannot be made: {error}")))
    }
}

/// Brings frames over one connection.
#[derive(Debug)]
pub(super) struct Pusher<'a> {
    remote: &'a Remote,
    id: String,
    frames: Option<mpsc::Sender<Bytes>>,
    answer: Option<JoinHandle<Result<Answer, Failure>>>,
}

impl Pusher<'_> {
    /// Sends a frame; waits while the server encodes.
    pub(super) fn write(&mut self, frame: &[u8]) -> Result<(), Failure> {
        let frames = self.frames.as_ref();
        let sent = frames.is_some_and(|frames| frames.blocking_send(Bytes::copy_from_slice(frame)).is_ok());
        if sent {
            return Ok(());
        }
        self.frames = None;
        self.answered()?;
        Err(Failure::machine("the server takes no more frames"))
    }

    /// There are no more frames.
    pub(super) fn finish(mut self) -> Result<Value, Failure> {
        self.frames = None;
        let job = self.answered()?;
        if job["state"] == "done" || job["frames"]["next_frame"] == job["clip"]["frames"] {
            return Ok(job);
        }
        self.remote.ask(Method::POST, &format!("/api/v1/jobs/{}/end", self.id), "", Body::empty())
    }

    /// The frames will not come, for `reason`.
    pub(super) fn give_up(mut self, reason: &str) -> Result<Value, Failure> {
        self.frames = None;
        // What was sent is taken before the job is over. How that went is no news.
        let _ = self.answered();
        let body = json!({ "reason": reason }).to_string();
        let path = format!("/api/v1/jobs/{}/fail", self.id);
        self.remote.ask(Method::POST, &path, "application/json", body.into())
    }

    fn answered(&mut self) -> Result<Value, Failure> {
        let Some(answer) = self.answer.take() else { return Ok(Value::Null) };
        success(self.remote.runtime.block_on(answer).map_err(Failure::machine)??)
    }
}

/// One request on a connection of its own.
async fn send((host, port): (String, u16), request: Request<Body>) -> Result<Answer, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::machine(format!("the server at {host}:{port} cannot be reached: {error}"))
    };
    // An address in brackets is a name to a browser and none to the system.
    let name = host.trim_start_matches('[').trim_end_matches(']');
    let stream = TcpStream::connect((name, port)).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = answer.status();
    let mut pieces = Body::new(answer.into_body()).into_data_stream();
    let mut body = Vec::new();
    while let Some(piece) = pieces.next().await {
        body.extend_from_slice(&piece.map_err(|error| failed(&error))?);
        if body.len() > MAX_ANSWER {
            return Err(Failure::machine(format!("what answers at {host}:{port} is no headcast server")));
        }
    }
    connection.abort();
    Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
}

fn success((status, value): Answer) -> Result<Value, Failure> {
    if status.is_success() {
        return Ok(value);
    }
    let detail = value["detail"].as_str().map_or_else(|| format!("it answered {status}"), str::to_owned);
    Err(match status {
        StatusCode::UNAUTHORIZED => {
            Failure::input("the server asks for a secret; give its token with --token")
        }
        status if status.is_client_error() => Failure::input(format!("the server says: {detail}")),
        _ => Failure::machine(format!("the server says: {detail}")),
    })
}

fn job_id(job: &Value) -> Result<String, Failure> {
    let id = job["id"].as_str().map(str::to_owned);
    id.ok_or_else(|| Failure::machine("what answers there is no headcast server"))
}

/// For the part after a `?`.
fn percent(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_a_server_or_a_job() {
        let at = |url: &str| Remote::at(url, None).map(|(remote, job)| (remote.authority(), job));
        assert_eq!(at("http://127.0.0.1:7860").unwrap(), ("127.0.0.1:7860".to_owned(), None));
        assert_eq!(at("http://face.example/").unwrap(), ("face.example".to_owned(), None));
        let id = "abcdefghijklmnop";
        for path in ["/j/", "/api/v1/jobs/"] {
            let found = at(&format!("http://[::1]:7860{path}{id}")).unwrap();
            assert_eq!(found, ("[::1]:7860".to_owned(), Some(id.to_owned())));
        }
        for wrong in
            ["", "127.0.0.1:7860", "https://face.example", "ftp://x/", "http://x/j/short", "http://x/other"]
        {
            assert!(at(wrong).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(percent("a b&c=讲.wav"), "a%20b%26c%3D%E8%AE%B2.wav");
    }
}
