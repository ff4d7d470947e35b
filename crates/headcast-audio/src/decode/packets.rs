//! Demuxer and decoder of one file, joined: each step is a block of samples, a damaged packet or the end.

use std::fmt;

use symphonia::core::codecs::audio::well_known::{CODEC_ID_AAC, CODEC_ID_OPUS, CODEC_ID_VORBIS};
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error as SymphoniaError;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_ADTS, FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_MKV, FORMAT_ID_MP3, FORMAT_ID_OGG,
    FORMAT_ID_WAVE,
};
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;

use super::sniff::{self, Container};
use super::source::Source;
use super::{name, opus};
use crate::error::AudioError;
use crate::resample::Layout;

const RATES: std::ops::RangeInclusive<u32> = 8_000..=192_000;
const MAX_CHANNELS: usize = 8;
/// Packets in a row that may fail before the rest of the file is given up: about four seconds of most
/// codecs.
const MAX_FAILURES: u32 = 200;

/// Codecs that [`Trim`](super::trim::Trim) asks about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Aac,
}

/// Sample rate and channel count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) rate: u32,
    pub(super) channels: usize,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.channels == 1 { "" } else { "s" };
        write!(f, "{} Hz with {} channel{s}", self.rate, self.channels)
    }
}

/// What the next step brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Samples; perhaps none.
    Block,
    /// A packet that does not decode, worth this many samples per channel.
    Damaged { frames: usize },
    /// No more packets; not `clean` if the file breaks off.
    End { clean: bool },
}

pub(super) struct Packets {
    reader: Box<dyn FormatReader>,
    decoder: Decoder,
    container: Container,
    track: Track,
    params: AudioCodecParameters,
    opus_head: Option<opus::Head>,
    layout: Option<Layout>,
    /// Format of the first block, and of the latest.
    first: Option<Format>,
    latest: Option<Format>,
    /// Samples per channel in the latest good packet.
    usual_frames: usize,
    failures: u32,
    /// The demuxer or decoder gave up, or panicked; it is not asked again.
    broken: bool,
}

enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(Box<opus::Decoder>),
}

impl fmt::Debug for Packets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packets").field("container", &self.container).finish_non_exhaustive()
    }
}

impl Packets {
    pub(super) fn open(
        source: Source,
        hint: Option<&str>,
        sniffed: Option<Container>,
        head: &[u8],
    ) -> Result<Self, AudioError> {
        let container = sniffed.map_or("audio", Container::name);
        guard(|| Self::open_unguarded(source, hint, sniffed, head))
            .unwrap_or(Err(AudioError::Damaged { container, codec: "unknown codec" }))
    }

    fn open_unguarded(
        source: Source,
        hint: Option<&str>,
        sniffed: Option<Container>,
        head: &[u8],
    ) -> Result<Self, AudioError> {
        let mut extension = Hint::new();
        if let Some((_, ext)) = hint.and_then(|name| name.rsplit_once('.')) {
            extension.with_extension(ext);
        }
        let stream = MediaSourceStream::new(Box::new(source), MediaSourceStreamOptions::default());
        let reader = symphonia::default::get_probe()
            .probe(&extension, stream, FormatOptions::default(), MetadataOptions::default())
            .map_err(|error| refused_container(&error, sniffed, head))?;
        let container = match reader.format_info().format {
            FORMAT_ID_WAVE => Container::Wav,
            FORMAT_ID_MP3 => Container::Mp3,
            FORMAT_ID_ADTS => Container::Adts,
            FORMAT_ID_ISOMP4 => Container::Mp4,
            FORMAT_ID_FLAC => Container::Flac,
            FORMAT_ID_OGG => Container::Ogg,
            FORMAT_ID_MKV => Container::Matroska,
            // MPEG layers I and II, and whatever else a demuxer may find.
            _ => {
                return Err(AudioError::UnsupportedCodec {
                    container: "audio",
                    codec: reader.format_info().long_name.to_owned(),
                });
            }
        };
        let track = reader
            .default_track(TrackType::Audio)
            .or_else(|| reader.first_track(TrackType::Audio))
            .ok_or(AudioError::NoAudioTrack { container: container.name() })?
            .clone();
        let params = track
            .codec_params
            .as_ref()
            .and_then(|params| params.audio())
            .ok_or(AudioError::NoAudioTrack { container: container.name() })?
            .clone();
        check_format(params.sample_rate, params.channels.as_ref().map(|c| c.count()))?;
        let unsupported =
            || AudioError::UnsupportedCodec { container: container.name(), codec: name::refused(&params) };
        let head = params.extra_data.as_deref();
        let opus_head = (params.codec == CODEC_ID_OPUS)
            .then(|| opus::Head::parse(head?, container == Container::Mp4))
            .flatten();
        let decoder = if params.codec == CODEC_ID_OPUS {
            let decoder = opus_head.as_ref().and_then(opus::Decoder::new).ok_or_else(unsupported)?;
            Decoder::Opus(Box::new(decoder))
        } else {
            // Only for Vorbis does the decoder trim: its packets overlap, and the demuxer knows how. All
            // other trimming is `Trim`'s.
            let options = AudioDecoderOptions::default().gapless(params.codec == CODEC_ID_VORBIS);
            let decoder = symphonia::default::get_codecs().make_audio_decoder(&params, &options);
            Decoder::Symphonia(decoder.ok().ok_or_else(unsupported)?)
        };
        Ok(Self {
            reader,
            decoder,
            container,
            track,
            params,
            opus_head,
            layout: None,
            first: None,
            latest: None,
            usual_frames: 0,
            failures: 0,
            broken: false,
        })
    }

