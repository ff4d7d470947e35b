//! One event as one stream tells it: what is new since the last time, at the speed of whoever listens.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::PREFIX;
use super::events::{Event, Outcome};
use super::file::file_path;
use super::message::{Outputs, Step};
use super::root::Root;
use crate::jobs::{EventBody, Job, Phase, State as JobState};
use crate::server::AppState;
use crate::server::json::StateName;
use crate::server::video::file_name;

/// How often progress is told at most: the Python client polls for messages, and more only slows it down.
const PROGRESS_EVERY: Duration = Duration::from_millis(250);

/// How often outputs are told at most.
const OUTPUTS_EVERY: Duration = Duration::from_millis(500);

/// How often a waiting client is told of jobs ahead: that others end is no event of its own job.
const RANK_EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(super) struct Telling {
    state: AppState,
    root: Root,
    event: Arc<Event>,
    followed: Option<Followed>,
    /// When to look although nothing happened.
    look_at: Option<Instant>,
    ended: bool,
}

/// What of a job was told.
#[derive(Debug)]
struct Followed {
    job: Arc<Job>,
    changes: watch::Receiver<u64>,
    seq: u64,
    rank: Option<usize>,
    started: bool,
    told: Option<(Phase, u64)>,
    outputs: Option<Outputs>,
    progress_from: Instant,
    outputs_from: Instant,
}

impl Telling {
    pub(super) fn new(state: &AppState, root: &Root, event: Arc<Event>) -> Self {
        let now = Instant::now();
        let followed = match event.outcome {
            Outcome::Job(id) => state.jobs().get(id).map(|job| Followed {
                changes: job.watch(),
                job,
                seq: 0,
                rank: None,
                started: false,
                told: None,
                outputs: None,
                progress_from: now,
                outputs_from: now,
            }),
            _ => None,
        };
        // The first look is at once.
        Self { state: state.clone(), root: root.clone(), event, followed, look_at: Some(now), ended: false }
    }

    pub(super) fn id(&self) -> &str {
        &self.event.id
    }

    /// Whether its end was told.
    pub(super) fn is_over(&self) -> bool {
        self.ended
    }

    /// Waits until there may be news; may be dropped and called again. False when there never will be.
    pub(super) async fn changed(&mut self) -> bool {
        let at = self.look_at;
        let look = async {
            match at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        let Some(followed) = &mut self.followed else {
            look.await;
            return true;
        };
        tokio::select! {
            changed = followed.changes.changed() => changed.is_ok(),
            () = look => true,
        }
    }

    /// What there is to tell.
    pub(super) async fn news(&mut self) -> Vec<Step> {
        self.look_at = None;
        let steps = match (&self.event.outcome, &mut self.followed) {
            (Outcome::Answer(outputs), _) => vec![Step::Completed(outputs.clone())],
            (Outcome::Refused(reason), _) => vec![Step::Failed(reason.clone())],
            (Outcome::Job(_), None) => vec![Step::Failed("the job was deleted".to_owned())],
            (Outcome::Job(_), Some(followed)) => {
                let (steps, look_at) = followed.news(&self.state, &self.root).await;
                self.look_at = look_at;
                steps
            }
        };
        self.ended |= steps.last().is_some_and(Step::is_end);
        steps
    }
}

impl Followed {
    async fn news(&mut self, state: &AppState, root: &Root) -> (Vec<Step>, Option<Instant>) {
        self.changes.borrow_and_update();
        // Looked at first: a job that is over changes no more, so what is read after it is the last word.
        let over = self.job.state().is_over();
        let now = Instant::now();
        let mut steps = Vec::new();
        let mut look_at: Option<Instant> = None;
        let snapshot = self.job.snapshot();
        if snapshot.state == JobState::Queued {
            let rank = state.jobs().ahead_of(self.job.id());
            if self.rank.replace(rank) != Some(rank) {
                let all = state.jobs().list();
                let waiting = all.iter().filter(|job| !job.state().is_over()).count();
                steps.push(Step::Waiting { rank, waiting });
            }
            look_at = Some(now + RANK_EVERY);
        } else if !self.started {
            self.started = true;
            steps.push(Step::Starts);
        }
        for event in self.job.events_after(self.seq).0 {
            self.seq = event.seq;
            if let EventBody::Log(level, text) = event.body {
                steps.push(Step::Log(level, text));
            }
        }
        let reached = (snapshot.progress.phase, snapshot.progress.frames);
        if self.told != Some(reached) || over {
            if over || now >= self.progress_from {
                self.told = Some(reached);
                self.progress_from = now + PROGRESS_EVERY;
                steps.push(Step::Progress(snapshot.progress));
            } else {
                look_at = earlier(look_at, self.progress_from);
            }
        }
        match snapshot.state {
            JobState::Done => steps.extend(self.end(state, root).await),
            JobState::Cancelled => steps.push(Step::Cancelled),
            JobState::Failed => {
                let reason = snapshot.failure.map(|failure| failure.message);
                steps.push(Step::Failed(reason.unwrap_or_else(|| "the job failed".to_owned())));
            }
            _ => {
                let outputs = outputs(&self.job, root, Value::Null);
                if self.outputs.as_ref() != Some(&outputs) {
                    if now >= self.outputs_from {
                        self.outputs_from = now + OUTPUTS_EVERY;
                        self.outputs = Some(outputs.clone());
                        steps.push(Step::Generating(outputs));
                    } else {
                        look_at = earlier(look_at, self.outputs_from);
                    }
                }
            }
        }
        (steps, look_at)
    }

    /// The video is announced when it can be sent without a pause: clients wait five seconds for the next byte.
    async fn end(&self, state: &AppState, root: &Root) -> Vec<Step> {
        match state.jobs().mp4(&self.job).await {
            Ok(layout) => {
                let outputs = outputs(&self.job, root, video(&self.job, root, layout.total_len()));
                // A loop over the outputs sees what is generated, not what completes.
                vec![Step::Generating(outputs.clone()), Step::Completed(outputs)]
            }
            Err(error) => vec![Step::Failed(format!("the video cannot be read: {error}"))],
        }
    }
}

fn earlier(known: Option<Instant>, new: Instant) -> Option<Instant> {
    Some(known.map_or(new, |known| known.min(new)))
}

/// `(video, playlist_url, progress)`.
fn outputs(job: &Job, root: &Root, video: Value) -> Outputs {
    let Root(root) = root;
    let snapshot = job.snapshot();
    let progress = snapshot.progress;
    // Never with a `path` in it: the Python client would take it for a file.
    let said = json!({
        "job": job.id().as_str(),
        "page": format!("{root}/j/{}", job.id()),
        "state": StateName::from(snapshot.state).word(),
        "frames": progress.frames,
        "total_frames": progress.total,
        "frames_per_second": (progress.fps * 10.0).round() / 10.0,
        "eta_seconds": progress.eta_secs.map(f64::round),
        "segments": snapshot.ready.iter().map(ExactSizeIterator::len).sum::<usize>(),
        "total_segments": snapshot.plan.as_ref().map(|plan| plan.len()),
    });
    vec![video, format!("{root}/api/v1/jobs/{}/index.m3u8", job.id()).into(), said]
}

/// The finished file.
fn video(job: &Job, root: &Root, bytes: u64) -> Value {
    let path = file_path(job);
    json!({
        "url": format!("{}{PREFIX}/file={path}", root.0),
        "path": path,
        "size": bytes,
        "orig_name": file_name(job, ""),
        "mime_type": "video/mp4",
        "is_stream": false,
        "meta": { "_type": "gradio.FileData" },
    })
}
