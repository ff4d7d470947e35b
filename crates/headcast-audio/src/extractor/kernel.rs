//! The innermost loop of a product: a few rows against one panel of columns, on every instruction set.
//!
//! A tile of 6 × 64 sums stays in registers (24 of the 32 that AVX-512 has) while one step of the inner dimension
//! takes four loads, six broadcasts and 24 multiply-adds. AVX2 walks the same panel a quarter at a time.

#![expect(
    unsafe_code,
    reason = "vector loads and stores, and calls of functions for instruction sets that were found"
)]

use super::matrix::from_half;

/// Columns of a panel, as four registers of AVX-512.
pub(super) type Step<T> = [[T; LANES]; GROUPS];
/// Sums of one row.
pub(super) type Sums = Step<f32>;

/// Values in a group.
pub(super) const LANES: usize = 16;
/// Groups in a panel.
pub(super) const GROUPS: usize = 4;
/// Columns in a panel.
pub(super) const COLUMNS: usize = LANES * GROUPS;
/// Rows of a tile.
pub(super) const ROWS: usize = 6;

/// What this CPU multiplies with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// Sixteen lanes, fused.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// Eight lanes, fused; the same sums as `Avx512`, bit by bit.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// What the compiler makes of plain loops: four lanes on x86-64 and ARM, not fused.
    Plain,
}

impl Level {
    /// The best of this machine. Cheap: the standard library remembers.
    pub(super) fn best() -> Self {
        *Self::available().first().unwrap_or(&Self::Plain)
    }

    /// All that this machine has, the best one first.
    pub(super) fn available() -> Vec<Self> {
        let mut levels = Vec::with_capacity(3);
        #[cfg(target_arch = "x86_64")]
        {
            // Processors that have the first have the others, too.
            let has_avx2 = is_x86_feature_detected!("avx2")
                && is_x86_feature_detected!("fma")
                && is_x86_feature_detected!("f16c");
            if has_avx2 && is_x86_feature_detected!("avx512f") {
                levels.push(Self::Avx512);
            }
            if has_avx2 {
                levels.push(Self::Avx2);
            }
        }
        levels.push(Self::Plain);
        levels
    }
}

/// `sums[r] += Σ_k rows[r][k] · panel[k]` for `R` rows, in the order of k.
///
/// # Panics
/// If a row is shorter than the panel has steps.
#[inline]
pub(super) fn tile<const R: usize>(
    level: Level,
    rows: [&[f32]; R],
    panel: &[Step<f32>],
    sums: &mut [Sums; R],
) {
    match level {
        // SAFETY: a level other than `Plain` exists only where `Level::available` found its instructions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::avx512(rows, panel, sums) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::avx2(rows, panel, sums) },
        Level::Plain => plain(rows, panel, sums),
    }
}

/// `out` becomes `panel`, whose values are finite, in `f32`; exact.
pub(super) fn widen(level: Level, panel: &[Step<u16>], out: &mut Vec<Step<f32>>) {
    out.resize(panel.len(), [[0.0; LANES]; GROUPS]);
    match level {
        // SAFETY: a level other than `Plain` exists only where `Level::available` found its instructions.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { x86::widen512(panel, out) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { x86::widen256(panel, out) },
        Level::Plain => {
            for (out, half) in out.as_flattened_mut().iter_mut().zip(panel.as_flattened()) {
                *out = half.map(from_half);
            }
        }
    }
}

