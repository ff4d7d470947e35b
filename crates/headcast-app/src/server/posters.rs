//! First frames, to show before a video plays.
//!
//! A frame depends on its request and nothing else, so it belongs to every job of an equal request.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use headcast::core::RgbImage;

use crate::jobs::{Audio, JobRequest};

/// The first frames of the last jobs, as PNG. Gone with the process; the avatar's picture stands in.
#[derive(Debug, Default)]
pub(super) struct Posters(Mutex<VecDeque<(Key, Bytes)>>);

/// Some hundred kilobytes each.
const KEPT: usize = 24;

/// What the first frame of a job depends on, without the features: a file is one job's own already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    audio: Audio,
    avatar: String,
    profile: Option<String>,
}

impl Key {
    /// `None` for what cannot be told apart this way.
    pub(super) fn of(request: &JobRequest) -> Option<Self> {
        if request.features.is_some() && matches!(request.audio, Audio::Memory(_)) {
            return None;
        }
        let (avatar, profile) = (request.avatar.clone(), request.profile.clone());
        Some(Self { audio: request.audio.clone(), avatar, profile })
    }
}

impl Posters {
    /// Keeps `picture` unless there is one already.
    pub(super) fn put(&self, key: &Key, picture: &RgbImage) {
        if self.find(key).is_some() {
            return;
        }
        // Without the lock: others need not wait for this.
        let Some(file) = png(picture) else { return };
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back((key.clone(), file));
    }

    /// The first frame of a job of this request, if it was made lately.
    pub(super) fn get(&self, request: &JobRequest) -> Option<Bytes> {
        self.find(&Key::of(request)?)
    }

    /// Forgets an avatar that is not what it was.
    pub(super) fn forget(&self, avatar: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(key, _)| key.avatar != avatar);
    }

    fn find(&self, key: &Key) -> Option<Bytes> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.iter().find(|(known, _)| known == key).map(|(_, file)| file.clone())
    }
}

/// `None` when it cannot be encoded: a poster is not worth a job.
fn png(picture: &RgbImage) -> Option<Bytes> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().ok()?;
    writer.write_image_data(picture.data()).ok()?;
    writer.finish().ok()?;
    Some(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_requests_share_a_picture_and_the_oldest_goes() {
        let posters = Posters::default();
        let request = |n: usize| JobRequest {
            audio: Audio::File(format!("{n}.wav").into()),
            audio_name: "a.wav".to_owned(),
            avatar: if n == 5 { "ada" } else { "milo" }.to_owned(),
            profile: None,
            features: None,
        };
        for n in 0..=KEPT {
            let shade = u8::try_from(n).unwrap();
            let picture = RgbImage::filled(16, 16, [shade; 3]).unwrap();
            posters.put(&Key::of(&request(n)).unwrap(), &picture);
        }
        assert_eq!(posters.get(&request(0)), None);
        assert!(posters.get(&request(1)).is_some());
        assert_ne!(posters.get(&request(1)), posters.get(&request(2)));
        posters.forget("ada");
        assert_eq!(posters.get(&request(5)), None);
        let sample =
            JobRequest { audio: Audio::Memory(Bytes::new()), features: Some(Bytes::new()), ..request(1) };
        assert_eq!(Key::of(&sample), None);
    }
}
