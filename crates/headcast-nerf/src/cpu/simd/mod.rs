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
mod scalar;

use std::fmt;

pub(super) use scalar::Scalar;

/// Instruction set of the CPU kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum SimdLevel {
    /// Plain `f32`; runs anywhere.
    Scalar,
    /// x86-64 AVX2 with FMA, 8 lanes.
    Avx2,
    /// x86-64 AVX-512 F, BW, DQ and VL, 16 lanes.
    Avx512,
}

impl SimdLevel {
    /// Every level, slowest first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// The fastest level of this CPU.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|level| level.is_available()).unwrap_or(Self::Scalar)
    }

    /// Whether this CPU has the instructions.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
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
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 => false,
        }
    }

    /// The level called `name`: `scalar`, `avx2` or `avx512`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.name() == name)
    }

    /// Lower-case name, as [`Self::from_name`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scalar => "scalar",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
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
    #[cfg(target_arch = "x86_64")]
    #[expect(unsafe_code, reason = "entering functions with more target features than the build's baseline")]
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            SimdLevel::Scalar => kernel.run(Scalar),
            // SAFETY: a `Dispatch` is made by `new` alone, which saw AVX2 and FMA on this CPU.
            SimdLevel::Avx2 => unsafe { avx2::enter(kernel) },
            // SAFETY: as above, for AVX-512 F, BW, DQ, VL and for AVX2 and FMA.
            SimdLevel::Avx512 => unsafe { avx512::enter(kernel) },
        }
    }

    /// Runs `kernel`; this architecture has the scalar level only.
    #[cfg(not(target_arch = "x86_64"))]
    pub(super) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        kernel.run(Scalar)
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
    /// Lanes where bit `bit & 31` of `word` is set.
    fn test_bit(self, word: Self::I, bit: Self::I) -> Self::M;

    /// `table[index]`. An index outside the table reads its last entry. Panics on an empty table.
    fn gather(self, table: &[f32], index: Self::I) -> Self::F;
    /// `table[index]` as raw 32-bit words, bounds as [`Self::gather`].
    fn gather_words(self, table: &[u32], index: Self::I) -> Self::I;
    /// `table[index]` in the low half and `table[index + 1]` in the high half of each lane. An index
    /// without such a pair reads the last one. Panics if the table has less than two entries.
    fn gather_pairs(self, table: &[i16], index: Self::I) -> Self::I;
}
