//! Playlists, held segments, the video file.

use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use bytes::Bytes;
use http_body_util::BodyExt;
use serde_json::json;

use super::{Answer, Bench, request};

/// The PAT's packet begins every segment.
const SYNC_AND_PAT: [u8; 3] = [0x47, 0x40, 0x00];

async fn next_chunk(body: &mut axum::body::Body) -> Option<Bytes> {
    let wait = tokio::time::timeout(Duration::from_secs(30), body.frame());
    wait.await.expect("the body stays silent").map(|frame| frame.unwrap().into_data().unwrap())
}

#[tokio::test]
async fn the_list_is_complete_before_the_first_frame() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    // Asked while the job may still be opening: held until it is opened.
    let list = bench.get(&format!("/api/v1/jobs/{id}/index.m3u8")).await;
    assert_eq!(list.header(header::CONTENT_TYPE), "application/vnd.apple.mpegurl");
    let text = String::from_utf8(list.body.to_vec()).unwrap();
    assert!(text.contains("PLAYLIST-TYPE:VOD") && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    assert_eq!(text.matches("segment_").count(), 5, "{text}");
}

#[tokio::test]
async fn a_planned_segment_is_held_and_a_made_one_is_whole() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    let path = format!("/api/v1/jobs/{id}/segment_00000.ts");
    let (parts, mut body) = bench.send(request(Method::GET, &path)).await.into_parts();
    assert_eq!(parts.status, 200);
    assert_eq!(parts.headers[header::CONTENT_TYPE], "video/mp2t");
    assert_eq!(parts.headers[header::CACHE_CONTROL], "no-store");
    let head = next_chunk(&mut body).await.unwrap();
    assert_eq!(head.len(), 188);
    assert_eq!(head[..3], SYNC_AND_PAT);
    // Nothing more until the frames are there.
    assert!(tokio::time::timeout(Duration::from_millis(100), body.frame()).await.is_err());
    bench.gate.open();
    let mut held = head.to_vec();
    while let Some(chunk) = next_chunk(&mut body).await {
        held.extend_from_slice(&chunk);
    }

    let whole = bench.get(&path).await;
    assert_eq!(whole.body, held);
    assert!(held.len() > 376 && held.len() % 188 == 0);
    assert_eq!(whole.header(header::CONTENT_LENGTH), held.len().to_string());
    assert!(whole.header(header::CACHE_CONTROL).contains("immutable"));
}

#[tokio::test]
async fn a_held_segment_is_never_silent_for_long() {
    let bench = Bench::with(|config| config.keep_alive = Duration::from_millis(1));
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    let path = format!("/api/v1/jobs/{id}/segment_00001.ts");
    let mut body = bench.send(request(Method::GET, &path)).await.into_body();
    let mut held = next_chunk(&mut body).await.unwrap().to_vec();
    for _ in 0..188 {
        let drop = next_chunk(&mut body).await.unwrap();
        assert_eq!(drop.len(), 1);
        held.extend_from_slice(&drop);
    }
    // All that is known of it has been sent.
    assert!(tokio::time::timeout(Duration::from_millis(100), body.frame()).await.is_err());
    bench.gate.open();
    held.extend_from_slice(&body.collect().await.unwrap().to_bytes());
    assert_eq!(bench.get(&path).await.body, held);
}

#[tokio::test]
async fn asking_for_a_segment_moves_it_to_the_front() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    let path = format!("/api/v1/jobs/{id}/segment_00003.ts");
    let asked = bench.send(request(Method::GET, &path)).await;
    // The first segment may be in hand already; the next one is the one that was asked for. Otherwise it is the first,
    // and what follows it the second.
    bench.gate.allow(16);
    let body = asked.into_body().collect().await.unwrap().to_bytes();
    assert!(body.len() > 376);
    let ready = bench.get(&format!("/api/v1/jobs/{id}")).await.json()["clip"]["ready"].clone();
    let orders = [json!([[0, 1], [3, 4]]), json!([[3, 4]]), json!([[3, 5]])];
    assert!(orders.contains(&ready), "{ready}");
}

