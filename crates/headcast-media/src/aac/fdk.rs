//! AAC-LC by the FDK library.

use bytes::{Bytes, BytesMut};
use fdk_aac::enc;
use headcast_core::SampleRate;

use super::{AAC_FRAME_SAMPLES, Channels, Encoder, Error};

/// The FDK encoder: constant bit rate, no state outside itself, the same bytes for the same samples.
#[derive(Debug)]
pub struct Fdk {
    encoder: enc::Encoder,
    channels: Channels,
    /// Samples of the access unit that is filling up, interleaved.
    pending: Vec<i16>,
    /// Access units that decode to nothing but what lies before the clip; still to be dropped.
    priming: u64,
    /// Samples of the clip, per channel.
    samples: u64,
    /// Access units given out.
    units: u64,
    finished: bool,
    scratch: Vec<u8>,
    /// Holds the bytes of several access units: one allocation for all of them.
    arena: BytesMut,
}

impl Fdk {
    /// An encoder at the default bit rate of `channels`.
    ///
    /// # Errors
    /// [`Error::Encoder`] when it cannot be started.
    pub fn new(channels: Channels) -> Result<Self, Error> {
        let encoder = enc::Encoder::new(enc::EncoderParams {
            bit_rate: enc::BitRate::Cbr(channels.bitrate_bps()),
            sample_rate: SampleRate::AAC.hz(),
            transport: enc::Transport::Raw,
            channels: match channels {
                Channels::Mono => enc::ChannelMode::Mono,
                Channels::Stereo => enc::ChannelMode::Stereo,
            },
            audio_object_type: enc::AudioObjectType::Mpeg4LowComplexity,
        })
        .map_err(failed)?;
        let info = encoder.info().map_err(failed)?;
        if u64::from(info.frameLength) != AAC_FRAME_SAMPLES {
            return Err(Error::Encoder { reason: format!("access units of {} samples", info.frameLength) });
        }
        // A delay that is no whole number of units is filled up with silence in front.
        let delay = u64::from(info.nDelay);
        let priming = delay.div_ceil(AAC_FRAME_SAMPLES);
        let lead = usize::try_from(priming * AAC_FRAME_SAMPLES - delay).unwrap_or(0);
        Ok(Self {
            encoder,
            channels,
            pending: vec![0; lead * channels.count()],
            priming,
            samples: 0,
            units: 0,
            finished: false,
            scratch: vec![0; info.maxOutBufBytes.max(8192) as usize],
            arena: BytesMut::new(),
        })
    }

    /// Samples per access unit, all channels.
    fn unit_len(&self) -> usize {
        usize::try_from(AAC_FRAME_SAMPLES).unwrap_or(1024) * self.channels.count()
    }

    /// Encodes `self.pending`, which holds one access unit of samples.
    fn encode_pending(&mut self, out: &mut Vec<Bytes>) -> Result<(), Error> {
        let mut input = self.pending.as_slice();
        while !input.is_empty() {
            let info = self.encoder.encode(input, &mut self.scratch).map_err(failed)?;
            if info.input_consumed == 0 && info.output_size == 0 {
                return Err(Error::Encoder { reason: "it takes no samples".into() });
            }
            input = &input[info.input_consumed.min(input.len())..];
            if info.output_size == 0 {
                continue;
            }
            if self.priming > 0 {
                self.priming -= 1;
                continue;
            }
            if self.arena.capacity() < info.output_size {
                self.arena = BytesMut::with_capacity(ARENA_BYTES.max(info.output_size));
            }
            self.arena.extend_from_slice(&self.scratch[..info.output_size]);
            out.push(self.arena.split().freeze());
            self.units += 1;
        }
        self.pending.clear();
        Ok(())
    }
}

impl Encoder for Fdk {
    fn push(&mut self, interleaved: &[f32]) -> Result<Vec<Bytes>, Error> {
        let channels = self.channels.count();
        if self.finished {
            return Err(Error::Finished);
        }
        if !interleaved.len().is_multiple_of(channels) {
            return Err(Error::PartialFrame { samples: interleaved.len(), channels });
        }
        self.samples += (interleaved.len() / channels) as u64;
        let mut out = Vec::new();
        let mut rest = interleaved;
        while !rest.is_empty() {
            let take = rest.len().min(self.unit_len() - self.pending.len());
            let (now, later) = rest.split_at(take);
            self.pending.extend(now.iter().map(|&sample| to_i16(sample)));
            rest = later;
            if self.pending.len() == self.unit_len() {
                self.encode_pending(&mut out)?;
            }
        }
        Ok(out)
    }

