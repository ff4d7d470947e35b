//! Errors as RFC 9457 problem documents, and the one place where causes become status codes.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::jobs::{CreateError, DatabaseError, OpenError, OpenErrorKind};

/// What went wrong with a request.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    retry_after_secs: Option<u32>,
}

/// Problem details (RFC 9457).
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Problem")]
pub(super) struct ProblemBody {
    /// `urn:headcast:problem:` and the code.
    r#type: String,
    /// The words of the status.
    title: &'static str,
    /// As in the status line.
    status: u16,
    /// What was wrong and what to do.
    detail: String,
    /// Stable word for programs and translations.
    code: &'static str,
}

impl Problem {
    pub(super) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_secs: None }
    }

    pub(super) fn retry_after(mut self, secs: u32) -> Self {
        self.retry_after_secs = Some(secs);
        self
    }

    /// What was wrong and what to do.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    pub(super) fn no_such_job() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_job",
            "there is no job of this name; it was deleted, or another data folder is in use now",
        )
    }

    pub(super) fn no_such_avatar() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_avatar",
            "there is no avatar of this name; see /api/v1/avatars",
        )
    }

    pub(super) fn internal(detail: impl std::fmt::Display) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = ProblemBody {
            r#type: format!("urn:headcast:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            detail: self.detail,
            code: self.code,
        };
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(secs) = self.retry_after_secs {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(secs));
        }
        response
    }
}

impl From<CreateError> for Problem {
    fn from(error: CreateError) -> Self {
        match error {
            CreateError::Full { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", error.to_string()).retry_after(30)
            }
            CreateError::Disk(_)
            | CreateError::DiskLimit { .. }
            | CreateError::Table(DatabaseError::NotWritable { .. }) => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "disk", error.to_string())
            }
            _ => Self::internal(error),
        }
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        let status = match error.kind {
            OpenErrorKind::Unusable => StatusCode::UNPROCESSABLE_ENTITY,
            OpenErrorKind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            OpenErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.code, error.message)
    }
}

pub(super) async fn no_such_page() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "no_such_page", "there is nothing at this address")
}

pub(super) async fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "no_such_method",
        "this address does not answer to this method; see the Allow header",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_told_by_its_status_wherever_it_shows() {
        let path = std::path::PathBuf::from("headcast.sqlite");
        let table = |error| Problem::from(CreateError::Table(error)).status.as_u16();
        let reason = "database or disk is full".to_owned();
        assert_eq!(table(DatabaseError::NotWritable { path: path.clone(), reason: reason.clone() }), 507);
        assert_eq!(table(DatabaseError::Damaged { path, reason }), 500);
        let file = std::io::Error::from(std::io::ErrorKind::StorageFull);
        assert_eq!(Problem::from(CreateError::Disk(file)).status.as_u16(), 507);
    }
}
