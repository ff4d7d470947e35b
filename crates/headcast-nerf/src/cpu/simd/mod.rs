//! Lanes of `f32`: one kernel source for every instruction set.
//!
//! A kernel is a [`Kernel`] whose `run` is generic over [`Simd`] and marked `#[inline(always)]`;
//! [`Dispatch::run`] enters it through a function that has the instruction set enabled, so every method
//! below becomes one or two instructions inside it. Closures do not inherit an instruction set: kernels use
//! plain loops.
//!
//! Lanes never talk to each other. A result therefore depends neither on which lane computed it nor on
//! what its neighbours did, which is what makes pictures independent of tiling and thread count.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub(super) mod math;
#[cfg(all(target_arch = "aarch64", target_endian = "little"))]
mod neon;
mod scalar;

use std::fmt;

pub(super) use scalar::Scalar;

/// Instruction set of the CPU kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SimdLevel {
    /// Plain `f32`; runs anywhere.
    Scalar,
    /// `AArch64` NEON (little-endian), 8 lanes.
    Neon,
    /// x86-64 AVX2 with FMA, 8 lanes.
    Avx2,
    /// x86-64 AVX-512 F, BW, DQ and VL, 16 lanes.
    Avx512,
    /// AVX-512 with VNNI: a product of 16-bit pairs and its sum in one instruction.
    Avx512Vnni,
}

impl SimdLevel {
    /// Every level, slowest first.
    pub const ALL: [Self; 5] = [Self::Scalar, Self::Neon, Self::Avx2, Self::Avx512, Self::Avx512Vnni];

    /// The fastest level of this CPU.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|level| level.is_available()).unwrap_or(Self::Scalar)
    }

    /// Whether this CPU has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[cfg(not(all(target_arch = "aarch64", target_endian = "little")))]
            Self::Neon => false,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512vl")
                    && Self::Avx2.is_available()
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => is_x86_feature_detected!("avx512vnni") && Self::Avx512.is_available(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 | Self::Avx512Vnni => false,
        }
    }

    /// The level called `name`: `scalar`, `neon`, `avx2`, `avx512` or `avx512vnni`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Lower-case name, as [`Self::from_name`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Neon => "neon",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Vnni => "avx512vnni",
        }
    }
}

impl fmt::Display for SimdLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A body of code that runs at any level.
pub(super) trait Kernel {
    /// What it returns.
    type Output;

    /// The body; implementations carry `#[inline(always)]`, or the vector code falls apart into calls.
    fn run<S: Simd>(self, simd: S) -> Self::Output;
}

/// A level that this CPU was seen to have: the only way into vector code.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dispatch(SimdLevel);

impl Dispatch {
    /// `None` when the CPU lacks `level`.
    pub(super) fn new(level: SimdLevel) -> Option<Self> {
        level.is_available().then_some(Self(level))
    }

    pub(super) fn level(self) -> SimdLevel {
        self.0
    }

