//! The threads on which voices speak the texts of jobs: a voice may take minutes, and no renderer waits for it.

use std::sync::OnceLock;
use std::time::Instant;

use super::event::Level;
use super::job::{Failure, Job};
use super::script::Script;
use super::shared::Shared;
use super::studio::{OpenError, Phase, Reporter};
use super::worker::{attend, no_room};
use crate::voices::VoiceError;

/// Texts that are spoken at the same time: a voice that hangs does not hold up everyone else, and few voices are faster
/// with more.
pub(super) const AT_ONCE: usize = 2;

/// Speaks until the table says stop.
pub(super) fn run(shared: &Shared) {
    while let Some(job) = shared.next_unspoken() {
        attend(shared, &job, || {
            if job.begin() {
                speak(shared, &job);
            }
        });
    }
}

/// Lets a voice speak the text of a job: the sound is kept with the job as an upload is, and the job waits for a renderer.
fn speak(shared: &Shared, job: &Job) {
    let Some(script) = &job.request().script else { return };
    let folder = shared.disk.folder(job.id());
    let narrator = Narrator { shared, job, before: job.disk_bytes(), no_room: OnceLock::new() };
    let spoken = keep(shared, script, &narrator);
    if spoken.is_err() {
        // It is of no use to the next voice. There may be none: the first sentence failed.
        let _ = std::fs::remove_file(folder.unfinished_input());
    }
    job.set_disk_bytes(folder.size());
    match (spoken, narrator.no_room.into_inner()) {
        (Ok(()), _) => job.spoken(),
        (Err(_), _) if job.is_stopped() => {}
        // Only now, when it takes no room any more: a job that is over makes room for others.
        (Err(_), Some(failure)) => job.fail(failure),
        (Err(error), None) => job.fail(Failure { code: error.code, message: error.message }),
    }
}

fn keep(shared: &Shared, script: &Script, narrator: &Narrator<'_>) -> Result<(), OpenError> {
    let job = narrator.job;
    let folder = shared.disk.folder(job.id());
    job.phase(Phase::Speaking);
    let (characters, voice) = (script.text.chars().count(), script.voice.as_deref().unwrap_or_default());
    job.log(Level::Info, format!("Speaking the text: {characters} characters with {voice}"));
    let began = Instant::now();
    let cues = shared.studio.speak(script, &folder.unfinished_input(), narrator)?;
    folder.keep_speech(&cues).map_err(|error| OpenError::from(VoiceError::Disk(error)))?;
    let (sentences, secs) = (cues.len(), began.elapsed().as_secs_f64());
    job.log(Level::Info, format!("{sentences} sentences spoken in {secs:.2} s"));
    Ok(())
}

/// Passes on what a voice says to the job that it speaks for, and counts what it writes.
struct Narrator<'a> {
    shared: &'a Shared,
    job: &'a Job,
    /// What the job took on the disk before.
    before: u64,
    /// Why it is to end, where that is not the voice's fault.
    no_room: OnceLock<Failure>,
}

impl Reporter for Narrator<'_> {
    fn phase(&self, phase: Phase) {
        self.job.phase(phase);
    }

    fn log(&self, level: Level, message: &str) {
        self.job.log(level, message);
    }

    fn cancelled(&self) -> bool {
        self.job.is_stopped()
    }

    fn has_room(&self, bytes: u64) -> bool {
        self.job.set_disk_bytes(self.before + bytes);
        let Some(over) = self.shared.over_limit() else { return true };
        let _ = self.no_room.set(no_room(over));
        false
    }
}
