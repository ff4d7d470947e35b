//! The headcast program as a library: the command line, the job queue and the HTTP server with its page.
//!
//! [`jobs`] turns requests into segments and knows nothing of HTTP; [`server`] is the axum router over it.
//! What a job is made of comes through [`jobs::Studio`], so both run in tests against a double; [`studio`]
//! is the real one, and [`cli`] puts everything together.

#![forbid(unsafe_code)]

mod amount;
pub mod captions;
pub mod cli;
pub mod data_dir;
mod doctor;
pub mod jobs;
mod meter;
mod picture;
mod process;
pub mod render;
pub mod server;
pub mod studio;
pub mod voices;
