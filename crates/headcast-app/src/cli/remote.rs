//! A running server, spoken to over plain HTTP: makes a job, says where it is.

use std::path::Path;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, Uri, header};
use bytes::BytesMut;
use futures_util::{StreamExt, stream};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::failure::Failure;
use crate::jobs::{Count, Pushed};

/// Largest answer that is read, in bytes: a job of a day has some hundred kilobytes.
const MAX_ANSWER: usize = 16 << 20;

/// How long a server may take to say that another connection is in the way of a new one.
const OPENING: Duration = Duration::from_secs(10);

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
    /// Frames of the clip; `None` while its length is open.
    pub(super) total: Option<u64>,
    /// Bytes of one frame.
    pub(super) frame_bytes: Option<u64>,
    /// Whether all of it is made.
    pub(super) done: bool,
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
        if let Count::Known(frames) = pushed.count {
            wish["frames"] = frames.into();
        }
        let answer = self.ask(Method::POST, "/api/v1/jobs", "application/json", wish.to_string().into())?;
        self.opened(job_id(&answer)?)
    }

    /// A job that is there, once it takes frames.
    pub(super) fn opened(&self, id: String) -> Result<RemoteJob, Failure> {
        for _ in 0..TRIES {
            let job = match self.status(&id, None) {
                Ok(job) => job,
                Err(Trouble::Line(why)) => return Err(Failure::Machine(why)),
                Err(Trouble::Final(failure)) => return Err(failure),
            };
            if job.connected {
                // It would be taken over from whoever it is.
                return Err(Failure::input(format!(
                    "somebody else is sending frames to job {id}; stop that program first, or make a job of your own"
                )));
            }
            if job.open {
                let JobStatus { next_frame, total, frame_bytes, done, .. } = job;
                return Ok(RemoteJob { id, next_frame, total, frame_bytes, done });
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

    /// Runs to its end what waits.
    pub(super) fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// Sends `body` on another thread. With `patient`, an answer of which the reason passes is [`Trouble::Line`].
    pub(super) fn spawn(&self, path: &str, body: Body, patient: bool) -> JoinHandle<Result<Value, Trouble>> {
        let request = self.request(Method::POST, path, "application/octet-stream", body);
        let address = (self.host.clone(), self.port);
        self.runtime.spawn(async move {
            let began = Instant::now();
            let answer = send(address, request.map_err(Trouble::Final)?).await.map_err(Trouble::Line)?;
            // Later it is somebody who has taken over on purpose.
            judged(answer, patient && began.elapsed() < OPENING)
        })
    }

    /// Where a job is; waits `patience` at most.
    pub(super) fn status(&self, id: &str, patience: Option<Duration>) -> Result<JobStatus, Trouble> {
        let path = format!("/api/v1/jobs/{id}");
        JobStatus::of(&self.try_ask(Method::GET, &path, "", Body::empty(), patience)?)
    }

    /// A question that can be asked again when the line is broken.
    pub(super) fn try_ask(
        &self,
        method: Method,
        path: &str,
        content_type: &str,
        body: Body,
        patience: Option<Duration>,
    ) -> Result<Value, Trouble> {
        let request = self.request(method, path, content_type, body).map_err(Trouble::Final)?;
        let sent = send((self.host.clone(), self.port), request);
        let answer = self.runtime.block_on(async {
            match patience {
                None => sent.await,
                Some(patience) => match tokio::time::timeout(patience, sent).await {
                    Ok(answer) => answer,
                    Err(_elapsed) => Err(format!("the server at {} does not answer", self.authority())),
                },
            }
        });
        judged(answer.map_err(Trouble::Line)?, true)
    }

    fn ask(&self, method: Method, path: &str, content_type: &str, body: Body) -> Result<Value, Failure> {
        let request = self.request(method, path, content_type, body)?;
        let answer = self.runtime.block_on(send((self.host.clone(), self.port), request));
        success(answer.map_err(Failure::Machine)?)
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

/// What a server says of a job whose frames come from outside.
#[derive(Debug)]
pub(super) struct JobStatus {
    /// Index of the frame that is expected.
    pub(super) next_frame: u64,
    /// Frames of the clip, once the job is opened; `None` while its length is open.
    pub(super) total: Option<u64>,
    /// Frames before this are in finished segments: they survive the server.
    pub(super) made_frames: u64,
    /// Bytes of a frame.
    pub(super) frame_bytes: Option<u64>,
    /// Whether the server sees somebody who sends frames.
    pub(super) connected: bool,
    /// Whether it takes frames.
    pub(super) open: bool,
    /// Whether all of it is made.
    pub(super) done: bool,
}

impl JobStatus {
    /// Reads the answer.
    ///
    /// # Errors
    /// [`Trouble::Final`] when the job is over without being done, or is none for frames.
    pub(super) fn of(job: &Value) -> Result<Self, Trouble> {
        if let Some(error) = job["error"]["detail"].as_str() {
            return Err(Trouble::Final(Failure::input(error)));
        }
        if job["state"] == "cancelled" {
            return Err(Trouble::Final(Failure::input("the job was cancelled")));
        }
        let Some(next_frame) = job["frames"]["next_frame"].as_u64() else {
            return Err(Trouble::Final(Failure::input(
                "the frames of this job are rendered by the server itself",
            )));
        };
        let clip = &job["clip"];
        Ok(Self {
            next_frame,
            total: clip["frames"].as_u64().filter(|_| clip["open"] != true),
            made_frames: made_frames(clip).unwrap_or(0),
            frame_bytes: job["frames"]["frame_bytes"].as_u64(),
            connected: job["frames"]["connected"] == true,
            open: clip.is_object(),
            done: job["state"] == "done",
        })
    }
}

/// Frames of the segments that are there from the start on.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a day has 21 million frames, and a cast of a float stays within its type"
)]
fn made_frames(clip: &Value) -> Option<u64> {
    let ready = &clip["ready"][0];
    if ready[0].as_u64()? != 0 {
        return None;
    }
    let last = usize::try_from(ready[1].as_u64()?).ok()?.checked_sub(1)?;
    let end_secs = clip["segment_ends"][last].as_f64()?;
    Some((end_secs * clip["frame_rate"].as_f64()?).round() as u64)
}

/// Why something did not work.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The connection, or a server that is not there for a moment: worth another try.
    Line(String),
    /// Another try would end the same.
    Final(Failure),
}

impl Trouble {
    pub(super) fn line(why: impl Into<String>) -> Self {
        Self::Line(why.into())
    }
}

/// What an answer means for somebody who can ask again. With `patient`, also what another sender is in the way of (it
/// may be the connection that broke, which the server has not noticed yet), and frames that are wanted again.
fn judged((status, value): Answer, patient: bool) -> Result<Value, Trouble> {
    let code = value["code"].as_str().unwrap_or_default();
    let passes = match status {
        // 502 and 504 come from a proxy without a server behind it.
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => true,
        _ if ["upload_stalled", "body_broken"].contains(&code) => true,
        _ => patient && ["frames_busy", "frames_position", "frames_lost"].contains(&code),
    };
    match success((status, value)) {
        Ok(value) => Ok(value),
        Err(failure) if passes => Err(Trouble::Line(failure.reason().to_owned())),
        Err(failure) => Err(Trouble::Final(failure)),
    }
}

/// One request on a connection of its own.
async fn send((host, port): (String, u16), request: Request<Body>) -> Result<Answer, String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("the server at {host}:{port} cannot be reached: {error}");
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
            return Err(format!("what answers at {host}:{port} is no headcast server"));
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
    fn a_job_says_what_it_cannot_want_again() {
        let mut job = json!({
            "state": "rendering",
            "frames": {"next_frame": 70, "frame_bytes": 9216, "connected": true},
            "clip": {
                "frames": 120,
                "frame_rate": 30_000.0 / 1001.0,
                "ready": [[0, 2], [3, 4]],
                "segment_ends": [8.0 * 1.001 / 30.0, 24.0 * 1.001 / 30.0, 56.0 * 1.001 / 30.0, 120.0 * 1.001 / 30.0],
            },
        });
        let status = JobStatus::of(&job).unwrap();
        assert_eq!((status.next_frame, status.made_frames, status.total), (70, 24, Some(120)));
        assert!(status.open && status.connected && !status.done);
        // The first segment is missing, or there is none, or nothing is known yet.
        for (clip, open) in [
            (json!({"frames": 120, "frame_rate": 25.0, "ready": [[1, 2]], "segment_ends": [1.0, 2.0]}), true),
            (json!({"frames": 120, "frame_rate": 25.0, "ready": [], "segment_ends": [1.0, 2.0]}), true),
            (Value::Null, false),
        ] {
            job["clip"] = clip;
            let status = JobStatus::of(&job).unwrap();
            assert_eq!((status.made_frames, status.open), (0, open), "{job}");
        }
        job["error"] = json!({"detail": "the disk is full"});
        assert!(
            matches!(JobStatus::of(&job), Err(Trouble::Final(failure)) if failure.reason() == "the disk is full")
        );
    }

    #[test]
    fn what_passes_is_tried_again() {
        let line = |status: u16, code: &str, patient| {
            let answer = (StatusCode::from_u16(status).unwrap(), json!({"code": code, "detail": "words"}));
            matches!(judged(answer, patient), Err(Trouble::Line(why)) if why.contains("words"))
        };
        assert!(line(503, "stopping", false) && line(502, "", false) && line(408, "upload_stalled", false));
        assert!(line(409, "frames_busy", true) && line(409, "frames_position", true));
        assert!(line(409, "frames_lost", true));
        assert!(!line(409, "frames_busy", false), "somebody else's job is left alone");
        assert!(!line(409, "job_over", true) && !line(404, "job_not_found", true) && !line(401, "", true));
        assert!(!line(507, "disk", true) && !line(400, "frame_partial", true));
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(percent("a b&c=讲.wav"), "a%20b%26c%3D%E8%AE%B2.wav");
    }
}
