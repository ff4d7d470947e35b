//! The kernel of [`super::kernel`] in AVX2: the same integers, so the same bytes.
#![expect(unsafe_code, reason = "loads and stores of whole vectors go through pointers")]

use std::arch::x86_64::*;

use super::kernel::{
    CB_DIVISOR, CB_RECIPROCAL, CHROMA_SHIFT, CR_DIVISOR, CR_RECIPROCAL, LUMA_DIVISOR, LUMA_RECIPROCAL,
    LUMA_SHIFT, STEP,
};

/// Two rows, as [`super::kernel::Level::convert`] has it.
#[target_feature(enable = "avx2")]
pub(super) fn convert(
    above: &[u8],
    below: &[u8],
    y_above: &mut [u8],
    y_below: &mut [u8],
    cb: &mut [u8],
    cr: &mut [u8],
) {
    let above = above.as_chunks::<{ 3 * STEP }>().0;
    let below = below.as_chunks::<{ 3 * STEP }>().0;
    let y_above = y_above.as_chunks_mut::<STEP>().0;
    let y_below = y_below.as_chunks_mut::<STEP>().0;
    let cb = cb.as_chunks_mut::<{ STEP / 2 }>().0;
    let cr = cr.as_chunks_mut::<{ STEP / 2 }>().0;
    let luma = y_above.iter_mut().zip(y_below);
    let chroma = cb.iter_mut().zip(cr);
    for (((above, below), (y_above, y_below)), (cb, cr)) in above.iter().zip(below).zip(luma).zip(chroma) {
        let [r0, g0, b0] = planar(above);
        let [r1, g1, b1] = planar(below);
        store(y_above, luma_of(r0, g0, b0));
        store(y_below, luma_of(r1, g1, b1));
        let both = chroma_of(sums(r0, r1), sums(g0, g1), sums(b0, b1));
        *cb = _mm_cvtsi128_si64(both).to_le_bytes();
        *cr = _mm_extract_epi64::<1>(both).to_le_bytes();
    }
}

/// 16 interleaved pixels to one vector per colour.
#[target_feature(enable = "avx2")]
fn planar(rgb: &[u8; 3 * STEP]) -> [__m128i; 3] {
    let parts = rgb.as_chunks::<STEP>().0;
    let [a, b, c] = [load(&parts[0]), load(&parts[1]), load(&parts[2])];
    let plane = |masks: &[[u8; STEP]; 3]| {
        let a = _mm_shuffle_epi8(a, load(&masks[0]));
        let b = _mm_shuffle_epi8(b, load(&masks[1]));
        let c = _mm_shuffle_epi8(c, load(&masks[2]));
        _mm_or_si128(_mm_or_si128(a, b), c)
    };
    [plane(&PLANAR[0]), plane(&PLANAR[1]), plane(&PLANAR[2])]
}

/// Sums of 2×2 values of one colour, 8 of 16 bits.
#[target_feature(enable = "avx2")]
fn sums(above: __m128i, below: __m128i) -> __m128i {
    let ones = _mm_set1_epi8(1);
    _mm_add_epi16(_mm_maddubs_epi16(above, ones), _mm_maddubs_epi16(below, ones))
}

#[target_feature(enable = "avx2")]
fn luma_of(r: __m128i, g: __m128i, b: __m128i) -> __m128i {
    let zero = _mm_setzero_si128();
    let half = |rg: __m128i, b: __m128i| {
        let rg = _mm256_madd_epi16(_mm256_cvtepu8_epi16(rg), pair(1063, 3576));
        let b = _mm256_madd_epi16(_mm256_cvtepu8_epi16(b), pair(361, 0));
        let m = _mm256_add_epi32(rg, b);
        let dividend = _mm256_add_epi32(
            _mm256_mullo_epi32(m, _mm256_set1_epi32(73)),
            _mm256_set1_epi32(LUMA_DIVISOR / 2),
        );
        divide::<LUMA_RECIPROCAL, LUMA_REST>(dividend)
    };
    let low = half(_mm_unpacklo_epi8(r, g), _mm_unpacklo_epi8(b, zero));
    let high = half(_mm_unpackhi_epi8(r, g), _mm_unpackhi_epi8(b, zero));
    _mm_add_epi8(narrow(low, high), _mm_set1_epi8(16))
}

