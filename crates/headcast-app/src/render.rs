//! One avatar speaks one clip into a folder: what `headcast render` and the Python package do.

use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use headcast::audio::Cut;
use headcast::core::timeline::{event_playlist, vod_playlist};
use headcast::core::{RgbImage, Timeline};
use headcast::media::store::{SegmentStore as _, StoreError, file_name};
use headcast::nerf::avatar::{Avatar, AvatarError};
use headcast::source::{FrameDone, MakeError};
use headcast::{ClipFolder, ClipFolderError, SegmentSource, Session};

use crate::captions::{Cue, srt, webvtt};
use crate::jobs::{OpenError, Reporter};
use crate::picture;
use crate::studio::{Choice, LocalStudio, Look, Prepared, Recording};

/// What is to be rendered, and where to.
#[derive(Debug)]
pub struct Request {
    /// Name of an avatar, or else the folder of one.
    pub avatar: String,
    /// The speech.
    pub recording: Recording,
    /// What it is called: a hint for the decoder, and its name in messages.
    pub name: String,
    /// What is spoken of it.
    pub cut: Cut,
    /// A `.npy` file of speech features made elsewhere; `None` to use the built-in model.
    pub features: Option<PathBuf>,
    /// Quality against fidelity to upstream.
    pub profile: Choice,
    /// What the avatar does besides speaking, and in front of what.
    pub look: Look,
    /// What is said and when, in seconds of the clip, where that is known.
    pub captions: Vec<Cue>,
    /// Folder for the playlist, the segments and `video.mp4`.
    pub output: PathBuf,
    /// Folder for every frame as PNG.
    pub frames: Option<PathBuf>,
}

/// Follows a render. What it is told as a [`Reporter`] comes first.
pub trait Watcher: Reporter {
    /// The clip is read; its frames follow.
    fn start(&mut self, timeline: &Timeline);

    /// One more frame is rendered.
    fn frame(&mut self);

    /// This segment is in the folder.
    fn segment(&mut self, index: usize);

    /// What is set when the user wants it to end; where there is one, it ends in the middle of a frame.
    fn interruption(&self) -> Option<Arc<AtomicBool>> {
        None
    }

    /// The user should know this.
    fn warning(&mut self, text: &str);
}

/// Why nothing, or not everything, was rendered.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// Use one of the avatars that there are, or import it.
    #[error(
        "there is no avatar \"{name}\" and no folder of that name; `headcast avatar list` shows the avatars, \
         `headcast avatar import` makes one"
    )]
    UnknownAvatar {
        /// As given.
        name: String,
    },
    /// See there.
    #[error(transparent)]
    Avatar(#[from] AvatarError),
    /// See there.
    #[error("{name}: {source}")]
    Open {
        /// What it is about: the recording, or the avatar.
        name: String,
        /// The reason.
        source: OpenError,
    },
    /// Check that it is there and may be read.
    #[error("{} cannot be read: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Choose another folder, or free some space.
    #[error(transparent)]
    Folder(#[from] ClipFolderError),
    /// Free some space, or choose another folder.
    #[error("cannot write to {}: {source}; free some space or choose another folder", path.display())]
    Frames {
        /// The folder of frames.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A fault of the renderer or the encoder.
    #[error(transparent)]
    Make(MakeError),
    /// The watcher asked to stop.
    #[error("interrupted")]
    Interrupted,
    /// It could not be finished; what there is plays.
    #[error("{source} ({})", Left { made: *.made, planned: *.planned })]
    Partial {
        /// Segments that play.
        made: usize,
        /// Segments of the clip.
        planned: usize,
        /// Why there are no more.
        source: Box<Self>,
    },
}

/// What is left of a clip that was not finished, in words.
pub(crate) struct Left {
    pub(crate) made: usize,
    pub(crate) planned: usize,
}

impl std::fmt::Display for Left {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.made {
            0 => f.write_str("nothing was kept"),
            made => write!(f, "the {made} of {} segments that are finished play", self.planned),
        }
    }
}

/// What was rendered.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rendered {
    /// `index.m3u8`.
    pub playlist: PathBuf,
    /// `video.mp4`.
    pub video: PathBuf,
    /// Frames of the clip.
    pub frames: u64,
    /// Segments of the clip.
    pub segments: usize,
}

