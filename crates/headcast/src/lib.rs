//! The headcast library: joins audio, renderer and media into a session that makes any segment at any time.
//!
//! A [`Session`](source::SegmentSource) is one avatar speaking one clip. Its plan is complete before the
//! first frame; [`make_segment`](source::SegmentSource::make_segment) renders and encodes segment `k`, for
//! any `k`, in any order, to the same bytes.

pub mod source;

pub use headcast_audio as audio;
pub use headcast_core as core;
pub use headcast_media as media;
pub use headcast_nerf as nerf;
