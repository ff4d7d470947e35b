//! Jobs whose frames come from outside.

mod faults;
mod open;
mod places;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request, header};
use bytes::Bytes;
use futures_util::stream;
use headcast::core::{FrameRate, Timeline};
use headcast::media::store::{Memory, SegmentStore};
use headcast::push::{Format, Length, Output, Pixels, Settings, Stream};
use headcast_app::jobs::Limits;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::{Answer, Bench, Field, request};

const FRAME: usize = 64 * 48 * 3;

/// Raw frames that differ.
fn frames(range: Range<usize>) -> Vec<u8> {
    let pixel = |frame: usize, i: usize| u8::try_from((3 * i + 7 * frame) % 250).unwrap();
    range.flat_map(|frame| (0..FRAME).map(move |i| pixel(frame, i))).collect()
}

fn post(path: &str, body: impl Into<Body>) -> Request<Body> {
    request(Method::POST, path).map(|_| body.into())
}

async fn create(bench: &Bench, wish: &Value) -> Answer {
    let mut request = post("/api/v1/jobs", wish.to_string());
    request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    bench.ask(request).await
}

async fn job(bench: &Bench, count: usize) -> String {
    let answer = create(bench, &json!({ "size": "64x48", "frames": count })).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    answer.json()["id"].as_str().unwrap().to_owned()
}

async fn push(bench: &Bench, id: &str, query: &str, body: Vec<u8>) -> Answer {
    bench.ask(post(&format!("/api/v1/jobs/{id}/frames{query}"), body)).await
}

async fn show(bench: &Bench, id: &str) -> Value {
    bench.get(&format!("/api/v1/jobs/{id}")).await.json()
}

async fn next_frame(bench: &Bench, id: &str) -> u64 {
    show(bench, id).await["frames"]["next_frame"].as_u64().unwrap()
}

