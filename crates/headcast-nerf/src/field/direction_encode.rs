//! Real spherical harmonics of a direction.

/// The 16 real spherical harmonics of degrees 0 to 3 at unit direction `d`.
///
/// Signs and order are those of upstream's table, which leaves out half of the Condon-Shortley phases of the
/// textbooks; the direction is used as it is, in `[-1, 1]`.
pub fn direction_encode(d: [f32; 3]) -> [f32; 16] {
    let [x, y, z] = d;
    let (xx, yy, zz, xy) = (x * x, y * y, z * z, x * y);
    [
        0.282_094_79,
        -0.488_602_52 * y,
        0.488_602_52 * z,
        -0.488_602_52 * x,
        1.092_548_5 * xy,
        -1.092_548_5 * (y * z),
        0.946_174_7 * zz - 0.315_391_57,
        -1.092_548_5 * (x * z),
        0.546_274_2 * xx - 0.546_274_2 * yy,
        0.590_043_6 * y * (-3.0 * xx + yy),
        2.890_611_4 * xy * z,
        0.457_045_8 * y * (1.0 - 5.0 * zz),
        0.373_176_34 * z * (5.0 * zz - 3.0),
        0.457_045_8 * x * (1.0 - 5.0 * zz),
        1.445_305_7 * z * (xx - yy),
        0.590_043_6 * x * (-xx + 3.0 * yy),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, reason = "small test values")]
    fn harmonics_are_orthonormal() {
        // Fibonacci points on the sphere integrate degree 6 closely.
        const POINTS: u32 = 20_000;
        let mut products = [[0.0f64; 16]; 16];
        for i in 0..POINTS {
            let z = 1.0 - (2 * i + 1) as f32 / POINTS as f32;
            let (sin, cos) = (f64::from(i) * 2.399_963_229_728_653).sin_cos();
            let r = (1.0 - z * z).sqrt();
            let values = direction_encode([r * cos as f32, r * sin as f32, z]);
            for (row, a) in products.iter_mut().zip(values) {
                for (out, b) in row.iter_mut().zip(values) {
                    *out += f64::from(a * b) * 4.0 * std::f64::consts::PI / f64::from(POINTS);
                }
            }
        }
        for (i, row) in products.iter().enumerate() {
            for (j, value) in row.iter().enumerate() {
                let expected = f64::from(u8::from(i == j));
                assert!((value - expected).abs() < 1e-3, "{i} {j}: {value}");
            }
        }
    }
}
