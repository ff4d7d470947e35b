//! Multiresolution feature grids.
//!
//! Müller et al. 2022, "Instant Neural Graphics Primitives with a Multiresolution Hash Encoding", §3; hash of
//! eq. (4). The tiled kind is a later variant without a hash, from the public torch-ngp code.

use crate::model::GridTable;

use super::Precision;

/// How a level that is larger than its table finds its entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GridKind {
    /// Spatial hash.
    Hash,
    /// Remainder of the linear index. Axes whose stride exceeds the table are not used at all.
    Tiled,
}

/// One level's lattice.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GridLevel {
    /// Lattice cells across the unit interval; not an integer.
    pub scale: f32,
    /// Lattice points a side: the resolution plus 1.
    pub side: u32,
}

/// Lattices of a grid whose resolution grows geometrically from `base` to `finest`.
///
/// The power is rounded correctly from f64: one unit too much at the last level would change `side`, and with
/// it every entry of a tiled level.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "levels are few and resolutions at most a few thousand"
)]
pub fn grid_levels(levels: usize, base: f32, finest: f32) -> Vec<GridLevel> {
    let growth = ((f64::from(finest) / f64::from(base)).log2() / (levels as f64 - 1.0)).exp2();
    let log2_growth = growth.log2() as f32;
    (0..levels)
        .map(|level| {
            let power = f64::from(level as f32 * log2_growth).exp2() as f32;
            let scale = power * base - 1.0;
            GridLevel { scale, side: scale.ceil() as u32 + 2 }
        })
        .collect()
}

/// Interpolated features from every level, concatenated.
///
/// * `levels`: as [`grid_levels`] makes them for the table.
/// * `position`: in `[-bound, bound]`; a position outside encodes as zeros.
/// * `out`: `[levels × channels]`, overwritten.
///
/// # Panics
/// If `out` has another length, or the table is not `levels` long.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "lattice coordinates lie in 0..=side"
)]
pub fn grid_encode<const D: usize>(
    table: &GridTable,
    levels: &[GridLevel],
    kind: GridKind,
    precision: Precision,
    position: [f32; D],
    bound: f32,
    out: &mut [f32],
) {
    assert_eq!(out.len(), table.outputs(), "out must hold every level's features");
    assert_eq!(levels.len(), table.levels(), "one lattice per level of the table");
    out.fill(0.0);
    let u = position.map(|x| (x + bound) / (2.0 * bound));
    if !u.iter().all(|u| (0.0..=1.0).contains(u)) {
        return;
    }
    // Tables with an odd channel count stay f32 in mixed precision.
    let precision = if table.channels.is_multiple_of(2) { precision } else { Precision::Single };
    for ((level, range), out) in
        levels.iter().zip(table.offsets.windows(2)).zip(out.chunks_exact_mut(table.channels))
    {
        let p = u.map(|u| u * level.scale + 0.5);
        let cell = p.map(f32::floor);
        let fraction: [f32; D] = std::array::from_fn(|d| p[d] - cell[d]);
        for corner in 0..1u32 << D {
            let mut weight = 1.0;
            let mut c = cell.map(|c| c as u32);
            for d in 0..D {
                if corner >> d & 1 == 1 {
                    weight *= fraction[d];
                    c[d] += 1;
                } else {
                    weight *= 1.0 - fraction[d];
                }
            }
            let entry = range[0] + grid_index(c, level.side, range[1] - range[0], kind);
            let features = &table.embeddings[entry as usize * table.channels..][..table.channels];
            for (out, feature) in out.iter_mut().zip(features) {
                let term = precision.round(weight * precision.round(*feature));
                *out = precision.round(*out + term);
            }
        }
    }
}

