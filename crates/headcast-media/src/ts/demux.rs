//! Reads segments back, and accepts nothing that the muxer would not write.

use std::ops::Range;

use bytes::Bytes;

use super::{
    AAC_UNIT_TICKS, AUDIO_PID, COUNTERS, PACKET_BYTES, PAT_PID, PCR_LEAD_TICKS, PMT_PID, VIDEO_PID, head, pes,
};
use crate::h264::nal;

/// The access units of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Streams {
    /// Pictures in order, in Annex B form with their delimiter.
    pub video: Vec<Unit>,
    /// AAC access units in order, without ADTS header.
    pub audio: Vec<Unit>,
}

/// One access unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// On the 90 kHz clock, modulo 2^33.
    pub pts: u64,
    /// Whether decoding can start here.
    pub random_access: bool,
    /// Its bytes.
    pub data: Vec<u8>,
}

/// What is wrong with a segment, and where.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("transport stream packet {packet} (byte {}): {what}; make the segment again", packet * PACKET_BYTES)]
pub struct DemuxError {
    /// Packet of the segment, from 0.
    pub packet: usize,
    /// What was found.
    pub what: &'static str,
}

/// Reads one segment as the muxer writes it.
///
/// Strict: any byte that could make a player stumble is an error. PAT and PMT are first and never change, every
/// PID counts from 0 without a gap and ends on a multiple of 16 packets, every picture has a PCR
/// [`PCR_LEAD_TICKS`] ahead of its PTS, the first and no other is a random access point, and AAC access units
/// follow each other without a gap.
///
/// # Errors
/// [`DemuxError`] with the first packet that is wrong.
pub fn demux(segment: &[u8]) -> Result<Streams, DemuxError> {
    let (packets, rest) = segment.as_chunks::<PACKET_BYTES>();
    if !rest.is_empty() {
        return Err(DemuxError { packet: packets.len(), what: "the segment ends within a packet" });
    }
    let starts = |sound: &bool| segment.starts_with(&head(*sound));
    let Some(sound) = [true, false].into_iter().find(starts) else {
        return Err(DemuxError { packet: 0, what: "the segment does not start with the PAT and PMT" });
    };
    let mut reader = Reader { tables: head(sound), sound, ..Reader::default() };
    for (index, packet) in packets.iter().enumerate() {
        reader.packet(packet).map_err(|what| DemuxError { packet: index, what })?;
    }
    reader.finish().map_err(|what| DemuxError { packet: packets.len(), what })
}

#[derive(Default)]
struct Reader {
    /// PAT and PMT as the segment starts with them.
    tables: Bytes,
    sound: bool,
    streams: Streams,
    /// Packets with payload so far, of PAT, PMT, video and audio.
    counters: [usize; 4],
    video: Option<Pending>,
    audio: Option<Pending>,
}

/// A PES packet that is being put together.
struct Pending {
    pcr: Option<u64>,
    random_access: bool,
    bytes: Vec<u8>,
}

