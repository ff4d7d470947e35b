//! Sines and cosines of octaves.

use super::super::packet::Row;
use super::super::simd::Simd;
use crate::model::FaceNet;

/// Octaves of an encoded position.
const BANDS: usize = 10;

/// `[x, sin x, cos x, sin 2x, cos 2x, … cos 512 x]`, each a block of three rows, of the samples from `at`.
///
/// * `out`: [`FaceNet::POSITION`] rows or more.
#[inline(always)]
pub(super) fn octave_encode<S: Simd>(s: S, position: &[Row; 3], at: usize, out: &mut [Row]) {
    let lanes = at..at + S::LANES;
    let out = &mut out[..FaceNet::POSITION];
    for (axis, position) in position.iter().enumerate() {
        let mut x = s.load(&position.0[lanes.clone()]);
        s.store(x, &mut out[axis].0[lanes.clone()]);
        for band in 0..BANDS {
            let (sine, cosine) = sine_and_cosine(s, x);
            s.store(sine, &mut out[3 + 6 * band + axis].0[lanes.clone()]);
            s.store(cosine, &mut out[6 + 6 * band + axis].0[lanes.clone()]);
            // Doubling is exact.
            x = s.add(x, x);
        }
    }
}

/// Within 2e-7 for `|x| < 4096`; any value, and any number of them not finite, beyond 2^30.
///
/// Cephes `sinf` and `cosf`: `x = n π/2 + r`, a polynomial in `r` for each, and which of them with which sign from `n`.
#[inline(always)]
fn sine_and_cosine<S: Simd>(s: S, x: S::F) -> (S::F, S::F) {
    let n = s.round(s.mul(x, s.splat(std::f32::consts::FRAC_2_PI)));
    let turns = s.to_float(n);
    // π/2 in three parts; the first two have few enough bits that n times them is exact.
    let mut r = s.fma(turns, s.splat(-1.570_312_5), x);
    r = s.fma(turns, s.splat(-4.837_513e-4), r);
    r = s.fma(turns, s.splat(-7.549_79e-8), r);
    let z = s.mul(r, r);

    let mut sine = s.splat(-1.951_529_6e-4);
    sine = s.fma(sine, z, s.splat(8.332_161e-3));
    sine = s.fma(sine, z, s.splat(-1.666_665_5e-1));
    sine = s.fma(s.mul(sine, z), r, r);

    let mut cosine = s.splat(2.443_315_7e-5);
    cosine = s.fma(cosine, z, s.splat(-1.388_731_6e-3));
    cosine = s.fma(cosine, z, s.splat(4.166_664_6e-2));
    cosine = s.fma(s.mul(cosine, z), z, s.fma(z, s.splat(-0.5), s.splat(1.0)));

    let zero = s.splat(0.0);
    let odd = s.test_bit(n, s.splat_i(0));
    let (first, second) = (s.select(odd, cosine, sine), s.select(odd, sine, cosine));
    let below = s.test_bit(n, s.splat_i(1));
    let left = s.test_bit(s.add_i(n, s.splat_i(1)), s.splat_i(1));
    (s.select(below, s.sub(zero, first), first), s.select(left, s.sub(zero, second), second))
}

#[cfg(test)]
mod tests {
    use super::super::super::packet::{PACKET, rows};
    use super::super::super::simd::{Dispatch, Kernel, SimdLevel};
    use super::*;
    use crate::field;

    struct Encode<'a>(&'a [Row; 3], &'a mut [Row]);

    impl Kernel for Encode<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            let mut at = 0;
            while at < PACKET {
                octave_encode(s, self.0, at, self.1);
                at += S::LANES;
            }
        }
    }

    #[test]
    fn every_octave_is_the_reference_s() {
        for dispatch in SimdLevel::ALL.into_iter().filter_map(Dispatch::new) {
            let mut worst = 0.0_f32;
            for round in 0..64 {
                let position: [Row; 3] = std::array::from_fn(|axis| {
                    Row(std::array::from_fn(|lane| {
                        ((round * 96 + axis * 32 + lane) as f32 * 0.618_034).fract() * 8.0 - 4.0
                    }))
                });
                let mut out = rows(FaceNet::POSITION);
                dispatch.run(Encode(&position, &mut out));
                for lane in 0..PACKET {
                    let mut right = Vec::new();
                    field::octave_encode(
                        &[0, 1, 2].map(|axis: usize| position[axis].0[lane]),
                        10,
                        &mut right,
                    );
                    for (row, right) in out.iter().zip(right) {
                        worst = worst.max((row.0[lane] - right).abs());
                    }
                }
            }
            assert!(worst < 3e-7, "{}: {worst}", dispatch.level());
        }
    }
}
