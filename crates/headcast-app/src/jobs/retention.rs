//! Which finished jobs make room.

use std::time::{Duration, SystemTime};

use super::id::JobId;

/// A job as retention sees it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kept {
    pub(super) id: JobId,
    /// When it was over; `None` while it is not.
    pub(super) finished: Option<SystemTime>,
    /// What its folder takes.
    pub(super) bytes: u64,
}

/// Jobs that are to be deleted now, the oldest first. One that is not over is never among them.
///
/// * `keep`: how long a job is kept once it is over; `None` for ever.
/// * `max_bytes`: what all jobs together may take; the ones that were over first make room.
pub(super) fn expired(
    jobs: &[Kept],
    now: SystemTime,
    keep: Option<Duration>,
    max_bytes: Option<u64>,
) -> Vec<JobId> {
    let mut over: Vec<_> = jobs.iter().filter_map(|job| Some((job.finished?, job))).collect();
    over.sort_by_key(|(finished, _)| *finished);
    let mut total: u64 = jobs.iter().map(|job| job.bytes).sum();
    let mut gone = Vec::new();
    for (finished, job) in over {
        // A clock that was set back makes nothing older.
        let age = now.duration_since(finished).unwrap_or_default();
        let old = keep.is_some_and(|keep| age > keep);
        let crowded = max_bytes.is_some_and(|max| total > max);
        if old || crowded {
            total -= job.bytes;
            gone.push(job.id);
        }
    }
    gone
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_finished_ones_go_first() {
        let hour = Duration::from_secs(3600);
        let now = SystemTime::UNIX_EPOCH + 1000 * hour;
        let job = |age: Option<u32>, bytes| Kept {
            id: JobId::random().unwrap(),
            finished: age.map(|hours| now - hours * hour),
            bytes,
        };
        let jobs = [job(Some(1), 10), job(Some(30), 10), job(None, 10), job(Some(5), 10)];
        let ids = |places: &[usize]| places.iter().map(|place| jobs[*place].id).collect::<Vec<_>>();
        assert_eq!(expired(&jobs, now, None, None), ids(&[]));
        assert_eq!(expired(&jobs, now, Some(24 * hour), None), ids(&[1]));
        assert_eq!(expired(&jobs, now, Some(5 * hour), None), ids(&[1]), "not before its time");
        assert_eq!(expired(&jobs, now + hour, Some(5 * hour), None), ids(&[1, 3]));
        assert_eq!(expired(&jobs, now, None, Some(40)), ids(&[]));
        assert_eq!(expired(&jobs, now, None, Some(39)), ids(&[1]));
        assert_eq!(expired(&jobs, now, None, Some(20)), ids(&[1, 3]));
        assert_eq!(expired(&jobs, now, None, Some(0)), ids(&[1, 3, 0]), "never one that is not over");
        assert_eq!(expired(&jobs, now, Some(24 * hour), Some(30)), ids(&[1]), "what is old makes room, too");
        assert_eq!(expired(&jobs, SystemTime::UNIX_EPOCH, Some(hour), None), ids(&[]), "a clock set back");
    }
}
