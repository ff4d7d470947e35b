//! Who may talk to this server, and what a browser may do with its answers.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;
use super::{AppState, Config};

/// Refuses foreign hosts and origins, and adds the security headers to every answer.
///
/// The `Host` check defeats DNS rebinding: a foreign page whose name was pointed at this machine still
/// sends that name. The `Origin` check defeats cross-site forms and sockets, which need no rebinding.
pub(super) async fn guard(State(state): State<AppState>, request: Request, next: Next) -> Response {
    let mut response = match check(state.config(), &request) {
        Ok(()) => next.run(request).await,
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

/// No inline script or style, nothing from elsewhere; blobs for Media Source and the demuxing worker.
const SECURITY_HEADERS: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; \
         media-src 'self' blob:; worker-src 'self' blob:; connect-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
];

fn check(config: &Config, request: &Request) -> Result<(), Problem> {
    let host = host_of(request).ok_or_else(|| {
        Problem::new(StatusCode::BAD_REQUEST, "host_missing", "the request names no host; send a Host header")
    })?;
    if !host_is_ours(config, host.host()) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "host_refused",
            format!(
                "this server does not answer to the name {:?}; open it by its address, or allow the name when \
                 starting it",
                host.host()
            ),
        ));
    }
    let upgrade = request.headers().contains_key(header::UPGRADE);
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if (!reads || upgrade) && !origin_is_ours(request.headers(), &host) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "origin_refused",
            "a page of another site may not use this server",
        ));
    }
    Ok(())
}

fn host_of(request: &Request) -> Option<Authority> {
    match request.headers().get(header::HOST) {
        Some(host) => host.to_str().ok()?.parse().ok(),
        None => request.uri().authority().cloned(),
    }
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

/// Programs send no origin; browsers send the one of the page, which must be ours.
fn origin_is_ours(headers: &HeaderMap, host: &Authority) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let authority = origin
        .to_str()
        .ok()
        .and_then(|origin| origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")));
    authority.is_some_and(|authority| authority.eq_ignore_ascii_case(host.as_str()))
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
}
