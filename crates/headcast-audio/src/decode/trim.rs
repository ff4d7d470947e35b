//! How much of the decoder's output is not the recording.

use super::matroska::Matroska;
use super::mp4::Mp4;
use super::packets::{Codec, Packets};
use super::sniff::Container;

/// Samples per channel that an AAC encoder puts in front of its input, where nothing states it: one frame
/// of overlap, the least possible and what most encoders do.
const AAC_PRIMING: u64 = 1024;
/// LAME's default encoder delay of 576 and the 529 of every decoder (LAME's technical FAQ).
const MP3_DELAY: u64 = 1105;

/// In samples per channel of the decoder's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Trim {
    /// Dropped from the start.
    pub(super) lead: u64,
    /// Length after that, where the file states it exactly.
    pub(super) total: Option<u64>,
    /// Dropped from the end.
    pub(super) tail: u64,
}

impl Trim {
    pub(super) fn of(packets: &Packets, rate: u32, mp4: Option<&Mp4>, matroska: Option<&Matroska>) -> Self {
        let aac = packets.is(Codec::Aac);
        let by_codec = match packets.opus_pre_skip() {
            Some(pre_skip) => u64::from(pre_skip),
            None if aac => AAC_PRIMING,
            None => 0,
        };
        match packets.container() {
            Container::Mp3 => match packets.encoder_delay() {
                Some(delay) => Self { lead: delay, total: packets.gapless_frames(), tail: 0 },
                None => Self { lead: MP3_DELAY, total: None, tail: 0 },
            },
            Container::Mp4 => match mp4.and_then(|mp4| mp4.edit(packets.track_id(), rate)) {
                Some(edit) => Self { lead: edit.lead, total: edit.total, tail: 0 },
                None => Self { lead: by_codec, total: None, tail: 0 },
            },
            Container::Matroska => {
                let track = matroska.map(|m| m.track(packets.track_id())).unwrap_or_default();
                let frames = |nanos: u64| {
                    let frames = u128::from(nanos) * u128::from(rate) + 500_000_000;
                    u64::try_from(frames / 1_000_000_000).unwrap_or(0)
                };
                let stated = frames(track.codec_delay_nanos);
                // Pre-skip is exact in samples, CodecDelay is the same number rounded to nanoseconds.
                let lead = if packets.opus_pre_skip().is_some() || stated == 0 { by_codec } else { stated };
                Self { lead, total: None, tail: frames(track.discard_nanos).min(u64::from(rate)) }
            }
            Container::Adts | Container::Ogg | Container::Flac | Container::Wav => {
                Self { lead: by_codec, total: None, tail: 0 }
            }
        }
    }
}

/// Applies a [`Trim`] to a stream of interleaved blocks.
#[derive(Debug)]
pub(super) struct Trimmer {
    /// Values (samples of all channels) still to drop at the start.
    lead: usize,
    /// Values that may still go out.
    left: Option<usize>,
    /// Values held back because they may be the last.
    held: Vec<f32>,
    tail: usize,
}

impl Trimmer {
    pub(super) fn new(trim: Trim, channels: usize) -> Self {
        let values = |frames: u64| usize::try_from(frames).unwrap_or(usize::MAX).saturating_mul(channels);
        Self {
            lead: values(trim.lead),
            left: trim.total.map(values),
            held: Vec::new(),
            tail: values(trim.tail),
        }
    }

    pub(super) fn apply(&mut self, block: &mut Vec<f32>) {
        let drop = self.lead.min(block.len());
        if drop > 0 {
            self.lead -= drop;
            block.drain(..drop);
        }
        if let Some(left) = &mut self.left {
            block.truncate(*left);
            *left -= block.len();
        }
        if self.tail > 0 {
            self.held.append(block);
            let out = self.held.len().saturating_sub(self.tail);
            block.extend(self.held.drain(..out));
        }
    }

    /// Whether nothing more can go out.
    pub(super) fn is_full(&self) -> bool {
        self.left == Some(0)
    }

    /// What is held back now was padding.
    pub(super) fn finish(&mut self) {
        self.held.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lead_total_and_tail_are_cut_across_blocks() {
        let run = |trim: Trim, blocks: &[std::ops::Range<u8>]| {
            let mut trimmer = Trimmer::new(trim, 2);
            let mut out = Vec::new();
            for block in blocks {
                let mut block: Vec<f32> = block.clone().map(f32::from).collect();
                trimmer.apply(&mut block);
                out.extend(block);
            }
            trimmer.finish();
            out
        };
        let blocks = [0..4, 4..8, 8..12];
        assert_eq!(run(Trim { lead: 3, total: Some(2), tail: 0 }, &blocks), [6.0, 7.0, 8.0, 9.0]);
        assert_eq!(run(Trim { lead: 1, total: None, tail: 3 }, &blocks), [2.0, 3.0, 4.0, 5.0]);
        assert_eq!(run(Trim::default(), &blocks).len(), 12);
        assert!(run(Trim { lead: 9, total: None, tail: 0 }, &blocks).is_empty());
    }
}
