//! The form that curl can use.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Bench, Ear};

/// Name and data of each block.
async fn lines(mut ear: Ear) -> Vec<(String, Value)> {
    let mut all = Vec::new();
    while let Some(block) = ear.block().await {
        let (name, data) = block.split_once('\n').unwrap_or_else(|| panic!("{block:?}"));
        let name = name.strip_prefix("event: ").unwrap().to_owned();
        all.push((name, serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap()));
    }
    all
}

impl Bench {
    async fn call(&self, name: &str, body: &Value) -> String {
        let answer = self.say(&format!("/gradio_api/call/{name}"), body).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        answer.json()["event_id"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn a_call_has_whole_values_in_every_line() {
    let bench = Bench::with(|config| config.heartbeat = Duration::from_millis(20));
    let clip = bench.clip("speech.wav", 24).await;
    let event = bench.call("generate", &json!({ "data": [clip, "ada"] })).await;
    let mut ear = Ear::new(&bench, &format!("/gradio_api/call/generate/{event}")).await;
    let first = ear.block().await.unwrap();
    assert!(
        first.starts_with("event: generating\ndata: [null,\"http://localhost:7860/api/v1/jobs/"),
        "{first}"
    );
    while ear.block().await.unwrap() != "event: heartbeat\ndata: null" {}
    bench.gate.open();
    let heard = lines(ear).await;
    let (name, end) = &heard[heard.len() - 1];
    assert_eq!((name.as_str(), &end[2]["state"]), ("complete", &json!("done")));
    assert!(end[0]["path"].as_str().unwrap().ends_with("/speech-ada.mp4"));
    for (name, values) in &heard {
        assert!(["generating", "heartbeat", "complete"].contains(&name.as_str()), "{name}");
        assert!(name == "heartbeat" || values[1].is_string(), "whole values: {values}");
    }
    // Asked again, it is told again.
    let again = lines(Ear::new(&bench, &format!("/gradio_api/call/generate/{event}")).await).await;
    assert_eq!(again[again.len() - 1].1[0], end[0]);
}

#[tokio::test]
async fn arguments_have_names_in_the_second_version() {
    let bench = Bench::open();
    let clip = bench.clip("speech.wav", 24).await;
    let event = bench.call("v2/generate", &json!({ "avatar": "ada", "audio": clip })).await;
    for path in ["call", "call/v2"] {
        let heard = lines(Ear::new(&bench, &format!("/gradio_api/{path}/generate/{event}")).await).await;
        assert_eq!(heard[heard.len() - 1].0, "complete");
    }
    let event = bench.call("v2/generate", &json!({ "text": "Hello." })).await;
    let heard = lines(Ear::new(&bench, &format!("/gradio_api/call/v2/generate/{event}")).await).await;
    assert_eq!((heard.len(), heard[0].0.as_str()), (1, "error"));
    assert!(heard[0].1["error"].as_str().unwrap().contains("recordings alone so far"), "{heard:?}");
    let event = bench.call("avatars", &json!({ "data": [] })).await;
    let heard = lines(Ear::new(&bench, &format!("/gradio_api/call/avatars/{event}")).await).await;
    assert_eq!((heard[0].0.as_str(), &heard[0].1[0][1]["name"]), ("complete", &json!("ada")));
}

#[tokio::test]
async fn what_is_not_there_is_said_as_gradio_says_it() {
    let bench = Bench::new();
    let heard = lines(Ear::new(&bench, "/gradio_api/call/generate/0123").await).await;
    assert_eq!(heard, [("error".to_owned(), json!("404: Not Found"))]);
    assert_eq!(bench.get("/gradio_api/call/predict/0123").await.problem(404), "no_such_endpoint");
    for path in ["call/predict", "call/v2/predict"] {
        let answer = bench.say(&format!("/gradio_api/{path}"), &json!({ "data": [] })).await;
        assert_eq!(answer.problem(404), "no_such_endpoint");
    }
    assert_eq!(bench.say("/gradio_api/call/generate", &json!([])).await.problem(400), "body_malformed");
}

#[tokio::test]
async fn a_call_can_be_cancelled() {
    let bench = Bench::new();
    let clip = bench.clip("speech.wav", 24).await;
    let event = bench.call("generate", &json!({ "data": [clip] })).await;
    bench.say("/gradio_api/cancel", &json!({ "event_id": event })).await;
    bench.gate.open();
    let heard = lines(Ear::new(&bench, &format!("/gradio_api/call/generate/{event}")).await).await;
    let (name, end) = &heard[heard.len() - 1];
    assert_eq!((name.as_str(), &end["error"]), ("error", &json!("Cancelled")));
}
