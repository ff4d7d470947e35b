//! A speech server of the tests' own, and sounds to answer with.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use headcast_app::voices::{Key, ServerSettings, Settings};
use serde_json::Value;

/// One request.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// From 0.
    pub(super) number: usize,
    pub(super) authorization: String,
    pub(super) body: Value,
}

/// Answers `POST /v1/audio/speech`, each request on a thread of its own. Ends with the process.
pub(super) struct FakeServer {
    pub(super) url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl FakeServer {
    /// `answer` says status and body; status 0 holds the connection and says nothing.
    pub(super) fn start(answer: impl Fn(&Asked) -> (u16, Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let (answer, kept) = (Arc::new(answer), Arc::clone(&asked));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (answer, kept) = (Arc::clone(&answer), Arc::clone(&kept));
                std::thread::spawn(move || serve(stream, &kept, &*answer));
            }
        });
        Self { url, asked }
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(super) async fn until_asked(&self, times: usize) {
        for _ in 0..3000 {
            if self.asked().len() >= times {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("never asked {times} times");
    }

    /// Two voices of this server, for ten seconds at a time.
    pub(super) fn settings(&self, key: &str) -> Settings {
        let server = ServerSettings {
            url: self.url.clone(),
            model: "tts-9".to_owned(),
            voices: vec!["alloy".to_owned(), "xiaobei:zh".to_owned()],
            key: Key::new(key),
            patience: Duration::from_secs(30),
        };
        Settings { server: Some(server), ..Settings::default() }
    }
}

/// One connection, with as many requests as come on it.
fn serve(
    stream: TcpStream,
    kept: &Mutex<Vec<Asked>>,
    answer: &dyn Fn(&Asked) -> (u16, Vec<u8>),
) -> Option<()> {
    stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    let mut stream = stream;
    loop {
        let (mut line, mut length, mut authorization) = (String::new(), 0, String::new());
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        assert!(line.starts_with("POST /v1/audio/speech HTTP/1.1"), "{line}");
        loop {
            line.clear();
            reader.read_line(&mut line).ok()?;
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            match name.to_ascii_lowercase().as_str() {
                "content-length" => length = value.parse().ok()?,
                "authorization" => authorization = value.to_owned(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        let asked = {
            let mut kept = kept.lock().unwrap();
            let body = serde_json::from_slice(&body).ok()?;
            let number = kept.len();
            kept.push(Asked { number, authorization, body });
            kept.last().cloned()?
        };
        let (status, body) = answer(&asked);
        if status == 0 {
            // Until the other side has enough of it.
            let _ = reader.read_line(&mut line);
            return None;
        }
        let head = format!(
            "HTTP/1.1 {status} X\r\ncontent-length: {}\r\ncontent-type: audio/wav\r\n\r\n",
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(&body).ok()?;
    }
}

/// Samples per second.
const RATE: u32 = 16_000;

/// A tone of 220 Hz, or silence where `level` is 0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a few seconds of samples between -1 and 1"
)]
pub(super) fn samples(secs: f32, level: f32) -> Vec<i16> {
    let count = (secs * RATE as f32) as usize;
    let sample = |k: usize| level * (k as f32 * 220.0 * std::f32::consts::TAU / RATE as f32).sin();
    (0..count).map(|k| (sample(k) * 32767.0) as i16).collect()
}

/// A WAV file.
pub(super) fn wav(samples: &[i16]) -> Vec<u8> {
    let bytes = u32::try_from(2 * samples.len()).unwrap();
    let mut file = Vec::from(*b"RIFF");
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(RATE.to_le_bytes());
    file.extend((2 * RATE).to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

/// A tone with silence around it, of so many seconds each.
pub(super) fn tone(silence: f32, sound: f32) -> Vec<u8> {
    wav(&[samples(silence, 0.0), samples(sound, 0.3), samples(silence, 0.0)].concat())
}
