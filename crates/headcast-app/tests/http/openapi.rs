//! The `OpenAPI` document is true: every operation is called, and every answer is one that is documented.

use std::collections::BTreeSet;

use axum::body::Body;
use axum::http::{Method, Request, header};
use headcast_app::jobs::Limits;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::{Bench, Field, form, request};

struct Document(Value);

impl Document {
    async fn of(bench: &Bench) -> Self {
        let answer = bench.get("/api/v1/openapi.json").await;
        assert_eq!(answer.header(header::CONTENT_TYPE), "application/json");
        Self(answer.json())
    }

    /// Every method and path.
    fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.0["paths"].as_object().unwrap();
        let methods = |path: &String, item: &Value| {
            let methods: Vec<_> = item.as_object().unwrap().keys().map(|m| m.to_ascii_uppercase()).collect();
            methods.into_iter().map({
                let path = path.clone();
                move |method| (method, path.clone())
            })
        };
        paths.iter().flat_map(|(path, item)| methods(path, item).collect::<Vec<_>>()).collect()
    }

    fn resolve<'a>(&'a self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str() {
            Some(reference) => self.0.pointer(reference.strip_prefix('#').unwrap()).expect(reference),
            None => schema,
        }
    }

    /// What about `value` is not as `schema` says; as much of JSON Schema 2020-12 as the document uses.
    fn faults(&self, schema: &Value, value: &Value, at: &str) -> Vec<String> {
        let mut faults = Vec::new();
        if schema.get("$ref").is_some() {
            faults.extend(self.faults(self.resolve(schema), value, at));
        }
        for key in schema.as_object().map(|s| s.keys().collect::<Vec<_>>()).unwrap_or_default() {
            let known = [
                "$ref",
                "type",
                "properties",
                "required",
                "items",
                "anyOf",
                "oneOf",
                "enum",
                "const",
                "minItems",
                "maxItems",
                "minimum",
                "maximum",
                "format",
                "description",
                "title",
                "prefixItems",
                "default",
            ];
            assert!(known.contains(&key.as_str()), "the test does not know the keyword {key}");
        }
        if let Some(types) = schema.get("type") {
            let names: Vec<_> = match types {
                Value::Array(names) => names.iter().map(|name| name.as_str().unwrap()).collect(),
                name => vec![name.as_str().unwrap()],
            };
            let fits = |name: &&str| match *name {
                "object" => value.is_object(),
                "array" => value.is_array(),
                "string" => value.is_string(),
                "integer" => value.is_i64() || value.is_u64(),
                "number" => value.is_number(),
                "boolean" => value.is_boolean(),
                "null" => value.is_null(),
                other => panic!("{other}"),
            };
            if !names.iter().any(fits) {
                faults.push(format!("{at} is {value}, not {names:?}"));
            }
        }
        for word in ["anyOf", "oneOf"] {
            if let Some(choices) = schema.get(word).and_then(Value::as_array)
                && !choices.iter().any(|choice| self.faults(choice, value, at).is_empty())
            {
                faults.push(format!("{at} is none of its choices: {value}"));
            }
        }
        if let Some(word) = schema.get("const")
            && word != value
        {
            faults.push(format!("{at} is {value}, not {word}"));
        }
        if let Some(words) = schema.get("enum").and_then(Value::as_array)
            && !words.contains(value)
        {
            faults.push(format!("{at} is {value}, not one of {words:?}"));
        }
        if let (Some(properties), Some(object)) =
            (schema.get("properties").and_then(Value::as_object), value.as_object())
        {
            for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                if !object.contains_key(name) {
                    faults.push(format!("{at} has no {name}"));
                }
            }
            for (name, value) in object {
                match properties.get(name) {
                    Some(schema) => faults.extend(self.faults(schema, value, &format!("{at}.{name}"))),
                    None => faults.push(format!("{at}.{name} is not documented")),
                }
            }
        }
        if let (Some(items), Some(array)) = (schema.get("items"), value.as_array()) {
            for (index, value) in array.iter().enumerate() {
                faults.extend(self.faults(items, value, &format!("{at}[{index}]")));
            }
        }
        faults
    }
}

