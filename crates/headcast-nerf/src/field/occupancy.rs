//! Bits that say which cells of space can hold anything.

/// Cells along each axis of a cascade.
pub const OCCUPANCY_GRID: u32 = 128;

/// Cascades of 128³ bits; cascade `c` covers `[-2^c, 2^c]`, cut off at the scene's bound.
#[derive(Debug, Clone, Copy)]
pub struct Occupancy<'a> {
    /// `[cascades × 128³ / 8]` bytes, least significant bit first, in Morton order within a cascade.
    bits: &'a [u8],
    cascades: u32,
    bound: f32,
}

/// The cell around a point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OccupancyCell {
    /// Coordinates, `0..128` each.
    pub n: [u32; 3],
    /// Half the side of the cascade: the cells divide `[-half_side, half_side]`.
    pub half_side: f32,
    /// Whether anything may be in it.
    pub occupied: bool,
}

impl<'a> Occupancy<'a> {
    /// Wraps a bit field.
    ///
    /// # Panics
    /// If `bits` is not `cascades` times 262144 bytes, or `cascades` is not in `1..=32`.
    pub fn new(bits: &'a [u8], cascades: u32, bound: f32) -> Self {
        assert!((1..=32).contains(&cascades), "{cascades} cascades");
        let bytes = OCCUPANCY_GRID.pow(3) / 8;
        assert_eq!(bits.len(), cascades as usize * bytes as usize, "one bit per cell of every cascade");
        Self { bits, cascades, bound }
    }

    /// Number of cascades.
    pub fn cascades(&self) -> u32 {
        self.cascades
    }

    /// Half the side of the scene.
    pub fn bound(&self) -> f32 {
        self.bound
    }

    /// The cell of point `p` for a sample of length `dt`: the finest cascade that holds the point and whose
    /// cells are not smaller than the sample.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        reason = "clamped to 0..128 before the cast"
    )]
    pub fn cell(&self, p: [f32; 3], dt: f32) -> OccupancyCell {
        let size = OCCUPANCY_GRID as f32;
        let extent = p.iter().fold(0.0f32, |max, p| max.max(p.abs()));
        let cascade = self.clip(exponent(extent)).max(self.clip(exponent(dt * size * 0.5)));
        let half_side = ((1u64 << cascade) as f32).min(self.bound);
        // The reciprocal, not a division: it decides on which side of a face a point falls.
        let inverse = 1.0 / half_side;
        let n = p.map(|p| (0.5 * (p * inverse + 1.0) * size).clamp(0.0, size - 1.0) as u32);
        let index = u64::from(cascade) * u64::from(OCCUPANCY_GRID.pow(3)) + u64::from(morton(n));
        let occupied = self.bits[(index / 8) as usize] >> (index % 8) & 1 == 1;
        OccupancyCell { n, half_side, occupied }
    }

    /// Cascade number nearest to `exponent`.
    fn clip(&self, exponent: i32) -> u32 {
        u32::try_from(exponent).unwrap_or(0).min(self.cascades - 1)
    }
}

/// Morton order of cell `(x, y, z)`, below 1024 each: their bits interleaved, x lowest.
pub fn morton(n: [u32; 3]) -> u32 {
    fn spread(v: u32) -> u32 {
        let v = v.wrapping_mul(0x0001_0001) & 0xff00_00ff;
        let v = v.wrapping_mul(0x0000_0101) & 0x0f00_f00f;
        let v = v.wrapping_mul(0x0000_0011) & 0xc30c_30c3;
        v.wrapping_mul(0x0000_0005) & 0x4924_9249
    }
    spread(n[0]) | (spread(n[1]) << 1) | (spread(n[2]) << 2)
}

/// The exponent `e` of `x = m × 2^e` with `m` in `[0.5, 1)`, for finite `x >= 0`; any value below 1 for zero
/// and subnormal numbers, which clip to the finest cascade all the same.
fn exponent(x: f32) -> i32 {
    i32::try_from(x.to_bits() >> 23).expect("nine bits") - 126
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn morton_interleaves_with_x_lowest() {
        assert_eq!(morton([1, 0, 0]), 1);
        assert_eq!(morton([0, 1, 0]), 2);
        assert_eq!(morton([0, 0, 1]), 4);
        assert_eq!(morton([127, 127, 127]), 128 * 128 * 128 - 1);
        let slow = |n: [u32; 3]| {
            (0..7).fold(0, |index, bit| {
                (0u32..).zip(n).fold(index, |index, (axis, n)| index | ((n >> bit & 1) << (3 * bit + axis)))
            })
        };
        for n in [[5, 99, 31], [64, 2, 127], [77, 120, 1]] {
            assert_eq!(morton(n), slow(n));
        }
    }

    #[test]
    fn exponents_are_those_of_frexp() {
        for (x, expected) in [(0.25, -1), (0.5, 0), (0.999, 0), (1.0, 1), (1.99, 1), (2.0, 2)] {
            assert_eq!(exponent(x), expected, "{x}");
        }
        assert!(exponent(0.0) < 1);
    }

    #[test]
    fn bits_are_found_by_cell_and_cascade() {
        const CELLS: usize = 128 * 128 * 128;
        let mut bits = vec![0u8; 2 * CELLS / 8];
        let mut set = |cascade: usize, n| {
            let index = cascade * CELLS + morton(n) as usize;
            bits[index / 8] |= 1 << (index % 8);
        };
        set(0, [64, 64, 127]);
        set(1, [64, 64, 96]);
        let occupancy = Occupancy::new(&bits, 2, 2.0);
        let cell = |p, dt| occupancy.cell(p, dt);
        assert!(cell([0.001, 0.001, 0.999], 0.001).occupied);
        assert!(!cell([0.001, 0.999, 0.001], 0.001).occupied, "axes are not exchangeable");
        let coarse = cell([0.001, 0.001, 1.01], 0.001);
        assert_eq!((coarse.half_side, coarse.n, coarse.occupied), (2.0, [64, 64, 96], true));
        // A long sample takes the coarse cascade even at the centre.
        assert_eq!(cell([0.0; 3], 0.054).half_side, 2.0);
    }
}
