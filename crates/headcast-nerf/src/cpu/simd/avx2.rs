//! Eight lanes of x86-64 AVX2 with FMA.
#![expect(unsafe_code, reason = "std::arch intrinsics, wrapped here and nowhere above")]
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "table lengths are asserted to fit i32 before they narrow; masks are bit patterns"
)]

use std::arch::x86_64::*;

use super::{Kernel, Simd};

/// Proof that the code runs inside [`enter`]: private field, made there only.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2(());

/// Runs `kernel` with AVX2 and FMA enabled.
#[target_feature(enable = "avx2,fma")]
pub(super) fn enter<K: Kernel>(kernel: K) -> K::Output {
    kernel.run(Avx2(()))
}

/// Largest index of a table from which `tail + 1` neighbouring entries can be read.
#[inline(always)]
fn last_index(len: usize, tail: usize) -> i32 {
    assert!(len > tail && len <= i32::MAX as usize, "a table of {len} entries cannot be gathered from");
    (len - 1 - tail) as i32
}

// SAFETY (every block of this impl): an `Avx2` value exists only inside `enter`, whose caller saw the
// instructions on this CPU. Blocks that touch memory add their own bounds.
impl Simd for Avx2 {
    const LANES: usize = 8;
    type F = __m256;
    type I = __m256i;
    type M = __m256;

