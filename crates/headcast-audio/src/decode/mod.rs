//! Any accepted file becomes interleaved `f32` blocks whose first sample is the first sample of the
//! recording.
//!
//! Every lossy encoder puts silence in front of what it was given (its *priming*) and fills the last packet
//! up. A decoder returns both, and a file that is decoded without care has its sound 20 to 50 ms late. Where
//! each number comes from:
//!
//! | file | start | end |
//! |---|---|---|
//! | wav, flac | nothing to drop | the stated length |
//! | mp3 | `LAME` tag, decoder delay of 529 included; without it 1105, what LAME adds by default | the tag |
//! | m4a, mp4 | edit list, else `iTunSMPB`, else 1024 (AAC) or `dOps` pre-skip (Opus) | the same |
//! | ADTS `.aac` | 1024 | never stated |
//! | Ogg Vorbis | granule position of the first page | of the last page |
//! | Ogg Opus | pre-skip (RFC 7845 §4.2) | granule position of the last page |
//! | WebM, Matroska | pre-skip or `CodecDelay` | `DiscardPadding` |

mod matroska;
mod mp4;
mod name;
mod opus;
mod packets;
mod sniff;
mod source;
mod trim;

#[cfg(test)]
pub(crate) mod tests;

use std::io::{Read, Seek};
use std::time::Duration;

use headcast_core::SampleRate;

use crate::cut::Cut;
use crate::error::AudioError;
use crate::resample::Layout;
use packets::{Next, Packets};
use source::{Source, Status};
use trim::{Trim, Trimmer};

pub use sniff::Container;

/// What a file holds, known before its audio is decoded.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Info {
    /// The file format.
    pub container: Container,
    /// The codec, as a user knows it.
    pub codec: &'static str,
    /// Samples per second and channel.
    pub sample_rate: SampleRate,
    /// Channels in the file, 1 to 8.
    pub channels: usize,
    /// Channels after the mix for the video: 1 for mono, else 2.
    pub output_channels: usize,
    /// Length by the file's own account, where it gives a reliable one.
    pub stated: Option<Duration>,
}

/// What went wrong inside a file that could be decoded otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Damage {
    /// Packets replaced by silence.
    pub(crate) packets: u64,
    /// Position of the first of them, in samples per channel.
    pub(crate) first: u64,
    /// The file ended before the length it states, or in the middle of something.
    pub(crate) truncated: bool,
}

/// Decodes one file block by block; memory does not grow with its length.
#[derive(Debug)]
pub(crate) struct Decoder {
    packets: Packets,
    info: Info,
    trimmer: Trimmer,
    /// Leaves what the user wants of the recording.
    cutter: Trimmer,
    /// Samples per channel that it drops first.
    cut_start: u64,
    status: Status,
    /// The next block, already decoded because its format had to be known.
    first: Option<Vec<f32>>,
    /// Samples per channel that the file says it holds.
    expected: Option<u64>,
    /// Samples per channel of the recording that were decoded.
    read: u64,
    /// Samples per channel handed out.
    position: u64,
    /// The file ends before its container does: of interest to whoever gets that far.
    cut_off: bool,
    damage: Damage,
}

impl Decoder {
    /// Opens a file and decodes up to the first block of sound.
    ///
    /// * `hint`: file name; its extension is tried first, the bytes decide.
    /// * `cut`: what is handed out of it; what is outside is as if it were not in the file.
    pub(crate) fn open(
        source: impl Read + Seek + Send + Sync + 'static,
        hint: Option<&str>,
        max_bytes: u64,
        cut: Cut,
    ) -> Result<Self, AudioError> {
        Ok(Self::open_with(source, hint, max_bytes, true)?.cut_to(cut))
    }

    fn cut_to(mut self, cut: Cut) -> Self {
        let (start, end) = cut.samples(self.info.sample_rate);
        let total = end.map(|end| end.saturating_sub(start));
        self.cutter = Trimmer::new(Trim { lead: start, total, tail: 0 }, self.info.channels);
        self.cut_start = start;
        if start > 0 {
            // What is damaged before the first sound is not heard.
            self.damage.packets = 0;
        }
        self
    }

