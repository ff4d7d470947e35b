//! Functions of lanes that no instruction computes.

use super::Simd;

/// `e^x`, within 2 units in the last place for `-87.3 <= x <= 88.3`; clamped outside, and 1.2e-38 for NaN.
///
/// Cephes `expf`: `x = n ln 2 + r`, a polynomial in `r`, and `2^n` made in the exponent bits.
#[inline(always)]
pub(in crate::cpu) fn exp<S: Simd>(s: S, x: S::F) -> S::F {
    let x = s.max(x, s.splat(-87.3));
    let x = s.min(x, s.splat(88.3));
    let n = s.floor(s.fma(x, s.splat(std::f32::consts::LOG2_E), s.splat(0.5)));
    // ln 2 in two parts; the first has few enough bits that n times it is exact.
    let r = s.fma(n, s.splat(-0.693_359_4), x);
    let r = s.fma(n, s.splat(2.121_944_4e-4), r);
    let mut p = s.splat(1.987_569_2e-4);
    p = s.fma(p, r, s.splat(1.398_2e-3));
    p = s.fma(p, r, s.splat(8.333_452e-3));
    p = s.fma(p, r, s.splat(4.166_579_6e-2));
    p = s.fma(p, r, s.splat(1.666_666_5e-1));
    p = s.fma(p, r, s.splat(0.5));
    p = s.fma(p, s.mul(r, r), s.add(r, s.splat(1.0)));
    let power = s.shl::<23>(s.add_i(s.to_int(n), s.splat_i(127)));
    s.mul(p, s.float_of_bits(power))
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(in crate::cpu) fn sigmoid<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    s.div(one, s.add(one, exp(s, s.sub(s.splat(0.0), x))))
}

/// Hyperbolic tangent, within 2e-7: good for a position, not for the relative precision of small values. -1 for NaN.
#[inline(always)]
pub(in crate::cpu) fn tanh<S: Simd>(s: S, x: S::F) -> S::F {
    let one = s.splat(1.0);
    s.sub(one, s.div(s.splat(2.0), s.add(exp(s, s.add(x, x)), one)))
}

/// What the sigmoid of a colour or an opacity is stretched to.
#[derive(Debug, Clone, Copy)]
pub(in crate::cpu) struct ColorRange {
    factor: f32,
    below: f32,
}

impl ColorRange {
    /// ER-NeRF's: a thousandth beyond 0 and 1.
    pub(in crate::cpu) const STRETCHED: Self = Self { factor: 1.002, below: 0.001 };
    /// RAD-NeRF's: the sigmoid as it is.
    pub(in crate::cpu) const PLAIN: Self = Self { factor: 1.0, below: 0.0 };
}

/// Colour or opacity of a logit.
#[inline(always)]
pub(in crate::cpu) fn color_activation<S: Simd>(s: S, range: ColorRange, x: S::F) -> S::F {
    s.sub(s.mul(sigmoid(s, x), s.splat(range.factor)), s.splat(range.below))
}

#[cfg(test)]
mod tests {
    use super::super::{Dispatch, Kernel, SimdLevel};
    use super::*;

    struct Exp<'a>(&'a mut [f32; 64]);
    struct Tanh<'a>(&'a mut [f32; 64]);

    impl Kernel for Tanh<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for chunk in self.0.chunks_exact_mut(S::LANES) {
                let y = tanh(s, s.load(chunk));
                s.store(y, chunk);
            }
        }
    }

    #[test]
    fn tanh_is_close_everywhere() {
        for dispatch in SimdLevel::ALL.into_iter().filter_map(Dispatch::new) {
            let mut worst = 0.0_f64;
            for start in -12..12 {
                let mut x: [f32; 64] = std::array::from_fn(|i| start as f32 + i as f32 / 64.0);
                let exact = x.map(|v| f64::from(v).tanh());
                dispatch.run(Tanh(&mut x));
                for (got, want) in x.iter().zip(exact) {
                    worst = worst.max((f64::from(*got) - want).abs());
                }
            }
            assert!(worst < 2e-7, "{}: {worst}", dispatch.level());
            let mut x = [f32::NAN; 64];
            (x[1], x[2], x[3]) = (f32::INFINITY, f32::NEG_INFINITY, 1e30);
            dispatch.run(Tanh(&mut x));
            assert_eq!(x[..4], [-1.0, 1.0, -1.0, 1.0], "{}", dispatch.level());
        }
    }

    impl Kernel for Exp<'_> {
        type Output = ();
        #[inline(always)]
        fn run<S: Simd>(self, s: S) {
            for chunk in self.0.chunks_exact_mut(S::LANES) {
                let y = exp(s, s.load(chunk));
                s.store(y, chunk);
            }
        }
    }

    #[test]
    fn exp_is_within_two_ulps_and_never_wild() {
        for dispatch in SimdLevel::ALL.into_iter().filter_map(Dispatch::new) {
            let mut worst = 0.0_f64;
            for start in -80..80 {
                let mut x: [f32; 64] = std::array::from_fn(|i| start as f32 + i as f32 / 64.0);
                let exact = x.map(|v| f64::from(v).exp());
                dispatch.run(Exp(&mut x));
                for (got, want) in x.iter().zip(exact) {
                    worst = worst.max((f64::from(*got) / want - 1.0).abs());
                }
            }
            assert!(worst < 2.0 * f64::from(f32::EPSILON), "{}: {worst}", dispatch.level());
            let mut x = [f32::NAN; 64];
            x[1] = f32::INFINITY;
            x[2] = f32::NEG_INFINITY;
            dispatch.run(Exp(&mut x));
            assert!(x.iter().all(|v| v.is_finite()), "{}", dispatch.level());
            assert!(x[0] < 1e-37 && x[1] > 1e38 && x[2] < 1e-37);
        }
    }
}
