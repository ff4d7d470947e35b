//! `/api/v1/openapi.json`: the table of routes as an `OpenAPI` 3.1 document.

use std::sync::LazyLock;

use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Content, FormField, Operation, Sent};
use super::problem::ProblemBody;
use super::routes::operations;

pub(super) async fn serve() -> Response {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| document().to_string().into());
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-cache")];
    (headers, TEXT.clone()).into_response()
}

/// `OpenAPI` 3.1.0, whose schemas are JSON Schema 2020-12: what schemars makes of the types that are sent.
fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.meta_schema = None;
        settings.definitions_path = "/components/schemas".into();
    });
    // What may be left out of a request is always there in an answer.
    let mut received = settings.clone().for_deserialize().into_generator();
    let mut generator = settings.for_serialize().into_generator();
    let mut paths = Map::new();
    for operation in operations() {
        // `{*path}` takes slashes, which OpenAPI has no word for.
        let path = paths.entry(operation.path.replace("{*", "{")).or_insert_with(|| json!({}));
        path[operation.method.as_str().to_ascii_lowercase()] =
            describe(&operation, &mut generator, &mut received);
    }
    // Also where no operation names it.
    generator.subschema_for::<ProblemBody>();
    let mut schemas = generator.take_definitions(true);
    schemas.extend(received.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "headcast",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Talking-head video that plays while it is being made. Errors are problem details (RFC 9457) \
                with a stable `code`. Besides those that an operation names, every one may answer 400 `host_missing`, \
                401 `not_signed_in`, 403 `host_refused` or `origin_refused`, and 500 `internal`.",
        },
        "servers": [{ "url": "/" }],
        // The empty one stands for a server that asks for nothing.
        "security": [{}, { "password": [] }, { "token": [] }],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "password": { "type": "http", "scheme": "basic" },
                "token": { "type": "http", "scheme": "bearer" },
            },
        },
    })
}

fn describe(operation: &Operation, generator: &mut SchemaGenerator, received: &mut SchemaGenerator) -> Value {
    let named = operation.path.split('{').skip(1).filter_map(|rest| rest.split('}').next());
    let named = named.map(|name| name.trim_start_matches('*'));
    let mut parameters: Vec<_> = named
        .map(|name| json!({ "in": "path", "name": name, "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(operation.parameters.iter().map(|parameter| {
        json!({
            "in": parameter.place,
            "name": parameter.name,
            "description": parameter.meaning,
            "schema": { "type": parameter.kind },
        })
    }));
    let mut answers: Map<_, _> = operation
        .answers
        .iter()
        .map(|answer| (answer.status.to_string(), content(answer, generator)))
        .collect();
    answers.insert("default".to_owned(), problem("Whatever else went wrong.", generator));
    let mut described = json!({
        "operationId": operation.id,
        "summary": operation.summary,
        "tags": [tag(operation.path)],
        "parameters": parameters,
        "responses": answers,
    });
    if !operation.details.is_empty() {
        described["description"] = operation.details.into();
    }
    let mut types = Map::new();
    if let Sent::Form(fields) | Sent::FormOrJson(fields, _) | Sent::AnyForm(fields) = &operation.body {
        types.insert("multipart/form-data".to_owned(), json!({ "schema": form(fields) }));
    }
    if let Sent::AnyForm(fields) = &operation.body {
        types.insert("application/x-www-form-urlencoded".to_owned(), json!({ "schema": form(fields) }));
    }
    if let Sent::Json(shape) | Sent::FormOrJson(_, shape) = &operation.body {
        types.insert("application/json".to_owned(), json!({ "schema": shape(received) }));
    }
    if matches!(operation.body, Sent::Bytes | Sent::Live) {
        types.insert("application/octet-stream".to_owned(), json!({}));
    }
    if !types.is_empty() {
        let required = !matches!(operation.body, Sent::Json(_));
        described["requestBody"] = json!({ "required": required, "content": types });
    }
    described
}

fn content(answer: &Answer, generator: &mut SchemaGenerator) -> Value {
    match answer.content {
        Content::Nothing => json!({ "description": answer.meaning }),
        Content::Problem => problem(answer.meaning, generator),
        Content::Json(shape) => json!({
            "description": answer.meaning,
            "content": { "application/json": { "schema": shape(generator) } },
        }),
        Content::Bytes(types) => {
            let types: Map<_, _> = types.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
            json!({ "description": answer.meaning, "content": types })
        }
    }
}

fn problem(meaning: &str, generator: &mut SchemaGenerator) -> Value {
    let schema = generator.subschema_for::<ProblemBody>();
    json!({ "description": meaning, "content": { "application/problem+json": { "schema": schema } } })
}

fn form(fields: &[FormField]) -> Value {
    let properties: Map<_, _> = fields
        .iter()
        .map(|field| {
            // A file is a string of bytes without a type of its own (OpenAPI 3.1.0 §4.8.14.2).
            let one = if field.is_file { json!({}) } else { json!({ "type": "string" }) };
            let mut schema = if field.many { json!({ "type": "array", "items": one }) } else { one };
            schema["description"] = field.meaning.into();
            (field.name.to_owned(), schema)
        })
        .collect();
    let needed: Vec<_> = fields.iter().filter(|field| field.needed).map(|field| field.name).collect();
    json!({ "type": "object", "properties": properties, "required": needed, "additionalProperties": false })
}

/// The collection that an address belongs to.
fn tag(path: &str) -> &str {
    if path.starts_with("/gradio_api/") || matches!(path, "/config" | "/login") {
        return "gradio";
    }
    let rest = path.strip_prefix("/api/v1/").unwrap_or_default();
    match rest.split('/').next() {
        Some(collection @ ("jobs" | "avatars" | "inspections" | "samples" | "uploads")) => collection,
        _ => "server",
    }
}