/// Renders a clip: `index.m3u8` first, segments as they come, then `video.mp4`.
///
/// # Errors
/// [`RenderError`]. Everything that can be wrong with what the user gave is found before anything is written.
pub fn render(
    studio: &LocalStudio,
    request: Request,
    watcher: &mut dyn Watcher,
) -> Result<Rendered, RenderError> {
    let open =
        |path: PathBuf| Recording::open(&path).map_err(|source| RenderError::Unreadable { path, source });
    let features = request.features.map(open).transpose()?;
    let prepared = prepare(studio, &request.avatar, request.profile, &request.look)?;
    let opened =
        studio.session(&prepared, request.recording, &request.name, request.cut, features, &*watcher);
    let (session, warnings) = opened.map_err(|error| open_error(error, &request.name))?;
    for warning in warnings {
        watcher.warning(&warning);
    }
    let output = Output::create(&request.output, request.frames)?;
    if !request.captions.is_empty() {
        output.clip.write_captions(&webvtt(&request.captions), &srt(&request.captions))?;
    }
    output.segments(&session, watcher)?;
    output.clip.write_video(session.config(), session.plan())?;
    Ok(Rendered {
        playlist: output.clip.playlist_path(),
        video: output.clip.video_path(),
        frames: session.plan().timeline().frames(),
        segments: session.plan().len(),
    })
}

/// An avatar by its name, or else by its folder.
fn prepare(studio: &LocalStudio, avatar: &str, choice: Choice, look: &Look) -> Result<Prepared, RenderError> {
    let folder = Path::new(avatar);
    let loaded = match studio.known_avatars().load(avatar)? {
        Some(loaded) => loaded,
        None if folder.is_dir() => Avatar::load(folder)?,
        None => return Err(RenderError::UnknownAvatar { name: avatar.to_owned() }),
    };
    studio.prepare(loaded, choice, look).map_err(|error| open_error(error, avatar))
}

fn open_error(error: OpenError, name: &str) -> RenderError {
    match error.code {
        "cancelled" => RenderError::Interrupted,
        _ => RenderError::Open { name: name.to_owned(), source: error },
    }
}

/// What is filled: a folder that plays, and perhaps one of frames.
struct Output {
    clip: ClipFolder,
    frames: Option<PathBuf>,
}

impl Output {
    /// Makes the folders and removes what an earlier run left in them: see [`ClipFolder::create`], and frames.
    fn create(dir: &Path, frames: Option<PathBuf>) -> Result<Self, RenderError> {
        if let Some(folder) = &frames {
            let failed = |source| RenderError::Frames { path: folder.clone(), source };
            fs::create_dir_all(folder).map_err(failed)?;
            for entry in fs::read_dir(folder).map_err(failed)?.flatten() {
                if is_frame(&entry.file_name().to_string_lossy()) {
                    fs::remove_file(entry.path()).map_err(failed)?;
                }
            }
        }
        Ok(Self { clip: ClipFolder::create(dir)?, frames })
    }

    /// The complete playlist first, then every segment.
    ///
    /// If it cannot be finished, the playlist is cut to what there is, so that it plays, or removed.
    fn segments(&self, session: &Session, watcher: &mut dyn Watcher) -> Result<(), RenderError> {
        let plan = session.plan();
        self.clip.write_playlist(&vod_playlist(plan, file_name))?;
        watcher.start(plan.timeline());
        for index in 0..plan.len() {
            let Err(source) = self.segment(session, index, watcher) else { continue };
            if index == 0 {
                // What went wrong first counts.
                let _ = self.clip.remove_playlist();
            } else {
                self.clip.write_playlist(&event_playlist(plan, index, true, file_name))?;
            }
            return Err(RenderError::Partial { made: index, planned: plan.len(), source: Box::new(source) });
        }
        Ok(())
    }

    fn segment(&self, session: &Session, index: usize, watcher: &mut dyn Watcher) -> Result<(), RenderError> {
        let mut frame_error = None;
        let interruption = watcher.interruption();
        let stop = || interruption.as_ref().is_some_and(|flag| flag.load(Ordering::Relaxed));
        let made = session.make_segment_until(index, &stop, &mut |done: FrameDone<'_>| {
            watcher.frame();
            if let Some(folder) = &self.frames
                && let Err(source) = write_png(folder, &frame_name(done.frame.0), done.image)
            {
                frame_error = Some(RenderError::Frames { path: folder.clone(), source });
                return ControlFlow::Break(());
            }
            if watcher.cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        let bytes = made.map_err(|error| match error {
            MakeError::Cancelled => frame_error.unwrap_or(RenderError::Interrupted),
            error => RenderError::Make(error),
        })?;
        let stored: Result<(), StoreError> = self.clip.segments().put(index, bytes);
        stored.map_err(ClipFolderError::from)?;
        watcher.segment(index);
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
    fs::write(&draft, picture::png(image)?)?;
    fs::rename(&draft, folder.join(name))
}
