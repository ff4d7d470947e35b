//! The folder of one job: its input, its card, its poster and its segments.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use headcast::core::timeline::ClipPlan;
use headcast::media::store::{Folder, SegmentStore, StoreError};
use headcast::media::ts;
use tempfile::TempPath;

use super::super::studio::{Input, JobRequest};
use super::card;
use super::record::Row;
use crate::captions::Cue;

/// Names are ours: what a client calls its file is text in the table.
const INPUT: &str = "input";
const FEATURES: &str = "features.npy";
const BACKGROUND: &str = "background";
const CAPTIONS: &str = "captions.json";
const POSTER: &str = "poster.png";

/// Longest list of cues that is read, in bytes: a text of the longest length in sentences of a word has less.
const MAX_CAPTIONS: u64 = 4 << 20;

/// Largest poster that is read, in bytes: more than a picture of the largest size has.
const MAX_POSTER: u64 = 64 << 20;

/// Packets of a PID come in sixteens, so the size of a segment is a multiple of this.
const SIZE_STEP: u64 = 16 * ts::PACKET_BYTES as u64;

/// A folder that need not exist yet.
#[derive(Debug, Clone)]
pub(in super::super) struct JobFolder {
    path: PathBuf,
}

impl JobFolder {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Where the clip is.
    pub(in super::super) fn input(&self) -> PathBuf {
        self.path.join(INPUT)
    }

    /// Brings the input of a new job and its card to the disk, for good. `upload` is moved here; other audio is copied.
    pub(in super::super) fn accept(
        &self,
        request: &JobRequest,
        upload: Option<TempPath>,
        card: &[u8],
    ) -> io::Result<()> {
        fs::create_dir_all(&self.path)?;
        let JobRequest { audio, features, background, captions, .. } = request;
        match (upload, audio) {
            (Some(upload), _) => {
                // Write access: Windows syncs nothing through a handle that may only read.
                File::options().write(true).open(&upload)?.sync_all()?;
                upload.persist(self.input()).map_err(|refused| refused.error)?;
            }
            (None, Input::File(path)) => {
                fs::copy(path, self.input())?;
                File::options().write(true).open(self.input())?.sync_all()?;
            }
            // What a voice is to speak is a file as soon as it has.
            (None, _) if request.is_unspoken() => {}
            (None, Input::Memory(bytes)) => write(&self.input(), bytes)?,
        }
        for (file, name) in [(features, FEATURES), (background, BACKGROUND), (captions, CAPTIONS)] {
            let path = self.path.join(name);
            match file {
                Some(Input::File(from)) => link(from, &path)?,
                Some(Input::Memory(bytes)) => write(&path, bytes)?,
                None => {}
            }
        }
        write(&self.path.join(card::FILE_NAME), card)?;
        sync_folder(&self.path)?;
        self.path.parent().map_or(Ok(()), sync_folder)
    }

    /// Speech features that came with the clip.
    pub(in super::super) fn features(&self) -> io::Result<Input> {
        let path = self.path.join(FEATURES);
        fs::metadata(&path).map(|_| Input::File(path))
    }

    /// The picture that came with the clip, if one did. One that is lost is missed by the studio, which was asked for it.
    pub(in super::super) fn background(&self) -> Option<Input> {
        let path = self.path.join(BACKGROUND);
        path.is_file().then_some(Input::File(path))
    }

    /// Whether the clip is there. One that a voice is to speak is not, until it has.
    pub(in super::super) fn has_input(&self) -> bool {
        self.input().is_file()
    }

    /// Where a voice puts what it speaks, until it is whole.
    pub(in super::super) fn unfinished_input(&self) -> PathBuf {
        self.path.join(format!("{INPUT}{PART}"))
    }

    /// Takes what a voice has spoken, and when each sentence is heard, for good.
    pub(in super::super) fn keep_speech(&self, cues: &[Cue]) -> io::Result<()> {
        // The cues first: whoever finds the clip does not speak again.
        write(&self.path.join(CAPTIONS), &serde_json::to_vec(cues)?)?;
        fs::rename(self.unfinished_input(), self.input())?;
        sync_folder(&self.path)
    }

    /// When each sentence is heard, as far as that was found out.
    pub(in super::super) fn captions(&self) -> Option<Vec<Cue>> {
        serde_json::from_slice(&read_bounded(&self.path.join(CAPTIONS), MAX_CAPTIONS)?).ok()
    }

    /// Keeps what was found out, without waiting for the disk.
    pub(in super::super) fn put_captions(&self, cues: &[Cue]) -> io::Result<()> {
        self.replace(CAPTIONS, &serde_json::to_vec(cues)?)
    }

    pub(in super::super) fn has_captions(&self) -> bool {
        self.path.join(CAPTIONS).is_file()
    }

