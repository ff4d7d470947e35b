//! The whole file at once, from a store.

use std::io;

use bytes::Bytes;
use headcast_core::SegmentPlan;

use super::{Error, Index};
use crate::segment::Config;
use crate::store::{SegmentStore, StoreError};

/// Why a file cannot be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WriteError {
    /// See there.
    #[error(transparent)]
    Segments(#[from] Error),
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Make the segment, then try again.
    #[error("segment {segment} is not there")]
    Missing {
        /// Segment.
        segment: usize,
    },
    /// The file itself cannot be written.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Writes the file of the clip that `plan` cuts into the segments of `store`.
///
/// Reads every segment twice, one at a time; holds one of them and 4 bytes per access unit.
///
/// # Errors
/// [`WriteError`]; what was written until then is no file.
pub fn write(
    config: &Config,
    plan: &SegmentPlan,
    store: &dyn SegmentStore,
    out: &mut dyn io::Write,
) -> Result<(), WriteError> {
    let segment = |index| -> Result<Bytes, WriteError> {
        store.get(index)?.ok_or(WriteError::Missing { segment: index })
    };
    let mut first_pass = Index::new(config, plan);
    for index in 0..plan.len() {
        first_pass.push(&segment(index)?)?;
    }
    let layout = first_pass.finish()?;
    out.write_all(&layout.header())?;
    for index in 0..plan.len() {
        out.write_all(&layout.payload(index, &segment(index)?)?)?;
    }
    Ok(())
}
