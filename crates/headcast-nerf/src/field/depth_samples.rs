//! AD-NeRF's rays: coarse samples, fine samples where the coarse ones saw something, and their sum.

/// Depths between `near` and `far`, evenly spaced, both included.
#[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
pub fn coarse_depths(near: f32, far: f32, samples: u32) -> Vec<f32> {
    let last = (samples.max(2) - 1) as f32;
    (0..samples)
        .map(|k| {
            let t = k as f32 / last;
            near * (1.0 - t) + far * t
        })
        .collect()
}

/// Depths of `count` further samples, where the weights are large: the inverse of their cumulative distribution at
/// evenly spaced values (Mildenhall et al. 2020, §5.2, without noise).
///
/// * `depths`, `weights`: of the coarse samples, at least four. The distribution is constant between the middles of
///   neighbouring samples; the first and the last weight do not count.
///
/// # Panics
/// If there are fewer than four samples, or not as many weights.
#[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
pub fn fine_depths(depths: &[f32], weights: &[f32], count: u32) -> Vec<f32> {
    assert!(depths.len() >= 4 && depths.len() == weights.len(), "{} samples", depths.len());
    let edges: Vec<f32> = depths.windows(2).map(|z| 0.5 * (z[1] + z[0])).collect();
    let inner: Vec<f32> = weights[1..weights.len() - 1].iter().map(|w| w + 1e-5).collect();
    let total: f32 = inner.iter().sum();
    let mut below = vec![0.0f32];
    for weight in &inner {
        below.push(below[below.len() - 1] + weight / total);
    }
    let last = (count.max(2) - 1) as f32;
    (0..count)
        .map(|k| {
            let u = k as f32 / last;
            let above = below.partition_point(|c| *c <= u);
            let (low, high) = (above.saturating_sub(1), above.min(below.len() - 1));
            let width = below[high] - below[low];
            // A cell of no weight to speak of is entered at its beginning.
            let width = if width < 1e-5 { 1.0 } else { width };
            edges[low] + (u - below[low]) / width * (edges[high] - edges[low])
        })
        .collect()
}

/// What a ray of AD-NeRF collects.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RayLight {
    /// Colour over the background.
    pub full: [f32; 3],
    /// Colour of all samples but the last, which is the background.
    pub front: [f32; 3],
    /// Weight of the last sample: how much of the background is seen.
    pub last: f32,
}

/// Sums samples front to back; returns their weights too.
///
/// The last sample is the background: it has its colour and reaches to the horizon.
///
/// * `length`: of the ray's direction; depths count in it.
/// * `samples`: colour logits and raw densities, one a depth.
pub fn sum_samples(
    depths: &[f32],
    samples: &[([f32; 3], f32)],
    length: f32,
    background: [f32; 3],
) -> (RayLight, Vec<f32>) {
    const HORIZON: f32 = 1e10;
    let mut light = RayLight::default();
    let mut weights = Vec::with_capacity(samples.len());
    let mut transmittance = 1.0f32;
    let mut opacity = 0.0f32;
    for (k, (logits, raw)) in samples.iter().enumerate() {
        let next = depths.get(k + 1);
        let reach = next.map_or(HORIZON, |next| next - depths[k]) * length;
        let alpha = 1.0 - (-(raw.max(0.0) + 1e-6) * reach).exp();
        let weight = alpha * transmittance;
        transmittance *= 1.0 - alpha + 1e-10;
        opacity += weight;
        let rgb = if next.is_some() { logits.map(super::sigmoid) } else { background };
        for ((full, front), rgb) in light.full.iter_mut().zip(&mut light.front).zip(rgb) {
            *full += weight * rgb;
            if next.is_some() {
                *front += weight * rgb;
            }
        }
        light.last = weight;
        weights.push(weight);
    }
    // What is missing to 1 is white, as upstream's `white_bkgd` has it; behind the horizon it is next to nothing.
    light.full.iter_mut().for_each(|full| *full += 1.0 - opacity);
    (light, weights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coarse_samples_reach_from_near_to_far() {
        assert_eq!(coarse_depths(1.0, 3.0, 5), [1.0, 1.5, 2.0, 2.5, 3.0]);
    }

    #[test]
    fn fine_samples_gather_where_the_weight_is() {
        let depths = coarse_depths(0.0, 9.0, 10);
        let mut weights = vec![0.0; 10];
        weights[4] = 1.0;
        let fine = fine_depths(&depths, &weights, 128);
        let near_it = fine.iter().filter(|z| (3.5..=4.5).contains(*z)).count();
        assert!(near_it > 120, "{fine:?}");
        assert!(fine.windows(2).all(|z| z[0] <= z[1]) && fine[0] >= 0.5 && fine[127] <= 8.5, "{fine:?}");
        // Without any weight they are even.
        let even = fine_depths(&depths, &[0.0; 10], 5);
        assert!(even.iter().zip([0.5, 2.5, 4.5, 6.5, 8.5]).all(|(a, b)| (a - b).abs() < 1e-4), "{even:?}");
    }

    #[test]
    fn an_empty_ray_shows_the_background_and_a_full_one_hides_it() {
        let depths = [1.0, 2.0, 3.0, 4.0];
        let (light, weights) = sum_samples(&depths, &[([0.0; 3], -5.0); 4], 1.0, [0.2, 0.4, 0.6]);
        assert!((light.last - 1.0).abs() < 1e-4, "{light:?}");
        assert!(light.full.iter().zip([0.2, 0.4, 0.6]).all(|(a, b)| (a - b).abs() < 1e-4), "{light:?}");
        assert_eq!(weights.len(), 4);
        let (light, _) = sum_samples(&depths, &[([100.0, 0.0, -100.0], 1e3); 4], 1.0, [0.2, 0.4, 0.6]);
        assert!(light.last < 1e-6, "{light:?}");
        assert!(light.front.iter().zip([1.0, 0.5, 0.0]).all(|(a, b)| (a - b).abs() < 1e-5), "{light:?}");
    }
}
