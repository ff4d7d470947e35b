//! Who may talk to this server, and what a browser may do with its answers.

use std::net::IpAddr;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Response};

use super::auth::Verdict;
use super::problem::Problem;
use super::{AppState, Config};
use crate::jobs::JobId;

/// Refuses foreign hosts and origins and who shows no secret, and adds the security headers to every answer.
///
/// The `Host` check defeats DNS rebinding: a foreign page whose name was pointed at this machine still
/// sends that name. The `Origin` check defeats cross-site forms and sockets, which need no rebinding.
pub(super) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = match check(state.config(), &request) {
        Ok(host) => in_words(admit(&state, &host, request, next).await),
        Err(problem) => problem.into_response(),
    };
    for (name, value) in SECURITY_HEADERS {
        response
            .headers_mut()
            .entry(HeaderName::from_static(name))
            .or_insert(HeaderValue::from_static(value));
    }
    response
}

/// The framework refuses some requests before any of our code sees them, in plain text.
fn in_words(response: Response) -> Response {
    let plain = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    if !response.status().is_client_error() || !plain {
        return response;
    }
    let detail = "the request cannot be understood; /api/v1/openapi.json says what this address takes";
    Problem::new(response.status(), "request_malformed", detail).into_response()
}

/// Whoever shows something wrong waits this long, which makes trying tedious.
pub(super) const WRONG_SECRET_DELAY: Duration = Duration::from_millis(300);

/// Lets in who may come in, and tells the others what to show.
async fn admit(state: &AppState, host: &Authority, request: Request, next: Next) -> Response {
    // Probes of a load balancer know no secret, and learn none.
    if matches!(request.uri().path(), "/healthz" | "/readyz") {
        return next.run(request).await;
    }
    // Where the secret is shown in a form.
    if *request.method() == Method::POST && request.uri().path() == "/login" {
        return next.run(request).await;
    }
    let door = state.door();
    let port = host.port_u16();
    let https = came_by_https(request.headers());
    let cookie = move || door.cookie(port, https);
    let verdict = door.judge(request.headers(), port);
    match verdict {
        Verdict::Welcome => return next.run(request).await,
        Verdict::WelcomeWithKey => {
            let cookie = cookie();
            let mut response = next.run(request).await;
            if let Some(cookie) = cookie {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            return response;
        }
        Verdict::Unknown | Verdict::Wrong => {}
    }
    let is_page = *request.method() == Method::GET && is_page(request.uri().path());
    let token = token_in(request.uri().query());
    if is_page
        && token.is_some_and(|token| door.is_token(token))
        && let Some(cookie) = cookie()
    {
        return onwards(request.uri().path(), Some(cookie));
    }
    // The strict cookie does not come along from a link on another site, so the page is asked for once more
    // from here.
    if is_page && token.is_none() && header_is(request.headers(), "sec-fetch-site", "cross-site") {
        return onwards(request.uri().path(), None);
    }
    if verdict == Verdict::Wrong || token.is_some() {
        tokio::time::sleep(WRONG_SECRET_DELAY).await;
    }
    let mut response = Problem::new(
        StatusCode::UNAUTHORIZED,
        "not_signed_in",
        "this server asks for a password or a token; send it as Authorization: Basic or Bearer",
    )
    .into_response();
    for challenge in door.challenges() {
        response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// The addresses that show the page.
fn is_page(path: &str) -> bool {
    let id = path.strip_prefix("/j/").or_else(|| path.strip_prefix("/embed/"));
    path == "/" || id.is_some_and(|id| id.parse::<JobId>().is_ok())
}

/// `token` of a query.
fn token_in(query: Option<&str>) -> Option<&str> {
    query?.split('&').find_map(|part| part.strip_prefix("token="))
}

/// A page that only leads to `path`, without the token. It must have passed [`is_page`], so it needs no escaping.
///
/// A redirect would not do: a navigation that began on another site carries no strict cookie to its end.
fn onwards(path: &str, cookie: Option<HeaderValue>) -> Response {
    let page = format!(
        "<!doctype html><meta charset=\"utf-8\"><meta http-equiv=\"refresh\" content=\"0; url={path}\">\
         <title>headcast</title><a href=\"{path}\">headcast</a>\n"
    );
    let mut response = ([(header::CACHE_CONTROL, "no-store")], Html(page)).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// Behind a proxy that speaks HTTPS the cookie may be kept to HTTPS. A client that lies only harms itself.
pub(super) fn came_by_https(headers: &HeaderMap) -> bool {
    header_is(headers, "x-forwarded-proto", "https")
}

fn header_is(headers: &HeaderMap, name: &str, value: &str) -> bool {
    headers.get(name).is_some_and(|sent| sent.as_bytes() == value.as_bytes())
}

/// No inline script or style, nothing from elsewhere; blobs for Media Source and the demuxing worker. Who may show the page
/// in a frame comes last.
macro_rules! content_policy {
    ($ancestors:literal) => {
        concat!(
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
             media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'; manifest-src 'self'; \
             base-uri 'none'; form-action 'none'; frame-ancestors ",
            $ancestors
        )
    };
}

/// What a page that `ancestors` may show in a frame may do.
pub(super) fn policy(ancestors: &str) -> String {
    format!(content_policy!("{}"), ancestors)
}

const SECURITY_HEADERS: [(&str, &str); 5] = [
    ("content-security-policy", content_policy!("'none'")),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

fn check(config: &Config, request: &Request) -> Result<Authority, Problem> {
    let host = host_of(request.headers(), request.uri()).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "host_missing", "the request names no host; send a Host header")
    })?;
    if !host_is_ours(config, host.host()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "host_refused",
            format!(
                "this server does not answer to the name {:?}; open it by its address, or start it with \
                 --allow-host and this name",
                host.host()
            ),
        ));
    }
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if (!reads || upgrade) && !origin_is_ours(config, request.headers(), &host) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin_refused",
            "a page of another site may not use this server",
        ));
    }
    Ok(host)
}

