//! Eight lanes of `AArch64` NEON, in two registers of four.
//!
//! Why two: a layer keeps four outputs times two vectors of samples in registers (`packet`, `dense16`). With two registers a
//! vector these are sixteen accumulators, as many as four pipes of a latency of four can have under way; four registers of
//! inputs and the weights fit beside them, and a weight that is loaded once serves four multiply-adds. With one register a
//! vector eight accumulators leave wide cores idle half of the time; with four there are 32, and none of the 32 registers
//! is left for inputs. Two also let the halves of 16-bit pairs be taken apart by one instruction for all eight lanes.
//!
//! NEON multiplies and adds `f32` in one rounding, divides and takes roots exactly, and its conversions saturate as those of
//! Rust do: what it computes is what [`super::Scalar`] computes on this architecture, to the last bit.
#![expect(unsafe_code, reason = "std::arch intrinsics, wrapped here and nowhere above")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "table lengths are asserted to fit u32 before they narrow; shifts are below 32"
)]

use std::arch::aarch64::*;

use super::{Kernel, Simd};

/// Proof that the CPU has NEON: private field, made in [`enter`] only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Neon(());

/// Runs `kernel` with NEON enabled.
#[target_feature(enable = "neon")]
pub(super) fn enter<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Neon(()))
}

/// An intrinsic on both registers of its arguments.
macro_rules! both {
    ($intrinsic:ident($($argument:ident),+)) => {
        [$intrinsic($($argument[0]),+), $intrinsic($($argument[1]),+)]
    };
}

/// Largest index of a table from which `tail + 1` neighbouring entries can be read.
#[inline(always)]
fn last_index(len: usize, tail: usize) -> u32 {
    assert!(len > tail && len <= i32::MAX as usize, "a table of {len} entries cannot be gathered from");
    (len - 1 - tail) as u32
}

/// `index` as lanes that are at most `last`, negative ones counting as large.
///
/// # Safety
/// The CPU has NEON.
#[inline(always)]
unsafe fn clamped(index: [int32x4_t; 2], last: u32) -> [u32; 8] {
    let mut lanes = [0; 8];
    // SAFETY: the caller's; eight values are writable.
    unsafe {
        let last = vdupq_n_u32(last);
        vst1q_u32(lanes.as_mut_ptr(), vminq_u32(vreinterpretq_u32_s32(index[0]), last));
        vst1q_u32(lanes.as_mut_ptr().add(4), vminq_u32(vreinterpretq_u32_s32(index[1]), last));
    }
    lanes
}

/// Low halves of all lanes, then high halves.
///
/// # Safety
/// The CPU has NEON.
#[inline(always)]
unsafe fn halves(pairs: [int32x4_t; 2]) -> [int16x8_t; 2] {
    // SAFETY: the caller's.
    unsafe {
        let (first, second) = (vreinterpretq_s16_s32(pairs[0]), vreinterpretq_s16_s32(pairs[1]));
        [vuzp1q_s16(first, second), vuzp2q_s16(first, second)]
    }
}

// SAFETY (every block of this impl): a `Neon` value exists only inside `enter`, whose caller saw the
// instructions on this CPU. Blocks that touch memory add their own bounds.
impl Simd for Neon {
    const LANES: usize = 8;
    type F = [float32x4_t; 2];
    type I = [int32x4_t; 2];
    type M = [uint32x4_t; 2];

