//! MPEG-2 transport streams (ISO/IEC 13818-1) of one H.264 track, with one AAC track or silent, segment by segment.
//!
//! **Continuity without order.** The continuity counter of a PID counts its packets with payload modulo 16. In
//! every segment every PID gets a number of such packets that is a multiple of 16, so each segment starts at
//! counter 0 and joins any other, whichever was made first. A packet without payload would not count, so the
//! padding carries payload: the last access unit of a PID is spread over more packets than it needs, with
//! stuffing in their adaptation fields (§2.4.3.5), and PAT and PMT appear 16 times.
//!
//! **Clock.** PTS are on the 90 kHz clock from [`BASE_TICKS`] on, without DTS; a PCR lies in the first packet of
//! every picture, [`PCR_LEAD_TICKS`] ahead of its PTS. Only the PES writer wraps at 33 bits.

mod demux;
mod mux;
mod packet;
mod pes;
mod psi;

pub use demux::{DemuxError, Streams, Unit, demux};
pub use mux::{MuxError, Muxer};

use bytes::Bytes;

/// Bytes in a packet (§2.4.3.2).
pub const PACKET_BYTES: usize = 188;
/// PTS of the start of a clip: 10 s on the 90 kHz clock, so that no PCR is negative.
pub const BASE_TICKS: u64 = 900_000;
/// How far the PCR of a picture is ahead of its PTS: 100 ms on the 90 kHz clock.
pub const PCR_LEAD_TICKS: u64 = 9_000;
/// Ticks of an AAC access unit of 1024 samples at 48 kHz: whole, so audio never drifts.
pub const AAC_UNIT_TICKS: u64 = 1920;

const PAT_PID: u16 = 0;
const PMT_PID: u16 = 0x1000;
const VIDEO_PID: u16 = 0x100;
const AUDIO_PID: u16 = 0x101;
/// Continuity counters have four bits.
const COUNTERS: usize = 16;

/// The first packets of every segment of a clip, PAT and PMT: 376 bytes that depend on nothing but whether the clip
/// has `sound`.
pub fn head(sound: bool) -> Bytes {
    let mut out = Vec::with_capacity(2 * PACKET_BYTES);
    psi::write_tables(&mut out, 0, sound);
    Bytes::from(out)
}
