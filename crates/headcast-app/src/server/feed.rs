//! What a client is told of one job, whichever way it listens.

use std::sync::Arc;

use tokio::sync::watch;

use super::AppState;
use super::json::Message;
use crate::jobs::{EventBody, Job};

/// One job that a client follows. Nothing is queued: it reads the job's bounded log at the client's speed.
#[derive(Debug)]
pub(super) struct Feed {
    job: Arc<Job>,
    changes: watch::Receiver<u64>,
    /// Last event that was told.
    seq: u64,
    gone: bool,
}

impl Feed {
    /// Follows `job` from after event `after` on. The messages are the job's state, and what happened since.
    pub(super) fn new(state: &AppState, job: Arc<Job>, after: u64) -> (Self, Vec<Message>) {
        let changes = job.watch();
        let shown = job.snapshot().seq;
        let mut messages = vec![Message::state(state.jobs(), &job, after)];
        let mut feed = Self { job, changes, seq: after, gone: false };
        feed.read(state, shown, &mut messages);
        (feed, messages)
    }

    pub(super) fn job(&self) -> &Arc<Job> {
        &self.job
    }

    /// Whether there will be nothing more to tell.
    pub(super) fn is_over(&self) -> bool {
        self.gone || (self.job.state().is_over() && self.seq >= self.job.snapshot().seq)
    }

    /// Whether the job is deleted.
    pub(super) fn is_gone(&self) -> bool {
        self.gone
    }

    /// Waits until there is news; may be dropped and called again. False when there never will be.
    pub(super) async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }

    /// What happened since the last message.
    pub(super) fn news(&mut self, state: &AppState) -> Vec<Message> {
        let mut messages = Vec::new();
        self.read(state, 0, &mut messages);
        messages
    }

    /// The client knows the state as of event `shown`; 0 when it was not told just now.
    fn read(&mut self, state: &AppState, shown: u64, messages: &mut Vec<Message>) {
        self.changes.borrow_and_update();
        let (events, complete) = self.job.events_after(self.seq);
        if shown == 0 && !complete {
            messages.push(Message::state(state.jobs(), &self.job, self.seq));
        }
        let mut changed_state = false;
        for event in events {
            self.seq = event.seq;
            let is_state = event.body == EventBody::State;
            changed_state |= is_state;
            if !is_state || event.seq > shown {
                messages.push(Message::of(state.jobs(), &self.job, event));
            }
        }
        if changed_state && state.jobs().get(self.job.id()).is_none() {
            self.gone = true;
            messages.push(Message::Gone { job: self.job.id().to_string() });
        }
    }
}
