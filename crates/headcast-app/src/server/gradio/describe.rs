//! `/config` and `info`: how this server describes itself to clients, and clients describe it to people.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use super::arguments::NAMES;
use super::root::Root;
use super::{Endpoint, PREFIX};
use crate::server::AppState;

/// What clients take this for: of older ones they ask other questions.
const GRADIO_VERSION: &str = "6.0.0";

/// An input or an output of an endpoint.
struct Part {
    name: &'static str,
    label: &'static str,
    /// Gradio's name for what would show it.
    component: &'static str,
    schema: Value,
    python_type: String,
    /// All that `view_api()` shows besides the type and the default.
    meaning: &'static str,
    default: Value,
    example: Value,
}

impl Part {
    fn file(name: &'static str, label: &'static str, component: &'static str, meaning: &'static str) -> Self {
        let schema = json!({
            "type": "object",
            "title": "FileData",
            "properties": {
                "path": { "type": "string" },
                "meta": { "type": "object", "properties": { "_type": { "const": "gradio.FileData" } } },
            },
            "required": ["path"],
        });
        let python_type = "filepath".to_owned();
        let (default, example) = (Value::Null, Value::Null);
        Self { name, label, component, schema, python_type, meaning, default, example }
    }

    fn text(name: &'static str, label: &'static str, meaning: &'static str) -> Self {
        let (default, example) = (json!(""), json!(""));
        let (component, schema) = ("Textbox", json!({ "type": "string" }));
        Self { name, label, component, schema, python_type: "str".to_owned(), meaning, default, example }
    }

    /// One of some names, the first by default.
    fn choice(name: &'static str, label: &'static str, meaning: &'static str, names: &[String]) -> Self {
        let quoted: Vec<_> = names.iter().map(|name| format!("'{name}'")).collect();
        let first = json!(names.first());
        Self {
            name,
            label,
            component: "Dropdown",
            schema: json!({ "type": "string", "enum": names }),
            python_type: format!("Literal[{}]", quoted.join(", ")),
            meaning,
            default: first.clone(),
            example: first,
        }
    }

    fn json(name: &'static str, label: &'static str, meaning: &'static str) -> Self {
        let (component, schema) = ("Json", json!({}));
        let python_type = "dict".to_owned();
        let (default, example) = (Value::Null, Value::Null);
        Self { name, label, component, schema, python_type, meaning, default, example }
    }

    fn returned(&self) -> Value {
        json!({
            "label": self.label,
            "type": self.schema,
            "python_type": { "type": self.python_type, "description": self.meaning },
            "component": self.component,
        })
    }

    fn parameter(&self) -> Value {
        let mut described = self.returned();
        described["parameter_name"] = self.name.into();
        described["parameter_has_default"] = true.into();
        described["parameter_default"] = self.default.clone();
        described["example_input"] = self.example.clone();
        described
    }
}

/// What an endpoint takes and gives, in the order in which it does.
fn parts(state: &AppState, endpoint: Endpoint) -> (Vec<Part>, Vec<Part>, &'static str) {
    match endpoint {
        Endpoint::Avatars => {
            let meaning =
                "list of {name, title, width, height, credits, thumbnail}, the default avatar first";
            (Vec::new(), vec![Part::json("avatars", "Avatars", meaning)], "The faces that can speak.")
        }
        Endpoint::Generate => {
            let names: Vec<_> = state.studio().avatars().into_iter().map(|avatar| avatar.name).collect();
            let [audio, avatar, text, profile, features, body] = NAMES;
            let inputs = vec![
                Part::file(
                    audio,
                    "Audio",
                    "Audio",
                    "the speech: handle_file() of a wav, mp3, m4a, aac, flac, ogg, opus or webm file; needed",
                ),
                Part::choice(avatar, "Avatar", "whose face speaks", &names),
                Part::text(
                    text,
                    "Text",
                    "must be empty: Gradio calls take recordings alone so far, so give audio; here so that the order of \
                     arguments stays as it is",
                ),
                Part::choice(profile, "Profile", "quality setting", &state.studio().profiles()),
                Part::file(
                    features,
                    "Features",
                    "File",
                    "speech features made elsewhere: handle_file() of a .npy file; None for the built-in model",
                ),
                Part::text(
                    body,
                    "Body",
                    "what the avatar does besides speaking, such as eyes=blink background=green; empty for as recorded",
                ),
            ];
            let outputs = vec![
                Part::file("video", "Video", "Video", "the finished MP4; None until it is finished"),
                Part {
                    default: Value::Null,
                    ..Part::text(
                        "playlist_url",
                        "Playlist URL",
                        "HLS playlist, complete from the start: any player plays it while it is being rendered",
                    )
                },
                Part::json("progress", "Progress", "{job, page, state, frames, total_frames, segments, …}"),
            ];
            (inputs, outputs, "Let an avatar speak a clip. Yields while it is being rendered.")
        }
    }
}

pub(in crate::server) async fn info(State(state): State<AppState>) -> Response {
    let named: Map<_, _> = Endpoint::ALL
        .into_iter()
        .map(|endpoint| {
            let (inputs, outputs, meaning) = parts(&state, endpoint);
            let described = json!({
                "parameters": inputs.iter().map(Part::parameter).collect::<Vec<_>>(),
                "returns": outputs.iter().map(Part::returned).collect::<Vec<_>>(),
                "api_visibility": "public",
                "description": meaning,
            });
            (format!("/{}", endpoint.name()), described)
        })
        .collect();
    fresh(json!({ "named_endpoints": named, "unnamed_endpoints": {} }))
}

pub(in crate::server) async fn config(State(state): State<AppState>, Root(root): Root) -> Response {
    let mut components: Vec<Value> = Vec::new();
    let mut dependencies = Vec::new();
    for endpoint in Endpoint::ALL {
        let (inputs, outputs, _) = parts(&state, endpoint);
        let mut add = |parts: Vec<Part>| -> Vec<usize> {
            let mut ids = Vec::new();
            for part in parts {
                ids.push(components.len() + 1);
                components.push(json!({
                    "id": components.len() + 1,
                    "type": part.component.to_ascii_lowercase(),
                    "skip_api": false,
                    "props": { "label": part.label, "name": part.name },
                    "api_info": part.schema,
                }));
            }
            ids
        };
        dependencies.push(json!({
            "id": endpoint.index(),
            "api_name": endpoint.name(),
            "inputs": add(inputs),
            "outputs": add(outputs),
            "backend_fn": true,
            "queue": true,
            "api_visibility": "public",
            "types": { "generator": endpoint == Endpoint::Generate, "cancel": false },
            "cancels": [],
            "targets": [],
        }));
    }
    let limits = state.config();
    fresh(json!({
        "version": GRADIO_VERSION,
        "protocol": "sse_v3",
        "api_prefix": PREFIX,
        "root": root,
        "app_id": "headcast",
        "space_id": null,
        "title": "headcast",
        "enable_queue": true,
        // Nobody has to say that he is still there: jobs go on without.
        "connect_heartbeat": false,
        // Else the JavaScript client keeps recordings in the storage of the browser.
        "run_history": false,
        "auth_required": false,
        "max_file_size": limits.max_audio_bytes.max(limits.max_features_bytes),
        "components": components,
        "dependencies": dependencies,
    }))
}

/// Avatars come and go, and the address depends on who asks.
fn fresh(value: Value) -> Response {
    let headers = HeaderMap::from_iter([(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]);
    (headers, Json(value)).into_response()
}
