//! A speech server, spoken to as `OpenAI`'s is: `POST …/v1/audio/speech`.

use std::fmt;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use ureq::Agent;
use ureq::http::Uri;
use ureq::http::uri::Authority;

use super::error::VoiceError;
use super::{MAX_ANSWER, Speaker, VoiceInfo, Wish};

/// Opens a speech server. Shown to nobody.
#[derive(Clone)]
pub struct Key(String);

impl Key {
    /// A key without the space around it; `None` of one that is empty or cannot be sent in a header.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        let fine = !text.is_empty() && text.bytes().all(|c| c.is_ascii_graphic());
        fine.then(|| Self(text.to_owned()))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Where a speech server is, and how it is asked.
#[derive(Debug, Clone)]
pub struct ServerSettings {
    /// `http://127.0.0.1:8880`, `https://api.openai.com/v1`, or the whole address of its speech endpoint.
    pub url: String,
    /// As it calls its model.
    pub model: String,
    /// As it calls its voices, each perhaps with a language: `alloy`, `xiaobei:zh`.
    pub voices: Vec<String>,
    /// What it asks for.
    pub key: Option<Key>,
    /// How long it may take for a sentence.
    pub patience: Duration,
}

/// Why an address is none of a speech server.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotAServer {
    /// Use an address with `http://` or `https://`.
    #[error("{url:?} is no address of a speech server; use one such as http://127.0.0.1:8880/v1")]
    Address {
        /// As it was given.
        url: String,
    },
    /// Name the server alone, and give it a key. What was given is not shown: a password may be in it.
    #[error(
        "an address of a speech server has no user name and no password in it (what is before an `@`), as addresses are \
         shown in messages; name the server alone, and put its key into HEADCAST_VOICE_KEY or --voice-key-file"
    )]
    Userinfo,
}

/// A speech server.
#[derive(Debug)]
pub(super) struct Server {
    agent: Agent,
    uri: Uri,
    /// Host and port, for people.
    host: String,
    model: String,
    key: Option<Key>,
    voices: Vec<VoiceInfo>,
    patience: Duration,
    /// Requests that are under way, also those that nobody waits for any more.
    under_way: AtomicUsize,
}

/// So many requests are at the server at a time. A job that is cancelled leaves its request there.
const AT_ONCE: usize = 4;

/// How often a request that waits looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a connection may take.
const CONNECTING: Duration = Duration::from_secs(10);

/// Bytes of a refusal that are read.
const MAX_REFUSAL: u64 = 16 << 10;

