//! Which cells of the scene may hold something, laid out for rays that run along y.

use super::error::RenderError;
use super::simd::Simd;

/// Cells a side.
const SIDE: usize = 128;
/// 32-bit words in one cascade.
const CASCADE_WORDS: usize = SIDE * SIDE * SIDE / 32;

/// Occupancy bits of every cascade, 32 neighbours along y to a word: cameras look along y, so a ray stays in
/// one word for many samples.
#[derive(Debug)]
pub(super) struct Occupancy {
    /// `[cascades, x, z, y / 32]`.
    words: Vec<u32>,
    cascades: u32,
    bound: f32,
    /// `x0 y0 z0 x1 y1 z1` around every occupied cell with a cell to spare; `None` when all are empty.
    occupied: Option<[f32; 6]>,
}

impl Occupancy {
    /// * `bitfield`: `[cascades × 128³ / 8]`, Morton order, least significant bit first.
    ///
    /// # Errors
    /// [`RenderError::Unsupported`] when `bitfield` is not that long or there is no cascade.
    pub(super) fn new(bitfield: &[u8], cascades: u32, bound: f32) -> Result<Self, RenderError> {
        let bytes = SIDE * SIDE * SIDE / 8;
        if !(1..=8).contains(&cascades) || bitfield.len() != cascades as usize * bytes {
            return Err(RenderError::Unsupported {
                what: format!("an occupancy grid of {cascades} cascades in {} bytes", bitfield.len()),
            });
        }
        let mut words = vec![0u32; cascades as usize * CASCADE_WORDS];
        let mut occupied: Option<[f32; 6]> = None;
        for (cascade, bits) in (0u32..).zip(bitfield.chunks_exact(bytes)) {
            let half = half_extent(cascade, bound);
            for (byte, value) in bits.iter().enumerate() {
                for bit in (0..8).filter(|bit| value >> bit & 1 == 1) {
                    let [x, y, z] = [0, 1, 2].map(|axis| every_third_bit((byte * 8 + bit) >> axis));
                    words[cascade as usize * CASCADE_WORDS + (x * SIDE + z) * 4 + y / 32] |= 1 << (y % 32);
                    let bounds = occupied.get_or_insert([
                        f32::MAX,
                        f32::MAX,
                        f32::MAX,
                        -f32::MAX,
                        -f32::MAX,
                        -f32::MAX,
                    ]);
                    for (axis, n) in [x, y, z].into_iter().enumerate() {
                        bounds[axis] = bounds[axis].min(edge(n, half) - cell_size(half));
                        bounds[axis + 3] = bounds[axis + 3].max(edge(n + 1, half) + cell_size(half));
                    }
                }
            }
        }
        Ok(Self { words, cascades, bound, occupied })
    }

    /// Box around everything occupied, with a cell to spare on every side so that rounding cannot lose a
    /// sample; `None` when nothing is.
    pub(super) fn bounds(&self) -> Option<[f32; 6]> {
        self.occupied
    }

    /// About `count` points, never more, spread evenly over the occupied cells.
    #[expect(clippy::cast_precision_loss, reason = "few points")]
    pub(super) fn points(&self, count: usize) -> Vec<[f32; 3]> {
        let bits = || {
            let words = self.words.iter().enumerate();
            words.flat_map(|(at, word)| {
                (0..32).filter(move |bit| word >> bit & 1 == 1).map(move |bit| (at, bit))
            })
        };
        let stride = bits().count().div_ceil(count.max(1)).max(1);
        let mut points = Vec::with_capacity(count);
        for (number, (at, bit)) in bits().step_by(stride).enumerate() {
            let row = at % CASCADE_WORDS / 4;
            let cell = [row / SIDE, at % 4 * 32 + bit, row % SIDE];
            let half =
                (0u32..).nth(at / CASCADE_WORDS).map_or(0.0, |cascade| half_extent(cascade, self.bound));
            // Not always a cell's middle: steps of the plastic number fill the cube evenly.
            let turns =
                [0.819_172_5_f32, 0.671_043_6, 0.549_700_5].map(|turn| (number as f32 * turn).fract());
            points.push([0, 1, 2].map(|axis| edge(cell[axis], half) + turns[axis] * cell_size(half)));
        }
        points
    }

