//! The rest of the interface: pages of the list, jobs made again, avatars, server-sent events, metrics.

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Method, Request, header};
use headcast_app::jobs::Limits;
use headcast_app::server::{AppState, Config, router};
use headcast_app::studio::{EngineSettings, LocalStudio};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Answer, Bench, Field, form, request};

#[tokio::test]
async fn the_list_comes_in_pages() {
    let bench = Bench::with(|config| config.limits = Limits { waiting: 9, ..Limits::default() });
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, bench.job(24).await);
    }
    let mut found = Vec::new();
    let mut next = "/api/v1/jobs?limit=2".to_owned();
    for page in 0.. {
        let answer = bench.get(&next).await;
        let jobs = answer.json();
        found.extend(jobs.as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()));
        let link = answer.header(header::LINK);
        match link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")) {
            Some(address) => next = address.to_owned(),
            None => {
                assert_eq!((page, link), (2, ""));
                break;
            }
        }
    }
    assert_eq!(found, ids);
    for bad in ["limit=0", "limit=501", "limit=x", "before=1"] {
        assert_eq!(bench.get(&format!("/api/v1/jobs?{bad}")).await.problem(400), "query_malformed", "{bad}");
    }
}

fn rerun(id: &str, body: &str) -> Request<Body> {
    request(Method::POST, &format!("/api/v1/jobs/{id}/rerun")).map(|_| Body::from(body.to_owned()))
}

#[tokio::test]
async fn a_clip_is_spoken_again_by_another_avatar() {
    let bench = Bench::open();
    let first = bench
        .upload(&[
            Field::text("sample", "hello"),
            Field::text("profile", "parity"),
            Field::text("body", "eyes=blink"),
        ])
        .await
        .json();
    let first = bench.until(first["id"].as_str().unwrap(), "done").await;
    let answer = bench.ask(rerun(first["id"].as_str().unwrap(), "{\"avatar\": \"ada\"}")).await;
    let second = answer.json();
    assert_eq!(answer.status, 201, "{second}");
    assert_eq!(answer.header(header::LOCATION), second["links"]["job"]);
    assert_ne!(second["id"], first["id"]);
    assert_eq!((&second["avatar"], &second["profile"]), (&"ada".into(), &"parity".into()));
    assert_eq!(second["audio_name"], first["audio_name"]);
    assert_eq!((&first["body"], &second["body"]), (&"eyes=blink".into(), &"eyes=blink".into()));
    assert_eq!(bench.until(second["id"].as_str().unwrap(), "done").await["clip"]["frames"], 24);
    let id = first["id"].as_str().unwrap();
    let third = bench.ask(rerun(id, "{\"body\": \"background=green\"}")).await.json();
    assert_eq!(third["body"], "background=green");
    // Few may wait at a time.
    bench.until(third["id"].as_str().unwrap(), "done").await;

    // With a picture behind the avatar, which another avatar gets too, and another body does not.
    let picture = keep(&bench, "sea.png", b"png".to_vec()).await;
    let wish = json!({ "sample": "hello", "background": picture, "body": "eyes=blink" });
    let before = new_job(&bench, wish).await.json();
    assert_eq!(before["body"], "eyes=blink background=picture");
    let before = bench.until(before["id"].as_str().unwrap(), "done").await;
    let kept =
        |job: &Value| bench.dir.path().join("jobs").join(job["id"].as_str().unwrap()).join("background");
    assert_eq!(std::fs::read(kept(&before)).unwrap(), b"png");
    let of = async |change: &str| {
        let made = bench.ask(rerun(before["id"].as_str().unwrap(), change)).await.json();
        bench.until(made["id"].as_str().unwrap(), "done").await
    };
    let same = of("{\"avatar\": \"ada\"}").await;
    assert_eq!((&same["body"], std::fs::read(kept(&same)).unwrap()), (&before["body"], b"png".to_vec()));
    assert!(!kept(&of("{\"body\": \"\"}").await).exists());
    assert!(kept(&of("{\"body\": \"poses=3 background=picture\"}").await).exists());
    assert_eq!(
        bench.ask(rerun(id, "{\"body\": \"background=picture\"}")).await.problem(422),
        "background_missing"
    );

    for (body, status, code) in [
        ("{\"body\": \"legs=dance\"}", 422, "body_unusable"),
        ("{\"avatar\": \"nobody\"}", 422, "no_such_avatar"),
        ("{\"profile\": \"best\"}", 422, "no_such_profile"),
        ("{\"audio\": \"/etc/passwd\"}", 400, "body_malformed"),
        ("[", 400, "body_malformed"),
    ] {
        assert_eq!(bench.ask(rerun(id, body)).await.problem(status), code, "{body}");
    }
    assert_eq!(bench.ask(rerun("aaaaaaaaaaaaaaaa", "")).await.problem(404), "no_such_job");
}

