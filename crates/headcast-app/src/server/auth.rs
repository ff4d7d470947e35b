//! Who may use the server: a name and a password, a token, or everybody.
//!
//! A browser asks for the password by itself (HTTP Basic); programs send `Authorization: Bearer TOKEN`. A
//! token is also taken as the password of any user name, and in the address of the page (`/?token=TOKEN`),
//! so that one link lets somebody in. Whoever came in by one of these in a browser gets a cookie with a
//! random key of this process: web sockets carry cookies everywhere, and passwords not in every browser.

use std::fmt;

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use subtle::ConstantTimeEq;

/// The secrets that let a client in; any one of them is enough. Without any, everybody is let in.
#[derive(Clone, Default)]
pub struct Access {
    basic: Option<(String, String)>,
    token: Option<String>,
}

/// Why a secret cannot be used. The secret itself is never part of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AccessError {
    /// Write both, with a colon between them.
    #[error("--auth needs user:password, both without control characters and neither of them empty")]
    NotAPair,
    /// Choose a longer one.
    #[error("the password of --auth is shorter than {MIN_PASSWORD} characters; choose a longer one")]
    ShortPassword,
    /// Choose another one.
    #[error(
        "--token needs at least {MIN_TOKEN} characters out of A-Z a-z 0-9 . _ ~ -; `openssl rand -hex 24` makes a good one"
    )]
    BadToken,
}

/// Shorter passwords are found by trying.
const MIN_PASSWORD: usize = 8;

/// As [`MIN_PASSWORD`], for what nobody has to remember.
const MIN_TOKEN: usize = 16;

impl Access {
    /// Also lets in who knows this user name and password, given as `user:password`.
    ///
    /// # Errors
    /// [`AccessError`] when one of them is missing or too short.
    pub fn with_basic(mut self, pair: &str) -> Result<Self, AccessError> {
        // RFC 7617 §2: the first colon ends the name, and neither part has control characters.
        let (user, password) = pair.split_once(':').ok_or(AccessError::NotAPair)?;
        if user.is_empty() || password.is_empty() || pair.chars().any(char::is_control) {
            return Err(AccessError::NotAPair);
        }
        if password.chars().count() < MIN_PASSWORD {
            return Err(AccessError::ShortPassword);
        }
        self.basic = Some((user.to_owned(), password.to_owned()));
        Ok(self)
    }

    /// Also lets in who knows this token.
    ///
    /// # Errors
    /// [`AccessError::BadToken`] when it is short, or has characters that an address cannot carry as they are.
    pub fn with_token(mut self, token: &str) -> Result<Self, AccessError> {
        // RFC 3986 §2.3, unreserved: the same in a header, a cookie and an address.
        let fits = |c: u8| c.is_ascii_alphanumeric() || b"._~-".contains(&c);
        if token.len() < MIN_TOKEN || !token.bytes().all(fits) {
            return Err(AccessError::BadToken);
        }
        self.token = Some(token.to_owned());
        Ok(self)
    }

    /// Whether everybody is let in.
    pub fn is_open(&self) -> bool {
        self.basic.is_none() && self.token.is_none()
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("basic", &self.basic.is_some())
            .field("token", &self.token.is_some())
            .finish()
    }
}

/// What the door says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Come in.
    Welcome,
    /// Come in, and take this key, so that what cannot send the secret gets in as well.
    WelcomeWithKey,
    /// Nothing was shown.
    Unknown,
    /// What was shown is not right.
    Wrong,
}

/// The door: the secrets, and the key that is handed out for them.
pub(super) struct Door {
    access: Access,
    /// 160 random bits as text, new with every process. Without randomness there are no cookies.
    key: Option<String>,
}

impl Door {
    pub(super) fn new(access: Access) -> Self {
        let mut bytes = [0; 20];
        let key = getrandom::fill(&mut bytes)
            .is_ok()
            .then(|| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
        Self { access, key }
    }

    pub(super) fn is_open(&self) -> bool {
        self.access.is_open()
    }

    /// Judges the headers of a request.
    pub(super) fn judge(&self, headers: &HeaderMap, port: Option<u16>) -> Verdict {
        if self.is_open() || self.has_key(headers, port) {
            return Verdict::Welcome;
        }
        let Some(shown) = headers.get(header::AUTHORIZATION) else { return Verdict::Unknown };
        let shown = shown.to_str().unwrap_or_default();
        let (scheme, rest) = shown.split_once(' ').unwrap_or((shown, ""));
        let rest = rest.trim_start();
        if scheme.eq_ignore_ascii_case("bearer") {
            // A program keeps its token and needs no cookie.
            return if self.is_token(rest) { Verdict::Welcome } else { Verdict::Wrong };
        }
        let known = scheme.eq_ignore_ascii_case("basic") && self.is_basic(rest);
        if known { Verdict::WelcomeWithKey } else { Verdict::Wrong }
    }

    /// Whether this is the token.
    pub(super) fn is_token(&self, shown: &str) -> bool {
        self.access.token.as_ref().is_some_and(|token| same(token, shown))
    }

    fn is_basic(&self, encoded: &str) -> bool {
        let Ok(decoded) = BASE64_STANDARD.decode(encoded) else { return false };
        let Ok(pair) = String::from_utf8(decoded) else { return false };
        let Some((user, password)) = pair.split_once(':') else { return false };
        self.is_pair(user, password)
    }

    /// Whether this is the user and the password, or the token with any user.
    pub(super) fn is_pair(&self, user: &str, password: &str) -> bool {
        let pair_fits = self.access.basic.as_ref().is_some_and(|(known_user, known_password)| {
            // Both are compared in any case, so that the time does not tell which one was wrong.
            same(known_user, user) & same(known_password, password)
        });
        pair_fits | self.is_token(password)
    }

    fn has_key(&self, headers: &HeaderMap, port: Option<u16>) -> bool {
        let Some(key) = &self.key else { return false };
        let name = cookie_name(port);
        headers
            .get_all(header::COOKIE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(';'))
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(sent, value)| sent == name && same(key, value))
    }

