//! Two rows of RGB to two rows of luma and one of each chroma: all integers, so every level gives the same
//! bytes.
//!
//! With the weights of BT.709 as fractions, luma is `16 + 73 m / 425000` for `m = 1063 R + 3576 G + 361 B`,
//! and chroma of the sums Rs, Gs, Bs over four pixels is `128 + 56 n / (255 · 9278)` with
//! `n = 4639 Bs - 1063 Rs - 3576 Gs` (Cb) and `128 + 56 n / (255 · 7874)` with
//! `n = 3937 Rs - 3576 Gs - 361 Bs` (Cr). The divisions are multiplications by rounded-up reciprocals that
//! are exact over the whole range of their dividend (Granlund and Montgomery 1994, "Division by Invariant
//! Integers using Multiplication", theorem 4.2).

/// Which instructions the kernel may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// What every machine of this architecture has.
    Baseline,
    /// x86-64 with AVX2.
    #[cfg(target_arch = "x86_64")]
    Avx2,
}

impl Level {
    /// The best one of this machine.
    pub(super) fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        if std::is_x86_feature_detected!("avx2") {
            return Self::Avx2;
        }
        Self::Baseline
    }

    /// All of this machine, the plainest first.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut levels = vec![Self::Baseline, Self::detect()];
        levels.dedup();
        levels
    }

    /// Converts two rows.
    ///
    /// * `above`, `below`: `[width, 3]` RGB, the width a multiple of 16.
    /// * `y_above`, `y_below`: `[width]`; `cb`, `cr`: `[width / 2]`; overwritten.
    #[cfg_attr(
        target_arch = "x86_64",
        expect(unsafe_code, reason = "calls the AVX2 kernel after the check for it")
    )]
    pub(super) fn convert(
        self,
        above: &[u8],
        below: &[u8],
        y_above: &mut [u8],
        y_below: &mut [u8],
        cb: &mut [u8],
        cr: &mut [u8],
    ) {
        match self {
            Self::Baseline => convert(above, below, y_above, y_below, cb, cr),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                // SAFETY: the one precondition is that the CPU has AVX2; the value comes from `detect` only,
                // which asks it.
                unsafe { super::avx2::convert(above, below, y_above, y_below, cb, cr) }
            }
        }
    }
}

/// Pixels per step; fixed-size arrays let the compiler turn each inner loop into vectors.
pub(super) const STEP: usize = 16;

fn convert(above: &[u8], below: &[u8], y_above: &mut [u8], y_below: &mut [u8], cb: &mut [u8], cr: &mut [u8]) {
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
        luma_of(&r0, &g0, &b0, y_above);
        luma_of(&r1, &g1, &b1, y_below);
        chroma_of(&sums(&r0, &r1), &sums(&g0, &g1), &sums(&b0, &b1), cb, cr);
    }
}

fn planar(rgb: &[u8; 3 * STEP]) -> [[i32; STEP]; 3] {
    let mut out = [[0; STEP]; 3];
    for x in 0..STEP {
        for (c, plane) in out.iter_mut().enumerate() {
            plane[x] = i32::from(rgb[3 * x + c]);
        }
    }
    out
}

/// Sums of 2×2 pixels, 0 to 1020.
fn sums(above: &[i32; STEP], below: &[i32; STEP]) -> [i32; STEP / 2] {
    std::array::from_fn(|x| above[2 * x] + above[2 * x + 1] + below[2 * x] + below[2 * x + 1])
}

fn luma_of(r: &[i32; STEP], g: &[i32; STEP], b: &[i32; STEP], y: &mut [u8; STEP]) {
    for x in 0..STEP {
        let m = 1063 * r[x] + 3576 * g[x] + 361 * b[x];
        y[x] = 16 + divide::<LUMA_RECIPROCAL, LUMA_SHIFT>(73 * m + LUMA_DIVISOR / 2);
    }
}

fn chroma_of(
    r: &[i32; STEP / 2],
    g: &[i32; STEP / 2],
    b: &[i32; STEP / 2],
    cb: &mut [u8; STEP / 2],
    cr: &mut [u8; STEP / 2],
) {
    for x in 0..STEP / 2 {
        // 128 whole units are added before the division, which keeps the dividend positive.
        let n = 56 * (4639 * b[x] - 1063 * r[x] - 3576 * g[x]);
        cb[x] = divide::<CB_RECIPROCAL, CHROMA_SHIFT>(n + 128 * CB_DIVISOR + CB_DIVISOR / 2);
        let n = 56 * (3937 * r[x] - 3576 * g[x] - 361 * b[x]);
        cr[x] = divide::<CR_RECIPROCAL, CHROMA_SHIFT>(n + 128 * CR_DIVISOR + CR_DIVISOR / 2);
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "dividends are positive by construction and quotients are 8-bit sample values"
)]
fn divide<const RECIPROCAL: u64, const SHIFT: u32>(dividend: i32) -> u8 {
    ((u64::from(dividend as u32) * RECIPROCAL) >> SHIFT) as u8
}

pub(super) const LUMA_DIVISOR: i32 = 425_000;
pub(super) const CB_DIVISOR: i32 = 255 * 9278;
pub(super) const CR_DIVISOR: i32 = 255 * 7874;
// Dividend below 2^27, divisor below 2^19.
pub(super) const LUMA_SHIFT: u32 = 27 + 19;
// Dividends below 2^30, divisors below 2^22.
pub(super) const CHROMA_SHIFT: u32 = 30 + 22;
pub(super) const LUMA_RECIPROCAL: u64 = (1u64 << LUMA_SHIFT).div_ceil(LUMA_DIVISOR.unsigned_abs() as u64);
pub(super) const CB_RECIPROCAL: u64 = (1u64 << CHROMA_SHIFT).div_ceil(CB_DIVISOR.unsigned_abs() as u64);
pub(super) const CR_RECIPROCAL: u64 = (1u64 << CHROMA_SHIFT).div_ceil(CR_DIVISOR.unsigned_abs() as u64);
// A 32-bit reciprocal keeps each product one widening multiplication.
const _: () = assert!(LUMA_RECIPROCAL >> 32 == 0 && CB_RECIPROCAL >> 32 == 0 && CR_RECIPROCAL >> 32 == 0);
