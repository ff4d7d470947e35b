//! Opus packets, which Symphonia finds but does not decode.

use opus_decoder::OpusMultistreamDecoder;

/// Opus always decodes to 48 kHz here (RFC 7845 §4.2 counts in it too).
pub(super) const RATE: u32 = 48_000;
/// Samples per channel in the longest packet, 120 ms (RFC 6716 §3.2.5).
const MAX_FRAMES: usize = 5760;

/// The identification header of RFC 7845 §5.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) channels: usize,
    pub(super) pre_skip: u16,
    gain_db_256: i16,
    streams: usize,
    coupled: usize,
    mapping: Vec<u8>,
}

impl Head {
    /// `None` for bytes that are no identification header, or one of a mapping family other than 0 and 1.
    pub(super) fn parse(bytes: &[u8], big_endian: bool) -> Option<Self> {
        let rest = bytes.strip_prefix(b"OpusHead")?;
        let [_version, channels, skip0, skip1, _, _, _, _, gain0, gain1, family, table @ ..] = rest else {
            return None;
        };
        let pair = |a: u8, b: u8| if big_endian { [b, a] } else { [a, b] };
        let channels = usize::from(*channels);
        let (streams, coupled, mapping) = match (family, channels, table) {
            (0, 1, _) => (1, 0, vec![0]),
            (0, 2, _) => (1, 1, vec![0, 1]),
            (1, 1..=8, [streams, coupled, mapping @ ..]) => {
                (usize::from(*streams), usize::from(*coupled), mapping.get(..channels)?.to_vec())
            }
            _ => return None,
        };
        Some(Self {
            channels,
            pre_skip: u16::from_le_bytes(pair(*skip0, *skip1)),
            gain_db_256: i16::from_le_bytes(pair(*gain0, *gain1)),
            streams,
            coupled,
            mapping,
        })
    }
}

/// One stream of Opus packets to interleaved `f32` at 48 kHz.
pub(super) struct Decoder {
    inner: OpusMultistreamDecoder,
    channels: usize,
    gain: f32,
    pcm: Vec<f32>,
}

impl Decoder {
    pub(super) fn new(head: &Head) -> Option<Self> {
        let inner =
            OpusMultistreamDecoder::new(RATE, head.channels, head.streams, head.coupled, &head.mapping);
        Some(Self {
            inner: inner.ok()?,
            channels: head.channels,
            // RFC 7845 §5.1: Q7.8 in dB.
            gain: 10f32.powf(f32::from(head.gain_db_256) / 256.0 / 20.0),
            pcm: vec![0.0; MAX_FRAMES * head.channels],
        })
    }

    /// The packet's samples, interleaved; `None` if it is damaged.
    pub(super) fn decode(&mut self, packet: &[u8]) -> Option<&[f32]> {
        // An empty packet would ask the decoder to conceal a loss.
        if packet.is_empty() {
            return None;
        }
        let frames = self.inner.decode_float(packet, &mut self.pcm, false).ok()?;
        let pcm = self.pcm.get_mut(..frames * self.channels)?;
        if self.gain != 1.0 {
            pcm.iter_mut().for_each(|v| *v *= self.gain);
        }
        Some(pcm)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_of_both_families_and_broken_ones() {
        let mono = b"OpusHead\x01\x01\x38\x01\x80\xbb\0\0\0\0\0";
        let head = Head::parse(mono, false).unwrap();
        assert_eq!((head.channels, head.pre_skip, head.streams), (1, 312, 1));
        assert_ne!(Head::parse(mono, true).unwrap().pre_skip, 312);
        let surround = b"OpusHead\x01\x06\x38\x01\x80\xbb\0\0\0\0\x01\x04\x02\0\x04\x01\x02\x03\x05";
        assert_eq!(Head::parse(surround, false).unwrap().mapping, [0, 4, 1, 2, 3, 5]);
        assert!(Decoder::new(&Head::parse(surround, false).unwrap()).is_some());
        assert_eq!(Head::parse(&surround[..24], false), None);
        assert_eq!(Head::parse(b"OpusHead", false), None);
        assert_eq!(Head::parse(b"OpusTags\x01\x01\x38\x01\x80\xbb\0\0\0\0\0", false), None);
    }
}
