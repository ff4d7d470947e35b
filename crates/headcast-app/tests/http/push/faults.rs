//! Pushed jobs on a disk that loses segments: their frames have to come again, or the job says so.

use std::path::PathBuf;

use axum::http::Method;
use bytes::Bytes;
use headcast_app::server::Config;
use http_body_util::BodyExt;
use serde_json::json;
use tokio::task::JoinHandle;

use super::super::{Bench, Field, request};
use super::{
    answered, eventually, expected, frames, job, log, next_frame, open_body, post, push, segments, sending,
    show, until_next, until_ready,
};

pub(super) fn file(bench: &Bench, id: &str, segment: usize) -> PathBuf {
    bench.dir.path().join("jobs").join(id).join(format!("segment_{segment:05}.ts"))
}

/// Of a believable size, and not whole.
fn cut(bench: &Bench, id: &str, segment: usize) {
    let file = std::fs::OpenOptions::new().write(true).open(file(bench, id, segment)).unwrap();
    file.set_len(188 * 16 * 2).unwrap();
}

/// Asks for a segment that is not there, and what comes when it is.
pub(super) fn held(bench: &Bench, id: &str, segment: usize) -> JoinHandle<Bytes> {
    let path = format!("/api/v1/jobs/{id}/segment_{segment:05}.ts");
    let (router, get) = (bench.router.clone(), request(Method::GET, &path));
    tokio::spawn(async move {
        let answer = tower::ServiceExt::oneshot(router, get).await.unwrap();
        answer.into_body().collect().await.unwrap().to_bytes()
    })
}

#[tokio::test]
async fn the_frames_of_a_lost_segment_are_wanted_again() {
    let expected = expected(60);
    for damage in
        [|file: PathBuf| std::fs::remove_file(file).unwrap(), |file| std::fs::write(file, "x").unwrap()]
    {
        let bench = Bench::new();
        let id = job(&bench, 60).await;
        assert_eq!(push(&bench, &id, "", frames(0..30)).await.status, 200);
        until_ready(&bench, &id, 2).await;
        damage(file(&bench, &id, 1));
        // Somebody plays it.
        let played = held(&bench, &id, 1);
        until_next(&bench, &id, 8).await;
        assert_eq!(push(&bench, &id, "?first=30", frames(30..60)).await.problem(409), "frames_position");
        let end = bench.ask(post(&format!("/api/v1/jobs/{id}/end"), "")).await;
        assert_eq!(end.problem(409), "frames_lost", "nothing is held where frames were sent");
        assert_eq!(show(&bench, &id).await["state"], "rendering");
        assert_eq!(push(&bench, &id, "?first=8", frames(8..60)).await.status, 200);
        bench.until(&id, "done").await;
        assert!(segments(&bench, &id).await == expected);
        assert!(answered(played).await == expected[1]);
        let log = log(&bench, &id).await;
        assert!(log.contains("segment 1 was lost or damaged on the disk; send its frames again"), "{log}");
    }
}

#[tokio::test]
async fn a_segment_that_is_lost_behind_a_sender_is_wanted_when_it_is_through() {
    let expected = expected(60);
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    bench.until(&id, "rendering").await;
    let (feed, body) = open_body();
    feed.send(Ok(frames(0..30).into())).await.unwrap();
    let sending = sending(&bench, &format!("/api/v1/jobs/{id}/frames"), body);
    until_ready(&bench, &id, 2).await;
    std::fs::remove_file(file(&bench, &id, 0)).unwrap();
    let played = held(&bench, &id, 0);
    eventually("lost", &bench, &id, |job| (job["clip"]["ready"][0][0] == 1).then_some(())).await;
    feed.send(Ok(frames(30..60).into())).await.unwrap();
    drop(feed);
    assert_eq!(answered(sending).await.status, 200);
    let job = show(&bench, &id).await;
    assert_eq!((&job["state"], &job["frames"]["next_frame"]), (&json!("rendering"), &json!(0)));
    assert_eq!(job["progress"]["phase"], "awaiting");
    // The ones behind it are there, and stay as they are: other frames do not change them.
    let mut other = frames(0..8);
    other.extend(frames(100..130));
    assert_eq!(push(&bench, &id, "?first=0", other).await.status, 200);
    bench.until(&id, "done").await;
    assert!(segments(&bench, &id).await == expected);
    assert!(answered(played).await == expected[0]);
}

