//! What clients are told of the server.

use std::collections::BTreeSet;

use axum::http::{HeaderName, Method, header};
use serde_json::{Value, json};

use super::{Bench, request};

#[tokio::test]
async fn the_description_holds_together() {
    let bench = Bench::new();
    let config = bench.get("/config").await;
    assert_eq!(config.header(header::CACHE_CONTROL), "no-store");
    let config = config.json();
    for (name, value) in [
        ("protocol", json!("sse_v3")),
        ("api_prefix", json!("/gradio_api")),
        ("root", json!("http://localhost:7860")),
        ("connect_heartbeat", json!(false)),
        ("run_history", json!(false)),
        ("enable_queue", json!(true)),
        ("max_file_size", json!(5000)),
    ] {
        assert_eq!(config[name], value, "{name}");
    }
    let components = config["components"].as_array().unwrap();
    let ids: Vec<_> = components.iter().map(|component| component["id"].as_u64().unwrap()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
    let info = bench.get("/gradio_api/info?serialize=False").await.json();
    assert_eq!(info["unnamed_endpoints"], json!({}));
    for dependency in config["dependencies"].as_array().unwrap() {
        assert!(dependency["id"].as_u64() > Some(0), "0 is none to the JavaScript client");
        let listed = |side: &str| {
            let parts = dependency[side].as_array().unwrap().clone();
            assert!(parts.iter().all(|id| ids.contains(&id.as_u64().unwrap())), "{dependency}");
            parts.len()
        };
        let described = &info["named_endpoints"][format!("/{}", dependency["api_name"].as_str().unwrap())];
        assert_eq!(listed("inputs"), described["parameters"].as_array().unwrap().len());
        assert_eq!(listed("outputs"), described["returns"].as_array().unwrap().len());
    }
    let generate = &info["named_endpoints"]["/generate"];
    let parameters = generate["parameters"].as_array().unwrap();
    let names: Vec<_> = parameters.iter().map(|p| p["parameter_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["audio", "avatar", "text", "profile", "features", "body"]);
    assert!(parameters.iter().all(|p| p["parameter_has_default"] == true));
    let shown = |p: &Value| p["python_type"]["description"].as_str().unwrap().len() > 10;
    assert!(parameters.iter().all(shown), "all that view_api() shows of a meaning");
    assert_eq!(parameters[1]["type"]["enum"], json!(["milo", "ada"]));
    assert_eq!(parameters[1]["parameter_default"], "milo");
    assert!(
        parameters[2]["python_type"]["description"].as_str().unwrap().contains("recordings alone so far")
    );
    let returns: Vec<_> =
        generate["returns"].as_array().unwrap().iter().map(|r| r["label"].as_str().unwrap()).collect();
    assert_eq!(returns, ["Video", "Playlist URL", "Progress"]);
}

#[tokio::test]
async fn the_root_is_the_address_that_the_client_asked_for() {
    let bench = Bench::with(|config| config.allowed_hosts = vec!["face.example".to_owned()]);
    let root = async |headers: &[(&'static str, &str)]| {
        let mut request = request(Method::GET, "/config");
        for (name, value) in headers {
            request.headers_mut().insert(HeaderName::from_static(name), value.parse().unwrap());
        }
        bench.ask(request).await.json()["root"].as_str().unwrap().to_owned()
    };
    assert_eq!(root(&[]).await, "http://localhost:7860");
    assert_eq!(root(&[("host", "127.0.0.1:9")]).await, "http://127.0.0.1:9");
    assert_eq!(
        root(&[("host", "face.example"), ("x-forwarded-proto", "https")]).await,
        "https://face.example"
    );
    let proxied = [("x-forwarded-proto", "https"), ("x-forwarded-host", "face.example:8443, inner")];
    assert_eq!(root(&proxied).await, "https://face.example:8443");
    // A name that would not do as Host does not do here.
    for foreign in ["evil.example", "face.example.evil.example", "face.example@evil.example", "a b", ""] {
        assert_eq!(root(&[("x-forwarded-host", foreign)]).await, "http://localhost:7860", "{foreign}");
    }
    assert_eq!(root(&[("x-forwarded-proto", "javascript")]).await, "http://localhost:7860");
}