#[tokio::test]
async fn an_upload_is_spoken_again_as_long_as_it_is_kept() {
    let bench = Bench::new();
    let first = bench.job(24).await;
    bench.until(&first, "rendering").await;
    let waiting = bench.job(32).await;
    let again = bench.ask(rerun(&waiting, "")).await.json();
    bench.gate.open();
    bench.until(&waiting, "done").await;
    let again = bench.until(again["id"].as_str().unwrap(), "done").await;
    assert_eq!(again["clip"]["frames"], 32, "the copy outlives the upload");

    // Whatever is kept of the recording, without it there is nothing to speak.
    let job = bench.state.jobs().get(waiting.parse().unwrap()).unwrap();
    if let headcast_app::jobs::Input::File(path) = &job.request().audio {
        let _ = std::fs::remove_file(path);
    }
    assert_eq!(bench.ask(rerun(&waiting, "")).await.problem(409), "input_gone");
}

async fn keep(bench: &Bench, name: &str, bytes: Vec<u8>) -> String {
    let path = format!("/api/v1/uploads?name={name}");
    let answer = bench.ask(request(Method::POST, &path).map(|_| Body::from(bytes))).await;
    assert_eq!(answer.status, 201, "{}", answer.json());
    answer.json()["id"].as_str().unwrap().to_owned()
}

pub(super) async fn new_job(bench: &Bench, wish: Value) -> Answer {
    let mut request = request(Method::POST, "/api/v1/jobs").map(|_| Body::from(wish.to_string()));
    request.headers_mut().insert(header::CONTENT_TYPE, "application/json".parse().unwrap());
    bench.ask(request).await
}

#[tokio::test]
async fn a_file_first_and_its_job_in_json() {
    let bench = Bench::open();
    let (audio, features) =
        (keep(&bench, "..%2Ftalk.wav", vec![b'x'; 24]).await, keep(&bench, "", vec![b'f'; 8]).await);
    assert_eq!(entries(&bench), 2);
    let wish = json!({ "upload": audio, "features": features, "avatar": "ada" });
    let job = new_job(&bench, wish.clone()).await.json();
    assert_eq!((&job["audio_name"], &job["avatar"]), (&"talk.wav".into(), &"ada".into()));
    assert_eq!(bench.until(job["id"].as_str().unwrap(), "done").await["clip"]["frames"], 24);
    // Each is good for one job.
    assert_eq!(new_job(&bench, wish).await.problem(422), "no_such_upload");

    let long = keep(&bench, "long.npy", vec![0; 4000]).await;
    let audio = keep(&bench, "a.wav", vec![b'x'; 24]).await;
    let wish = json!({ "upload": audio, "features": long });
    assert_eq!(new_job(&bench, wish).await.problem(413), "too_large");
    for (wish, status, code) in [
        (json!({}), 422, "audio_missing"),
        (json!({ "sample": "hello", "upload": "x" }), 422, "audio_twice"),
        (json!({ "upload": "../../etc/passwd" }), 422, "no_such_upload"),
        (json!({ "audio": "/etc/passwd" }), 400, "body_malformed"),
        (json!({ "sample": "x".repeat(20_000) }), 400, "body_malformed"),
    ] {
        assert_eq!(new_job(&bench, wish).await.problem(status), code);
    }
}

