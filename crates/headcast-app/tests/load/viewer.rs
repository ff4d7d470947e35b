//! Somebody who watches: a bounded HTTP client that asks for segments at the pace of a player.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

/// How somebody watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As ffplay, VLC and Safari: asks for the next segment whether it exists or not, and is held.
    Player,
    /// As our page: follows the events of the job, and asks for segments that are ready.
    Page,
}

/// When a viewer asks for what.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Segment that it begins with.
    pub first: usize,
    /// Media seconds that it loads ahead of the picture it shows, 60 in hls.js as our page sets it up.
    pub ahead_secs: f64,
    /// Media seconds shown per second: 1, or infinite for no pace at all.
    pub speed: f64,
}

/// What one viewer got: of each segment the bytes and their digest.
pub type Seen = BTreeMap<usize, (u64, u64)>;

/// Longest silence that a viewer puts up with.
const PATIENCE: Duration = Duration::from_secs(120);

/// Longest line: the state of a job with a thousand segments.
const MAX_LINE: u64 = 1 << 20;

/// Watches job `id` until its last segment or `stop`, and says what it got.
///
/// # Errors
/// Whatever a player would have shown as an error: a status that is not 200, a body that breaks off.
pub async fn watch(address: &str, id: &str, kind: Kind, pace: Pace, stop: &AtomicBool) -> io::Result<Seen> {
    let base = format!("/api/v1/jobs/{id}");
    let mut connection = Connection::open(address).await?;
    let playlist = connection.get(&format!("{base}/index.m3u8"), true).await?.text;
    let segments = segments(&playlist);
    let events = match kind {
        Kind::Player => None,
        Kind::Page => Some(Events::open(address, &base, segments.len()).await?),
    };
    let mut seen = Seen::new();
    let mut started = None;
    for (index, (name, start)) in segments.iter().enumerate().skip(pace.first) {
        let shown_first = segments[pace.first].1;
        let ahead = start - shown_first - pace.ahead_secs;
        if let Some(started) = started
            && ahead > 0.0
            && pace.speed.is_finite()
        {
            let due: Instant = started + Duration::from_secs_f64(ahead / pace.speed);
            while Instant::now() < due && !stop.load(Ordering::Relaxed) {
                sleep(Duration::from_millis(50).min(due.duration_since(Instant::now()))).await;
            }
        }
        if let Some(events) = &events {
            events.until_ready(index, stop).await;
        }
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let got = connection.get(&format!("{base}/{name}"), false).await?;
        seen.insert(index, (got.bytes, got.digest));
        started.get_or_insert_with(Instant::now);
    }
    Ok(seen)
}

/// The digest that [`Seen`] has of these bytes.
pub fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(bytes);
    hasher.finish()
}

/// Names of the segments, and where each begins in seconds.
fn segments(playlist: &str) -> Vec<(String, f64)> {
    let (mut at, mut length) = (0.0, 0.0);
    let mut segments = Vec::new();
    for line in playlist.lines() {
        if let Some(rest) = line.strip_prefix("#EXTINF:") {
            length = rest.trim_end_matches(',').parse().unwrap_or(0.0);
        } else if !line.starts_with('#') && !line.is_empty() {
            segments.push((line.to_owned(), at));
            at += length;
        }
    }
    segments
}

struct Got {
    text: String,
    bytes: u64,
    digest: u64,
}

/// One connection that is kept open. Holds 16 KiB of what comes.
struct Connection {
    stream: BufReader<TcpStream>,
    address: String,
}

