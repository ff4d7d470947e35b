//! Gradio's way of signing in.

use axum::body::Body;
use axum::http::{Method, Request, header};
use headcast_app::server::Access;
use serde_json::json;

use super::{Bench, Field, form, post, request};

const TOKEN: &str = "an-unguessable-token";

fn guarded() -> Bench {
    Bench::with(|config| {
        config.access = Access::default().with_basic("ann:correct horse").unwrap().with_token(TOKEN).unwrap();
    })
}

/// As the Python client sends it.
fn plain(body: &str) -> Request<Body> {
    let mut request = request(Method::POST, "/login").map(|_| Body::from(body.to_owned()));
    let kind = "application/x-www-form-urlencoded".parse().unwrap();
    request.headers_mut().insert(header::CONTENT_TYPE, kind);
    request
}

/// As the JavaScript client sends it.
fn multipart(user: &str, password: &str) -> Request<Body> {
    let mut request = form(&[Field::text("username", user), Field::text("password", password)]);
    *request.uri_mut() = "/login".parse().unwrap();
    request
}

#[tokio::test]
async fn strangers_are_told_nothing() {
    let bench = guarded();
    for path in [
        "/config",
        "/gradio_api/info",
        "/gradio_api/queue/data?session_hash=s",
        "/gradio_api/file=x",
        "/login",
    ] {
        assert_eq!(bench.get(path).await.problem(401), "not_signed_in", "{path}");
    }
    for path in ["upload", "queue/join", "cancel", "reset", "call/avatars", "call/v2/avatars"] {
        let answer = bench.ask(post(&format!("/gradio_api/{path}"), &json!({ "data": [] }))).await;
        assert_eq!(answer.problem(401), "not_signed_in", "{path}");
    }
}

#[tokio::test]
async fn the_password_gets_a_cookie_that_is_enough() {
    let bench = guarded();
    for login in [
        plain("username=ann&password=correct+horse"),
        plain("username=anybody&password=an-unguessable-token"),
        multipart("ann", "correct horse"),
    ] {
        let answer = bench.ask(login).await;
        assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "success": true })));
        let cookie = answer.header(header::SET_COOKIE).to_owned();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
        let mut config = request(Method::GET, "/config");
        config.headers_mut().insert(header::COOKIE, cookie.split(';').next().unwrap().parse().unwrap());
        assert_eq!(bench.ask(config).await.status, 200);
    }
}

#[tokio::test]
async fn anything_else_does_not() {
    let bench = guarded();
    for login in [
        plain("username=ann&password=correct+hors"),
        plain("username=bob&password=correct+horse"),
        plain("username=ann"),
        plain(""),
        multipart("ann", ""),
    ] {
        let answer = bench.ask(login).await;
        assert_eq!(answer.problem(401), "not_signed_in");
        assert_eq!(answer.header(header::SET_COOKIE), "");
    }
    let long = format!("username={}", "x".repeat(20_000));
    for malformed in [plain(&long), request(Method::POST, "/login")] {
        let answer = bench.ask(malformed).await;
        assert_eq!(answer.problem(400), "form_malformed");
        assert_eq!(answer.header(header::SET_COOKIE), "");
    }
    let mut foreign = plain("username=ann&password=correct+horse");
    foreign.headers_mut().insert(header::ORIGIN, "http://evil.example".parse().unwrap());
    assert_eq!(bench.ask(foreign).await.problem(403), "origin_refused");
}

#[tokio::test]
async fn a_server_that_asks_for_nothing_lets_in_without_a_cookie() {
    let bench = Bench::new();
    let answer = bench.ask(plain("username=x&password=y")).await;
    assert_eq!((answer.status.as_u16(), answer.header(header::SET_COOKIE)), (200, ""));
}
