//! One lane: the level every machine has.

use super::Simd;

/// Plain arithmetic.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu) struct Scalar;

/// Without hardware support `mul_add` is a library call that costs more than a whole layer's worth of the rest.
const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap,
    reason = "lanes convert as the vector instructions do; indices are clamped to the table"
)]
impl Simd for Scalar {
    const LANES: usize = 1;
    type F = f32;
    type I = i32;
    type M = bool;

    #[inline(always)]
    fn splat(self, value: f32) -> f32 {
        value
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> f32 {
        from[0]
    }
    #[inline(always)]
    fn store(self, value: f32, to: &mut [f32]) {
        to[0] = value;
    }
    #[inline(always)]
    fn add(self, a: f32, b: f32) -> f32 {
        a + b
    }
    #[inline(always)]
    fn sub(self, a: f32, b: f32) -> f32 {
        a - b
    }
    #[inline(always)]
    fn mul(self, a: f32, b: f32) -> f32 {
        a * b
    }
    #[inline(always)]
    fn div(self, a: f32, b: f32) -> f32 {
        a / b
    }
    #[inline(always)]
    fn fma(self, a: f32, b: f32, c: f32) -> f32 {
        if FUSED { a.mul_add(b, c) } else { a * b + c }
    }
    #[inline(always)]
    fn sqrt(self, a: f32) -> f32 {
        a.sqrt()
    }
    #[inline(always)]
    fn min(self, a: f32, b: f32) -> f32 {
        if a < b { a } else { b }
    }
    #[inline(always)]
    fn max(self, a: f32, b: f32) -> f32 {
        if a > b { a } else { b }
    }
    #[inline(always)]
    fn floor(self, a: f32) -> f32 {
        a.floor()
    }
    #[inline(always)]
    fn lt(self, a: f32, b: f32) -> bool {
        a < b
    }
    #[inline(always)]
    fn select(self, mask: bool, a: f32, b: f32) -> f32 {
        if mask { a } else { b }
    }
    #[inline(always)]
    fn and(self, a: bool, b: bool) -> bool {
        a & b
    }
    #[inline(always)]
    fn bits(self, mask: bool) -> u32 {
        u32::from(mask)
    }
    #[inline(always)]
    fn splat_i(self, value: i32) -> i32 {
        value
    }
    #[inline(always)]
    fn to_int(self, a: f32) -> i32 {
        a as i32
    }
    #[inline(always)]
    fn to_float(self, a: i32) -> f32 {
        a as f32
    }
    #[inline(always)]
    fn float_of_bits(self, a: i32) -> f32 {
        f32::from_bits(a as u32)
    }
    #[inline(always)]
    fn bits_of_float(self, a: f32) -> i32 {
        a.to_bits() as i32
    }
    #[inline(always)]
    fn add_i(self, a: i32, b: i32) -> i32 {
        a.wrapping_add(b)
    }
    #[inline(always)]
    fn min_i(self, a: i32, b: i32) -> i32 {
        a.min(b)
    }
    #[inline(always)]
    fn max_i(self, a: i32, b: i32) -> i32 {
        a.max(b)
    }
    #[inline(always)]
    fn shl<const BITS: u32>(self, a: i32) -> i32 {
        a << BITS
    }
    #[inline(always)]
    fn sar<const BITS: u32>(self, a: i32) -> i32 {
        a >> BITS
    }
    #[inline(always)]
    fn load_i(self, from: &[i32]) -> i32 {
        from[0]
    }
    #[inline(always)]
    fn store_i(self, value: i32, to: &mut [i32]) {
        to[0] = value;
    }
    #[inline(always)]
    fn round(self, a: f32) -> i32 {
        a.round_ties_even() as i32
    }
    #[inline(always)]
    fn sar_by(self, a: i32, count: i32) -> i32 {
        a >> count
    }
    #[inline(always)]
    fn any(self, a: i32) -> bool {
        a != 0
    }
    #[inline(always)]
    fn dot(self, sum: i32, a: i32, b: i32) -> i32 {
        let (low, high) = (i32::from(a as i16) * i32::from(b as i16), (a >> 16) * (b >> 16));
        sum.wrapping_add(low.wrapping_add(high))
    }
    #[inline(always)]
    fn pair(self, low: i32, high: i32) -> i32 {
        let narrow = |value: i32| value.clamp(i32::from(i16::MIN), i32::from(i16::MAX));
        narrow(low) & 0xffff | narrow(high) << 16
    }
    #[inline(always)]
    fn max_pairs(self, a: i32, b: i32) -> i32 {
        let low = (a as i16).max(b as i16);
        i32::from(low) & 0xffff | (a >> 16).max(b >> 16) << 16
    }
    #[inline(always)]
    fn test_bit(self, word: i32, bit: i32) -> bool {
        (word >> (bit & 31)) & 1 != 0
    }
    #[inline(always)]
    fn gather_words(self, table: &[u32], index: i32) -> i32 {
        table[(index as u32 as usize).min(table.len() - 1)] as i32
    }
    #[inline(always)]
    fn gather_pairs(self, table: &[i16], index: i32) -> i32 {
        let at = (index as u32 as usize).min(table.len() - 2);
        i32::from(table[at] as u16) | (i32::from(table[at + 1]) << 16)
    }
}
