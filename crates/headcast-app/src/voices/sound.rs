//! What voices send, read and put one after the other.

use std::fs::File;
use std::io::{self, BufWriter, Cursor, Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use headcast::audio::{AudioError, Ears, Ingest, Limits, Options};
use headcast::core::SampleRate;

use super::MAX_ANSWER;
use super::error::VoiceError;

/// One sentence may take so long.
const LONGEST: Duration = Duration::from_secs(180);

/// -48 dBFS: below it is silence, before the first word and after the last.
const SILENCE: f32 = 0.004;

/// What is left of that silence, so that no breath is cut off, in samples at 48 kHz: 40 ms.
const MARGIN: usize = 1920;

/// Samples per second of what is made.
pub(super) const RATE: u64 = 48_000;

/// The samples of one answer, mono at 48 kHz, without the silence around them.
pub(super) fn read(answer: Vec<u8>, who: &str, cancelled: &dyn Fn() -> bool) -> Result<Vec<f32>, VoiceError> {
    let not_sound = |error: AudioError| match error {
        AudioError::TooShort { .. } => VoiceError::Silent { who: who.to_owned() },
        AudioError::Cancelled => VoiceError::Cancelled,
        error => VoiceError::NotSound { who: who.to_owned(), reason: error.to_string() },
    };
    if answer.is_empty() {
        return Err(VoiceError::NotSound { who: who.to_owned(), reason: "it is empty".to_owned() });
    }
    let limits =
        Limits { max_duration: LONGEST, min_duration: Duration::from_millis(10), max_bytes: MAX_ANSWER };
    let clip = Ingest::open(Cursor::new(answer), None, &limits).map_err(not_sound)?;
    let channels = clip.info().output_channels;
    let mut mono = Vec::new();
    let options = Options { features: Ears::Deaf, ..Options::default() };
    clip.run(&options, &mut |samples: &[f32], _| {
        mono.extend(samples.chunks_exact(channels).map(mean));
        if cancelled() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .map_err(not_sound)?;
    let sounds = |sample: &f32| sample.abs() > SILENCE;
    let (Some(first), Some(last)) = (mono.iter().position(sounds), mono.iter().rposition(sounds)) else {
        return Err(VoiceError::Silent { who: who.to_owned() });
    };
    mono.truncate((last + MARGIN).min(mono.len()));
    mono.drain(..first.saturating_sub(MARGIN));
    Ok(mono)
}

#[expect(clippy::cast_precision_loss, reason = "there are one or two channels")]
fn mean(samples: &[f32]) -> f32 {
    samples.iter().sum::<f32>() / samples.len() as f32
}

/// A WAV file (16 bits, mono, 48 kHz) that grows.
pub(super) struct WavFile {
    file: BufWriter<File>,
    samples: u64,
}

/// Bytes before the samples: RIFF, `fmt ` of PCM and `data`.
const HEADER: u32 = 44;

impl WavFile {
    /// So many bytes fit into the header.
    pub(super) const MAX_SAMPLES: u64 = (u32::MAX - HEADER) as u64 / 2;

    /// Bytes of a file with so many samples.
    pub(super) fn bytes(samples: u64) -> u64 {
        u64::from(HEADER) + 2 * samples
    }

    pub(super) fn create(path: &Path) -> io::Result<Self> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&header(0))?;
        Ok(Self { file, samples: 0 })
    }

    /// Samples so far.
    pub(super) fn samples(&self) -> u64 {
        self.samples
    }

    #[expect(clippy::cast_possible_truncation, reason = "clamped to what 16 bits hold")]
    pub(super) fn push(&mut self, samples: &[f32]) -> io::Result<()> {
        self.grow(samples.len() as u64)?;
        for sample in samples {
            self.file.write_all(&((sample.clamp(-1.0, 1.0) * 32767.0) as i16).to_le_bytes())?;
        }
        Ok(())
    }

    pub(super) fn push_silence(&mut self, samples: u64) -> io::Result<()> {
        self.grow(samples)?;
        for _ in 0..samples {
            self.file.write_all(&[0, 0])?;
        }
        Ok(())
    }

    fn grow(&mut self, samples: u64) -> io::Result<()> {
        self.samples += samples;
        if self.samples > Self::MAX_SAMPLES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }

    /// Writes the header anew, and everything to the disk.
    pub(super) fn finish(mut self) -> io::Result<()> {
        let bytes = u32::try_from(self.samples * 2).map_err(|_large| io::ErrorKind::FileTooLarge)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.file.write_all(&header(bytes))?;
        self.file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()
    }
}

/// RIFF WAVE with one channel of 16-bit PCM.
fn header(data_bytes: u32) -> Vec<u8> {
    let rate = SampleRate::AAC.hz();
    let mut header = Vec::from(*b"RIFF");
    header.extend((data_bytes + HEADER - 8).to_le_bytes());
    header.extend(b"WAVEfmt ");
    header.extend(16_u32.to_le_bytes());
    for value in [1_u16, 1] {
        header.extend(value.to_le_bytes());
    }
    header.extend(rate.to_le_bytes());
    header.extend((2 * rate).to_le_bytes());
    for value in [2_u16, 16] {
        header.extend(value.to_le_bytes());
    }
    header.extend(b"data");
    header.extend(data_bytes.to_le_bytes());
    header
}
