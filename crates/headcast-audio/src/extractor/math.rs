//! What happens to rows between products: normalisation, activation, softmax.

use std::thread;

/// Lanes that sums are made in, so that the compiler can use vectors; the order of additions is part of the result.
const LANES: usize = 16;

/// Calls `each` with every row of `values`, `[rows, width]`, and its number, on up to `threads` threads.
pub(super) fn rows(
    threads: usize,
    values: &mut [f32],
    width: usize,
    each: impl Fn(usize, &mut [f32]) + Sync,
) {
    /// Less is not worth a thread.
    const SHARE: usize = 1 << 14;
    let count = values.len() / width.max(1);
    let share = count.div_ceil(threads.max(1)).max(SHARE / width.max(1)).max(1);
    let part = |first: usize, values: &mut [f32]| {
        for (i, row) in values.chunks_exact_mut(width).enumerate() {
            each(first + i, row);
        }
    };
    if count <= share {
        return part(0, values);
    }
    thread::scope(|scope| {
        let part = &part;
        let mut parts = values.chunks_mut(share * width).enumerate();
        let own = parts.next();
        for (i, values) in parts {
            scope.spawn(move || part(i * share, values));
        }
        if let Some((i, values)) = own {
            part(i * share, values);
        }
    });
}

fn sum(values: &[f32], of: impl Fn(f32) -> f32) -> f32 {
    let (chunks, rest) = values.as_chunks::<LANES>();
    let mut sums = [0.0; LANES];
    for chunk in chunks {
        for (sum, value) in sums.iter_mut().zip(chunk) {
            *sum += of(*value);
        }
    }
    sums.iter().sum::<f32>() + rest.iter().map(|v| of(*v)).sum::<f32>()
}

/// A layer norm's weight, bias and epsilon.
#[derive(Debug, Clone)]
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) eps: f32,
}

impl Norm {
    /// Normalises a row by its own mean and variance.
    #[expect(clippy::cast_precision_loss, reason = "rows are a few thousand values long")]
    pub(super) fn apply(&self, row: &mut [f32]) {
        let n = row.len() as f32;
        let mean = sum(row, |v| v) / n;
        let variance = sum(row, |v| (v - mean) * (v - mean)) / n;
        let scale = 1.0 / (variance + self.eps).sqrt();
        for ((value, weight), bias) in row.iter_mut().zip(&self.weight).zip(&self.bias) {
            *value = (*value - mean) * scale * weight + bias;
        }
    }

    /// Normalises every column of `[rows, columns]` by its own mean and variance: a group norm with one channel a
    /// group.
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "means of samples")]
    pub(super) fn apply_to_columns(&self, values: &mut [f32]) {
        let columns = self.weight.len();
        let count = (values.len() / columns) as f64;
        let mut means = vec![0.0f64; columns];
        for row in values.chunks_exact(columns) {
            means.iter_mut().zip(row).for_each(|(mean, v)| *mean += f64::from(*v));
        }
        means.iter_mut().for_each(|mean| *mean /= count);
        let mut squares = vec![0.0f64; columns];
        for row in values.chunks_exact(columns) {
            for ((square, v), mean) in squares.iter_mut().zip(row).zip(&means) {
                *square += (f64::from(*v) - mean).powi(2);
            }
        }
        // (v - mean) · scale · weight + bias, as one product and one sum.
        let factors: Vec<f64> = squares
            .iter()
            .zip(&self.weight)
            .map(|(square, weight)| f64::from(*weight) / (square / count + f64::from(self.eps)).sqrt())
            .collect();
        let line: Vec<(f32, f32, f32)> = factors
            .iter()
            .zip(&means)
            .zip(&self.bias)
            .map(|((factor, mean), bias)| (*mean as f32, *factor as f32, *bias))
            .collect();
        for row in values.chunks_exact_mut(columns) {
            for (value, (mean, factor, bias)) in row.iter_mut().zip(&line) {
                *value = (*value - mean) * factor + bias;
            }
        }
    }
}

/// Gaussian error linear unit, exact form: x/2 · (1 + erf(x/√2)).
pub(super) fn gelu(values: &mut [f32]) {
    for value in values {
        *value = 0.5 * *value * (1.0 + erf(*value * std::f32::consts::FRAC_1_SQRT_2));
    }
}

