//! Bit fields of parameter sets (ITU-T H.264 §7.2, §9.1).

/// Reads an RBSP, emulation prevention already removed. Past the end every field is `None`.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    data: &'a [u8],
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0 }
    }

    /// `u(count)`, `count` up to 32.
    pub(super) fn bits(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = *self.data.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }

    /// `u(1)`.
    pub(super) fn flag(&mut self) -> Option<bool> {
        Some(self.bits(1)? == 1)
    }

    /// `ue(v)`, up to 2^31 - 2.
    pub(super) fn ue(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 30 {
                return None;
            }
        }
        Some((1 << zeros) - 1 + self.bits(zeros)?)
    }
}

/// Writes an RBSP.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    data: Vec<u8>,
    /// Bits used in the last byte, 0 when it is full.
    used: u32,
}

impl BitWriter {
    /// `u(count)`.
    pub(super) fn bits(&mut self, count: u32, value: u32) {
        for i in (0..count).rev() {
            if self.used == 0 {
                self.data.push(0);
            }
            let bit = u8::from(value >> i & 1 == 1);
            *self.data.last_mut().expect("a byte was pushed when none was open") |= bit << (7 - self.used);
            self.used = (self.used + 1) % 8;
        }
    }

    /// `u(1)`.
    pub(super) fn flag(&mut self, value: bool) {
        self.bits(1, u32::from(value));
    }

    /// `ue(v)`, up to 2^31 - 2.
    pub(super) fn ue(&mut self, value: u32) {
        let code = value + 1;
        self.bits(2 * code.ilog2() + 1, code);
    }

    /// `rbsp_trailing_bits()`.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.flag(true);
        self.data
    }
}

/// The RBSP of a NAL unit's payload: without emulation prevention bytes (§7.4.1).
pub(super) fn unescape(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(payload.len());
    let mut zeros = 0;
    for &byte in payload {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
    out
}

/// Appends `rbsp` with emulation prevention bytes.
pub(super) fn escape_into(rbsp: &[u8], out: &mut Vec<u8>) {
    let mut zeros = 0;
    for &byte in rbsp {
        if zeros == 2 && byte <= 3 {
            out.push(3);
            zeros = 0;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        out.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_golomb_codes_of_table_9_2() {
        let mut writer = BitWriter::default();
        for value in [0, 1, 2, 3, 7, 255] {
            writer.ue(value);
        }
        let bytes = writer.finish();
        // 1 010 011 00100 0001000 00000000100000000 and the stop bit
        assert_eq!(bytes, [0b1010_0110, 0b0100_0001, 0b0000_0000, 0b0001_0000, 0b0000_1000]);
        let mut reader = BitReader::new(&bytes);
        let values: Vec<_> = (0..6).map(|_| reader.ue().unwrap()).collect();
        assert_eq!(values, [0, 1, 2, 3, 7, 255]);
        assert_eq!(BitReader::new(&[0; 16]).ue(), None);
        assert_eq!(BitReader::new(&[]).flag(), None);
    }

    #[test]
    fn emulation_prevention_is_an_inverse() {
        let rbsp = [0, 0, 0, 0, 0, 1, 0, 0, 2, 0, 0, 3, 9, 0, 0, 4];
        let mut escaped = Vec::new();
        escape_into(&rbsp, &mut escaped);
        assert_eq!(escaped, [0, 0, 3, 0, 0, 3, 0, 1, 0, 0, 3, 2, 0, 0, 3, 3, 9, 0, 0, 4]);
        assert_eq!(unescape(&escaped), rbsp);
    }
}
