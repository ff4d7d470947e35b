//! Where upstream rounds to 16 bits when it runs in mixed precision.

use crate::checkpoint::{f16_bits, f16_to_f32};

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
            Self::Mixed => f16_to_f32(f16_bits(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixed_precision_keeps_eleven_bits() {
        assert_eq!(Precision::Single.round(0.1), 0.1);
        assert_eq!(Precision::Mixed.round(0.1), 0.099_975_586);
        assert_eq!(Precision::Mixed.round(-1.0 - 1.5 / 1024.0), -1.0 - 2.0 / 1024.0);
    }
}