    /// Whether the cells at `p` are occupied.
    ///
    /// * `p`: in `[-bound, bound]`; NaN reads some cell.
    /// * `dt`: step length, which chooses the cascade together with the position.
    #[inline(always)]
    pub(super) fn test<S: Simd>(&self, s: S, p: [S::F; 3], dt: S::F) -> S::M {
        let one = s.splat(1.0);
        let (inverse, base) = if self.cascades == 1 {
            (s.splat(1.0 / half_extent(0, self.bound)), s.splat_i(0))
        } else {
            let zero = s.splat(0.0);
            let mut largest = zero;
            for p in p {
                largest = s.max(s.max(p, s.sub(zero, p)), largest);
            }
            let by_position = exponent(s, largest);
            let by_step = exponent(s, s.mul(dt, s.splat(64.0)));
            let level = s.max_i(s.max_i(by_position, by_step), s.splat_i(0));
            #[expect(clippy::cast_possible_wrap, reason = "at most eight cascades")]
            let level = s.min_i(level, s.splat_i(self.cascades as i32 - 1));
            let extent = s.float_of_bits(s.shl::<23>(s.add_i(level, s.splat_i(127))));
            // 65536 words a cascade.
            (s.div(one, s.min(extent, s.splat(self.bound))), s.shl::<16>(level))
        };
        let mut cell = p;
        for cell in &mut cell {
            let n = s.mul(s.mul(s.splat(0.5), s.fma(*cell, inverse, one)), s.splat(128.0));
            *cell = s.floor(s.min(s.max(n, s.splat(0.0)), s.splat(127.0)));
        }
        let [x, y, z] = cell;
        let y = s.to_int(y);
        // Whole numbers below 2^16: exact in f32.
        let column = s.mul(s.fma(x, s.splat(128.0), z), s.splat(4.0));
        let word = s.add_i(s.add_i(s.to_int(column), s.sar::<5>(y)), base);
        s.test_bit(s.gather_words(&self.words, word), y)
    }
}

const _: () = assert!(CASCADE_WORDS == 1 << 16, "`test` finds a cascade by a shift");

/// `e` with `x = m 2^e`, `m` in `[0.5, 1)`.
#[inline(always)]
fn exponent<S: Simd>(s: S, x: S::F) -> S::I {
    s.add_i(s.sar::<23>(s.bits_of_float(x)), s.splat_i(-126))
}

/// Half the side of a cascade's cube.
fn half_extent(cascade: u32, bound: f32) -> f32 {
    f32::from_bits((127 + cascade) << 23).min(bound)
}

fn cell_size(half_extent: f32) -> f32 {
    2.0 * half_extent / 128.0
}

#[expect(clippy::cast_precision_loss, reason = "at most 128")]
fn edge(n: usize, half_extent: f32) -> f32 {
    n as f32 * cell_size(half_extent) - half_extent
}

/// Bits 0, 3, 6, … of `code`, side by side.
fn every_third_bit(code: usize) -> usize {
    (0..7).fold(0, |out, bit| out | (code >> (3 * bit) & 1) << bit)
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "small numbers that make a pattern")]
mod tests {
    use super::super::simd::{Dispatch, Kernel, SimdLevel};
    use super::*;
    use crate::field::Occupancy as Reference;

    struct Test<'a>(&'a Occupancy, &'a [[f32; 3]], f32);

