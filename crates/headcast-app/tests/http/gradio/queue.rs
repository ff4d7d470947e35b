//! Joining, hearing, cancelling.

use std::time::Duration;

use axum::http::{Method, header};
use headcast_app::jobs::Limits;
use serde_json::{Value, json};

use super::{Bench, Ear, Field, is, outputs, post, request, upload_form};

fn job_of(outputs: &[Value]) -> String {
    outputs[2]["job"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_call_is_told_from_the_queue_to_the_video() {
    let bench = Bench::new();
    let clip = bench.clip("speech.wav", 40).await;
    let event = bench.generate("s", json!([clip, "milo"])).await;
    let mut ear = bench.listen("s").await;
    // The playlist is there as soon as the job is, long before a frame.
    let mut heard = ear.until(is("process_generating")).await;
    let first = outputs(&heard, &event).remove(0);
    let job = job_of(&first);
    assert_eq!(first[0], Value::Null, "no file before it is finished");
    assert_eq!(first[1], format!("http://localhost:7860/api/v1/jobs/{job}/index.m3u8"));
    let playlist = bench.get(&format!("/api/v1/jobs/{job}/index.m3u8")).await;
    assert_eq!(playlist.status, 200);
    assert_ne!(bench.until(&job, "rendering").await["state"], "done");
    bench.gate.open();
    heard.extend(ear.rest().await);

    let kinds: Vec<_> = heard.iter().map(|message| message["msg"].as_str().unwrap()).collect();
    assert_eq!(kinds[kinds.len() - 3..], ["process_generating", "process_completed", "close_stream"]);
    assert_eq!(kinds.iter().filter(|kind| **kind == "process_starts").count(), 1);
    let log = |text: &str| {
        heard.iter().any(|m| m["msg"] == "log" && m["log"] == text && m["event_id"] == event.as_str())
    };
    assert!(log("listening") && log("a warning"), "{heard:?}");
    let progress: Vec<_> =
        heard.iter().filter(|m| m["msg"] == "progress").map(|m| &m["progress_data"][0]).collect();
    assert_eq!(progress[progress.len() - 1]["progress"], 1.0);
    assert_eq!(progress[progress.len() - 1]["length"], 40);

    let all = outputs(&heard, &event);
    let (last, before) = (&all[all.len() - 1], &all[all.len() - 2]);
    assert_eq!(last, before, "a loop over the outputs ends with what the call returns");
    assert_eq!((&last[1], &last[2]["state"]), (&first[1], &json!("done")));
    let video = &last[0];
    let path = video["path"].as_str().unwrap();
    assert_eq!(path, format!("out/{job}/speech-milo.mp4"));
    assert_eq!(video["url"], format!("http://localhost:7860/gradio_api/file={path}"));
    assert_eq!((&video["is_stream"], &video["mime_type"]), (&json!(false), &json!("video/mp4")));
    let file = bench.get(&format!("/gradio_api/file={path}")).await;
    assert_eq!(
        (file.status.as_u16(), file.body.len()),
        (200, video["size"].as_u64().unwrap().try_into().unwrap())
    );
    // It is a job like any other.
    assert_eq!(bench.get(&format!("/api/v1/jobs/{job}/video.mp4")).await.body, file.body);
    assert_eq!(bench.get("/api/v1/jobs").await.json()[0]["id"], job);

    // What is told is told once.
    let again = bench.listen("s").await.rest().await;
    assert_eq!((again.len(), &again[0]["msg"]), (1, &json!("unexpected_error")));
    assert_eq!(again[0]["session_not_found"], true);
}

#[tokio::test]
async fn nothing_but_the_video_looks_like_a_file() {
    fn paths(value: &Value) -> usize {
        match value {
            Value::Object(map) => {
                usize::from(map.get("path").is_some_and(Value::is_string))
                    + map.values().map(paths).sum::<usize>()
            }
            Value::Array(list) => list.iter().map(paths).sum(),
            _ => 0,
        }
    }
    let bench = Bench::open();
    let clip = bench.clip("speech.wav", 24).await;
    let end = bench.outcome(json!([clip])).await;
    assert_eq!(paths(&end["output"]["data"]), 1);
    let body = json!({ "data": [], "fn_index": 2, "session_hash": "a" });
    assert_eq!(bench.say("/gradio_api/queue/join", &body).await.status, 200);
    let heard = bench.listen("a").await.rest().await;
    assert_eq!(heard.len(), 2);
    let avatars = &heard[0]["output"]["data"][0];
    assert_eq!(avatars[0]["name"], "milo");
    assert_eq!(paths(avatars), 0, "the Python client would download them");
}

#[tokio::test]
async fn messages_wait_for_a_stream_that_opens_late() {
    let bench = Bench::open();
    let clip = bench.clip("speech.wav", 24).await;
    let event = bench.generate("late", json!([clip])).await;
    let job = bench.get("/api/v1/jobs").await.json()[0]["id"].as_str().unwrap().to_owned();
    bench.until(&job, "done").await;
    let heard = bench.listen("late").await.rest().await;
    assert!(heard.iter().any(|message| message["log"] == "listening"), "{heard:?}");
    let all = outputs(&heard, &event);
    assert_eq!(all.len(), 2, "whole, and whole again");
    assert_eq!(all[0], all[1]);
    assert!(all[0][0]["path"].is_string());
}

#[tokio::test]
async fn a_later_call_reaches_the_stream_that_is_open() {
    let bench = Bench::new();
    let clip = bench.clip("one.wav", 24).await;
    let one = bench.generate("s", json!([clip])).await;
    let mut ear = bench.listen("s").await;
    ear.until(is("process_generating")).await;
    let clip = bench.clip("two.wav", 24).await;
    let two = bench.generate("s", json!([clip])).await;
    // Another session hears nothing of it.
    let clip = bench.clip("other.wav", 24).await;
    let other = bench.generate("t", json!([clip])).await;
    let of_two = |message: &Value| message["event_id"] == two.as_str();
    let heard = ear.until(|message| of_two(message) && is("process_generating")(message)).await;
    let rank = heard.iter().find(|message| of_two(message) && is("estimation")(message)).unwrap();
    assert_eq!((&rank["rank"], rank["queue_size"].as_u64() >= Some(2)), (&json!(1), true));
    bench.gate.open();
    let heard = ear.rest().await;
    for event in [&one, &two] {
        let ends = heard.iter().filter(|m| is("process_completed")(m) && m["event_id"] == event.as_str());
        assert_eq!(ends.filter(|end| end["success"] == true).count(), 1);
    }
    assert!(heard.iter().all(|message| message["event_id"] != other.as_str()));
    assert_eq!(heard.iter().filter(|message| is("close_stream")(message)).count(), 1);
    assert!(is("close_stream")(&heard[heard.len() - 1]), "closed when all is told, not before");
}

#[tokio::test]
async fn a_quiet_stream_has_heartbeats_and_no_comments() {
    let bench = Bench::with(|config| config.heartbeat = Duration::from_millis(20));
    let clip = bench.clip("speech.wav", 24).await;
    bench.generate("s", json!([clip])).await;
    let mut ear = bench.listen("s").await;
    ear.until(is("process_generating")).await;
    // `hear` takes nothing but lines of data.
    for _ in 0..3 {
        let quiet = ear.until(is("heartbeat")).await;
        assert_eq!(quiet[quiet.len() - 1], json!({ "msg": "heartbeat" }));
    }
    bench.gate.open();
    assert!(ear.rest().await.iter().any(is("process_completed")));
}

#[tokio::test]
#[should_panic(expected = "not a line of data")]
async fn the_check_for_lines_notices_a_comment() {
    // The stream of API v1 has names and comments.
    let bench = Bench::open();
    let id = bench.job(24).await;
    bench.until(&id, "done").await;
    let response = bench.send(request(Method::GET, &format!("/api/v1/jobs/{id}/events"))).await;
    let mut ear = Ear { body: response.into_body().into_data_stream(), text: String::new() };
    ear.hear().await;
}

#[tokio::test]
async fn who_cancels_stops_the_job_and_hears_of_it() {
    for with_reset in [false, true] {
        let bench = Bench::new();
        let clip = bench.clip("speech.wav", 24).await;
        let event = bench.generate("s", json!([clip])).await;
        let mut ear = bench.listen("s").await;
        let heard = ear.until(is("process_generating")).await;
        let job = job_of(&outputs(&heard, &event)[0]);
        bench.until(&job, "rendering").await;
        let cancel = json!({ "event_id": event, "session_hash": "s", "fn_index": 1 });
        let path = if with_reset { "/gradio_api/reset" } else { "/gradio_api/cancel" };
        assert_eq!(bench.say(path, &cancel).await.json(), json!({ "success": true }));
        let heard = ear.rest().await;
        let end = heard.iter().find(|message| is("process_completed")(message)).unwrap();
        assert_eq!(end["success"], false);
        assert_eq!(end["output"], json!({ "error": "Cancelled", "title": "Cancelled", "visible": false }));
        assert!(is("close_stream")(&heard[heard.len() - 1]));
        bench.until(&job, "cancelled").await;
    }
    // The Python client says this when it knows no event yet; it stops nothing.
    let bench = Bench::new();
    let running = bench.job(24).await;
    for body in [json!({ "event_id": null }), json!({ "event_id": "00" }), json!({})] {
        assert_eq!(bench.say("/gradio_api/reset", &body).await.json(), json!({ "success": true }));
    }
    bench.until(&running, "rendering").await;
}

#[tokio::test]
async fn a_job_goes_on_without_its_client() {
    let bench = Bench::new();
    let clip = bench.clip("speech.wav", 24).await;
    let event = bench.generate("s", json!([clip])).await;
    let mut ear = bench.listen("s").await;
    let heard = ear.until(is("process_generating")).await;
    let job = job_of(&outputs(&heard, &event)[0]);
    drop(ear);
    bench.gate.open();
    bench.until(&job, "done").await;
    // And whoever comes back to the session hears all of it, from whole outputs on.
    let heard = bench.listen("s").await.rest().await;
    assert!(outputs(&heard, &event).pop().unwrap()[0]["path"].is_string());
}

#[tokio::test]
async fn what_is_wrong_with_an_argument_is_said_on_the_stream() {
    let bench = Bench::open();
    let clip = async |name: &str, frames| bench.clip(name, frames).await;
    let used = clip("a.wav", 24).await;
    assert_eq!(bench.outcome(json!([used])).await["success"], true);
    let long = clip("f.npy", 4000).await;
    for (data, words) in [
        (json!([null, "milo", "Hello, world."]), "recordings alone so far"),
        (json!([]), "there is no audio"),
        (json!([clip("a.wav", 24).await, "nobody"]), "choose one of: milo, ada"),
        (json!([clip("a.wav", 24).await, "", "", "fast"]), "choose one of: default, parity"),
        (json!([clip("text.wav", 24).await]), "this is text, not audio"),
        (json!([clip("a.wav", 0).await]), "the audio file is empty"),
        (json!([clip("a.wav", 24).await, "", "", "", long]), "larger than"),
        (
            json!([{ "path": "https://example.org/a.wav", "url": "https://example.org/a.wav" }]),
            "fetches nothing",
        ),
        (json!([{ "path": "/etc/passwd" }]), "there is no upload"),
        (json!([{ "path": "../../etc/passwd" }]), "there is no upload"),
        (json!([used]), "good for one job"),
        (json!([clip("late.wav", 24).await]), "nothing can be heard"),
        (json!([clip("broken.wav", 24).await]), "no light"),
    ] {
        let end = bench.outcome(data.clone()).await;
        let said = end["output"]["error"].as_str().unwrap_or_else(|| panic!("{data}: {end}"));
        assert!(said.contains(words) && end["success"] == false, "{data}: {said}");
        assert_eq!(end["output"]["visible"], true);
    }
    let body = json!({ "data": [1], "fn_index": 2, "session_hash": "a" });
    bench.say("/gradio_api/queue/join", &body).await;
    let heard = bench.listen("a").await.rest().await;
    assert_eq!(heard[0]["output"]["error"], "/avatars takes no arguments");
}

#[tokio::test]
async fn the_name_is_what_the_caller_says_and_never_a_path() {
    let bench = Bench::open();
    let mut clip = bench.clip("blob", 24).await;
    clip["orig_name"] = "/home/ann/讲话 1.wav".into();
    let end = bench.outcome(json!([clip])).await;
    let video = &end["output"]["data"][0];
    assert_eq!(video["orig_name"], "讲话 1-milo.mp4");
    let path = video["path"].as_str().unwrap();
    assert!(path.ends_with("/___1-milo.mp4"), "nothing that a client would have to escape: {path}");
    assert_eq!(bench.get(&format!("/gradio_api/file={path}")).await.status, 200);
    assert_eq!(bench.get("/api/v1/jobs").await.json()[0]["audio_name"], "讲话 1.wav");
}

#[tokio::test]
async fn a_full_queue_is_503_and_keeps_the_upload() {
    let bench = Bench::with(|config| config.limits = Limits { waiting: 1, ..Limits::default() });
    let running = bench.job(24).await;
    let clip = bench.clip("speech.wav", 24).await;
    let join = json!({ "data": [clip], "fn_index": 1, "session_hash": "s" });
    let full = bench.say("/gradio_api/queue/join", &join).await;
    assert_eq!(full.problem(503), "queue_full");
    assert_eq!(full.header(header::RETRY_AFTER), "30");
    let call = bench.say("/gradio_api/call/generate", &json!({ "data": [clip] })).await;
    assert_eq!(call.problem(503), "queue_full");
    bench.gate.open();
    bench.until(&running, "done").await;
    assert_eq!(bench.outcome(json!([clip])).await["success"], true);
}

#[tokio::test]
async fn what_is_no_call_is_refused() {
    let bench = Bench::new();
    let join = "/gradio_api/queue/join";
    for body in [
        json!({ "data": [], "fn_index": 0, "session_hash": "s" }),
        json!({ "data": [], "fn_index": 3, "session_hash": "s" }),
        json!({ "data": [], "fn_index": 1, "session_hash": "" }),
        json!({ "data": [], "fn_index": 1, "session_hash": "x".repeat(129) }),
        json!({ "data": {}, "fn_index": 1, "session_hash": "s" }),
        json!({ "data": [], "fn_index": 1 }),
        json!([]),
        json!({ "data": ["x".repeat(70_000)], "fn_index": 1, "session_hash": "s" }),
    ] {
        assert_eq!(bench.say(join, &body).await.problem(400), "body_malformed");
    }
    assert_eq!(bench.get("/gradio_api/queue/data").await.problem(400), "request_malformed");
    // The same guards as everywhere.
    let mut foreign = post(join, &json!({ "data": [], "fn_index": 2, "session_hash": "s" }));
    foreign.headers_mut().insert(header::ORIGIN, "http://evil.example".parse().unwrap());
    assert_eq!(bench.ask(foreign).await.problem(403), "origin_refused");
    let mut rebound = request(Method::GET, "/config");
    rebound.headers_mut().insert(header::HOST, "evil.example".parse().unwrap());
    assert_eq!(bench.ask(rebound).await.problem(403), "host_refused");
}

#[tokio::test]
async fn calls_that_nobody_asks_about_are_forgotten() {
    let bench = Bench::new();
    let clip = bench.clip("speech.wav", 24).await;
    let running = bench.generate("s", json!([clip])).await;
    let join = json!({ "data": [], "fn_index": 2, "session_hash": "s" });
    for _ in 0..300 {
        assert_eq!(bench.say("/gradio_api/queue/join", &join).await.status, 200);
    }
    bench.gate.open();
    let heard = bench.listen("s").await.rest().await;
    let ends: Vec<_> = heard.iter().filter(|message| is("process_completed")(message)).collect();
    assert_eq!(ends.len(), 256, "a bounded number");
    assert!(ends.iter().any(|end| end["event_id"] == running.as_str()), "what is under way stays");
}

#[tokio::test]
async fn uploads_are_bounded() {
    let bench = Bench::new();
    let file = |bytes: &'static [u8]| Field::file("files", "a.wav", bytes);
    let answer = bench.ask(upload_form(&[file(b"xx"), file(b"yy")])).await.json();
    assert_eq!(answer.as_array().unwrap().len(), 2);
    assert!(answer[0].as_str().unwrap().ends_with("/a.wav"), "{answer}");
    assert_ne!(answer[0], answer[1]);
    assert_eq!(bench.ask(upload_form(&[file(&[0; 6000])])).await.problem(413), "too_large");
    assert_eq!(bench.ask(upload_form(&vec![file(b"x"); 5])).await.problem(400), "field_unknown");
    assert_eq!(
        bench.ask(upload_form(&[Field::file("audio", "a", b"x")])).await.problem(400),
        "field_unknown"
    );
    assert_eq!(bench.ask(upload_form(&[])).await.problem(422), "field_missing");
    let left = || std::fs::read_dir(bench.dir.path().join("uploads")).unwrap().count();
    assert_eq!(left(), 2, "what was refused left nothing");
    let busy = Bench::with(|config| config.max_uploads = 0);
    assert_eq!(busy.ask(upload_form(&[file(b"x")])).await.problem(503), "uploads_busy");
}
