//! Segments in memory, gone with the process.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

use super::{SegmentStore, StoreError};

/// Keeps segments in memory. Nothing is ever dropped: the caller bounds the clip.
#[derive(Debug, Default)]
pub struct Memory {
    segments: Mutex<BTreeMap<usize, Bytes>>,
}

impl Memory {
    /// One map operation at a time: a panic elsewhere leaves nothing half done.
    fn segments(&self) -> MutexGuard<'_, BTreeMap<usize, Bytes>> {
        self.segments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SegmentStore for Memory {
    fn put(&self, index: usize, segment: Bytes) -> Result<(), StoreError> {
        self.segments().entry(index).or_insert(segment);
        Ok(())
    }

    fn get(&self, index: usize) -> Result<Option<Bytes>, StoreError> {
        Ok(self.segments().get(&index).cloned())
    }

    fn contains(&self, index: usize) -> Result<bool, StoreError> {
        Ok(self.segments().contains_key(&index))
    }

    fn list(&self) -> Result<Vec<usize>, StoreError> {
        Ok(self.segments().keys().copied().collect())
    }
}