    fn finish(&mut self) -> Result<Vec<Bytes>, Error> {
        if self.finished {
            return Err(Error::Finished);
        }
        self.finished = true;
        let units = self.samples.div_ceil(AAC_FRAME_SAMPLES);
        let mut out = Vec::new();
        // Silence pushes out what the encoder holds back: the priming units and one that may be half full.
        let silent_units = self.priming + 2 + units.saturating_sub(self.units);
        for _ in 0..silent_units {
            if self.units >= units {
                break;
            }
            self.pending.resize(self.unit_len(), 0);
            self.encode_pending(&mut out)?;
        }
        if self.units < units {
            let reason = format!("{} access units of {units} came out", self.units);
            return Err(Error::Encoder { reason });
        }
        Ok(out)
    }
}

/// Rounds to 16 bits. No dither: the same samples give the same bytes.
fn to_i16(sample: f32) -> i16 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the cast saturates, which is the clipping; NaN gives 0"
    )]
    let value = (sample * 32768.0).round() as i16;
    value
}

/// About four seconds of stereo.
const ARENA_BYTES: usize = 64 * 1024;

fn failed(error: enc::EncoderError) -> Error {
    Error::Encoder { reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(samples: usize, channels: usize) -> Vec<f32> {
        (0..samples * channels)
            .map(|i| {
                #[expect(clippy::cast_precision_loss, reason = "small test values")]
                let t = (i / channels) as f32 / 48_000.0;
                0.5 * (t * 440.0 * std::f32::consts::TAU).sin()
            })
            .collect()
    }

    fn encode(pcm: &[f32], channels: Channels, step: usize) -> Vec<Bytes> {
        let mut encoder = Fdk::new(channels).unwrap();
        let mut units = Vec::new();
        for chunk in pcm.chunks(step * channels.count()) {
            units.extend(encoder.push(chunk).unwrap());
        }
        units.extend(encoder.finish().unwrap());
        units
    }

    #[test]
    fn as_many_units_as_cover_the_clip() {
        for samples in [0, 1, 1023, 1024, 1025, 2048, 5000, 15_360] {
            for channels in [Channels::Mono, Channels::Stereo] {
                let units = encode(&sine(samples, channels.count()), channels, 777);
                assert_eq!(units.len(), samples.div_ceil(1024), "{samples} samples, {channels:?}");
            }
        }
    }

    #[test]
    fn bytes_do_not_depend_on_how_samples_arrive() {
        let pcm = sine(9000, 2);
        let whole = encode(&pcm, Channels::Stereo, 9000);
        assert_eq!(encode(&pcm, Channels::Stereo, 1), whole);
        assert_eq!(encode(&pcm, Channels::Stereo, 1500), whole);
        // Control: another sound, other bytes.
        let other: Vec<f32> = pcm.iter().map(|s| s * 0.9).collect();
        assert_ne!(encode(&other, Channels::Stereo, 9000), whole);
    }

    #[test]
    fn poisoned_samples_are_clipped_or_silent() {
        assert_eq!([1.0, -1.0, 9e9, -9e9].map(to_i16), [i16::MAX, i16::MIN, i16::MAX, i16::MIN]);
        assert_eq!([f32::NAN, f32::INFINITY, f32::MIN_POSITIVE].map(to_i16), [0, i16::MAX, 0]);
    }

    #[test]
    fn misuse_is_an_error() {
        let mut encoder = Fdk::new(Channels::Stereo).unwrap();
        assert_eq!(encoder.push(&[0.0; 3]), Err(Error::PartialFrame { samples: 3, channels: 2 }));
        assert_eq!(encoder.finish(), Ok(vec![]));
        assert_eq!(encoder.push(&[0.0; 2]), Err(Error::Finished));
        assert_eq!(encoder.finish(), Err(Error::Finished));
    }
}
