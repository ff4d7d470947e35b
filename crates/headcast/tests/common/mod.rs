//! What the tests of this crate share: the built-in avatar, test speech, recordings made on the spot.
#![allow(dead_code, unreachable_pub, reason = "every test file is its own program and takes what it needs")]

use std::io::Cursor;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use headcast::audio::{Cut, Limits};
use headcast::core::{FrameRate, Spools};
use headcast::nerf::avatar::Avatar;
use headcast::nerf::{Renderer, Settings};
use headcast::{Features, Speech, SpeechError};

pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap().to_path_buf()
}

pub fn milo() -> Avatar {
    Avatar::load(&repository().join("crates/headcast-app/assets/avatars/milo")).unwrap()
}

pub fn renderer(avatar: Avatar) -> Arc<Renderer> {
    Arc::new(Renderer::new(Arc::new(avatar), &Settings::default()).unwrap())
}

pub fn listen(recording: Vec<u8>, features: Features) -> Result<Speech, SpeechError> {
    let go_on = &mut |_| ControlFlow::Continue(());
    Speech::open(
        Cursor::new(recording),
        Some("test.wav"),
        &Limits::default(),
        Cut::WHOLE,
        FrameRate::PAL,
        features,
        &Spools::in_memory(),
        go_on,
    )
}

/// A mono 16-bit WAV file.
pub fn wav(hz: u32, samples: &[f32]) -> Vec<u8> {
    let bytes = u32::try_from(samples.len() * 2).unwrap();
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(hz.to_le_bytes());
    file.extend((2 * hz).to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(bytes.to_le_bytes());
    #[expect(clippy::cast_possible_truncation, reason = "in range by the clamp")]
    file.extend(samples.iter().flat_map(|s| ((s.clamp(-1.0, 1.0) * 32_767.0) as i16).to_le_bytes()));
    file
}

/// Pearson correlation.
pub fn correlation(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    #[expect(clippy::cast_precision_loss, reason = "a few hundred values")]
    let n = a.len() as f64;
    let mean = |v: &[f64]| v.iter().sum::<f64>() / n;
    let (ma, mb) = (mean(a), mean(b));
    let sum = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - ma, b - mb)).sum::<f64>();
    sum(&|a, b| a * b) / (sum(&|a, _| a * a) * sum(&|_, b| b * b)).sqrt().max(1e-12)
}
