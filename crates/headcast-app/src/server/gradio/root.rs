//! The address of this server as the client sees it: the JavaScript client sends everything there, and links that
//! leave the server begin with it.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use crate::server::AppState;
use crate::server::guard::{came_by_https, forwarded_host, host_of};
use crate::server::problem::Problem;

/// `http://127.0.0.1:7860`, without a slash at its end.
///
/// Behind a proxy from `X-Forwarded-Proto` and `X-Forwarded-Host`; the latter only if it is a name that this server
/// answers to, as a `Host` would have to be.
#[derive(Debug, Clone)]
pub(in crate::server) struct Root(pub(super) String);

impl FromRequestParts<AppState> for Root {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, Problem> {
        let host = forwarded_host(state.config(), &parts.headers)
            .or_else(|| host_of(&parts.headers, &parts.uri))
            .ok_or_else(|| Problem::internal("the guard let a request without a host in"))?;
        let scheme = if came_by_https(&parts.headers) { "https" } else { "http" };
        Ok(Self(format!("{scheme}://{host}")))
    }
}