    pub(super) fn container(&self) -> Container {
        self.container
    }

    pub(super) fn codec(&self) -> &'static str {
        name::codec(self.params.codec).unwrap_or("unknown")
    }

    pub(super) fn is(&self, codec: Codec) -> bool {
        let Codec::Aac = codec;
        self.params.codec == CODEC_ID_AAC
    }

    pub(super) fn track_id(&self) -> u32 {
        self.track.id
    }

    pub(super) fn opus_pre_skip(&self) -> Option<u16> {
        self.opus_head.as_ref().map(|head| head.pre_skip)
    }

    /// Encoder and decoder delay by an mp3's `LAME` tag.
    pub(super) fn encoder_delay(&self) -> Option<u64> {
        self.track.delay.filter(|&delay| delay > 0).map(u64::from)
    }

    /// Samples per channel of an mp3 whose tag states both the delay and the number of frames.
    pub(super) fn gapless_frames(&self) -> Option<u64> {
        self.encoder_delay().and(self.track.num_frames)
    }

    pub(super) fn nothing_decoded(&self) -> AudioError {
        AudioError::Damaged { container: self.container.name(), codec: self.codec() }
    }

    /// Where the channels are heard.
    pub(super) fn layout(&self, channels: usize) -> Layout {
        match (&self.layout, &self.opus_head) {
            (Some(layout), _) => layout.clone(),
            (None, Some(head)) => Layout::vorbis(head.channels),
            (None, None) => Layout::wave(channels),
        }
    }

    /// Format of the blocks: that of the first one, or the stated one of a clip without samples.
    pub(super) fn format(&self) -> Result<Format, AudioError> {
        let stated = || {
            let channels = self.params.channels.as_ref().map(|c| c.count())?;
            Some(Format { rate: self.params.sample_rate?, channels })
        };
        let format = self.first.or_else(stated).ok_or_else(|| self.nothing_decoded())?;
        check_format(Some(format.rate), Some(format.channels))?;
        Ok(format)
    }

    /// The error to report if the latest block differs from the first in format.
    pub(super) fn format_change(&self, position: u64) -> Result<Option<AudioError>, AudioError> {
        let (Some(first), Some(latest)) = (self.first, self.latest) else { return Ok(None) };
        Ok((first != latest).then(|| AudioError::FormatChange {
            from: first.to_string(),
            to: latest.to_string(),
            at: crate::resample::duration(position, first.rate),
        }))
    }

    /// Samples per channel that the file states exactly, priming included where the container counts it.
    pub(super) fn stated_frames(&self) -> Option<u64> {
        match self.container {
            Container::Wav | Container::Flac | Container::Mp4 => self.track.num_frames,
            Container::Mp3 => self.gapless_frames(),
            // Granule positions of Opus and durations of ADTS are estimates here.
            Container::Adts | Container::Ogg | Container::Matroska => None,
        }
        .filter(|&frames| frames > 0)
    }

    /// Whether `frames` samples per channel could fit into a file of this size at all: always, if packed.
    pub(super) fn fits(&self, frames: u64, file_bytes: u64) -> bool {
        // One byte per sample is the least that any wav needs.
        self.container != Container::Wav || frames <= file_bytes
    }

    /// Samples per channel by a duration that is good enough to refuse hours, where there is one.
    pub(super) fn rough_frames(&self, rate: u32) -> Option<u64> {
        let duration = match self.container {
            Container::Ogg => self.track.duration?,
            Container::Matroska => self.reader.media_info().duration?,
            _ => return None,
        };
        let base = match self.container {
            Container::Ogg => self.track.time_base?,
            _ => self.reader.media_info().time_base?,
        };
        let num = u128::from(duration.get()) * u128::from(base.numer.get()) * u128::from(rate);
        u64::try_from(num / u128::from(base.denom.get())).ok().filter(|&frames| frames > 0)
    }

    /// Replaces `out` with the samples of the next packet of the track.
    pub(super) fn next(&mut self, out: &mut Vec<f32>) -> Result<Next, AudioError> {
        if self.broken {
            return Ok(Next::End { clean: false });
        }
        self.broken = true;
        let next = guard(|| self.next_unguarded(out)).unwrap_or(Ok(Next::End { clean: false }))?;
        self.broken = next == Next::End { clean: false };
        Ok(next)
    }

    fn next_unguarded(&mut self, out: &mut Vec<f32>) -> Result<Next, AudioError> {
        out.clear();
        if self.failures > MAX_FAILURES {
            return Ok(Next::End { clean: false });
        }
        let packet = loop {
            match self.reader.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track.id => break packet,
                Ok(Some(_)) => {}
                Ok(None) => return Ok(Next::End { clean: true }),
                // A chained stream: its second part has another track list, and is not part of this clip.
                Err(SymphoniaError::ResetRequired) => return Ok(Next::End { clean: true }),
                // A live recording has no stated end, and the demuxer runs into that of the file. Whether
                // another one is cut off, `matroska::scan` knows.
                Err(SymphoniaError::IoError(error))
                    if self.container == Container::Matroska
                        && error.kind() == std::io::ErrorKind::UnexpectedEof =>
                {
                    return Ok(Next::End { clean: true });
                }
                Err(_) => return Ok(Next::End { clean: false }),
            }
        };
        match self.decode(&packet, out) {
            Some(format) => {
                self.first.get_or_insert(format);
                self.latest = Some(format);
                self.failures = 0;
                Ok(Next::Block)
            }
            None => {
                out.clear();
                self.failures += 1;
                Ok(Next::Damaged { frames: self.frames_of(&packet) })
            }
        }
    }

    fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Option<Format> {
        let format = match &mut self.decoder {
            Decoder::Opus(decoder) => {
                let channels = self.opus_head.as_ref()?.channels;
                decoder.decode(&packet.data, out)?;
                self.usual_frames = out.len() / channels;
                // Set on the last page, by its granule position.
                let padding = usize::try_from(packet.trim_end.get()).ok()?;
                out.truncate(out.len().saturating_sub(padding.saturating_mul(channels)));
                Format { rate: opus::RATE, channels }
            }
            Decoder::Symphonia(decoder) => {
                let block = decoder.decode(packet).ok()?;
                let format = Format { rate: block.spec().rate(), channels: block.spec().channels().count() };
                if self.layout.is_none() {
                    self.layout = Some(Layout::of(block.spec().channels()));
                }
                block.copy_to_vec_interleaved(out);
                if format.channels == 0 {
                    return None;
                }
                if block.frames() > 0 {
                    self.usual_frames = block.frames();
                }
                format
            }
        };
        Some(format)
    }

    /// How long the packet would have been, at most a second.
    fn frames_of(&self, packet: &Packet) -> usize {
        let Some(Format { rate, .. }) = self.first else { return 0 };
        let stated = self.track.time_base.and_then(|base| {
            let num = u128::from(packet.dur.get()) * u128::from(base.numer.get()) * u128::from(rate);
            usize::try_from(num / u128::from(base.denom.get())).ok()
        });
        let frames = stated.filter(|&frames| frames > 0).unwrap_or(self.usual_frames);
        usize::try_from(rate).map_or(frames, |second| frames.min(second))
    }
}

