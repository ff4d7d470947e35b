//! Networks as the engine knows them: a head of their own kind, then the layers that all of them end in.
//!
//! A head turns positions into the inputs of sigma's first layer. What follows is the same function for every
//! network, with everything multiplied together that can be:
//!
//! ```text
//! h = S3 relu(S2 relu(S1 inputs))      sigma = exp(h0)      rgb = C2 relu(C1 [SH, h1.., c])
//! ```
//!
//! `SH` is the encoded direction, `c` the individual code. `S3` has no activation behind it, so `C1geo S3[1..]` is one
//! 64×64 matrix an avatar; `C1c c` is a bias.

use std::fmt;

use super::dense16::{Active, PairRow};
use super::error::RenderError;
use super::evaluate::FieldRows;
use super::head::PlaneHead;
use super::integer::{IntegerField, IntegerFrame};
use super::packet::{Layer, Narrow};
use super::rad_head::AmbientHead;
use super::simd::math::ColorRange;
use super::simd::{Dispatch, Kernel, Simd};
use crate::model::{Matrix, Mlp, Scene};

/// Width of the hidden layers.
pub(super) const HIDDEN: usize = 64;
/// Values of the encoded direction.
pub(super) const DIRECTION: usize = 16;

/// A network up to sigma's first layer: where kinds of networks differ.
///
/// Rows are those of [`FieldRows::first`]: features, then whatever else sigma reads.
pub(super) trait Head: fmt::Debug + Sync + Sized {
    /// Values of an audio code.
    const CODE: usize;
    /// Rows of features, an even number: in steps of 16-bit integers, between whole ones.
    const FEATURES: usize;
    /// What it keeps for a frame.
    type Frame: fmt::Debug + Sync;
    /// Its layers in 16 bits.
    type Integer: fmt::Debug + Sync;

    /// Multiplies what the frame says into the layers: sigma's first one, and those of its own.
    fn of_frame(&self, code: &[f32], eye: f32) -> (Layer, Self::Frame);
    /// Features of the packet's positions.
    fn encode<S: Simd>(&self, s: S, rows: &mut FieldRows);
    /// Features that depend on the frame besides.
    fn place<S: Simd>(&self, s: S, frame: &Self::Frame, rows: &mut FieldRows);
    /// The other inputs of sigma, from the features.
    fn attend<S: Simd>(&self, s: S, rows: &mut FieldRows);

    /// Its layers in 16 bits, and what one of each input of sigma behind the features is worth.
    ///
    /// * `probes`: packets of points on the head, behind [`Self::attend`].
    fn integer(&self, probes: &[FieldRows]) -> (Self::Integer, Vec<f32>);
    /// As [`Self::attend`], for the chunk at `at`.
    ///
    /// * `inputs`: of sigma, the features are there; `active`: gets those behind them.
    fn attend_integer<S: Simd>(
        s: S,
        layers: &Self::Integer,
        inputs: &mut [PairRow],
        at: usize,
        active: &mut Active,
    );

    /// Multiply-adds of its own layers and of sigma's first one for a sample, encoding aside.
    fn multiply_adds(&self) -> usize;
}

/// What does not change while an avatar speaks.
#[derive(Debug)]
pub(super) struct Field<H: Head> {
    pub(super) head: H,
    /// 64 → 64 of sigma.
    pub(super) hidden: Layer,
    /// 64 → ln sigma.
    pub(super) log_sigma: Narrow<1>,
    /// Hidden rows of sigma, then the direction → hidden rows of colour.
    pub(super) color: Layer,
    /// 64 → r, g, b before their activation.
    pub(super) rgb: Narrow<3>,
    /// Of the activation of colours.
    pub(super) range: ColorRange,
    /// The network in 16 bits, if it is to be used.
    pub(super) integer: Option<IntegerField<H>>,
}

/// What does not change within a frame.
#[derive(Debug)]
pub(super) struct FrameField<H: Head> {
    pub(super) head: H::Frame,
    /// Inputs of sigma → its first hidden rows.
    pub(super) sigma_in: Layer,
    /// The layers in 16 bits, if they are to be used.
    pub(super) integer: Option<IntegerFrame>,
}

