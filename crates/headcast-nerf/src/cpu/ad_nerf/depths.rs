//! Where the fine samples of a ray go.

/// Working memory of [`Depths::place`].
#[derive(Debug, Default)]
pub(super) struct Depths {
    /// Of the coarse samples; the same for every ray.
    pub(super) coarse: Vec<f32>,
    /// Middles between neighbouring coarse samples.
    edges: Vec<f32>,
    /// Cumulative distribution at the edges, from 0.
    below: Vec<f32>,
    importance: usize,
}

impl Depths {
    /// * `coarse`: depths of the coarse samples, at least four.
    /// * `importance`: fine samples beside them.
    pub(super) fn new(coarse: Vec<f32>, importance: usize) -> Self {
        let edges: Vec<f32> = coarse.windows(2).map(|z| 0.5 * (z[1] + z[0])).collect();
        Self { below: Vec::with_capacity(edges.len()), edges, coarse, importance }
    }

    /// Depths of a ray's second pass.
    pub(super) fn fine(&self) -> usize {
        self.coarse.len() + self.importance
    }

    /// Places the samples of the second pass, in order: the coarse ones, and others at even steps of the cumulative
    /// distribution of their weights (Mildenhall et al. 2020, §5.2). What [`crate::field::fine_depths`] and sorting give,
    /// to the bit.
    ///
    /// * `weights`: of the coarse samples; the first and the last do not count.
    /// * `out`: [`Self::fine`] values, overwritten.
    #[expect(clippy::cast_precision_loss, reason = "a few hundred samples")]
    pub(super) fn place(&mut self, weights: &[f32], out: &mut [f32]) {
        let Self { coarse, edges, below, importance } = self;
        let inner = &weights[1..coarse.len() - 1];
        let total: f32 = inner.iter().map(|w| w + 1e-5).sum();
        below.clear();
        let mut sum = 0.0f32;
        below.push(sum);
        for weight in inner {
            sum += (weight + 1e-5) / total;
            below.push(sum);
        }
        let last = (*importance).max(2) as f32 - 1.0;
        // Both lists rise, so they are merged as the second is made.
        let (mut above, mut next, mut at) = (0, 0, 0);
        for k in 0..*importance {
            let u = k as f32 / last;
            while above < below.len() && below[above] <= u {
                above += 1;
            }
            let (low, high) = (above.saturating_sub(1), above.min(below.len() - 1));
            let width = below[high] - below[low];
            // A cell of no weight to speak of is entered at its beginning.
            let width = if width < 1e-5 { 1.0 } else { width };
            let z = edges[low] + (u - below[low]) / width * (edges[high] - edges[low]);
            while next < coarse.len() && coarse[next] <= z {
                out[at] = coarse[next];
                (next, at) = (next + 1, at + 1);
            }
            out[at] = z;
            at += 1;
        }
        out[at..].copy_from_slice(&coarse[next..]);
        // Rounding may put a sample a bit behind the next one's cell, and weights that are no numbers anywhere.
        if !out.is_sorted() {
            out.sort_by(f32::total_cmp);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field;

    #[test]
    fn samples_are_where_the_reference_has_them() {
        for samples in [4, 5, 64] {
            let coarse = field::coarse_depths(0.57, 1.17, samples);
            let mut depths = Depths::new(coarse.clone(), 128);
            let mut out = vec![0.0; depths.fine()];
            for round in 0..50_u32 {
                let weights: Vec<f32> = (0..samples)
                    .map(|k| match round % 4 {
                        0 => 0.0,
                        1 => f32::from(u8::from(k == round % samples)),
                        2 => ((k * 7 + round) % 13) as f32 / 60.0,
                        _ => (-(f32::from(i16::try_from(k).unwrap()) - 20.0).powi(2) / 8.0).exp() * 0.3,
                    })
                    .collect();
                let mut right = field::fine_depths(&coarse, &weights, 128);
                right.extend(&coarse);
                right.sort_by(f32::total_cmp);
                depths.place(&weights, &mut out);
                assert_eq!(out, right, "{samples} samples, round {round}");
            }
        }
    }
}
