//! Element types and their conversion to `f32`.

/// Element type of a stored tensor. All are little-endian in every container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DType {
    /// IEEE half precision.
    F16,
    /// The upper half of an `f32`.
    Bf16,
    /// IEEE single precision.
    F32,
    /// IEEE double precision.
    F64,
    /// One byte, 0 or 1.
    Bool,
    /// Unsigned byte.
    U8,
    /// Signed byte.
    I8,
    /// 16-bit integer.
    I16,
    /// 32-bit integer.
    I32,
    /// 64-bit integer.
    I64,
}

impl DType {
    /// Bytes per element.
    pub fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::F16 | Self::Bf16 | Self::I16 => 2,
            Self::F32 | Self::I32 => 4,
            Self::F64 | Self::I64 => 8,
        }
    }

    /// Short name: `f32`, `u8`, …
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::Bool => "bool",
            Self::U8 => "u8",
            Self::I8 => "i8",
            Self::I16 => "i16",
            Self::I32 => "i32",
            Self::I64 => "i64",
        }
    }

    /// The type behind a PyTorch storage class (`torch.FloatStorage`).
    pub(super) fn from_storage_class(name: &str) -> Option<Self> {
        Some(match name {
            "HalfStorage" => Self::F16,
            "BFloat16Storage" => Self::Bf16,
            "FloatStorage" => Self::F32,
            "DoubleStorage" => Self::F64,
            "BoolStorage" => Self::Bool,
            "ByteStorage" => Self::U8,
            "CharStorage" => Self::I8,
            "ShortStorage" => Self::I16,
            "IntStorage" => Self::I32,
            "LongStorage" => Self::I64,
            _ => return None,
        })
    }

    /// The type behind a safetensors name; `None` for types that no avatar has.
    pub(super) fn from_safetensors(dtype: safetensors::Dtype) -> Option<Self> {
        use safetensors::Dtype;
        Some(match dtype {
            Dtype::F16 => Self::F16,
            Dtype::BF16 => Self::Bf16,
            Dtype::F32 => Self::F32,
            Dtype::F64 => Self::F64,
            Dtype::BOOL => Self::Bool,
            Dtype::U8 => Self::U8,
            Dtype::I8 => Self::I8,
            Dtype::I16 => Self::I16,
            Dtype::I32 => Self::I32,
            Dtype::I64 => Self::I64,
            _ => return None,
        })
    }

    /// Converts `bytes`, whole little-endian elements, to `f32` with the nearest value.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "rounding to the nearest f32 is what is asked for"
    )]
    pub(super) fn to_f32(self, bytes: &[u8]) -> Vec<f32> {
        let words = bytes.as_chunks::<2>().0.iter();
        let quads = bytes.as_chunks::<4>().0.iter();
        let octets = bytes.as_chunks::<8>().0.iter();
        match self {
            Self::F16 => words.map(|b| f16_to_f32(u16::from_le_bytes(*b))).collect(),
            Self::Bf16 => words.map(|b| f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)).collect(),
            Self::F32 => quads.map(|b| f32::from_le_bytes(*b)).collect(),
            Self::F64 => octets.map(|b| f64::from_le_bytes(*b) as f32).collect(),
            Self::Bool | Self::U8 => bytes.iter().map(|b| f32::from(*b)).collect(),
            Self::I8 => bytes.iter().map(|b| f32::from(i8::from_le_bytes([*b]))).collect(),
            Self::I16 => words.map(|b| f32::from(i16::from_le_bytes(*b))).collect(),
            Self::I32 => quads.map(|b| i32::from_le_bytes(*b) as f32).collect(),
            Self::I64 => octets.map(|b| i64::from_le_bytes(*b) as f32).collect(),
        }
    }

    /// Converts integer elements to `i64`; `None` for real types.
    pub(super) fn to_i64(self, bytes: &[u8]) -> Option<Vec<i64>> {
        let words = bytes.as_chunks::<2>().0.iter();
        let quads = bytes.as_chunks::<4>().0.iter();
        let octets = bytes.as_chunks::<8>().0.iter();
        Some(match self {
            Self::Bool | Self::U8 => bytes.iter().map(|b| i64::from(*b)).collect(),
            Self::I8 => bytes.iter().map(|b| i64::from(i8::from_le_bytes([*b]))).collect(),
            Self::I16 => words.map(|b| i64::from(i16::from_le_bytes(*b))).collect(),
            Self::I32 => quads.map(|b| i64::from(i32::from_le_bytes(*b))).collect(),
            Self::I64 => octets.map(|b| i64::from_le_bytes(*b)).collect(),
            Self::F16 | Self::Bf16 | Self::F32 | Self::F64 => return None,
        })
    }
}