/// The layers that all networks end in, as upstream has them.
#[derive(Debug)]
pub(super) struct Nets<'a> {
    pub(super) sigma: &'a Mlp,
    pub(super) color: &'a Mlp,
    pub(super) individual_code: &'a [f32],
    pub(super) range: ColorRange,
}

impl<H: Head> Field<H> {
    /// * `inputs`: of sigma, as upstream has them.
    /// * `head`: makes the head, from the weights of sigma's first layer.
    ///
    /// # Errors
    /// [`RenderError::Unsupported`] for sizes other than upstream's.
    pub(super) fn new(
        nets: &Nets<'_>,
        inputs: usize,
        head: impl FnOnce(&Matrix) -> H,
    ) -> Result<Self, RenderError> {
        let Nets { sigma, color, individual_code, range } = *nets;
        let color_inputs = DIRECTION + HIDDEN + individual_code.len();
        expect(sigma, "sigma_net", &[(HIDDEN, inputs), (HIDDEN, HIDDEN), (1 + HIDDEN, HIDDEN)])?;
        expect(color, "color_net", &[(HIDDEN, color_inputs), (3, HIDDEN)])?;
        let [s2, s3] = [1, 2].map(|i| &sigma.layers[i]);
        let [c1, c2] = [0, 1].map(|i| &color.layers[i]);
        let geometry = matrix(HIDDEN, HIDDEN, |r, k| at(c1, r, DIRECTION + k));
        let geometry_of_hidden = product(&geometry, &matrix(HIDDEN, HIDDEN, |r, k| at(s3, 1 + r, k)));
        let color = matrix(HIDDEN, HIDDEN + DIRECTION, |r, k| {
            if k < HIDDEN { at(&geometry_of_hidden, r, k) } else { at(c1, r, k - HIDDEN) }
        });
        let color_bias: Vec<f32> = (0..HIDDEN)
            .map(|r| {
                let code = individual_code.iter().enumerate();
                code.map(|(k, c)| at(c1, r, DIRECTION + HIDDEN + k) * c).sum()
            })
            .collect();
        Ok(Self {
            head: head(&sigma.layers[0]),
            hidden: Layer::new(s2, None),
            log_sigma: Narrow::new(&matrix(1, HIDDEN, |_, k| at(s3, 0, k))),
            color: Layer::new(&color, Some(&color_bias)),
            rgb: Narrow::new(c2),
            range,
            integer: None,
        })
    }

    /// Makes the field use 16-bit integers.
    ///
    /// * `points`: where the head may be: what the activations reach there sets their scales.
    fn with_integers(mut self, dispatch: Dispatch, points: &[[f32; 3]]) -> Self {
        self.integer = Some(IntegerField::new(dispatch, &self, points));
        self
    }

    fn of_frame(&self, dispatch: Dispatch, code: &[f32], eye: f32) -> FrameField<H> {
        assert_eq!(code.len(), H::CODE, "the audio code is one of the network's");
        let (sigma_in, head) = self.head.of_frame(code, eye);
        let mut frame = FrameField { head, sigma_in, integer: None };
        if let Some(integer) = &self.integer {
            frame.integer = Some(integer.of_frame(dispatch, self, &frame));
        }
        frame
    }

    fn multiply_adds(&self) -> usize {
        let sigma = HIDDEN * HIDDEN + HIDDEN;
        self.head.multiply_adds() + sigma + HIDDEN * (HIDDEN + DIRECTION) + 3 * HIDDEN
    }
}

/// A field of any kind: which one is asked once a tile.
#[derive(Debug)]
pub(super) enum AnyField {
    Er(Field<PlaneHead>),
    Rad(Field<AmbientHead>),
}

/// A field and what it keeps for a frame.
#[derive(Debug)]
pub(super) enum AnyFrame<'a> {
    Er(&'a Field<PlaneHead>, FrameField<PlaneHead>),
    Rad(&'a Field<AmbientHead>, FrameField<AmbientHead>),
}

/// A kernel over a field of any kind and its frame; what [`Kernel`] says holds here, too.
pub(super) trait FieldKernel {
    /// What it returns.
    type Output;

    /// The body.
    fn run<S: Simd, H: Head>(self, simd: S, field: &Field<H>, frame: &FrameField<H>) -> Self::Output;
}

struct Of<'a, H: Head, K> {
    field: &'a Field<H>,
    frame: &'a FrameField<H>,
    kernel: K,
}

