//! What was joined: a bounded table of events, by session.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::message::Outputs;
use crate::jobs::{JobId, Jobs};

/// Events whose clients may still ask for them. A job is not among them, only its name: what happens to it here does
/// not concern it.
#[derive(Debug)]
pub(in crate::server) struct Events {
    kept: Mutex<VecDeque<Arc<Event>>>,
    /// Changes with every new event.
    joined: watch::Sender<u64>,
}

/// One call.
#[derive(Debug)]
pub(super) struct Event {
    /// 128 random bits: whoever knows it may hear and stop it.
    pub(super) id: String,
    /// Chosen by the client; `None` for a call whose end is asked for by its id.
    session: Option<String>,
    pub(super) outcome: Outcome,
    since: Instant,
}

/// What became of a call.
#[derive(Debug)]
pub(super) enum Outcome {
    /// A job.
    Job(JobId),
    /// It was over at once.
    Answer(Outputs),
    /// Something was wrong with it; said on the stream, because that is where both clients look for words.
    Refused(String),
}

/// Events that are kept; one that is over makes room for one more.
const MOST: usize = 256;

/// An event that is over is kept this long.
const KEPT_FOR: Duration = Duration::from_hours(1);

/// Longest name of a session, in bytes. Clients make them of about ten letters.
pub(super) const MAX_SESSION: usize = 128;

impl Default for Events {
    fn default() -> Self {
        Self { kept: Mutex::default(), joined: watch::Sender::new(0) }
    }
}

impl Events {
    /// Keeps one more; `None` when the system has no random numbers to name it with.
    pub(super) fn add(&self, jobs: &Jobs, session: Option<String>, outcome: Outcome) -> Option<Arc<Event>> {
        let event = Arc::new(Event { id: random_name()?, session, outcome, since: Instant::now() });
        let mut kept = self.lock();
        kept.retain(|event| event.since.elapsed() < KEPT_FOR || !event.is_over(jobs));
        if kept.len() >= MOST {
            let index = kept.iter().position(|event| event.is_over(jobs)).unwrap_or(0);
            kept.remove(index);
        }
        kept.push_back(Arc::clone(&event));
        drop(kept);
        self.joined.send_modify(|count| *count += 1);
        Some(event)
    }

    /// A receiver that changes with every new event. Look after marking it seen.
    pub(super) fn watch(&self) -> watch::Receiver<u64> {
        self.joined.subscribe()
    }

    /// The event of that name.
    pub(super) fn get(&self, id: &str) -> Option<Arc<Event>> {
        self.lock().iter().find(|event| event.id == id).cloned()
    }

    /// Every event of a session, the oldest first.
    pub(super) fn of_session(&self, session: &str) -> Vec<Arc<Event>> {
        self.lock().iter().filter(|event| event.session.as_deref() == Some(session)).cloned().collect()
    }

    /// Its end was told.
    pub(super) fn forget(&self, id: &str) {
        self.lock().retain(|event| event.id != id);
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<Event>>> {
        // Nothing panics halfway through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Event {
    fn is_over(&self, jobs: &Jobs) -> bool {
        match self.outcome {
            Outcome::Job(id) => jobs.get(id).is_none_or(|job| job.state().is_over()),
            Outcome::Answer(_) | Outcome::Refused(_) => true,
        }
    }
}

fn random_name() -> Option<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
