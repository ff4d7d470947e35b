//! AD-NeRF's network: density and colour of a point.

use crate::conditioning::dot;
use crate::model::{FaceNet, Linear};

use super::frequency_encode::octave_encode;

/// Octaves of an encoded position, and of an encoded direction.
const BANDS: [u32; 2] = [10, 4];

/// Colour (before its sigmoid) and density (before its rectification) of position `x` seen along unit direction `d`
/// (Guo et al. 2021, §3.1; layers as in Mildenhall et al. 2020, figure 7).
///
/// * `signal`: what the network hears; [`FaceNet::signal`] values.
///
/// # Panics
/// If `signal` has another length.
pub fn face_point(net: &FaceNet, signal: &[f32], x: [f32; 3], d: [f32; 3]) -> ([f32; 3], f32) {
    assert_eq!(signal.len(), net.signal(), "what the network hears");
    let mut input = Vec::new();
    octave_encode(&x, BANDS[0], &mut input);
    input.extend(signal);
    let mut h = input.clone();
    for (k, layer) in net.points.iter().enumerate() {
        h = rectified(layer, &h);
        if k == FaceNet::SKIP {
            h = [&input[..], &h].concat();
        }
    }
    let density = linear(&net.alpha, &h)[0];
    octave_encode(&d, BANDS[1], &mut h);
    for layer in &net.views {
        h = rectified(layer, &h);
    }
    let logits = linear(&net.rgb, &h);
    ([logits[0], logits[1], logits[2]], density)
}

fn rectified(layer: &Linear, x: &[f32]) -> Vec<f32> {
    let mut out = linear(layer, x);
    out.iter_mut().for_each(|v| *v = v.max(0.0));
    out
}

fn linear(layer: &Linear, x: &[f32]) -> Vec<f32> {
    assert_eq!(x.len(), layer.weight.cols, "inputs of the layer");
    let rows = layer.weight.data.chunks_exact(layer.weight.cols);
    rows.zip(&layer.bias).map(|(weights, bias)| dot(weights, x) + bias).collect()
}