impl<H: Head, K: FieldKernel> Kernel for Of<'_, H, K> {
    type Output = K::Output;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> K::Output {
        self.kernel.run(s, self.field, self.frame)
    }
}

impl AnyFrame<'_> {
    /// Runs `kernel` with the level's instructions enabled.
    pub(super) fn run<K: FieldKernel>(&self, dispatch: Dispatch, kernel: K) -> K::Output {
        match self {
            Self::Er(field, frame) => dispatch.run(Of { field: *field, frame, kernel }),
            Self::Rad(field, frame) => dispatch.run(Of { field: *field, frame, kernel }),
        }
    }
}

impl AnyField {
    /// # Errors
    /// [`RenderError::Unsupported`] for sizes other than upstream's.
    pub(super) fn new(scene: Scene<'_>) -> Result<Self, RenderError> {
        match scene {
            Scene::Er(model) => PlaneHead::field(model).map(Self::Er),
            Scene::Rad(model) => AmbientHead::field(model).map(Self::Rad),
        }
    }

    /// Makes the field use 16-bit integers, whose scales are set by what the activations reach at `points`.
    pub(super) fn with_integers(self, dispatch: Dispatch, points: &[[f32; 3]]) -> Self {
        match self {
            Self::Er(field) => Self::Er(field.with_integers(dispatch, points)),
            Self::Rad(field) => Self::Rad(field.with_integers(dispatch, points)),
        }
    }

    /// Multiplies what the frame says into the layers.
    ///
    /// # Panics
    /// If `code` has not [`Self::code_len`] values.
    pub(super) fn of_frame(&self, dispatch: Dispatch, code: &[f32], eye: f32) -> AnyFrame<'_> {
        match self {
            Self::Er(field) => AnyFrame::Er(field, field.of_frame(dispatch, code, eye)),
            Self::Rad(field) => AnyFrame::Rad(field, field.of_frame(dispatch, code, eye)),
        }
    }

    /// Values of an audio code.
    pub(super) fn code_len(&self) -> usize {
        match self {
            Self::Er(_) => PlaneHead::CODE,
            Self::Rad(_) => AmbientHead::CODE,
        }
    }

    /// Multiply-adds for one sample, encoding aside.
    pub(super) fn multiply_adds(&self) -> usize {
        match self {
            Self::Er(field) => field.multiply_adds(),
            Self::Rad(field) => field.multiply_adds(),
        }
    }

    /// What one step of each feature is worth.
    pub(super) fn steps(&self) -> &[f32] {
        match self {
            Self::Er(field) => field.head.steps(),
            Self::Rad(field) => field.head.steps(),
        }
    }
}

/// Checks the shapes of a network's layers.
pub(super) fn expect(mlp: &Mlp, name: &str, shapes: &[(usize, usize)]) -> Result<(), RenderError> {
    let found = mlp.layers.iter().map(|m| (m.rows, m.cols));
    if found.clone().eq(shapes.iter().copied()) && mlp.layers.iter().all(|m| m.data.len() == m.rows * m.cols)
    {
        return Ok(());
    }
    let found: Vec<_> = found.collect();
    Err(RenderError::Unsupported { what: format!("{name} with layers {found:?} instead of {shapes:?}") })
}

pub(super) fn matrix(rows: usize, cols: usize, value: impl Fn(usize, usize) -> f32) -> Matrix {
    let data = (0..rows * cols).map(|i| value(i / cols, i % cols)).collect();
    Matrix { rows, cols, data }
}

pub(super) fn at(m: &Matrix, row: usize, col: usize) -> f32 {
    m.data[row * m.cols + col]
}

pub(super) fn product(a: &Matrix, b: &Matrix) -> Matrix {
    let mut out = matrix(a.rows, b.cols, |_, _| 0.0);
    for (out, a) in out.data.chunks_exact_mut(b.cols).zip(a.data.chunks_exact(a.cols)) {
        for (a, b) in a.iter().zip(b.data.chunks_exact(b.cols)) {
            for (out, b) in out.iter_mut().zip(b) {
                *out += a * b;
            }
        }
    }
    out
}
