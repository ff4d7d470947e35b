//! Pushed jobs whose length nobody says before: as long as frames come.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, header};
use bytes::Bytes;
use headcast::core::FrameRate;
use headcast::media::store::{Memory, SegmentStore};
use headcast::push::{Format, Length, Output, Pixels, Settings, Stream};
use headcast_app::jobs::Limits;
use serde_json::{Value, json};

use super::super::{Answer, Bench, Field, request};
use super::faults::{file, held};
use super::{
    FRAME, answered, create, eventually, frames, log, next_frame, open_body, post, push, segments, sending,
    show, until_next, until_ready,
};

async fn open_job(bench: &Bench) -> String {
    let answer = create(bench, &json!({ "size": "64x48" })).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    bench.until(&id, "rendering").await;
    id
}

async fn end(bench: &Bench, id: &str) -> Answer {
    bench.ask(post(&format!("/api/v1/jobs/{id}/end"), "")).await
}

async fn playlist(bench: &Bench, id: &str, name: &str) -> String {
    let answer = bench.get(&format!("/api/v1/jobs/{id}/{name}")).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answer.header(header::CONTENT_TYPE), "application/vnd.apple.mpegurl");
    String::from_utf8(answer.body.to_vec()).unwrap()
}

fn listed(playlist: &str) -> usize {
    playlist.lines().filter(|line| !line.starts_with('#')).count()
}

/// What `pipe -o` and the library make of frames in sittings that end here; the last one ends the clip.
fn expected(sittings: &[usize]) -> Vec<Bytes> {
    let store = Arc::new(Memory::default());
    let (mut ends, mut start) = (Vec::new(), 0);
    for (number, end) in sittings.iter().enumerate() {
        let settings = Settings::new(64, 48, Length::Open(FrameRate::PAL)).ends(ends.clone());
        let mut stream = Stream::open(settings, Output::Store(Arc::<Memory>::clone(&store))).unwrap();
        assert_eq!(stream.next_frame(), start as u64);
        for frame in frames(start..*end).chunks(FRAME) {
            stream.write(&Pixels::tight(Format::Rgb24, 64, 48, frame).unwrap()).unwrap();
        }
        let viewer = stream.viewer();
        if number + 1 == sittings.len() {
            stream.finish().unwrap();
        } else {
            stream.abort("it is interrupted").unwrap();
        }
        (ends, start) = (viewer.plan().unwrap().ends().to_vec(), *end);
    }
    store.list().unwrap().into_iter().map(|k| store.get(k).unwrap().unwrap()).collect()
}

