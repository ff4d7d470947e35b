//! Who may send frames to a job, and what becomes of a job whose sender is gone.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, header};
use headcast_app::jobs::{JobId, Limits};
use serde_json::json;

use super::super::{Bench, request};
use super::{
    answered, create, expected, frames, job, next_frame, open_body, post, push, segments, sending, show,
    until_next, until_ready,
};

#[tokio::test]
async fn a_connection_that_died_without_a_word_is_taken_over() {
    let expected = expected(60);
    // From the frame that the server waits for, and from one that it has already.
    for from in [10, 4] {
        let bench = Bench::new();
        let id = job(&bench, 60).await;
        bench.until(&id, "rendering").await;
        let (dead, body) = open_body();
        let mut sent = frames(0..11);
        sent.truncate(sent.len() - 99);
        dead.send(Ok(sent.into())).await.unwrap();
        let old = sending(&bench, &format!("/api/v1/jobs/{id}/frames"), body);
        until_next(&bench, &id, 10).await;
        for query in ["", "?first=11"] {
            assert_eq!(push(&bench, &id, query, frames(11..60)).await.problem(409), "frames_busy");
        }
        let answer = push(&bench, &id, &format!("?first={from}"), frames(from..60)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(answered(old).await.problem(409), "frames_busy");
        drop(dead);
        bench.until(&id, "done").await;
        assert!(segments(&bench, &id).await == expected);
    }
}

#[tokio::test]
async fn a_server_that_stops_says_so_to_senders() {
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    bench.until(&id, "rendering").await;
    let (feed, body) = open_body();
    feed.send(Ok(frames(0..30).into())).await.unwrap();
    let path = format!("/api/v1/jobs/{id}/frames");
    let sender = sending(&bench, &path, body);
    until_next(&bench, &id, 30).await;
    until_ready(&bench, &id, 2).await;
    let state = bench.state.clone();
    let stopping = tokio::task::spawn_blocking(move || state.jobs().stop());
    let answer = answered(sender).await;
    assert_eq!(answer.problem(503), "stopping");
    assert_eq!(answer.header(header::RETRY_AFTER), "5");
    stopping.await.unwrap();
    assert_eq!(push(&bench, &id, "?first=30", frames(30..60)).await.problem(503), "stopping");
    assert_eq!(bench.ask(post(&format!("/api/v1/jobs/{id}/end"), "")).await.problem(503), "stopping");
    // The next process goes on.
    let bench = bench.restart(|_| {}).await;
    bench.until(&id, "rendering").await;
    let next = usize::try_from(next_frame(&bench, &id).await).unwrap();
    assert!((16..=30).contains(&next), "{next}");
    assert_eq!(push(&bench, &id, &format!("?first={next}"), frames(next..60)).await.status, 200);
    bench.until(&id, "done").await;
    assert!(segments(&bench, &id).await == expected(60));
}

async fn end_abandoned(bench: &Bench) -> Vec<JobId> {
    let state = bench.state.clone();
    tokio::task::spawn_blocking(move || state.jobs().end_abandoned()).await.unwrap()
}

#[tokio::test]
async fn a_job_that_nobody_feeds_is_given_up() {
    let limits = |abandoned| Limits { waiting: 2, abandoned, ..Limits::default() };
    let bench = Bench::with(|config| config.limits = limits(Duration::ZERO));
    let (left, fed) = (job(&bench, 60).await, job(&bench, 60).await);
    bench.until(&fed, "rendering").await;
    assert_eq!(push(&bench, &left, "", frames(0..30)).await.status, 200);
    until_ready(&bench, &left, 2).await;
    let (feed, body) = open_body();
    feed.send(Ok(frames(0..10).into())).await.unwrap();
    let sender = sending(&bench, &format!("/api/v1/jobs/{fed}/frames"), body);
    until_next(&bench, &fed, 10).await;
    let wish = json!({ "size": "64x48", "frames": 9 });
    assert_eq!(create(&bench, &wish).await.problem(429), "queue_full");

    assert_eq!(end_abandoned(&bench).await, [left.parse().unwrap()], "the other one has a sender");
    let failed = show(&bench, &left).await;
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&json!("failed"), &json!("frames_ended")));
    let list = bench.get(&format!("/api/v1/jobs/{left}/index.m3u8")).await;
    let list = String::from_utf8(list.body.to_vec()).unwrap();
    assert!(list.contains("segment_00001.ts") && list.ends_with("#EXT-X-ENDLIST\n"), "{list}");
    assert_eq!(push(&bench, &left, "", frames(30..60)).await.problem(409), "job_over");
    assert_eq!(create(&bench, &wish).await.status, 201, "there is room again");
    feed.send(Ok(frames(10..60).into())).await.unwrap();
    drop(feed);
    assert_eq!(answered(sender).await.status, 200);
    bench.until(&fed, "done").await;

    // Control: an hour has not passed.
    let bench = Bench::with(|config| config.limits = limits(Limits::default().abandoned));
    let id = job(&bench, 60).await;
    bench.until(&id, "rendering").await;
    assert!(end_abandoned(&bench).await.is_empty());
    assert_eq!(show(&bench, &id).await["state"], "rendering");
}

#[tokio::test]
async fn who_waits_for_frames_is_not_ahead_of_anybody() {
    let bench = Bench::with(|config| config.limits = Limits { waiting: 9, ..Limits::default() });
    for _ in 0..2 {
        let id = job(&bench, 60).await;
        bench.until(&id, "rendering").await;
    }
    let rendering = bench.job(24).await;
    bench.until(&rendering, "rendering").await;
    let queued = bench.job(24).await;
    assert_eq!(show(&bench, &queued).await["queue_position"], 1, "the one that is being rendered");
    let gone = request(Method::DELETE, &format!("/api/v1/jobs/{rendering}"));
    let gate = Arc::clone(&bench.gate);
    assert_eq!(bench.ask(gone).await.status, 204);
    gate.open();
    bench.until(&queued, "done").await;
}
