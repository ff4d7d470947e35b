//! What goes wrong with voices, each in its own words.

#[cfg(target_os = "linux")]
use std::path::Path;
use std::time::Duration;

use axum::http::Method;
use headcast_app::voices::{CommandVoice, ServerSettings, Settings};
use serde_json::{Value, json};

use super::super::interface::new_job;
use super::super::{Bench, Field, request};
use super::fake::{FakeServer, samples, tone, wav};
use super::{bench, eventually, job, over};

/// How a job with a text ends: its code and its sentence.
async fn failure(settings: Settings) -> (String, String) {
    let bench = bench(settings);
    let made = job(&bench, json!({ "text": "Hello." })).await;
    let failed = over(&bench, &made).await;
    assert_eq!(failed["state"], "failed", "{failed}");
    let word = |name: &str| failed["error"][name].as_str().unwrap().to_owned();
    (word("code"), word("detail"))
}

async fn server_failure(status: u16, body: Vec<u8>) -> (String, String) {
    let server = FakeServer::start(move |_| (status, body.clone()));
    failure(server.settings("sk-secret-key")).await
}

#[tokio::test]
async fn what_a_server_does_wrong_is_told_apart() {
    let (code, said) =
        server_failure(401, b"{\"error\": {\"message\": \"bad key sk-secret-key\"}}".to_vec()).await;
    assert!(code == "voice_key" && said.contains("HEADCAST_VOICE_KEY") && !said.contains("secret"), "{said}");
    let (code, said) =
        server_failure(404, b"{\"error\": {\"message\": \"no model tts-9, sk-secret-key\"}}".to_vec()).await;
    assert!(code == "voice_refused" && said.contains("no model tts-9") && !said.contains("secret"), "{said}");
    let (code, said) = server_failure(307, Vec::new()).await;
    assert!(code == "voice_refused" && said.contains("307"), "a key goes nowhere else: {said}");
    for nonsense in
        [b"this is no sound, it is a text".to_vec(), Vec::new(), b"RIFF\xff\xff\xff\xffWAVE".to_vec()]
    {
        assert_eq!(server_failure(200, nonsense).await.0, "voice_not_sound");
    }
    assert_eq!(server_failure(200, wav(&samples(1.0, 0.0))).await.0, "voice_silent");
    assert_eq!(server_failure(200, vec![0; 33 << 20]).await.0, "voice_too_much");

    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let server = |url: &str, patience| ServerSettings {
        url: url.to_owned(),
        model: "m".to_owned(),
        voices: vec!["alloy".to_owned()],
        key: None,
        patience,
    };
    let settings = |server| Settings { server: Some(server), ..Settings::default() };
    let (code, said) = failure(settings(server(&url, Duration::from_secs(30)))).await;
    assert!(code == "voice_unreachable" && said.contains("127.0.0.1"), "{said}");
    let silent = FakeServer::start(|_| (0, Vec::new()));
    let (code, said) = failure(settings(server(&silent.url, Duration::from_secs(1)))).await;
    assert!(code == "voice_hung" && said.contains("1 s"), "{said}");
}

fn command(text: &str, patience: Duration) -> Settings {
    Settings { commands: vec![CommandVoice::parse(text).unwrap()], patience, ..Settings::default() }
}

#[cfg(unix)]
#[tokio::test]
async fn what_a_program_does_wrong_is_told_apart() {
    let long = Duration::from_secs(30);
    let fails = "mine=sh -c \"echo first >&2; echo no such voice >&2; exit 3\"";
    let (code, said) = failure(command(fails, long)).await;
    assert!(
        code == "voice_failed" && said.contains("exit status 3") && said.contains("no such voice"),
        "{said}"
    );
    assert!(!said.contains("first"), "{said}");
    // However much it says before.
    let talks = "mine=sh -c \"yes chatter | head -c 200000 >&2 || exit 9; echo no such model >&2; exit 3\"";
    let (code, said) = failure(command(talks, long)).await;
    assert!(
        code == "voice_failed" && said.ends_with("exit status 3: no such model"),
        "nothing but what it said last: {said}"
    );
    assert_eq!(failure(command("mine=/nowhere/at/all", long)).await.0, "voice_missing");
    let (code, said) = failure(command("mine=sh -c \"sleep 600\"", Duration::from_secs(1))).await;
    assert!(code == "voice_hung" && said.contains("mine") && said.contains("1 s"), "{said}");
    assert_eq!(failure(command("mine=true {wav}", long)).await.0, "voice_not_sound", "no file");
    assert_eq!(failure(command("mine=echo nonsense", long)).await.0, "voice_not_sound");
    assert_eq!(failure(command("mine=cat /dev/zero", long)).await.0, "voice_too_much");
    let file = "mine=sh -c \"exec cat /dev/zero > '$0'\" {wav}".replace('\'', "");
    assert_eq!(failure(command(&file, long)).await.0, "voice_too_much");
}