/// Looks until `is` says what was found; not for ever.
async fn eventually<T>(what: &str, bench: &Bench, id: &str, is: impl Fn(&Value) -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let job = show(bench, id).await;
        if let Some(found) = is(&job) {
            return found;
        }
        assert!(Instant::now() < deadline, "never {what}: {job}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until frame `frame` is the next one.
async fn until_next(bench: &Bench, id: &str, frame: u64) {
    let is = |job: &Value| (job["frames"]["next_frame"] == frame).then_some(());
    eventually(&format!("frame {frame}"), bench, id, is).await;
}

/// Waits until so many segments from the start are there, and says how many are.
async fn until_ready(bench: &Bench, id: &str, segments: usize) -> usize {
    let is = |job: &Value| {
        let ready = job["clip"]["ready"][0][1].as_u64().and_then(|ready| usize::try_from(ready).ok());
        ready.filter(|ready| *ready >= segments && job["clip"]["ready"][0][0] == 0)
    };
    eventually(&format!("{segments} segments"), bench, id, is).await
}

/// What the library makes of the same frames.
fn expected(count: usize) -> Vec<Bytes> {
    let store = Arc::new(Memory::default());
    let timeline = Timeline::from_frames(count as u64, FrameRate::PAL).unwrap();
    let settings = Settings::new(64, 48, Length::Silent(timeline));
    let mut stream = Stream::open(settings, Output::Store(Arc::<Memory>::clone(&store))).unwrap();
    for frame in frames(0..count).chunks(FRAME) {
        stream.write(&Pixels::tight(Format::Rgb24, 64, 48, frame).unwrap()).unwrap();
    }
    stream.finish().unwrap();
    store.list().unwrap().into_iter().map(|k| store.get(k).unwrap().unwrap()).collect()
}

async fn segments(bench: &Bench, id: &str) -> Vec<Bytes> {
    let count = show(bench, id).await["clip"]["segments"].as_u64().unwrap();
    let mut found = Vec::new();
    for k in 0..count {
        let answer = bench.get(&format!("/api/v1/jobs/{id}/segment_{k:05}.ts")).await;
        assert_eq!(answer.status, 200);
        found.push(answer.body);
    }
    found
}

#[tokio::test]
async fn frames_become_a_job_that_plays() {
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    let waiting = bench.until(&id, "rendering").await;
    assert_eq!(waiting["progress"]["phase"], "awaiting");
    assert_eq!(
        waiting["frames"],
        json!({
            "width": 64, "height": 48, "pix_fmt": "rgb24", "frame_bytes": FRAME, "next_frame": 0, "connected": false
        })
    );
    // The playlist is complete before the first frame, and a segment that is not made yet is held.
    let playlist = bench.get(&format!("/api/v1/jobs/{id}/index.m3u8")).await;
    let text = String::from_utf8(playlist.body.to_vec()).unwrap();
    assert!(text.contains("VOD") && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    let path = format!("/api/v1/jobs/{id}/segment_00001.ts");
    let (router, get) = (bench.router.clone(), request(Method::GET, &path));
    let held = tokio::spawn(async move { tower::ServiceExt::oneshot(router, get).await.unwrap() });

    // Batches end anywhere, also within a segment.
    for (first, end) in [(0, 3), (3, 17), (17, 60)] {
        let answer = push(&bench, &id, &format!("?first={first}"), frames(first..end)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(answer.json()["frames"]["next_frame"], end);
    }
    let done = bench.until(&id, "done").await;
    assert_eq!(done["progress"]["frames"], 60);
    let found = segments(&bench, &id).await;
    assert!(found == expected(60));
    let held = http_body_util::BodyExt::collect(held.await.unwrap().into_body()).await.unwrap().to_bytes();
    assert!(held == found[1]);
    let poster = bench.get(&format!("/api/v1/jobs/{id}/poster")).await;
    assert_eq!(poster.header(header::CONTENT_TYPE), "image/png");
    let video = bench.get(&format!("/api/v1/jobs/{id}/video.mp4")).await;
    assert!(video.status == 200 && video.body.windows(4).any(|w| w == b"moov"));
    assert!(!video.body.windows(4).any(|w| w == b"mp4a"), "there is no sound");
    assert_eq!(push(&bench, &id, "", frames(0..1)).await.problem(409), "job_over");
    // Control: other frames are another video.
    let other = job(&bench, 60).await;
    assert_eq!(push(&bench, &other, "", frames(1..61)).await.status, 200);
    bench.until(&other, "done").await;
    assert!(segments(&bench, &other).await != found);
}

#[tokio::test]
async fn waiting_for_frames_takes_no_turn() {
    let bench = Bench::with(|config| config.limits = Limits { waiting: 9, ..Limits::default() });
    bench.gate.open();
    let pushed = [job(&bench, 60).await, job(&bench, 60).await];
    for id in &pushed {
        bench.until(id, "rendering").await;
    }
    let rendered = bench.job(24).await;
    bench.until(&rendered, "done").await;
    for id in &pushed {
        assert_eq!(show(&bench, id).await["progress"]["phase"], "awaiting");
    }
}

#[tokio::test]
async fn a_reconnect_goes_on_at_the_next_frame() {
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    assert_eq!(push(&bench, &id, "?first=0", frames(0..20)).await.status, 200);
    // A connection that breaks off within a frame.
    let (sender, body) = open_body();
    let cut = frames(20..26)[..5 * FRAME + 99].to_vec();
    sender.send(Ok(cut.into())).await.unwrap();
    sender.send(Err("gone")).await.unwrap();
    let broken = bench.ask(post(&format!("/api/v1/jobs/{id}/frames?first=20"), body)).await;
    assert_eq!(broken.problem(400), "body_broken");
    let next = next_frame(&bench, &id).await;
    assert_eq!(next, 25);
    assert_eq!(push(&bench, &id, "?first=24", frames(24..26)).await.problem(409), "frames_position");
    let mut part = frames(25..26);
    part.truncate(100);
    assert_eq!(push(&bench, &id, "?first=25", part).await.problem(400), "frame_partial");
    assert_eq!(push(&bench, &id, "?first=25", frames(25..60)).await.status, 200);
    bench.until(&id, "done").await;
    assert!(segments(&bench, &id).await == expected(60));
}

#[tokio::test]
async fn one_at_a_time() {
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    bench.until(&id, "rendering").await;
    let (feed, body) = open_body();
    feed.send(Ok(frames(0..10).into())).await.unwrap();
    let path = format!("/api/v1/jobs/{id}/frames");
    let first = sending(&bench, &path, body);
    until_next(&bench, &id, 10).await;
    let busy = show(&bench, &id).await;
    assert_eq!(
        (&busy["frames"]["connected"], &busy["progress"]["phase"]),
        (&json!(true), &json!("rendering"))
    );
    assert_eq!(push(&bench, &id, "", frames(10..11)).await.problem(409), "frames_busy");
    assert_eq!(bench.ask(post(&format!("/api/v1/jobs/{id}/end"), "")).await.problem(409), "frames_busy");
    feed.send(Ok(Bytes::from(frames(10..60)))).await.unwrap();
    drop(feed);
    assert_eq!(answered(first).await.status, 200);
    bench.until(&id, "done").await;
    assert!(segments(&bench, &id).await == expected(60));
}

#[tokio::test]
async fn an_orderly_end_holds_the_last_picture() {
    let bench = Bench::new();
    for in_one in [true, false] {
        let id = job(&bench, 30).await;
        let answer = push(&bench, &id, if in_one { "?end=true" } else { "" }, frames(0..28)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        if !in_one {
            assert_eq!(bench.ask(post(&format!("/api/v1/jobs/{id}/end"), "")).await.status, 200);
        }
        bench.until(&id, "done").await;
        assert_eq!(segments(&bench, &id).await.len(), expected(30).len());
        assert!(log(&bench, &id).await.contains("2 frames missing at the end"));
    }
    // Without a picture there is nothing to hold.
    let id = job(&bench, 30).await;
    assert_eq!(bench.ask(post(&format!("/api/v1/jobs/{id}/end"), "")).await.problem(409), "frames_missing");
    bench.until(&id, "failed").await;
}

async fn log(bench: &Bench, id: &str) -> String {
    let events = bench.get(&format!("/api/v1/jobs/{id}/events")).await;
    String::from_utf8(events.body.to_vec()).unwrap()
}

#[tokio::test]
async fn a_pusher_that_raises_leaves_what_plays_and_its_traceback() {
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    assert_eq!(push(&bench, &id, "", frames(0..20)).await.status, 200);
    until_ready(&bench, &id, 1).await;
    let traceback =
        "Traceback (most recent call last):\n  File \"m.py\", line 3\nRuntimeError: CUDA out of memory\n";
    let body = json!({ "reason": traceback }).to_string();
    let failed = bench.ask(post(&format!("/api/v1/jobs/{id}/fail"), body)).await.json();
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&json!("failed"), &json!("frames_ended")));
    assert!(failed["error"]["detail"].as_str().unwrap().ends_with("RuntimeError: CUDA out of memory"));
    let log = log(&bench, &id).await;
    for line in traceback.lines() {
        let line = line.replace('"', "\\\"");
        assert!(log.contains(&line), "{line} in {log}");
    }
    let playlist = bench.get(&format!("/api/v1/jobs/{id}/index.m3u8")).await;
    let text = String::from_utf8(playlist.body.to_vec()).unwrap();
    let listed: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(!listed.is_empty() && text.contains("EVENT") && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    for name in listed {
        assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/{name}")).await.status, 200);
    }
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/video.mp4?partial=1")).await.status, 200);
    assert_eq!(push(&bench, &id, "", frames(20..21)).await.problem(409), "job_over");
    // One that has nothing yet has nothing to play.
    let empty = job(&bench, 60).await;
    bench.until(&empty, "rendering").await;
    bench.ask(post(&format!("/api/v1/jobs/{empty}/fail"), "")).await;
    assert_eq!(bench.get(&format!("/api/v1/jobs/{empty}/index.m3u8")).await.problem(410), "frames_ended");
}

#[tokio::test]
async fn cancelling_ends_who_is_sending() {
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    bench.until(&id, "rendering").await;
    let (feed, body) = open_body();
    feed.send(Ok(frames(0..10).into())).await.unwrap();
    let sending = sending(&bench, &format!("/api/v1/jobs/{id}/frames"), body);
    until_next(&bench, &id, 10).await;
    bench.ask(post(&format!("/api/v1/jobs/{id}/cancel"), "")).await;
    assert_eq!(answered(sending).await.problem(409), "job_over");
    drop(feed);
    assert_eq!(bench.ask(super::request(Method::DELETE, &format!("/api/v1/jobs/{id}"))).await.status, 204);
    let left = std::fs::read_dir(bench.dir.path().join("jobs")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test]
async fn after_a_restart_it_goes_on_at_the_first_missing_segment() {
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    assert_eq!(push(&bench, &id, "", frames(0..30)).await.status, 200);
    assert_eq!(next_frame(&bench, &id).await, 30);
    let ready = until_ready(&bench, &id, 2).await;
    let bench = bench.restart(|_| {}).await;
    let job = bench.until(&id, "rendering").await;
    let next = job["frames"]["next_frame"].as_u64().unwrap();
    let ends: Vec<u64> = job["clip"]["segment_ends"]
        .as_array()
        .unwrap()
        .iter()
        .map(|end| {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small test values")]
            let frames = (end.as_f64().unwrap() * 25.0).round() as u64;
            frames
        })
        .collect();
    assert!(next >= ends[ready - 1] && next <= 30 && ends.contains(&next), "{next} of {ends:?}");
    let first = usize::try_from(next).unwrap();
    let answer = push(&bench, &id, &format!("?first={next}"), frames(first..60)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    bench.until(&id, "done").await;
    assert!(segments(&bench, &id).await == expected(60));
}

#[tokio::test]
async fn what_is_announced_is_checked() {
    let bench = Bench::open();
    for (wish, words) in [
        (json!({ "size": "8x8", "frames": 9 }), "16 to 4096 pixels a side"),
        (json!({ "size": "64", "frames": 9 }), "WIDTHxHEIGHT"),
        (json!({ "size": "64x48", "frames": 0 }), "one frame at least"),
        (json!({ "size": "64x48", "frames": 9, "fps": "x" }), "29.97"),
        (json!({ "size": "64x48", "frames": 9, "pix_fmt": "gray" }), "yuv420p"),
        (json!({ "size": "64x48", "frames": 9, "avatar": "milo" }), "have none"),
        (json!({ "size": "64x48", "frames": 9, "sample": "hello" }), "leave it out"),
        (json!({ "sample": "hello", "fps": "25" }), "it is missing"),
    ] {
        let answer = create(&bench, &wish).await;
        assert_eq!(answer.status, 422, "{wish}: {:?}", answer.body);
        assert!(answer.json()["detail"].as_str().unwrap().contains(words), "{wish}: {:?}", answer.body);
    }
    let long = create(&bench, &json!({ "size": "64x48", "frames": 10_000_000 })).await;
    assert_eq!(long.problem(413), "audio_too_long");
    // Forms say the same.
    let answer = bench
        .upload(&[Field::text("size", "64x48"), Field::text("frames", "9"), Field::text("pix_fmt", "bgr24")])
        .await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    assert_eq!(answer.json()["frames"]["pix_fmt"], "bgr24");
    assert_eq!(answer.json()["audio_name"], "64x48");
    let spoken = bench.job(24).await;
    assert_eq!(push(&bench, &spoken, "", frames(0..1)).await.problem(409), "frames_not_wanted");
}

/// Sends this, while the test does something else.
fn sending(bench: &Bench, path: &str, body: Body) -> JoinHandle<Answer> {
    let (router, request) = (bench.router.clone(), post(path, body));
    tokio::spawn(async move {
        let (parts, body) = tower::ServiceExt::oneshot(router, request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    })
}

/// What comes of it; not for ever.
async fn answered<T>(sending: JoinHandle<T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), sending).await.expect("it is answered").unwrap()
}

/// A body that is made while it is sent.
fn open_body() -> (mpsc::Sender<Result<Bytes, &'static str>>, Body) {
    let (send, receive) = mpsc::channel(4);
    let body = stream::unfold(receive, |mut receive| async move { Some((receive.recv().await?, receive)) });
    (send, Body::from_stream(body))
}
