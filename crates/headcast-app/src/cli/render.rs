//! `headcast render`: speech in, a folder to play out.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use headcast::core::RgbImage;
use headcast::core::timeline::{event_playlist, vod_playlist};
use headcast::media::store::{SegmentStore as _, file_name};
use headcast::nerf::Profile;
use headcast::nerf::avatar::Avatar;
use headcast::source::{FrameDone, MakeError};
use headcast::{ClipFolder, ClipFolderError, SegmentSource, Session};

use super::args::{ProfileName, RenderOptions};
use super::avatar::failure as avatar_failure;
use super::failure::Failure;
use super::progress::Progress;
use super::shutdown;
use crate::data_dir;
use crate::jobs::{Level, OpenError, OpenErrorKind, Phase, Reporter};
use crate::studio::{EngineSettings, LocalStudio, Prepared, Recording, build_notes};

pub(super) fn run(options: &RenderOptions) -> Result<(), Failure> {
    let mut progress = Progress::new(options.quiet);
    let data_dir = data_dir::choose(options.data.data_dir.clone()).map_err(Failure::machine)?;
    let engine = EngineSettings::from_env(options.engine.threads).map_err(Failure::input)?;
    let studio = LocalStudio::new(&data_dir, engine).with_spools_beside(&options.output);
    for note in build_notes() {
        progress.say(&format!("note: {note}"));
    }
    let interrupted = shutdown::flag().map_err(Failure::machine)?;

    // Everything that can be wrong with what the user gave is found before anything is written.
    let name = options.audio.file_name().map_or_else(|| "audio".into(), |name| name.to_string_lossy());
    let open = |path: &Path| Recording::open(path).map_err(|error| unreadable(path, &error));
    let recording = open(&options.audio)?;
    let features = options.features.as_deref().map(open).transpose()?;
    let prepared = prepare(&studio, &options.avatar, options.profile.into())?;
    let reporter = Terminal { progress: &progress, interrupted: &interrupted };
    let (session, warnings) = studio
        .session(&prepared, recording, &name, features, &reporter)
        .map_err(|error| open_failure(error, &options.audio))?;
    for warning in warnings {
        progress.say(&format!("warning: {warning}"));
    }

    let output = Output::create(&options.output, options.frames.as_deref())?;
    let made = output.segments(&session, &mut progress, &interrupted);
    progress.finish();
    made?;
    output.clip.write_video(session.config(), session.plan())?;
    progress.say(&format!(
        "{} and {} are ready",
        output.clip.playlist_path().display(),
        output.clip.video_path().display()
    ));
    Ok(())
}

impl From<ClipFolderError> for Failure {
    fn from(error: ClipFolderError) -> Self {
        match error {
            ClipFolderError::Foreign { .. } => Self::input(error),
            error => Self::machine(error),
        }
    }
}

impl From<ProfileName> for Profile {
    fn from(name: ProfileName) -> Self {
        match name {
            ProfileName::Quality => Self::Quality,
            ProfileName::Parity => Self::Parity,
        }
    }
}

/// An avatar by its name, or else by its folder.
fn prepare(studio: &LocalStudio, avatar: &str, profile: Profile) -> Result<Prepared, Failure> {
    let folder = Path::new(avatar);
    let known = studio.known_avatars().load(avatar).map_err(avatar_failure)?;
    let avatar = match known {
        Some(avatar) => avatar,
        None if folder.is_dir() => Avatar::load(folder).map_err(avatar_failure)?,
        None => {
            return Err(Failure::input(format!(
                "there is no avatar \"{avatar}\" and no folder of that name; `headcast avatar list` shows the \
                 avatars, `headcast avatar import` makes one"
            )));
        }
    };
    studio.prepare(avatar, profile).map_err(|error| open_failure(error, folder))
}

pub(super) fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::input(format!("{} cannot be read: {error}", path.display()))
}

fn open_failure(error: OpenError, path: &Path) -> Failure {
    match (error.code, error.kind) {
        ("cancelled", _) => Failure::Interrupted("interrupted; nothing was written".to_owned()),
        (_, OpenErrorKind::Internal) => Failure::machine(error),
        _ => Failure::input(format!("{}: {error}", path.display())),
    }
}

