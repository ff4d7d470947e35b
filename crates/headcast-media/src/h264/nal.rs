//! NAL units in Annex B byte streams.

/// `nal_unit_type` values that headcast reads or writes (ITU-T H.264 table 7-1).
pub(crate) mod kind {
    /// Coded slice of a non-IDR picture.
    pub(crate) const SLICE: u8 = 1;
    /// Coded slice of an IDR picture.
    pub(crate) const IDR: u8 = 5;
    /// Sequence parameter set.
    pub(crate) const SPS: u8 = 7;
    /// Picture parameter set.
    pub(crate) const PPS: u8 = 8;
    /// Access unit delimiter.
    pub(crate) const AUD: u8 = 9;
}

/// `zero_byte` and `start_code_prefix_one_3bytes`.
pub(crate) const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// `nal_unit_type` of a NAL unit; 0 (unspecified) for an empty one.
pub(crate) fn nal_unit_type(nal_unit: &[u8]) -> u8 {
    nal_unit.first().map_or(0, |header| header & 0x1f)
}

/// NAL units of an Annex B stream, without their start codes and trailing zeros. Bytes before the first
/// start code are skipped.
pub(crate) fn annex_b(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = start_code(stream).map(|(_, after)| &stream[after..]);
    std::iter::from_fn(move || {
        let data = rest?;
        let (nal_unit, next) = match start_code(data) {
            Some((at, after)) => (&data[..at], Some(&data[after..])),
            None => (data, None),
        };
        rest = next;
        let end = nal_unit.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1);
        Some(&nal_unit[..end])
    })
    .filter(|nal_unit| !nal_unit.is_empty())
}

/// Where the first `00 00 01` starts and ends.
fn start_code(data: &[u8]) -> Option<(usize, usize)> {
    let mut at = 0;
    // The third byte decides: above 1 it cannot be part of a start code, so three bytes are skipped at once.
    while let Some(&third) = data.get(at + 2) {
        match third {
            0 => at += 1,
            1 if data[at] == 0 && data[at + 1] == 0 => return Some((at, at + 3)),
            _ => at += 3,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nal_units_are_found_between_start_codes_of_both_lengths() {
        let stream = [9, 0, 0, 0, 1, 0x67, 1, 0, 2, 0, 0, 1, 0x68, 5, 0, 0, 0, 0, 1, 0x65, 0, 0, 3, 1, 7];
        let units: Vec<&[u8]> = annex_b(&stream).collect();
        assert_eq!(units, [&[0x67, 1, 0, 2][..], &[0x68, 5], &[0x65, 0, 0, 3, 1, 7]]);
        assert_eq!(units.iter().map(|u| nal_unit_type(u)).collect::<Vec<_>>(), [7, 8, 5]);
        assert_eq!(annex_b(&[0, 0, 1]).count() + annex_b(&[]).count() + annex_b(&[1, 2, 3]).count(), 0);
    }
}
