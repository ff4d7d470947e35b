//! The event stream, over a real socket.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use headcast_app::server::{Config, ServeError, Server, bind};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::double::{Double, Gate};

/// A gate that opens when the test is over, however it ends: a worker that waited at it would keep the test from
/// ending.
struct OpensAtEnd(Arc<Gate>);

impl Deref for OpensAtEnd {
    type Target = Gate;

    fn deref(&self) -> &Gate {
        &self.0
    }
}

impl Drop for OpensAtEnd {
    fn drop(&mut self) {
        self.0.open();
    }
}

async fn listen(port: u16) -> (Result<Server, ServeError>, OpensAtEnd, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let (server, gate) = listen_on(port, dir.path()).await;
    (server, gate, dir)
}

async fn listen_on(port: u16, dir: &std::path::Path) -> (Result<Server, ServeError>, OpensAtEnd) {
    let studio = Double::default();
    let gate = OpensAtEnd(Arc::clone(&studio.gate));
    let config = Config { port, data_dir: dir.to_owned(), ..Config::default() };
    (bind(config, Arc::new(studio)).await, gate)
}

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Client {
    async fn connect(url: &str) -> Self {
        Self(connect_async(format!("{}api/v1/events", url.replace("http", "ws"))).await.unwrap().0)
    }

    async fn say(&mut self, message: Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next message that is no heartbeat.
    async fn hear(&mut self) -> Value {
        loop {
            let message = self.hear_any().await;
            if message["type"] != "heartbeat" {
                return message;
            }
        }
    }

    async fn hear_any(&mut self) -> Value {
        let text = async {
            loop {
                if let Message::Text(text) = self.0.next().await.unwrap().unwrap() {
                    break text;
                }
            }
        };
        let text = tokio::time::timeout(Duration::from_secs(30), text).await.unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Messages up to the one that is wanted, which is the last.
    async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut heard = Vec::new();
        loop {
            heard.push(self.hear().await);
            if wanted(&heard[heard.len() - 1]) {
                return heard;
            }
        }
    }
}

fn is_state(state: &str) -> impl Fn(&Value) -> bool {
    move |message| message["type"] == "state" && message["job"]["state"] == state
}

/// A job of 24 frames in 3 segments, posted over a socket of its own.
async fn post(server_url: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let host = server_url.trim_start_matches("http://").trim_end_matches('/');
    let mut socket = TcpStream::connect(host).await.unwrap();
    let form = "--e\r\ncontent-disposition: form-data; name=\"sample\"\r\n\r\nhello\r\n--e--\r\n";
    let request = format!(
        "POST /api/v1/jobs HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\ncontent-type: multipart/form-data; \
         boundary=e\r\ncontent-length: {}\r\n\r\n{form}",
        form.len()
    );
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await.unwrap();
    let job: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    job["id"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_tab_follows_a_job_loses_the_line_and_resumes() {
    let (server, gate, _dir) = listen(0).await;
    let server = server.unwrap();
    let url = server.url();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let running = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));

    let id = post(&url).await;
    let mut tab = Client::connect(&url).await;
    tab.say(json!({"subscribe": id, "after": 0})).await;
    assert_eq!(tab.hear().await["type"], "state", "the state comes first");
    gate.allow(8);
    let heard = tab.until(|message| message["type"] == "ready").await;
    assert_eq!(heard[heard.len() - 1]["segment"], 0);
    assert!(heard.iter().any(|message| message["type"] == "log" && message["message"] == "listening"));
    let last = heard[heard.len() - 1]["seq"].as_u64().unwrap();
    drop(tab);

    gate.open();
    let mut again = Client::connect(&url).await;
    again.say(json!({"subscribe": id, "after": last})).await;
    let heard = again.until(is_state("done")).await;
    let seqs: Vec<_> = heard[1..].iter().filter_map(|message| message["seq"].as_u64()).collect();
    assert!(seqs.iter().all(|seq| *seq > last) && seqs.is_sorted(), "{last} {seqs:?}");

    // A wish for a segment is no subscription, and nonsense is answered.
    again.say(json!({"want": 1})).await;
    again.say(json!({"nonsense": true})).await;
    assert_eq!(again.hear().await["type"], "error");
    again.say(json!({"subscribe": "aaaaaaaaaaaaaaaa"})).await;
    assert_eq!(again.hear().await["type"], "gone");

    stop.send(()).unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
    ended.expect("open streams do not keep the server from ending").unwrap();
}

#[tokio::test]
async fn a_tab_goes_on_after_a_restart_of_the_server() {
    let (server, gate, dir) = listen(0).await;
    let server = server.unwrap();
    let url = server.url();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let mut running = tokio::spawn(server.run(async {
        let _ = stopped.await;
    }));
    let id = post(&url).await;
    let mut tab = Client::connect(&url).await;
    tab.say(json!({"subscribe": id})).await;
    assert_eq!(tab.hear().await["type"], "state", "heard from here on, and not before");
    gate.allow(8);
    let heard = tab.until(|message| message["type"] == "ready").await;
    let last = heard[heard.len() - 1]["seq"].as_u64().unwrap();
    drop(tab);
    stop.send(()).unwrap();
    // The frame that is under way is let through, and another one if the worker was faster than the word.
    let mut waits = 0;
    while tokio::time::timeout(Duration::from_millis(50), &mut running).await.is_err() {
        gate.allow(1);
        waits += 1;
        assert!(waits < 600, "the server does not end");
    }

    // The end of a process closes everything at once; here a connection may hold the folder for a moment.
    let before = gate;
    let (server, gate) = loop {
        match listen_on(0, dir.path()).await {
            (Ok(server), gate) => break (server, gate),
            (Err(error), _) => assert!(error.to_string().contains("another headcast server"), "{error}"),
        }
        waits += 1;
        assert!(waits < 1200, "the folder is not let go");
        // Or the worker, with a frame that was under way.
        before.allow(1);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let url = server.url();
    tokio::spawn(server.run(std::future::pending()));
    let mut again = Client::connect(&url).await;
    again.say(json!({"subscribe": [{"job": id, "after": last}]})).await;
    gate.open();
    let heard = again.until(is_state("done")).await;
    assert_eq!((&heard[0]["type"], &heard[0]["seq"]), (&"state".into(), &last.into()));
    let seqs: Vec<_> = heard[1..].iter().filter_map(|message| message["seq"].as_u64()).collect();
    assert!(seqs.iter().all(|seq| *seq > last) && seqs.is_sorted(), "{last} {seqs:?}");
    let ready: Vec<_> = heard.iter().filter(|message| message["type"] == "ready").collect();
    assert_eq!(ready.len(), 2, "{ready:?}");
}

#[tokio::test]
async fn a_late_reader_gets_the_state_and_what_is_left_of_the_log() {
    let (server, gate, _dir) = listen(0).await;
    let server = server.unwrap();
    let url = server.url();
    tokio::spawn(server.run(std::future::pending()));
    gate.open();
    let id = post(&url).await;
    let mut tab = Client::connect(&url).await;
    tab.say(json!({"subscribe": id})).await;
    tab.until(is_state("done")).await;

    let mut late = Client::connect(&url).await;
    late.say(json!({"subscribe": id, "after": 0})).await;
    let state = late.hear().await;
    assert_eq!((&state["job"]["state"], &state["job"]["clip"]["ready"]), (&"done".into(), &json!([[0, 3]])));
    let heard = late.until(|message| message["type"] == "progress").await;
    assert!(heard.iter().any(|message| message["type"] == "log"), "the log is still there");
}

/// A page is not told of pings: without a message it could not tell a quiet line from a dead one.
#[tokio::test]
async fn a_quiet_line_has_heartbeats() {
    let dir = tempfile::tempdir().unwrap();
    let studio = Double::default();
    let gate = OpensAtEnd(Arc::clone(&studio.gate));
    let config = Config {
        port: 0,
        data_dir: dir.path().to_owned(),
        heartbeat: Duration::from_millis(20),
        ..Config::default()
    };
    let server = bind(config, Arc::new(studio)).await.unwrap();
    let url = server.url();
    tokio::spawn(server.run(std::future::pending()));
    let mut tab = Client::connect(&url).await;
    for _ in 0..3 {
        assert_eq!(tab.hear_any().await, json!({"type": "heartbeat"}), "of no job, and without a number");
    }
    // They come between the news of a job, and are none.
    let id = post(&url).await;
    tab.say(json!({"subscribe": id})).await;
    while tab.hear_any().await["type"] != "state" {}
    while tab.hear_any().await["type"] != "heartbeat" {}
    gate.open();
    tab.until(is_state("done")).await;
}

#[tokio::test]
async fn other_sites_get_no_stream() {
    let (server, gate, _dir) = listen(0).await;
    gate.open();
    let server = server.unwrap();
    let url = format!("{}api/v1/events", server.url().replace("http", "ws"));
    tokio::spawn(server.run(std::future::pending()));
    let mut foreign = url.clone().into_client_request().unwrap();
    foreign.headers_mut().insert("origin", "http://evil.example".parse().unwrap());
    match connect_async(foreign).await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 403),
        other => panic!("{other:?}"),
    }
    connect_async(url).await.unwrap();
}