#[tokio::test]
async fn files_that_wait_for_no_job_make_room() {
    let bench = Bench::open();
    let first = keep(&bench, "a.wav", vec![b'x'; 24]).await;
    for _ in 0..40 {
        keep(&bench, "a.wav", vec![b'x'; 24]).await;
    }
    assert_eq!(entries(&bench), 32);
    assert_eq!(new_job(&bench, json!({ "upload": first })).await.problem(422), "no_such_upload");
}

#[tokio::test]
async fn a_file_that_nobody_wants_goes_at_once() {
    let bench = Bench::open();
    let [kept, gone] =
        [keep(&bench, "a.wav", vec![b'x'; 24]).await, keep(&bench, "b.wav", vec![b'x'; 24]).await];
    let path = format!("/api/v1/uploads/{gone}");
    assert_eq!(bench.ask(request(Method::DELETE, &path)).await.status, 204);
    assert_eq!(entries(&bench), 1);
    assert_eq!(bench.ask(request(Method::DELETE, &path)).await.problem(404), "no_such_upload");
    assert_eq!(new_job(&bench, json!({ "upload": kept })).await.status, 201);
}

fn import(fields: &[Field<'_>]) -> Request<Body> {
    let mut request = form(fields);
    *request.uri_mut() = "/api/v1/avatars".parse().unwrap();
    request
}

fn files<'a>(name: &'a str, checkpoint: &'a [u8]) -> Vec<Field<'a>> {
    vec![
        Field::text("name", name),
        Field::file("checkpoint", "../../ngp.pth", checkpoint),
        Field::file("transforms", "anything.json", b"poses"),
        Field::file("background", "x", b"jpeg"),
    ]
}

fn entries(bench: &Bench) -> usize {
    std::fs::read_dir(bench.dir.path().join("uploads")).unwrap().count()
}

#[tokio::test]
async fn an_avatar_is_imported_looked_at_and_deleted() {
    let bench = Bench::open();
    let mut fields = files("eva", b"checkpoint");
    fields.extend([
        Field::text("title", "Eva"),
        Field::text("fix_eye", "0.25"),
        Field::file("au", "au.csv", b"eyes"),
        Field::file("thumbnail", "t.png", b"small"),
        Field::file("torso", "torso_imgs/3.png", b"torso"),
    ]);
    let answer = bench.ask(import(&fields)).await;
    let made = answer.json();
    assert_eq!(answer.status, 201, "{made}");
    assert_eq!(answer.header(header::LOCATION), "/api/v1/avatars/eva");
    assert_eq!((&made["avatar"]["title"], &made["avatar"]["built_in"]), (&"Eva".into(), &false.into()));
    assert_eq!(made["notes"], json!(["checkpoint,poses,eyes,jpeg,small,torso", "Some(0.25) false"]));
    assert_eq!(entries(&bench), 0);

    let seen = bench.get("/api/v1/avatars/eva").await.json();
    assert_eq!((&seen["poses"], &seen["thumbnail"]), (&7.into(), &"/api/v1/avatars/eva/thumbnail".into()));
    assert_eq!(bench.get("/api/v1/avatars").await.json().as_array().unwrap().len(), 3);

    assert_eq!(bench.ask(import(&fields)).await.problem(409), "avatar_exists");
    fields.push(Field::text("overwrite", "true"));
    assert_eq!(bench.ask(import(&fields)).await.json()["notes"][1], "Some(0.25) true");

    let path = "/api/v1/avatars/eva";
    assert_eq!(bench.ask(request(Method::DELETE, path)).await.status, 204);
    assert_eq!(bench.get(path).await.problem(404), "no_such_avatar");
    assert_eq!(bench.ask(request(Method::DELETE, path)).await.problem(404), "no_such_avatar");
}

#[tokio::test]
async fn what_is_used_or_built_in_stays() {
    let bench = Bench::new();
    bench.ask(import(&files("eva", b"checkpoint"))).await;
    let job = bench.upload(&[Field::text("avatar", "eva"), Field::text("sample", "hello")]).await.json();
    let eva = || request(Method::DELETE, "/api/v1/avatars/eva");
    assert_eq!(bench.ask(eva()).await.problem(409), "avatar_in_use");
    let mut again = files("eva", b"checkpoint");
    again.push(Field::text("overwrite", "true"));
    assert_eq!(bench.ask(import(&again)).await.problem(409), "avatar_in_use");
    bench.gate.open();
    bench.until(job["id"].as_str().unwrap(), "done").await;
    assert_eq!(bench.ask(eva()).await.status, 204);
    assert_eq!(
        bench.ask(request(Method::DELETE, "/api/v1/avatars/milo")).await.problem(409),
        "avatar_built_in"
    );
    assert_eq!(bench.ask(import(&files("milo", b"checkpoint"))).await.problem(409), "avatar_built_in");
}

#[tokio::test]
async fn bad_avatars_are_refused_and_leave_nothing_behind() {
    let bench = Bench::with(|config| config.max_avatar_bytes = 1000);
    let with = |extra: Field<'static>| {
        let mut fields = files("eva", b"checkpoint");
        fields.push(extra);
        fields
    };
    let large = [0; 999];
    for (fields, status, code) in [
        (vec![], 422, "field_missing"),
        (files("eva", b"checkpoint")[1..].to_vec(), 422, "field_missing"),
        (files("eva", b"checkpoint")[..3].to_vec(), 422, "field_missing"),
        (files("eva", b""), 422, "field_missing"),
        (files("eva", &large), 413, "too_large"),
        (with(Field::text("name", "bob")), 400, "field_twice"),
        (with(Field::file("checkpoint", "x", b"x")), 400, "field_twice"),
        (with(Field::text("colour", "red")), 400, "field_unknown"),
        (with(Field::text("fix_eye", "half")), 400, "field_not_text"),
        (with(Field::text("overwrite", "yes")), 400, "field_not_text"),
        (with(Field::file("torso", "../../x.png", b"x")), 400, "field_not_text"),
        (files("eva", b"something else"), 422, "avatar_unusable"),
    ] {
        let answer = bench.ask(import(&fields)).await;
        assert_eq!(answer.problem(status), code, "{}", answer.json());
        assert_eq!(entries(&bench), 0, "{code} left something behind");
        let path = bench.dir.path().to_str().unwrap();
        assert!(!answer.json().to_string().contains(path), "{}", answer.json());
    }
    assert_eq!(bench.ask(import(&files("eva", b"checkpoint"))).await.status, 201);
}

