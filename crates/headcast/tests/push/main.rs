//! Frames that come from elsewhere become the segments that a session makes of them.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that unwraps fails with a line number; a skip must be seen"
)]

#[path = "../common/mod.rs"]
mod common;

mod ends;
mod foreign;
mod formats;
mod identity;
mod pace;
mod resume;

use std::sync::Arc;

use common::{listen, wav};
use headcast::core::timeline::Speed;
use headcast::core::{FrameIndex, FrameRate, RgbImage, Timeline};
use headcast::media::store::{Memory, SegmentStore};
use headcast::push::{Format, Length, Output, Pixels, Settings, Stream};
use headcast::{Features, FrameError, FrameSource, Sound};

pub(crate) const SIZE: (u32, u32) = (64, 48);

/// A picture that is its index: a textured gradient that drifts.
pub(crate) fn picture(frame: u64, (width, height): (u32, u32)) -> RgbImage {
    let mut data = Vec::new();
    for y in 0..u64::from(height) {
        for x in 0..u64::from(width) {
            let wave = |a: u64, b: u64| u8::try_from((a * x + b * y + 5 * frame) % 200).unwrap();
            data.extend([wave(3, 1), wave(1, 2), wave(2, 3) / 2 + 40]);
        }
    }
    RgbImage::from_raw(width, height, data).unwrap()
}

/// The same pictures for a session.
#[derive(Debug)]
pub(crate) struct Pictures(pub(crate) (u32, u32));

impl FrameSource for Pictures {
    fn size(&self) -> (u32, u32) {
        self.0
    }

    fn render(&self, frame: FrameIndex, out: &mut RgbImage) -> Result<(), FrameError> {
        *out = picture(frame.0, self.0);
        Ok(())
    }
}

/// `secs` of a tone.
pub(crate) fn recording(secs: f32) -> Vec<u8> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "small test values"
    )]
    let samples: Vec<f32> = (0..(secs * 16_000.0) as usize).map(|i| (i as f32 * 0.06).sin() * 0.4).collect();
    wav(16_000, &samples)
}

pub(crate) fn sound(secs: f32) -> Sound {
    listen(recording(secs), Features::BuiltIn).unwrap().into()
}

pub(crate) fn silent(frames: u64) -> Length {
    Length::Silent(Timeline::from_frames(frames, FrameRate::PAL).unwrap())
}

pub(crate) fn settings(length: Length) -> Settings {
    Settings::new(SIZE.0, SIZE.1, length).speed(Speed(2500))
}

pub(crate) fn memory() -> (Arc<Memory>, Output) {
    let store = Arc::new(Memory::default());
    (Arc::clone(&store), Output::Store(store))
}

/// Writes the pictures of `frames`.
pub(crate) fn push(stream: &mut Stream, frames: std::ops::Range<u64>) {
    for frame in frames {
        stream.write(&Pixels::from(&picture(frame, stream.size()))).unwrap();
    }
}

/// One colour all over, as raw bytes of `format`.
pub(crate) fn plain(format: Format, level: u8) -> Vec<u8> {
    vec![level; format.byte_len(SIZE.0, SIZE.1).unwrap()]
}

pub(crate) fn all(store: &dyn SegmentStore) -> Vec<bytes::Bytes> {
    store.list().unwrap().into_iter().map(|index| store.get(index).unwrap().unwrap()).collect()
}
