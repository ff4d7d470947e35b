//! Voices beside the renderer: who waits for whom, and what is left of a voice that did not get to its end.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::http::Method;
use headcast_app::voices::{Settings, Voices};
use serde_json::{Value, json};

use super::super::{Bench, request};
use super::fake::{FakeServer, tone};
use super::{TWO, bench_with, eventually, job, over};

/// Holds answers of a speech server back; for half a minute, should its test break off.
#[derive(Clone, Default)]
struct Hold(Arc<AtomicBool>);

impl Hold {
    fn open(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn pass(&self) {
        let began = Instant::now();
        while !self.0.load(Ordering::Acquire) && began.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// A server that answers with half a second of sound, once `hold` is open.
fn held(hold: &Hold) -> FakeServer {
    let hold = hold.clone();
    FakeServer::start(move |_| {
        hold.pass();
        (200, tone(0.0, 0.5))
    })
}

fn bench(server: &FakeServer) -> Bench {
    bench_with(server.settings("k"), |config| config.limits.waiting = 9)
}

async fn show(bench: &Bench, job: &Value) -> Value {
    bench.get(job["links"]["job"].as_str().unwrap()).await.json()
}

async fn cancel(bench: &Bench, job: &Value) -> Value {
    let path = format!("{}/cancel", job["links"]["job"].as_str().unwrap());
    bench.ask(request(Method::POST, &path)).await.json()
}

fn secs(job: &Value, stage: &str) -> f64 {
    job["progress"]["stages"][stage].as_f64().unwrap()
}

fn parts(folder: &Path) -> usize {
    let Ok(files) = std::fs::read_dir(folder) else { return 0 };
    files.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part")).count()
}

#[tokio::test]
async fn a_voice_takes_no_renderer() {
    let hold = Hold::default();
    let server = held(&hold);
    let bench = bench(&server);
    let spoken = job(&bench, json!({ "text": TWO })).await;
    server.until_asked(1).await;
    // There is one renderer, and it is free.
    let other = bench.job(24).await;
    bench.until(&other, "done").await;
    let early = show(&bench, &spoken).await;
    assert_eq!((&early["state"], &early["progress"]["phase"]), (&"opening".into(), &"speaking".into()));
    tokio::time::sleep(Duration::from_millis(30)).await;
    let late = show(&bench, &spoken).await;
    assert!(secs(&late, "hearing") >= secs(&early, "hearing") + 0.02, "{early} {late}");
    assert!((secs(&late, "waiting") - secs(&early, "waiting")).abs() < 1e-6, "{early} {late}");
    hold.open();
    let done = over(&bench, &spoken).await;
    assert_eq!((&done["state"], server.asked().len()), (&"done".into(), 2), "{done}");
}

#[tokio::test]
async fn texts_are_spoken_two_at_a_time_in_order_of_acceptance() {
    let hold = Hold::default();
    let server = held(&hold);
    let bench = bench(&server);
    let mut jobs = Vec::new();
    for text in ["One.", "Two.", "Three.", "Four."] {
        jobs.push(job(&bench, json!({ "text": text })).await);
    }
    server.until_asked(2).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let said = || {
        let mut said: Vec<_> =
            server.asked().iter().map(|asked| asked.body["input"].as_str().unwrap().to_owned()).collect();
        said.sort();
        said
    };
    assert_eq!(said(), ["One.", "Two."]);
    let third = show(&bench, &jobs[2]).await;
    assert_eq!((&third["state"], &third["queue_position"]), (&"queued".into(), &2.into()), "{third}");
    assert!(secs(&third, "waiting") > 0.0 && secs(&third, "hearing") == 0.0, "{third}");
    // What is cancelled makes room at once, and what is deleted, with its folder.
    assert_eq!(cancel(&bench, &jobs[0]).await["state"], "cancelled");
    server.until_asked(3).await;
    assert_eq!(said(), ["One.", "Three.", "Two."]);
    let folder = |job: &Value| bench.dir.path().join("jobs").join(job["id"].as_str().unwrap());
    assert_eq!(parts(&folder(&jobs[1])), 1, "the control: it is being written");
    bench.ask(request(Method::DELETE, jobs[1]["links"]["job"].as_str().unwrap())).await;
    server.until_asked(4).await;
    eventually("its folder is gone", || !folder(&jobs[1]).exists()).await;
    eventually("what is left of the first one is gone", || parts(&folder(&jobs[0])) == 0).await;
    // One that still waits leaves likewise.
    hold.open();
    for job in &jobs[2..] {
        assert_eq!(over(&bench, job).await["state"], "done");
    }
    assert_eq!(server.asked().len(), 4);
}

#[tokio::test]
async fn what_was_spoken_waits_for_a_renderer_and_is_spoken_again_if_it_is_lost() {
    let server = FakeServer::start(|_| (200, tone(0.0, 0.5)));
    let voices = Voices::new(Settings { search: false, ..server.settings("k") }).unwrap();
    let bench = Bench::speaking(Arc::new(tempfile::tempdir().unwrap()), Some(Arc::new(voices)), |_| {});
    // The only renderer has work, and its gate is shut.
    let busy = bench.job(24).await;
    bench.until(&busy, "rendering").await;
    let made = job(&bench, json!({ "text": TWO })).await;
    let mut waits = Value::Null;
    for _ in 0..3000 {
        waits = show(&bench, &made).await;
        if waits["captions"] == true {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(
        (&waits["state"], &waits["progress"]["phase"], server.asked().len()),
        (&"opening".into(), &"queued".into(), 2),
        "{waits}"
    );
    let later = show(&bench, &made).await;
    assert!((secs(&later, "hearing") - secs(&waits, "hearing")).abs() < 1e-6, "nobody speaks: {later}");
    let started = waits["started_ms"].as_u64().unwrap();
    std::fs::remove_file(bench.dir.path().join("jobs").join(made["id"].as_str().unwrap()).join("input"))
        .unwrap();
    bench.gate.open();
    let done = over(&bench, &made).await;
    assert_eq!((&done["state"], server.asked().len()), (&"done".into(), 4), "{done}");
    assert_eq!(done["started_ms"].as_u64(), Some(started), "when it was first spoken for");
}

#[tokio::test]
async fn a_voice_that_fails_leaves_nothing() {
    let server = FakeServer::start(|asked| match asked.number {
        0 => (200, tone(0.0, 0.5)),
        _ => (500, Vec::new()),
    });
    let bench = bench(&server);
    let made = job(&bench, json!({ "text": TWO })).await;
    let failed = over(&bench, &made).await;
    assert_eq!(failed["error"]["code"], "voice_refused", "{failed}");
    let folder = bench.dir.path().join("jobs").join(made["id"].as_str().unwrap());
    assert!(folder.is_dir() && parts(&folder) == 0 && !folder.join("input").exists());
}

#[tokio::test]
async fn a_voice_stops_when_the_disk_has_no_room() {
    let server = FakeServer::start(|_| (200, tone(0.0, 1.0)));
    // A sentence and its pause take 130 kB.
    let limit = |config: &mut headcast_app::server::Config| config.limits.max_disk_bytes = Some(300_000);
    let bench = bench_with(server.settings("k"), limit);
    let made = job(&bench, json!({ "text": "One. Two. Three. Four. Five. Six." })).await;
    let failed = over(&bench, &made).await;
    assert_eq!((&failed["state"], &failed["error"]["code"]), (&"failed".into(), &"disk".into()), "{failed}");
    assert!(failed["error"]["detail"].as_str().unwrap().contains("--max-disk"), "{failed}");
    assert_eq!(server.asked().len(), 3, "no sentence after the one that there is no room for");
    let folder = bench.dir.path().join("jobs").join(made["id"].as_str().unwrap());
    eventually("what was spoken is gone", || parts(&folder) == 0).await;
    // And it is not counted any more.
    let next = job(&bench, json!({ "text": "One." })).await;
    assert_eq!(over(&bench, &next).await["state"], "done");
}

/// Whoever asks again and again and does not wait for the answer.
#[tokio::test]
async fn requests_that_nobody_waits_for_do_not_pile_up() {
    let server = FakeServer::start(|_| (0, Vec::new()));
    let bench = bench(&server);
    for number in 0..7 {
        let made = job(&bench, json!({ "text": "Hello." })).await;
        // The fifth one waits for a place.
        server.until_asked((number + 1).min(4)).await;
        bench.until(made["id"].as_str().unwrap(), "opening").await;
        assert_eq!(cancel(&bench, &made).await["state"], "cancelled");
    }
    assert_eq!(server.asked().len(), 4);
}
