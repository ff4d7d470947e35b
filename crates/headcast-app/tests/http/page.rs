//! The page, its files and its words.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use axum::http::{Method, header};
use headcast::nerf::avatar::{Item, State as CheckState};

use headcast_app::server::Embedders;

use super::{Bench, request};

#[tokio::test]
async fn the_page_and_its_files_are_served_to_be_kept() {
    let bench = Bench::new();
    let page = bench.get("/").await;
    assert_eq!(page.header(header::CONTENT_TYPE), "text/html; charset=utf-8");
    assert_eq!(page.header(header::CACHE_CONTROL), "no-cache");
    let policy = page.header(header::CONTENT_SECURITY_POLICY);
    assert!(policy.contains("script-src 'self';") && !policy.contains("unsafe"), "{policy}");
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    let script = text.split("src=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let script = bench.get(script).await;
    assert_eq!(script.header(header::CONTENT_TYPE), "text/javascript; charset=utf-8");
    assert!(script.header(header::CACHE_CONTROL).contains("immutable"));
    assert_eq!(bench.get("/assets/0/js/app.js").await.header(header::CACHE_CONTROL), "no-store");
    assert_eq!(bench.get("/assets/0/../../Cargo.toml").await.problem(404), "no_such_page");

    let mut compressed =
        request(Method::GET, text.split("src=\"").nth(1).unwrap().split('"').next().unwrap());
    compressed.headers_mut().insert(header::ACCEPT_ENCODING, header::HeaderValue::from_static("gzip, br"));
    let compressed = bench.ask(compressed).await;
    assert_eq!(compressed.header(header::CONTENT_ENCODING), "gzip");
    assert_eq!(compressed.body[..2], [0x1f, 0x8b]);
    assert!(
        2 * compressed.body.len() < script.body.len()
            && !script.headers.contains_key(header::CONTENT_ENCODING)
    );

    let mut again = request(Method::GET, "/");
    again.headers_mut().insert(header::IF_NONE_MATCH, page.headers[header::ETAG].clone());
    assert_eq!(bench.ask(again).await.status, 304);

    let mut zipped = request(Method::GET, "/");
    zipped.headers_mut().insert(header::ACCEPT_ENCODING, "gzip, br".parse().unwrap());
    let zipped = bench.ask(zipped).await;
    assert_eq!(
        (zipped.header(header::CONTENT_ENCODING), zipped.header(header::VARY)),
        ("gzip", "accept-encoding")
    );
    assert!(zipped.body.len() < page.body.len() / 2, "{} of {}", zipped.body.len(), page.body.len());
    assert_ne!(zipped.header(header::ETAG), page.header(header::ETAG), "other bytes, another tag");
    let mut read = String::new();
    std::io::Read::read_to_string(&mut flate2::read::GzDecoder::new(&*zipped.body), &mut read).unwrap();
    assert_eq!(read.as_bytes(), &*page.body);
}

#[tokio::test]
async fn only_the_player_may_be_framed_and_only_by_who_is_named() {
    let ancestors = |answer: &super::Answer| {
        let policy = answer.header(header::CONTENT_SECURITY_POLICY).to_owned();
        policy.split("frame-ancestors ").nth(1).unwrap().to_owned()
    };
    let alone = Bench::new();
    let path = "/embed/aaaaaaaaaaaaaaaa";
    assert_eq!(ancestors(&alone.get(path).await), "'self'");
    assert_eq!(alone.get("/api/v1/info").await.json()["embeddable"], false);

    let origins = Embedders::new(["https://blog.example"]).unwrap();
    let bench = Bench::with(|config| config.embedders = origins);
    assert_eq!(ancestors(&bench.get(path).await), "'self' https://blog.example");
    assert_eq!(ancestors(&bench.get("/").await), "'none'");
    assert_eq!(ancestors(&bench.get("/j/aaaaaaaaaaaaaaaa").await), "'none'");
    assert_eq!(bench.get("/api/v1/info").await.json()["embeddable"], true);
}

fn player() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/player"))
}

