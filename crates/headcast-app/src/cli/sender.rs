//! Frames to a job of a server, over as many connections as it takes.
//!
//! The server says which frame it expects next. After a connection broke that is a frame that was on its way; after the
//! server was started again, it is the first one of the segment that was being made. Frames are kept here until they
//! cannot be wanted again, so the program that makes them notices nothing.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::Method;
use bytes::Bytes;
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::failure::Failure;
use super::remote::{JobStatus, Remote, RemoteJob, Trouble};

/// Brings frames to one job.
pub(super) struct Sender<'a> {
    remote: &'a Remote,
    id: String,
    interrupted: &'a AtomicBool,
    /// Says what happens on the line.
    tell: &'a dyn Fn(&str),
    kept: Kept,
    connection: Option<Connection>,
    pauses: Pauses,
    /// Bytes that were sent since the server was last asked where it is.
    unasked_bytes: usize,
    /// Whether the server has all it wants.
    done: bool,
}

/// One request whose body is frames.
struct Connection {
    frames: Option<mpsc::Sender<Bytes>>,
    answer: JoinHandle<Result<Value, Trouble>>,
    /// Index of the frame that it takes next.
    next: u64,
}

impl<'a> Sender<'a> {
    /// Begins to bring frames to `job`, from the one that it expects.
    pub(super) fn start(
        remote: &'a Remote,
        job: &RemoteJob,
        interrupted: &'a AtomicBool,
        tell: &'a dyn Fn(&str),
    ) -> Self {
        let mut sender = Self {
            remote,
            id: job.id.clone(),
            interrupted,
            tell,
            kept: Kept::from(job.next_frame),
            connection: None,
            pauses: Pauses::default(),
            unasked_bytes: 0,
            done: false,
        };
        sender.connect(job.next_frame);
        sender
    }

    /// Sends a frame; waits while the server encodes, and while there is no server.
    pub(super) fn write(&mut self, frame: &[u8]) -> Result<(), Failure> {
        self.make_room(frame.len())?;
        if self.done {
            // What comes after the end is left out.
            return Ok(());
        }
        self.kept.push(Bytes::copy_from_slice(frame));
        self.unasked_bytes += frame.len();
        if self.unasked_bytes >= ASK_BYTES {
            // If the line is broken, sending finds out.
            if let Err(Trouble::Final(failure)) = self.ask_position() {
                return Err(failure);
            }
        }
        self.forward()
    }