#[tokio::test]
async fn a_finished_job_without_a_segment_says_so() {
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    assert_eq!(push(&bench, &id, "", frames(0..60)).await.status, 200);
    bench.until(&id, "done").await;
    let kept = segments(&bench, &id).await;
    std::fs::remove_file(file(&bench, &id, 1)).unwrap();
    let path = format!("/api/v1/jobs/{id}");
    assert_eq!(bench.get(&format!("{path}/segment_00001.ts")).await.problem(410), "frames_lost");
    let failed = bench.until(&id, "failed").await;
    assert_eq!(failed["error"]["code"], "frames_lost");
    let detail = failed["error"]["detail"].as_str().unwrap();
    assert!(detail.contains("segment 1") && detail.contains("as a new job"), "{detail}");
    // What is before the gap plays, also after a restart.
    let bench = bench.restart(|_| {}).await;
    assert_eq!(show(&bench, &id).await["error"]["code"], "frames_lost");
    let list = String::from_utf8(bench.get(&format!("{path}/index.m3u8")).await.body.to_vec()).unwrap();
    let listed: Vec<_> = list.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(listed == ["segment_00000.ts"] && list.ends_with("#EXT-X-ENDLIST\n"), "{list}");
    assert!(bench.get(&format!("{path}/segment_00000.ts")).await.body == kept[0]);
    assert_eq!(bench.get(&format!("{path}/video.mp4")).await.problem(410), "frames_lost");
    assert_eq!(push(&bench, &id, "", frames(8..24)).await.problem(409), "job_over");
}

#[tokio::test]
async fn a_restart_finds_what_a_finished_job_lost() {
    let bench = Bench::new();
    let mut ids = Vec::new();
    for _ in 0..2 {
        let id = job(&bench, 60).await;
        assert_eq!(push(&bench, &id, "", frames(0..60)).await.status, 200);
        bench.until(&id, "done").await;
        ids.push(id);
    }
    let bench = {
        let lost = file(&bench, &ids[0], 2);
        let bench = bench.restart(|_| {}).await;
        std::fs::remove_file(lost).unwrap();
        bench.restart(|_| {}).await
    };
    let failed = bench.until(&ids[0], "failed").await;
    assert_eq!(failed["error"]["code"], "frames_lost");
    assert!(log(&bench, &ids[0]).await.contains("segment 2 was lost"));
    assert_eq!(show(&bench, &ids[1]).await["state"], "done", "the control");
}

/// Of a finished job it is found when the video is asked for, and nowhere before.
#[tokio::test]
async fn a_video_that_cannot_be_put_together_says_why() {
    let bench = Bench::new();
    let id = job(&bench, 60).await;
    assert_eq!(push(&bench, &id, "", frames(0..60)).await.status, 200);
    bench.until(&id, "done").await;
    let bench = bench.restart(|_| {}).await;
    cut(&bench, &id, 1);
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/video.mp4")).await.problem(410), "frames_lost");
    bench.until(&id, "failed").await;
}

#[tokio::test]
async fn a_damaged_segment_is_where_a_feed_goes_back_to() {
    let expected = expected(60);
    for damaged in [0, 1] {
        let bench = Bench::new();
        let id = job(&bench, 60).await;
        assert_eq!(push(&bench, &id, "", frames(0..30)).await.status, 200);
        until_ready(&bench, &id, 2).await;
        let bench = bench.restart(|_| {}).await;
        bench.until(&id, "rendering").await;
        // Too late for the look at the start.
        cut(&bench, &id, damaged);
        let start = [0, 8][damaged];
        let before = next_frame(&bench, &id).await;
        let refused = push(&bench, &id, &format!("?first={before}"), Vec::new()).await;
        assert_eq!(refused.problem(409), "frames_position");
        assert_eq!(next_frame(&bench, &id).await, start);
        let from = usize::try_from(start).unwrap();
        assert_eq!(push(&bench, &id, &format!("?first={start}"), frames(from..60)).await.status, 200);
        bench.until(&id, "done").await;
        assert!(segments(&bench, &id).await == expected);
    }
}