#[tokio::test]
async fn a_taken_port_is_named() {
    let (first, gate, _dir) = listen(0).await;
    gate.open();
    let port = first.as_ref().unwrap().address().port();
    let (second, _gate, _dir) = listen(port).await;
    let error = second.unwrap_err();
    assert!(matches!(error, ServeError::PortInUse { .. }), "{error}");
    assert!(error.to_string().contains("--port"), "{error}");
}

#[tokio::test]
async fn one_stream_follows_many_jobs() {
    let (server, gate, _dir) = listen(0).await;
    let server = server.unwrap();
    let url = server.url();
    tokio::spawn(server.run(std::future::pending()));
    let (first, second) = (post(&url).await, post(&url).await);
    let mut tab = Client::connect(&url).await;
    tab.say(json!({"subscribe": [first, {"job": second, "after": 0}, "aaaaaaaaaaaaaaaa"]})).await;
    let heard = tab.until(|message| message["type"] == "gone").await;
    assert_eq!(heard[heard.len() - 1]["job"], "aaaaaaaaaaaaaaaa");
    let states: Vec<_> = heard.iter().filter(|message| message["type"] == "state").collect();
    assert!(states.iter().any(|state| state["job"]["id"] == first), "{states:?}");
    assert!(states.iter().any(|state| state["job"]["id"] == second), "{states:?}");
    // Of several, the one that is meant has to be named.
    tab.say(json!({"want": 2, "job": first})).await;
    gate.open();
    let mut heard = Vec::new();
    while !(heard.iter().any(|(job, segment)| (job, segment) == (&first, &2)) && heard.len() == 6) {
        let message = tab.hear().await;
        if message["type"] == "ready" {
            heard.push((message["job"].as_str().unwrap().to_owned(), message["segment"].as_u64().unwrap()));
        }
    }
    for job in [&first, &second] {
        let mut segments: Vec<_> =
            heard.iter().filter(|ready| ready.0 == *job).map(|ready| ready.1).collect();
        segments.sort_unstable();
        assert_eq!(segments, [0, 1, 2], "{job}");
    }
    tab.say(json!({"subscribe": vec!["aaaaaaaaaaaaaaaa"; 65]})).await;
    let refused = tab.until(|message| message["type"] == "error").await;
    assert_eq!(refused[refused.len() - 1]["code"], "too_many_jobs");
}