/// The value of a half-precision number given by its bits. Exact.
pub fn f16_to_f32(bits: u16) -> f32 {
    let sign = u32::from(bits & 0x8000) << 16;
    let exponent = u32::from(bits >> 10) & 0x1f;
    let fraction = u32::from(bits & 0x03ff);
    match exponent {
        // Zero and subnormals: fraction × 2^-24, which f32 holds exactly.
        0 => {
            let magnitude = f32::from(bits & 0x03ff) * f32::from_bits((127 - 24) << 23);
            f32::from_bits(magnitude.to_bits() | sign)
        }
        31 => f32::from_bits(sign | 0x7f80_0000 | fraction << 13),
        _ => f32::from_bits(sign | (exponent + 112) << 23 | fraction << 13),
    }
}

/// The bits of the half-precision number nearest to `value`, ties to even. Values above 65,519 become
/// infinity, NaN stays NaN.
#[expect(clippy::cast_possible_truncation, reason = "the bits are shifted into 16 before each cast")]
pub fn f16_bits(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    if magnitude >= 0x4780_0000 {
        // 65536 and above, infinity included. 65520..65536 reaches infinity by carry below.
        return sign | 0x7c00;
    }
    let exponent = magnitude >> 23;
    // Bits of the full 24-bit significand that do not fit, and the biased half exponent before rounding.
    let (significand, drop, base) = if exponent >= 113 {
        (magnitude & 0x007f_ffff, 13, (exponent - 112) << 10)
    } else if exponent >= 102 {
        (magnitude & 0x007f_ffff | 0x0080_0000, 126 - exponent, 0)
    } else {
        return sign;
    };
    let kept = significand >> drop;
    let rest = significand & ((1 << drop) - 1);
    let half = 1 << (drop - 1);
    let up = rest > half || (rest == half && kept & 1 == 1);
    // A carry out of the fraction moves into the exponent, which is the right number.
    sign | (base + kept + u32::from(up)) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_half_survives_the_round_trip() {
        for bits in 0..=u16::MAX {
            let value = f16_to_f32(bits);
            if value.is_nan() {
                assert!(f16_to_f32(f16_bits(value)).is_nan());
            } else {
                assert_eq!(f16_bits(value), bits, "{value}");
            }
        }
    }

    #[test]
    fn halves_round_to_nearest_even() {
        // 1 + 2^-11 is half way between 1 and its neighbour 1 + 2^-10.
        assert_eq!(f16_bits(1.0 + 2f32.powi(-11)), 0x3c00);
        assert_eq!(f16_bits(1.0 + 3.0 * 2f32.powi(-11)), 0x3c02);
        assert_eq!(f16_bits(1.0 + 2f32.powi(-11) + 2f32.powi(-20)), 0x3c01);
        assert_eq!(f16_bits(2f32.powi(-25)), 0);
        assert_eq!(f16_bits(1.5 * 2f32.powi(-25)), 1);
        assert_eq!(f16_bits(65519.0), 0x7bff);
        assert_eq!(f16_bits(65520.0), 0x7c00);
        assert_eq!(f16_bits(-f32::INFINITY), 0xfc00);
    }

    #[test]
    fn integers_and_doubles_convert() {
        assert_eq!(DType::I16.to_f32(&(-3i16).to_le_bytes()), [-3.0]);
        assert_eq!(DType::I64.to_i64(&(-3i64).to_le_bytes()), Some(vec![-3]));
        assert_eq!(DType::F64.to_f32(&0.1f64.to_le_bytes()), [0.1]);
        assert_eq!(DType::Bf16.to_f32(&[0x80, 0x3f]), [1.0]);
        assert_eq!(DType::F32.to_i64(&[0; 4]), None);
    }
}