#[tokio::test]
async fn cancelling_ends_what_is_held() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    let held = bench.send(request(Method::GET, &format!("/api/v1/jobs/{id}/segment_00002.ts"))).await;
    let cancelled = bench.ask(request(Method::POST, &format!("/api/v1/jobs/{id}/cancel"))).await;
    assert_eq!(cancelled.json()["state"], "cancelled");
    let body = tokio::time::timeout(Duration::from_secs(10), held.into_body().collect()).await;
    assert!(body.expect("the body ends").is_err(), "a head alone must not pass for a segment");
    for file in ["segment_00002.ts", "index.m3u8", "video.mp4"] {
        assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/{file}")).await.problem(410), "job_cancelled");
    }
}

#[tokio::test]
async fn the_list_of_a_job_in_the_queue_begins_soon_and_is_held() {
    let bench = Bench::with(|config| config.playlist_wait = Duration::from_millis(10));
    let first = bench.job(40).await;
    bench.until(&first, "rendering").await;
    let (second, third) = (bench.job(40).await, bench.job(40).await);
    let mut held = Vec::new();
    for (id, name) in [(&second, "index.m3u8"), (&second, "live.m3u8"), (&third, "index.m3u8")] {
        let path = format!("/api/v1/jobs/{id}/{name}");
        let list = bench.send(request(Method::GET, &path)).await;
        assert_eq!(list.status(), StatusCode::OK, "{path}");
        assert_eq!(list.headers()[header::CONTENT_TYPE], "application/vnd.apple.mpegurl");
        let mut body = list.into_body();
        assert_eq!(next_chunk(&mut body).await.unwrap(), "#EXTM3U\n");
        let more = tokio::time::timeout(Duration::from_millis(50), body.frame()).await;
        assert!(more.is_err(), "{path}: the rest waits until the job is opened");
        held.push((path, body));
    }
    bench.ask(request(Method::POST, &format!("/api/v1/jobs/{third}/cancel"))).await;
    let (path, body) = held.pop().unwrap();
    let rest = tokio::time::timeout(Duration::from_secs(30), body.collect()).await;
    assert!(rest.expect("the body ends").is_err(), "a head alone must not pass for a list");
    assert_eq!(bench.get(&path).await.problem(410), "job_cancelled");

    // The one ahead makes way, and the next one gets its first segment.
    bench.ask(request(Method::POST, &format!("/api/v1/jobs/{first}/cancel"))).await;
    bench.gate.allow(16);
    for (path, body) in held {
        let rest = tokio::time::timeout(Duration::from_secs(30), body.collect()).await;
        let rest = rest.expect("the job is opened").unwrap().to_bytes();
        let whole = String::from_utf8([b"#EXTM3U\n", rest.as_ref()].concat()).unwrap();
        assert!(whole.contains("segment_00000.ts"), "{path}: {whole}");
        let direct = bench.get(&path).await.body;
        assert!(direct.starts_with(whole.as_bytes()), "{path}: {whole}");
    }
}

#[tokio::test]
async fn a_failure_ends_what_is_held_and_says_why() {
    let failures =
        [("broken.wav", "render_failed"), ("deaf.wav", "extractor_unusable"), ("panic.wav", "internal")];
    for (name, code) in failures {
        let bench = Bench::new();
        let id = bench.named_job(name, 40).await;
        bench.until(&id, "rendering").await;
        let held = bench.send(request(Method::GET, &format!("/api/v1/jobs/{id}/segment_00004.ts"))).await;
        bench.gate.open();
        let body = tokio::time::timeout(Duration::from_secs(30), held.into_body().collect()).await;
        assert!(body.expect("the body ends").is_err());
        let job = bench.until(&id, "failed").await;
        assert_eq!(job["error"]["code"], code, "{job}");
        assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/segment_00000.ts")).await.problem(410), code);
        // The server lives on.
        let next = bench.job(16).await;
        bench.until(&next, "done").await;
    }
}

