//! Sines and cosines of octaves.

use std::f32::consts::FRAC_PI_2;

/// Appends `[x, sin x, cos x, sin 2x, cos 2x, … sin 2^(bands-1) x, cos 2^(bands-1) x]` to `out`, each a block
/// of `x.len()` values: `x.len() × (1 + 2 bands)` in all.
///
/// There is no factor π (unlike Mildenhall et al. 2020, eq. (4)), and the cosine is the sine of the f32 sum
/// with π/2, as upstream computes it.
pub fn frequency_encode(x: &[f32], bands: u32, out: &mut Vec<f32>) {
    out.extend_from_slice(x);
    let mut octave = 1.0;
    for _ in 0..bands {
        out.extend(x.iter().map(|x| (x * octave).sin()));
        out.extend(x.iter().map(|x| (x * octave + FRAC_PI_2).sin()));
        octave *= 2.0;
    }
}

/// Appends the same blocks with the cosine as it is: what AD-NeRF calls positional encoding.
pub fn octave_encode(x: &[f32], bands: u32, out: &mut Vec<f32>) {
    out.extend_from_slice(x);
    let mut octave = 1.0;
    for _ in 0..bands {
        out.extend(x.iter().map(|x| (x * octave).sin()));
        out.extend(x.iter().map(|x| (x * octave).cos()));
        octave *= 2.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_follow_octaves() {
        for encode in [frequency_encode, octave_encode] {
            check(encode);
        }
    }

    fn check(encode: fn(&[f32], u32, &mut Vec<f32>)) {
        let mut out = vec![9.0];
        encode(&[0.0, 0.5], 2, &mut out);
        let expected =
            [9.0, 0.0, 0.5, 0.0, 0.5f32.sin(), 1.0, 0.5f32.cos(), 0.0, 1f32.sin(), 1.0, 1f32.cos()];
        assert_eq!(out.len(), expected.len());
        assert!(out.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{out:?}");
    }
}