    /// Runs `kernel` with the level's instructions enabled.
    #[cfg_attr(
        any(target_arch = "x86_64", all(target_arch = "aarch64", target_endian = "little")),
        expect(unsafe_code, reason = "entering functions with target features that their callers lack")
    )]
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(all(target_arch = "aarch64", target_endian = "little"))]
            // SAFETY: a `Dispatch` is made by `new` alone, which saw NEON on this CPU.
            SimdLevel::Neon => unsafe { neon::enter(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: a `Dispatch` is made by `new` alone, which saw AVX2 and FMA on this CPU.
            SimdLevel::Avx2 => unsafe { avx2::enter(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above, for AVX-512 F, BW, DQ, VL and for AVX2 and FMA.
            SimdLevel::Avx512 => unsafe { avx512::enter(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above, for VNNI too.
            SimdLevel::Avx512Vnni => unsafe { avx512::enter_vnni(kernel) },
            // Levels of other architectures are not available, so none of them is in a `Dispatch`.
            _ => kernel.run(Scalar),
        }
    }
}

/// Lanes of `f32` and `i32`.
///
/// Comparisons with NaN are false; [`Simd::min`] and [`Simd::max`] return `b` when `a` is NaN, so
/// `max(x, low)` also launders NaN.
pub(super) trait Simd: Copy {
    /// Values per vector; divides [`super::PACKET`].
    const LANES: usize;
    /// Lanes of `f32`.
    type F: Copy;
    /// Lanes of `i32`.
    type I: Copy;
    /// One bit per lane.
    type M: Copy;

    fn splat(self, value: f32) -> Self::F;
    /// The first [`Self::LANES`] values. Panics if there are fewer.
    fn load(self, from: &[f32]) -> Self::F;
    /// Panics if `to` has no room for [`Self::LANES`] values.
    fn store(self, value: Self::F, to: &mut [f32]);

    fn add(self, a: Self::F, b: Self::F) -> Self::F;
    fn sub(self, a: Self::F, b: Self::F) -> Self::F;
    fn mul(self, a: Self::F, b: Self::F) -> Self::F;
    fn div(self, a: Self::F, b: Self::F) -> Self::F;
    /// `a * b + c`, fused where the hardware has it.
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F;
    fn sqrt(self, a: Self::F) -> Self::F;
    fn min(self, a: Self::F, b: Self::F) -> Self::F;
    fn max(self, a: Self::F, b: Self::F) -> Self::F;
    /// Largest whole number not above `a`.
    fn floor(self, a: Self::F) -> Self::F;

    fn lt(self, a: Self::F, b: Self::F) -> Self::M;
    /// `a` where the mask is set, else `b`.
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F;
    fn and(self, a: Self::M, b: Self::M) -> Self::M;
    /// Bit `i` is lane `i`.
    fn bits(self, mask: Self::M) -> u32;

    fn splat_i(self, value: i32) -> Self::I;
    /// The first [`Self::LANES`] values. Panics if there are fewer.
    fn load_i(self, from: &[i32]) -> Self::I;
    /// Panics if `to` has no room for [`Self::LANES`] values.
    fn store_i(self, value: Self::I, to: &mut [i32]);
    /// Nearest whole number, ties to even; lanes outside `i32` become `i32::MIN` or saturate.
    fn round(self, a: Self::F) -> Self::I;
    /// Truncates; lanes outside `i32` hold any value.
    fn to_int(self, a: Self::F) -> Self::I;
    fn to_float(self, a: Self::I) -> Self::F;
    /// Reinterprets the bits.
    fn float_of_bits(self, a: Self::I) -> Self::F;
    /// Reinterprets the bits.
    fn bits_of_float(self, a: Self::F) -> Self::I;
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn min_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn max_i(self, a: Self::I, b: Self::I) -> Self::I;
    fn shl<const BITS: u32>(self, a: Self::I) -> Self::I;
    /// Shift right, copying the sign.
    fn sar<const BITS: u32>(self, a: Self::I) -> Self::I;
    /// Shift right by `count` below 32, copying the sign.
    fn sar_by(self, a: Self::I, count: i32) -> Self::I;
    /// Whether any lane is not 0.
    fn any(self, a: Self::I) -> bool;

    /// `sum + a.low × b.low + a.high × b.high`, the halves of a lane being signed 16-bit numbers; the sum wraps.
    fn dot(self, sum: Self::I, a: Self::I, b: Self::I) -> Self::I;
    /// `low` and `high` as the halves of a lane, saturated to signed 16 bits.
    fn pair(self, low: Self::I, high: Self::I) -> Self::I;
    /// The larger of each half.
    fn max_pairs(self, a: Self::I, b: Self::I) -> Self::I;

    /// Lanes where bit `bit & 31` of `word` is set.
    fn test_bit(self, word: Self::I, bit: Self::I) -> Self::M;

    /// `table[index]`. An index outside the table reads its last entry. Panics on an empty table.
    fn gather_words(self, table: &[u32], index: Self::I) -> Self::I;
    /// `table[index]` in the low half and `table[index + 1]` in the high half of each lane. An index
    /// without such a pair reads the last one. Panics if the table has less than two entries.
    fn gather_pairs(self, table: &[i16], index: Self::I) -> Self::I;

    /// `table[index]` and `table[index + 1]`. An index without such a pair reads the last one. Panics if the table has
    /// less than two entries.
    #[inline(always)]
    fn gather_two(self, table: &[i32], index: Self::I) -> [Self::I; 2] {
        let last = table.len().checked_sub(2).expect("a table of two entries or more");
        let mut at = [0; 16];
        self.store_i(index, &mut at[..Self::LANES]);
        let mut out = [[0; 16]; 2];
        for lane in 0..Self::LANES {
            let first = (at[lane].cast_unsigned() as usize).min(last);
            (out[0][lane], out[1][lane]) = (table[first], table[first + 1]);
        }
        [self.load_i(&out[0]), self.load_i(&out[1])]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs every operation that is more than one obvious instruction on sixteen lanes.
    struct Operations<'a> {
        values: &'a [f32; 16],
        index: &'a [f32; 16],
        words: &'a [u32],
        pairs: &'a [i16],
        twos: &'a [i32],
    }

    impl Kernel for Operations<'_> {
        type Output = Vec<[f32; 16]>;

        #[inline(always)]
        fn run<S: Simd>(self, s: S) -> Vec<[f32; 16]> {
            let mut out = vec![[0.0; 16]; 23];
            let mut at = 0;
            while at < 16 {
                let (a, index) = (s.load(&self.values[at..]), s.load(&self.index[at..]));
                let (zero, one, two) = (s.splat(0.0), s.splat(1.0), s.splat(2.0));
                let whole = s.to_int(index);
                let word = s.gather_words(self.words, whole);
                let pair = s.gather_pairs(self.pairs, whole);
                let [one_of_two, other] = s.gather_two(self.twos, whole);
                let mask = s.lt(a, one);
                let bit = s.test_bit(word, s.min_i(s.max_i(whole, s.splat_i(0)), s.splat_i(40)));
                let twice = s.add_i(whole, whole);
                let product = s.dot(twice, word, pair);
                let sums = s.pair(product, s.sar_by(word, 13));
                // Both halves the least there is, and a NaN that signals.
                let (least, signalling) = (s.splat_i(-0x7fff_8000), s.splat_i(0x7f80_0001));
                let mut masked = [0.0; 16];
                for (lane, masked) in masked.iter_mut().enumerate().take(S::LANES) {
                    *masked = f32::from(u8::from(s.bits(mask) >> lane & 1 == 1));
                }
                let rows = [
                    s.floor(a),
                    s.min(a, one),
                    s.max(a, one),
                    s.select(mask, two, a),
                    s.select(s.and(mask, s.lt(zero, a)), one, zero),
                    s.sqrt(s.max(a, zero)),
                    s.fma(a, two, one),
                    s.div(one, a),
                    s.to_float(s.sar::<16>(pair)),
                    s.to_float(s.sar::<16>(s.shl::<16>(pair))),
                    s.select(bit, one, zero),
                    s.float_of_bits(s.add_i(s.bits_of_float(a), s.splat_i(1))),
                    s.add(s.load(&masked), s.to_float(s.to_int(s.max(s.min(a, two), zero)))),
                    s.to_float(s.round(s.max(s.min(a, two), zero))),
                    s.to_float(product),
                    s.to_float(s.max_pairs(sums, pair)),
                    s.to_float(sums),
                    s.to_float(one_of_two),
                    s.to_float(other),
                    s.to_float(s.dot(s.splat_i(0), least, least)),
                    s.to_float(s.pair(s.splat_i(40_000), s.splat_i(-40_000))),
                    s.max(s.float_of_bits(signalling), one),
                    s.min(s.float_of_bits(signalling), one),
                ];
                for (row, out) in rows.into_iter().zip(&mut out) {
                    s.store(row, &mut out[at..]);
                }
                at += S::LANES;
            }
            out
        }
    }

    #[test]
    fn every_level_computes_the_same() {
        let mut values: [f32; 16] = std::array::from_fn(|i| (i as f32 - 7.5) * 0.4375);
        (values[3], values[9], values[12]) = (f32::NAN, -0.25, f32::INFINITY);
        // Indices far outside either table, below and above: they read the last entry, never past it.
        let mut index: [f32; 16] = std::array::from_fn(|i| i as f32);
        (index[1], index[6], index[14], index[15]) = (-1.0, 1e9, -2e9, 12.0);
        let words: Vec<u32> = (0..13u32).map(|i| i.wrapping_mul(2_654_435_761)).collect();
        let pairs: Vec<i16> = (0..13i16).map(|i| i * 1000 - 6000).collect();
        let twos: Vec<i32> = (0..13i32).map(|i| i * 70_000 - 300_000).collect();
        let (words, pairs, twos) = (&words[..], &pairs[..], &twos[..]);
        let run = |dispatch: Dispatch| {
            dispatch.run(Operations { values: &values, index: &index, words, pairs, twos })
        };
        let scalar = run(Dispatch::new(SimdLevel::Scalar).expect("always there"));
        assert_eq!(scalar[8][6], 6000.0, "far outside: the last pair");
        assert_eq!(scalar[9][1], 5000.0);
        assert_eq!([scalar[17][2], scalar[18][2]], [-160_000.0, -90_000.0]);
        assert_eq!([scalar[17][6], scalar[18][14]], [470_000.0, 540_000.0], "far outside: the last two");
        assert_eq!(scalar[1][3], 1.0, "NaN gives way");
        assert_eq!(scalar[13][8..11], [0.0, 0.0, 1.0], "0.21875, -0.25 and 1.09375 rounded and clamped");
        assert_eq!(scalar[19], [-2_147_483_648.0; 16], "2^31 wraps");
        assert_eq!(scalar[20], [-2_147_450_880.0; 16], "32767 and -32768");
        assert_eq!([scalar[21], scalar[22]], [[1.0; 16]; 2], "signalling NaN gives way");
        for dispatch in SimdLevel::ALL.into_iter().filter_map(Dispatch::new) {
            for (operation, (ours, expected)) in run(dispatch).iter().zip(&scalar).enumerate() {
                for (lane, (a, b)) in ours.iter().zip(expected).enumerate() {
                    let same = a == b || (a.is_nan() && b.is_nan());
                    assert!(same, "{}, operation {operation}, lane {lane}: {a} {b}", dispatch.level());
                }
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for level in SimdLevel::ALL {
            assert_eq!(SimdLevel::from_name(&level.to_string()), Some(level));
        }
        assert_eq!(SimdLevel::from_name("AVX"), None);
        assert!(SimdLevel::best().is_available());
    }
}