    #[inline(always)]
    fn splat(self, value: f32) -> Self::F {
        // SAFETY: see the impl.
        unsafe { [vdupq_n_f32(value); 2] }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> Self::F {
        let from = &from[..8];
        // SAFETY: see the impl; 8 values are readable, no alignment is asked for.
        unsafe { [vld1q_f32(from.as_ptr()), vld1q_f32(from.as_ptr().add(4))] }
    }
    #[inline(always)]
    fn store(self, value: Self::F, to: &mut [f32]) {
        let to = &mut to[..8];
        // SAFETY: see the impl; 8 values are writable, no alignment is asked for.
        unsafe {
            vst1q_f32(to.as_mut_ptr(), value[0]);
            vst1q_f32(to.as_mut_ptr().add(4), value[1]);
        }
    }
    #[inline(always)]
    fn add(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vaddq_f32(a, b)) }
    }
    #[inline(always)]
    fn sub(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vsubq_f32(a, b)) }
    }
    #[inline(always)]
    fn mul(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vmulq_f32(a, b)) }
    }
    #[inline(always)]
    fn div(self, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vdivq_f32(a, b)) }
    }
    #[inline(always)]
    fn fma(self, a: Self::F, b: Self::F, c: Self::F) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vfmaq_f32(c, a, b)) }
    }
    #[inline(always)]
    fn sqrt(self, a: Self::F) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vsqrtq_f32(a)) }
    }
    // Comparing and selecting, because `fmin` and `fmax` let NaN through, and `fminnm` and `fmaxnm` those that signal. No
    // inner loop of a layer has one.
    #[inline(always)]
    fn min(self, a: Self::F, b: Self::F) -> Self::F {
        self.select(self.lt(a, b), a, b)
    }
    #[inline(always)]
    fn max(self, a: Self::F, b: Self::F) -> Self::F {
        self.select(self.lt(b, a), a, b)
    }
    #[inline(always)]
    fn floor(self, a: Self::F) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vrndmq_f32(a)) }
    }
    #[inline(always)]
    fn lt(self, a: Self::F, b: Self::F) -> Self::M {
        // SAFETY: see the impl.
        unsafe { both!(vcltq_f32(a, b)) }
    }
    #[inline(always)]
    fn select(self, mask: Self::M, a: Self::F, b: Self::F) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vbslq_f32(mask, a, b)) }
    }
    #[inline(always)]
    fn and(self, a: Self::M, b: Self::M) -> Self::M {
        // SAFETY: see the impl.
        unsafe { both!(vandq_u32(a, b)) }
    }
    #[inline(always)]
    fn bits(self, mask: Self::M) -> u32 {
        const PLACES: [u16; 8] = [1, 2, 4, 8, 16, 32, 64, 128];
        // SAFETY: see the impl; there are eight places to read.
        unsafe {
            let lanes = vuzp1q_u16(vreinterpretq_u16_u32(mask[0]), vreinterpretq_u16_u32(mask[1]));
            u32::from(vaddvq_u16(vandq_u16(lanes, vld1q_u16(PLACES.as_ptr()))))
        }
    }
    #[inline(always)]
    fn splat_i(self, value: i32) -> Self::I {
        // SAFETY: see the impl.
        unsafe { [vdupq_n_s32(value); 2] }
    }
    #[inline(always)]
    fn to_int(self, a: Self::F) -> Self::I {
        // SAFETY: see the impl.
        unsafe { both!(vcvtq_s32_f32(a)) }
    }
    #[inline(always)]
    fn to_float(self, a: Self::I) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vcvtq_f32_s32(a)) }
    }
    #[inline(always)]
    fn float_of_bits(self, a: Self::I) -> Self::F {
        // SAFETY: see the impl.
        unsafe { both!(vreinterpretq_f32_s32(a)) }
    }
    #[inline(always)]
    fn bits_of_float(self, a: Self::F) -> Self::I {
        // SAFETY: see the impl.
        unsafe { both!(vreinterpretq_s32_f32(a)) }
    }
    #[inline(always)]
    fn add_i(self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see the impl.
        unsafe { both!(vaddq_s32(a, b)) }
    }
    #[inline(always)]
    fn min_i(self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see the impl.
        unsafe { both!(vminq_s32(a, b)) }
    }
    #[inline(always)]
    fn max_i(self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see the impl.
        unsafe { both!(vmaxq_s32(a, b)) }
    }
    #[inline(always)]
    fn shl<const BITS: u32>(self, a: Self::I) -> Self::I {
        let count = self.splat_i(BITS as i32);
        // SAFETY: see the impl.
        unsafe { both!(vshlq_s32(a, count)) }
    }
    #[inline(always)]
    fn sar<const BITS: u32>(self, a: Self::I) -> Self::I {
        self.sar_by(a, BITS as i32)
    }
    #[inline(always)]
    fn load_i(self, from: &[i32]) -> Self::I {
        let from = &from[..8];
        // SAFETY: see the impl; 8 values are readable, no alignment is asked for.
        unsafe { [vld1q_s32(from.as_ptr()), vld1q_s32(from.as_ptr().add(4))] }
    }
    #[inline(always)]
    fn store_i(self, value: Self::I, to: &mut [i32]) {
        let to = &mut to[..8];
        // SAFETY: see the impl; 8 values are writable, no alignment is asked for.
        unsafe {
            vst1q_s32(to.as_mut_ptr(), value[0]);
            vst1q_s32(to.as_mut_ptr().add(4), value[1]);
        }
    }
    #[inline(always)]
    fn round(self, a: Self::F) -> Self::I {
        // SAFETY: see the impl.
        unsafe { both!(vcvtnq_s32_f32(a)) }
    }
    #[inline(always)]
    fn sar_by(self, a: Self::I, count: i32) -> Self::I {
        // A shift to the left by less than nothing.
        let count = self.splat_i(-count);
        // SAFETY: see the impl.
        unsafe { both!(vshlq_s32(a, count)) }
    }
    #[inline(always)]
    fn any(self, a: Self::I) -> bool {
        // SAFETY: see the impl.
        unsafe { vmaxvq_u32(vreinterpretq_u32_s32(vorrq_s32(a[0], a[1]))) != 0 }
    }
    #[inline(always)]
    fn dot(self, sum: Self::I, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see the impl.
        unsafe {
            // Taking apart what a loop multiplies again and again is done once for all its products.
            let ([a_low, a_high], [b_low, b_high]) = (halves(a), halves(b));
            let first = vmlal_s16(sum[0], vget_low_s16(a_low), vget_low_s16(b_low));
            let second = vmlal_high_s16(sum[1], a_low, b_low);
            [
                vmlal_s16(first, vget_low_s16(a_high), vget_low_s16(b_high)),
                vmlal_high_s16(second, a_high, b_high),
            ]
        }
    }
    #[inline(always)]
    fn pair(self, low: Self::I, high: Self::I) -> Self::I {
        // SAFETY: see the impl.
        unsafe {
            let low = vqmovn_high_s32(vqmovn_s32(low[0]), low[1]);
            let high = vqmovn_high_s32(vqmovn_s32(high[0]), high[1]);
            [vreinterpretq_s32_s16(vzip1q_s16(low, high)), vreinterpretq_s32_s16(vzip2q_s16(low, high))]
        }
    }
    #[inline(always)]
    fn max_pairs(self, a: Self::I, b: Self::I) -> Self::I {
        // SAFETY: see the impl.
        unsafe {
            let (a, b) = (both!(vreinterpretq_s16_s32(a)), both!(vreinterpretq_s16_s32(b)));
            let larger = both!(vmaxq_s16(a, b));
            both!(vreinterpretq_s32_s16(larger))
        }
    }
    #[inline(always)]
    fn test_bit(self, word: Self::I, bit: Self::I) -> Self::M {
        let (one, last) = (self.splat_i(1), self.splat_i(31));
        // SAFETY: see the impl.
        unsafe {
            let bit = both!(vandq_s32(bit, last));
            let place = both!(vshlq_s32(one, bit));
            both!(vtstq_s32(word, place))
        }
    }
    #[inline(always)]
    fn gather_words(self, table: &[u32], index: Self::I) -> Self::I {
        let last = last_index(table.len(), 0);
        let mut words = [0; 8];
        // SAFETY: see the impl; the unsigned minimum keeps every lane within the table.
        unsafe {
            for (word, at) in words.iter_mut().zip(clamped(index, last)) {
                *word = *table.as_ptr().add(at as usize);
            }
            [
                vreinterpretq_s32_u32(vld1q_u32(words.as_ptr())),
                vreinterpretq_s32_u32(vld1q_u32(words.as_ptr().add(4))),
            ]
        }
    }
    #[inline(always)]
    fn gather_pairs(self, table: &[i16], index: Self::I) -> Self::I {
        let last = last_index(table.len(), 1);
        let mut pairs = [0; 8];
        // SAFETY: see the impl; the unsigned minimum leaves two entries to read at every lane's index, as one
        // word without alignment, whose low half is the first in little-endian order.
        unsafe {
            for (pair, at) in pairs.iter_mut().zip(clamped(index, last)) {
                *pair = table.as_ptr().add(at as usize).cast::<i32>().read_unaligned();
            }
            [vld1q_s32(pairs.as_ptr()), vld1q_s32(pairs.as_ptr().add(4))]
        }
    }
    #[inline(always)]
    fn gather_two(self, table: &[i32], index: Self::I) -> [Self::I; 2] {
        let last = last_index(table.len(), 1);
        // SAFETY: see the impl; the unsigned minimum leaves two entries to read at every lane's index, which is what `two`
        // asks for.
        unsafe {
            let [a, b, c, d, e, f, g, h] = clamped(index, last);
            let (even, odd) =
                ([two(table, [a, b]), two(table, [e, f])], [two(table, [c, d]), two(table, [g, h])]);
            [both!(vuzp1q_s32(even, odd)), both!(vuzp2q_s32(even, odd))]
        }
    }
}

/// `table[index]` and `table[index + 1]` of two indices, with two loads.
///
/// # Safety
/// The CPU has NEON, and both entries of both indices lie in the table.
#[inline(always)]
unsafe fn two(table: &[i32], index: [u32; 2]) -> int32x4_t {
    // SAFETY: the caller's; 8 bytes are read at each, without alignment.
    unsafe {
        let first = vld1_s32(table.as_ptr().add(index[0] as usize));
        vcombine_s32(first, vld1_s32(table.as_ptr().add(index[1] as usize)))
    }
}
