//! Opus packets, which Symphonia finds but does not decode.

use ropus::OpusMSDecoder;

/// Opus always decodes to 48 kHz here (RFC 7845 §4.2 counts in it too).
pub(super) const RATE: u32 = 48_000;
/// Samples per channel in the longest packet, 120 ms (RFC 6716 §3.2.5).
const MAX_FRAMES: u16 = 5760;

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
    inner: OpusMSDecoder,
    channels: usize,
    /// Factor from 16-bit samples, the header's gain included.
    scale: f32,
    pcm: Vec<i16>,
}

impl Decoder {
    pub(super) fn new(head: &Head) -> Option<Self> {
        let count = |n: usize| i32::try_from(n).ok();
        let (channels, streams, coupled) =
            (count(head.channels)?, count(head.streams)?, count(head.coupled)?);
        let rate = i32::try_from(RATE).ok()?;
        let inner = OpusMSDecoder::new(rate, channels, streams, coupled, &head.mapping).ok()?;
        // RFC 7845 §5.1: Q7.8 in dB.
        let gain = 10f32.powf(f32::from(head.gain_db_256) / 256.0 / 20.0);
        let pcm = vec![0; usize::from(MAX_FRAMES) * head.channels];
        Some(Self { inner, channels: head.channels, scale: gain / 32768.0, pcm })
    }

    /// Appends the packet's samples, interleaved, to `out`; `None` if it is damaged.
    pub(super) fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Option<()> {
        // An empty packet would ask the decoder to conceal a loss.
        let len = i32::try_from(packet.len()).ok().filter(|&len| len > 0)?;
        let frames = self.inner.decode(Some(packet), len, &mut self.pcm, MAX_FRAMES.into(), false).ok()?;
        let pcm = self.pcm.get(..usize::try_from(frames).ok()? * self.channels)?;
        out.extend(pcm.iter().map(|&v| f32::from(v) * self.scale));
        Some(())
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
