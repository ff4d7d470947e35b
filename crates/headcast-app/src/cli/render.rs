//! `headcast render`: speech in, a folder to play out.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headcast::ClipFolderError;
use headcast::audio::Cut;
use headcast::core::Timeline;
use headcast::media::store::file_name;
use headcast::nerf::Profile;

use tempfile::TempDir;

use super::args::{ProfileName, RenderOptions};
use super::avatar::failure as avatar_failure;
use super::failure::Failure;
use super::progress::Progress;
use super::shutdown;
use crate::captions::Cue;
use crate::data_dir;
use crate::jobs::{Level, OpenErrorKind, Phase, Reporter, Script};
use crate::render::{Left, RenderError, Request, Watcher, render};
use crate::studio::{Choice, EngineSettings, LocalStudio, Recording, build_notes};
use crate::voices::VoiceError;

pub(super) fn run(options: &RenderOptions) -> Result<(), Failure> {
    let progress = Progress::new(options.quiet);
    let data_dir = data_dir::choose(options.data.data_dir.clone()).map_err(Failure::machine)?;
    let engine = EngineSettings::from_env(options.engine.threads).map_err(Failure::input)?;
    let studio = LocalStudio::new(&data_dir, engine).with_spools_beside(&options.output);
    for note in build_notes() {
        progress.say(&format!("note: {note}"));
    }
    let interrupted = shutdown::flag().map_err(Failure::machine)?;
    let cut = Cut::from_secs(options.start, options.end).map_err(Failure::input)?;
    let mut terminal = Terminal { progress, interrupted: &interrupted };
    let spoken = match &options.audio {
        Some(_) => None,
        None => Some(speak(options, &data_dir, &terminal)?),
    };
    let path = match (&options.audio, &spoken) {
        (Some(audio), _) => audio,
        (None, Some(spoken)) => &spoken.sound,
        (None, None) => {
            return Err(Failure::input("there is neither a recording nor a text; give one of them"));
        }
    };
    let name = path.file_name().map_or_else(|| "audio".into(), |name| name.to_string_lossy());
    let recording = Recording::open(path).map_err(|error| unreadable(path, &error))?;
    let request = Request {
        avatar: options.avatar.clone(),
        recording,
        name: name.into_owned(),
        cut,
        features: options.features.clone(),
        profile: options.profile.into(),
        look: options.body.look().map_err(Failure::input)?,
        captions: spoken.as_ref().map(|spoken| spoken.cues.clone()).unwrap_or_default(),
        output: options.output.clone(),
        frames: options.frames.clone(),
    };
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

/// A text as a voice has spoken it.
struct Spoken {
    /// Holds the sound; deleted with this.
    _folder: TempDir,
    sound: PathBuf,
    cues: Vec<Cue>,
}

fn speak(options: &RenderOptions, data_dir: &Path, terminal: &Terminal<'_>) -> Result<Spoken, Failure> {
    let text = match (&options.text, &options.text_file) {
        (Some(text), _) => text.clone(),
        (None, Some(path)) => text_of(path)?,
        (None, None) => String::new(),
    };
    let length = text.chars().count();
    let failed = |error: VoiceError| match error {
        VoiceError::Cancelled => Failure::Interrupted("interrupted; nothing was written".to_owned()),
        error if error.kind().0 == OpenErrorKind::Internal => Failure::machine(error),
        error => Failure::input(error),
    };
    if length > Script::MAX_CHARS {
        return Err(failed(VoiceError::TooLong { length, limit: Script::MAX_CHARS }));
    }
    let voices = options.voices.voices(data_dir)?;
    let first = || voices.list().into_iter().next().map(|listed| listed.voice.name);
    let voice = options.voice.clone().or_else(first).ok_or(VoiceError::None).map_err(failed)?;
    terminal.progress.say(&format!("Speaking the text: {length} characters with {voice}"));
    let folder = tempfile::Builder::new().prefix("headcast-speech-").tempdir();
    let folder = folder.map_err(|error| failed(VoiceError::Disk(error)))?;
    let sound = folder.path().join("speech.wav");
    let script = Script { text, voice: Some(voice), speed: options.speed };
    let cues = voices.speak(&script, &sound, &|| terminal.cancelled()).map_err(failed)?;
    Ok(Spoken { _folder: folder, sound, cues })
}

/// A text file, of which no more is read than can be spoken.
fn text_of(path: &Path) -> Result<String, Failure> {
    let unreadable = |error: io::Error| unreadable(path, &error);
    let limit = 4 * Script::MAX_CHARS as u64 + 4;
    let mut bytes = Vec::new();
    File::open(path).map_err(unreadable)?.take(limit).read_to_end(&mut bytes).map_err(unreadable)?;
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_other| {
        Failure::input(format!(
            "{} is no UTF-8 text of at most {} characters",
            path.display(),
            Script::MAX_CHARS
        ))
    })?;
    // As some editors begin a file.
    Ok(text.strip_prefix('\u{feff}').map_or_else(|| text.clone(), str::to_owned))
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
