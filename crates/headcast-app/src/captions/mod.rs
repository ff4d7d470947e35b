//! What is said when: cues, and the files that players read them from.
//!
//! [`Cue`]s are sentences; [`webvtt`] and [`srt`] write them in lines that fit under a picture.

mod align;
mod lines;
mod write;

pub use align::{STEP_MS, align};
pub use write::{srt, webvtt};

use serde::{Deserialize, Serialize};

/// A sentence, and when it is heard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cue {
    /// Its first word, in milliseconds from the start.
    pub start_ms: u64,
    /// The end of its last word.
    pub end_ms: u64,
    /// Its words, on one line.
    pub text: String,
}
