//! Jobs: one avatar speaking one clip, from the accepted request to the last segment.
//!
//! [`Jobs`] is the table and the queue; one worker thread opens the first waiting job and makes its
//! segments, in the order that a [`Schedule`] picks. Everything that happens to a job goes into its bounded
//! event log, and everyone who waits (a held request, an event stream) watches the sequence number of that
//! log, so a slow reader holds no memory and a missed event is never a lost one.

mod event;
mod id;
mod job;
mod partial;
mod schedule;
mod speed;
mod studio;
mod table;
mod worker;

pub use event::{Event, EventBody, Level, Progress};
pub use id::{JobId, NotAJobId};
pub use job::{Failure, Job, Snapshot, State};
pub use schedule::{Need, Pick, PlayheadFirst, Schedule};
pub use studio::{
    Audio, AvatarDetails, AvatarInfo, JobRequest, OpenError, OpenErrorKind, Opened, Phase, Picture, Reporter,
    SampleInfo, Studio,
};
pub use table::{CreateError, Jobs, Limits, ReadError};