/// Demuxers and decoders are other people's, and their input is anybody's: a damaged file may trip an
/// overflow check or an index in them (fragmented mp4 does, in Symphonia 0.6.1). That is a damaged file, and
/// must not end a server's worker. `None` after a panic; what `step` worked on is not to be used again.
fn guard<T>(step: impl FnOnce() -> T) -> Option<T> {
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(step)).ok()
}

fn check_format(rate: Option<u32>, channels: Option<usize>) -> Result<(), AudioError> {
    if let Some(hz) = rate.filter(|hz| !RATES.contains(hz)) {
        return Err(AudioError::SampleRate { hz });
    }
    if let Some(channels) = channels.filter(|&n| n == 0 || n > MAX_CHANNELS) {
        return Err(AudioError::Channels { channels });
    }
    Ok(())
}

fn refused_container(error: &SymphoniaError, sniffed: Option<Container>, head: &[u8]) -> AudioError {
    match (sniffed, error) {
        (Some(container @ Container::Wav), SymphoniaError::Unsupported(what)) => {
            AudioError::UnsupportedCodec {
                container: container.name(),
                codec: format!("of a kind it does not know ({what})"),
            }
        }
        (Some(container), _) if sniff::looks_like(head).is_none() => {
            AudioError::Damaged { container: container.name(), codec: "unknown codec" }
        }
        _ => AudioError::NotAudio { looks_like: sniff::looks_like(head) },
    }
}