#[cfg(unix)]
#[tokio::test]
async fn a_program_gets_the_text_and_nothing_of_the_server() {
    let dir = tempfile::tempdir().unwrap();
    let place = |name: &str| dir.path().join(name).display().to_string();
    std::fs::write(place("tone.wav"), tone(0.1, 0.4)).unwrap();
    for (script, command) in
        [("cat > \"$2\"; cp \"$1\" \"$3\"", "{wav}"), ("cp \"$4\" \"$2\"; cat \"$1\"", "x {text_file}")]
    {
        let (script_file, heard) = (place("voice.sh"), place("heard"));
        let env = place("env");
        std::fs::write(&script_file, format!("env > \"{env}\"\n{script}\n")).unwrap();
        let text = format!("my voice:de=sh {script_file} {} {heard} {command}", place("tone.wav"));
        let bench = bench(self::command(&text, Duration::from_secs(30)));
        let voices = bench.get("/api/v1/voices").await.json();
        let wanted =
            json!([{ "name": "my voice", "title": "my voice", "language": "de", "kind": "my voice" }]);
        assert_eq!(voices, wanted);
        let text = "--help; $(reboot) [[x]] 'ö'\0\u{1b}\tand more";
        let done = over(&bench, &job(&bench, json!({ "text": text })).await).await;
        // Text is all that voices, captions and others see.
        let plain = "--help; $(reboot) [[x]] 'ö'  \tand more";
        assert_eq!((&done["state"], &done["text"]), (&"done".into(), &plain.into()), "{done}");
        assert_eq!(std::fs::read_to_string(&heard).unwrap(), plain);
        let env = std::fs::read_to_string(&env).unwrap();
        assert!(env.contains("PATH=") && !env.contains("\nHEADCAST_"), "{env}");
    }
}

/// Also what it started: a shell that is ended alone leaves its child.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn cancelling_ends_a_voice_with_all_that_it_started() {
    let dir = tempfile::tempdir().unwrap();
    let pids = dir.path().join("pids");
    let script = dir.path().join("voice.sh");
    let text = format!("sleep 600 &\necho $$ $! > {0}.part; mv {0}.part {0}\nwait\n", pids.display());
    std::fs::write(&script, text).unwrap();
    let settings = command(&format!("mine=sh {}", script.display()), Duration::from_secs(600));
    let bench = bench(settings);
    let made = job(&bench, json!({ "text": "Hello." })).await;
    let path = made["links"]["job"].as_str().unwrap();
    eventually("it speaks", || pids.exists()).await;
    let alive = || alive(&pids);
    assert_eq!(alive(), 2, "the control");
    let answer = bench.ask(request(Method::POST, &format!("{path}/cancel"))).await;
    assert_eq!(answer.json()["state"], "cancelled");
    eventually("both are gone", || alive() == 0).await;
    // The renderer is free for others.
    let next = bench.upload(&[Field::text("sample", "hello")]).await.json();
    assert_eq!(over(&bench, &next).await["state"], "done");
}

/// How many of the processes whose numbers are in a file run.
#[cfg(target_os = "linux")]
fn alive(pids: &Path) -> usize {
    let runs = |pid: &&str| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        // What nobody has asked for its end yet is dead, too.
        status.is_ok_and(|status| !status.contains(") Z "))
    };
    std::fs::read_to_string(pids).unwrap().split_whitespace().filter(runs).count()
}

