//! A copy of a job's row in its own folder, for the day when the table is damaged.
//!
//! It is written with the table, and without waiting for the disk: after a crash it may be older or newer than the table, and
//! a job that is made of an old one renders again what it had, with the same bytes.

use serde::{Deserialize, Serialize};

use super::record::{Record, Row};

/// Name of the file in a job's folder.
pub(super) const FILE_NAME: &str = "job.json";

/// Longest card that is read: a row with the plan of a day's speech has half a megabyte.
pub(super) const MAX_BYTES: u64 = 4 << 20;

#[derive(Debug, Serialize, Deserialize)]
struct Card {
    /// Of the server on this data folder, when it was written.
    start: u64,
    job: Record,
}

pub(super) fn text(row: &Row, start: u64) -> Vec<u8> {
    // Strings and numbers always become text; without it, there is no card.
    serde_json::to_vec(&Card { start, job: Record::from(row) }).unwrap_or_default()
}

/// The row and its start; `None` for what is no card.
pub(super) fn read(text: &[u8]) -> Option<(Row, u64)> {
    let card: Card = serde_json::from_slice(text).ok()?;
    // A start is some digits of an event's number, so one that leaves no room for events is none of ours.
    (card.start < 1 << 31).then_some((card.job.row()?, card.start))
}
