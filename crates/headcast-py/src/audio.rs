//! Sound from Python: a file, or samples in an array.

use std::io::Cursor;
use std::path::PathBuf;

use headcast_app::studio::Recording;
use pyo3::prelude::*;

use crate::array::{Array, Element, View};
use crate::error::AudioError;

/// Most samples of all channels in an array: with a header, the largest file that is read (2 GiB). 93 minutes of stereo
/// at 48 kHz.
const MAX_SAMPLES: usize = (1 << 29) - 64;

/// What is spoken: a file's path, or `(samples, rate)` with a `numpy.ndarray`.
#[derive(FromPyObject)]
pub(crate) enum Audio<'py> {
    Samples(Bound<'py, PyAny>, u32),
    File(PathBuf),
}

impl Audio<'_> {
    /// What it is called in messages, and a hint for the decoder.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Samples(..) => "samples.wav".to_owned(),
            Self::File(path) => {
                path.file_name().map_or_else(|| "audio".into(), |name| name.to_string_lossy().into_owned())
            }
        }
    }

    /// Opens the file, or makes one of the samples.
    ///
    /// # Errors
    /// `headcast.AudioError`.
    pub(crate) fn recording(&self, py: Python<'_>) -> PyResult<Recording> {
        match self {
            Self::File(path) => py
                .detach(|| Recording::open(path))
                .map_err(|error| AudioError::new_err(format!("{} cannot be read: {error}", path.display()))),
            Self::Samples(samples, rate) => {
                let wav = wav(samples, *rate)?;
                Ok(Recording::Memory(Cursor::new(wav.into())))
            }
        }
    }
}

/// A WAV file of 32-bit floats.
fn wav(samples: &Bound<'_, PyAny>, rate: u32) -> PyResult<Vec<u8>> {
    let wrong_type = || {
        let dtype = samples.getattr("dtype").map_or_else(|_| "?".to_owned(), |dtype| dtype.to_string());
        AudioError::new_err(format!(
            "samples of dtype {dtype} cannot be heard; pass float32 or float64 in [-1, 1], int16, int32 or uint8"
        ))
    };
    let array = Array::new(samples)?.ok_or_else(wrong_type)?;
    let view = array.view();
    let (count, channels) = match *view.shape() {
        [count] => (count, 1),
        [count, channels] if (1..=8).contains(&channels) => (count, channels),
        [channels, count] if (1..=8).contains(&channels) => {
            return Err(AudioError::new_err(format!(
                "samples of shape ({channels}, {count}) have their channels first; pass samples.T"
            )));
        }
        _ => {
            return Err(AudioError::new_err(
                "samples must have shape (n,), or (n, channels) with 1 to 8 channels",
            ));
        }
    };
    if count.saturating_mul(channels) > MAX_SAMPLES {
        return Err(AudioError::new_err(
            "the array is larger than 2 GiB of 32-bit floats; pass the recording as a file, or cut it into shorter parts",
        ));
    }
    samples.py().detach(|| {
        let mut wav = header(count * channels, channels, rate);
        match view.element() {
            Element::U8 => data(view, &mut wav, |byte: u8| (f32::from(byte) - 128.0) / 128.0),
            Element::I16 => data(view, &mut wav, |sample: i16| f32::from(sample) / 32_768.0),
            #[expect(clippy::cast_precision_loss, reason = "24 bits are more than anyone hears")]
            Element::I32 => data(view, &mut wav, |sample: i32| sample as f32 / 2_147_483_648.0),
            Element::F32 => data(view, &mut wav, |sample: f32| sample),
            #[expect(clippy::cast_possible_truncation, reason = "24 bits are more than anyone hears")]
            Element::F64 => data(view, &mut wav, |sample: f64| sample as f32),
            Element::F16 => {
                data(view, &mut wav, |half: crate::array::Half| {
                    headcast::nerf::checkpoint::f16_to_f32(half.0)
                });
            }
        }
        Ok(wav)
    })
}

fn data<T: crate::array::Number>(view: &View, wav: &mut Vec<u8>, value: impl Fn(T) -> f32) {
    if let [count, _] = *view.shape() {
        for at in 0..count {
            wav.extend(view.line::<T>(&[at]).flat_map(|sample| value(sample).to_le_bytes()));
        }
    } else {
        wav.extend(view.line::<T>(&[]).flat_map(|sample| value(sample).to_le_bytes()));
    }
}

/// RIFF, a `fmt ` chunk of format 3 (IEEE float), and the head of the `data` chunk.
fn header(samples: usize, channels: usize, rate: u32) -> Vec<u8> {
    const BYTES: u32 = 4;
    let narrow = |value: usize| u32::try_from(value).expect("the array was measured");
    let (size, channels) = (narrow(samples) * BYTES, narrow(channels));
    let mut wav = Vec::with_capacity(44 + size as usize);
    wav.extend(b"RIFF");
    wav.extend((size + 36).to_le_bytes());
    wav.extend(b"WAVEfmt ");
    wav.extend(16_u32.to_le_bytes());
    wav.extend([3, 0]);
    wav.extend(&channels.to_le_bytes()[..2]);
    wav.extend(rate.to_le_bytes());
    wav.extend(rate.saturating_mul(channels * BYTES).to_le_bytes());
    wav.extend(&(channels * BYTES).to_le_bytes()[..2]);
    wav.extend([32, 0]);
    wav.extend(b"data");
    wav.extend(size.to_le_bytes());
    wav
}
