//! `/login`: Gradio's way of showing a password, answered with the cookie that a browser gets.

use axum::Json;
use axum::extract::{Form, FromRequest, Request, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::server::form::FormReader;
use crate::server::guard::{WRONG_SECRET_DELAY, came_by_https, host_of};
use crate::server::problem::Problem;
use crate::server::{AppState, FieldError};

#[derive(Default, Deserialize)]
struct Shown {
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::server) struct SignedIn {
    success: bool,
}

/// Longest form in bytes; the route holds other forms to it.
const MAX_TEXT: usize = 1024;

/// Answers everybody, and lets in who knows the password or the token.
pub(in crate::server) async fn login(
    State(state): State<AppState>,
    headers: HeaderMap,
    uri: Uri,
    request: Request,
) -> Result<Response, Problem> {
    let done = Json(SignedIn { success: true });
    let shown = read(request).await?;
    let door = state.door();
    if door.is_open() {
        return Ok(done.into_response());
    }
    let (user, password) = (shown.username.unwrap_or_default(), shown.password.unwrap_or_default());
    if !door.is_pair(&user, &password) {
        tokio::time::sleep(WRONG_SECRET_DELAY).await;
        return Err(Problem::new(
            StatusCode::UNAUTHORIZED,
            "not_signed_in",
            "this is not the user name and password of this server",
        ));
    }
    let port = host_of(&headers, &uri).and_then(|host| host.port_u16());
    let cookie = door
        .cookie(port, came_by_https(&headers))
        .ok_or_else(|| Problem::internal("the system gives no random numbers"))?;
    Ok(([(header::SET_COOKIE, cookie)], done).into_response())
}

/// The Python client sends one kind of form, the JavaScript client the other.
async fn read(request: Request) -> Result<Shown, Problem> {
    let kind = request.headers().get(header::CONTENT_TYPE);
    if kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded")) {
        let form = Form::<Shown>::from_request(request, &()).await;
        return form
            .map(|Form(shown)| shown)
            .map_err(|error| FieldError::Malformed { reason: error.body_text() }.into());
    }
    let mut form = FormReader::new(request, 0).await?;
    let mut shown = Shown::default();
    while let Some(mut field) = form.next().await? {
        match field.name() {
            "username" => field.text("username", MAX_TEXT, &mut shown.username).await?,
            "password" => field.text("password", MAX_TEXT, &mut shown.password).await?,
            _ => return Err(field.unknown("username and password").into()),
        }
    }
    Ok(shown)
}
