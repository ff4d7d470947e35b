//! Passwords, tokens and the names that the server answers to.

use axum::body::Body;
use axum::http::{Method, Request, header};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use headcast_app::server::{Access, Config, ServeError, bind};

use super::double::Double;
use super::{Bench, Field, form, request};

const TOKEN: &str = "an-unguessable-token";

fn guarded() -> Bench {
    Bench::with(|config| {
        config.access = Access::default().with_basic("ann:correct horse").unwrap().with_token(TOKEN).unwrap();
        config.allowed_hosts = vec!["face.example".to_owned()];
    })
}

fn with(mut request: Request<Body>, name: header::HeaderName, value: &str) -> Request<Body> {
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn basic(pair: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

#[tokio::test]
async fn nothing_but_health_is_told_to_strangers() {
    let bench = guarded();
    for path in [
        "/",
        "/j/aaaaaaaaaaaaaaaa",
        "/assets/0/js/app.js",
        "/favicon.ico",
        "/metrics",
        "/api/v1/info",
        "/api/v1/jobs",
        "/api/v1/jobs/aaaaaaaaaaaaaaaa/index.m3u8",
        "/api/v1/events",
        "/api/v1/openapi.json",
        "/nothing",
    ] {
        let answer = bench.get(path).await;
        assert_eq!(answer.problem(401), "not_signed_in", "{path}");
        let challenges: Vec<_> = answer.headers.get_all(header::WWW_AUTHENTICATE).iter().collect();
        assert_eq!(challenges, ["Basic realm=\"headcast\", charset=\"UTF-8\"", "Bearer realm=\"headcast\""]);
        assert!(answer.headers.contains_key(header::CONTENT_SECURITY_POLICY));
    }
    assert_eq!(bench.ask(form(&[Field::text("sample", "hello")])).await.problem(401), "not_signed_in");
    assert_eq!(bench.ask(request(Method::DELETE, "/api/v1/jobs/aaaaaaaaaaaaaaaa")).await.status, 401);
    assert_eq!(bench.get("/healthz").await.status, 200);
    assert_eq!(bench.get("/readyz").await.status, 200);
}

#[tokio::test]
async fn the_password_and_the_token_open_everything() {
    let bench = guarded();
    for secret in [basic("ann:correct horse"), basic(&format!("me:{TOKEN}")), format!("Bearer {TOKEN}")] {
        let ask = |request| with(request, header::AUTHORIZATION, &secret);
        assert_eq!(bench.ask(ask(request(Method::GET, "/"))).await.status, 200, "{secret}");
        assert_eq!(bench.ask(ask(request(Method::GET, "/api/v1/jobs"))).await.status, 200);
        assert_eq!(bench.ask(ask(form(&[Field::text("sample", "hello")]))).await.status, 201);
    }
    for secret in [basic("ann:correct hors"), format!("Bearer {TOKEN}x"), "Bearer".to_owned()] {
        let answer = bench.ask(with(request(Method::GET, "/"), header::AUTHORIZATION, &secret)).await;
        assert_eq!(answer.problem(401), "not_signed_in", "{secret}");
    }
    // Signed in does not mean that any site may send forms.
    let secret = basic("ann:correct horse");
    let foreign = with(form(&[]), header::AUTHORIZATION, &secret);
    let foreign = with(foreign, header::ORIGIN, "http://evil.example");
    assert_eq!(bench.ask(foreign).await.problem(403), "origin_refused");
}

#[tokio::test]
async fn a_browser_that_signed_in_gets_a_cookie_that_is_enough() {
    let bench = guarded();
    let sign_in = with(request(Method::GET, "/"), header::AUTHORIZATION, &basic("ann:correct horse"));
    let cookie = bench.ask(sign_in).await.header(header::SET_COOKIE).to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let answer = bench.ask(with(request(Method::GET, "/api/v1/jobs"), header::COOKIE, pair)).await;
    assert_eq!((answer.status.as_u16(), answer.header(header::SET_COOKIE)), (200, ""));
    let stale = format!("{}0", &pair[..pair.len() - 1]);
    let wrong = if stale == pair { format!("{pair}0") } else { stale };
    assert_eq!(
        bench.ask(with(request(Method::GET, "/api/v1/jobs"), header::COOKIE, &wrong)).await.status,
        401
    );
    // Another server has another key.
    let other = guarded();
    assert_eq!(other.ask(with(request(Method::GET, "/"), header::COOKIE, pair)).await.status, 401);
}

#[tokio::test]
async fn a_link_with_the_token_lets_a_browser_in() {
    let bench = guarded();
    for path in ["/", "/j/aaaaaaaaaaaaaaaa"] {
        let answer = bench.get(&format!("{path}?token={TOKEN}")).await;
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body.to_vec()).unwrap();
        assert!(text.contains(&format!("url={path}\"")) && !text.contains(TOKEN), "{text}");
        assert_eq!(answer.header(header::CACHE_CONTROL), "no-store");
        let cookie = answer.header(header::SET_COOKIE).split(';').next().unwrap().to_owned();
        let page = bench.ask(with(request(Method::GET, path), header::COOKIE, &cookie)).await;
        assert_eq!(page.status, 200);
    }
    assert_eq!(bench.get("/?token=an-unguessable-tokem").await.problem(401), "not_signed_in");
    // Only the page: addresses of the interface end up in logs.
    assert_eq!(bench.get(&format!("/api/v1/jobs?token={TOKEN}")).await.problem(401), "not_signed_in");
}

#[tokio::test]
async fn a_link_from_another_site_is_asked_for_again_from_here() {
    let bench = guarded();
    let link =
        || with(request(Method::GET, "/j/aaaaaaaaaaaaaaaa"), "sec-fetch-site".parse().unwrap(), "cross-site");
    let answer = bench.ask(link()).await;
    assert_eq!((answer.status.as_u16(), answer.header(header::SET_COOKIE)), (200, ""));
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(text.contains("url=/j/aaaaaaaaaaaaaaaa\"") && !text.contains("script"), "{text}");
    let own = with(link(), "sec-fetch-site".parse().unwrap(), "same-origin");
    assert_eq!(bench.ask(own).await.problem(401), "not_signed_in");
}

#[tokio::test]
async fn allowed_names_are_answered_to() {
    let bench = Bench::with(|config| config.allowed_hosts = vec!["face.example".to_owned()]);
    let named = |host: &str| with(request(Method::GET, "/api/v1/jobs"), header::HOST, host);
    assert_eq!(bench.ask(named("face.example")).await.status, 200);
    assert_eq!(bench.ask(named("Face.Example:8443")).await.status, 200);
    assert_eq!(bench.ask(named("x.face.example")).await.problem(403), "host_refused");
    // A proxy that puts its own name for the server into Host still passes the page's origin on.
    let proxied = with(form(&[]), header::ORIGIN, "https://face.example");
    assert_eq!(bench.ask(proxied).await.problem(422), "audio_missing");
}

#[tokio::test]
async fn other_machines_are_not_served_without_a_secret() {
    let dir = tempfile::tempdir().unwrap();
    let config = |change: fn(&mut Config)| {
        let mut config = Config {
            host: [0, 0, 0, 0].into(),
            port: 0,
            data_dir: dir.path().to_owned(),
            ..Config::default()
        };
        change(&mut config);
        config
    };
    let studio = || {
        let studio = Double::default();
        studio.gate.open();
        std::sync::Arc::new(studio)
    };
    let refused = bind(config(|_| {}), studio()).await.unwrap_err();
    assert!(matches!(refused, ServeError::Unprotected { .. }), "{refused}");
    assert!(refused.to_string().contains("--no-auth"), "{refused}");
    bind(config(|config| config.open_to_all = true), studio()).await.unwrap();
    let token = config(|config| config.access = Access::default().with_token(TOKEN).unwrap());
    bind(token, studio()).await.unwrap();
}
