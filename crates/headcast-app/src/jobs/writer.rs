//! The thread that writes down what happens to jobs.

use std::time::Duration;

use super::shared::Shared;

/// What happened in the last moments before a crash is lost, and no more: log lines and timings, never a job or a
/// segment. Longer would lose more, shorter would wait for the disk more often.
const EVERY: Duration = Duration::from_secs(1);

/// Writes until the table says stop.
pub(super) fn run(shared: &Shared) {
    while !shared.stopped_within(EVERY) {
        shared.flush();
    }
}
