//! Texts that voices speak: servers, programs, what goes wrong with them, and captions.

mod fake;
mod faults;
mod queue;

use std::sync::Arc;

use axum::http::{Method, header};
use headcast_app::voices::{Settings, Voices};
use serde_json::{Value, json};

use super::interface::new_job;
use super::{Bench, Field, request};
use fake::{FakeServer, tone};

/// A bench whose voices are those of `settings` alone.
fn bench(settings: Settings) -> Bench {
    bench_with(settings, |_| {})
}

fn bench_with(settings: Settings, change: impl FnOnce(&mut headcast_app::server::Config)) -> Bench {
    let voices = Arc::new(Voices::new(Settings { search: false, ..settings }).unwrap());
    let bench = Bench::speaking(Arc::new(tempfile::tempdir().unwrap()), Some(voices), change);
    bench.gate.open();
    bench
}

async fn job(bench: &Bench, wish: Value) -> Value {
    let answer = new_job(bench, wish).await;
    assert_eq!(answer.status, 201, "{:?}", answer.body);
    answer.json()
}

async fn over(bench: &Bench, job: &Value) -> Value {
    let id = job["id"].as_str().unwrap();
    for _ in 0..3000 {
        let job = bench.get(&format!("/api/v1/jobs/{id}")).await.json();
        if ["done", "failed", "cancelled"].contains(&job["state"].as_str().unwrap()) {
            return job;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("job {id} was never over");
}

async fn text(bench: &Bench, job: &Value, link: &str) -> String {
    let answer = bench.get(job["links"][link].as_str().unwrap()).await;
    assert_eq!(answer.status, 200, "{:?}", answer.body);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

async fn eventually(what: &str, is: impl Fn() -> bool) {
    for _ in 0..3000 {
        if is() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    panic!("never: {what}");
}

/// A recording of a word, small enough for any limit.
pub(super) fn sound() -> Vec<u8> {
    fake::wav(&fake::samples(0.15, 0.3))
}

const TWO: &str = "Hello there, <Tom> & Dr. Kim. 你好，世界。";

#[tokio::test]
async fn a_server_speaks_a_text_once_and_captions_are_exact() {
    let server = FakeServer::start(|_| (200, tone(0.2, 0.5)));
    let bench = bench(server.settings("sk-secret-key"));
    let voices = bench.get("/api/v1/voices").await.json();
    assert_eq!((&voices[0]["name"], &voices[1]["language"]), (&"server/alloy".into(), &"zh".into()));

    let made = job(&bench, json!({ "text": TWO, "voice": "server/xiaobei", "speed": 1.25 })).await;
    assert_eq!(
        (&made["title"], &made["voice"], &made["speed"]),
        (&TWO.into(), &"server/xiaobei".into(), &1.25.into())
    );
    let done = over(&bench, &made).await;
    assert_eq!(
        (&done["state"], &done["captions"], &done["text"]),
        (&"done".into(), &true.into(), &TWO.into()),
        "{done}"
    );

    let asked = server.asked();
    assert_eq!(asked.len(), 2, "a sentence at a time");
    for (asked, words) in asked.iter().zip(["Hello there, <Tom> & Dr. Kim.", "你好，世界。"]) {
        assert_eq!(asked.authorization, "Bearer sk-secret-key");
        let wanted = json!({
            "model": "tts-9", "voice": "xiaobei", "input": words, "speed": 1.25, "response_format": "wav",
        });
        assert_eq!(asked.body, wanted);
    }
    // Half a second each, with 40 ms around it, and a pause of 320 ms.
    let vtt = text(&bench, &done, "vtt").await;
    let cues: Vec<_> = vtt.split("\n\n").collect();
    assert_eq!(cues.len(), 3, "{vtt}");
    assert!(cues[0] == "WEBVTT" && cues[1].ends_with("\nHello there, &lt;Tom&gt; &amp; Dr. Kim."), "{vtt}");
    let near = |line: &str, start: f64, end: f64| {
        let (from, to) = line.lines().next().unwrap().split_once(" --> ").unwrap();
        let secs = |time: &str| time.replace(',', ".")[6..].parse::<f64>().unwrap();
        assert!(
            (secs(from) - start).abs() < 0.05 && (secs(to) - end).abs() < 0.05,
            "{line}: {start} to {end}"
        );
    };
    near(cues[1], 0.0, 0.58);
    near(cues[2], 0.9, 1.48);
    let srt = text(&bench, &done, "srt").await;
    assert!(srt.starts_with("1\r\n00:00:00,000 --> 00:00:00,") && srt.contains("‹Tom›"), "{srt}");
    let saved = bench.get(&format!("{}?download", done["links"]["srt"].as_str().unwrap())).await;
    assert!(saved.header(header::CONTENT_DISPOSITION).contains(".srt"), "{:?}", saved.headers);
    assert_eq!(saved.header(header::CONTENT_TYPE), "application/x-subrip; charset=utf-8");

    // Whoever follows it was told, in its own phase; and the key is nowhere.
    let told = bench.get(&format!("{}/events", done["links"]["job"].as_str().unwrap())).await;
    let told = String::from_utf8(told.body.to_vec()).unwrap();
    let said = format!("Speaking the text: {} characters with server/xiaobei", TWO.chars().count());
    assert!(told.contains(&said), "{told}");
    assert!(!told.contains("secret"));
    let folder = bench.dir.path().join("jobs").join(done["id"].as_str().unwrap());
    assert_eq!(&std::fs::read(folder.join("input")).unwrap()[..4], b"RIFF");

    // Neither a restart nor another run asks again.
    let bench = bench.restart(|_| {}).await;
    bench.gate.open();
    assert_eq!(text(&bench, &done, "vtt").await, vtt);
    let again =
        bench.ask(request(Method::POST, &format!("{}/rerun", done["links"]["job"].as_str().unwrap()))).await;
    let again = over(&bench, &again.json()).await;
    assert_eq!(
        (&again["state"], &again["text"], &again["title"]),
        (&"done".into(), &TWO.into(), &TWO.into()),
        "{again}"
    );
    assert_eq!(text(&bench, &again, "vtt").await, vtt);
    assert_eq!(server.asked().len(), 2);
}

#[tokio::test]
async fn an_interrupted_voice_begins_again_after_a_restart() {
    let server = FakeServer::start(|asked| {
        // The second sentence of the first time never comes.
        let hangs = asked.number == 1;
        if hangs { (0, Vec::new()) } else { (200, tone(0.0, 0.3)) }
    });
    let bench = bench(server.settings("k"));
    let made = job(&bench, json!({ "text": TWO })).await;
    let id = made["id"].as_str().unwrap();
    server.until_asked(2).await;
    assert_eq!(bench.get(&format!("/api/v1/jobs/{id}")).await.json()["progress"]["phase"], "speaking");
    assert_eq!(bench.get(made["links"]["vtt"].as_str().unwrap()).await.problem(404), "no_captions");
    let bench = bench.restart(|_| {}).await;
    bench.gate.open();
    let done = over(&bench, &made).await;
    assert_eq!((&done["state"], server.asked().len()), (&"done".into(), 4), "{done}");
    let left = std::fs::read_dir(bench.dir.path().join("jobs").join(id)).unwrap();
    let parts = left.filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with(".part"));
    assert_eq!(parts.count(), 0);
}

#[tokio::test]
async fn the_words_of_a_recording_become_captions() {
    let bench = bench_with(Settings::default(), |config| config.max_audio_bytes = 1 << 20);
    // A second, a pause, two seconds.
    let sound =
        fake::wav(&[fake::samples(1.0, 0.3), fake::samples(0.5, 0.0), fake::samples(2.0, 0.3)].concat());
    let said = "Ten letters. Twenty letters, which is more.";
    let fields =
        [Field::file("audio", "talk.wav", &sound), Field::text("text", said), Field::text("avatar", "milo")];
    let made = bench.upload(&fields).await.json();
    assert_eq!(
        (&made["captions"], &made["title"], &made["voice"]),
        (&true.into(), &"talk.wav".into(), &Value::Null),
        "{made}"
    );
    let done = over(&bench, &made).await;
    let vtt = text(&bench, &done, "vtt").await;
    let wanted = "WEBVTT\n\n00:00:00.000 --> 00:00:01.000\nTen letters.\n\n\
                  00:00:01.500 --> 00:00:03.500\nTwenty letters, which is more.\n";
    assert_eq!(vtt, wanted);
    let bench = bench.restart(|config| config.max_audio_bytes = 1 << 20).await;
    assert_eq!(text(&bench, &done, "vtt").await, wanted);
    // The control: without words there are none.
    let silent = bench.upload(&[Field::file("audio", "talk.wav", &sound)]).await.json();
    assert_eq!(silent["captions"], false);
    assert_eq!(bench.get(silent["links"]["srt"].as_str().unwrap()).await.problem(404), "no_captions");
}

/// The real program, where it is installed.
#[tokio::test]
async fn espeak_speaks() {
    if std::process::Command::new("espeak-ng").arg("--version").output().is_err() {
        assert!(std::env::var_os("HEADCAST_REQUIRE_TOOLS").is_none(), "espeak-ng is required");
        println!("SKIPPED: espeak-ng is not on PATH");
        return;
    }
    let voices = Voices::new(Settings::default()).unwrap();
    let names: Vec<_> = voices.list().into_iter().map(|listed| listed.voice.name).collect();
    assert!(
        names.contains(&"espeak-ng/en-us".to_owned()) && names.contains(&"espeak-ng/de".to_owned()),
        "{names:?}"
    );
    let dir = tempfile::tempdir().unwrap();
    let say = |text: &str, speed: f64, name: &str| {
        let speed = headcast_app::jobs::Pace::parse(&speed.to_string()).unwrap();
        let script =
            headcast_app::jobs::Script { text: text.to_owned(), voice: Some(name.to_owned()), speed };
        voices.speak(&script, &dir.path().join("speech.wav"), &|| false)
    };
    let speak = |speed: f64, name: &str| say("-h is no option here. Good evening, everyone.", speed, name);
    let cues = speak(1.0, "espeak-ng/en-us").unwrap();
    assert_eq!(cues.len(), 2);
    let (first, second) = (&cues[0], &cues[1]);
    assert!(first.start_ms == 0 && first.end_ms > 800 && second.start_ms == first.end_ms + 320, "{cues:?}");
    assert!((900..4000).contains(&(second.end_ms - second.start_ms)), "{cues:?}");
    let fast = speak(2.0, "espeak-ng/en-us").unwrap();
    assert!(fast[1].end_ms * 4 < cues[1].end_ms * 3, "{fast:?} {cues:?}");
    // Everything is words, and all of them are spoken.
    let millis = |text: &str| say(text, 1.0, "espeak-ng/en-us").unwrap()[0].end_ms;
    assert_eq!(millis("Say [[h@'loU]] now"), millis("Say [ [h@'loU]] now"));
    assert_eq!(millis("One\0 two three"), millis("One  two three"));
    assert!(millis("One two three") > millis("One") + 200, "the control");
}
