//! A video gets another name.

use axum::body::Body;
use axum::http::{Method, Request, header};
use serde_json::{Value, json};

use super::interface::events;
use super::{Answer, Bench, Field, request};

async fn rename(bench: &Bench, id: &str, title: &str) -> Answer {
    ask(bench, id, &json!({ "title": title }).to_string()).await
}

async fn ask(bench: &Bench, id: &str, body: &str) -> Answer {
    let request: Request<Body> = request(Method::PATCH, &format!("/api/v1/jobs/{id}"));
    bench.ask(request.map(|_| Body::from(body.to_owned()))).await
}

async fn saved_as(bench: &Bench, id: &str) -> String {
    let answer = bench.get(&format!("/api/v1/jobs/{id}/video.mp4?download")).await;
    assert_eq!(
        answer.header(header::CACHE_CONTROL),
        "no-store",
        "it may be renamed before it is saved again"
    );
    answer.header(header::CONTENT_DISPOSITION).to_owned()
}

#[tokio::test]
async fn a_video_is_renamed_for_good() {
    let bench = Bench::open();
    let id = bench.job(24).await;
    let before = bench.until(&id, "done").await;
    assert_eq!((&before["title"], &before["audio_name"]), (&"speech.wav".into(), &"speech.wav".into()));
    assert!(saved_as(&bench, &id).await.contains("filename=\"speech-milo.mp4\""), "the control");

    let renamed = rename(&bench, &id, " ../Grüße: 你好 ").await;
    assert_eq!(renamed.status, 200, "{:?}", renamed.body);
    let renamed = renamed.json();
    assert_eq!((&renamed["title"], &renamed["audio_name"]), (&"../Grüße: 你好".into(), &"speech.wav".into()));
    assert!(renamed["seq"].as_u64() > before["seq"].as_u64(), "whoever follows it is told");
    assert_eq!(bench.get("/api/v1/jobs").await.json()[0]["title"], "../Grüße: 你好");
    let saved = saved_as(&bench, &id).await;
    let encoded = "filename*=UTF-8''_Gr%C3%BC%C3%9Fe_%20%E4%BD%A0%E5%A5%BD.mp4";
    assert!(saved.ends_with(encoded), "no path, no hidden file: {saved}");

    rename(&bench, &id, "...").await;
    assert!(
        saved_as(&bench, &id).await.contains("filename=\"speech-milo.mp4\""),
        "nothing is left of that name"
    );
    rename(&bench, &id, "../Grüße: 你好").await;

    let bench = bench.restart(|_| {}).await;
    let kept = bench.get(&format!("/api/v1/jobs/{id}")).await.json();
    assert_eq!(kept["title"], "../Grüße: 你好");
    let told = events(&bench.get(&format!("/api/v1/jobs/{id}/events")).await);
    let titles: Vec<&Value> =
        told.iter().filter(|event| event.1 == "state").map(|event| &event.2["job"]["title"]).collect();
    assert!(titles.iter().all(|title| **title == "../Grüße: 你好"), "{titles:?}");

    let back = rename(&bench, &id, " ").await.json();
    assert_eq!(back["title"], "speech.wav");
    let bench = bench.restart(|_| {}).await;
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}")).await.json()["title"], "speech.wav");
}

#[tokio::test]
async fn a_video_is_named_from_the_start_and_what_is_made_of_it_is_called_the_same() {
    let bench = Bench::open();
    let fields = [Field::text("sample", "hello"), Field::text("title", "First")];
    let first = bench.upload(&fields).await.json();
    assert_eq!(first["title"], "First");
    let id = first["id"].as_str().unwrap();
    bench.until(id, "done").await;
    rename(&bench, id, "Second").await;
    let again = bench.ask(request(Method::POST, &format!("/api/v1/jobs/{id}/rerun"))).await.json();
    assert_eq!((&again["title"], &again["audio_name"]), (&"Second".into(), &"hello.wav".into()));
    let again = bench.until(again["id"].as_str().unwrap(), "done").await;
    let bench = bench.restart(|_| {}).await;
    let kept = bench.get(again["links"]["job"].as_str().unwrap()).await.json();
    assert_eq!(kept["title"], "Second");
}

#[tokio::test]
async fn what_is_no_title_is_refused_and_changes_nothing() {
    let bench = Bench::open();
    let id = bench.job(24).await;
    let longest = "讲".repeat(120);
    assert_eq!(rename(&bench, &id, &longest).await.json()["title"], longest.as_str());
    for bad in [format!("{longest}话"), "a\nb".to_owned(), "a\u{0}b".to_owned(), "gpj.\u{202e}exe".to_owned()]
    {
        assert_eq!(rename(&bench, &id, &bad).await.problem(422), "title_unusable", "{bad:?}");
        let fields = [Field::text("sample", "hello"), Field::text("title", &bad)];
        let refused = bench.upload(&fields).await;
        assert!(refused.status.is_client_error(), "{bad:?}");
    }
    for bad in ["", "[]", "{}", "{\"title\": null}", "{\"title\": \"a\", \"avatar\": \"ada\"}"] {
        assert_eq!(ask(&bench, &id, bad).await.problem(400), "body_malformed", "{bad}");
    }
    assert_eq!(rename(&bench, "aaaaaaaaaaaaaaaa", "x").await.problem(404), "no_such_job");
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}")).await.json()["title"], longest.as_str());
    let mut foreign =
        request(Method::PATCH, &format!("/api/v1/jobs/{id}")).map(|_| Body::from("{\"title\": \"x\"}"));
    foreign.headers_mut().insert(header::ORIGIN, "http://evil.example".parse().unwrap());
    assert_eq!(bench.ask(foreign).await.problem(403), "origin_refused");
}
