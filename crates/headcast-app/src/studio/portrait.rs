//! What people see of an avatar before they choose it: its face, and a few seconds in which it speaks. Both are rendered
//! once, when it is imported, and kept in its folder.

use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Cursor, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headcast::audio::{Cut, Limits};
use headcast::core::{
    FeatureKind, FeatureTrack, FrameIndex, FrameRate, RgbImage, SegmentPlan, Spools, Timeline,
};
use headcast::media::mp4::Index;
use headcast::media::segment::{Config, SegmentEncoder};
use headcast::nerf::avatar::Avatar;
use headcast::nerf::{Profile, Renderer, Settings};
use headcast::{Features, FrameSource as _, Speech, TalkingHead};

use super::{EngineSettings, samples};
use crate::picture;

/// Pictures that an avatar may bring itself.
pub(super) const OWN: [&str; 2] = ["thumbnail.jpg", "thumbnail.png"];

/// The face, for an avatar that brought none of them.
pub(super) const FACE: &str = "face.png";

/// The video, which has no sound.
pub(super) const SPEAKING: &str = "preview.mp4";

/// Frames that are rendered at most. They are shown forth and back, so that nothing jumps.
const MOST: u64 = 50;

/// Fewer than these say nothing about how it moves.
const LEAST: usize = 8;

/// Where in the sample it begins to speak, frames.
const FIRST: u64 = 10;

/// Nobody waits longer: what is rendered by then is shown.
const PATIENCE: Duration = Duration::from_secs(8);

/// For the first frame, without which there is nothing to show. A frame of some avatars takes minutes.
const FIRST_PATIENCE: Duration = Duration::from_secs(60);

/// Longest side, pixels: twice what a card shows, for screens with small pixels.
const SIDE: u32 = 288;

/// An avatar's face, and how it speaks.
#[derive(Debug)]
pub(super) struct Portrait {
    /// A PNG file.
    pub(super) face: Vec<u8>,
    /// An MP4 file; `None` of an avatar that takes too long.
    pub(super) speaking: Option<Vec<u8>>,
}

impl Portrait {
    /// Renders `avatar`.
    ///
    /// # Errors
    /// A sentence on why it cannot be rendered.
    pub(super) fn of(avatar: Avatar, engine: &EngineSettings) -> Result<Self, String> {
        let features = heard(&avatar)?;
        let settings = Settings {
            profile: Profile::Fast,
            threads: engine.threads,
            simd: engine.simd,
            ..Settings::default()
        };
        let renderer = Renderer::with_background(Arc::new(avatar), &settings, None).map_err(said)?;
        let head = TalkingHead::new(Arc::new(renderer), &features, FIRST + MOST, &Spools::in_memory());
        let frames = rendered(&head.map_err(said)?)?;
        let face = picture::png(&frames[0]).map_err(said)?;
        let speaking = if frames.len() < LEAST { None } else { Some(video(&frames)?) };
        Ok(Self { face, speaking })
    }

    /// Keeps it in the folder of the avatar. A picture that the avatar brought stays.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn keep(&self, folder: &Path) -> io::Result<()> {
        if !OWN.iter().any(|name| folder.join(name).exists()) {
            write(folder, FACE, &self.face)?;
        }
        match &self.speaking {
            Some(video) => write(folder, SPEAKING, video),
            None => match fs::remove_file(folder.join(SPEAKING)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
        }
    }
}

/// Under another name first: what is shown is whole.
fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let draft = folder.join(format!(".{name}.part"));
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&draft, folder.join(name))
}

/// What it hears: the sample, where the built-in model is understood, else silence: other networks take far longer.
fn heard(avatar: &Avatar) -> Result<FeatureTrack, String> {
    let wanted = avatar.model.features();
    if !avatar.built_in_features && wanted != FeatureKind::DeepSpeech {
        let row = wanted.steps() * wanted.dims();
        return FeatureTrack::from_windows([1, wanted.steps(), wanted.dims()], vec![0.0; row]).map_err(said);
    }
    let sample = samples::all().swap_remove(0);
    let speech = Speech::open(
        Cursor::new(sample.bytes),
        Some(&sample.file_name),
        &Limits::default(),
        Cut::WHOLE,
        FrameRate::PAL,
        Features::BuiltIn,
        &Spools::in_memory(),
        &mut |_| ControlFlow::Continue(()),
    );
    Ok(speech.map_err(said)?.features)
}

