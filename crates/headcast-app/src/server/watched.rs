//! The studio as the job queue sees it: with everything that is rendered counted.

use std::sync::Arc;

use headcast::nerf::avatar::ImportRequest;

use super::metrics::Metrics;
use crate::jobs::{
    AvatarDetails, AvatarInfo, JobRequest, OpenError, Opened, Picture, Reporter, SampleInfo, Studio,
};

/// Hands everything on to a studio, and what is opened to the [`Metrics`] first.
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

    fn check(&self, request: &JobRequest) -> Result<(), OpenError> {
        self.studio.check(request)
    }

    fn open(&self, request: &JobRequest, reporter: &dyn Reporter) -> Result<Opened, OpenError> {
        let opened = self.studio.open(request, reporter)?;
        Ok(Opened { source: self.metrics.watch(opened.source), ..opened })
    }
}
