//! The headcast program as a library: the job queue and the HTTP server with its page.
//!
//! [`jobs`] turns requests into segments and knows nothing of HTTP; [`server`] is the axum router over it.
//! What a job is made of comes through [`jobs::Studio`], so both run in tests against a double.

#![forbid(unsafe_code)]

pub mod jobs;
pub mod server;
