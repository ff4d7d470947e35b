//! Program association and program map tables (§2.4.4).

use super::{AUDIO_PID, COUNTERS, PACKET_BYTES, PAT_PID, PMT_PID, VIDEO_PID};

/// `stream_type` of H.264 (table 2-34).
pub(super) const STREAM_TYPE_H264: u8 = 0x1b;
/// `stream_type` of AAC with ADTS (table 2-34).
pub(super) const STREAM_TYPE_ADTS: u8 = 0x0f;

/// Appends one packet each of PAT and PMT with continuity counter `counter`; `sound`: the program has a track of it.
pub(super) fn write_tables(out: &mut Vec<u8>, counter: usize, sound: bool) {
    write_section(out, PAT_PID, counter, &pat());
    write_section(out, PMT_PID, counter, &pmt(sound));
}

/// The PAT section without its CRC: program 1 is at the PMT's PID.
fn pat() -> Vec<u8> {
    let [pmt_high, pmt_low] = (0xe000 | PMT_PID).to_be_bytes();
    section(0x00, 1, &[0x00, 0x01, pmt_high, pmt_low])
}

/// The PMT section without its CRC: PCR with the video, one H.264 and perhaps one AAC stream, no descriptors.
fn pmt(sound: bool) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend_from_slice(&(0xe000 | VIDEO_PID).to_be_bytes()); // PCR_PID
    body.extend_from_slice(&[0xf0, 0x00]); // program_info_length
    let streams = [(STREAM_TYPE_H264, VIDEO_PID), (STREAM_TYPE_ADTS, AUDIO_PID)];
    for (stream_type, pid) in streams.into_iter().take(if sound { 2 } else { 1 }) {
        body.push(stream_type);
        body.extend_from_slice(&(0xe000 | pid).to_be_bytes());
        body.extend_from_slice(&[0xf0, 0x00]); // ES_info_length
    }
    section(0x02, 1, &body)
}

/// `table_id` to the last byte before the CRC, version 0, current, the only section.
fn section(table_id: u8, id: u16, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(5 + body.len() + 4).expect("tables of two streams are short");
    let mut out = vec![table_id];
    out.extend_from_slice(&(0xb000 | length).to_be_bytes());
    out.extend_from_slice(&id.to_be_bytes());
    out.extend_from_slice(&[0xc1, 0x00, 0x00]);
    out.extend_from_slice(body);
    out
}

fn write_section(out: &mut Vec<u8>, pid: u16, counter: usize, section: &[u8]) {
    let start = out.len();
    let [pid_high, pid_low] = (0x4000 | pid).to_be_bytes(); // payload_unit_start_indicator
    let counter = u8::try_from(counter % COUNTERS).expect("below 16");
    out.extend_from_slice(&[0x47, pid_high, pid_low, 0x10 | counter, 0x00]); // pointer_field 0
    out.extend_from_slice(section);
    out.extend_from_slice(&crc32(section).to_be_bytes());
    out.resize(start + PACKET_BYTES, 0xff);
}

/// `CRC_32` (annex A): polynomial 0x04C11DB7, initial value all ones, not reflected, not inverted. Over a
/// section with its CRC it is 0.
pub(super) fn crc32(data: &[u8]) -> u32 {
    data.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc, _| {
            if crc >> 31 == 1 { crc << 1 ^ 0x04c1_1db7 } else { crc << 1 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_tables() {
        let mut out = Vec::new();
        write_tables(&mut out, 0, true);
        #[rustfmt::skip]
        let pat = [
            0x47, 0x40, 0x00, 0x10,             // sync_byte, unit start + PID 0, payload only + counter 0
            0x00,                               // pointer_field
            0x00, 0xb0, 0x0d,                   // table_id, section_length 13
            0x00, 0x01, 0xc1, 0x00, 0x00,       // transport_stream_id, version 0 current, section 0 of 0
            0x00, 0x01, 0xf0, 0x00,             // program_number 1, program_map_PID 0x1000
            0x2a, 0xb1, 0x04, 0xb2,             // CRC_32
        ];
        #[rustfmt::skip]
        let pmt = [
            0x47, 0x50, 0x00, 0x10,             // sync_byte, unit start + PID 0x1000, payload only + counter 0
            0x00,                               // pointer_field
            0x02, 0xb0, 0x17,                   // table_id, section_length 23
            0x00, 0x01, 0xc1, 0x00, 0x00,       // program_number, version 0 current, section 0 of 0
            0xe1, 0x00, 0xf0, 0x00,             // PCR_PID 0x100, program_info_length 0
            0x1b, 0xe1, 0x00, 0xf0, 0x00,       // H.264, PID 0x100, ES_info_length 0
            0x0f, 0xe1, 0x01, 0xf0, 0x00,       // AAC ADTS, PID 0x101, ES_info_length 0
            0x2f, 0x44, 0xb9, 0x9b,             // CRC_32
        ];
        assert_eq!(out.len(), 2 * PACKET_BYTES);
        let (first, second) = out.split_at(PACKET_BYTES);
        assert_eq!(first[..pat.len()], pat);
        assert_eq!(second[..pmt.len()], pmt);
        assert!(first[pat.len()..].iter().chain(&second[pmt.len()..]).all(|&b| b == 0xff));
        assert_eq!(crc32(&pat[5..]), 0);
        assert_eq!(crc32(&pmt[5..]), 0);
        assert_eq!(*super::super::head(true), out);
    }

    #[test]
    fn golden_tables_without_sound() {
        let tables = super::super::head(false);
        let pmt = &tables[PACKET_BYTES + 5..];
        #[rustfmt::skip]
        let expected = [
            0x02, 0xb0, 0x12,                   // table_id, section_length 18
            0x00, 0x01, 0xc1, 0x00, 0x00,       // program_number, version 0 current, section 0 of 0
            0xe1, 0x00, 0xf0, 0x00,             // PCR_PID 0x100, program_info_length 0
            0x1b, 0xe1, 0x00, 0xf0, 0x00,       // H.264, PID 0x100, ES_info_length 0
        ];
        assert_eq!(pmt[..expected.len()], expected);
        assert_eq!(crc32(&pmt[..expected.len() + 4]), 0);
        assert!(pmt[expected.len() + 4..].iter().all(|&b| b == 0xff));
    }
}