/// After a restart no picture is in memory; the last one of what is made is held.
#[tokio::test]
async fn an_end_after_a_restart_keeps_the_job() {
    for in_one in [true, false] {
        let bench = Bench::new();
        let id = job(&bench, 60).await;
        assert_eq!(push(&bench, &id, "", frames(0..28)).await.status, 200);
        let ready = until_ready(&bench, &id, 2).await;
        let bench = bench.restart(|_| {}).await;
        bench.until(&id, "rendering").await;
        let missing = 60 - next_frame(&bench, &id).await;
        let made = segments_from_start(&bench, &id, ready).await;
        let answer = match in_one {
            true => push(&bench, &id, "?end=true", Vec::new()).await,
            false => bench.ask(post(&format!("/api/v1/jobs/{id}/end"), "")).await,
        };
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        bench.until(&id, "done").await;
        let all = segments(&bench, &id).await;
        assert!(all.len() == expected(60).len() && all[..ready] == made);
        assert!(log(&bench, &id).await.contains(&format!("{missing} frames missing at the end")));
        assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/video.mp4")).await.status, 200);
    }
}

async fn segments_from_start(bench: &Bench, id: &str, count: usize) -> Vec<Bytes> {
    let mut found = Vec::new();
    for k in 0..count {
        found.push(bench.get(&format!("/api/v1/jobs/{id}/segment_{k:05}.ts")).await.body);
    }
    found
}

/// Two seconds of a tone, as a WAV file; the other tone is another sound of the same length.
fn tone(period: u16) -> Vec<u8> {
    let samples = (0..32_000_u16)
        .flat_map(|at| (if at % period < period / 2 { 6000_i16 } else { -6000 }).to_le_bytes());
    let data: Vec<u8> = samples.collect();
    let size = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
    let format = [16, 0, 0, 0, 1, 0, 1, 0, 0x80, 0x3e, 0, 0, 0, 0x7d, 0, 0, 2, 0, 16, 0];
    [b"RIFF", &size(36 + data.len())[..], b"WAVEfmt ", &format, b"data", &size(data.len()), &data].concat()
}

/// As after an update that reads or encodes sound otherwise: what is made would not fit to what follows.
#[tokio::test]
async fn what_belongs_to_another_sound_is_made_again() {
    for changes in [true, false] {
        let roomy = |config: &mut Config| config.max_audio_bytes = 100_000;
        let bench = Bench::with(roomy);
        let sound = tone(80);
        let fields = [Field::text("size", "64x48"), Field::file("audio", "tone.wav", &sound)];
        let made = bench.upload(&fields).await;
        assert_eq!(made.status, 201, "{:?}", made.body);
        let id = made.json()["id"].as_str().unwrap().to_owned();
        bench.until(&id, "rendering").await;
        assert_eq!(push(&bench, &id, "", frames(0..30)).await.status, 200);
        until_ready(&bench, &id, 1).await;
        let input = bench.dir.path().join("jobs").join(&id).join("input");
        if changes {
            std::fs::write(input, tone(90)).unwrap();
        }
        let bench = bench.restart(roomy).await;
        let next = next_frame(&bench, &id).await;
        assert!(next > 0);
        let answer = push(&bench, &id, &format!("?first={next}"), Vec::new()).await;
        if changes {
            assert_eq!(answer.problem(409), "frames_position");
            assert_eq!(next_frame(&bench, &id).await, 0);
        } else {
            assert_eq!(answer.status, 200, "{:?}", answer.body);
        }
        let from = usize::try_from(next_frame(&bench, &id).await).unwrap();
        assert_eq!(push(&bench, &id, &format!("?first={from}"), frames(from..50)).await.status, 200);
        bench.until(&id, "done").await;
        assert_eq!(log(&bench, &id).await.contains("it begins again with frame 0"), changes);
        assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/video.mp4")).await.status, 200);
    }
}