    /// `trimmed` is false only in the tests' control: it shows what the file would be without any care.
    fn open_with(
        source: impl Read + Seek + Send + Sync + 'static,
        hint: Option<&str>,
        max_bytes: u64,
        trimmed: bool,
    ) -> Result<Self, AudioError> {
        let (mut source, status) = Source::new(source)?;
        if source.len() == 0 {
            return Err(AudioError::Empty);
        }
        if source.len() > max_bytes {
            return Err(AudioError::TooLarge { bytes: source.len(), max: max_bytes });
        }
        let file_bytes = source.len();
        let head = source.head()?;
        let sniffed = sniff::container(&head);
        let mp4 = if sniffed == Some(Container::Mp4) {
            // The index stands at the end of many files, and goes first when one is cut off.
            let damaged =
                AudioError::Damaged { container: Container::Mp4.name(), codec: "its index is missing" };
            Some(mp4::scan(&mut source)?.ok_or(damaged)?)
        } else {
            None
        };
        let matroska = if sniffed == Some(Container::Matroska) { matroska::scan(&mut source)? } else { None };

        let cut_off = matroska.as_ref().is_some_and(|matroska| matroska.cut_off);
        if cut_off {
            source.set_cut_off();
        }
        let opened = Packets::open(source, hint, sniffed, &head);
        let mut packets = status.check(opened)?;
        let mut first = Vec::new();
        let mut damage = Damage::default();
        loop {
            match status.check(packets.next(&mut first))? {
                Next::Block if !first.is_empty() => break,
                Next::Block => {}
                Next::Damaged { .. } => damage.packets += 1,
                Next::End { clean } => {
                    if damage.packets > 0 || !clean {
                        return Err(packets.nothing_decoded());
                    }
                    break;
                }
            }
        }
        // An mp3 cut out of a longer one refers to bits before the cut: its first packets cannot decode
        // and nothing is missing.
        if packets.container() == Container::Mp3 {
            damage.packets = 0;
        }
        let format = packets.format()?;
        let trim = if trimmed {
            Trim::of(&packets, format.rate, mp4.as_ref(), matroska.as_ref())
        } else {
            Trim::default()
        };
        let expected = packets.stated_frames().map(|frames| match trim.total {
            Some(total) => total,
            // Of these the stated length includes the priming.
            None if packets.container() == Container::Mp4 => frames.saturating_sub(trim.lead),
            None => frames,
        });
        let info = Info {
            container: packets.container(),
            codec: packets.codec(),
            sample_rate: SampleRate::new(format.rate).ok_or(AudioError::SampleRate { hz: 0 })?,
            channels: format.channels,
            output_channels: format.channels.min(2),
            stated: expected
                .or(packets.rough_frames(format.rate))
                // A wav header that promises more than the file holds says nothing.
                .filter(|&frames| packets.fits(frames, file_bytes))
                .map(|frames| crate::resample::duration(frames, format.rate)),
        };
        let trimmer = Trimmer::new(trim, format.channels);
        let cutter = Trimmer::new(Trim::default(), format.channels);
        Ok(Self {
            packets,
            info,
            trimmer,
            cutter,
            cut_start: 0,
            status,
            first: Some(first),
            expected,
            read: 0,
            position: 0,
            cut_off,
            damage,
        })
    }

    pub(crate) fn info(&self) -> &Info {
        &self.info
    }

    /// Where the channels are heard.
    pub(crate) fn layout(&self) -> Layout {
        self.packets.layout(self.info.channels)
    }

    /// Samples per channel handed out so far.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Length of the recording, all of it, where the file states it exactly.
    pub(crate) fn stated_samples(&self) -> Option<u64> {
        self.expected
    }

    /// Samples per channel of the recording, all of it, that were decoded so far.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// Bytes of the file read so far, and in all.
    pub(crate) fn bytes(&self) -> (u64, u64) {
        self.status.bytes()
    }

    pub(crate) fn damage(&self) -> Damage {
        self.damage
    }

    /// Replaces `out` with the next block, interleaved `f32`; `false` at the end. A block before the cut is empty.
    pub(crate) fn next_block(&mut self, out: &mut Vec<f32>) -> Result<bool, AudioError> {
        loop {
            if self.cutter.is_full() {
                out.clear();
                return Ok(false);
            }
            let mut ended = false;
            if let Some(first) = self.first.take() {
                *out = first;
            } else {
                match self.status.check(self.packets.next(out))? {
                    Next::Block => {}
                    Next::Damaged { frames } => {
                        if self.read + frames as u64 > self.cut_start {
                            if self.damage.packets == 0 {
                                self.damage.first = self.read;
                            }
                            self.damage.packets += 1;
                        }
                        out.clear();
                        out.resize(frames * self.info.channels, 0.0);
                    }
                    Next::End { clean } => {
                        out.clear();
                        ended = true;
                        self.damage.truncated |= self.cut_off || !clean;
                    }
                }
            }
            if let Some(change) = self.packets.format_change(self.read)? {
                return Err(change);
            }
            if ended {
                self.trimmer.finish();
                self.note_missing();
                return Ok(false);
            }
            self.trimmer.apply(out);
            if !out.is_empty() {
                self.read += (out.len() / self.info.channels) as u64;
                self.cutter.apply(out);
                self.check_finite(out)?;
                self.position += (out.len() / self.info.channels) as u64;
                return Ok(true);
            }
        }
    }

    /// A shortfall of more than 50 ms against the stated length means that the file was cut off.
    fn note_missing(&mut self) {
        let tolerance = u64::from(self.info.sample_rate.hz() / 20);
        if self.expected.is_some_and(|expected| self.read + tolerance < expected) {
            self.damage.truncated = true;
        }
    }

    fn check_finite(&self, block: &[f32]) -> Result<(), AudioError> {
        // Without an early end many samples are looked at together; only then look for the culprit.
        if block.iter().fold(true, |finite, v| finite & v.is_finite()) {
            return Ok(());
        }
        let Some(at) = block.iter().position(|v| !v.is_finite()) else { return Ok(()) };
        let sample = self.cut_start + self.position + (at / self.info.channels) as u64;
        Err(AudioError::NotFinite {
            value: block[at],
            sample,
            at: crate::resample::duration(sample, self.info.sample_rate.hz()),
        })
    }
}