    /// Waits until the server has taken so much of what is kept that a frame of `bytes` has room.
    fn make_room(&mut self, bytes: usize) -> Result<(), Failure> {
        let mut position = None;
        let mut waiting = Instant::now();
        while !self.done && !self.kept.has_room(bytes) {
            // All that is kept was sent, so the server comes to it.
            let stalled = waiting.elapsed() >= STALL;
            let over = self.connection.as_ref().is_none_or(|connection| connection.answer.is_finished());
            let looked = match (over, stalled) {
                (true, _) => self.answer().and(Err(Trouble::line("the server closed the connection"))),
                (false, true) => self.look_alive(&mut position),
                (false, false) => self.ask_position(),
            };
            if stalled {
                waiting = Instant::now();
            }
            match looked {
                Ok(()) => self.rest(TICK)?,
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Line(_)) if !over && !stalled => self.rest(TICK)?,
                Err(Trouble::Line(why)) => {
                    self.reconnect(why)?;
                    self.forward()?;
                }
            }
        }
        Ok(())
    }

    /// There are no more frames: ends the clip.
    pub(super) fn finish(mut self) -> Result<(), Failure> {
        loop {
            self.forward()?;
            if self.done {
                return Ok(());
            }
            match self.answer().and_then(|job| self.end(&job)) {
                Ok(()) => return Ok(()),
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Line(why)) => self.reconnect(why)?,
            }
        }
    }

    /// The clip is over, wherever `job` is; unless some of its frames are wanted again.
    fn end(&self, job: &JobStatus) -> Result<(), Trouble> {
        if job.done || job.total.is_some_and(|total| job.next_frame >= total) {
            return Ok(());
        }
        if job.next_frame < self.kept.end() {
            return Err(Trouble::line(format!("the server wants frame {} again", job.next_frame)));
        }
        let path = format!("/api/v1/jobs/{}/end", self.id);
        self.remote.try_ask(Method::POST, &path, "", Body::empty(), None).map(drop)
    }

    /// Whether the job takes no frames any more, as far as the server tells.
    pub(super) fn is_over(&self) -> bool {
        match self.remote.status(&self.id, Some(PATIENCE)) {
            Ok(job) => job.done,
            Err(Trouble::Final(_)) => true,
            Err(Trouble::Line(_)) => false,
        }
    }

    /// The frames will not come, for `reason`. Says whether the server knows.
    pub(super) fn give_up(mut self, reason: &str) -> bool {
        // What was sent is taken before the job is over. How that went is no news.
        let _ = self.answer();
        let body = json!({ "reason": reason }).to_string();
        let path = format!("/api/v1/jobs/{}/fail", self.id);
        let tell = || {
            let body = Body::from(body.clone());
            self.remote.try_ask(Method::POST, &path, "application/json", body, Some(PATIENCE))
        };
        let mut told = tell();
        // Not a minute: whoever pressed Ctrl-C waits for this.
        for pause in &PAUSES_MILLIS[..LAST_PAUSES] {
            if !matches!(told, Err(Trouble::Line(_))) {
                break;
            }
            std::thread::sleep(Duration::from_millis(*pause));
            told = tell();
        }
        told.is_ok()
    }

    /// Hands every kept frame to a connection.
    fn forward(&mut self) -> Result<(), Failure> {
        while !self.done {
            let Some(connection) = &mut self.connection else {
                self.reconnect("there is no connection".to_owned())?;
                continue;
            };
            let Some(frame) = self.kept.get(connection.next) else { return Ok(()) };
            match self.hand_over(frame) {
                Ok(()) => {}
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Line(why)) => self.reconnect(why)?,
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, frame: Bytes) -> Result<(), Trouble> {
        let mut position = None;
        let mut waiting = Instant::now();
        loop {
            self.check_interrupted().map_err(Trouble::Final)?;
            let Some(Connection { frames: Some(frames), next, .. }) = &mut self.connection else {
                return Err(Trouble::line("the connection is closed"));
            };
            let sent = self.remote.block_on(async {
                match timeout(TICK, frames.reserve()).await {
                    Ok(Ok(place)) => {
                        place.send(frame.clone());
                        Sent::Yes
                    }
                    Ok(Err(_closed)) => Sent::Never,
                    Err(_elapsed) => Sent::NotYet,
                }
            });
            match sent {
                Sent::Yes => {
                    *next += 1;
                    return Ok(());
                }
                // The request is over: its answer says why.
                Sent::Never => {
                    self.done = self.answer()?.done;
                    return match self.done {
                        true => Ok(()),
                        false => Err(Trouble::line("the server closed the connection")),
                    };
                }
                Sent::NotYet if waiting.elapsed() < STALL => {}
                Sent::NotYet => {
                    self.look_alive(&mut position)?;
                    waiting = Instant::now();
                }
            }
        }
    }

    /// Waits for the answer to the open request, whose body ends here.
    fn answer(&mut self) -> Result<JobStatus, Trouble> {
        let Some(mut connection) = self.connection.take() else {
            return self.remote.status(&self.id, Some(PATIENCE));
        };
        connection.frames = None;
        let mut position = None;
        let mut waiting = Instant::now();
        loop {
            let answer = &mut connection.answer;
            match self.remote.block_on(async { timeout(TICK, answer).await }) {
                Ok(answer) => {
                    let answer = answer.map_err(|panic| Trouble::Final(Failure::machine(panic)))?;
                    return JobStatus::of(&answer?);
                }
                Err(_elapsed) if waiting.elapsed() < STALL => {}
                Err(_elapsed) => {
                    self.look_alive(&mut position)?;
                    waiting = Instant::now();
                }
            }
        }
    }

    /// Nothing has moved for long: whether the server is slow, or the line dead and the system has not noticed.
    fn look_alive(&self, position: &mut Option<u64>) -> Result<(), Trouble> {
        let job = self.remote.status(&self.id, Some(PATIENCE))?;
        let moves = position.replace(job.next_frame) != Some(job.next_frame);
        if moves || job.connected {
            Ok(())
        } else {
            Err(Trouble::line("the server waits for frames that were sent"))
        }
    }

    /// Makes a new connection, and says how it goes; gives up after [`PAUSES_MILLIS`].
    fn reconnect(&mut self, mut why: String) -> Result<(), Failure> {
        if let Some(connection) = self.connection.take() {
            connection.answer.abort();
        }
        loop {
            let Some(pause) = self.pauses.next() else {
                return Err(Failure::machine(format!("{why}; it was tried again for a minute")));
            };
            (self.tell)(&format!("{why}; trying again in {:.1} s", pause.as_secs_f64()));
            self.rest(pause)?;
            let job = match self.remote.status(&self.id, Some(PATIENCE)) {
                Ok(job) => job,
                Err(Trouble::Final(failure)) => return Err(failure),
                Err(Trouble::Line(again)) => {
                    why = again;
                    continue;
                }
            };
            if job.done {
                self.done = true;
                return Ok(());
            }
            if !job.open {
                why = "the server has not opened the job again yet".to_owned();
                continue;
            }
            let next = job.next_frame;
            if next > self.kept.end() {
                return Err(Failure::input(format!(
                    "the job expects frame {next}, and only {} were sent: somebody else is sending frames to it",
                    self.kept.end()
                )));
            }
            if next < self.kept.first {
                return Err(Failure::machine(format!(
                    "the server wants frame {next} and those after it again, and only those from {} on are kept; send \
                     them again to the job's address",
                    self.kept.first
                )));
            }
            self.pauses.progress(next);
            self.kept.forget_before(job.made_frames.min(next));
            (self.tell)(&format!("connected again; going on with frame {next}"));
            self.connect(next);
            return Ok(());
        }
    }

    fn connect(&mut self, first: u64) {
        let (frames, receive) = mpsc::channel::<Bytes>(FRAMES);
        let body = stream::unfold(receive, |mut receive| async move {
            Some((Ok::<_, std::convert::Infallible>(receive.recv().await?), receive))
        });
        let path = format!("/api/v1/jobs/{}/frames?first={first}", self.id);
        // Who was there before is not left alone by somebody who only comes back.
        let answer = self.remote.spawn(&path, Body::from_stream(body), self.pauses.were_needed());
        self.connection = Some(Connection { frames: Some(frames), answer, next: first });
    }

    /// Frees what the server cannot want again.
    fn ask_position(&mut self) -> Result<(), Trouble> {
        self.unasked_bytes = 0;
        let job = self.remote.status(&self.id, Some(PATIENCE))?;
        self.done |= job.done;
        self.kept.taken = self.kept.taken.max(job.next_frame);
        self.kept.forget_before(job.made_frames);
        Ok(())
    }

    /// Sleeps, unless there is Ctrl-C.
    fn rest(&self, time: Duration) -> Result<(), Failure> {
        let end = Instant::now() + time;
        loop {
            self.check_interrupted()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    fn check_interrupted(&self) -> Result<(), Failure> {
        match self.interrupted.load(Ordering::Relaxed) {
            true => Err(Failure::Interrupted("interrupted".into())),
            false => Ok(()),
        }
    }
}

/// What became of a frame.
enum Sent {
    Yes,
    NotYet,
    /// Nobody takes it.
    Never,
}

/// Frames that the server may want again: consecutive, the last one is the last that was written.
struct Kept {
    /// Index of the first one.
    first: u64,
    frames: VecDeque<Bytes>,
    bytes: usize,
    /// The server has taken those before this. It wants them again only if it is started again.
    taken: u64,
}

impl Kept {
    fn from(first: u64) -> Self {
        Self { first, frames: VecDeque::new(), bytes: 0, taken: first }
    }

    /// One past the last.
    fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    fn get(&self, index: u64) -> Option<Bytes> {
        let at = usize::try_from(index.checked_sub(self.first)?).ok()?;
        self.frames.get(at).cloned()
    }

    /// Whether there is room for another frame; makes it of those that the server has taken.
    fn has_room(&mut self, bytes: usize) -> bool {
        while self.bytes + bytes > KEPT_BYTES && !self.frames.is_empty() {
            if self.first >= self.taken {
                return false;
            }
            self.forget_before(self.first + 1);
        }
        true
    }

    fn push(&mut self, frame: Bytes) {
        self.bytes += frame.len();
        self.frames.push_back(frame);
    }

    fn forget_before(&mut self, index: u64) {
        while self.first < index
            && let Some(frame) = self.frames.pop_front()
        {
            self.first += 1;
            self.bytes -= frame.len();
        }
    }
}

/// How long to wait before each try.
#[derive(Default)]
struct Pauses {
    used: usize,
    /// The furthest that the server was when a connection was made again.
    reached: Option<u64>,
}

impl Pauses {
    fn next(&mut self) -> Option<Duration> {
        let pause = PAUSES_MILLIS.get(self.used).map(|millis| Duration::from_millis(*millis));
        self.used += 1;
        pause
    }

    /// A line that brings frames is a good one, however often it breaks.
    fn progress(&mut self, next: u64) {
        if self.reached.replace(next).is_none_or(|before| next > before) {
            self.used = 1;
        }
    }

    /// Whether a connection broke at any time.
    fn were_needed(&self) -> bool {
        self.used > 0
    }
}

/// Frames under way to the connection; the rest waits in the program that makes them.
const FRAMES: usize = 2;

/// Most bytes of frames that are kept: five seconds, the longest segment, of 1280x720 in yuv420p or of 768x768 in rgb24 at
/// 25 frames a second. Of larger ones a broken connection is mended, a server that was started again wants too many.
const KEPT_BYTES: usize = 256 << 20;

/// How much is sent before the server is asked what it cannot want again.
const ASK_BYTES: usize = 32 << 20;

/// A minute in all.
const PAUSES_MILLIS: [u64; 10] = [250, 500, 1000, 2000, 4000, 8000, 10_000, 10_000, 12_000, 12_000];

/// Of them, how many are spent on telling the server that nothing comes.
const LAST_PAUSES: usize = 3;

/// How often a wait looks for Ctrl-C.
const TICK: Duration = Duration::from_millis(100);

/// Silence after which the server is asked whether it is there.
const STALL: Duration = Duration::from_secs(15);

/// How long a short question may take.
const PATIENCE: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_end_after_a_minute_unless_frames_come_through() {
        let mut pauses = Pauses::default();
        assert!(!pauses.were_needed());
        let all: Vec<_> = std::iter::from_fn(|| pauses.next()).collect();
        assert!(all.is_sorted());
        let total: Duration = all.iter().sum();
        assert!((45..=75).contains(&total.as_secs()), "{total:?}");
        assert_eq!(pauses.next(), None);
        // A server that never takes a frame is not tried for ever.
        pauses.progress(7);
        assert!(pauses.next().is_some());
        let left = PAUSES_MILLIS.len() - 2;
        for _ in 0..left {
            pauses.progress(7);
            assert!(pauses.next().is_some());
        }
        pauses.progress(7);
        assert_eq!(pauses.next(), None);
        pauses.progress(8);
        assert!(pauses.next().is_some());
    }

    #[test]
    fn what_may_be_wanted_again_is_kept_and_no_more() {
        let mut kept = Kept::from(10);
        let frame = Bytes::from(vec![0; KEPT_BYTES / 4]);
        for _ in 0..4 {
            assert!(kept.has_room(frame.len()));
            kept.push(frame.clone());
        }
        assert_eq!((kept.first, kept.end(), kept.bytes), (10, 14, KEPT_BYTES));
        assert!(kept.get(10).is_some() && kept.get(13).is_some());
        assert!(kept.get(9).is_none() && kept.get(14).is_none());
        // Nothing of it was taken: there is no room, however often one asks.
        assert!(!kept.has_room(1) && !kept.has_room(1));
        kept.taken = 12;
        assert!(kept.has_room(1));
        assert_eq!((kept.first, kept.bytes), (11, KEPT_BYTES / 4 * 3));
        kept.forget_before(100);
        assert_eq!((kept.first, kept.end(), kept.bytes), (14, 14, 0));
        // One that is larger than all that is kept passes alone.
        assert!(kept.has_room(KEPT_BYTES + 1));
    }
}
