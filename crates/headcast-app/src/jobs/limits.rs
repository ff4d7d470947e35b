//! What bounds the jobs, and what is said when a bound is met.

use std::io;
use std::num::NonZeroUsize;
use std::time::Duration;

use headcast::media::mp4;
use headcast::media::store::StoreError;

use super::disk::DatabaseError;

/// What bounds the memory and the disk that jobs take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Jobs that are not over; one more is refused. Default 64.
    pub waiting: usize,
    /// Jobs that are remembered, over or not; the oldest that are over make room. Default 256.
    pub kept: usize,
    /// Events that are remembered of each job. Default 2000.
    pub events: usize,
    /// Jobs that are worked on at the same time; each has a clip open, and all share the renderer's threads.
    /// Default 1.
    pub in_flight: NonZeroUsize,
    /// Bytes of finished segments that stay in memory for everyone who wants them at the same time. Default 16 MiB.
    pub recent_bytes: usize,
    /// Leave alone what nobody watches. Default false.
    pub pause_unwatched: bool,
    /// How long a job waits for frames from outside that nobody sends; then it fails, and what there is of it plays.
    /// Default one hour. Looked at once a minute.
    pub abandoned: Duration,
    /// Longest clip of frames from outside whose length nobody says before; it ends there. Default two hours, as long as
    /// a recording may be.
    pub max_open: Duration,
    /// How long a job is kept once it is over; `None` for ever, which is the default.
    pub keep: Option<Duration>,
    /// Bytes that all job folders may take; those that were over first make room, and without room a job is refused
    /// or fails. `None`, the default, for whatever the disk has.
    pub max_disk_bytes: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            waiting: 64,
            kept: 256,
            events: 2000,
            in_flight: NonZeroUsize::MIN,
            recent_bytes: 16 << 20,
            pause_unwatched: false,
            abandoned: Duration::from_secs(3600),
            max_open: headcast::audio::Limits::default().max_duration,
            keep: None,
            max_disk_bytes: None,
        }
    }
}

/// Why a job was not accepted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// Come back when a job is over.
    #[error("{waiting} jobs are waiting already; try again when one is done")]
    Full {
        /// How many wait.
        waiting: usize,
    },
    /// The operating system has no randomness to name a job with.
    #[error("the operating system gives no random numbers to name a job with")]
    Name,
    /// Free some space.
    #[error("the upload cannot be stored ({0}); free some space and try again")]
    Disk(#[from] io::Error),
    /// Delete some jobs, or allow more.
    #[error(
        "the jobs take {} MB already, more than the {} MB that --max-disk allows; delete some and try again",
        used / 1_000_000, limit / 1_000_000
    )]
    DiskLimit {
        /// Bytes with this job.
        used: u64,
        /// Bytes that are allowed.
        limit: u64,
    },
    /// See there.
    #[error(transparent)]
    Table(#[from] DatabaseError),
}

/// Why something made cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// Wait until it is made; look at the disk when it was.
    #[error("segment {index} is not there")]
    NotMade {
        /// The segment.
        index: usize,
    },
    /// Look at the disk.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Make the job again.
    #[error("the video file cannot be put together: {0}")]
    Mp4(#[from] mp4::Error),
    /// Ask again, unless the server is stopping.
    #[error("interrupted: {0}")]
    Interrupted(String),
}
