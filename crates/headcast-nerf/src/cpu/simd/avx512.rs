//! Sixteen lanes of x86-64 AVX-512.
#![expect(unsafe_code, reason = "std::arch intrinsics, wrapped here and nowhere above")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    reason = "table lengths are asserted to fit i32 before they narrow"
)]

use std::arch::x86_64::*;

use super::avx2::two;
use super::{Kernel, Simd};

/// Proof that the code runs inside [`enter`], or with `VNNI` inside [`enter_vnni`]: private field, made there only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512<const VNNI: bool>(());

/// Runs `kernel` with AVX-512 enabled.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) fn enter<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::<false>(()))
}

/// Runs `kernel` with AVX-512 and VNNI enabled.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
pub(super) fn enter_vnni<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx512::<true>(()))
}

/// Largest index of a table from which `tail + 1` neighbouring entries can be read.
#[inline(always)]
fn last_index(len: usize, tail: usize) -> i32 {
    assert!(len > tail && len <= i32::MAX as usize, "a table of {len} entries cannot be gathered from");
    (len - 1 - tail) as i32
}

// SAFETY (every block of this impl): an `Avx512` value exists only inside `enter` or, with `VNNI`, `enter_vnni`,
// whose callers saw the instructions on this CPU. Blocks that touch memory add their own bounds.
impl<const VNNI: bool> Simd for Avx512<VNNI> {
    const LANES: usize = 16;
    type F = __m512;
    type I = __m512i;
    type M = __mmask16;

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_ps(value) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m512 {
        let from = &from[..16];
        // SAFETY: see the impl; 16 values are readable, no alignment is asked for.
        unsafe { _mm512_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, value: __m512, to: &mut [f32]) {
        let to = &mut to[..16];
        // SAFETY: see the impl; 16 values are writable, no alignment is asked for.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), value) }
    }
    #[inline(always)]
    fn add(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_sqrt_ps(a) }
    }
    #[inline(always)]
    fn min(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_max_ps(a, b) }
    }
    #[inline(always)]
    fn floor(self, a: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC }>(a) }
    }
    #[inline(always)]
    fn lt(self, a: __m512, b: __m512) -> __mmask16 {
        // SAFETY: see the impl.
        unsafe { _mm512_cmp_ps_mask::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, mask: __mmask16, a: __m512, b: __m512) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_mask_blend_ps(mask, b, a) }
    }
    #[inline(always)]
    fn and(self, a: __mmask16, b: __mmask16) -> __mmask16 {
        a & b
    }
    #[inline(always)]
    fn bits(self, mask: __mmask16) -> u32 {
        u32::from(mask)
    }
    #[inline(always)]
    fn splat_i(self, value: i32) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_set1_epi32(value) }
    }
    #[inline(always)]
    fn to_int(self, a: __m512) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_cvttps_epi32(a) }
    }
    #[inline(always)]
    fn to_float(self, a: __m512i) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn float_of_bits(self, a: __m512i) -> __m512 {
        // SAFETY: see the impl.
        unsafe { _mm512_castsi512_ps(a) }
    }
    #[inline(always)]
    fn bits_of_float(self, a: __m512) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_castps_si512(a) }
    }
    #[inline(always)]
    fn add_i(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_add_epi32(a, b) }
    }
    #[inline(always)]
    fn min_i(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_min_epi32(a, b) }
    }
    #[inline(always)]
    fn max_i(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_max_epi32(a, b) }
    }
    #[inline(always)]
    fn shl<const BITS: u32>(self, a: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_slli_epi32::<BITS>(a) }
    }
    #[inline(always)]
    fn sar<const BITS: u32>(self, a: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_srai_epi32::<BITS>(a) }
    }
    #[inline(always)]
    fn load_i(self, from: &[i32]) -> __m512i {
        let from = &from[..16];
        // SAFETY: see the impl; 16 values are readable, no alignment is asked for.
        unsafe { _mm512_loadu_si512(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_i(self, value: __m512i, to: &mut [i32]) {
        let to = &mut to[..16];
        // SAFETY: see the impl; 16 values are writable, no alignment is asked for.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), value) }
    }
    #[inline(always)]
    fn round(self, a: __m512) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_cvtps_epi32(a) }
    }
    #[inline(always)]
    fn sar_by(self, a: __m512i, count: i32) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_sra_epi32(a, _mm_cvtsi32_si128(count)) }
    }
    #[inline(always)]
    fn any(self, a: __m512i) -> bool {
        // SAFETY: see the impl.
        unsafe { _mm512_test_epi32_mask(a, a) != 0 }
    }
    #[inline(always)]
    fn dot(self, sum: __m512i, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe {
            if VNNI { _mm512_dpwssd_epi32(sum, a, b) } else { _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)) }
        }
    }
    #[inline(always)]
    fn pair(self, low: __m512i, high: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe {
            // Within 128 bits: four low halves, four high ones; then one of each in turn.
            let packed = _mm512_packs_epi32(low, high);
            let order = _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
            _mm512_shuffle_epi8(packed, _mm512_broadcast_i32x4(order))
        }
    }
    #[inline(always)]
    fn max_pairs(self, a: __m512i, b: __m512i) -> __m512i {
        // SAFETY: see the impl.
        unsafe { _mm512_max_epi16(a, b) }
    }
    #[inline(always)]
    fn test_bit(self, word: __m512i, bit: __m512i) -> __mmask16 {
        // SAFETY: see the impl.
        unsafe {
            let bit = _mm512_and_si512(bit, _mm512_set1_epi32(31));
            _mm512_test_epi32_mask(word, _mm512_sllv_epi32(_mm512_set1_epi32(1), bit))
        }
    }
    #[inline(always)]
    fn gather_words(self, table: &[u32], index: __m512i) -> __m512i {
        let last = last_index(table.len(), 0);
        // SAFETY: see the impl; the unsigned minimum keeps every lane within the table.
        unsafe {
            let index = _mm512_min_epu32(index, _mm512_set1_epi32(last));
            _mm512_i32gather_epi32::<4>(index, table.as_ptr().cast())
        }
    }
    #[inline(always)]
    fn gather_pairs(self, table: &[i16], index: __m512i) -> __m512i {
        let last = last_index(table.len(), 1);
        // SAFETY: see the impl; the unsigned minimum leaves two entries to read at every lane's index, and
        // gathers ask for no alignment.
        unsafe {
            let index = _mm512_min_epu32(index, _mm512_set1_epi32(last));
            _mm512_i32gather_epi32::<2>(index, table.as_ptr().cast())
        }
    }
    #[inline(always)]
    fn gather_two(self, table: &[i32], index: __m512i) -> [__m512i; 2] {
        let last = last_index(table.len(), 1);
        let mut at = [0; 16];
        // SAFETY: see the impl; sixteen values are writable, and the unsigned minimum leaves two entries to read at every
        // lane's index, which is what `two` asks for.
        unsafe {
            let index = _mm512_min_epu32(index, _mm512_set1_epi32(last));
            _mm512_storeu_si512(at.as_mut_ptr().cast(), index);
            let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = at;
            let even = _mm256_set_m128(two(table, [e, f]), two(table, [a, b]));
            let odd = _mm256_set_m128(two(table, [g, h]), two(table, [c, d]));
            let even_high = _mm256_set_m128(two(table, [m, n]), two(table, [i, j]));
            let odd_high = _mm256_set_m128(two(table, [o, p]), two(table, [k, l]));
            let even = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(even), even_high);
            let odd = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(odd), odd_high);
            let first = _mm512_shuffle_ps::<0b10_00_10_00>(even, odd);
            let second = _mm512_shuffle_ps::<0b11_01_11_01>(even, odd);
            [_mm512_castps_si512(first), _mm512_castps_si512(second)]
        }
    }
}