/// Sends a request and holds the answer against the document. Returns its status and its body, if it is JSON.
async fn call(
    bench: &Bench,
    document: &Document,
    called: &mut BTreeSet<(String, String)>,
    path: &str,
    request: Request<Body>,
) -> (u16, Value) {
    let method = request.method().to_string();
    let what = format!("{method} {}", request.uri());
    let operation = &document.0["paths"][path][method.to_ascii_lowercase()];
    assert!(operation.is_object(), "{what} is not documented");
    called.insert((method, path.to_owned()));

    let (parts, body) = bench.send(request).await.into_parts();
    let status = parts.status.as_u16();
    let named = operation["responses"].get(status.to_string());
    let kind = parts.headers.get(header::CONTENT_TYPE).map(|kind| kind.to_str().unwrap().to_owned());
    let kind = kind.map(|kind| kind.split(';').next().unwrap().to_owned());
    let answer = match named {
        Some(answer) => answer,
        None => panic!("{what} answered {status}, which is not documented"),
    };
    let Some(content) = answer.get("content") else {
        assert_eq!(kind, None, "{what} answered {status} with a body");
        return (status, Value::Null);
    };
    let kind = kind.unwrap_or_else(|| panic!("{what} answered {status} without a body"));
    assert!(content.get(&kind).is_some(), "{what} answered {status} as {kind}, which is not documented");
    if kind == "text/event-stream" {
        return (status, Value::Null);
    }
    let body = body.collect().await.unwrap().to_bytes();
    if !kind.ends_with("json") {
        return (status, Value::Null);
    }
    let value: Value = serde_json::from_slice(&body).unwrap();
    if let Some(schema) = content[&kind].get("schema") {
        assert_eq!(document.faults(schema, &value, "$"), [""; 0], "{what} answered {value}");
    }
    (status, value)
}

fn json_body(path: &str, body: &str) -> Request<Body> {
    request(Method::POST, path).map(|_| Body::from(body.to_owned()))
}

fn new_job(body: &str) -> Request<Body> {
    let mut request = json_body("/api/v1/jobs", body);
    request.headers_mut().insert(header::CONTENT_TYPE, "application/json; charset=utf-8".parse().unwrap());
    request
}

fn rename(path: &str, body: &str) -> Request<Body> {
    request(Method::PATCH, path).map(|_| Body::from(body.to_owned()))
}