    #[inline(always)]
    fn splat(self, value: f32) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_set1_ps(value) }
    }
    #[inline(always)]
    fn load(self, from: &[f32]) -> __m256 {
        let from = &from[..8];
        // SAFETY: see the impl; 8 values are readable, no alignment is asked for.
        unsafe { _mm256_loadu_ps(from.as_ptr()) }
    }
    #[inline(always)]
    fn store(self, value: __m256, to: &mut [f32]) {
        let to = &mut to[..8];
        // SAFETY: see the impl; 8 values are writable, no alignment is asked for.
        unsafe { _mm256_storeu_ps(to.as_mut_ptr(), value) }
    }
    #[inline(always)]
    fn add(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_add_ps(a, b) }
    }
    #[inline(always)]
    fn sub(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_sub_ps(a, b) }
    }
    #[inline(always)]
    fn mul(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_mul_ps(a, b) }
    }
    #[inline(always)]
    fn div(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_div_ps(a, b) }
    }
    #[inline(always)]
    fn fma(self, a: __m256, b: __m256, c: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_fmadd_ps(a, b, c) }
    }
    #[inline(always)]
    fn sqrt(self, a: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_sqrt_ps(a) }
    }
    #[inline(always)]
    fn min(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_min_ps(a, b) }
    }
    #[inline(always)]
    fn max(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_max_ps(a, b) }
    }
    #[inline(always)]
    fn floor(self, a: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_floor_ps(a) }
    }
    #[inline(always)]
    fn lt(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_cmp_ps::<_CMP_LT_OQ>(a, b) }
    }
    #[inline(always)]
    fn select(self, mask: __m256, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_blendv_ps(b, a, mask) }
    }
    #[inline(always)]
    fn and(self, a: __m256, b: __m256) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_and_ps(a, b) }
    }
    #[inline(always)]
    fn bits(self, mask: __m256) -> u32 {
        // SAFETY: see the impl.
        unsafe { _mm256_movemask_ps(mask) as u32 }
    }
    #[inline(always)]
    fn splat_i(self, value: i32) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_set1_epi32(value) }
    }
    #[inline(always)]
    fn to_int(self, a: __m256) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_cvttps_epi32(a) }
    }
    #[inline(always)]
    fn to_float(self, a: __m256i) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_cvtepi32_ps(a) }
    }
    #[inline(always)]
    fn float_of_bits(self, a: __m256i) -> __m256 {
        // SAFETY: see the impl.
        unsafe { _mm256_castsi256_ps(a) }
    }
    #[inline(always)]
    fn bits_of_float(self, a: __m256) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_castps_si256(a) }
    }
    #[inline(always)]
    fn add_i(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_add_epi32(a, b) }
    }
    #[inline(always)]
    fn min_i(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_min_epi32(a, b) }
    }
    #[inline(always)]
    fn max_i(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_max_epi32(a, b) }
    }
    #[inline(always)]
    fn shl<const BITS: u32>(self, a: __m256i) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_sll_epi32(a, _mm_cvtsi32_si128(BITS as i32)) }
    }
    #[inline(always)]
    fn sar<const BITS: u32>(self, a: __m256i) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_sra_epi32(a, _mm_cvtsi32_si128(BITS as i32)) }
    }
    #[inline(always)]
    fn load_i(self, from: &[i32]) -> __m256i {
        let from = &from[..8];
        // SAFETY: see the impl; 8 values are readable, no alignment is asked for.
        unsafe { _mm256_loadu_si256(from.as_ptr().cast()) }
    }
    #[inline(always)]
    fn store_i(self, value: __m256i, to: &mut [i32]) {
        let to = &mut to[..8];
        // SAFETY: see the impl; 8 values are writable, no alignment is asked for.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), value) }
    }
    #[inline(always)]
    fn round(self, a: __m256) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_cvtps_epi32(a) }
    }
    #[inline(always)]
    fn sar_by(self, a: __m256i, count: i32) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_sra_epi32(a, _mm_cvtsi32_si128(count)) }
    }
    #[inline(always)]
    fn any(self, a: __m256i) -> bool {
        // SAFETY: see the impl.
        unsafe { _mm256_testz_si256(a, a) == 0 }
    }
    #[inline(always)]
    fn dot(self, sum: __m256i, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)) }
    }
    #[inline(always)]
    fn pair(self, low: __m256i, high: __m256i) -> __m256i {
        // SAFETY: see the impl.
        unsafe {
            // Within 128 bits: four low halves, four high ones; then one of each in turn.
            let packed = _mm256_packs_epi32(low, high);
            let order = _mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15);
            _mm256_shuffle_epi8(packed, _mm256_broadcastsi128_si256(order))
        }
    }
    #[inline(always)]
    fn max_pairs(self, a: __m256i, b: __m256i) -> __m256i {
        // SAFETY: see the impl.
        unsafe { _mm256_max_epi16(a, b) }
    }
    #[inline(always)]
    fn test_bit(self, word: __m256i, bit: __m256i) -> __m256 {
        // SAFETY: see the impl.
        unsafe {
            let bit = _mm256_and_si256(bit, _mm256_set1_epi32(31));
            // The wanted bit moves to the sign, the only bit that blends and movemask look at.
            let up = _mm256_sub_epi32(_mm256_set1_epi32(31), bit);
            _mm256_castsi256_ps(_mm256_srai_epi32::<31>(_mm256_sllv_epi32(word, up)))
        }
    }
    #[inline(always)]
    fn gather_words(self, table: &[u32], index: __m256i) -> __m256i {
        let last = last_index(table.len(), 0);
        // SAFETY: see the impl; the unsigned minimum keeps every lane within the table.
        unsafe {
            let index = _mm256_min_epu32(index, _mm256_set1_epi32(last));
            _mm256_i32gather_epi32::<4>(table.as_ptr().cast(), index)
        }
    }
    #[inline(always)]
    fn gather_pairs(self, table: &[i16], index: __m256i) -> __m256i {
        let last = last_index(table.len(), 1);
        // SAFETY: see the impl; the unsigned minimum leaves two entries to read at every lane's index, and
        // gathers ask for no alignment.
        unsafe {
            let index = _mm256_min_epu32(index, _mm256_set1_epi32(last));
            _mm256_i32gather_epi32::<2>(table.as_ptr().cast(), index)
        }
    }
    #[inline(always)]
    fn gather_two(self, table: &[i32], index: __m256i) -> [__m256i; 2] {
        let last = last_index(table.len(), 1);
        let mut at = [0; 8];
        // SAFETY: see the impl; eight values are writable, and the unsigned minimum leaves two entries to read at every
        // lane's index, which is what `two` asks for.
        unsafe {
            let index = _mm256_min_epu32(index, _mm256_set1_epi32(last));
            _mm256_storeu_si256(at.as_mut_ptr().cast(), index);
            let [a, b, c, d, e, f, g, h] = at;
            let even = _mm256_set_m128(two(table, [e, f]), two(table, [a, b]));
            let odd = _mm256_set_m128(two(table, [g, h]), two(table, [c, d]));
            let first = _mm256_shuffle_ps::<0b10_00_10_00>(even, odd);
            let second = _mm256_shuffle_ps::<0b11_01_11_01>(even, odd);
            [_mm256_castps_si256(first), _mm256_castps_si256(second)]
        }
    }
}

/// `table[index]` and `table[index + 1]` of two indices, with two loads: several times as fast as a gather instruction.
///
/// # Safety
/// Both entries of both indices lie in the table.
#[inline(always)]
pub(super) unsafe fn two(table: &[i32], index: [i32; 2]) -> __m128 {
    // SAFETY: the caller keeps both reads of 8 bytes within the table; they ask for no alignment, and SSE2 is part of x86-64.
    unsafe {
        let low = _mm_load_sd(table.as_ptr().add(index[0] as usize).cast());
        _mm_castpd_ps(_mm_loadh_pd(low, table.as_ptr().add(index[1] as usize).cast()))
    }
}
