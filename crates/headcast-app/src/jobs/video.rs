//! The video file of a job: where everything is in it, whole or as far as the segments go.

use std::sync::Arc;

use headcast::core::SegmentPlan;
use headcast::media::mp4::{Index, Layout};

use super::job::Job;
use super::limits::ReadError;
use super::shared::{Readers, Shared};
use super::table::Jobs;

impl Jobs {
    /// Where everything is in a video file of the segments from the start to the first hole; `None` when the
    /// first segment is not made. Reads all of them, every time; blocks for the disk.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn partial_mp4(&self, job: &Job) -> Result<Option<Arc<Layout>>, ReadError> {
        let segments = job.made_from_start();
        let plan = job.plan().filter(|_| segments > 0).and_then(|plan| plan.known());
        plan.map(|plan| layout(&self.shared, job, &plan, segments)).transpose()
    }
}

/// Reads the first `segments` of `plan`, one at a time; blocks for the disk.
pub(super) fn layout(
    shared: &Shared,
    job: &Job,
    plan: &SegmentPlan,
    segments: usize,
) -> Result<Arc<Layout>, ReadError> {
    let media = job.media().ok_or(ReadError::NotMade { index: 0 })?;
    let mut file = Index::new(&media.config, plan);
    for index in 0..segments {
        file.push(&shared.read(job, index, Readers::One)?)?;
    }
    Ok(Arc::new(file.finish_early()?))
}