struct Terminal<'a> {
    progress: &'a Progress,
    interrupted: &'a AtomicBool,
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

/// What is filled: a folder that plays, and perhaps one of frames.
struct Output<'a> {
    clip: ClipFolder,
    frames: Option<&'a Path>,
}

impl<'a> Output<'a> {
    /// Makes the folders and removes what an earlier run left in them: see [`ClipFolder::create`], and frames.
    fn create(dir: &Path, frames: Option<&'a Path>) -> Result<Self, Failure> {
        if let Some(folder) = frames {
            fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
            for entry in fs::read_dir(folder).map_err(|error| unwritable(folder, &error))?.flatten() {
                if is_frame(&entry.file_name().to_string_lossy()) {
                    fs::remove_file(entry.path()).map_err(|error| unwritable(folder, &error))?;
                }
            }
        }
        Ok(Self { clip: ClipFolder::create(dir)?, frames })
    }

    /// The complete playlist first, then every segment.
    ///
    /// If it cannot be finished, the playlist is cut to what there is, so that it plays, or removed.
    fn segments(
        &self,
        session: &Session,
        progress: &mut Progress,
        interrupted: &AtomicBool,
    ) -> Result<(), Failure> {
        let plan = session.plan();
        self.clip.write_playlist(&vod_playlist(plan, file_name))?;
        let timeline = plan.timeline();
        progress.start(0, Some(timeline.frames()), timeline.frame_rate());
        for index in 0..plan.len() {
            let made = self.segment(session, index, progress, interrupted);
            let Err(failure) = made else { continue };
            let left = if index == 0 {
                // What went wrong first counts.
                let _ = self.clip.remove_playlist();
                "nothing was kept".to_owned()
            } else {
                self.clip.write_playlist(&event_playlist(plan, index, true, file_name))?;
                format!("the {index} of {} segments that are finished play", plan.len())
            };
            return Err(failure.with(left));
        }
        Ok(())
    }

    fn segment(
        &self,
        session: &Session,
        index: usize,
        progress: &mut Progress,
        interrupted: &AtomicBool,
    ) -> Result<(), Failure> {
        let mut frame_error = None;
        let made = session.make_segment(index, &mut |done: FrameDone<'_>| {
            progress.frame();
            if let Some(folder) = self.frames
                && let Err(error) = write_png(folder, &frame_name(done.frame.0), done.image)
            {
                frame_error = Some(unwritable(folder, &error));
                return ControlFlow::Break(());
            }
            if interrupted.load(Ordering::Relaxed) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        let bytes = made.map_err(|error| match (error, frame_error) {
            (MakeError::Cancelled, Some(failure)) => failure,
            (MakeError::Cancelled, None) => Failure::Interrupted("interrupted".to_owned()),
            (error, _) => Failure::machine(error),
        })?;
        self.clip.segments().put(index, bytes).map_err(Failure::machine)?;
        progress.segment(&file_name(index));
        Ok(())
    }
}

fn frame_name(frame: u64) -> String {
    format!("frame_{frame:06}.png")
}

fn is_frame(name: &str) -> bool {
    let number = name.strip_prefix("frame_").and_then(|rest| rest.strip_suffix(".png"));
    number.and_then(|digits| digits.parse().ok()).is_some_and(|frame| frame_name(frame) == name)
}

/// Under another name first: a frame is there whole or not at all.
fn write_png(folder: &Path, name: &str, image: &RgbImage) -> io::Result<()> {
    let draft = folder.join(format!(".{name}.part"));
    let mut encoder = png::Encoder::new(BufWriter::new(File::create(&draft)?), image.width(), image.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    // Frames are for looking at: writing them must not be slower than rendering them.
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(image.data())?;
    writer.finish()?;
    fs::rename(&draft, folder.join(name))
}

fn unwritable(dir: &Path, error: &io::Error) -> Failure {
    Failure::machine(format!(
        "cannot write to {}: {error}; free some space or choose another folder",
        dir.display()
    ))
}
