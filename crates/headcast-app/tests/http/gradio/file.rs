//! Files that were handed out, and everything else.

use axum::http::{Method, header};
use serde_json::json;

use super::{Bench, request};

#[tokio::test]
async fn the_video_and_its_ranges() {
    let bench = Bench::open();
    let clip = bench.clip("speech.wav", 24).await;
    let end = bench.outcome(json!([clip])).await;
    let path = format!("/gradio_api/file={}", end["output"]["data"][0]["path"].as_str().unwrap());
    let whole = bench.get(&path).await;
    assert_eq!((whole.status.as_u16(), whole.header(header::CONTENT_TYPE)), (200, "video/mp4"));
    assert_eq!(&whole.body[4..8], b"ftyp");
    let mut part = request(Method::GET, &path);
    part.headers_mut().insert(header::RANGE, "bytes=100-199".parse().unwrap());
    let part = bench.ask(part).await;
    assert_eq!((part.status.as_u16(), &part.body[..]), (206, &whole.body[100..200]));
    assert_eq!(part.header(header::CONTENT_RANGE), format!("bytes 100-199/{}", whole.body.len()));
    let head = bench.ask(request(Method::HEAD, &path)).await;
    assert_eq!((head.status.as_u16(), head.body.len()), (200, 0));
    assert_eq!(head.header(header::CONTENT_LENGTH), whole.body.len().to_string());
}

#[tokio::test]
async fn nothing_else_is_handed_out() {
    let bench = Bench::open();
    let clip = bench.clip("speech.wav", 24).await;
    let end = bench.outcome(json!([clip])).await;
    let path = end["output"]["data"][0]["path"].as_str().unwrap();
    let job = path.split('/').nth(1).unwrap();
    assert_eq!(bench.get(&format!("/gradio_api/file={path}")).await.status, 200);
    bench.gate.open();
    let upload = bench.clip("secret.wav", 24).await["path"].as_str().unwrap().to_owned();
    let dir = bench.dir.path().display().to_string();
    for path in [
        "/etc/passwd",
        "../../../../etc/passwd",
        "%2e%2e/%2e%2e/etc/passwd",
        "..%2f..%2fetc%2fpasswd",
        "out/..%2f..%2fetc/passwd",
        "file:///etc/passwd",
        "https://example.org/",
        "out",
        "out/",
        &format!("out/{job}"),
        &format!("out/{job}/"),
        &format!("out/{job}/input"),
        &format!("out/{job}/segment_00000.ts"),
        &format!("out/{job}/../{job}/speech-milo.mp4"),
        &format!("{path}/"),
        &format!("/{path}"),
        &format!("{path}%00"),
        "out/aaaaaaaaaaaaaaaa/speech-milo.mp4",
        &upload,
        &format!("{dir}/jobs/{job}/input"),
        &format!("jobs/{job}/input"),
    ] {
        let answer = bench.get(&format!("/gradio_api/file={path}")).await;
        assert_eq!(answer.problem(403), "not_issued", "{path}");
    }
}

#[tokio::test]
async fn a_video_is_not_there_before_its_end() {
    let bench = Bench::new();
    let job = bench.job(24).await;
    let path = format!("/gradio_api/file=out/{job}/speech-milo.mp4");
    assert_eq!(bench.get(&path).await.problem(403), "not_issued");
    bench.gate.open();
    bench.until(&job, "done").await;
    assert_eq!(bench.get(&path).await.status, 200);
    bench.ask(request(Method::DELETE, &format!("/api/v1/jobs/{job}"))).await;
    assert_eq!(bench.get(&path).await.problem(403), "not_issued");
}