    /// The file of [`Self::captions`], for another job with the same sound.
    pub(in super::super) fn captions_file(&self) -> Option<Input> {
        self.has_captions().then(|| Input::File(self.path.join(CAPTIONS)))
    }

    /// Replaces the card, without waiting for the disk. Without a new one the old one does.
    pub(super) fn put_card(&self, card: &[u8]) {
        let _ = self.replace(card::FILE_NAME, card);
    }

    pub(super) fn has_card(&self) -> bool {
        self.path.join(card::FILE_NAME).is_file()
    }

    /// The job as its card has it, and the start that wrote it.
    pub(super) fn card(&self) -> Option<(Row, u64)> {
        card::read(&read_bounded(&self.path.join(card::FILE_NAME), card::MAX_BYTES)?)
    }

    /// Keeps the picture, a file, without waiting for the disk, and returns its size.
    pub(in super::super) fn put_poster(&self, file: &[u8]) -> io::Result<u64> {
        self.replace(POSTER, file)?;
        Ok(file.len() as u64)
    }

    /// The picture, as far as it is there.
    pub(in super::super) fn poster(&self) -> Option<Vec<u8>> {
        read_bounded(&self.path.join(POSTER), MAX_POSTER)
    }

    pub(in super::super) fn has_poster(&self) -> bool {
        self.path.join(POSTER).is_file()
    }

    /// Under another name first: a reader sees the old file or the new one.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let part = self.path.join(format!("{name}{PART}"));
        let done = fs::write(&part, bytes).and_then(|()| fs::rename(&part, self.path.join(name)));
        // It may not even exist; the error that counts is the first one.
        done.inspect_err(|_| drop(fs::remove_file(&part)))
    }

    /// Deletes what a crash left half written, but for segments, whose store does that.
    pub(super) fn sweep(&self) {
        for name in [card::FILE_NAME, POSTER, INPUT, CAPTIONS] {
            let _ = fs::remove_file(self.path.join(format!("{name}{PART}")));
        }
    }

    /// A place for segments.
    pub(in super::super) fn store(&self) -> Result<Folder, StoreError> {
        Folder::open(&self.path)
    }

    /// Bytes of all its files.
    pub(in super::super) fn size(&self) -> u64 {
        let Ok(entries) = fs::read_dir(&self.path) else { return 0 };
        entries.filter_map(|entry| entry.ok()?.metadata().ok()).map(|file| file.len()).sum()
    }

    /// Deletes it.
    pub(in super::super) fn delete(&self) {
        // What cannot be deleted now is an orphan that the next start tries again.
        let _ = fs::remove_dir_all(&self.path);
    }

    /// Which segments of a plan of `segments` are there and of a believable size; others are deleted.
    pub(in super::super) fn made(&self, segments: usize) -> Vec<bool> {
        let mut made = vec![false; segments];
        let Ok(store) = self.store() else { return made };
        for index in store.list().unwrap_or_default() {
            let path = store.segment_path(index);
            let whole = fs::metadata(&path).is_ok_and(|file| file.len() > 0 && file.len() % SIZE_STEP == 0);
            match made.get_mut(index) {
                Some(made) if whole => *made = true,
                // Never to be mixed with those of the plan; the read check finds what could not be deleted.
                _ => drop(fs::remove_file(path)),
            }
        }
        made
    }

    /// Deletes all segments.
    pub(in super::super) fn clear_segments(&self) -> Result<(), StoreError> {
        let store = self.store()?;
        for index in store.list()? {
            let path = store.segment_path(index);
            fs::remove_file(&path).map_err(|source| StoreError::Io { path, source })?;
        }
        Ok(())
    }
}

/// Whether these bytes are segment `index` from the first packet to the last, as far as a reader can tell.
pub(in super::super) fn is_whole(segment: &[u8], plan: &ClipPlan, index: usize) -> bool {
    let frames = plan.frames_of(index).map_or(0, |frames| frames.end - frames.start);
    ts::demux(segment).is_ok_and(|streams| streams.video.len() as u64 == frames)
}

/// Ends the name of a file that is being written.
const PART: &str = ".part";

/// A file of at most `limit` bytes.
fn read_bounded(path: &Path, limit: u64) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path).ok()?.take(limit + 1).read_to_end(&mut bytes).ok()?;
    (bytes.len() as u64 <= limit).then_some(bytes)
}

/// The same file under another name: neither is written to again, and an hour of features is not copied. A copy
/// where the system has no second names.
fn link(from: &Path, to: &Path) -> io::Result<()> {
    if fs::hard_link(from, to).is_err() {
        fs::copy(from, to)?;
    }
    File::options().write(true).open(to)?.sync_all()
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Brings new names to the disk. Systems that cannot open a folder order renames themselves.
fn sync_folder(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
