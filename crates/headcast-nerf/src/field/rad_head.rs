//! RAD-NeRF's head: density and colour of a point.

use crate::model::RadNerf;

use super::Precision;
use super::direction_encode::direction_encode;
use super::grid_encode::{GridKind, GridLevel, grid_encode, grid_levels};
use super::mlp::{mlp, sigmoid};
use super::point::{PointConditioning, PointOutput};

/// Lattices of the spatial grid and of the ambient grid.
pub fn ambient_levels(model: &RadNerf) -> [Vec<GridLevel>; 2] {
    let finest = 2048.0 * model.options.bound;
    [grid_levels(model.grid.levels(), 16.0, finest), grid_levels(model.ambient_grid.levels(), 16.0, 2048.0)]
}

/// Density and colour of position `x` seen along unit direction `d` (Tang et al. 2022, §3.2).
///
/// * `levels`: of [`ambient_levels`].
/// * `audio_code`, `eye`: what the frame says and how far its eyes are closed.
pub fn ambient_point(
    model: &RadNerf,
    levels: &[Vec<GridLevel>; 2],
    precision: Precision,
    audio_code: &[f32],
    eye: f32,
    x: [f32; 3],
    d: [f32; 3],
) -> PointOutput {
    let [space, plane] = levels;
    let mut encoding = vec![0.0; model.grid.outputs()];
    grid_encode(&model.grid, space, GridKind::Tiled, precision, x, model.options.bound, &mut encoding);

    let mut input = encoding.clone();
    input.extend(audio_code);
    let logits = mlp(&model.ambient, precision, &input);
    let ambient = [logits[0].tanh(), logits[1].tanh()];
    let mut ambient_encoding = vec![0.0; model.ambient_grid.outputs()];
    let out = &mut ambient_encoding;
    grid_encode(&model.ambient_grid, plane, GridKind::Tiled, precision, ambient, 1.0, out);

    let mut input = encoding.clone();
    input.extend(&ambient_encoding);
    if model.has_eye() {
        input.push(eye);
    }
    let mut geometry = mlp(&model.sigma, precision, &input);
    let log_sigma = geometry.remove(0);

    let mut input = direction_encode(d).to_vec();
    input.extend(&geometry);
    input.extend(&model.individual_code);
    let logits = mlp(&model.color, precision, &input);
    let rgb = std::array::from_fn(|c| precision.round(sigmoid(logits[c])));
    let conditioning = PointConditioning::Rad { ambient, encoding: ambient_encoding };
    PointOutput { encoding, conditioning, log_sigma, sigma: log_sigma.exp(), geometry, rgb }
}
