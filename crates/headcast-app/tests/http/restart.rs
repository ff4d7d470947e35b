//! What a client notices of a server that was started again.

use axum::http::{Method, header};
use serde_json::{Value, json};

use super::interface::events;
use super::{Bench, request};

#[tokio::test]
async fn an_event_source_goes_on_after_a_restart_and_reads_the_old_log_lines() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    let path = format!("/api/v1/jobs/{id}/events");
    bench.gate.allow(16);
    while bench.get(&format!("/api/v1/jobs/{id}")).await.json()["clip"]["ready"] != json!([[0, 2]]) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let seen = bench.get(&format!("/api/v1/jobs/{id}")).await.json();
    let bench = bench.restart(|_| {}).await;
    let resume = |last: &Value| {
        let mut resumed = request(Method::GET, &path);
        resumed.headers_mut().insert("last-event-id", last.to_string().parse().unwrap());
        resumed
    };
    let stream = bench.send(resume(&seen["seq"]));
    bench.gate.open();
    let (parts, body) = stream.await.into_parts();
    let body = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
    let resumed = events(&super::Answer { status: parts.status, headers: parts.headers, body });
    let last = seen["seq"].as_u64().unwrap();
    assert!(resumed[1..].iter().all(|event| event.0 > last), "{last} {resumed:?}");
    assert!(resumed.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{resumed:?}");
    let ready: Vec<_> =
        resumed.iter().filter(|event| event.1 == "ready").map(|event| event.2["segment"].clone()).collect();
    assert!(ready.ends_with(&[json!(3), json!(4)]) && !ready.contains(&json!(0)), "{ready:?}");
    let done = bench.until(&id, "done").await;

    // Another restart: whoever knows the end is told to stop, and whoever comes new reads all of it.
    let bench = bench.restart(|_| {}).await;
    assert_eq!(bench.ask(resume(&done["seq"])).await.status, 204);
    let all = events(&bench.get(&path).await);
    let count = |name: &str| all.iter().filter(|event| event.1 == name).count();
    assert_eq!((all[0].1.as_str(), count("ready")), ("state", 5));
    let opened = |event: &&(u64, String, Value)| {
        event.2["message"].as_str().is_some_and(|message| message.starts_with("opened in"))
    };
    assert_eq!(all.iter().filter(opened).count(), 2, "{all:?}");
    let secs = bench.get(&format!("/api/v1/jobs/{id}")).await.json()["clip"]["segment_secs"].clone();
    let secs = secs.as_array().unwrap();
    assert_eq!(secs.len(), 5);
    assert!(secs.iter().all(|secs| secs.as_f64().is_some_and(|secs| secs >= 0.0)), "{secs:?}");
}

#[tokio::test]
async fn the_first_frame_is_shown_after_a_restart() {
    let bench = Bench::open();
    let id = bench.job(24).await;
    bench.until(&id, "done").await;
    let path = format!("/api/v1/jobs/{id}/poster");
    let before = bench.get(&path).await;
    assert!(before.body.len() > 3, "the control: the avatar's own picture has three bytes");
    let bench = bench.restart(|_| {}).await;
    let after = bench.get(&path).await;
    assert_eq!((&after.body, after.header(header::CONTENT_TYPE)), (&before.body, "image/png"));
}

#[tokio::test]
async fn a_cancelled_job_stays_cancelled() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    bench.ask(request(Method::POST, &format!("/api/v1/jobs/{id}/cancel"))).await;
    let bench = bench.restart(|_| {}).await;
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}")).await.json()["state"], "cancelled");
}