/// Error function to 4e-7: an odd rational function fitted on ±3.92, beyond which 1 is as near.
#[inline]
fn erf(x: f32) -> f32 {
    let x = x.clamp(-3.92, 3.92);
    let t = x * x;
    let p = 1.992_146_9e-8;
    let p = p * t - 1.994_305_9e-6;
    let p = p * t + 1.489_875_4e-4;
    let p = p * t + 3.972_915_5e-3;
    let p = p * t + 5.139_734e-2;
    let p = p * t + 0.206_114_71;
    let p = p * t + 1.128_378_7;
    let q = 1.024_130_4e-3;
    let q = q * t + 1.488_925_9e-2;
    let q = q * t + 0.117_564_75;
    let q = q * t + 0.515_993_2;
    let q = q * t + 1.0;
    x * p / q
}

/// e^x for x from -87 to 0, and e^-87 below that.
#[inline]
fn exp(x: f32) -> f32 {
    // e^x = 2^n · e^r with |r| <= ln 2 / 2; adding and taking away 1.5 · 2^23 rounds to a whole n.
    const ROUND: f32 = 12_582_912.0;
    let x = x.max(-87.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let n = shifted - ROUND;
    // ln 2 in two parts, so that n · ln 2 is taken away exactly enough.
    let r = x - n * 0.693_359_4 + n * 2.121_944_4e-4;
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    let power = f32::from_bits((shifted.to_bits().wrapping_add(127)) << 23);
    p * power
}

/// Softmax of `values × scale`.
pub(super) fn softmax(values: &mut [f32], scale: f32) {
    let max = values.iter().fold(f32::NEG_INFINITY, |max, v| max.max(v * scale));
    for value in values.iter_mut() {
        *value = exp(*value * scale - max);
    }
    let scale = 1.0 / sum(values, |v| v);
    values.iter_mut().for_each(|v| *v *= scale);
}

/// Samples to mean 0 and variance 1, as the processor of these models does.
#[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "statistics of samples")]
pub(super) fn standardise(samples: &mut [f32]) {
    let n = samples.len().max(1) as f64;
    let mean = samples.iter().map(|v| f64::from(*v)).sum::<f64>() / n;
    let variance = samples.iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>() / n;
    let (mean, scale) = (mean as f32, (1.0 / (variance + STANDARD_EPS).sqrt()) as f32);
    samples.iter_mut().for_each(|v| *v = (*v - mean) * scale);
}

/// What is added to the variance of samples before the root.
pub(super) const STANDARD_EPS: f64 = 1e-7;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right_to_seven_digits() {
        for i in 0..=8700 {
            let x = -f64::from(i) / 100.0;
            #[expect(clippy::cast_possible_truncation, reason = "a test value")]
            let x = x as f32;
            let (found, expected) = (f64::from(exp(x)), f64::from(x).exp());
            assert!((found / expected - 1.0).abs() < 3e-7, "{x}: {found} for {expected}");
        }
        assert!(exp(-1e9) < 1e-37 && exp(-1e9) >= 0.0);
    }

    #[test]
    fn gelu_has_its_known_values() {
        let mut values = [-30.0, -3.0, -1.0, 0.0, 0.5, 1.0, 3.0, 30.0];
        gelu(&mut values);
        let expected =
            [0.0, -0.004_049_695, -0.158_655_25, 0.0, 0.345_731_23, 0.841_344_7, 2.995_950_3, 30.0];
        for (found, expected) in values.iter().zip(expected) {
            assert!((found - expected).abs() < 2e-6, "{found} for {expected}");
        }
    }

    #[test]
    fn a_softmax_adds_up_to_one_whatever_the_scale() {
        let mut values: Vec<f32> = (0..37u8).map(|i| f32::from(i) * 4.0 - 50.0).collect();
        softmax(&mut values, 0.25);
        assert!((values.iter().sum::<f32>() - 1.0).abs() < 1e-6);
        assert!((values[36] / values[35] - std::f32::consts::E).abs() < 1e-5);
    }

    #[test]
    fn rows_are_shared_out_whole() {
        for threads in [1, 2, 3, 7] {
            let mut values = vec![0.0; 1000 * 50];
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            rows(threads, &mut values, 50, |i, row| row.fill(i as f32));
            assert!(values.iter().enumerate().all(|(i, v)| *v == f32::from(u16::try_from(i / 50).unwrap())));
        }
    }
}
