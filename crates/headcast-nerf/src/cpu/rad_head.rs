//! RAD-NeRF's head, with everything multiplied together that can be.
//!
//! With `f` the features of the position, `a` the audio code, `e` the eye value and `g` the features of a
//! point in the ambient plane, upstream computes
//!
//! ```text
//! w = tanh(A3 relu(A2 relu(A1 [f, a])))      relu(S1 [f, g(w), e])
//! ```
//!
//! `A1a a` and `S1e e` are biases of a frame: with what [`super::field`] folds, 19.8 k multiplications a sample are left
//! of 28.4 k. The layers up to `w` stay in `f32`: the finest level has 2048 cells between -1 and 1, so what
//! 16 bits leave undecided in `w` would be a tenth of a cell and more.

use super::dense16::{Active, PairRow};
use super::error::RenderError;
use super::evaluate::FieldRows;
use super::field::{Field, HIDDEN, Head, Nets, at, expect, matrix};
use super::packet::{Layer, Narrow, PACKET};
use super::simd::Simd;
use super::simd::math::{ColorRange, tanh};
use super::tiled_encode::{FEATURES, TiledGrid};
use crate::conditioning::WIDE_CODE_LEN;
use crate::model::{Matrix, RadNerf};

/// Resolution of the finest level of both grids, of the position's for a scene of bound 1.
const FINEST: f32 = 2048.0;

/// What does not change while an avatar speaks.
#[derive(Debug)]
pub(super) struct AmbientHead {
    space: TiledGrid<3>,
    plane: TiledGrid<2>,
    /// Value of one integer step of each feature.
    steps: [f32; 2 * FEATURES],
    /// `A1` with the feature columns scaled: `[64, 32 + 64]`.
    ambient_in: Matrix,
    ambient_hidden: Layer,
    ambient_out: Narrow<2>,
    /// `S1` with the feature columns scaled: `[64, 32 + 32 + eye]`.
    sigma_in: Matrix,
}

impl AmbientHead {
    /// The field of `model`.
    ///
    /// # Errors
    /// [`RenderError::Unsupported`] for sizes other than upstream's.
    pub(super) fn field(model: &RadNerf) -> Result<Field<Self>, RenderError> {
        expect(
            &model.ambient,
            "ambient_net",
            &[(HIDDEN, FEATURES + WIDE_CODE_LEN), (HIDDEN, HIDDEN), (2, HIDDEN)],
        )?;
        let bound = model.options.bound;
        let space = TiledGrid::new(&model.grid, "a position grid", FINEST * bound, bound)?;
        let plane = TiledGrid::new(&model.ambient_grid, "an ambient grid", FINEST, 1.0)?;
        let mut steps = [0.0; 2 * FEATURES];
        steps[..FEATURES].copy_from_slice(space.steps());
        steps[FEATURES..].copy_from_slice(plane.steps());
        let [a1, a2, a3] = [0, 1, 2].map(|i| &model.ambient.layers[i]);
        let nets = Nets {
            sigma: &model.sigma,
            color: &model.color,
            individual_code: &model.individual_code,
            range: ColorRange::PLAIN,
        };
        let inputs = Self::FEATURES + usize::from(model.has_eye());
        Field::new(&nets, inputs, |s1| Self {
            ambient_in: scaled(a1, &steps[..FEATURES]),
            ambient_hidden: Layer::new(a2, None),
            ambient_out: Narrow::new(a3),
            sigma_in: scaled(s1, &steps),
            space,
            plane,
            steps,
        })
    }

    /// What one step of each feature is worth.
    pub(super) fn steps(&self) -> &[f32; 2 * FEATURES] {
        &self.steps
    }
}

/// `weight` with its first columns multiplied by `steps`.
fn scaled(weight: &Matrix, steps: &[f32]) -> Matrix {
    matrix(weight.rows, weight.cols, |r, k| at(weight, r, k) * steps.get(k).unwrap_or(&1.0))
}

/// A layer over the first `kept` columns of `weight`; the others read `fixed` and become its bias.
fn folded(weight: &Matrix, kept: usize, fixed: &[f32]) -> Layer {
    let bias: Vec<f32> = (0..weight.rows)
        .map(|r| (kept..weight.cols).zip(fixed).map(|(k, value)| at(weight, r, k) * value).sum())
        .collect();
    Layer::new(&matrix(weight.rows, kept, |r, k| at(weight, r, k)), Some(&bias))
}

impl Head for AmbientHead {
    const CODE: usize = WIDE_CODE_LEN;
    /// Of the position, then of the ambient plane.
    const FEATURES: usize = 2 * FEATURES;
    /// The first layer of the ambient net.
    type Frame = Layer;
    type Integer = ();

    fn of_frame(&self, code: &[f32], eye: f32) -> (Layer, Layer) {
        (folded(&self.sigma_in, Self::FEATURES, &[eye]), folded(&self.ambient_in, FEATURES, code))
    }

    #[inline(always)]
    fn encode<S: Simd>(&self, s: S, rows: &mut FieldRows) {
        let mut at = 0;
        while at < PACKET {
            let p = rows.position(s, at);
            self.space.encode(s, p, at, &mut rows.first);
            at += S::LANES;
        }
    }

    #[inline(always)]
    fn place<S: Simd>(&self, s: S, ambient_in: &Layer, rows: &mut FieldRows) {
        ambient_in.forward_relu(s, &rows.first, &mut rows.second);
        self.ambient_hidden.forward_relu(s, &rows.second, &mut rows.third[..HIDDEN]);
        let mut at = 0;
        while at < PACKET {
            let [a, b] = self.ambient_out.forward(s, &rows.third, at);
            self.plane.encode(s, [tanh(s, a), tanh(s, b)], at, &mut rows.first[FEATURES..]);
            at += S::LANES;
        }
    }

    #[inline(always)]
    fn attend<S: Simd>(&self, _: S, _: &mut FieldRows) {}

    fn integer(&self, _: &[FieldRows]) -> ((), Vec<f32>) {
        ((), Vec::new())
    }

    #[inline(always)]
    fn attend_integer<S: Simd>(_: S, (): &(), _: &mut [PairRow], _: usize, _: &mut Active) {}

    fn multiply_adds(&self) -> usize {
        let ambient = HIDDEN * FEATURES + HIDDEN * HIDDEN + 2 * HIDDEN;
        ambient + HIDDEN * Self::FEATURES
    }
}
