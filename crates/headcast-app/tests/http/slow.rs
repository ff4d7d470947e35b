//! Clients that take their time, over real sockets.

use std::sync::Arc;
use std::time::{Duration, Instant};

use headcast_app::server::{Config, Timeouts, bind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::double::{Double, Gate};

const SHORT: Duration = Duration::from_millis(300);

/// Far longer than [`SHORT`] on any machine, far shorter than for ever.
const PATIENCE: Duration = Duration::from_secs(30);

struct Running {
    address: std::net::SocketAddr,
    gate: Arc<Gate>,
    _dir: tempfile::TempDir,
}

impl Running {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config { port: 0, data_dir: dir.path().to_owned(), ..Config::default() };
        change(&mut config);
        let studio = Double::default();
        let gate = Arc::clone(&studio.gate);
        let server = bind(config, Arc::new(studio)).await.unwrap();
        let address = server.address();
        tokio::spawn(server.run(std::future::pending()));
        Self { address, gate, _dir: dir }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn say(&self, text: &str) -> TcpStream {
        let mut socket = self.connect().await;
        socket.write_all(text.as_bytes()).await.unwrap();
        socket
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.gate.open();
    }
}

/// Everything that the server says until it closes.
async fn hear(mut socket: TcpStream) -> String {
    let mut heard = Vec::new();
    // A reset after the answer is as good as an end.
    let _ = tokio::time::timeout(PATIENCE, socket.read_to_end(&mut heard)).await.expect("it is closed");
    String::from_utf8_lossy(&heard).into_owned()
}

const GET: &str = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";

#[tokio::test]
async fn headers_that_do_not_end_are_not_waited_for() {
    let timeouts = Timeouts { headers: SHORT, ..Timeouts::default() };
    let server = Running::new(|config| config.timeouts = timeouts).await;
    let silent = server.connect().await;
    let halfway = server.say("GET /healthz HTTP/1.1\r\nhost: loc").await;
    let kept_alive = server.say(GET).await;
    let began = Instant::now();
    assert_eq!(hear(silent).await, "");
    hear(halfway).await;
    assert!(hear(kept_alive).await.contains("200 OK"));
    assert!(began.elapsed() < PATIENCE);
}

#[tokio::test]
async fn an_upload_that_stalls_is_given_up_and_leaves_nothing() {
    let timeouts = Timeouts { upload: SHORT, ..Timeouts::default() };
    let server = Running::new(|config| {
        config.timeouts = timeouts;
        config.max_uploads = 1;
    })
    .await;
    let start = "POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 100000\r\n\
        content-type: multipart/form-data; boundary=e\r\n\r\n--e\r\n\
        content-disposition: form-data; name=\"audio\"; filename=\"a.wav\"\r\n\r\n";
    let mut stalled = server.say(start).await;
    let uploads = server._dir.path().join("uploads");
    let files = || std::fs::read_dir(&uploads).unwrap().count();
    let mut tries = 0;
    while files() == 0 {
        tries += 1;
        assert!(tries < 1000, "the upload never began");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Meanwhile there is no room for another.
    let second = server.say(start).await;
    // A trickle does not help.
    let trickle = async {
        while stalled.write_all(b"xxxx").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let answer = async {
        let heard = hear(second).await;
        assert!(heard.contains("uploads_busy") && heard.contains("retry-after"), "{heard}");
    };
    tokio::join!(async { tokio::time::timeout(Duration::from_secs(2), trickle).await.ok() }, answer);
    let heard = hear(stalled).await;
    assert!(heard.contains("408") && heard.contains("upload_stalled"), "{heard}");
    assert_eq!(files(), 0);
}

#[tokio::test]
async fn one_connection_too_many_is_told_so() {
    let server = Running::new(|config| config.max_connections = 2).await;
    let held: Vec<_> = [server.connect().await, server.connect().await].into();
    let refused = hear(server.say(GET).await).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("too_many_connections"), "{refused}");
    drop(held);
    // Seen by the server a moment later.
    for _ in 0..200 {
        let mut socket = server.say(GET).await;
        let mut start = [0; 12];
        if socket.read_exact(&mut start).await.is_ok() && &start == b"HTTP/1.1 200" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the places were never given back");
}

#[tokio::test]
async fn who_takes_nothing_of_an_answer_is_let_go() {
    let timeouts = Timeouts { answer: SHORT, ..Timeouts::default() };
    let server = Running::new(|config| {
        config.timeouts = timeouts;
        config.max_connections = 1;
    })
    .await;
    // More than the buffers of both ends hold, and nobody reads.
    let mut greedy = server.connect().await;
    let ask = "GET /assets/0/vendor/hls.js-1.7.4/hls.light.min.mjs HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let _ = tokio::time::timeout(Duration::from_secs(1), greedy.write_all(ask.repeat(200).as_bytes())).await;
    for _ in 0..500 {
        let mut socket = server.say(GET).await;
        let mut start = [0; 12];
        if socket.read_exact(&mut start).await.is_ok() && &start == b"HTTP/1.1 200" {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the connection is still there");
}

/// Frames may be made as slowly as they like; of anything else the address does not decide.
#[tokio::test]
async fn only_frames_are_waited_for() {
    let until_closed = async |timeouts: Timeouts, address: &str, body: &str| {
        let server = Running::new(|config| config.timeouts = timeouts).await;
        let wish = "{\"size\": \"64x48\", \"frames\": 9}";
        let create = format!(
            "POST /api/v1/jobs HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n{wish}",
            wish.len()
        );
        let made = hear(server.say(&create).await).await;
        let id = made.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        let start = format!(
            "POST {} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 100000\r\n\r\n{body}",
            address.replace("ID", id)
        );
        hear(server.say(&start).await).await
    };
    let long = Duration::from_secs(600);
    let frames = Timeouts { frames: SHORT, upload: long, ..Timeouts::default() };
    let heard = until_closed(frames, "/api/v1/jobs/ID/frames", "xxxx").await;
    assert!(heard.contains("408") && heard.contains("upload_stalled"), "{heard}");
    let others = Timeouts { frames: long, upload: SHORT, ..Timeouts::default() };
    let heard = until_closed(others, "/gradio_api/call/frames", "{\"data\": [").await;
    assert!(heard.starts_with("HTTP/1.1 4"), "{heard}");
}
