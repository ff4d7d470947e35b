//! Who feeds which job.

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use headcast::push::Stream;
use tokio::sync::watch;

use super::super::id::JobId;
use super::super::job::Job;
use super::super::studio::Phase;
use super::FeedError;

/// A stream that nobody feeds is closed after this: it holds an encoder and some pictures. What is not in a segment
/// yet has to be sent again then.
const IDLE: Duration = Duration::from_secs(600);

/// How long somebody waits for a place that another one leaves: the encoder has some frames at most to finish.
const LEAVING: Duration = Duration::from_secs(30);

/// The place of somebody who feeds a job: it says when another one takes it over.
#[derive(Debug, Clone)]
pub struct Claim(watch::Sender<bool>);

impl Claim {
    /// The place of one sender.
    #[expect(clippy::new_without_default, reason = "two claims are never equal")]
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Whether another one took it over.
    pub fn is_lost(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until another one takes it over.
    pub async fn lost(&self) {
        // The sender is held here, so this does not end before.
        let _ = self.0.subscribe().wait_for(|lost| *lost).await;
    }

    fn give_way(&self) {
        self.0.send_replace(true);
    }
}

/// The streams of pushed jobs that somebody feeds, or fed lately.
#[derive(Debug, Default)]
pub(in super::super) struct Feeds {
    slots: Mutex<BTreeMap<JobId, Slot>>,
    /// Signalled when a place becomes free.
    freed: Condvar,
}

#[derive(Debug)]
enum Slot {
    /// Somebody is at it.
    Taken { next: u64, claim: Claim },
    /// It goes on with the next sender.
    Idle { stream: Box<Stream>, since: Instant },
    /// Its encoder finishes what it has; nobody can take it for a moment.
    Closing,
}

impl Feeds {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next frame of an open stream, and whether somebody is at it; `None` when the segments tell.
    pub(super) fn position(&self, job: &Job) -> Option<(u64, bool)> {
        match self.lock().get(&job.id())? {
            Slot::Taken { next, .. } => Some((*next, true)),
            Slot::Idle { stream, .. } => goes_on(job, stream).then(|| (stream.next_frame(), false)),
            Slot::Closing => None,
        }
    }

