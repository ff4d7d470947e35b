//! The vocabulary of headcast: clocks, the timeline that an audio clip fixes, the segment plan, the
//! playlist text, images, feature tracks and camera poses.
//!
//! Nothing here opens a file, starts a thread or reads a clock; every value is a function of its inputs. A [`spool`]
//! writes to what its caller opened.
//!
//! Data flows `Pcm → FeatureTrack → frame → access unit → segment → store → HTTP`; the types that cross
//! from one crate to another live here.

pub mod clock;
pub mod feature;
pub mod image;
pub mod lazy;
pub mod npy;
pub mod pose;
pub mod spool;
pub mod timeline;

pub use clock::{FrameIndex, FrameRate, SampleRate, Timescale, Timestamp};
pub use feature::{FeatureError, FeatureKind, FeatureTrack, Values, ValuesError};
pub use image::{ImageError, RgbImage};
pub use lazy::{Lazy, Maker, Stop};
pub use pose::{Intrinsics, Pose};
pub use spool::{Spool, Spools};
pub use timeline::{SegmentPlan, Timeline};