impl Reader {
    fn packet(&mut self, packet: &[u8; PACKET_BYTES]) -> Result<(), &'static str> {
        let [sync, high, low, control, body @ ..] = packet;
        if *sync != 0x47 {
            return Err("no sync byte");
        }
        if high & 0xa0 != 0 || control & 0xc0 != 0 {
            return Err("error, priority or scrambling bits are set");
        }
        let unit_start = high & 0x40 != 0;
        let pid = u16::from_be_bytes([high & 0x1f, *low]);
        let slot = match pid {
            PAT_PID => 0,
            PMT_PID => 1,
            VIDEO_PID => 2,
            AUDIO_PID if self.sound => 3,
            _ => return Err("a PID that the PMT does not name"),
        };
        if usize::from(control & 0x0f) != self.counters[slot] % COUNTERS {
            return Err("continuity counter out of step");
        }
        self.counters[slot] += 1;
        let adaptation = match control >> 4 {
            0b01 => Adaptation::default(),
            0b11 => Adaptation::parse(body).ok_or("malformed adaptation field")?,
            _ => return Err("a packet without payload"),
        };
        let payload = &body[adaptation.bytes..];
        match slot {
            0 | 1 => {
                let expected = &self.tables[slot * PACKET_BYTES + 4..][..PACKET_BYTES - 4];
                if !unit_start || payload != expected {
                    return Err("PAT or PMT differs from the first one");
                }
            }
            _ => {
                if unit_start {
                    let pending = Pending {
                        pcr: adaptation.pcr,
                        random_access: adaptation.random_access,
                        bytes: payload.to_vec(),
                    };
                    self.complete(pid)?;
                    *self.pending(pid) = Some(pending);
                } else {
                    if adaptation.pcr.is_some() || adaptation.random_access {
                        return Err("PCR or random access flag away from the start of a unit");
                    }
                    let pending = self.pending(pid).as_mut().ok_or("payload before the first PES header")?;
                    pending.bytes.extend_from_slice(payload);
                }
            }
        }
        Ok(())
    }

    fn pending(&mut self, pid: u16) -> &mut Option<Pending> {
        if pid == VIDEO_PID { &mut self.video } else { &mut self.audio }
    }

    fn complete(&mut self, pid: u16) -> Result<(), &'static str> {
        let Some(pending) = self.pending(pid).take() else { return Ok(()) };
        if pid == VIDEO_PID { self.complete_video(pending) } else { self.complete_audio(&pending) }
    }

    fn complete_video(&mut self, pending: Pending) -> Result<(), &'static str> {
        let Pending { pcr, random_access, bytes } = pending;
        let (pts, length) = pes_header(&bytes, pes::VIDEO_STREAM_ID)?;
        if length != 0 {
            return Err("a video PES packet with a length");
        }
        let pcr = pcr.ok_or("a picture without PCR")?;
        if pts.wrapping_sub(pcr) & PTS_MASK != PCR_LEAD_TICKS {
            return Err("PCR is not 100 ms ahead of its PTS");
        }
        if let Some(last) = self.streams.video.last()
            && pts.wrapping_sub(last.pts) & PTS_MASK > PTS_MASK / 2
        {
            return Err("PTS goes back");
        }
        if random_access != self.streams.video.is_empty() {
            return Err("random access flag away from the first picture, or missing there");
        }
        let data = bytes[pes::HEADER_BYTES..].to_vec();
        if !is_access_unit(&data, random_access) {
            return Err("NAL units of a picture are missing or out of order");
        }
        self.streams.video.push(Unit { pts, random_access, data });
        Ok(())
    }

    fn complete_audio(&mut self, pending: &Pending) -> Result<(), &'static str> {
        if pending.pcr.is_some() || pending.random_access {
            return Err("PCR or random access flag on sound");
        }
        let (mut pts, length) = pes_header(&pending.bytes, pes::AUDIO_STREAM_ID)?;
        if usize::from(length) + 6 != pending.bytes.len() {
            return Err("PES_packet_length differs from the bytes that follow");
        }
        let mut rest = &pending.bytes[pes::HEADER_BYTES..];
        if rest.is_empty() {
            return Err("a PES packet without access unit");
        }
        while !rest.is_empty() {
            let frame = adts_payload(rest).ok_or("malformed ADTS header")?;
            if let Some(last) = self.streams.audio.last()
                && pts != (last.pts + AAC_UNIT_TICKS) & PTS_MASK
            {
                return Err("gap or overlap between AAC access units");
            }
            let data = rest[frame.clone()].to_vec();
            self.streams.audio.push(Unit { pts, random_access: true, data });
            pts = (pts + AAC_UNIT_TICKS) & PTS_MASK;
            rest = &rest[frame.end..];
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Streams, &'static str> {
        self.complete(VIDEO_PID)?;
        self.complete(AUDIO_PID)?;
        if self.streams.video.is_empty() {
            return Err("the segment has no picture");
        }
        if self.counters.iter().any(|count| !count.is_multiple_of(COUNTERS)) {
            return Err("a PID ends away from counter 15");
        }
        Ok(self.streams)
    }
}

