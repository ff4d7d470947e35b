//! A part of a recording.

use std::sync::Arc;

use axum::http::Method;
use headcast_app::server::{AppState, Config, router};
use headcast_app::studio::{EngineSettings, LocalStudio};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::interface::new_job;
use super::{Answer, Bench, Field, form, request};

#[tokio::test]
async fn a_part_is_kept_with_its_job() {
    let bench = Bench::open();
    let sound = || Field::file("audio", "speech.wav", &[b'x'; 24]);
    let part = bench.upload(&[sound(), Field::text("start", "0.25"), Field::text("end", " 1.5")]).await;
    assert_eq!(part.status, 201, "{}", part.json());
    let id = part.json()["id"].as_str().unwrap().to_owned();
    let is_part = |job: &Value| assert_eq!(job["cut"], json!({ "start": 0.25, "end": 1.5 }), "{job}");
    is_part(&bench.until(&id, "done").await);
    is_part(&bench.get("/api/v1/jobs").await.json()[0]);
    // The recording is there whole, so others can be made of it.
    assert_eq!(std::fs::read(bench.dir.path().join("jobs").join(&id).join("input")).unwrap().len(), 24);
    let again = bench.ask(request(Method::POST, &format!("/api/v1/jobs/{id}/rerun"))).await.json();
    is_part(&again);
    bench.until(again["id"].as_str().unwrap(), "done").await;

    let sent = new_job(&bench, json!({ "sample": "hello", "start": 0.5 })).await.json();
    assert_eq!(sent["cut"], json!({ "start": 0.5, "end": null }));
    bench.until(sent["id"].as_str().unwrap(), "done").await;
    // What a form sends for fields that are not filled in, and what is no cut.
    let whole = bench.upload(&[sound(), Field::text("start", "0"), Field::text("end", "")]).await.json();
    assert!(whole.get("cut").is_none(), "{whole}");
    bench.until(whole["id"].as_str().unwrap(), "done").await;

    let bench = bench.restart(|_| {}).await;
    is_part(&bench.get(&format!("/api/v1/jobs/{id}")).await.json());
}

#[tokio::test]
async fn a_part_that_is_none_is_refused_with_a_reason() {
    let bench = Bench::open();
    let refuses = async |fields: &[(&'static str, &'static str)], words: &str| {
        let mut all = vec![Field::file("audio", "speech.wav", &[b'x'; 24])];
        all.extend(fields.iter().map(|(name, value)| Field::text(name, value)));
        let answer = bench.upload(&all).await;
        assert_eq!(answer.problem(422), "audio_cut", "{fields:?}");
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words), "{fields:?}: {detail}");
    };
    refuses(&[("start", "NaN")], "start is NaN").await;
    refuses(&[("end", "-inf")], "end is -inf").await;
    refuses(&[("start", "-0.5")], "start is -0.5").await;
    refuses(&[("end", "1e300")], "end is 1").await;
    refuses(&[("start", "soon")], "start is not a number").await;
    refuses(&[("start", "2"), ("end", "1")], "must come after").await;
    refuses(&[("start", "1"), ("end", "1")], "must come after").await;
    let answer = new_job(&bench, json!({ "sample": "hello", "start": "1" })).await;
    assert_eq!(answer.problem(400), "body_malformed");
    let twice = [Field::text("sample", "hello"), Field::text("end", "1"), Field::text("end", "2")];
    assert_eq!(bench.upload(&twice).await.problem(400), "field_twice");
    let pushed = [Field::text("size", "64x48"), Field::text("start", "1")];
    assert_eq!(bench.upload(&pushed).await.problem(422), "frames_unusable");
}

#[tokio::test]
async fn a_part_beyond_the_end_is_refused_before_it_is_a_job() {
    let dir = tempfile::tempdir().unwrap();
    let studio = LocalStudio::new(dir.path(), EngineSettings::default());
    let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
    let app = router(AppState::new(config, Arc::new(studio)).unwrap());
    for (name, at, words) in [("start", "900", "starts at 900"), ("end", "901", "ends at 901")] {
        let sent = form(&[Field::text("sample", "en"), Field::text(name, at)]);
        let (parts, body) = app.clone().oneshot(sent).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let answer = Answer { status: parts.status, headers: parts.headers, body };
        let found = answer.json();
        assert_eq!(answer.problem(422), "audio_cut", "{found}");
        assert!(found["detail"].as_str().unwrap().contains(words), "{found}");
    }
}