    /// The cookie that lets a browser in until it is closed or the server is started again.
    pub(super) fn cookie(&self, port: Option<u16>, https: bool) -> Option<HeaderValue> {
        let secure = if https { "; Secure" } else { "" };
        let key = self.key.as_ref()?;
        let text = format!("{}={key}; Path=/; HttpOnly; SameSite=Strict{secure}", cookie_name(port));
        HeaderValue::try_from(text).ok()
    }

    /// What may be shown, for the answer to who has shown nothing (RFC 9110 §11.6.1).
    pub(super) fn challenges(&self) -> Vec<HeaderValue> {
        let mut challenges = vec![HeaderValue::from_static("Basic realm=\"headcast\", charset=\"UTF-8\"")];
        if self.access.token.is_some() {
            challenges.push(HeaderValue::from_static("Bearer realm=\"headcast\""));
        }
        challenges
    }
}

/// Browsers share cookies between the ports of a host, so two servers on one need two names.
fn cookie_name(port: Option<u16>) -> String {
    format!("headcast_{}", port.unwrap_or(80))
}

/// Compares without telling by its time how much is right; only the length shows.
fn same(known: &str, shown: &str) -> bool {
    known.as_bytes().ct_eq(shown.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    fn shown(header: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(header, HeaderValue::from_str(value).unwrap())])
    }

    fn basic(pair: &str) -> HeaderMap {
        shown(header::AUTHORIZATION, &format!("Basic {}", BASE64_STANDARD.encode(pair)))
    }

    #[test]
    fn the_secret_lets_in_and_nothing_near_it() {
        let access = Access::default().with_basic("ann:correct horse").unwrap().with_token(TOKEN).unwrap();
        let door = Door::new(access);
        for pair in ["ann:correct horse", "anybody:0123456789abcdef", ":0123456789abcdef"] {
            assert_eq!(door.judge(&basic(pair), None), Verdict::WelcomeWithKey, "{pair}");
        }
        for pair in ["ann:correct hors", "ann:correct horse ", "bob:correct horse", "ann:", "ann", "", "é:é"]
        {
            assert_eq!(door.judge(&basic(pair), None), Verdict::Wrong, "{pair}");
        }
        let bearer = |text: &str| door.judge(&shown(header::AUTHORIZATION, text), None);
        assert_eq!(bearer("Bearer 0123456789abcdef"), Verdict::Welcome);
        assert_eq!(bearer("bearer  0123456789abcdef"), Verdict::Welcome);
        for text in
            ["Bearer", "Bearer ", "Bearer 0123456789abcdee", "Bearer 0123456789abcdef0", "Digest x", ""]
        {
            assert_eq!(bearer(text), Verdict::Wrong, "{text}");
        }
        assert_eq!(door.judge(&HeaderMap::new(), None), Verdict::Unknown);
        assert_eq!(Door::new(Access::default()).judge(&HeaderMap::new(), None), Verdict::Welcome);
    }

    #[test]
    fn the_key_of_this_server_and_port_lets_in() {
        let door = Door::new(Access::default().with_token(TOKEN).unwrap());
        let cookie = door.cookie(Some(7860), false).unwrap();
        let cookie = cookie.to_str().unwrap();
        assert!(
            cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict") && !cookie.contains(TOKEN),
            "{cookie}"
        );
        let pair = cookie.split(';').next().unwrap();
        let sent = shown(header::COOKIE, &format!("a=b; {pair}; c"));
        assert_eq!(door.judge(&sent, Some(7860)), Verdict::Welcome);
        assert_eq!(door.judge(&sent, Some(7861)), Verdict::Unknown);
        assert_eq!(door.judge(&shown(header::COOKIE, &pair[..pair.len() - 1]), Some(7860)), Verdict::Unknown);
        let other = Door::new(Access::default().with_token(TOKEN).unwrap());
        assert_eq!(other.judge(&sent, Some(7860)), Verdict::Unknown);
    }

    #[test]
    fn weak_secrets_are_refused_and_none_is_printed() {
        let access = Access::default;
        for pair in ["", "ann", "ann:", ":password", "a\nn:password"] {
            assert_eq!(access().with_basic(pair).unwrap_err(), AccessError::NotAPair, "{pair:?}");
        }
        assert_eq!(access().with_basic("ann:1234567").unwrap_err(), AccessError::ShortPassword);
        for token in ["", "0123456789abcde", "0123456789abcde;", "0123456789abcd f"] {
            assert_eq!(access().with_token(token).unwrap_err(), AccessError::BadToken, "{token:?}");
        }
        let both = access().with_basic("ann:correct horse").unwrap().with_token(TOKEN).unwrap();
        let text = format!("{both:?}");
        assert!(!text.contains("horse") && !text.contains("0123"), "{text}");
    }
}