/// A program that has ended, and left something running that holds its output open.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn what_a_voice_leaves_running_is_ended() {
    let dir = tempfile::tempdir().unwrap();
    let (pids, sound) = (dir.path().join("pids"), dir.path().join("tone.wav"));
    std::fs::write(&sound, tone(0.1, 0.4)).unwrap();
    let script = dir.path().join("voice.sh");
    let write = |last: &str| {
        let (pids, sound) = (pids.display(), sound.display());
        let text = format!("sleep 600 &\necho $! > {pids}.part; mv {pids}.part {pids}\ncat {sound} {last}\n");
        std::fs::write(&script, text).unwrap();
    };
    let run = |args: &str| command(&format!("mine=sh {} {args}", script.display()), Duration::from_secs(600));
    // Once there is a file, nobody waits for the rest.
    write("> $1");
    let bench = bench(run("{wav}"));
    let done = over(&bench, &job(&bench, json!({ "text": "Hello." })).await).await;
    assert_eq!((&done["state"], alive(&pids)), (&"done".into(), 0), "{done}");
    drop(bench);
    // Its output may go on, so it is waited for; until somebody cancels it.
    std::fs::remove_file(&pids).unwrap();
    write("; echo $$ > $1");
    let leader = dir.path().join("leader");
    let bench = super::bench(run(&leader.display().to_string()));
    let made = job(&bench, json!({ "text": "Hello." })).await;
    eventually("the program has ended", || {
        std::fs::read_to_string(&leader).is_ok_and(|pid| pid.ends_with('\n')) && alive(&leader) == 0
    })
    .await;
    assert_eq!(alive(&pids), 1, "the control");
    let path = made["links"]["job"].as_str().unwrap();
    assert_eq!(bench.get(path).await.json()["progress"]["phase"], "speaking");
    bench.ask(request(Method::POST, &format!("{path}/cancel"))).await;
    eventually("nothing is left", || alive(&pids) == 0).await;
}

async fn refused(bench: &Bench, wish: Value, status: u16) -> String {
    let text = wish.to_string().chars().take(200).collect::<String>();
    let answer = new_job(bench, wish).await;
    assert_eq!(answer.status, status, "{text}: {:?}", answer.body);
    answer.problem(status)
}

#[tokio::test]
async fn texts_that_cannot_be_spoken_are_refused_before_anything_is_made() {
    let server = FakeServer::start(|_| (200, tone(0.0, 0.3)));
    let bench = bench(server.settings("k"));
    let most = bench.get("/api/v1/info").await.json()["limits"]["text_chars"].as_u64().unwrap();
    let long = "讲".repeat(usize::try_from(most).unwrap() + 1);
    for (wish, status, code) in [
        (json!({ "text": "Hi", "voice": "server/nobody" }), 422, "voice_unknown"),
        (json!({ "text": " … --- \n" }), 422, "text_empty"),
        (json!({ "text": long }), 413, "text_too_long"),
        (json!({ "text": "Hi", "speed": 3 }), 422, "text_unusable"),
        (json!({ "voice": "server/alloy" }), 422, "audio_missing"),
        (json!({ "sample": "hello", "voice": "server/alloy" }), 422, "text_unusable"),
        (json!({ "sample": "hello", "text": "Hi", "voice": "server/alloy" }), 422, "text_unusable"),
        (json!({ "size": "64x64", "text": "Hi" }), 422, "text_unusable"),
        (json!({ "start": 1.5, "text": "Hi" }), 422, "text_unusable"),
        (json!({ "text": "Hi", "avatar": "nobody" }), 422, "no_such_avatar"),
    ] {
        assert_eq!(refused(&bench, wish, status).await, code);
    }
    let fields = [Field::text("text", "Hi"), Field::file("features", "f.npy", b"npy")];
    assert_eq!(bench.upload(&fields).await.problem(422), "text_unusable");
    assert_eq!(bench.get("/api/v1/jobs").await.json(), json!([]));
    assert_eq!(server.asked().len(), 0);
    // The control: the longest text, each character escaped.
    let longest = format!("{{\"text\": \"{}\"}}", "\\u8bb2".repeat(usize::try_from(most).unwrap()));
    let mut wish = request(Method::POST, "/api/v1/jobs").map(|_| axum::body::Body::from(longest));
    wish.headers_mut().insert("content-type", "application/json".parse().unwrap());
    let made = bench.ask(wish).await;
    assert_eq!(made.status, 201, "{:?}", made.body);
    bench
        .ask(request(Method::POST, &format!("{}/cancel", made.json()["links"]["job"].as_str().unwrap())))
        .await;

    let mute = super::bench(Settings::default());
    assert_eq!(mute.get("/api/v1/voices").await.json(), json!([]));
    let answer = new_job(&mute, json!({ "text": "Hi" })).await;
    let said = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(said.contains("apt install espeak-ng") && said.contains("--voice-url"), "{said}");
    assert_eq!(answer.problem(422), "voice_none");
}