    /// Takes the place at `job`, with the stream that was left there. One that somebody has is taken over by who says
    /// `first`, a frame that is not after the next one: most likely the same sender, whose connection broke without
    /// a word. Blocks while the other one leaves.
    ///
    /// * `next`: the next frame, if there is no stream.
    pub(super) fn take(
        &self,
        job: &Job,
        first: Option<u64>,
        next: u64,
        claim: &Claim,
    ) -> Result<Place, FeedError> {
        let deadline = Instant::now() + LEAVING;
        let mut taken_over = false;
        let mut slots = self.lock();
        loop {
            match slots.get(&job.id()) {
                Some(Slot::Taken { next, claim: other }) => {
                    if first.is_none_or(|first| first > *next) {
                        return Err(FeedError::Busy);
                    }
                    other.give_way();
                    taken_over = true;
                }
                Some(Slot::Closing) => {}
                Some(Slot::Idle { .. }) | None => break,
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(FeedError::Busy);
            }
            slots = self.freed.wait_timeout(slots, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let stream = match slots.remove(&job.id()) {
            Some(Slot::Idle { stream, .. }) => Some(stream),
            _ => None,
        };
        let next =
            stream.as_ref().filter(|stream| goes_on(job, stream)).map_or(next, |stream| stream.next_frame());
        slots.insert(job.id(), Slot::Taken { next, claim: claim.clone() });
        Ok(Place { stream, taken_over })
    }

    /// The next frame of a stream that somebody is at.
    pub(super) fn moved(&self, id: JobId, to: u64) {
        if let Some(Slot::Taken { next, .. }) = self.lock().get_mut(&id) {
            *next = to;
        }
    }

    /// Leaves the place at `job`, and the stream for the next sender, unless it is of no more use.
    ///
    /// * `awaiting`: whether others are awaited now.
    pub(super) fn leave(&self, job: &Job, stream: Option<Box<Stream>>, awaiting: bool) {
        let mut slots = self.lock();
        // Under the lock: who ends a job looks here for its stream after that. And the phase is told before somebody
        // else can take the place, and tell another one.
        let over = job.is_stopped() || job.state().is_over();
        if awaiting && !over {
            job.phase(Phase::Awaiting);
        }
        match stream {
            Some(stream) if !over && goes_on(job, &stream) => {
                slots.insert(job.id(), Slot::Idle { stream, since: Instant::now() });
            }
            Some(stream) => {
                slots.insert(job.id(), Slot::Closing);
                drop(slots);
                drop(stream);
                self.lock().remove(&job.id());
            }
            None => drop(slots.remove(&job.id())),
        }
        self.freed.notify_all();
    }

    /// Closes what is idle and `gone`. Waits for encoders, without the lock: they look at their job.
    fn close(&self, gone: impl Fn(JobId, Instant) -> bool) {
        let mut closing = Vec::new();
        for (id, slot) in self.lock().iter_mut() {
            if matches!(slot, Slot::Idle { since, .. } if gone(*id, *since)) {
                closing.push((*id, std::mem::replace(slot, Slot::Closing)));
            }
        }
        for (id, slot) in closing {
            drop(slot);
            self.lock().remove(&id);
            self.freed.notify_all();
        }
    }

    /// A job is over: its stream is of no more use.
    pub(in super::super) fn forget(&self, id: JobId) {
        self.close(|other, _| other == id);
    }

    pub(in super::super) fn close_idle(&self) {
        self.close(|_, since| since.elapsed() >= IDLE);
    }

    pub(in super::super) fn close_all(&self) {
        self.close(|_, _| true);
    }
}

/// What [`Feeds::take`] found.
pub(super) struct Place {
    pub(super) stream: Option<Box<Stream>>,
    pub(super) taken_over: bool,
}

/// Whether no segment that this stream has behind it was lost since: else it has to go back.
pub(super) fn goes_on(job: &Job, stream: &Stream) -> bool {
    // In this order: what the stream has made is in the job first.
    let behind = stream.viewer().segments();
    behind <= job.made_from_start()
}

#[cfg(test)]
mod tests {
    use headcast::audio::Cut;

    use super::super::super::studio::{Input, JobRequest};
    use super::*;

    fn job() -> Job {
        let request = JobRequest {
            audio: Input::Memory(bytes::Bytes::new()),
            audio_name: String::new(),
            title: None,
            cut: Cut::WHOLE,
            script: None,
            captions: None,
            avatar: String::new(),
            profile: None,
            extractor: None,
            body: String::new(),
            features: None,
            background: None,
            pushed: "64x48 25/1 rgb24 60".parse().ok(),
        };
        Job::new(JobId::random().unwrap(), request, false, 9)
    }

    #[test]
    fn a_place_is_at_its_frame_from_the_start_and_is_taken_over_from_there_only() {
        let (feeds, job, first, second) = (Feeds::default(), job(), Claim::new(), Claim::new());
        feeds.take(&job, None, 24, &first).unwrap();
        assert_eq!(feeds.position(&job), Some((24, true)));
        feeds.moved(job.id(), 30);
        assert_eq!(feeds.position(&job), Some((30, true)));
        for found in [None, Some(31)] {
            assert!(matches!(feeds.take(&job, found, 24, &second), Err(FeedError::Busy)), "{found:?}");
        }
        assert!(!first.is_lost());
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| feeds.take(&job, Some(30), 24, &second).unwrap().taken_over);
            let deadline = Instant::now() + LEAVING;
            while !first.is_lost() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(1));
            }
            assert!(first.is_lost());
            feeds.leave(&job, None, true);
            assert!(waiting.join().unwrap());
        });
        assert_eq!(feeds.position(&job), Some((24, true)));
        assert!(!second.is_lost());
        feeds.leave(&job, None, true);
        assert_eq!(feeds.position(&job), None);
    }
}