#[tokio::test]
async fn a_job_of_open_length_plays_while_it_grows() {
    let bench = Bench::new();
    let id = open_job(&bench).await;
    let path = format!("/api/v1/jobs/{id}");
    let job = show(&bench, &id).await;
    assert_eq!(
        job["clip"],
        json!({
            "open": true, "duration_secs": 0.0, "frames": 0, "frame_rate": 25.0, "segments": 0, "ready": [],
            "segment_ends": [], "segment_secs": []
        })
    );
    assert_eq!((&job["progress"]["phase"], &job["progress"]["total"]), (&json!("awaiting"), &Value::Null));
    // A list without a segment is held until there is one.
    let (router, get) = (bench.router.clone(), request(Method::GET, &format!("{path}/index.m3u8")));
    let first_list = tokio::spawn(async move {
        let answer = tower::ServiceExt::oneshot(router, get).await.unwrap();
        http_body_util::BodyExt::collect(answer.into_body()).await.unwrap().to_bytes()
    });

    let mut before = String::new();
    for (first, last) in [(0, 20), (20, 60), (60, 61), (61, 90)] {
        let answer = push(&bench, &id, &format!("?first={first}"), frames(first..last)).await;
        assert_eq!(answer.status, 200, "{:?}", answer.body);
        assert_eq!(answer.json()["frames"]["next_frame"], last);
        until_ready(&bench, &id, listed(&before) + usize::from(first != 60)).await;
        for name in ["index.m3u8", "live.m3u8"] {
            let text = playlist(&bench, &id, name).await;
            assert!(text.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n") && !text.contains("ENDLIST"), "{text}");
            assert!(
                text.contains("#EXT-X-MEDIA-SEQUENCE:0\n") && text.contains("\nsegment_00000.ts\n"),
                "{text}"
            );
            assert!(text.starts_with(&before), "it grows by appending: {before} {text}");
            if name == "live.m3u8" {
                before = text;
            }
        }
        let job = show(&bench, &id).await;
        assert_eq!((&job["state"], &job["clip"]["open"]), (&json!("rendering"), &json!(true)));
        assert_eq!((&job["progress"]["total"], &job["progress"]["eta_secs"]), (&Value::Null, &Value::Null));
    }
    let first_list = String::from_utf8(answered(first_list).await.to_vec()).unwrap();
    assert!(listed(&first_list) > 0 && before.starts_with(&first_list), "{first_list}");
    let partial = bench.get(&format!("{path}/video.mp4?partial=1")).await;
    assert!(partial.status == 200 && partial.body.windows(4).any(|w| w == b"moov"));
    assert_eq!(bench.get(&format!("{path}/video.mp4")).await.problem(409), "not_done");
    assert_eq!(bench.get(&format!("{path}/segment_00099.ts")).await.problem(404), "no_such_segment");

    let done = end(&bench, &id).await.json();
    assert_eq!((&done["state"], &done["clip"]["open"]), (&json!("done"), &json!(false)));
    assert_eq!((&done["progress"]["frames"], &done["progress"]["total"]), (&json!(90), &json!(90)));
    assert_eq!((&done["clip"]["frames"], &done["clip"]["duration_secs"]), (&json!(90), &json!(3.6)));
    for name in ["index.m3u8", "live.m3u8"] {
        let text = playlist(&bench, &id, name).await;
        assert!(text.starts_with(&before) && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
        assert_eq!(json!(listed(&text)), done["clip"]["segments"]);
    }
    assert!(segments(&bench, &id).await == expected(&[90]));
    // Control: one frame more or less is another clip, and other pictures are.
    for others in [0..89, 1..91] {
        let other = open_job(&bench).await;
        assert_eq!(push(&bench, &other, "?end=true", frames(others)).await.status, 200);
        assert!(segments(&bench, &other).await != expected(&[90]));
    }
    let video = bench.get(&format!("{path}/video.mp4")).await;
    assert!(video.status == 200 && video.body.windows(4).any(|w| w == b"moov"));
    let mut part = request(Method::GET, &format!("{path}/video.mp4"));
    part.headers_mut().insert(header::RANGE, "bytes=100-299".parse().unwrap());
    let part = bench.ask(part).await;
    assert!(part.status == 206 && part.body == video.body[100..300]);
    assert_eq!(bench.get(&format!("{path}/poster")).await.header(header::CONTENT_TYPE), "image/png");
    let events = log(&bench, &id).await;
    assert!(events.contains("as long as frames come") && events.contains("\"end_secs\":0.32"), "{events}");
    let list = bench.get("/api/v1/jobs").await.json();
    assert!(list.as_array().unwrap().iter().any(|job| job["id"] == id && job["clip"]["frames"] == 90));
    assert_eq!(push(&bench, &id, "", frames(90..91)).await.problem(409), "job_over");
    assert_eq!(bench.ask(post(&format!("{path}/rerun"), "")).await.problem(409), "input_gone");
}

#[tokio::test]
async fn a_clip_of_open_length_may_have_one_frame_and_not_none() {
    let bench = Bench::new();
    let id = open_job(&bench).await;
    assert_eq!(push(&bench, &id, "?end=true", frames(0..1)).await.status, 200);
    assert_eq!(show(&bench, &id).await["state"], "done");
    assert!(segments(&bench, &id).await == expected(&[1]));
    let empty = open_job(&bench).await;
    assert_eq!(end(&bench, &empty).await.problem(409), "frames_missing");
    bench.until(&empty, "failed").await;
    assert_eq!(bench.get(&format!("/api/v1/jobs/{empty}/index.m3u8")).await.problem(410), "frames_missing");
    // As a form.
    let answer = bench.upload(&[Field::text("size", "64x48"), Field::text("fps", "30")]).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    let id = answer.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(bench.until(&id, "rendering").await["clip"]["open"], true);
}

#[tokio::test]
async fn the_longest_clip_ends_there_and_plays() {
    let limits = Limits { max_open: Duration::from_secs(1), ..Limits::default() };
    let bench = Bench::with(|config| config.limits = limits);
    let id = open_job(&bench).await;
    let refused = push(&bench, &id, "", frames(0..60)).await;
    assert_eq!(refused.problem(413), "clip_too_long");
    let detail = refused.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("25 frames") && detail.contains("as a new job"), "{detail}");
    let done = show(&bench, &id).await;
    assert_eq!((&done["state"], &done["progress"]["frames"]), (&json!("done"), &json!(25)));
    assert!(playlist(&bench, &id, "index.m3u8").await.ends_with("#EXT-X-ENDLIST\n"));
    assert!(segments(&bench, &id).await == expected(&[25]));
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/video.mp4")).await.status, 200);
    assert!(log(&bench, &id).await.contains("--max-open"));
    assert_eq!(push(&bench, &id, "", frames(25..26)).await.problem(409), "job_over");
    // Control: as long as that is not too long, and a known length is what it is.
    let id = open_job(&bench).await;
    assert_eq!(push(&bench, &id, "?end=true", frames(0..25)).await.status, 200);
    assert_eq!(show(&bench, &id).await["state"], "done");
    let id = super::job(&bench, 60).await;
    assert_eq!(push(&bench, &id, "", frames(0..60)).await.status, 200);
}

#[tokio::test]
async fn after_a_restart_it_goes_on_behind_what_was_sent() {
    let bench = Bench::new();
    let id = open_job(&bench).await;
    assert_eq!(push(&bench, &id, "", frames(0..30)).await.status, 200);
    let before = {
        until_ready(&bench, &id, 2).await;
        playlist(&bench, &id, "index.m3u8").await
    };
    let bench = bench.restart(|_| {}).await;
    let job = bench.until(&id, "rendering").await;
    // A server that is stopped ends the segment that it is at.
    assert_eq!((&job["clip"]["open"], &job["frames"]["next_frame"]), (&json!(true), &json!(30)));
    assert_eq!(job["clip"]["frames"], 30);
    let text = playlist(&bench, &id, "index.m3u8").await;
    assert!(text.starts_with(&before) && !text.contains("ENDLIST"), "{text}");
    assert_eq!(push(&bench, &id, "?first=30", frames(30..70)).await.status, 200);
    assert_eq!(end(&bench, &id).await.status, 200);
    let done = show(&bench, &id).await;
    assert_eq!((&done["state"], &done["clip"]["frames"]), (&json!("done"), &json!(70)));
    assert!(segments(&bench, &id).await == expected(&[30, 70]));
    let text = playlist(&bench, &id, "index.m3u8").await;
    // It stays what it is.
    let bench = bench.restart(|_| {}).await;
    let again = show(&bench, &id).await;
    for part in ["frames", "total", "eta_secs"] {
        assert_eq!(again["progress"][part], done["progress"][part]);
    }
    assert_eq!(playlist(&bench, &id, "index.m3u8").await, text);
    // One that has no frame yet is there, too.
    let id = open_job(&bench).await;
    let bench = bench.restart(|_| {}).await;
    bench.until(&id, "rendering").await;
    assert_eq!(push(&bench, &id, "?first=0&end=true", frames(0..20)).await.status, 200);
    assert!(segments(&bench, &id).await == expected(&[20]));
}

/// A table that is gone is made again of the cards.
#[tokio::test]
async fn the_plan_so_far_is_on_the_card() {
    let bench = Bench::new();
    let id = open_job(&bench).await;
    assert_eq!(push(&bench, &id, "", frames(0..30)).await.status, 200);
    until_ready(&bench, &id, 2).await;
    let card = std::fs::read_to_string(bench.dir.path().join("jobs").join(&id).join("job.json")).unwrap();
    assert!(card.contains("\"segment_ends\":\"8 16\"") && card.contains("rgb24 open"), "{card}");
    let dir = Arc::clone(&bench.dir);
    let bench = {
        let state = bench.state.clone();
        tokio::task::spawn_blocking(move || state.jobs().stop()).await.unwrap();
        drop(bench);
        for name in ["headcast.sqlite", "headcast.sqlite-wal", "headcast.sqlite-shm"] {
            let _ = std::fs::remove_file(dir.path().join(name));
        }
        Bench::on(dir, |_| {})
    };
    bench.until(&id, "rendering").await;
    assert_eq!(push(&bench, &id, "?first=30&end=true", frames(30..50)).await.status, 200);
    assert!(segments(&bench, &id).await == expected(&[30, 50]));
}

#[tokio::test]
async fn the_frames_of_a_lost_segment_are_wanted_again() {
    let bench = Bench::new();
    let id = open_job(&bench).await;
    assert_eq!(push(&bench, &id, "", frames(0..60)).await.status, 200);
    let ready = until_ready(&bench, &id, 4).await;
    let before = playlist(&bench, &id, "index.m3u8").await;
    std::fs::remove_file(file(&bench, &id, 1)).unwrap();
    // Somebody plays it.
    let played = held(&bench, &id, 1);
    until_next(&bench, &id, 8).await;
    assert_eq!(playlist(&bench, &id, "index.m3u8").await, before, "nothing is taken out of the list");
    assert_eq!(listed(&playlist(&bench, &id, "live.m3u8").await), 1);
    assert_eq!(push(&bench, &id, "?first=60", frames(60..70)).await.problem(409), "frames_position");
    assert_eq!(end(&bench, &id).await.problem(409), "frames_lost");
    // The ones behind it stay as they are, so it is the same whether they come again or not.
    assert_eq!(push(&bench, &id, "?first=8", frames(8..16)).await.status, 200);
    let expected = expected(&[60]);
    assert!(answered(played).await == expected[1]);
    until_ready(&bench, &id, ready).await;
    let next = usize::try_from(next_frame(&bench, &id).await).unwrap();
    assert!(next <= 60, "{next}");
    assert_eq!(push(&bench, &id, &format!("?first={next}&end=true"), frames(next..60)).await.status, 200);
    assert_eq!(show(&bench, &id).await["state"], "done");
    assert_eq!(segments(&bench, &id).await[..ready], expected[..ready]);
    assert_eq!(show(&bench, &id).await["progress"]["frames"], 60);
    // Of a finished one they will not come.
    let kept = segments(&bench, &id).await;
    std::fs::remove_file(file(&bench, &id, 1)).unwrap();
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/segment_00001.ts")).await.problem(410), "frames_lost");
    let bench = bench.restart(|_| {}).await;
    assert_eq!(show(&bench, &id).await["error"]["code"], "frames_lost");
    let text = playlist(&bench, &id, "index.m3u8").await;
    assert!(listed(&text) == 1 && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    assert!(bench.get(&format!("/api/v1/jobs/{id}/segment_00000.ts")).await.body == kept[0]);
}

#[tokio::test]
async fn whoever_breaks_off_leaves_all_that_was_sent() {
    for how in ["fail", "cancel", "abandoned"] {
        let abandoned = if how == "abandoned" { Duration::ZERO } else { Limits::default().abandoned };
        let bench = Bench::with(|config| config.limits = Limits { abandoned, ..Limits::default() });
        let id = open_job(&bench).await;
        assert_eq!(push(&bench, &id, "", frames(0..22)).await.status, 200);
        until_ready(&bench, &id, 2).await;
        let before = playlist(&bench, &id, "index.m3u8").await;
        let state = if how == "cancel" { "cancelled" } else { "failed" };
        if how == "abandoned" {
            let jobs = bench.state.clone();
            tokio::task::spawn_blocking(move || jobs.jobs().end_abandoned()).await.unwrap();
        } else {
            bench.ask(post(&format!("/api/v1/jobs/{id}/{how}"), "")).await;
        }
        bench.until(&id, state).await;
        for name in ["index.m3u8", "live.m3u8"] {
            let text = playlist(&bench, &id, name).await;
            assert!(text.starts_with(&before) && text.ends_with("#EXT-X-ENDLIST\n"), "{how}: {text}");
            for index in 0..listed(&text) {
                let answer = bench.get(&format!("/api/v1/jobs/{id}/segment_{index:05}.ts")).await;
                assert_eq!(answer.status, 200, "{how}: {:?}", answer.body);
            }
            // Whoever gives up on purpose has the segment ended that was being made.
            assert_eq!(listed(&text), if how == "fail" { 3 } else { 2 }, "{how}: {text}");
        }
        let job = show(&bench, &id).await;
        assert_eq!(job["clip"]["open"], false, "{how}");
        assert_eq!(job["clip"]["frames"], if how == "fail" { 22 } else { 16 }, "{how}");
        assert_eq!(bench.get(&format!("/api/v1/jobs/{id}/video.mp4?partial=1")).await.status, 200);
        assert_eq!(push(&bench, &id, "", frames(22..23)).await.problem(409), "job_over");
    }
}

#[tokio::test]
async fn a_dead_connection_is_taken_over() {
    let bench = Bench::new();
    let id = open_job(&bench).await;
    let (dead, body) = open_body();
    let mut sent = frames(0..21);
    sent.truncate(sent.len() - 99);
    dead.send(Ok(sent.into())).await.unwrap();
    let old = sending(&bench, &format!("/api/v1/jobs/{id}/frames"), body);
    until_next(&bench, &id, 20).await;
    assert_eq!(push(&bench, &id, "?first=21", frames(21..60)).await.problem(409), "frames_busy");
    assert_eq!(end(&bench, &id).await.problem(409), "frames_busy");
    let answer = push(&bench, &id, "?first=14&end=true", frames(14..60)).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    assert_eq!(answered(old).await.problem(409), "frames_busy");
    drop(dead);
    assert!(segments(&bench, &id).await == expected(&[60]));
}

#[tokio::test]
async fn frames_are_counted_as_they_come() {
    let bench = Bench::new();
    let id = open_job(&bench).await;
    let (feed, body) = open_body();
    let sender = sending(&bench, &format!("/api/v1/jobs/{id}/frames?end=true"), body);
    for (from, to) in [(0, 3), (3, 5)] {
        feed.send(Ok(frames(from..to).into())).await.unwrap();
        eventually("counted", &bench, &id, |job| (job["progress"]["frames"] == to).then_some(())).await;
    }
    let metrics = bench.get("/metrics").await;
    assert_eq!(metrics.status, 200);
    drop(feed);
    assert_eq!(answered(sender).await.status, 200);
    assert_eq!(show(&bench, &id).await["progress"]["frames"], 5);
}
