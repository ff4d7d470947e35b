//! Front-to-back accumulation along a ray, and what becomes of it in the picture.

use super::march::Sample;

/// A ray stops after the sample that finds less than this to shine through to it.
const TRANSMITTANCE_THRESHOLD: f32 = 1e-4;

/// Running sums of one ray.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Composite {
    /// Sum of weights: the opacity so far.
    pub weight: f32,
    /// Weighted sum of distances.
    pub depth: f32,
    /// Weighted sum of colours.
    pub rgb: [f32; 3],
}

impl Composite {
    /// Adds a sample behind those so far; `false` when the ray is opaque and ends here.
    ///
    /// Max 1995, "Optical Models for Direct Volume Rendering", §4. The transmittance is 1 minus the sum of
    /// weights, not a product, and the test looks at it *before* this sample, which is included.
    #[must_use]
    pub fn add(&mut self, sample: &Sample, sigma: f32, rgb: [f32; 3]) -> bool {
        let alpha = 1.0 - (-sigma * sample.dt).exp();
        let transmittance = 1.0 - self.weight;
        let weight = alpha * transmittance;
        self.weight += weight;
        self.depth += weight * sample.t_end;
        for (sum, rgb) in self.rgb.iter_mut().zip(rgb) {
            *sum += weight * rgb;
        }
        transmittance >= TRANSMITTANCE_THRESHOLD
    }

    /// Colour over `background`, in `[0, 1]`.
    pub fn over(&self, background: [f32; 3]) -> [f32; 3] {
        std::array::from_fn(|c| (self.rgb[c] + (1.0 - self.weight) * background[c]).clamp(0.0, 1.0))
    }

    /// Depth as a fraction of the way through the box; NaN where the ray misses it.
    pub fn normalised_depth(&self, t_near: f32, t_far: f32) -> f32 {
        (self.depth - t_near).max(0.0) / (t_far - t_near)
    }
}

/// 8-bit value of a colour in `[0, 1]`: truncated, not rounded.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped; truncation is the rule"
)]
pub fn to_u8(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 255.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    const SAMPLE: Sample = Sample { position: [0.0; 3], dt: 0.5, t_end: 2.0 };

    #[test]
    fn the_stop_lags_one_sample() {
        let mut ray = Composite::default();
        assert!(ray.add(&SAMPLE, 100.0, [1.0; 3]), "opaque now, but it was clear before this sample");
        assert!(!ray.add(&SAMPLE, 100.0, [1.0; 3]));
        assert!((ray.weight - 1.0).abs() < 1e-6 && (ray.depth - 2.0).abs() < 1e-5, "{ray:?}");
    }

    #[test]
    fn what_is_left_shows_the_background() {
        let mut ray = Composite::default();
        assert!(ray.add(&SAMPLE, std::f32::consts::LN_2 / SAMPLE.dt, [1.0, 0.0, 1.002]));
        let rgb = ray.over([0.0, 0.5, 1.0]);
        assert!(rgb.iter().zip([0.5, 0.25, 1.0]).all(|(a, b)| (a - b).abs() < 1e-6), "{rgb:?}");
        assert!((ray.normalised_depth(0.5, 1.5) - 0.5).abs() < 1e-6);
        assert!(Composite::default().normalised_depth(f32::MAX, f32::MAX).is_nan());
    }

    #[test]
    fn eight_bits_truncate() {
        assert_eq!([-1.0, 0.0, 0.999, 1.0, 2.0].map(to_u8), [0, 0, 254, 255, 255]);
        assert_eq!(to_u8(127.9 / 255.0), 127);
    }
}
