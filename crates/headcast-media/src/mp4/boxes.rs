//! Boxes: size, type, content (ISO/IEC 14496-12 §4.2).

/// Appends a box; `content` appends what is in it.
pub(super) fn write_box(out: &mut Vec<u8>, kind: [u8; 4], content: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&kind);
    content(out);
    let size = u32::try_from(out.len() - start).expect("tables of 2^32 samples are refused before");
    out[start..start + 4].copy_from_slice(&size.to_be_bytes());
}

/// Appends a box with `version` and `flags`.
pub(super) fn write_full_box(
    out: &mut Vec<u8>,
    kind: [u8; 4],
    version: u8,
    flags: u32,
    content: impl FnOnce(&mut Vec<u8>),
) {
    write_box(out, kind, |out| {
        out.put_u32(u32::from(version) << 24 | flags);
        content(out);
    });
}

/// Big-endian numbers.
pub(super) trait Put {
    fn put_u16(&mut self, value: u16);
    fn put_u32(&mut self, value: u32);
    fn put_u64(&mut self, value: u64);
    /// 64 bits where `version` is 1, else 32 (callers choose the version by the largest value).
    fn put_versioned(&mut self, version: u8, value: u64);
    fn put_zeros(&mut self, count: usize);
}

impl Put for Vec<u8> {
    fn put_u16(&mut self, value: u16) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u32(&mut self, value: u32) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_u64(&mut self, value: u64) {
        self.extend_from_slice(&value.to_be_bytes());
    }

    fn put_versioned(&mut self, version: u8, value: u64) {
        match u32::try_from(value) {
            Ok(value) if version == 0 => self.put_u32(value),
            _ => self.put_u64(value),
        }
    }

    fn put_zeros(&mut self, count: usize) {
        self.resize(self.len() + count, 0);
    }
}

/// 1 when `value` needs 64 bits.
pub(super) fn version_for(value: u64) -> u8 {
    u8::from(value > u64::from(u32::MAX))
}