impl Connection {
    async fn open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::with_capacity(16 << 10, stream), address: address.to_owned() })
    }

    async fn ask(&mut self, path: &str) -> io::Result<Option<u64>> {
        let head = format!("GET {path} HTTP/1.1\r\nhost: {}\r\n\r\n", self.address);
        self.stream.get_mut().write_all(head.as_bytes()).await?;
        let status = self.line().await?;
        let mut length = None;
        loop {
            let line = self.line().await?.to_ascii_lowercase();
            if line.is_empty() {
                break;
            }
            if let Some(bytes) = line.strip_prefix("content-length: ") {
                length = bytes.parse().ok();
            }
        }
        if status.split(' ').nth(1) == Some("200") {
            Ok(length)
        } else {
            Err(io::Error::other(format!("{path}: {status}")))
        }
    }

    async fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        let read = timeout(PATIENCE, (&mut self.stream).take(MAX_LINE).read_line(&mut line)).await;
        if read.map_err(|_late| io::Error::from(io::ErrorKind::TimedOut))?? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Takes a whole answer, and keeps its text only if that is wanted.
    async fn get(&mut self, path: &str, keep: bool) -> io::Result<Got> {
        let length = self.ask(path).await?;
        let mut hasher = DefaultHasher::new();
        let mut got = Got { text: String::new(), bytes: 0, digest: 0 };
        loop {
            let part = match length {
                Some(length) => length - got.bytes,
                None => {
                    let line = self.line().await?;
                    u64::from_str_radix(&line, 16)
                        .map_err(|_number| io::Error::from(io::ErrorKind::InvalidData))?
                }
            };
            let mut left = part;
            while left > 0 {
                let here = timeout(PATIENCE, self.stream.fill_buf()).await;
                let here = here.map_err(|_late| io::Error::from(io::ErrorKind::TimedOut))??;
                if here.is_empty() {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                let now = here.len().min(usize::try_from(left).unwrap_or(usize::MAX));
                hasher.write(&here[..now]);
                if keep {
                    got.text.push_str(&String::from_utf8_lossy(&here[..now]));
                }
                self.stream.consume(now);
                left -= now as u64;
                got.bytes += now as u64;
            }
            if length.is_none() {
                self.line().await?;
            }
            if part == 0 || length.is_some() {
                got.digest = hasher.finish();
                return Ok(got);
            }
        }
    }
}

/// The event stream of a job, read as it comes, and what it said.
struct Events {
    told: Arc<Told>,
    reader: JoinHandle<()>,
}

struct Told {
    ready: Mutex<Vec<bool>>,
    over: AtomicBool,
    news: Notify,
}

impl Events {
    async fn open(address: &str, base: &str, segments: usize) -> io::Result<Self> {
        let mut connection = Connection::open(address).await?;
        connection.ask(&format!("{base}/events")).await?;
        let (ready, news) = (Mutex::new(vec![false; segments]), Notify::new());
        let told = Arc::new(Told { ready, over: AtomicBool::new(false), news });
        let reader = tokio::spawn({
            let told = Arc::clone(&told);
            async move {
                // The stream ends with the job.
                while let Ok(line) = connection.line().await {
                    if let Some(data) = line.strip_prefix("data:") {
                        told.take(data);
                    }
                }
                told.over.store(true, Ordering::Relaxed);
                told.news.notify_one();
            }
        });
        Ok(Self { told, reader })
    }

    /// Until the segment is ready, or there is no more news: then asking for it tells.
    async fn until_ready(&self, index: usize, stop: &AtomicBool) {
        while !self.told.ready.lock().unwrap()[index]
            && !self.told.over.load(Ordering::Relaxed)
            && !stop.load(Ordering::Relaxed)
        {
            let _ = timeout(Duration::from_millis(200), self.told.news.notified()).await;
        }
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Told {
    fn take(&self, data: &str) {
        let Ok(message) = serde_json::from_str::<serde_json::Value>(data.trim()) else { return };
        let number = |value: &serde_json::Value| value.as_u64().and_then(|n| usize::try_from(n).ok());
        let one = number(&message["segment"]).map(|index| (index, index + 1));
        let many = message["job"]["clip"]["ready"].as_array().into_iter().flatten();
        let many = many.filter_map(|range| Some((number(&range[0])?, number(&range[1])?)));
        let mut ready = self.ready.lock().unwrap();
        for (start, end) in one.into_iter().chain(many) {
            ready.iter_mut().take(end).skip(start).for_each(|ready| *ready = true);
        }
        drop(ready);
        self.news.notify_one();
    }
}
