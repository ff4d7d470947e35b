//! The Gradio face, byte by byte. Real clients are in `tests/gradio`; here is what they do not show when it is wrong.

mod call;
mod describe;
mod file;
mod login;
mod queue;

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::http::{Method, Request, header};
use futures_util::StreamExt;
use serde_json::{Value, json};

use super::{Answer, Bench, Field, form, request};

fn post(path: &str, body: &Value) -> Request<Body> {
    let mut request = request(Method::POST, path).map(|_| Body::from(body.to_string()));
    request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    request
}

fn upload_form(fields: &[Field<'_>]) -> Request<Body> {
    let mut request = form(fields);
    *request.uri_mut() = "/gradio_api/upload".parse().unwrap();
    request
}

impl Bench {
    async fn say(&self, path: &str, body: &Value) -> Answer {
        self.ask(post(path, body)).await
    }

    /// Uploads a clip of `frames` frames and gives the `FileData` that a client would pass on.
    async fn clip(&self, name: &str, frames: usize) -> Value {
        let answer = self.ask(upload_form(&[Field::file("files", name, &vec![b'x'; frames])])).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        let path = answer.json()[0].as_str().unwrap().to_owned();
        json!({ "path": path, "orig_name": name, "meta": { "_type": "gradio.FileData" } })
    }

    /// Calls `/generate` and gives the event.
    async fn generate(&self, session: &str, data: Value) -> String {
        let body = json!({ "data": data, "fn_index": 1, "session_hash": session, "trigger_id": null });
        let answer = self.say("/gradio_api/queue/join", &body).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.json()["event_id"].as_str().unwrap().to_owned()
    }

    async fn listen(&self, session: &str) -> Ear {
        Ear::new(self, &format!("/gradio_api/queue/data?session_hash={session}")).await
    }

    /// What is told of a call, to its end.
    async fn outcome(&self, data: Value) -> Value {
        let event = self.generate("outcome", data).await;
        let heard = self.listen("outcome").await.rest().await;
        let end = heard.iter().find(|m| m["msg"] == "process_completed" && m["event_id"] == event.as_str());
        end.unwrap_or_else(|| panic!("no end: {heard:?}")).clone()
    }
}

/// An open stream.
struct Ear {
    body: BodyDataStream,
    text: String,
}

impl Ear {
    async fn new(bench: &Bench, path: &str) -> Self {
        let response = bench.send(request(Method::GET, path)).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self { body: response.into_body().into_data_stream(), text: String::new() }
    }

    /// The next block, without the empty line that ends it; `None` at the end.
    async fn block(&mut self) -> Option<String> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let block = block.to_owned();
                self.text = rest.to_owned();
                return Some(block);
            }
            let piece = tokio::time::timeout(Duration::from_secs(30), self.body.next()).await;
            match piece.expect("something is said") {
                Some(bytes) => self.text.push_str(std::str::from_utf8(&bytes.unwrap()).unwrap()),
                None => {
                    assert_eq!(self.text, "", "the stream ends with a whole block");
                    return None;
                }
            }
        }
    }

    /// The next message. The Python client takes nothing but lines of data: one line, one space, one JSON object.
    async fn hear(&mut self) -> Option<Value> {
        let block = self.block().await?;
        let json = block.strip_prefix("data: ").unwrap_or_else(|| panic!("not a line of data: {block:?}"));
        assert!(!json.contains('\n'), "{block:?}");
        Some(serde_json::from_str(json).unwrap())
    }

    /// Messages up to the one that is wanted, which is the last.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            let message = self.hear().await.unwrap_or_else(|| panic!("the end, after {heard:?}"));
            heard.push(message);
            if wanted(&heard[heard.len() - 1]) {
                return heard;
            }
        }
    }

    /// Everything, heartbeats left out.
    async fn rest(mut self) -> Vec<Value> {
        let mut heard = Vec::new();
        while let Some(message) = self.hear().await {
            if message["msg"] != "heartbeat" {
                heard.push(message);
            }
        }
        heard
    }
}

fn is(kind: &str) -> impl Fn(&Value) -> bool {
    move |message| message["msg"] == kind
}

/// As both clients put outputs together: the first are whole, the next are edits, the last are whole again.
fn outputs(heard: &[Value], event: &str) -> Vec<Vec<Value>> {
    let mut all: Vec<Vec<Value>> = Vec::new();
    for message in heard.iter().filter(|message| message["event_id"] == event) {
        let said = || message["output"]["data"].as_array().unwrap().clone();
        match message["msg"].as_str().unwrap() {
            "process_generating" => match all.last().cloned() {
                None => all.push(said()),
                Some(mut now) => {
                    for (place, edits) in now.iter_mut().zip(said()) {
                        for edit in edits.as_array().unwrap() {
                            assert_eq!((&edit[0], &edit[1]), (&json!("replace"), &json!([])), "{edit}");
                            *place = edit[2].clone();
                        }
                    }
                    all.push(now);
                }
            },
            "process_completed" => all.push(said()),
            _ => {}
        }
    }
    all
}