fn plain<const R: usize>(rows: [&[f32]; R], panel: &[Step<f32>], sums: &mut [Sums; R]) {
    for group in 0..GROUPS {
        for (row, sums) in rows.iter().zip(sums.iter_mut()) {
            let mut acc = sums[group];
            for (value, step) in row[..panel.len()].iter().zip(panel) {
                for (acc, weight) in acc.iter_mut().zip(&step[group]) {
                    *acc += value * weight;
                }
            }
            sums[group] = acc;
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::{
        __m256, __m512, _mm_loadu_si128, _mm256_cvtph_ps, _mm256_fmadd_ps, _mm256_loadu_ps,
        _mm256_loadu_si256, _mm256_set1_ps, _mm256_setzero_ps, _mm256_storeu_ps, _mm512_cvtph_ps,
        _mm512_fmadd_ps, _mm512_loadu_ps, _mm512_set1_ps, _mm512_setzero_ps, _mm512_storeu_ps,
    };

    use super::{GROUPS, LANES, Step, Sums};

    #[target_feature(enable = "avx512f")]
    pub(super) fn avx512<const R: usize>(rows: [&[f32]; R], panel: &[Step<f32>], sums: &mut [Sums; R]) {
        let rows = rows.map(|row| &row[..panel.len()]);
        let mut acc = [[_mm512_setzero_ps(); GROUPS]; R];
        for (acc, sums) in acc.iter_mut().zip(sums.iter()) {
            *acc = load512(sums);
        }
        for (k, step) in panel.iter().enumerate() {
            let weights = load512(step);
            for (acc, row) in acc.iter_mut().zip(&rows) {
                let value = _mm512_set1_ps(row[k]);
                for (acc, weights) in acc.iter_mut().zip(weights) {
                    *acc = _mm512_fmadd_ps(value, weights, *acc);
                }
            }
        }
        for (acc, sums) in acc.iter().zip(sums) {
            for (acc, sums) in acc.iter().zip(sums) {
                // SAFETY: sixteen values are written over an array of sixteen.
                unsafe { _mm512_storeu_ps(sums.as_mut_ptr(), *acc) };
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load512(step: &Step<f32>) -> [__m512; GROUPS] {
        // SAFETY: sixteen values are read from arrays of sixteen.
        unsafe {
            [
                _mm512_loadu_ps(step[0].as_ptr()),
                _mm512_loadu_ps(step[1].as_ptr()),
                _mm512_loadu_ps(step[2].as_ptr()),
                _mm512_loadu_ps(step[3].as_ptr()),
            ]
        }
    }

    #[target_feature(enable = "avx512f")]
    pub(super) fn widen512(panel: &[Step<u16>], out: &mut [Step<f32>]) {
        for (out, halves) in out.as_flattened_mut().iter_mut().zip(panel.as_flattened()) {
            // SAFETY: sixteen values are read from an array of sixteen, and written over one.
            unsafe {
                let wide = _mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast()));
                _mm512_storeu_ps(out.as_mut_ptr(), wide);
            }
        }
    }

    #[target_feature(enable = "avx,f16c")]
    pub(super) fn widen256(panel: &[Step<u16>], out: &mut [Step<f32>]) {
        for (out, halves) in out.as_flattened_mut().iter_mut().zip(panel.as_flattened()) {
            let (low, high) = halves.split_at(LANES / 2);
            let (low_out, high_out) = out.split_at_mut(LANES / 2);
            // SAFETY: eight values are read from each half of an array of sixteen, and written over one.
            unsafe {
                _mm256_storeu_ps(low_out.as_mut_ptr(), _mm256_cvtph_ps(_mm_loadu_si128(low.as_ptr().cast())));
                _mm256_storeu_ps(
                    high_out.as_mut_ptr(),
                    _mm256_cvtph_ps(_mm_loadu_si128(high.as_ptr().cast())),
                );
            }
        }
    }

    #[target_feature(enable = "avx2,fma")]
    pub(super) fn avx2<const R: usize>(rows: [&[f32]; R], panel: &[Step<f32>], sums: &mut [Sums; R]) {
        let rows = rows.map(|row| &row[..panel.len()]);
        for group in 0..GROUPS {
            let mut acc = [[_mm256_setzero_ps(); 2]; R];
            for (acc, sums) in acc.iter_mut().zip(sums.iter()) {
                *acc = load256(&sums[group]);
            }
            for (k, step) in panel.iter().enumerate() {
                let [low, high] = load256(&step[group]);
                for (acc, row) in acc.iter_mut().zip(&rows) {
                    let value = _mm256_set1_ps(row[k]);
                    *acc = [_mm256_fmadd_ps(value, low, acc[0]), _mm256_fmadd_ps(value, high, acc[1])];
                }
            }
            for (acc, sums) in acc.iter().zip(sums.iter_mut()) {
                let (low, high) = sums[group].split_at_mut(LANES / 2);
                // SAFETY: eight values are written over each half of an array of sixteen.
                unsafe {
                    _mm256_storeu_ps(low.as_mut_ptr(), acc[0]);
                    _mm256_storeu_ps(high.as_mut_ptr(), acc[1]);
                }
            }
        }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn load256(values: &[f32; LANES]) -> [__m256; 2] {
        let (low, high) = values.split_at(LANES / 2);
        // SAFETY: eight values are read from each half of an array of sixteen.
        unsafe { [_mm256_loadu_ps(low.as_ptr()), _mm256_loadu_ps(high.as_ptr())] }
    }
}