/// Eight of Cb, then eight of Cr, from sums of four pixels.
#[target_feature(enable = "avx2")]
fn chroma_of(r: __m128i, g: __m128i, b: __m128i) -> __m128i {
    let zero = _mm_setzero_si128();
    let rg = _mm256_set_m128i(_mm_unpackhi_epi16(r, g), _mm_unpacklo_epi16(r, g));
    let b = _mm256_set_m128i(_mm_unpackhi_epi16(b, zero), _mm_unpacklo_epi16(b, zero));
    let dividend = |rg_weights: __m256i, b_weight: __m256i, divisor: i32| {
        let n = _mm256_add_epi32(_mm256_madd_epi16(rg, rg_weights), _mm256_madd_epi16(b, b_weight));
        let n = _mm256_mullo_epi32(n, _mm256_set1_epi32(56));
        _mm256_add_epi32(n, _mm256_set1_epi32(128 * divisor + divisor / 2))
    };
    let cb = dividend(pair(-1063, -3576), pair(4639, 0), CB_DIVISOR);
    let cr = dividend(pair(3937, -3576), pair(-361, 0), CR_DIVISOR);
    narrow(divide::<CB_RECIPROCAL, CHROMA_REST>(cb), divide::<CR_RECIPROCAL, CHROMA_REST>(cr))
}

/// Unsigned `dividend · RECIPROCAL >> (32 + REST)` of each 32-bit lane.
#[target_feature(enable = "avx2")]
fn divide<const RECIPROCAL: u64, const REST: i32>(dividend: __m256i) -> __m256i {
    // Multiplication takes the low half of every 64-bit lane.
    let reciprocal = _mm256_set1_epi64x(RECIPROCAL.cast_signed());
    let even = _mm256_mul_epu32(dividend, reciprocal);
    let odd = _mm256_mul_epu32(_mm256_srli_epi64::<32>(dividend), reciprocal);
    let high = _mm256_blend_epi32::<0b1010_1010>(_mm256_srli_epi64::<32>(even), odd);
    _mm256_srli_epi32::<REST>(high)
}

/// Sixteen 32-bit values of 0 to 255 to bytes, in order.
#[target_feature(enable = "avx2")]
fn narrow(low: __m256i, high: __m256i) -> __m128i {
    // Packing works within 128-bit lanes: low 0-3, high 0-3, low 4-7, high 4-7; the permutation sorts them.
    let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packus_epi32(low, high));
    _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words))
}

/// `first, second, first, second, …`
#[target_feature(enable = "avx2")]
fn pair(first: i16, second: i16) -> __m256i {
    let [a, b] = first.to_le_bytes();
    let [c, d] = second.to_le_bytes();
    _mm256_set1_epi32(i32::from_le_bytes([a, b, c, d]))
}

#[target_feature(enable = "avx2")]
fn load(bytes: &[u8; STEP]) -> __m128i {
    // SAFETY: the array has the 16 bytes that are read; the load needs no alignment.
    unsafe { _mm_loadu_si128(bytes.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
fn store(out: &mut [u8; STEP], value: __m128i) {
    // SAFETY: the array has the 16 bytes that are written; the store needs no alignment.
    unsafe { _mm_storeu_si128(out.as_mut_ptr().cast(), value) }
}

/// For each colour and each 16 of the 48 bytes: where its values go; 0x80 gives 0.
const PLANAR: [[[u8; STEP]; 3]; 3] = {
    let mut masks = [[[0x80; STEP]; 3]; 3];
    let mut at = 0;
    while at < 3 * STEP {
        #[expect(clippy::cast_possible_truncation, reason = "below 16")]
        let source = (at % STEP) as u8;
        masks[at % 3][at / STEP][at / 3] = source;
        at += 1;
    }
    masks
};

#[expect(clippy::cast_possible_wrap, reason = "shifts are below 64")]
const LUMA_REST: i32 = LUMA_SHIFT as i32 - 32;
#[expect(clippy::cast_possible_wrap, reason = "shifts are below 64")]
const CHROMA_REST: i32 = CHROMA_SHIFT as i32 - 32;