    impl Kernel for Test<'_> {
        type Output = Vec<bool>;
        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<bool> {
            let mut out = Vec::new();
            for p in self.1 {
                let mask = self.0.test(s, [s.splat(p[0]), s.splat(p[1]), s.splat(p[2])], s.splat(self.2));
                out.push(s.bits(mask) & 1 == 1);
            }
            out
        }
    }

    #[test]
    fn cells_are_the_reference_s() {
        for (cascades, bound) in [(1, 1.0), (2, 2.0), (2, 1.5)] {
            // A sparse pattern without symmetry.
            let bits: Vec<u8> = (0..cascades as usize * 262_144)
                .map(|i| if (i.wrapping_mul(2_654_435_761) >> 7) % 5 == 0 { (i % 251) as u8 } else { 0 })
                .collect();
            let fast = Occupancy::new(&bits, cascades, bound).unwrap();
            let reference = Reference::new(&bits, cascades, bound);
            let points: Vec<[f32; 3]> = (0..4000u32)
                .map(|i| {
                    std::array::from_fn(|axis| {
                        let u = (i.wrapping_mul(2_246_822_519 + 7919 * axis as u32) >> 8) as f32
                            / (1 << 24) as f32;
                        (2.0 * u - 1.0) * bound * 0.9999
                    })
                })
                .collect();
            for dt in [0.002, 0.03] {
                let expected: Vec<bool> = points.iter().map(|p| reference.cell(*p, dt).occupied).collect();
                assert!(expected.iter().any(|v| *v) && !expected.iter().all(|v| *v));
                for dispatch in SimdLevel::ALL.into_iter().filter_map(Dispatch::new) {
                    let got = dispatch.run(Test(&fast, &points, dt));
                    // A point within rounding of a face may fall on either side of it.
                    let differing = got.iter().zip(&expected).filter(|(a, b)| a != b).count();
                    assert!(differing <= 2, "{}: {differing} of 4000", dispatch.level());
                    let shifted = points.iter().map(|p| [p[0] + 0.02, p[1], p[2]]).collect::<Vec<_>>();
                    assert_ne!(dispatch.run(Test(&fast, &shifted, dt)), expected, "control");
                }
            }
        }
    }

    #[test]
    fn points_lie_in_occupied_cells() {
        struct Occupied<'a>(&'a Occupancy, &'a [[f32; 3]]);
        impl Kernel for Occupied<'_> {
            type Output = Vec<bool>;
            #[inline(always)]
            fn run<S: Simd>(self, s: S) -> Vec<bool> {
                let test =
                    |p: &[f32; 3]| s.bits(self.0.test(s, p.map(|v| s.splat(v)), s.splat(0.002))) & 1 == 1;
                self.1.iter().map(test).collect()
            }
        }
        let mut bits: Vec<u8> =
            (0..262_144u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        bits[..100_000].fill(0);
        let occupancy = Occupancy::new(&bits, 1, 1.0).unwrap();
        let points = occupancy.points(500);
        assert!((400..=500).contains(&points.len()), "{}", points.len());
        let scalar = Dispatch::new(SimdLevel::Scalar).expect("always there");
        assert!(scalar.run(Occupied(&occupancy, &points)).into_iter().all(|occupied| occupied));
        let elsewhere: Vec<_> = points.iter().map(|p| p.map(|v| v + 1.0 / 64.0)).collect();
        assert!(
            !scalar.run(Occupied(&occupancy, &elsewhere)).into_iter().all(|occupied| occupied),
            "control"
        );
        assert_eq!(Occupancy::new(&[0; 262_144], 1, 1.0).unwrap().points(500), [[0.0; 3]; 0]);
    }

    #[test]
    fn bounds_hold_every_occupied_cell() {
        let mut bits = vec![0; 262_144];
        assert_eq!(Occupancy::new(&bits, 1, 1.0).unwrap().bounds(), None);
        // Morton code of the last cell: x = y = z = 127.
        bits[262_143] = 0x80;
        let cell = 2.0 / 128.0;
        let [low, high] = [1.0 - 2.0 * cell, 1.0 + cell];
        assert_eq!(Occupancy::new(&bits, 1, 1.0).unwrap().bounds(), Some([low, low, low, high, high, high]));
        assert!(Occupancy::new(&bits, 2, 1.0).is_err());
        assert!(Occupancy::new(&[], 0, 1.0).is_err());
    }
}