fn avatar_form(fields: &[Field<'_>]) -> Request<Body> {
    form_at("/api/v1/avatars", fields)
}

fn form_at(path: &str, fields: &[Field<'_>]) -> Request<Body> {
    let mut request = form(fields);
    *request.uri_mut() = path.parse().unwrap();
    request
}

fn login(fields: &[Field<'_>]) -> Request<Body> {
    form_at("/login", fields)
}

fn gradio_upload(fields: &[Field<'_>]) -> Request<Body> {
    form_at("/gradio_api/upload", fields)
}

#[tokio::test]
async fn every_operation_answers_as_documented() {
    let bench = Bench::with(|config| config.limits = Limits { waiting: 20, ..Limits::default() });
    bench.gate.open();
    let document = Document::of(&bench).await;
    assert_eq!(document.0["openapi"], "3.1.0");
    let done = bench.job(24).await;
    bench.until(&done, "done").await;
    let pushed = new_job("{\"size\": \"64x48\", \"frames\": 9}");
    let pushed = bench.ask(pushed).await.json()["id"].as_str().unwrap().to_owned();
    let given_up = new_job("{\"size\": \"64x48\"}");
    let given_up = bench.ask(given_up).await.json()["id"].as_str().unwrap().to_owned();
    let (p, g) = (format!("/api/v1/jobs/{pushed}"), format!("/api/v1/jobs/{given_up}"));
    let sound = super::speech::sound();
    let said = [Field::file("audio", "said.wav", &sound), Field::text("text", "Hello.")];
    let said = bench.upload(&said).await.json()["links"]["job"].as_str().unwrap().to_owned();
    let frames = |frames: usize| "x".repeat(64 * 48 * 3 * frames);
    let cancelled = bench.job(24).await;
    bench.ask(request(Method::POST, &format!("/api/v1/jobs/{cancelled}/cancel"))).await;

    let files = [
        Field::text("name", "eva"),
        Field::file("checkpoint", "ngp.pth", b"checkpoint"),
        Field::file("transforms", "t.json", b"{}"),
        Field::file("background", "bc.jpg", b"jpeg"),
    ];
    let get = |path: &str| request(Method::GET, path);
    let post = |path: &str| request(Method::POST, path);
    let delete = |path: &str| request(Method::DELETE, path);
    let audio = Field::file("audio", "a.wav", &[b'x'; 24]);
    let (j, none) = (format!("/api/v1/jobs/{done}"), "/api/v1/jobs/aaaaaaaaaaaaaaaa");
    let job = "/api/v1/jobs/{id}";
    let mut ranged = get(&format!("{j}/video.mp4"));
    ranged.headers_mut().insert(header::RANGE, "bytes=0-9".parse().unwrap());
    let mut past = get(&format!("{j}/video.mp4"));
    past.headers_mut().insert(header::RANGE, "bytes=99999999-".parse().unwrap());

    let video = format!("/gradio_api/file=out/{done}/speech-milo.mp4");
    let part = |address: &str, range: &str| {
        let mut request = get(address);
        request.headers_mut().insert(header::RANGE, range.parse().unwrap());
        request
    };
    let (gradio_call, named_call) = ("/gradio_api/call/{name}", "/gradio_api/call/v2/{name}");

    let head = include_bytes!("../../../../fixtures/nerf/rad-head/ngp.pth");
    let inspection =
        bench.ask(form_at("/api/v1/inspections", &[])).await.json()["id"].as_str().unwrap().to_owned();
    let (one_inspection, inspection) =
        ("/api/v1/inspections/{id}", format!("/api/v1/inspections/{inspection}"));

    let mut called = BTreeSet::new();
    for (path, request, status) in [
        ("/healthz", get("/healthz"), 200),
        ("/readyz", get("/readyz"), 200),
        ("/metrics", get("/metrics"), 200),
        ("/api/v1/openapi.json", get("/api/v1/openapi.json"), 200),
        ("/api/v1/info", get("/api/v1/info"), 200),
        ("/api/v1/samples", get("/api/v1/samples"), 200),
        ("/api/v1/voices", get("/api/v1/voices"), 200),
        ("/api/v1/samples/{id}/audio", get("/api/v1/samples/hello/audio"), 200),
        ("/api/v1/samples/{id}/audio", get("/api/v1/samples/x/audio"), 404),
        ("/api/v1/events", get("/api/v1/events"), 400),
        ("/api/v1/avatars", get("/api/v1/avatars"), 200),
        ("/api/v1/avatars", avatar_form(&files), 201),
        ("/api/v1/avatars", avatar_form(&files), 409),
        ("/api/v1/avatars", avatar_form(&files[..2]), 422),
        ("/api/v1/avatars", avatar_form(&[Field::text("x", "y")]), 400),
        ("/api/v1/avatars", avatar_form(&[Field::text("name", "x"), Field::text("inspection", "x")]), 404),
        ("/api/v1/inspections", form_at("/api/v1/inspections", &[Field::file("file", "ngp.pth", b"x")]), 201),
        ("/api/v1/inspections", form_at("/api/v1/inspections", &[Field::file("file", "x", b"x")]), 400),
        (one_inspection, form_at(&inspection, &[Field::file("file", "ngp.pth", head)]), 200),
        (one_inspection, delete(&inspection), 204),
        (one_inspection, delete(&inspection), 404),
        (one_inspection, form_at(&inspection, &[]), 404),
        ("/api/v1/avatars/{name}", get("/api/v1/avatars/eva"), 200),
        ("/api/v1/avatars/{name}", get("/api/v1/avatars/x"), 404),
        ("/api/v1/avatars/{name}", delete("/api/v1/avatars/eva"), 204),
        ("/api/v1/avatars/{name}", delete("/api/v1/avatars/milo"), 409),
        ("/api/v1/avatars/{name}", delete("/api/v1/avatars/eva"), 404),
        ("/api/v1/avatars/{name}/thumbnail", get("/api/v1/avatars/milo/thumbnail"), 200),
        ("/api/v1/avatars/{name}/thumbnail", get("/api/v1/avatars/x/thumbnail"), 404),
        ("/api/v1/avatars/{name}/preview", get("/api/v1/avatars/milo/preview"), 200),
        ("/api/v1/avatars/{name}/preview", part("/api/v1/avatars/milo/preview", "bytes=2-5"), 206),
        ("/api/v1/avatars/{name}/preview", part("/api/v1/avatars/milo/preview", "bytes=99-"), 416),
        ("/api/v1/avatars/{name}/preview", get("/api/v1/avatars/x/preview"), 404),
        ("/api/v1/jobs", get("/api/v1/jobs"), 200),
        ("/api/v1/jobs", get("/api/v1/jobs?limit=1"), 200),
        ("/api/v1/jobs", get("/api/v1/jobs?limit=0"), 400),
        ("/api/v1/jobs", get("/api/v1/jobs?colour=red"), 400),
        ("/api/v1/jobs", get("/api/v1/jobs?after=aaaaaaaaaaaaaaaa"), 404),
        ("/api/v1/jobs", form(&[audio]), 201),
        ("/api/v1/jobs", form(&[]), 422),
        ("/api/v1/jobs", form(&[Field::text("x", "y")]), 400),
        ("/api/v1/jobs", form(&[Field::file("audio", "a.wav", &[0; 6000])]), 413),
        (job, get(&j), 200),
        (job, get(none), 404),
        (job, rename(&j, "{\"title\": \"Hello\"}"), 200),
        (job, rename(&j, "{\"name\": \"Hello\"}"), 400),
        (job, rename(&j, "{\"title\": \"a\\nb\"}"), 422),
        (job, rename(none, "{\"title\": \"Hello\"}"), 404),
        ("/api/v1/jobs", new_job("{\"sample\": \"hello\"}"), 201),
        ("/api/v1/jobs", new_job("{\"sample\": 1}"), 400),
        ("/api/v1/jobs", new_job("{\"upload\": \"x\"}"), 422),
        ("/api/v1/jobs", new_job("{\"text\": \"x\"}"), 422),
        ("/api/v1/jobs", new_job(&format!("{{\"text\": \"{}\"}}", "x".repeat(10_001))), 413),
        ("/api/v1/uploads", json_body("/api/v1/uploads?name=a.wav", "xxxx"), 201),
        ("/api/v1/uploads", json_body("/api/v1/uploads", ""), 422),
        ("/api/v1/uploads/{id}", delete("/api/v1/uploads/x"), 404),
        ("/api/v1/uploads", json_body("/api/v1/uploads?colour=red", "x"), 400),
        ("/api/v1/uploads", json_body("/api/v1/uploads", &"x".repeat(6000)), 413),
        ("/api/v1/jobs/{id}/cancel", post(&format!("{j}/cancel")), 200),
        ("/api/v1/jobs/{id}/cancel", post(&format!("{none}/cancel")), 404),
        ("/api/v1/jobs", new_job("{\"size\": \"8x8\"}"), 422),
        ("/api/v1/jobs/{id}/frames", json_body(&format!("{p}/frames?first=1"), ""), 409),
        ("/api/v1/jobs/{id}/frames", json_body(&format!("{p}/frames?last=1"), ""), 400),
        ("/api/v1/jobs/{id}/frames", json_body(&format!("{p}/frames"), "x"), 400),
        ("/api/v1/jobs/{id}/frames", json_body(&format!("{p}/frames?first=0"), &frames(5)), 200),
        ("/api/v1/jobs/{id}/frames", json_body(&format!("{j}/frames"), "x"), 409),
        ("/api/v1/jobs/{id}/frames", json_body(&format!("{none}/frames"), "x"), 404),
        ("/api/v1/jobs/{id}/end", post(&format!("{g}/end")), 409),
        ("/api/v1/jobs/{id}/end", post(&format!("{p}/end")), 200),
        ("/api/v1/jobs/{id}/end", post(&format!("{none}/end")), 404),
        ("/api/v1/jobs/{id}/fail", json_body(&format!("{p}/fail"), "{\"reason\": \"x\"}"), 200),
        ("/api/v1/jobs/{id}/fail", json_body(&format!("{p}/fail"), "{\"why\": 1}"), 400),
        ("/api/v1/jobs/{id}/fail", post(&format!("{j}/fail")), 409),
        ("/api/v1/jobs/{id}/fail", post(&format!("{none}/fail")), 404),
        ("/api/v1/jobs/{id}/rerun", post(&format!("{p}/rerun")), 409),
        ("/api/v1/jobs/{id}/rerun", json_body(&format!("{j}/rerun"), "{\"avatar\": 1}"), 400),
        ("/api/v1/jobs/{id}/rerun", json_body(&format!("{j}/rerun"), "{\"avatar\": \"x\"}"), 422),
        ("/api/v1/jobs/{id}/rerun", post(&format!("{none}/rerun")), 404),
        ("/api/v1/jobs/{id}/events", get(&format!("{j}/events")), 200),
        ("/api/v1/jobs/{id}/events", get(&format!("{j}/events?after=99999")), 204),
        ("/api/v1/jobs/{id}/events", get(&format!("{j}/events?after=x")), 400),
        ("/api/v1/jobs/{id}/events", get(&format!("{none}/events")), 404),
        ("/api/v1/jobs/{id}/poster", get(&format!("{j}/poster")), 200),
        ("/api/v1/jobs/{id}/poster", get(&format!("{none}/poster")), 404),
        ("/api/v1/jobs/{id}/index.m3u8", get(&format!("{j}/index.m3u8")), 200),
        ("/api/v1/jobs/{id}/index.m3u8", get(&format!("/api/v1/jobs/{cancelled}/index.m3u8")), 410),
        ("/api/v1/jobs/{id}/live.m3u8", get(&format!("{j}/live.m3u8")), 200),
        ("/api/v1/jobs/{id}/live.m3u8", get(&format!("{none}/live.m3u8")), 404),
        ("/api/v1/jobs/{id}/video.mp4", get(&format!("{j}/video.mp4")), 200),
        ("/api/v1/jobs/{id}/video.mp4", ranged, 206),
        ("/api/v1/jobs/{id}/video.mp4", past, 416),
        ("/api/v1/jobs/{id}/video.mp4", get(&format!("/api/v1/jobs/{cancelled}/video.mp4")), 410),
        ("/api/v1/jobs/{id}/captions.vtt", get(&format!("{said}/captions.vtt")), 200),
        ("/api/v1/jobs/{id}/captions.vtt", get(&format!("{j}/captions.vtt")), 404),
        ("/api/v1/jobs/{id}/captions.srt", get(&format!("{said}/captions.srt?download")), 200),
        ("/api/v1/jobs/{id}/captions.srt", get(&format!("{none}/captions.srt")), 404),
        ("/api/v1/jobs/{id}/{segment}", get(&format!("{j}/segment_00000.ts")), 200),
        ("/api/v1/jobs/{id}/{segment}", get(&format!("{j}/segment_00099.ts")), 404),
        ("/config", get("/config"), 200),
        ("/login", login(&[Field::text("username", "x")]), 200),
        ("/login", login(&[Field::text("x", "y")]), 400),
        ("/gradio_api/info", get("/gradio_api/info"), 200),
        ("/gradio_api/upload", gradio_upload(&[Field::file("files", "a.wav", b"x")]), 200),
        ("/gradio_api/upload", gradio_upload(&[Field::file("x", "a.wav", b"x")]), 400),
        ("/gradio_api/upload", gradio_upload(&[]), 422),
        ("/gradio_api/upload", gradio_upload(&[Field::file("files", "a.wav", &[0; 6000])]), 413),
        (
            "/gradio_api/queue/join",
            json_body("/gradio_api/queue/join", "{\"data\": [], \"fn_index\": 2, \"session_hash\": \"s\"}"),
            200,
        ),
        ("/gradio_api/queue/join", json_body("/gradio_api/queue/join", "[]"), 400),
        ("/gradio_api/queue/data", get("/gradio_api/queue/data?session_hash=s"), 200),
        ("/gradio_api/queue/data", get("/gradio_api/queue/data"), 400),
        ("/gradio_api/cancel", json_body("/gradio_api/cancel", "{\"event_id\": null}"), 200),
        ("/gradio_api/cancel", json_body("/gradio_api/cancel", "no"), 400),
        ("/gradio_api/reset", json_body("/gradio_api/reset", "{\"event_id\": null}"), 200),
        ("/gradio_api/reset", json_body("/gradio_api/reset", ""), 400),
        ("/gradio_api/file={path}", get(&video), 200),
        ("/gradio_api/file={path}", part(&video, "bytes=0-9"), 206),
        ("/gradio_api/file={path}", part(&video, "bytes=99999999-"), 416),
        ("/gradio_api/file={path}", get("/gradio_api/file=/etc/passwd"), 403),
        (gradio_call, json_body("/gradio_api/call/avatars", "{\"data\": []}"), 200),
        (gradio_call, json_body("/gradio_api/call/avatars", "{}"), 400),
        (gradio_call, json_body("/gradio_api/call/x", "{\"data\": []}"), 404),
        (named_call, json_body("/gradio_api/call/v2/generate", "{\"text\": \"x\"}"), 200),
        (named_call, json_body("/gradio_api/call/v2/generate", "[]"), 400),
        (named_call, json_body("/gradio_api/call/v2/x", "{}"), 404),
        ("/gradio_api/call/{name}/{event_id}", get("/gradio_api/call/generate/0"), 200),
        ("/gradio_api/call/{name}/{event_id}", get("/gradio_api/call/x/0"), 404),
        ("/gradio_api/call/v2/{name}/{event_id}", get("/gradio_api/call/v2/generate/0"), 200),
        ("/gradio_api/call/v2/{name}/{event_id}", get("/gradio_api/call/v2/x/0"), 404),
        (job, delete(&j), 204),
        (job, delete(&j), 404),
    ] {
        let what = format!("{} {}", request.method(), request.uri());
        let (found, _) = call(&bench, &document, &mut called, path, request).await;
        assert_eq!(found, status, "{what}");
    }
    let sample = bench.upload(&[Field::text("sample", "hello")]).await.json();
    let again = post(&format!("/api/v1/jobs/{}/rerun", sample["id"].as_str().unwrap()));
    assert_eq!(call(&bench, &document, &mut called, "/api/v1/jobs/{id}/rerun", again).await.0, 201);
    assert_eq!(called, document.operations(), "every operation is called");
}

#[tokio::test]
async fn what_is_not_documented_is_not_there() {
    let bench = Bench::open();
    let document = Document::of(&bench).await;
    let paths = document.0["paths"].as_object().unwrap();
    for (path, item) in paths {
        let concrete =
            path.replace("{id}", "aaaaaaaaaaaaaaaa").replace("{name}", "x").replace("{segment}", "y");
        let concrete = concrete.replace("{path}", "y/z").replace("{event_id}", "0");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let answer = bench.ask(request(method.parse().unwrap(), &concrete)).await;
            let documented = item.get(method.to_ascii_lowercase()).is_some();
            assert_eq!(answer.status != 405, documented, "{method} {path}: {}", answer.status);
        }
    }
    // Nothing of these has to be said.
    for name in ["Rerun", "NewJob"] {
        let schema = &document.0["components"]["schemas"][name];
        assert!(schema["properties"]["avatar"].is_object() && schema.get("required").is_none(), "{schema}");
    }
    // No reference leads nowhere.
    let text = document.0.to_string();
    for reference in text.split("\"$ref\":\"").skip(1).filter_map(|rest| rest.split('"').next()) {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.0.pointer(pointer).is_some(), "{reference}");
    }
    let ids: Vec<_> =
        text.split("\"operationId\":\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    assert_eq!(ids.len(), document.operations().len());
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "{ids:?}");
}

#[tokio::test]
async fn the_check_against_the_document_notices_what_is_wrong() {
    let bench = Bench::new();
    let document = Document::of(&bench).await;
    let id = bench.job(24).await;
    let job = bench.until(&id, "rendering").await;
    let schema = json!({ "$ref": "#/components/schemas/Job" });
    assert_eq!(document.faults(&schema, &job, "$"), [""; 0]);
    for (pointer, value) in [
        ("/state", json!("resting")),
        ("/seq", json!("1")),
        ("/progress/fps", json!(null)),
        ("/clip/ready", json!([["a", 1]])),
        ("/links/extra", json!(1)),
    ] {
        let mut wrong = job.clone();
        match wrong.pointer_mut(pointer) {
            Some(place) => *place = value,
            None => wrong["links"]["extra"] = value,
        }
        assert_ne!(document.faults(&schema, &wrong, "$"), [""; 0], "{pointer}");
    }
    let mut wrong = job;
    wrong.as_object_mut().unwrap().remove("links");
    assert_ne!(document.faults(&schema, &wrong, "$"), [""; 0]);
}