fn words(language: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(player().join(format!("i18n/{language}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// `{name}` in a sentence.
fn blanks(sentence: &str) -> BTreeSet<&str> {
    sentence.split('{').skip(1).filter_map(|rest| rest.split('}').next()).collect()
}

#[test]
fn every_language_says_everything() {
    let (english, chinese) = (words("en"), words("zh"));
    assert_eq!(english.keys().collect::<Vec<_>>(), chinese.keys().collect::<Vec<_>>());
    for (key, sentence) in &english {
        assert_eq!(blanks(sentence), blanks(&chinese[key]), "{key}");
        assert!(!sentence.is_empty() && !chinese[key].is_empty(), "{key}");
    }
}

#[test]
fn every_word_that_the_page_asks_for_is_there_and_none_is_idle() {
    let mut sources = std::fs::read_to_string(player().join("index.html")).unwrap();
    for file in std::fs::read_dir(player().join("js")).unwrap() {
        sources += &std::fs::read_to_string(file.unwrap().path()).unwrap();
    }
    let english = words("en");
    let quoted: BTreeSet<&str> = sources.split(['\'', '"', '`']).collect();
    let groups: BTreeSet<&str> = english.keys().filter_map(|key| key.split('.').next()).collect();
    for text in &quoted {
        let is_key = text.split_once('.').is_some_and(|(group, name)| {
            groups.contains(group)
                && !name.is_empty()
                && name.bytes().all(|c| c.is_ascii_lowercase() || c == b'_')
        });
        // File names of the page look like keys.
        if is_key && !text.ends_with(".js") {
            assert!(english.contains_key(*text), "{text} has no words");
        }
    }
    // Put together from a prefix and a word of the server.
    let composed =
        ["check.", "check_any.", "check_state.", "error.", "phase.", "profile.", "speed.", "state."];
    for key in english.keys().filter(|key| !composed.iter().any(|prefix| key.starts_with(prefix))) {
        assert!(quoted.contains(key.as_str()), "{key} is asked for nowhere");
    }
    for state in ["queued", "rendering", "done", "failed", "cancelled"] {
        assert!(english.contains_key(&format!("state.{state}")), "{state}");
    }
}

/// Every line of the doctor's list can be said, and no words are for lines that there are not.
#[test]
fn the_checklist_has_words() {
    let english = words("en");
    let mut known = BTreeSet::new();
    for item in Item::ALL {
        assert!(english.contains_key(&format!("check.{}", item.name())), "{item:?}");
        known.insert(item.name().to_owned());
        known.extend(CheckState::ALL.map(|state| format!("{}_{}", item.name(), state.name())));
    }
    for state in CheckState::ALL {
        for group in ["check_any", "check_state"] {
            assert!(english.contains_key(&format!("{group}.{}", state.name())), "{state:?}");
        }
    }
    for name in english.keys().filter_map(|key| key.strip_prefix("check.")) {
        assert!(known.contains(name), "nothing is called {name}");
    }
}

/// Reasons that a job or an upload can end with, as the sources spell them.
fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for folder in ["studio", "jobs", "jobs/feed", "jobs/job", "voices"] {
        for file in std::fs::read_dir(player().with_file_name("src").join(folder)).unwrap() {
            let file = file.unwrap().path();
            if file.is_dir() {
                continue;
            }
            let text = std::fs::read_to_string(file).unwrap();
            for mark in [
                "code: \"",
                "unusable(\"",
                "OpenErrorKind::TooLarge, \"",
                "OpenErrorKind::Unusable, \"",
                "OpenErrorKind::Internal, \"",
            ] {
                let after = text.split(mark).skip(1).filter_map(|rest| rest.split('"').next());
                codes.extend(after.map(str::to_owned));
            }
        }
    }
    codes
}

/// Refusals of requests, as the sources of the server spell them: the first text after what begins one. Gradio's clients
/// have pages of their own.
fn refusals() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for file in std::fs::read_dir(player().with_file_name("src/server")).unwrap() {
        let file = file.unwrap().path();
        if file.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for mark in ["StatusCode::", "Problem::new(", "refused(", "not_ready("] {
            for after in text.split(mark).skip(1) {
                let Some((before, code)) = after.split_once('"') else { continue };
                let code = code.split('"').next().unwrap();
                let is_code = !code.is_empty() && code.bytes().all(|c| c.is_ascii_lowercase() || c == b'_');
                if is_code && !before.contains([';', '}']) {
                    codes.insert(code.to_owned());
                }
            }
        }
    }
    codes
}

/// What the page does not hear, and why.
const UNHEARD: &[(&str, &[&str])] = &[
    (
        "frames from outside are sent by programs",
        &[
            "clip_too_long",
            "frame_partial",
            "frames_busy",
            "frames_not_wanted",
            "frames_position",
            "job_over",
            "stopping",
        ],
    ),
    (
        "its addresses and queries are those that there are",
        &["no_such_method", "no_such_page", "query_malformed"],
    ),
    ("browsers send them as they should", &["host_missing", "request_malformed"]),
    (
        "pictures, captions and lists are asked for by the browser, which shows none",
        &["no_captions", "no_poster", "no_preview", "no_such_segment", "not_opened", "range_past_end"],
    ),
    ("links lead there once there is something", &["not_done", "nothing_made"]),
    ("only who watches over the server asks whether it is ready", &["data_folder_gone"]),
];

#[test]
fn every_reason_for_a_failure_has_words() {
    let (codes, refusals, english) = (codes(), refusals(), words("en"));
    assert!(codes.contains("render_failed") && codes.len() > 5, "{codes:?}");
    for code in
        ["no_such_profile", "field_twice", "host_refused", "audio_twice", "body_malformed", "no_such_upload"]
    {
        assert!(refusals.contains(code), "{code} is not found in {refusals:?}");
    }
    let unheard: BTreeSet<&str> = UNHEARD.iter().flat_map(|(_reason, codes)| *codes).copied().collect();
    for code in &unheard {
        assert!(refusals.contains(*code), "the server does not say {code}");
        assert!(!english.contains_key(&format!("error.{code}")), "{code} has words");
    }
    for code in codes.iter().chain(&refusals).filter(|code| !unheard.contains(code.as_str())) {
        assert!(english.contains_key(&format!("error.{code}")), "{code} has no words");
    }
}
