//! `headcast render`: speech in, a folder to play out.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headcast::ClipFolderError;
use headcast::audio::Cut;
use headcast::core::Timeline;
use headcast::media::store::file_name;
use headcast::nerf::Profile;

use super::args::{ProfileName, RenderOptions};
use super::avatar::failure as avatar_failure;
use super::failure::Failure;
use super::progress::Progress;
use super::shutdown;
use crate::data_dir;
use crate::jobs::{Level, OpenErrorKind, Phase, Reporter};
use crate::render::{Left, RenderError, Request, Watcher, render};
use crate::studio::{Choice, EngineSettings, LocalStudio, Recording, build_notes};

pub(super) fn run(options: &RenderOptions) -> Result<(), Failure> {
    let progress = Progress::new(options.quiet);
    let data_dir = data_dir::choose(options.data.data_dir.clone()).map_err(Failure::machine)?;
    let engine = EngineSettings::from_env(options.engine.threads).map_err(Failure::input)?;
    let studio = LocalStudio::new(&data_dir, engine).with_spools_beside(&options.output);
    for note in build_notes() {
        progress.say(&format!("note: {note}"));
    }
    let interrupted = shutdown::flag().map_err(Failure::machine)?;
    let name = options.audio.file_name().map_or_else(|| "audio".into(), |name| name.to_string_lossy());
    let cut = Cut::from_secs(options.start, options.end).map_err(Failure::input)?;
    let recording = Recording::open(&options.audio).map_err(|error| unreadable(&options.audio, &error))?;
    let request = Request {
        avatar: options.avatar.clone(),
        recording,
        name: name.into_owned(),
        cut,
        features: options.features.clone(),
        profile: options.profile.into(),
        look: options.body.look().map_err(Failure::input)?,
        output: options.output.clone(),
        frames: options.frames.clone(),
    };
    let mut terminal = Terminal { progress, interrupted: &interrupted };
    let rendered = render(&studio, request, &mut terminal);
    terminal.progress.finish();
    let rendered = rendered?;
    terminal.progress.say(&format!(
        "{} and {} are ready",
        rendered.playlist.display(),
        rendered.video.display()
    ));
    Ok(())
}

impl From<ProfileName> for Choice {
    fn from(name: ProfileName) -> Self {
        Self::Profile(match name {
            ProfileName::Auto => return Self::Auto,
            ProfileName::Quality => Profile::Quality,
            ProfileName::Fast => Profile::Fast,
            ProfileName::Preview => Profile::Preview,
            ProfileName::Parity => Profile::Parity,
        })
    }
}

impl From<ClipFolderError> for Failure {
    fn from(error: ClipFolderError) -> Self {
        match error {
            ClipFolderError::Foreign { .. } => Self::input(error),
            error => Self::machine(error),
        }
    }
}

impl From<RenderError> for Failure {
    fn from(error: RenderError) -> Self {
        let text = error.to_string();
        match error {
            RenderError::Avatar(error) => avatar_failure(error),
            RenderError::Folder(error) => error.into(),
            RenderError::Interrupted => Self::Interrupted("interrupted; nothing was written".to_owned()),
            RenderError::Open { source, .. } if source.kind == OpenErrorKind::Internal => {
                Self::machine(source)
            }
            RenderError::UnknownAvatar { .. } | RenderError::Open { .. } | RenderError::Unreadable { .. } => {
                Self::Input(text)
            }
            // Whose fault it is does not depend on how far it came.
            RenderError::Partial { made, planned, source } => match *source {
                RenderError::Interrupted => Self::Interrupted("interrupted".to_owned()),
                source => source.into(),
            }
            .with(Left { made, planned }),
            RenderError::Frames { .. } | RenderError::Make(_) => Self::Machine(text),
        }
    }
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::input(format!("{} cannot be read: {error}", path.display()))
}

struct Terminal<'a> {
    progress: Progress,
    interrupted: &'a Arc<AtomicBool>,
}

impl Reporter for Terminal<'_> {
    fn phase(&self, _phase: Phase) {}

    fn log(&self, _level: Level, message: &str) {
        self.progress.say(message);
    }

    fn cancelled(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

impl Watcher for Terminal<'_> {
    fn start(&mut self, timeline: &Timeline) {
        self.progress.start(0, Some(timeline.frames()), timeline.frame_rate());
    }

    fn frame(&mut self) {
        self.progress.frame();
    }

    fn segment(&mut self, index: usize) {
        self.progress.segment(&file_name(index));
    }

    fn interruption(&self) -> Option<Arc<AtomicBool>> {
        Some(Arc::clone(self.interrupted))
    }

    fn warning(&mut self, text: &str) {
        self.progress.say(&format!("warning: {text}"));
    }
}
