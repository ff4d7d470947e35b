//! Bias-free fully connected networks.

use crate::conditioning::dot;
use crate::model::Mlp;

use super::Precision;

/// `net(x)`: ReLU between the layers, none after the last.
///
/// * `precision`: rounds inputs and outputs of every layer; the weights are taken as they are.
///
/// # Panics
/// If `x` has not as many values as the first layer takes.
pub fn mlp(net: &Mlp, precision: Precision, x: &[f32]) -> Vec<f32> {
    let mut x: Vec<f32> = x.iter().map(|x| precision.round(*x)).collect();
    for (i, layer) in net.layers.iter().enumerate() {
        assert_eq!(x.len(), layer.cols, "inputs of layer {i}");
        if i > 0 {
            x.iter_mut().for_each(|x| *x = x.max(0.0));
        }
        let rows = layer.data.chunks_exact(layer.cols);
        x = rows.map(|weights| precision.round(dot(weights, &x))).collect();
    }
    x
}

/// Logistic function.
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// Colour (or opacity) from a logit: the sigmoid, stretched by 0.001 beyond 0 and 1.
pub fn stretched_sigmoid(precision: Precision, logit: f32) -> f32 {
    let stretched = precision.round(precision.round(sigmoid(logit)) * 1.002);
    precision.round(stretched - 0.001)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Matrix;

    #[test]
    fn negative_values_stop_between_layers_only() {
        let layer = |data: &[f32]| Matrix { rows: 2, cols: 2, data: data.to_vec() };
        let net = Mlp { layers: vec![layer(&[1.0, 1.0, 1.0, -1.0]), layer(&[1.0, 1.0, -1.0, -1.0])] };
        assert_eq!(mlp(&net, Precision::Single, &[1.0, 2.0]), [3.0, -3.0]);
    }

    #[test]
    fn colours_reach_a_little_beyond_the_unit_interval() {
        assert_eq!(stretched_sigmoid(Precision::Single, -200.0), -0.001);
        assert!((stretched_sigmoid(Precision::Single, 200.0) - 1.001).abs() < 1e-6);
        assert!((stretched_sigmoid(Precision::Single, 0.0) - 0.5).abs() < 1e-6);
    }
}
