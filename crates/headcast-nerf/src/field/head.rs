//! ER-NeRF's head: density and colour of a point.

use crate::model::ErNerf;

use super::Precision;
use super::direction_encode::direction_encode;
use super::grid_encode::{GridKind, GridLevel, grid_encode, grid_levels};
use super::mlp::{mlp, sigmoid, stretched_sigmoid};
use super::point::{PointConditioning, PointOutput};

/// Lattices of the three planes.
pub fn plane_levels(model: &ErNerf) -> [Vec<GridLevel>; 3] {
    std::array::from_fn(|plane| grid_levels(model.planes[plane].levels(), 64.0, 512.0 * model.options.bound))
}

/// Density and colour of position `x` seen along unit direction `d` (Li et al. 2023, §3.2 to §3.4).
///
/// * `levels`: of [`plane_levels`].
/// * `audio_code`, `eye`: what the frame says and how far its eyes are closed.
pub fn head_point(
    model: &ErNerf,
    levels: &[Vec<GridLevel>; 3],
    precision: Precision,
    audio_code: &[f32],
    eye: f32,
    x: [f32; 3],
    d: [f32; 3],
) -> PointOutput {
    let mut encoding = Vec::new();
    for (plane, (table, levels)) in model.planes.iter().zip(levels).enumerate() {
        let [a, b] = [[0, 1], [1, 2], [0, 2]][plane];
        let mut features = vec![0.0; table.outputs()];
        let bound = model.options.bound;
        grid_encode(table, levels, GridKind::Hash, precision, [x[a], x[b]], bound, &mut features);
        encoding.extend(features);
    }

    let audio_attention = mlp(&model.audio_channel_attention, precision, &encoding);
    let mut input = encoding.clone();
    input.extend(audio_code.iter().zip(&audio_attention).map(|(code, attention)| code * attention));
    let mut eye_attention = 0.0;
    if model.has_eye() {
        eye_attention = precision.round(sigmoid(mlp(&model.eye_attention, precision, &encoding)[0]));
        input.push(eye * eye_attention);
    }
    let mut geometry = mlp(&model.sigma, precision, &input);
    let log_sigma = geometry.remove(0);

    let mut input = direction_encode(d).to_vec();
    input.extend(&geometry);
    input.extend(&model.individual_code);
    let logits = mlp(&model.color, precision, &input);
    let rgb = std::array::from_fn(|c| stretched_sigmoid(precision, logits[c]));
    PointOutput {
        encoding,
        conditioning: PointConditioning::Er { audio_attention, eye_attention },
        log_sigma,
        sigma: log_sigma.exp(),
        geometry,
        rgb,
    }
}
