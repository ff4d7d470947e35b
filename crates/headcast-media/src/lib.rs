//! Frames and PCM in, segments and MP4 out: H.264, AAC, MPEG-TS, segmenter, stores.
//!
//! Everything happens in memory and in process. The entry point is [`segment::SegmentEncoder`]: frames of
//! one segment go in, its transport stream comes out, and the bytes depend on the frames, the audio and the
//! plan only, never on what was encoded before. [`aac`] encodes the whole clip ahead of the frames, [`mp4`]
//! rewraps finished segments into one file, [`store`] keeps segments.

pub mod aac;
pub mod color;
pub mod h264;
pub mod mp4;
pub mod segment;
pub mod store;
pub mod ts;

pub use segment::SegmentEncoder;
