//! Speech in, PCM and audio feature windows out: decoders, resampler, feature extractors.
//!
//! [`Ingest`] is the way in: it opens a file of any accepted format, and one pass over it gives the 48 kHz
//! audio for the encoder, the built-in speech features and the [`Timeline`](headcast_core::Timeline).
//!
//! ```
//! use headcast_audio::{Ingest, Limits, Options};
//! use std::{io::Cursor, ops::ControlFlow};
//!
//! # let samples: Vec<u8> = (0..16_000i16).flat_map(|i| (i % 100 * 200).to_le_bytes()).collect();
//! # let mut wav = b"RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data".to_vec();
//! # wav[4..8].copy_from_slice(&(36 + 32_000u32).to_le_bytes());
//! # wav.extend(32_000u32.to_le_bytes());
//! # wav.extend(samples);
//! let ingest = Ingest::open(Cursor::new(wav), Some("hello.wav"), &Limits::default())?;
//! let channels = ingest.info().output_channels; // 1 or 2: enough to start an encoder
//! let mut pcm = Vec::new();
//! let clip = ingest.run(&Options::default(), &mut |block: &[f32], _progress| {
//!     pcm.extend_from_slice(block);
//!     ControlFlow::Continue(())
//! })?;
//! assert_eq!(clip.timeline.frames(), 25);
//! assert_eq!(pcm.len(), 48_000 * channels);
//! # Ok::<(), headcast_audio::AudioError>(())
//! ```

pub mod decode;
pub mod extractor;
pub mod features;
pub mod resample;

mod cut;
mod error;
mod ingest;

pub use cut::{Cut, CutError};
pub use error::{AudioError, Warning};
pub use ingest::{Ears, Ingest, Ingested, Level, Limits, Options, Progress, Sink};
