//! PES packets and ADTS frames.

use bytes::Bytes;

use crate::aac::Channels;

/// Timestamps in a stream have 33 bits (§2.4.3.7).
const WRAP_MASK: u64 = (1 << 33) - 1;
/// Bytes before the payload of a PES packet with a PTS.
pub(super) const HEADER_BYTES: usize = 14;
pub(super) const VIDEO_STREAM_ID: u8 = 0xe0;
pub(super) const AUDIO_STREAM_ID: u8 = 0xc0;
/// Bytes of an ADTS header without CRC (ISO/IEC 14496-3 §1.A.3.2).
pub(super) const ADTS_HEADER_BYTES: usize = 7;
/// `aac_frame_length` has 13 bits and counts the header.
pub(super) const MAX_AAC_BYTES: usize = (1 << 13) - 1 - ADTS_HEADER_BYTES;

/// A video PES packet of one access unit.
pub(super) fn video(pts: u64, annex_b: &[u8]) -> Vec<u8> {
    // PES_packet_length 0: unbounded, which only video may be (§2.4.3.7); pictures may exceed 65,535 bytes.
    let mut out = header(VIDEO_STREAM_ID, 0, pts, annex_b.len());
    out.extend_from_slice(annex_b);
    out
}

/// An audio PES packet of access units that follow each other; the PTS is that of the first.
///
/// # Panics
/// If a unit is longer than [`MAX_AAC_BYTES`] or all of them do not fit a PES packet.
pub(super) fn audio(pts: u64, units: &[Bytes], channels: Channels) -> Vec<u8> {
    let payload: usize = units.iter().map(|unit| ADTS_HEADER_BYTES + unit.len()).sum();
    // The optional header counts: two bytes of flags, its length, five of PTS.
    let length = u16::try_from(payload + HEADER_BYTES - 6).expect("a few access units fit a PES packet");
    let mut out = header(AUDIO_STREAM_ID, length, pts, payload);
    for unit in units {
        out.extend_from_slice(&adts_header(unit.len(), channels));
        out.extend_from_slice(unit);
    }
    out
}

fn header(stream_id: u8, length: u16, pts: u64, payload: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEADER_BYTES + payload);
    out.extend_from_slice(&[0x00, 0x00, 0x01, stream_id]);
    out.extend_from_slice(&length.to_be_bytes());
    // data_alignment_indicator: an access unit starts the payload; PTS_DTS_flags '10'; five bytes follow.
    out.extend_from_slice(&[0x84, 0x80, 0x05]);
    out.extend_from_slice(&pts_field(pts));
    out
}

/// `'0010'` and PTS\[32..30\], \[29..15\], \[14..0\], each before a marker bit.
fn pts_field(pts: u64) -> [u8; 5] {
    let pts = pts & WRAP_MASK;
    let field = 0x21_0001_0001 | (pts >> 30) << 33 | (pts >> 15 & 0x7fff) << 17 | (pts & 0x7fff) << 1;
    let [.., a, b, c, d, e] = field.to_be_bytes();
    [a, b, c, d, e]
}

/// `program_clock_reference_base`, six reserved bits, extension 0 (§2.4.3.4).
pub(super) fn pcr_field(ticks: u64) -> [u8; 6] {
    let [.., a, b, c, d, e, f] = ((ticks & WRAP_MASK) << 15 | 0x3f << 9).to_be_bytes();
    [a, b, c, d, e, f]
}

fn adts_header(unit_bytes: usize, channels: Channels) -> [u8; ADTS_HEADER_BYTES] {
    assert!(unit_bytes <= MAX_AAC_BYTES, "AAC access unit of {unit_bytes} bytes");
    // syncword, ID 0 (MPEG-4), layer 0, protection_absent 1.
    let head = 0xfff1u64;
    // profile AAC-LC (1), sampling_frequency_index 3 (48 kHz), private_bit 0, channel_configuration; four zero
    // bits; aac_frame_length; adts_buffer_fullness all ones (variable rate); one raw data block.
    let length = (unit_bytes + ADTS_HEADER_BYTES) as u64;
    let bits = head << 40 | 1 << 38 | 3 << 34 | (channels.count() as u64) << 30 | length << 13 | 0x7ff << 2;
    let [_, out @ ..] = bits.to_be_bytes();
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_pes_header() {
        let pes = video(900_000 + 3600, &[0xaa]);
        #[rustfmt::skip]
        assert_eq!(pes, [
            0x00, 0x00, 0x01, 0xe0,             // packet_start_code_prefix, stream_id
            0x00, 0x00,                         // PES_packet_length: unbounded
            0x84, 0x80, 0x05,                   // data aligned; PTS only; header data length
            0x21, 0x00, 0x37, 0x93, 0x61,       // PTS 903600
            0xaa,
        ]);
    }

    #[test]
    fn timestamps_wrap_at_33_bits_here_only() {
        assert_eq!(pts_field(u64::MAX), [0x2f, 0xff, 0xff, 0xff, 0xff]);
        assert_eq!(pts_field(1 << 33), pts_field(0));
        assert_eq!(pts_field(0), [0x21, 0x00, 0x01, 0x00, 0x01]);
        assert_eq!(pcr_field(1 << 33), [0, 0, 0, 0, 0x7e, 0]);
        assert_eq!(pcr_field(1), [0, 0, 0, 0, 0xfe, 0]);
    }

    #[test]
    fn golden_adts_header() {
        let pes = audio(0, &[Bytes::from_static(&[1, 2, 3])], Channels::Stereo);
        assert_eq!(pes[4..6], [0, 18]);
        // frame length 10
        assert_eq!(pes[HEADER_BYTES..], [0xff, 0xf1, 0x4c, 0x80, 0x01, 0x5f, 0xfc, 1, 2, 3]);
        let pes = audio(0, &[Bytes::from_static(&[0; 300])], Channels::Mono);
        assert_eq!(pes[HEADER_BYTES..][..7], [0xff, 0xf1, 0x4c, 0x40, 0x26, 0x7f, 0xfc]);
    }
}