/// With the real library and a real checkpoint, a very small one.
#[tokio::test]
async fn a_real_checkpoint_becomes_an_avatar() {
    let dir = tempfile::tempdir().unwrap();
    let fixture = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/nerf/er-torso");
    let read = |name: &str| std::fs::read(format!("{fixture}/{name}")).unwrap();
    let (checkpoint, poses, background, eyes) =
        (read("ngp.pth"), read("transforms_train.json"), read("bc.png"), read("au.csv"));
    let fields = |checkpoint: &'static str, bytes| {
        import(&[
            Field::text("name", "synth"),
            Field::file("checkpoint", checkpoint, bytes),
            Field::file("transforms", "t.json", &poses),
            Field::file("au", "au.csv", &eyes),
            Field::file("background", "bc", &background),
        ])
    };
    let studio = LocalStudio::new(dir.path(), EngineSettings::default());
    let config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
    let app = router(AppState::new(config, Arc::new(studio)).unwrap());
    let ask = async |request: Request<Body>| {
        // In pieces, as a network brings it.
        let (parts, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let pieces: Vec<_> =
            body.chunks(1 << 16).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect();
        let request = Request::from_parts(parts, Body::from_stream(futures_util::stream::iter(pieces)));
        let (parts, body) = app.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Answer { status: parts.status, headers: parts.headers, body }
    };

    let wrong = ask(fields("ngp.pth", &poses)).await;
    assert_eq!(wrong.problem(422), "avatar_unusable");
    let detail = wrong.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("ngp.pth: ") && !detail.contains("uploads"), "{detail}");

    let made = ask(fields("ngp.pth", &checkpoint)).await;
    assert_eq!(made.status, 201, "{}", made.json());
    assert!(dir.path().join("avatars/synth/avatar.toml").is_file());
    let seen = ask(request(Method::GET, "/api/v1/avatars/synth")).await.json();
    assert_eq!(
        (&seen["width"], &seen["built_in"], &seen["torso"]),
        (&64.into(), &false.into(), &true.into())
    );
    assert_eq!(ask(request(Method::GET, "/api/v1/avatars")).await.json().as_array().unwrap().len(), 2);
    assert_eq!(ask(request(Method::DELETE, "/api/v1/avatars/milo")).await.problem(409), "avatar_built_in");
    assert_eq!(ask(request(Method::DELETE, "/api/v1/avatars/synth")).await.status, 204);
    assert_eq!(std::fs::read_dir(dir.path().join("avatars")).unwrap().count(), 0);
    assert_eq!(std::fs::read_dir(dir.path().join("uploads")).unwrap().count(), 0);
}

