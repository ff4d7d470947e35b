//! The headcast library: joins audio, renderer and media into a session that makes any segment at any time.
//!
//! [`Speech::open`] turns a recording into a timeline, an AAC track and what the avatar hears; a
//! [`TalkingHead`] is an avatar that heard it; a [`Session`] joins both. Its plan is complete before the
//! first frame, and [`SegmentSource::make_segment`] renders and encodes segment `k`, for any `k`, in any
//! order, to the same bytes. Frames that somebody else makes, in order, go into a [`push::Stream`] and come out as
//! the same segments.

#![forbid(unsafe_code)]

mod clip_folder;
pub mod extractors;
pub mod push;
mod recording;
mod renderer;
mod session;
pub mod source;
mod speech;

pub use clip_folder::{ClipFolder, ClipFolderError};
pub use renderer::{FrameError, FrameSource, TalkingHead};
pub use session::{Session, unwatched};
pub use source::SegmentSource;
pub use speech::{Features, Sound, Speech, SpeechError};

pub use headcast_audio as audio;
pub use headcast_core as core;
pub use headcast_media as media;
pub use headcast_nerf as nerf;