impl Server {
    pub(super) fn new(settings: &ServerSettings) -> Result<Self, NotAServer> {
        let wrong = || match &settings.url {
            // Where the part with the password ends, nobody knows in an address that is none.
            url if url.contains('@') => NotAServer::Userinfo,
            url => NotAServer::Address { url: url.clone() },
        };
        let uri: Uri = endpoint(&settings.url).parse().map_err(|_bad| wrong())?;
        let authority = uri.authority().filter(|authority| is_host(authority)).ok_or_else(wrong)?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong());
        }
        let host = authority.to_string();
        let mut config = Agent::config_builder()
            .timeout_connect(Some(CONNECTING))
            .timeout_global(Some(settings.patience))
            // Statuses are read here, and a key is sent to nobody else.
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(concat!("headcast/", env!("CARGO_PKG_VERSION")));
        if matches!(authority.host(), "localhost" | "127.0.0.1" | "[::1]") {
            config = config.proxy(None);
        }
        let voices = settings.voices.iter().map(|voice| described(voice)).collect();
        Ok(Self {
            agent: config.build().into(),
            host,
            model: settings.model.clone(),
            key: settings.key.clone(),
            voices,
            patience: settings.patience,
            under_way: AtomicUsize::new(0),
            uri,
        })
    }

    /// A place at the server, if one is free.
    fn place(self: &Arc<Self>) -> Option<Place> {
        let more = |under_way| (under_way < AT_ONCE).then_some(under_way + 1);
        let taken = self.under_way.fetch_update(Ordering::AcqRel, Ordering::Acquire, more);
        taken.is_ok().then(|| Place(Arc::clone(self)))
    }

    fn unreachable(&self, reason: impl fmt::Display) -> VoiceError {
        VoiceError::Unreachable { server: self.host.clone(), reason: reason.to_string() }
    }

    fn failed(&self, error: ureq::Error) -> VoiceError {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                self.unreachable("no connection within 10 s")
            }
            ureq::Error::Timeout(_) => VoiceError::Hung { who: self.who(), secs: self.patience.as_secs() },
            ureq::Error::Io(error) => self.unreachable(error),
            error => self.unreachable(error),
        }
    }

    fn who(&self) -> String {
        format!("the speech server {}", self.host)
    }

    /// What it said to its refusal, without the key.
    fn said(&self, body: &[u8]) -> String {
        let text = match serde_json::from_slice::<Value>(body) {
            Ok(value) => ["/error/message", "/detail", "/message", "/error"]
                .iter()
                .find_map(|place| value.pointer(place)?.as_str().map(str::to_owned))
                .unwrap_or_else(|| value.to_string()),
            Err(_) => String::from_utf8_lossy(body).into_owned(),
        };
        let text = match &self.key {
            Some(Key(key)) => text.replace(key.as_str(), "…"),
            None => text,
        };
        let short: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(300).collect();
        match short.trim() {
            "" => "it does not say why".to_owned(),
            said => said.to_owned(),
        }
    }

    fn answer(&self, body: &str) -> Result<Vec<u8>, VoiceError> {
        if !cfg!(feature = "tls") && self.uri.scheme_str() == Some("https") {
            return Err(VoiceError::NoTls);
        }
        let mut request = self.agent.post(&self.uri).header("content-type", "application/json");
        if let Some(Key(key)) = &self.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let answer = request.send(body).map_err(|error| self.failed(error))?;
        let status = answer.status().as_u16();
        let limit = if status == 200 { MAX_ANSWER } else { MAX_REFUSAL };
        let mut bytes = Vec::new();
        let read = answer.into_body().into_reader().take(limit + 1).read_to_end(&mut bytes);
        match status {
            200 => {
                read.map_err(|error| match error.downcast::<ureq::Error>() {
                    Ok(error) => self.failed(error),
                    Err(error) if error.kind() == std::io::ErrorKind::TimedOut => {
                        VoiceError::Hung { who: self.who(), secs: self.patience.as_secs() }
                    }
                    Err(error) => self.unreachable(error),
                })?;
                match bytes.len() as u64 {
                    length if length > MAX_ANSWER => {
                        Err(VoiceError::TooMuch { who: self.who(), limit: MAX_ANSWER })
                    }
                    _ => Ok(bytes),
                }
            }
            401 | 403 => Err(VoiceError::Key { server: self.host.clone(), status }),
            _ => Err(VoiceError::Refused { server: self.host.clone(), status, said: self.said(&bytes) }),
        }
    }
}

/// One request at a server, until this is dropped.
#[derive(Debug)]
struct Place(Arc<Server>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.under_way.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Speaker for Arc<Server> {
    fn name(&self) -> &str {
        "server"
    }

    fn voices(&self) -> &[VoiceInfo] {
        &self.voices
    }

    fn say(&self, wish: &Wish<'_>, cancelled: &dyn Fn() -> bool) -> Result<Vec<u8>, VoiceError> {
        let body = json!({
            "model": self.model,
            "voice": wish.voice,
            "input": wish.words,
            "speed": wish.speed,
            "response_format": "wav",
        })
        .to_string();
        let place = loop {
            if let Some(place) = self.place() {
                break place;
            }
            if cancelled() {
                return Err(VoiceError::Cancelled);
            }
            thread::sleep(LOOK_EVERY);
        };
        // On a thread of its own: a read cannot be cancelled, and a job that is does not wait for it. It ends by its own
        // limit of time, and has its place until then.
        let (give, take) = mpsc::sync_channel(1);
        thread::spawn(move || {
            let answer = place.0.answer(&body);
            drop(place);
            give.send(answer)
        });
        loop {
            match take.recv_timeout(LOOK_EVERY) {
                Ok(answer) => return answer,
                Err(RecvTimeoutError::Timeout) if cancelled() => return Err(VoiceError::Cancelled),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.unreachable("the request broke off")),
            }
        }
    }
}

/// `name` or `name:language`.
pub(super) fn described(voice: &str) -> VoiceInfo {
    let (name, language) = voice.rsplit_once(':').unwrap_or((voice, ""));
    VoiceInfo { name: name.to_owned(), title: name.to_owned(), language: language.to_owned() }
}

