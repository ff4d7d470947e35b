//! The video file of what is made so far.

use std::sync::Arc;

use headcast::core::{SegmentPlan, Timeline};
use headcast::media::mp4::{Index, Layout};

use super::job::Job;
use super::table::{Jobs, ReadError};

impl Jobs {
    /// Where everything is in a video file of the segments from the start to the first hole; `None` when the
    /// first segment is not made. Reads all of them, every time; blocks for the disk.
    ///
    /// # Errors
    /// When a segment cannot be read.
    pub fn partial_mp4(&self, job: &Job) -> Result<Option<Arc<Layout>>, ReadError> {
        let (Some(plan), Some(media)) = (job.plan(), job.media()) else { return Ok(None) };
        let Some(plan) = start_of(&plan, job.made_from_start()) else { return Ok(None) };
        let mut file = Index::new(&media.config, &plan);
        for index in 0..plan.len() {
            file.push(&self.segment(job, index)?)?;
        }
        Ok(Some(Arc::new(file.finish()?)))
    }
}

/// The first `segments` of the plan, as the plan of a shorter clip.
fn start_of(plan: &SegmentPlan, segments: usize) -> Option<SegmentPlan> {
    let ends = plan.ends().get(..segments)?.to_vec();
    let timeline = Timeline::from_frames(*ends.last()?, plan.timeline().frame_rate())?;
    SegmentPlan::from_ends(timeline, ends)
}