/// A delimiter, the parameter sets if it is an IDR picture, then one or more slices.
fn is_access_unit(annex_b: &[u8], idr: bool) -> bool {
    let mut kinds = nal::annex_b(annex_b).map(nal::nal_unit_type);
    let before: &[u8] =
        if idr { &[nal::kind::AUD, nal::kind::SPS, nal::kind::PPS] } else { &[nal::kind::AUD] };
    let slice = if idr { nal::kind::IDR } else { nal::kind::SLICE };
    before.iter().all(|&kind| kinds.next() == Some(kind))
        && kinds.next() == Some(slice)
        && kinds.all(|kind| kind == slice)
}

#[derive(Default)]
struct Adaptation {
    /// All of it, with the length byte.
    bytes: usize,
    random_access: bool,
    pcr: Option<u64>,
}

impl Adaptation {
    /// Only random access, PCR and stuffing; at least one byte of payload must be left.
    fn parse(body: &[u8]) -> Option<Self> {
        let bytes = usize::from(*body.first()?) + 1;
        let field = body.get(1..bytes).filter(|_| bytes < body.len())?;
        let Some((&flags, field)) = field.split_first() else {
            return Some(Self { bytes, ..Self::default() });
        };
        if flags & !0x50 != 0 {
            return None;
        }
        let (pcr, stuffing) = if flags & 0x10 != 0 {
            let (pcr, stuffing) = field.split_first_chunk::<6>()?;
            let [a, b, c, d, e, f] = *pcr;
            let value = u64::from_be_bytes([0, 0, a, b, c, d, e, f]);
            // Six reserved bits are ones, the extension is 0.
            if value & 0x7fff != 0x7e00 {
                return None;
            }
            (Some(value >> 15), stuffing)
        } else {
            (None, field)
        };
        let clean = stuffing.iter().all(|&b| b == 0xff);
        clean.then_some(Self { bytes, random_access: flags & 0x40 != 0, pcr })
    }
}

/// PTS and `PES_packet_length`.
fn pes_header(bytes: &[u8], stream_id: u8) -> Result<(u64, u16), &'static str> {
    const WRONG: &str = "malformed PES header";
    let header = bytes.first_chunk::<{ pes::HEADER_BYTES }>().ok_or(WRONG)?;
    let [0, 0, 1, id, length_high, length_low, 0x84, 0x80, 5, a, b, c, d, e] = *header else {
        return Err(WRONG);
    };
    let field = u64::from_be_bytes([0, 0, 0, a, b, c, d, e]);
    if id != stream_id || field >> 36 != 0b0010 || field & 0x1_0001_0001 != 0x1_0001_0001 {
        return Err(WRONG);
    }
    let pts = (field >> 33 & 7) << 30 | (field >> 17 & 0x7fff) << 15 | field >> 1 & 0x7fff;
    Ok((pts, u16::from_be_bytes([length_high, length_low])))
}

/// Where the payload of the first ADTS frame of `bytes` lies: AAC-LC, 48 kHz, one or two channels, no CRC.
fn adts_payload(bytes: &[u8]) -> Option<Range<usize>> {
    let [0xff, 0xf1, c, d, e, f, 0xfc] = *bytes.first_chunk::<{ pes::ADTS_HEADER_BYTES }>()? else {
        return None;
    };
    let known = c == 0x4c && matches!(d & 0xfc, 0x40 | 0x80) && f & 0x1f == 0x1f;
    let length = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f) >> 5;
    let fits = length > pes::ADTS_HEADER_BYTES && length <= bytes.len();
    (known && fits).then_some(pes::ADTS_HEADER_BYTES..length)
}

const PTS_MASK: u64 = (1 << 33) - 1;
