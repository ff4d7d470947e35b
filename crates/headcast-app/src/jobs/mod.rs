//! Jobs: one avatar speaking one clip, from the accepted request to the last segment.
//!
//! [`Jobs`] is the table and the queue; worker threads open jobs and make their segments, in the order that a
//! [`Schedule`] picks. A job lives in the data folder: a row in a database, its input and its segments as files, so
//! that after a crash or a restart everything that was not over goes on at its first missing segment. Everything that
//! happens to a job goes into its bounded event log, which is written to the table once a second; and everyone who waits (a held request, an event stream) watches the sequence number of that
//! log, so a slow reader holds no memory and a missed event is never a lost one.

mod code;
mod disk;
mod event;
mod feed;
mod id;
mod job;
mod limits;
mod poster;
mod recent;
mod retention;
mod schedule;
mod script;
mod shared;
mod speaker;
mod stages;
mod studio;
mod table;
mod title;
mod transcript;
mod video;
mod worker;
mod writer;

pub use disk::{DatabaseError, StartError, prepare};
pub use event::{Event, EventBody, Level, Progress};
pub use feed::{Claim, Count, Feed, FeedError, FeedState, NotPushed, Pushed};
pub use id::{JobId, NotAJobId};
pub use job::{Failure, Job, Listing, Snapshot, State, Timing};
pub use limits::{CreateError, Limits, ReadError};
pub use schedule::{Fair, Need, Pick, PlayheadFirst, Schedule};
pub use script::{NotAPace, Pace, Script};
pub use stages::Stages;
pub use studio::{
    AvatarDetails, AvatarInfo, Input, JobRequest, OpenError, OpenErrorKind, Opened, Phase, Picture, Reporter,
    SampleInfo, Studio,
};
pub use table::Jobs;
pub use title::{NotATitle, Title};
