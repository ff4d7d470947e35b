//! A folder that plays: the playlist first, segments as they are made, then the whole video.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headcast_core::SegmentPlan;
use headcast_media::mp4::{self, WriteError};
use headcast_media::segment;
use headcast_media::store::{Folder, SegmentStore as _, StoreError, index_of};

/// `index.m3u8`, `segment_00000.ts` … and `video.mp4` in one folder, which one process fills.
#[derive(Debug, Clone)]
pub struct ClipFolder {
    segments: Arc<Folder>,
}

/// Why a folder cannot take a clip.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClipFolderError {
    /// Choose another folder: nothing in this one was touched.
    #[error("{} holds {what} that headcast did not write; choose another folder", path.display())]
    Foreign {
        /// The folder.
        path: PathBuf,
        /// What was found in it.
        what: &'static str,
    },
    /// See there.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Make the clip again: its segments were changed or removed.
    #[error("video.mp4 cannot be made: {0}")]
    Video(#[source] WriteError),
}

impl ClipFolder {
    /// Makes the folder and removes what an earlier clip left in it: its playlist, segments and captions. An older
    /// `video.mp4` stays until the new one takes its place.
    ///
    /// # Errors
    /// [`ClipFolderError::Foreign`] when there are playlists or segments of somebody else's, [`ClipFolderError::Store`]
    /// when it cannot be written to.
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, ClipFolderError> {
        let folder = Self::reopen(path)?;
        // Without a playlist, captions are somebody else's.
        if folder.playlist()?.is_some() {
            CAPTIONS.iter().try_for_each(|name| folder.remove(&folder.path().join(name)))?;
        }
        folder.remove_segments(0)?;
        folder.remove_playlist()?;
        Ok(folder)
    }

    /// Opens the folder, or makes it, and keeps what is in it.
    ///
    /// # Errors
    /// As [`Self::create`].
    pub fn reopen(path: impl Into<PathBuf>) -> Result<Self, ClipFolderError> {
        let folder = Self { segments: Arc::new(Folder::open(path)?) };
        let playlist = folder.playlist()?;
        if playlist.is_none() && !folder.segments.list()?.is_empty() {
            return Err(folder.foreign("segments without a playlist"));
        }
        let playlist = playlist.unwrap_or_default();
        let ours = |line: &str| line.starts_with('#') || index_of(line).is_some();
        if playlist.lines().all(ours) { Ok(folder) } else { Err(folder.foreign("a playlist")) }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        self.segments.path()
    }

    /// Its segments.
    pub fn segments(&self) -> &Arc<Folder> {
        &self.segments
    }

    /// Where its playlist is or will be.
    pub fn playlist_path(&self) -> PathBuf {
        self.path().join(PLAYLIST)
    }

    /// Where the whole video is or will be.
    pub fn video_path(&self) -> PathBuf {
        self.path().join(VIDEO)
    }

    /// Its playlist, if there is one.
    ///
    /// # Errors
    /// [`ClipFolderError`] when it cannot be read or is no text.
    pub fn playlist(&self) -> Result<Option<String>, ClipFolderError> {
        match fs::read_to_string(self.playlist_path()) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(self.foreign("a playlist")),
            Err(error) => Err(StoreError::new(self.playlist_path(), error).into()),
        }
    }

    /// Replaces the playlist: a player sees the old one or the new one.
    ///
    /// # Errors
    /// [`ClipFolderError::Store`]; then the old one is still there.
    pub fn write_playlist(&self, text: &str) -> Result<(), ClipFolderError> {
        self.write_text(PLAYLIST, text)
    }

    /// Writes `captions.vtt` and `captions.srt`: what is said in the clip.
    ///
    /// # Errors
    /// [`ClipFolderError::Store`].
    pub fn write_captions(&self, vtt: &str, srt: &str) -> Result<(), ClipFolderError> {
        CAPTIONS.into_iter().zip([vtt, srt]).try_for_each(|(name, text)| self.write_text(name, text))
    }

    /// Removes the playlist, if there is one: without a segment there is nothing to play.
    ///
    /// # Errors
    /// [`ClipFolderError::Store`].
    pub fn remove_playlist(&self) -> Result<(), ClipFolderError> {
        self.remove(&self.playlist_path())
    }

    /// Removes the segments from `first` on.
    ///
    /// # Errors
    /// [`ClipFolderError::Store`].
    pub fn remove_segments(&self, first: usize) -> Result<(), ClipFolderError> {
        let mut after = self.segments.list()?.into_iter().filter(|&index| index >= first);
        after.try_for_each(|index| self.remove(&self.segments.segment_path(index)))
    }

    /// Makes `video.mp4` of the segments of `plan`, which must all be there. An older one stays until it is whole.
    ///
    /// # Errors
    /// [`ClipFolderError`].
    pub fn write_video(&self, config: &segment::Config, plan: &SegmentPlan) -> Result<(), ClipFolderError> {
        self.segments.write_file(VIDEO, |file| {
            mp4::write(config, plan, &*self.segments, file).map_err(|error| match error {
                WriteError::Io(error) => StoreError::new(self.video_path(), error).into(),
                WriteError::Store(error) => error.into(),
                error => ClipFolderError::Video(error),
            })
        })
    }

    fn write_text(&self, name: &str, text: &str) -> Result<(), ClipFolderError> {
        self.segments.write_file(name, |file| {
            file.write_all(text.as_bytes())
                .map_err(|error| StoreError::new(self.path().join(name), error).into())
        })
    }

    fn remove(&self, path: &Path) -> Result<(), ClipFolderError> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::new(path, error).into()),
            _ => Ok(()),
        }
    }

    fn foreign(&self, what: &'static str) -> ClipFolderError {
        ClipFolderError::Foreign { path: self.path().to_owned(), what }
    }
}

const PLAYLIST: &str = "index.m3u8";
const VIDEO: &str = "video.mp4";
const CAPTIONS: [&str; 2] = ["captions.vtt", "captions.srt"];