#[tokio::test]
async fn what_cannot_be_opened_fails_with_its_reason() {
    let bench = Bench::open();
    let id = bench.named_job("late.wav", 40).await;
    assert_eq!(bench.until(&id, "failed").await["error"]["code"], "audio_silent");
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/index.m3u8")).await.problem(410), "audio_silent");
}

#[tokio::test]
async fn the_growing_list_ends_with_the_job() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    bench.gate.allow(8);
    let path = format!("/api/v1/jobs/{id}/live.m3u8");
    let text = |answer: Answer| String::from_utf8(answer.body.to_vec()).unwrap();
    let growing = text(bench.get(&path).await);
    assert!(growing.contains("PLAYLIST-TYPE:EVENT") && growing.contains("segment_00000.ts"), "{growing}");
    assert!(!growing.contains("ENDLIST"));
    bench.gate.open();
    bench.until(&id, "done").await;
    let ended = text(bench.get(&path).await);
    assert!(ended.starts_with(&growing) && ended.ends_with("#EXT-X-ENDLIST\n"));
}

#[tokio::test]
async fn there_is_no_segment_past_the_end() {
    let bench = Bench::open();
    let id = bench.job(40).await;
    bench.until(&id, "done").await;
    assert_eq!(
        bench.get(&format!("/api/v1/jobs/{id}/segment_00005.ts")).await.problem(404),
        "no_such_segment"
    );
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/segment_0.ts")).await.problem(404), "no_such_page");
    assert_eq!(bench.get("/api/v1/jobs/aaaaaaaaaaaaaaaa/segment_00000.ts").await.problem(404), "no_such_job");
    assert_eq!(bench.get("/api/v1/jobs/..%2f..%2fx/segment_00000.ts").await.problem(404), "no_such_job");
}

#[tokio::test]
async fn the_video_file_comes_whole_and_in_ranges() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    let path = format!("/api/v1/jobs/{id}/video.mp4");
    let early = bench.get(&path).await;
    assert_eq!(early.problem(409), "not_done");
    bench.gate.open();
    bench.until(&id, "done").await;

    let whole = bench.get(&path).await;
    assert_eq!((whole.status.as_u16(), whole.header(header::CONTENT_TYPE)), (200, "video/mp4"));
    assert_eq!(&whole.body[4..8], b"ftyp");
    assert_eq!(whole.header(header::CONTENT_LENGTH), whole.body.len().to_string());
    assert_eq!(whole.header(header::CONTENT_DISPOSITION), "");
    let tag = whole.header(header::ETAG).to_owned();

    let length = whole.body.len();
    for (first, last) in [(0, 99), (100, length / 2), (length / 2, length - 1), (length - 7, length - 1)] {
        let mut ask = request(Method::GET, &path);
        ask.headers_mut().insert(header::RANGE, format!("bytes={first}-{last}").parse().unwrap());
        ask.headers_mut().insert(header::IF_RANGE, tag.parse().unwrap());
        let part = bench.ask(ask).await;
        assert_eq!(part.status, 206);
        assert_eq!(part.header(header::CONTENT_RANGE), format!("bytes {first}-{last}/{length}"));
        assert_eq!(part.body, whole.body[first..=last]);
    }
    let mut past = request(Method::GET, &path);
    past.headers_mut().insert(header::RANGE, format!("bytes={length}-").parse().unwrap());
    assert_eq!(bench.ask(past).await.status, 416);
    let mut other = request(Method::GET, &path);
    other.headers_mut().insert(header::RANGE, "bytes=0-1".parse().unwrap());
    other.headers_mut().insert(header::IF_RANGE, "\"another\"".parse().unwrap());
    assert_eq!(bench.ask(other).await.status, 200);

    let saved = bench.get(&format!("{path}?download")).await;
    assert!(saved.header(header::CONTENT_DISPOSITION).contains("attachment; filename=\"speech-milo.mp4\""));
}
