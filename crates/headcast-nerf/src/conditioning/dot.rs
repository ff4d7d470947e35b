//! Sums of products.

/// Eight partial sums: quick without changing with the machine, and closer to the true sum than one.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    let mut sums = [0.0; 8];
    for (a, b) in a.iter().zip(b) {
        for lane in 0..8 {
            sums[lane] += a[lane] * b[lane];
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    sums.iter().sum::<f32>() + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_sums_every_element() {
        let a: Vec<f32> = (1..=19u8).map(f32::from).collect();
        assert_eq!(dot(&a, &[1.0; 19]), 190.0);
    }
}
