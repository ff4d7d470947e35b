//! Writes one segment.

use bytes::Bytes;

use super::packet::Pes;
use super::{
    AAC_UNIT_TICKS, AUDIO_PID, BASE_TICKS, COUNTERS, PACKET_BYTES, PCR_LEAD_TICKS, VIDEO_PID, pes, psi,
};
use crate::aac::Channels;
use crate::h264::AccessUnit;

/// Collects the access units of one segment and writes its transport stream.
#[derive(Debug)]
pub struct Muxer {
    channels: Option<Channels>,
    video: Vec<Pes>,
    audio: Vec<Pes>,
}

/// Why access units are no segment.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum MuxError {
    /// Force an IDR picture at the start of each segment.
    #[error("a segment must start with an IDR picture and hold no other (picture {picture} of it)")]
    NotRandomAccess {
        /// Position in the segment.
        picture: usize,
    },
    /// Encode with an AAC encoder: no access unit of one or two channels is that long.
    #[error("AAC access unit {unit} has {bytes} bytes, ADTS carries 1 to {}", pes::MAX_AAC_BYTES)]
    AudioUnit {
        /// Index in the clip.
        unit: u64,
        /// Its length.
        bytes: usize,
    },
    /// Make the muxer with channels, or push no sound.
    #[error("a clip without sound got AAC access units")]
    NoSound,
    /// Push a picture.
    #[error("a segment without a picture cannot be played")]
    NoPicture,
}

impl Muxer {
    /// A segment whose sound has `channels`; `None` for a program of pictures only.
    pub fn new(channels: Option<Channels>) -> Self {
        Self { channels, video: Vec::new(), audio: Vec::new() }
    }

    /// Appends a picture.
    ///
    /// * `ticks`: its instant on the 90 kHz clock, from the start of the clip.
    ///
    /// # Errors
    /// [`MuxError::NotRandomAccess`] unless the first picture, and no other, is an IDR picture.
    pub fn video(&mut self, ticks: u64, unit: &AccessUnit) -> Result<(), MuxError> {
        let picture = self.video.len();
        if unit.idr != (picture == 0) {
            return Err(MuxError::NotRandomAccess { picture });
        }
        let pts = BASE_TICKS + ticks;
        self.video.push(Pes {
            pid: VIDEO_PID,
            pts,
            pcr: Some(pts - PCR_LEAD_TICKS),
            random_access: unit.idr,
            bytes: pes::video(pts, &unit.annex_b),
        });
        Ok(())
    }

    /// Appends AAC access units.
    ///
    /// * `first`: index in the clip of the first of `units`; unit j is heard from sample `1024 · j` on.
    ///
    /// # Errors
    /// [`MuxError::AudioUnit`] when one is empty or too long, [`MuxError::NoSound`] when the clip has none.
    pub fn audio(&mut self, first: u64, units: &[Bytes]) -> Result<(), MuxError> {
        if units.is_empty() {
            return Ok(());
        }
        let channels = self.channels.ok_or(MuxError::NoSound)?;
        for (unit, bytes) in (first..).zip(units) {
            if bytes.is_empty() || bytes.len() > pes::MAX_AAC_BYTES {
                return Err(MuxError::AudioUnit { unit, bytes: bytes.len() });
            }
        }
        for (group, units) in (first..).step_by(UNITS_PER_PES).zip(units.chunks(UNITS_PER_PES)) {
            let pts = BASE_TICKS + group * AAC_UNIT_TICKS;
            self.audio.push(Pes {
                pid: AUDIO_PID,
                pts,
                pcr: None,
                // Every AAC access unit can be decoded by itself.
                random_access: false,
                bytes: pes::audio(pts, units, channels),
            });
        }
        Ok(())
    }

    /// The segment's bytes: [`head`](super::head), then pictures and sound in the order in which they are needed.
    ///
    /// # Errors
    /// [`MuxError::NoPicture`].
    pub fn finish(self) -> Result<Bytes, MuxError> {
        if self.video.is_empty() {
            return Err(MuxError::NoPicture);
        }
        let (video_spread, audio_spread) = (spread(&self.video), spread(&self.audio));
        let packets: usize = video_spread.iter().chain(&audio_spread).sum::<usize>() + 2 * COUNTERS;
        let mut out = Vec::with_capacity(packets * PACKET_BYTES);
        let (mut video_counter, mut audio_counter) = (0, 0);
        let mut audio = self.audio.iter().zip(audio_spread).peekable();
        let pictures = self.video.len();
        let sound = self.channels.is_some();
        let mut tables = 0;
        for (picture, (pes, packets)) in self.video.iter().zip(video_spread).enumerate() {
            // Sound goes in after the picture it is heard with: like that, PCR_LEAD before it is due. Where picture
            // and sound are cut apart, sound may be due before the first picture; still that one comes first.
            while let Some((pes, packets)) = audio.next_if(|(sound, _)| picture > 0 && sound.pts < pes.pts) {
                pes.write(packets, &mut audio_counter, &mut out);
            }
            while tables < COUNTERS && tables * pictures <= picture * COUNTERS {
                psi::write_tables(&mut out, tables, sound);
                tables += 1;
            }
            pes.write(packets, &mut video_counter, &mut out);
        }
        for (pes, packets) in audio {
            pes.write(packets, &mut audio_counter, &mut out);
        }
        for counter in tables..COUNTERS {
            psi::write_tables(&mut out, counter, sound);
        }
        Ok(Bytes::from(out))
    }
}

/// Packets for each PES packet of one PID: what it needs, and the last one as many more as bring the sum to a
/// multiple of 16.
///
/// Up to 15 more packets take at least 16 bytes of payload; a PES header alone has 14 and no access unit has
/// less than two.
fn spread(pes: &[Pes]) -> Vec<usize> {
    let mut packets: Vec<usize> = pes.iter().map(Pes::packets).collect();
    let sum: usize = packets.iter().sum();
    if let Some(last) = packets.last_mut() {
        *last += sum.next_multiple_of(COUNTERS) - sum;
    }
    packets
}

/// A third of a quantum at 25 fps. More would save headers and overrun the 3584 bytes of a decoder's audio buffer
/// (§2.4.2.3): units arrive up to 100 ms early and the last of five is due 85 ms after the first.
const UNITS_PER_PES: usize = 5;