/// The name and port by which the client asked for this server.
pub(super) fn host_of(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    match headers.get(header::HOST) {
        Some(host) => host.to_str().ok()?.parse().ok(),
        None => uri.authority().cloned(),
    }
}

/// The name and port by which the client asked a proxy for this server, if it is one that is answered to: nobody can
/// have links lead elsewhere.
pub(super) fn forwarded_host(config: &Config, headers: &HeaderMap) -> Option<Authority> {
    let sent = headers.get("x-forwarded-host")?.to_str().ok()?;
    let host: Authority = sent.split(',').next()?.trim().parse().ok()?;
    (!host.as_str().contains('@') && host_is_ours(config, host.host())).then_some(host)
}

fn host_is_ours(config: &Config, host: &str) -> bool {
    let name = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if name == "localhost" || config.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(&name)) {
        return true;
    }
    // Rebinding needs a name, so where every address of the machine is served, any address is fine.
    name.parse::<IpAddr>()
        .is_ok_and(|ip| ip.is_loopback() || ip == config.host || config.host.is_unspecified())
}

/// Programs send no origin; browsers send the one of the page, which must be ours: the host that was asked, or
/// an allowed name without a port, where a proxy has put another `Host`.
fn origin_is_ours(config: &Config, headers: &HeaderMap, host: &Authority) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
    authority.is_some_and(|authority| {
        authority.eq_ignore_ascii_case(host.as_str())
            || config.allowed_hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(authority))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_rebound_are_refused() {
        let local = Config::default();
        for host in ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "[::1]"] {
            assert!(host_is_ours(&local, host), "{host}");
        }
        for host in ["evil.example", "localhost.evil.example", "192.168.1.4", "", "[::2]"] {
            assert!(!host_is_ours(&local, host), "{host}");
        }
        let everywhere = Config { host: IpAddr::from([0, 0, 0, 0]), ..Config::default() };
        assert!(host_is_ours(&everywhere, "192.168.1.4"));
        assert!(!host_is_ours(&everywhere, "evil.example"));
        let named = Config { allowed_hosts: vec!["face.example".to_owned()], ..Config::default() };
        assert!(host_is_ours(&named, "Face.example"));
    }

    #[test]
    fn origins_of_other_sites_and_ports_are_refused() {
        let config = Config { allowed_hosts: vec!["face.example".to_owned()], ..Config::default() };
        let host = "127.0.0.1:7860".parse().unwrap();
        let from = |origin: &'static str| {
            let headers = HeaderMap::from_iter([(header::ORIGIN, HeaderValue::from_static(origin))]);
            origin_is_ours(&config, &headers, &host)
        };
        assert!(
            from("http://127.0.0.1:7860") && from("https://face.example") && from("https://FACE.example")
        );
        for origin in [
            "http://127.0.0.1",
            "http://127.0.0.1:1",
            "https://face.example:8443",
            "https://x.face.example",
            "null",
        ] {
            assert!(!from(origin), "{origin}");
        }
    }

    #[test]
    fn only_the_page_takes_a_token_from_its_address() {
        assert!(is_page("/") && is_page("/j/abcdefghijklmnop"));
        for path in ["/j/", "/j/x", "/j/abcdefghijklmno\"", "/api/v1/jobs", "/metrics"] {
            assert!(!is_page(path), "{path}");
        }
        assert_eq!(token_in(Some("a=b&token=x")), Some("x"));
        assert_eq!(token_in(Some("mytoken=x")), None);
    }
}
