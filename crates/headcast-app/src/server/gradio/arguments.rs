//! What a caller of `/generate` says.

use serde_json::{Map, Value};

/// Arguments in order, or by name.
#[derive(Debug)]
pub(super) enum Given {
    List(Vec<Value>),
    Named(Map<String, Value>),
}

impl Given {
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::List(list) => list.is_empty(),
            Self::Named(map) => map.is_empty(),
        }
    }
}

/// Their names, in order. The first three as in every Gradio app for talking heads, so that
/// `predict(handle_file("a.wav"), "milo", api_name="/generate")` works.
pub(super) const NAMES: [&str; 6] = ["audio", "avatar", "text", "profile", "features", "body"];

/// What a job is made of.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arguments {
    pub(super) audio: File,
    pub(super) avatar: Option<String>,
    pub(super) profile: Option<String>,
    pub(super) features: Option<File>,
    pub(super) body: Option<String>,
}

/// A file that was uploaded.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct File {
    /// Of the upload.
    pub(super) id: String,
    /// What its owner calls it.
    pub(super) name: Option<String>,
}

impl Arguments {
    /// Reads them; the error is a sentence for people.
    pub(super) fn of(given: Given) -> Result<Self, String> {
        let mut named = match given {
            Given::List(list) if list.len() > NAMES.len() => {
                return Err(format!(
                    "{} arguments are too many; /generate takes {}",
                    list.len(),
                    all_names()
                ));
            }
            Given::List(list) => NAMES.into_iter().map(str::to_owned).zip(list).collect(),
            Given::Named(named) => named,
        };
        if let Some(name) = named.keys().find(|name| !NAMES.contains(&name.as_str())) {
            let name: String = name.chars().take(40).collect();
            return Err(format!("there is no argument {name:?}; /generate takes {}", all_names()));
        }
        let mut take = |name: &'static str| (name, named.remove(name).unwrap_or_default());
        let audio = file(take("audio"))?;
        let text_given = text(take("text"))?;
        if text_given.is_some() {
            return Err(
                "text cannot be spoken in a Gradio call, which takes recordings alone so far; leave text empty and give a \
                 recording, audio=handle_file(\"speech.wav\")"
                    .to_owned(),
            );
        }
        let audio = audio.ok_or("there is no audio; give a recording, audio=handle_file(\"speech.wav\")")?;
        Ok(Self {
            audio,
            avatar: text(take("avatar"))?,
            profile: text(take("profile"))?,
            features: file(take("features"))?,
            body: text(take("body"))?,
        })
    }
}

fn all_names() -> String {
    NAMES.join(", ")
}

/// A text; an empty one is as good as none.
fn text((name, value): (&'static str, Value)) -> Result<Option<String>, String> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok((!text.is_empty()).then_some(text)),
        _ => Err(format!("{name} is not a text")),
    }
}

/// Gradio's `FileData`, which holds what the upload was answered with.
fn file((name, value): (&'static str, Value)) -> Result<Option<File>, String> {
    let how = format!("give a file of your own, {name}=handle_file(\"FILE\"), which uploads it first");
    let data = match value {
        Value::Null => return Ok(None),
        Value::Object(data) => data,
        _ => return Err(format!("{name} is not a file; {how}")),
    };
    let Some(path) = data.get("path").and_then(Value::as_str) else {
        return Err(format!("{name} is a file without a path; {how}"));
    };
    // Fetching what others name would let them reach into the network of the server.
    if path.contains("://") {
        return Err(format!("{name} is an address, and this server fetches nothing from others; {how}"));
    }
    let id = path.split('/').next().unwrap_or_default().to_owned();
    let called = data.get("orig_name").and_then(Value::as_str).filter(|called| !called.is_empty());
    Ok(Some(File { id, name: called.map(str::to_owned) }))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn list(values: Value) -> Result<Arguments, String> {
        let Value::Array(values) = values else { panic!("not a list") };
        Arguments::of(Given::List(values))
    }

    #[test]
    fn what_is_left_out_has_a_default() {
        let file =
            json!({ "path": "abc/a.wav", "orig_name": "a.wav", "meta": { "_type": "gradio.FileData" } });
        let audio = || File { id: "abc".to_owned(), name: Some("a.wav".to_owned()) };
        let short = list(json!([file])).unwrap();
        assert_eq!(
            short,
            Arguments { audio: audio(), avatar: None, profile: None, features: None, body: None }
        );
        assert_eq!(list(json!([file, null, "", null, null, ""])).unwrap(), short);
        let long = list(json!([file, "milo", "", "parity", { "path": "x" }, "eyes=blink"])).unwrap();
        assert_eq!(long.body.as_deref(), Some("eyes=blink"));
        assert_eq!(long.avatar.as_deref(), Some("milo"));
        assert_eq!(long.profile.as_deref(), Some("parity"));
        assert_eq!(long.features, Some(File { id: "x".to_owned(), name: None }));
        let Value::Object(named) = json!({ "audio": file, "profile": "parity" }) else { unreachable!() };
        assert_eq!(Arguments::of(Given::Named(named)).unwrap().profile.as_deref(), Some("parity"));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let file = json!({ "path": "abc/a.wav" });
        for (given, words) in [
            (json!([]), "there is no audio"),
            (json!([null, "milo", "Hello."]), "recordings alone so far"),
            (json!([file, "milo", "Hello."]), "recordings alone so far"),
            (json!(["a.wav"]), "audio=handle_file"),
            (json!([{ "url": "x" }]), "without a path"),
            (json!([{ "path": "https://example.org/a.wav" }]), "fetches nothing"),
            (json!([file, 7]), "avatar is not a text"),
            (json!([file, "", "", "", [1]]), "features is not a file"),
            (json!([file, "", "", "", null, 1]), "body is not a text"),
            (json!([file, "", "", "", null, "", 1]), "too many"),
        ] {
            let error = list(given.clone()).unwrap_err();
            assert!(error.contains(words), "{given}: {error}");
        }
        let Value::Object(named) = json!({ "audio": file, "colour": "red" }) else { unreachable!() };
        assert!(Arguments::of(Given::Named(named)).unwrap_err().contains("\"colour\""));
    }
}
