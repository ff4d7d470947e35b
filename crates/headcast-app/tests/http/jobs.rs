//! The table of jobs.

use axum::http::{Method, header};

use super::{Bench, request};

#[tokio::test]
async fn jobs_are_worked_off_in_order() {
    let bench = Bench::new();
    let first = bench.job(24).await;
    bench.until(&first, "rendering").await;
    let second = bench.job(24).await;
    let waiting = bench.get(&format!("/api/v1/jobs/{second}")).await.json();
    assert_eq!((&waiting["state"], &waiting["queue_position"]), (&"queued".into(), &1.into()));
    let list = bench.get("/api/v1/jobs").await.json();
    assert_eq!((&list[0]["id"], &list[1]["id"]), (&second.clone().into(), &first.clone().into()));
    bench.gate.open();
    let done = bench.until(&second, "done").await;
    assert_eq!(done["progress"]["frames"], 24);
    assert_eq!(done["clip"]["ready"], serde_json::json!([[0, 3]]));
    bench.until(&first, "done").await;
}

#[tokio::test]
async fn a_waiting_job_can_be_cancelled() {
    let bench = Bench::new();
    let first = bench.job(24).await;
    bench.until(&first, "rendering").await;
    let second = bench.job(24).await;
    let answer = bench.ask(request(Method::POST, &format!("/api/v1/jobs/{second}/cancel"))).await;
    assert_eq!(answer.json()["state"], "cancelled");
    bench.gate.open();
    bench.until(&first, "done").await;
    // What is over stays as it is.
    let answer = bench.ask(request(Method::POST, &format!("/api/v1/jobs/{first}/cancel"))).await;
    assert_eq!(answer.json()["state"], "done");
}

#[tokio::test]
async fn after_a_cancel_at_most_the_frame_at_hand_is_rendered() {
    let bench = Bench::new();
    let frames = async || {
        let text = String::from_utf8(bench.get("/metrics").await.body.to_vec()).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("headcast_frames_rendered_total "));
        line.unwrap().parse::<u64>().unwrap()
    };
    let id = bench.job(40).await;
    bench.gate.allow(3);
    while frames().await < 3 {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    bench.ask(request(Method::POST, &format!("/api/v1/jobs/{id}/cancel"))).await;
    bench.gate.open();
    let next = bench.job(16).await;
    bench.until(&next, "done").await;
    let rendered = frames().await;
    assert!((3 + 16..=3 + 1 + 16).contains(&rendered), "{rendered}");
}

#[tokio::test]
async fn a_deleted_job_is_gone_with_its_files() {
    let bench = Bench::open();
    let id = bench.job(24).await;
    bench.until(&id, "done").await;
    let folder = bench.dir.path().join("jobs").join(&id);
    assert!(folder.join("segment_00000.ts").exists());
    let path = format!("/api/v1/jobs/{id}");
    assert_eq!(bench.ask(request(Method::DELETE, &path)).await.status, 204);
    assert!(!folder.exists());
    assert_eq!(bench.get(&path).await.problem(404), "no_such_job");
    assert_eq!(bench.get(&format!("{path}/segment_00000.ts")).await.problem(404), "no_such_job");
    assert_eq!(bench.ask(request(Method::DELETE, &path)).await.problem(404), "no_such_job");
}

#[tokio::test]
async fn deleting_what_is_being_rendered_leaves_no_file() {
    let bench = Bench::new();
    let id = bench.job(24).await;
    bench.until(&id, "rendering").await;
    assert_eq!(bench.ask(request(Method::DELETE, &format!("/api/v1/jobs/{id}"))).await.status, 204);
    bench.gate.open();
    let next = bench.job(16).await;
    bench.until(&next, "done").await;
    assert!(!bench.dir.path().join("jobs").join(&id).exists());
}

#[tokio::test]
async fn foreign_hosts_and_origins_are_refused() {
    let bench = Bench::new();
    let with = |method: Method, host: &str, origin: Option<&str>| {
        let mut request = request(method, "/api/v1/jobs");
        request.headers_mut().insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            request.headers_mut().insert(header::ORIGIN, origin.parse().unwrap());
        }
        request
    };
    assert_eq!(bench.ask(with(Method::GET, "rebound.example", None)).await.problem(403), "host_refused");
    assert_eq!(bench.ask(with(Method::GET, "[::1]:7860", None)).await.status, 200);
    for origin in ["http://evil.example", "http://localhost:1", "null", "file://"] {
        let answer = bench.ask(with(Method::POST, "localhost:7860", Some(origin))).await;
        assert_eq!(answer.problem(403), "origin_refused", "{origin}");
    }
    // Past the guard, to the form.
    let own = bench.ask(with(Method::POST, "localhost:7860", Some("http://localhost:7860"))).await;
    assert_eq!(own.problem(400), "form_malformed");
    let mut none = request(Method::GET, "/");
    none.headers_mut().remove(header::HOST);
    assert_eq!(bench.ask(none).await.problem(400), "host_missing");
}

#[tokio::test]
async fn the_catalogue() {
    let bench = Bench::new();
    let avatars = bench.get("/api/v1/avatars").await.json();
    assert_eq!((&avatars[0]["name"], &avatars[1]["title"]), (&"milo".into(), &"Ada".into()));
    let thumbnail = bench.get("/api/v1/avatars/milo/thumbnail").await;
    assert_eq!((thumbnail.header(header::CONTENT_TYPE), &thumbnail.body[..]), ("image/png", &b"png"[..]));
    assert_eq!(bench.get("/api/v1/avatars/x/thumbnail").await.problem(404), "no_such_avatar");
    assert_eq!(bench.get("/api/v1/samples").await.json()[0]["id"], "hello");
    assert_eq!(bench.get("/api/v1/samples/hello/audio").await.header(header::CONTENT_TYPE), "audio/wav");
    assert_eq!(bench.get("/api/v1/samples/x/audio").await.problem(404), "no_such_sample");
    let info = bench.get("/api/v1/info").await.json();
    assert_eq!(info["limits"]["audio_bytes"], 5000);
    assert_eq!(info["limits"]["audio_secs"], 7200);
    assert_eq!(bench.get("/healthz").await.body, "ok\n");
    assert_eq!(bench.get("/nothing").await.problem(404), "no_such_page");
    let wrong = bench.ask(request(Method::PUT, "/api/v1/jobs")).await;
    assert_eq!(wrong.problem(405), "no_such_method");
}