/// Whether it is a host, perhaps with a port, and nothing else.
fn is_host(authority: &Authority) -> bool {
    match authority.as_str().strip_prefix(authority.host()) {
        Some("") => true,
        Some(port) => port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok()),
        // A user is before it.
        None => false,
    }
}

/// The whole address of the endpoint, from what people know of a server. Its query stays.
fn endpoint(url: &str) -> String {
    let url = url.split('#').next().unwrap_or_default().trim();
    let (url, query) = url.split_at(url.find('?').unwrap_or(url.len()));
    let url = url.trim_end_matches('/');
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map_or("", |(_, path)| path);
    match path {
        path if path.ends_with("audio/speech") => format!("{url}{query}"),
        "" => format!("{url}/v1/audio/speech{query}"),
        _ => format!("{url}/audio/speech{query}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(url: &str) -> ServerSettings {
        ServerSettings {
            url: url.to_owned(),
            model: "m".to_owned(),
            voices: vec!["alloy".to_owned(), "xiaobei:zh".to_owned()],
            key: Key::new(" sk-secret\n"),
            patience: Duration::from_secs(9),
        }
    }

    #[test]
    fn addresses_as_people_know_them() {
        for (given, whole) in [
            ("http://localhost:8880", "http://localhost:8880/v1/audio/speech"),
            ("https://api.openai.com/v1/", "https://api.openai.com/v1/audio/speech"),
            ("http://h/tts/audio/speech", "http://h/tts/audio/speech"),
            ("http://h/tts/audio/speech/", "http://h/tts/audio/speech"),
            // As Azure has them.
            (
                "https://h/openai/deployments/tts/audio/speech?api-version=2024-05-01",
                "https://h/openai/deployments/tts/audio/speech?api-version=2024-05-01",
            ),
            ("https://h/v1/?api-version=X#top", "https://h/v1/audio/speech?api-version=X"),
            ("https://h?a=http://x/y", "https://h/v1/audio/speech?a=http://x/y"),
        ] {
            assert_eq!(endpoint(given), whole);
        }
        for bad in ["", "localhost:8880", "ftp://x/v1", "http://", "http://h:x/v1"] {
            let error = Server::new(&settings(bad)).unwrap_err();
            assert!(
                matches!(error, NotAServer::Address { .. }) && error.to_string().contains(bad),
                "{error}"
            );
        }
        for bad in [
            "http://user:hunter2@x/v1",
            "http://hunter2@x/v1?a=b",
            "user:hunter2@x",
            "ftp://u:hunter2@x",
            "http://u:hunter2/@x",
        ] {
            let error = Server::new(&settings(bad)).unwrap_err();
            let said = format!("{error} {error:?}");
            assert!(said.contains("password") && !said.contains("hunter2"), "{said}");
        }
        for fine in ["http://h/@team/v1", "http://[::1]:8880", "http://h:80"] {
            assert!(Server::new(&settings(fine)).is_ok(), "the control: {fine}");
        }
        let server = Server::new(&settings("http://localhost:8880")).unwrap();
        let languages: Vec<_> = server.voices.iter().map(|voice| voice.language.as_str()).collect();
        assert_eq!(languages, ["", "zh"]);
    }

    #[test]
    fn so_many_requests_at_a_time() {
        let server = Arc::new(Server::new(&settings("http://h")).unwrap());
        let mut places: Vec<_> = std::iter::from_fn(|| server.place()).collect();
        assert_eq!(places.len(), AT_ONCE);
        let wish = Wish { words: "Hi.", voice: "alloy", speed: 1.0 };
        assert!(matches!(server.say(&wish, &|| true), Err(VoiceError::Cancelled)), "it waits for a place");
        places.pop();
        assert!(server.place().is_some() && server.place().is_some(), "one that ended makes room");
    }

    #[test]
    fn a_key_is_shown_nowhere() {
        let server = Server::new(&settings("http://h")).unwrap();
        assert!(!format!("{server:?}").contains("secret"));
        assert_eq!(server.said(b"{\"error\": {\"message\": \"bad\\nsk-secret\"}}"), "bad …");
        assert_eq!(server.said(b"{\"detail\": [1]}"), "{\"detail\":[1]}");
        assert_eq!(server.said(b""), "it does not say why");
        assert!(Key::new("a\nb").is_none() && Key::new(" ").is_none());
    }
}
