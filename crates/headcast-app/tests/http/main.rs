//! The HTTP interface, against a studio whose speed the tests decide.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod access;
mod cut;
mod double;
mod events;
mod gradio;
mod inspections;
mod interface;
mod jobs;
mod openapi;
mod page;
mod push;
mod rename;
mod restart;
mod segments;
mod slow;
mod speech;
mod stages;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode, header};
use bytes::Bytes;
use double::{Double, Gate};
use headcast_app::jobs::Limits;
use headcast_app::server::{AppState, Config, router};
use headcast_app::voices::Voices;
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// A server without a socket.
struct Bench {
    router: Router,
    state: AppState,
    gate: Arc<Gate>,
    dir: Arc<tempfile::TempDir>,
    voices: Option<Arc<Voices>>,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Bench {
    /// No frame gets through until the gate says so.
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn open() -> Self {
        let bench = Self::new();
        bench.gate.open();
        bench
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(Arc::new(tempfile::tempdir().unwrap()), change)
    }

    /// The next process on the same data folder.
    async fn restart(self, change: impl FnOnce(&mut Config)) -> Self {
        let state = self.state.clone();
        let stopping = tokio::task::spawn_blocking(move || state.jobs().stop());
        // A frame that is under way is let through, as it would be.
        tokio::time::sleep(Duration::from_millis(50)).await;
        self.gate.open();
        stopping.await.unwrap();
        let (dir, voices) = (Arc::clone(&self.dir), self.voices.clone());
        drop(self);
        Self::speaking(dir, voices, change)
    }

    fn on(dir: Arc<tempfile::TempDir>, change: impl FnOnce(&mut Config)) -> Self {
        Self::speaking(dir, None, change)
    }

    /// With voices that speak texts.
    fn speaking(
        dir: Arc<tempfile::TempDir>,
        voices: Option<Arc<Voices>>,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut config = Config {
            data_dir: dir.path().to_owned(),
            max_audio_bytes: 5000,
            max_features_bytes: 3000,
            limits: Limits { waiting: 3, ..Limits::default() },
            playlist_wait: Duration::from_secs(20),
            ..Config::default()
        };
        change(&mut config);
        let mut studio = Double::default();
        studio.voices.clone_from(&voices);
        let gate = Arc::clone(&studio.gate);
        let state = AppState::new(config, Arc::new(studio)).unwrap();
        Self { router: router(state.clone()), state, gate, dir, voices }
    }

    async fn send(&self, request: Request<Body>) -> axum::response::Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.send(request).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.ask(request(Method::GET, path)).await
    }

    async fn upload(&self, fields: &[Field<'_>]) -> Answer {
        self.ask(form(fields)).await
    }

    /// A job of `frames` frames.
    async fn job(&self, frames: usize) -> String {
        self.named_job("speech.wav", frames).await
    }

    async fn named_job(&self, name: &str, frames: usize) -> String {
        let answer = self.upload(&[Field::file("audio", name, &vec![b'x'; frames])]).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{:?}", answer.body);
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the job is in this state.
    async fn until(&self, id: &str, state: &str) -> Value {
        for _ in 0..3000 {
            let job = self.get(&format!("/api/v1/jobs/{id}")).await.json();
            if job["state"] == state {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("job {id} never was {state}");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Or the worker would wait for a frame for ever, and everyone for the worker.
        self.gate.open();
    }
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that this is a problem document, and returns its code.
    fn problem(&self, status: u16) -> String {
        let body = self.json();
        assert_eq!(self.status.as_u16(), status, "{body}");
        assert_eq!(self.header(header::CONTENT_TYPE), "application/problem+json");
        assert_eq!(body["status"], status);
        assert!(body["detail"].as_str().unwrap().len() > 10, "{body}");
        assert!(body["type"].is_string() && body["title"].is_string());
        body["code"].as_str().unwrap().to_owned()
    }
}

fn request(method: Method, path: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost:7860")
        .body(Body::empty())
        .unwrap()
}

/// One field of a form.
#[derive(Clone)]
struct Field<'a> {
    name: &'a str,
    file_name: Option<&'a str>,
    bytes: &'a [u8],
}

impl<'a> Field<'a> {
    fn text(name: &'a str, text: &'a str) -> Self {
        Self { name, file_name: None, bytes: text.as_bytes() }
    }

    fn file(name: &'a str, file_name: &'a str, bytes: &'a [u8]) -> Self {
        Self { name, file_name: Some(file_name), bytes }
    }
}

fn form(fields: &[Field<'_>]) -> Request<Body> {
    let mut body = Vec::new();
    for Field { name, file_name, bytes } in fields {
        body.extend(format!("--edge\r\ncontent-disposition: form-data; name=\"{name}\"").into_bytes());
        if let Some(file_name) = file_name {
            body.extend(format!("; filename=\"{file_name}\"").into_bytes());
        }
        body.extend(b"\r\n\r\n");
        body.extend(*bytes);
        body.extend(b"\r\n");
    }
    body.extend(b"--edge--\r\n");
    raw_form(body)
}

fn raw_form(body: Vec<u8>) -> Request<Body> {
    Request::builder()
        .method(Method::POST)
        .uri("/api/v1/jobs")
        .header(header::HOST, "localhost:7860")
        .header(header::CONTENT_TYPE, "multipart/form-data; boundary=edge")
        .body(Body::from(body))
        .unwrap()
}
