//! The studio as the job queue sees it: with everything that is rendered counted.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use headcast::core::SegmentPlan;
use headcast::media::segment::Config;
use headcast::nerf::avatar::ImportRequest;
use headcast::source::{FrameDone, MakeError, OnFrame, SegmentSource, Stop};

use super::metrics::Metrics;
use crate::captions::Cue;
use crate::jobs::{
    AvatarDetails, AvatarInfo, JobRequest, OpenError, Opened, Picture, Reporter, SampleInfo, Script, Studio,
};
use crate::voices::Listed;

/// Hands everything on to a studio, and counts what is rendered.
pub(super) struct Watched {
    pub(super) studio: Arc<dyn Studio>,
    pub(super) metrics: Arc<Metrics>,
}

impl Studio for Watched {
    fn avatars(&self) -> Vec<AvatarInfo> {
        self.studio.avatars()
    }

    fn thumbnail(&self, avatar: &str) -> Option<Picture> {
        self.studio.thumbnail(avatar)
    }

    fn preview(&self, avatar: &str) -> Option<Bytes> {
        self.studio.preview(avatar)
    }

    fn samples(&self) -> Vec<SampleInfo> {
        self.studio.samples()
    }

    fn profiles(&self) -> Vec<String> {
        self.studio.profiles()
    }

    fn notes(&self) -> Vec<String> {
        self.studio.notes()
    }

    fn avatar(&self, name: &str) -> Option<AvatarDetails> {
        self.studio.avatar(name)
    }

    fn import(&self, request: &ImportRequest) -> Result<Vec<String>, OpenError> {
        self.studio.import(request)
    }

    fn remove_avatar(&self, name: &str) -> Result<bool, OpenError> {
        self.studio.remove_avatar(name)
    }

    fn voices(&self) -> Vec<Listed> {
        self.studio.voices()
    }

    fn speak(&self, script: &Script, to: &Path, reporter: &dyn Reporter) -> Result<Vec<Cue>, OpenError> {
        self.studio.speak(script, to, reporter)
    }

    fn check(&self, request: &JobRequest) -> Result<(), OpenError> {
        self.studio.check(request)
    }

    fn open(&self, request: &JobRequest, reporter: &dyn Reporter) -> Result<Opened, OpenError> {
        Ok(self.watch(self.studio.open(request, reporter)?))
    }

    fn reopen(
        &self,
        request: &JobRequest,
        ends: &[u64],
        reporter: &dyn Reporter,
    ) -> Result<Opened, OpenError> {
        Ok(self.watch(self.studio.reopen(request, ends, reporter)?))
    }
}

impl Watched {
    fn watch(&self, opened: Opened) -> Opened {
        let metrics = Arc::clone(&self.metrics);
        Opened { source: Arc::new(WatchedSource { source: opened.source, metrics }), ..opened }
    }
}

struct WatchedSource {
    source: Arc<dyn SegmentSource>,
    metrics: Arc<Metrics>,
}

impl SegmentSource for WatchedSource {
    fn plan(&self) -> &SegmentPlan {
        self.source.plan()
    }

    fn config(&self) -> &Config {
        self.source.config()
    }

    fn segment_head(&self) -> Bytes {
        self.source.segment_head()
    }

    fn make_segment(&self, index: usize, on_frame: &mut OnFrame<'_>) -> Result<Bytes, MakeError> {
        self.make_segment_until(index, &|| false, on_frame)
    }

    fn make_segment_until(
        &self,
        index: usize,
        stop: &Stop<'_>,
        on_frame: &mut OnFrame<'_>,
    ) -> Result<Bytes, MakeError> {
        let began = Instant::now();
        let mut looking = |done: FrameDone<'_>| -> ControlFlow<()> {
            self.metrics.frame();
            on_frame(done)
        };
        let made = self.source.make_segment_until(index, stop, &mut looking)?;
        self.metrics.segment(began.elapsed());
        Ok(made)
    }
}
