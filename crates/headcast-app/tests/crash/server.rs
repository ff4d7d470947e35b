//! The real program as a process, and just enough HTTP to talk to it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

/// A data folder with an avatar of 64x64 pixels, which renders fast.
pub(super) fn data_folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let subject = repository().join("fixtures/nerf/er-torso");
    let output = Command::new(env!("CARGO_BIN_EXE_headcast"))
        .args(["avatar", "import", "--name", "cube", "--checkpoint"])
        .arg(subject.join("ngp.pth"))
        .arg("--data")
        .arg(subject)
        .arg("--data-dir")
        .arg(dir.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    dir
}

/// A running server; killed when dropped.
pub(super) struct Server {
    child: Child,
    address: String,
}

impl Server {
    /// Starts on the data folder and waits until it listens.
    pub(super) fn start(dir: &Path, more: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_headcast"))
            .args(["serve", "--port", "0", "--data-dir"])
            .arg(dir)
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.split("http://").nth(1).and_then(|rest| rest.split('/').next());
        let address = address.unwrap_or_else(|| panic!("no address in {line:?}")).to_owned();
        // A full or closed pipe would stop the server.
        std::thread::spawn(move || io::copy(&mut stdout, &mut io::sink()));
        Self { child, address }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// SIGKILL: nothing is flushed, nothing is said.
    pub(super) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits for its own end.
    pub(super) fn wait(mut self) -> std::process::ExitStatus {
        self.child.wait().unwrap()
    }

    pub(super) fn get(&self, path: &str) -> (u16, Vec<u8>) {
        self.ask("GET", path, "", b"").unwrap()
    }

    pub(super) fn json(&self, path: &str) -> Value {
        let (status, body) = self.get(path);
        assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
        serde_json::from_slice(&body).unwrap()
    }

    /// Sends a recording; the job's name, or nothing when the server did not answer.
    pub(super) fn post(&self, audio: &[u8]) -> Option<String> {
        self.post_with(audio, None)
    }

    /// As [`Self::post`], with speech features.
    pub(super) fn post_with(&self, audio: &[u8], features: Option<&[u8]>) -> Option<String> {
        self.post_form("cube", audio, features)
    }

    /// As [`Self::post`], for another avatar.
    pub(super) fn post_as(&self, avatar: &str, audio: &[u8]) -> Option<String> {
        self.post_form(avatar, audio, None)
    }

    fn post_form(&self, avatar: &str, audio: &[u8], features: Option<&[u8]>) -> Option<String> {
        let field = |head: &str, body: &[u8]| {
            let head = format!("--edge\r\ncontent-disposition: form-data; {head}\r\n\r\n");
            [head.as_bytes(), body, b"\r\n"].concat()
        };
        let features = features.map(|bytes| field("name=\"features\"; filename=\"aud.npy\"", bytes));
        let body = [
            field("name=\"avatar\"", avatar.as_bytes()),
            field("name=\"audio\"; filename=\"speech.wav\"", audio),
            features.unwrap_or_default(),
            b"--edge--\r\n".to_vec(),
        ];
        let kind = "content-type: multipart/form-data; boundary=edge\r\n";
        let (status, body) = self.ask("POST", "/api/v1/jobs", kind, &body.concat()).ok()?;
        assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
        let job: Value = serde_json::from_slice(&body).ok()?;
        Some(job["id"].as_str().unwrap().to_owned())
    }

    fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let mut stream = TcpStream::connect(&self.address)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        let head = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\n{headers}content-length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat())?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let cut = answer.windows(4).position(|four| four == b"\r\n\r\n");
        let cut = cut.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))?;
        let head = String::from_utf8_lossy(&answer[..cut]).to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        let body = answer.split_off(cut + 4);
        let promised =
            head.split("content-length: ").nth(1).and_then(|rest| rest.lines().next()?.parse().ok());
        if promised.is_some_and(|length: usize| length != body.len()) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok((status, body))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Everything that a player gets of a finished job.
#[derive(PartialEq, Eq)]
pub(super) struct Output {
    pub(super) playlist: String,
    pub(super) segments: Vec<Vec<u8>>,
    pub(super) video: Vec<u8>,
}

impl Output {
    /// Waits until the job is done.
    pub(super) fn of(server: &Server, id: &str) -> Self {
        let base = format!("/api/v1/jobs/{id}");
        let start = Instant::now();
        loop {
            let job = server.json(&base);
            match job["state"].as_str().unwrap() {
                "done" => break,
                "failed" | "cancelled" => panic!("{job}"),
                _ => assert!(start.elapsed() < Duration::from_secs(300), "{job}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        let body = |name: &str| {
            let (status, body) = server.get(&format!("{base}/{name}"));
            assert_eq!(status, 200, "{name}: {}", String::from_utf8_lossy(&body));
            body
        };
        let playlist = String::from_utf8(body("index.m3u8")).unwrap();
        let segments = playlist.lines().filter(|line| !line.starts_with('#')).map(&body).collect();
        Self { segments, video: body("video.mp4"), playlist }
    }
}
