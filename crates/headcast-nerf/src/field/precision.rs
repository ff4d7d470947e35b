//! Where upstream rounds to 16 bits when it runs in mixed precision.

/// Arithmetic of the networks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// f32 throughout: what every engine here renders in.
    #[default]
    Single,
    /// Upstream's `-O`: inputs, weights and outputs of linear layers, colours, torso anchors and the torso
    /// table are rounded to 16 bits; sums, grids of one channel, encodings of position and direction,
    /// marching and compositing stay f32. It exists to meet fixtures made that way, and to tell how far
    /// mixed precision lies from f32.
    Mixed,
}

impl Precision {
    /// `value` as this arithmetic stores it.
    pub(super) fn round(self, value: f32) -> f32 {
        match self {
            Self::Single => value,
            Self::Mixed => round_to_half(value),
        }
    }
}

/// Nearest IEEE 754 binary16 value, ties to even; beyond ±65504 (plus half a unit) infinity.
fn round_to_half(value: f32) -> f32 {
    /// Spacing of binary16 values below 2^-14.
    const SUBNORMAL_UNIT: f32 = 1.0 / 16_777_216.0;
    if !value.is_finite() {
        return value;
    }
    let magnitude = value.abs();
    if magnitude >= 65_520.0 {
        return f32::INFINITY.copysign(value);
    }
    if magnitude < 1.0 / 16_384.0 {
        return (value / SUBNORMAL_UNIT).round_ties_even() * SUBNORMAL_UNIT;
    }
    // 23 - 10 = 13 fraction bits go; adding half a unit less one, plus the last kept bit, rounds ties to even.
    let bits = value.to_bits();
    f32::from_bits((bits + 0xfff + ((bits >> 13) & 1)) & !0x1fff)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_precision_rounds_to_the_nearest_even() {
        let unit = 1.0 / 1024.0;
        for (value, expected) in [
            (0.0, 0.0),
            (1.0 + 0.5 * unit, 1.0),
            (1.0 + 1.5 * unit, 1.0 + 2.0 * unit),
            (-(1.0 + 0.51 * unit), -(1.0 + unit)),
            (2.0 - 0.25 * unit, 2.0),
            (0.1, 0.099_975_586),
            (65_519.0, 65_504.0),
            (65_520.0, f32::INFINITY),
            (-1e9, f32::NEG_INFINITY),
            (5.960_464_5e-8, 5.960_464_5e-8),
            (2.9e-8, 0.0),
            (6.1e-5, 6.097_555e-5),
        ] {
            assert_eq!(round_to_half(value), expected, "{value}");
        }
        assert!(round_to_half(f32::NAN).is_nan());
    }
}
