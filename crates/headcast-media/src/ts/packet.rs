//! Spreads a PES packet over transport stream packets.

use super::{COUNTERS, PACKET_BYTES, pes};

/// Bytes after the four of a packet's header.
const BODY_BYTES: usize = PACKET_BYTES - 4;
/// Length, flags and PCR.
const PCR_FIELD_BYTES: usize = 8;

/// A PES packet on its way into packets.
#[derive(Debug)]
pub(super) struct Pes {
    pub(super) pid: u16,
    /// On the 90 kHz clock, not wrapped: the order of the stream.
    pub(super) pts: u64,
    /// PCR of the first packet.
    pub(super) pcr: Option<u64>,
    pub(super) random_access: bool,
    /// Header and payload.
    pub(super) bytes: Vec<u8>,
}

impl Pes {
    fn adaptation_bytes(&self) -> usize {
        if self.pcr.is_some() { PCR_FIELD_BYTES } else { 0 }
    }

    /// Fewest packets that hold it.
    pub(super) fn packets(&self) -> usize {
        (self.bytes.len() + self.adaptation_bytes()).div_ceil(BODY_BYTES)
    }

    /// Appends it in exactly `packets` packets and counts `counter` on.
    ///
    /// All packets are full but the last ones: each carries at least one byte of payload, because only
    /// packets with payload count.
    ///
    /// # Panics
    /// If it needs more packets or has fewer bytes than that.
    pub(super) fn write(&self, packets: usize, counter: &mut usize, out: &mut Vec<u8>) {
        assert!(
            (self.packets()..=self.bytes.len()).contains(&packets),
            "{} bytes in {packets} packets",
            self.bytes.len()
        );
        let mut rest = self.bytes.as_slice();
        for index in 0..packets {
            let first = index == 0;
            let adaptation = if first { self.adaptation_bytes() } else { 0 };
            let later = packets - 1 - index;
            let (now, after) = rest.split_at((BODY_BYTES - adaptation).min(rest.len() - later));
            rest = after;

            let [pid_high, pid_low] = self.pid.to_be_bytes();
            let counter_bits = u8::try_from(*counter % COUNTERS).expect("below 16");
            *counter += 1;
            let start = if first { 0x40 } else { 0x00 };
            let stuffed = BODY_BYTES - now.len();
            let control = if stuffed > 0 { 0x30 } else { 0x10 };
            out.extend_from_slice(&[0x47, start | pid_high, pid_low, control | counter_bits]);
            if stuffed > 0 {
                self.write_adaptation_field(first, stuffed, out);
            }
            out.extend_from_slice(now);
        }
    }

    /// The adaptation field in exactly `bytes` bytes, 1 to 183 with its length byte.
    fn write_adaptation_field(&self, first: bool, bytes: usize, out: &mut Vec<u8>) {
        let end = out.len() + bytes;
        out.push(u8::try_from(bytes - 1).expect("an adaptation field fits its packet"));
        if bytes > 1 {
            let pcr = self.pcr.filter(|_| first);
            let random_access = if first && self.random_access { 0x40 } else { 0x00 };
            out.push(random_access | if pcr.is_some() { 0x10 } else { 0x00 });
            if let Some(pcr) = pcr {
                out.extend_from_slice(&pes::pcr_field(pcr));
            }
        }
        out.resize(end, 0xff);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pes(bytes: usize, pcr: Option<u64>) -> Pes {
        Pes { pid: 0x100, pts: 0, pcr, random_access: pcr.is_some(), bytes: vec![0xab; bytes] }
    }

    /// Payload bytes of each packet.
    fn payloads(pes: &Pes, packets: usize) -> Vec<usize> {
        let (mut out, mut counter) = (Vec::new(), 14);
        pes.write(packets, &mut counter, &mut out);
        assert_eq!(counter, 14 + packets);
        let packets = out.as_chunks::<PACKET_BYTES>();
        assert!(packets.1.is_empty());
        packets.0.iter().map(|p| p.iter().skip(4).filter(|&&b| b == 0xab).count()).collect()
    }

    #[test]
    fn packets_are_full_until_only_single_bytes_are_left() {
        assert_eq!(payloads(&pes(184, None), 1), [184]);
        assert_eq!(payloads(&pes(183, None), 1), [183]);
        assert_eq!(payloads(&pes(185, None), 2), [184, 1]);
        assert_eq!(payloads(&pes(400, Some(0)), 3), [176, 184, 40]);
        assert_eq!(payloads(&pes(400, Some(0)), 5), [176, 184, 38, 1, 1]);
        assert_eq!(payloads(&pes(16, None), 16), [1; 16]);
    }

    #[test]
    fn golden_first_packet() {
        let (mut out, mut counter) = (Vec::new(), 0);
        pes(170, Some(900_000 - 9000)).write(1, &mut counter, &mut out);
        #[rustfmt::skip]
        let head = [
            0x47, 0x41, 0x00, 0x30,             // unit start + PID 0x100, adaptation field and payload, counter 0
            13, 0x50,                           // adaptation_field_length, random access + PCR
            0x00, 0x06, 0xcc, 0x3c, 0x7e, 0x00, // PCR base 891000, extension 0
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, // stuffing
            0xab,
        ];
        assert_eq!(out[..head.len()], head);
        assert_eq!(out.len(), PACKET_BYTES);
    }
}