/// Entry of lattice point `c` within a level of `entries` entries.
pub fn grid_index<const D: usize>(c: [u32; D], side: u32, entries: u32, kind: GridKind) -> u32 {
    /// Müller et al. 2022, below eq. (4).
    const PRIMES: [u32; 3] = [1, 2_654_435_761, 805_459_861];
    let mut stride = 1u32;
    let mut index = 0u32;
    for c in c {
        // A tiled level ends here before its later axes, so they do not matter to it.
        if stride > entries {
            break;
        }
        index = index.wrapping_add(c.wrapping_mul(stride));
        stride = stride.wrapping_mul(side);
    }
    if kind == GridKind::Hash && stride > entries {
        index = c.iter().zip(PRIMES).fold(0, |index, (c, prime)| index ^ c.wrapping_mul(prime));
    }
    index % entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_are_exact_to_the_last_bit() {
        let planes = grid_levels(12, 64.0, 512.0);
        let bits: Vec<u32> = planes.iter().map(|level| level.scale.to_bits()).collect();
        assert_eq!(
            bits,
            [
                0x427c_0000,
                0x4298_a2ad,
                0x42b8_d03f,
                0x42df_aff7,
                0x4307_5344,
                0x4323_b170,
                0x4345_f6ca,
                0x436f_5dc8,
                0x4390_b128,
                0x43ae_e7aa,
                0x43d3_67a4,
                0x43ff_8000
            ]
        );
        let sides: Vec<u32> = planes.iter().map(|level| level.side - 1).collect();
        assert_eq!(sides, [64, 78, 94, 113, 137, 165, 199, 241, 291, 351, 424, 512]);

        let torso = grid_levels(16, 16.0, 2048.0);
        let bits: Vec<u32> = torso.iter().map(|level| level.scale.to_bits()).collect();
        assert_eq!(
            bits,
            [
                0x4170_0000,
                0x41a8_e285,
                0x41ec_7080,
                0x4224_e5a2,
                0x4265_66a5,
                0x429f_4517,
                0x42dc_dc66,
                0x4318_fcb9,
                0x4353_cc02,
                0x4392_888b,
                0x43ca_aff4,
                0x440c_24c2,
                0x4441_c2ff,
                0x4485_edbb,
                0x44b9_201e,
                0x44ff_e000
            ]
        );
        let sides: Vec<u32> = torso.iter().map(|level| level.side - 1).collect();
        assert_eq!(sides, [16, 23, 31, 43, 59, 81, 112, 154, 213, 295, 407, 562, 777, 1073, 1483, 2048]);
    }

    #[test]
    fn large_tiled_levels_drop_the_last_axis() {
        let index = |z| grid_index([7, 9, z], 300, 65_536, GridKind::Tiled);
        assert_eq!(index(0), 7 + 9 * 300);
        assert_eq!(index(123), index(0));
        let hashed = |z| grid_index([7, 9, z], 300, 65_536, GridKind::Hash);
        assert_ne!(hashed(123), hashed(0));
        // A level that just fits uses it.
        assert_eq!(grid_index([7, 9, 2], 200, 65_536, GridKind::Tiled), (7 + 9 * 200 + 2 * 40_000) % 65_536);
    }

    #[test]
    fn dense_levels_are_linear_in_both_kinds() {
        for kind in [GridKind::Hash, GridKind::Tiled] {
            assert_eq!(grid_index([3, 64], 65, 4232, kind), 3 + 64 * 65);
        }
        let hashed = (3 ^ 100u32.wrapping_mul(2_654_435_761)) % 16_384;
        assert_eq!(grid_index([3, 100], 138, 16_384, GridKind::Hash), hashed);
        assert_eq!(grid_index([3, 200], 300, 8192, GridKind::Tiled), (3 + 200 * 300) % 8192);
    }

    #[test]
    fn features_are_bilinear_inside_and_zero_outside() {
        // One level: scale 1, so lattice coordinates are u + 0.5.
        let table =
            GridTable { channels: 1, offsets: vec![0, 9], embeddings: (0..9u8).map(f32::from).collect() };
        let level = GridLevel { scale: 1.0, side: 3 };
        let at = |x: f32, y: f32| {
            let mut out = [f32::NAN];
            let single = Precision::Single;
            grid_encode(&table, &[level], GridKind::Tiled, single, [x, y], 1.0, &mut out);
            out[0]
        };
        assert_eq!(at(0.0, 0.0), 4.0, "the centre is lattice point (1, 1)");
        assert_eq!(at(-1.0, -1.0), 2.0, "the corner lies half a cell in");
        assert_eq!(at(1.0, 0.0), 4.5);
        assert_eq!(at(0.0, 1.0), 5.5);
        assert_eq!([at(1.001, 0.0), at(0.0, -1.001), at(f32::NAN, 0.0)], [0.0; 3]);
    }
}