/// As many small frames as there is patience for, at least one.
fn rendered(head: &TalkingHead) -> Result<Vec<RgbImage>, String> {
    let (width, height) = head.size();
    let mut image = RgbImage::filled(width, height, [0; 3]).map_err(said)?;
    let started = Instant::now();
    let mut frames = Vec::new();
    for frame in FIRST..FIRST + MOST {
        let patience = if frames.is_empty() { FIRST_PATIENCE } else { PATIENCE };
        let late = || started.elapsed() > patience;
        match head.render_until(FrameIndex(frame), &late, &mut image) {
            Ok(()) => {}
            Err(_) if !frames.is_empty() => break,
            Err(_) if late() => {
                return Err(format!("its first frame took longer than {} s", FIRST_PATIENCE.as_secs()));
            }
            Err(error) => return Err(error.to_string()),
        }
        frames.push(picture::reduced(&image, SIDE));
    }
    Ok(frames)
}

/// `frames` forth and back as an MP4 file without sound.
fn video(frames: &[RgbImage]) -> Result<Vec<u8>, String> {
    let config = Config::new(frames[0].width(), frames[0].height(), FrameRate::PAL).map_err(said)?;
    let config = config.without_sound();
    let shown = forth_and_back(frames);
    let length = shown.len() as u64;
    let plan = Timeline::from_frames(length, FrameRate::PAL)
        .and_then(|timeline| SegmentPlan::from_ends(timeline, vec![length]))
        .ok_or("too few frames")?;
    let mut encoder = SegmentEncoder::new(&config, &plan, 0).map_err(said)?;
    for image in shown {
        encoder.push(image).map_err(said)?;
    }
    let segment: Bytes = encoder.finish(&[]).map_err(said)?;
    let mut index = Index::new(&config, &plan);
    index.push(&segment).map_err(said)?;
    let layout = index.finish().map_err(said)?;
    Ok([layout.header(), layout.payload(0, &segment).map_err(said)?].concat())
}

/// Without the last and the first on the way back, which would be shown twice.
fn forth_and_back<T>(frames: &[T]) -> Vec<&T> {
    let back = frames.iter().rev().skip(1).take(frames.len().saturating_sub(2));
    frames.iter().chain(back).collect()
}

fn said(error: impl Display) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use headcast::nerf::avatar::{ImportRequest, import};

    use super::*;

    fn imported(library: &Path, subject: &str) -> PathBuf {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/nerf").join(subject);
        import(&ImportRequest::new(folder.join("ngp.pth"), &folder, subject), library).unwrap().path
    }

    fn portrait(folder: &Path) -> Portrait {
        Portrait::of(Avatar::load(folder).unwrap(), &EngineSettings::default()).unwrap()
    }

    #[test]
    fn a_face_speaks_and_another_network_is_seen_in_silence() {
        let dir = tempfile::tempdir().unwrap();
        for subject in ["er-torso", "er-hubert-eye"] {
            let folder = imported(dir.path(), subject);
            let portrait = portrait(&folder);
            assert!(portrait.face.starts_with(b"\x89PNG"), "{subject}");
            // ISO/IEC 14496-12 §4.3: the first box of the file.
            assert_eq!(&portrait.speaking.as_ref().unwrap()[4..8], b"ftyp", "{subject}");
            portrait.keep(&folder).unwrap();
            let kept = |name: &str| fs::read(folder.join(name)).unwrap();
            assert_eq!((kept(FACE), Some(kept(SPEAKING))), (portrait.face, portrait.speaking), "{subject}");
            Avatar::load(&folder).unwrap();
        }
    }

    #[test]
    fn a_picture_of_its_own_stays() {
        let dir = tempfile::tempdir().unwrap();
        let folder = imported(dir.path(), "er-torso");
        fs::write(folder.join("thumbnail.jpg"), "its own").unwrap();
        portrait(&folder).keep(&folder).unwrap();
        assert!(folder.join(SPEAKING).exists() && !folder.join(FACE).exists());
    }

    #[test]
    fn an_older_face_gives_way() {
        let dir = tempfile::tempdir().unwrap();
        let folder = imported(dir.path(), "er-torso");
        let portrait = portrait(&folder);
        fs::write(folder.join(FACE), "as it was").unwrap();
        portrait.keep(&folder).unwrap();
        assert_eq!(fs::read(folder.join(FACE)).unwrap(), portrait.face);
    }

    #[test]
    fn nothing_is_shown_twice_in_a_row() {
        assert_eq!(forth_and_back(&[1, 2, 3, 4]), [&1, &2, &3, &4, &3, &2]);
        assert_eq!(forth_and_back(&[1]), [&1]);
    }
}