/// Events of a stream that has ended: id, name, data.
pub(super) fn events(answer: &Answer) -> Vec<(u64, String, Value)> {
    assert_eq!(answer.header(header::CONTENT_TYPE), "text/event-stream");
    let text = std::str::from_utf8(&answer.body).unwrap();
    let field = |event: &str, name: &str| {
        event.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::to_owned)
    };
    text.split("\n\n")
        .filter(|event| event.contains("data"))
        .map(|event| {
            let id = field(event, "id").unwrap().parse().unwrap();
            (
                id,
                field(event, "event").unwrap(),
                serde_json::from_str(&field(event, "data").unwrap()).unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn server_sent_events_end_with_the_job_and_resume() {
    let bench = Bench::new();
    let id = bench.job(24).await;
    let path = format!("/api/v1/jobs/{id}/events");
    let stream = bench.send(request(Method::GET, &path));
    bench.gate.open();
    let (parts, body) = stream.await.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let all = events(&Answer { status: parts.status, headers: parts.headers, body });
    assert_eq!(all[0].1, "state");
    let ready: Vec<_> =
        all.iter().filter(|event| event.1 == "ready").map(|event| &event.2["segment"]).collect();
    assert_eq!(ready, [0, 1, 2]);
    let (last, name, data) = &all[all.len() - 1];
    assert_eq!((name.as_str(), &data["job"]["state"]), ("state", &"done".into()));
    assert!(all.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{all:?}");

    // The line was lost after some event: nothing again, nothing left out.
    let middle = all[all.len() / 2].0;
    let mut resumed = request(Method::GET, &path);
    resumed.headers_mut().insert("last-event-id", middle.into());
    let resumed = events(&bench.ask(resumed).await);
    assert!(resumed[1..].iter().all(|event| event.0 > middle), "{resumed:?}");
    let segments = |events: &[(u64, String, Value)]| {
        events.iter().filter(|event| event.1 == "ready" && event.0 > middle).count()
    };
    assert_eq!(segments(&resumed), segments(&all));
    let mut over = request(Method::GET, &path);
    over.headers_mut().insert("last-event-id", (*last).into());
    assert_eq!(bench.ask(over).await.status, 204);
}

#[tokio::test]
async fn a_file_of_what_is_made_so_far() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    let path = format!("/api/v1/jobs/{id}/video.mp4?partial=1");
    assert_eq!(bench.get(&path).await.problem(409), "nothing_made");
    bench.gate.allow(16);
    while bench.get(&format!("/api/v1/jobs/{id}")).await.json()["clip"]["ready"] != json!([[0, 2]]) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let part = bench.get(&path).await;
    assert_eq!((part.status.as_u16(), &part.body[4..8]), (200, &b"ftyp"[..]));
    assert_eq!(part.header(header::CONTENT_LENGTH), part.body.len().to_string());
    assert_eq!(part.header(header::CACHE_CONTROL), "no-store");
    let saved = bench.get(&format!("{path}&download=1")).await;
    assert!(saved.header(header::CONTENT_DISPOSITION).contains("speech-milo-partial.mp4"));
    // Also of a job that will never be done.
    bench.ask(request(Method::POST, &format!("/api/v1/jobs/{id}/cancel"))).await;
    assert_eq!(bench.get(&path).await.body, part.body);

    bench.gate.open();
    let id = bench.job(40).await;
    bench.until(&id, "done").await;
    let path = format!("/api/v1/jobs/{id}/video.mp4");
    let whole = bench.get(&path).await;
    assert_eq!(bench.get(&format!("{path}?partial=1")).await.body, whole.body);
    assert!(whole.body.len() > part.body.len());
}

#[tokio::test]
async fn the_poster_becomes_the_first_frame() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    let path = format!("/api/v1/jobs/{id}/poster");
    let before = bench.get(&path).await;
    assert_eq!((&before.body[..], before.header(header::CACHE_CONTROL)), (&b"png"[..], "no-cache"));
    bench.gate.allow(2);
    let mut poster = bench.get(&path).await;
    while poster.body.len() == 3 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        poster = bench.get(&path).await;
    }
    assert_eq!(poster.header(header::CONTENT_TYPE), "image/png");
    let mut reader = png::Decoder::new(std::io::Cursor::new(&poster.body)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height, &pixels[..3]), (64, 64, &[0, 128, 255][..]));
    // Another clip is another picture, and this avatar has none of its own.
    let other = bench.upload(&[Field::text("avatar", "ada"), Field::text("sample", "hello")]).await.json();
    let path = format!("/api/v1/jobs/{}/poster", other["id"].as_str().unwrap());
    assert_eq!(bench.get(&path).await.problem(404), "no_poster");
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let bench = Bench::new();
    let id = bench.job(40).await;
    bench.until(&id, "rendering").await;
    bench.job(16).await;
    let text = async || String::from_utf8(bench.get("/metrics").await.body.to_vec()).unwrap();
    let value = |text: &str, name: &str| -> f64 {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.unwrap_or_else(|| panic!("no {name} in\n{text}")).parse().unwrap()
    };
    let held = bench.send(request(Method::GET, &format!("/api/v1/jobs/{id}/segment_00004.ts"))).await;
    let before = text().await;
    for (name, expected) in [
        ("headcast_frames_rendered_total", 0.0),
        ("headcast_held_requests", 1.0),
        ("headcast_queue_length", 1.0),
        ("headcast_jobs{state=\"rendering\"}", 1.0),
        ("headcast_segment_seconds_count", 0.0),
    ] {
        assert_eq!(value(&before, name), expected, "{name}");
    }
    bench.gate.open();
    held.into_body().collect().await.unwrap();
    bench.until(&id, "done").await;
    let after = text().await;
    assert!(value(&after, "headcast_frames_rendered_total") >= 40.0);
    assert!(value(&after, "headcast_segment_seconds_count") >= 5.0);
    assert_eq!(value(&after, "headcast_held_requests"), 0.0);
    if cfg!(target_os = "linux") {
        assert!(value(&after, "process_resident_memory_bytes") > 1e6);
    }
    // Every family is explained once, and every sample belongs to one.
    for line in after.lines().filter(|line| !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert_eq!(after.matches(&format!("# TYPE {family} ")).count(), 1, "{line}");
    }
}

#[tokio::test]
async fn a_link_to_a_job_is_the_page() {
    let bench = Bench::open();
    let id = bench.job(24).await;
    let job = bench.until(&id, "done").await;
    let page = bench.get(job["links"]["page"].as_str().unwrap()).await;
    assert_eq!(page.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(page.body, bench.get("/").await.body);
    assert_eq!(bench.get("/readyz").await.body, "ready\n");
    std::fs::remove_dir_all(bench.dir.path().join("uploads")).unwrap();
    assert_eq!(bench.get("/readyz").await.problem(503), "data_folder_gone");
}
