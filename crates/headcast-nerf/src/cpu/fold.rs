//! The network with everything multiplied together that can be: the same function in fewer multiplications.
//!
//! With `f` the grid features, `a` the audio code, `e` the eye value, `SH` the encoded direction, `c` the
//! individual code, upstream computes
//!
//! ```text
//! u = A2 relu(A1 f)      v = sigmoid(E2 relu(E1 f))      h = S3 relu(S2 relu(S1 [f, a*u, e v]))
//! sigma = exp(h0)        rgb = C2 relu(C1 [SH, h1.., c])
//! ```
//!
//! `A2` has no activation behind it, so `S1u diag(a) A2` is one 64×64 matrix a frame; nor has `S3`, so
//! `C1geo S3[1..]` is one 64×64 matrix an avatar; `C1c c` is a bias. `A1` and `E1` read the same input and
//! stand on top of each other. Left are 18.8 k multiplications a sample of 23.2 k.

use super::error::RenderError;
use super::grid_encode::{FEATURES, Planes};
use super::integer::{IntegerField, IntegerFrame};
use super::packet::{Layer, Narrow};
use super::simd::Dispatch;
use crate::conditioning::{AUDIO_CODE_LEN, AudioCode};
use crate::model::{ErNerf, Matrix, Mlp};

/// Width of the hidden layers.
pub(super) const HIDDEN: usize = 64;
/// Hidden width of the eye attention.
pub(super) const EYE_HIDDEN: usize = 16;
/// Values of the encoded direction.
pub(super) const DIRECTION: usize = 16;

/// What does not change while an avatar speaks.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) planes: Planes,
    /// Features → hidden rows of the audio channel attention, then those of the eye attention.
    pub(super) attention: Layer,
    /// Hidden rows of the eye attention → its logit. `None` for a model without eyes.
    pub(super) eye: Option<Narrow<1>>,
    /// 64 → 64 of sigma.
    pub(super) hidden: Layer,
    /// 64 → ln sigma.
    pub(super) log_sigma: Narrow<1>,
    /// Hidden rows of sigma, then the direction → hidden rows of colour.
    pub(super) color: Layer,
    /// 64 → r, g, b before their activation.
    pub(super) rgb: Narrow<3>,
    /// The network in 16 bits, if it is to be used.
    pub(super) integer: Option<IntegerField>,
    /// `S1` with the feature columns scaled: `[64, 36 + 32 + eye]`.
    sigma_in: Matrix,
    /// `A2`: `[32, 64]`.
    channel_attention: Matrix,
}

/// What does not change within a frame.
#[derive(Debug)]
pub(super) struct FrameField {
    /// Features, hidden rows of the attention, eye attention → first hidden rows of sigma.
    pub(super) sigma_in: Layer,
    /// The layers in 16 bits, if they are to be used.
    pub(super) integer: Option<IntegerFrame>,
}

impl Field {
    /// # Errors
    /// [`RenderError::Unsupported`] for sizes other than upstream's.
    pub(super) fn new(model: &ErNerf) -> Result<Self, RenderError> {
        let eye = usize::from(model.has_eye());
        let individual = model.individual_code.len();
        let sigma_inputs = FEATURES + AUDIO_CODE_LEN + eye;
        let color_inputs = DIRECTION + HIDDEN + individual;
        expect(
            &model.audio_channel_attention,
            "aud_ch_att_net",
            &[(HIDDEN, FEATURES), (AUDIO_CODE_LEN, HIDDEN)],
        )?;
        expect(&model.eye_attention, "eye_att_net", &[(EYE_HIDDEN, FEATURES), (1, EYE_HIDDEN)])?;
        expect(&model.sigma, "sigma_net", &[(HIDDEN, sigma_inputs), (HIDDEN, HIDDEN), (1 + HIDDEN, HIDDEN)])?;
        expect(&model.color, "color_net", &[(HIDDEN, color_inputs), (3, HIDDEN)])?;

        let planes = Planes::new(&model.planes, model.options.bound)?;
        let steps = planes.steps();
        let [a1, a2] = [0, 1].map(|i| &model.audio_channel_attention.layers[i]);
        let [e1, e2] = [0, 1].map(|i| &model.eye_attention.layers[i]);
        let [s1, s2, s3] = [0, 1, 2].map(|i| &model.sigma.layers[i]);
        let [c1, c2] = [0, 1].map(|i| &model.color.layers[i]);

        let attention = matrix(HIDDEN + EYE_HIDDEN, FEATURES, |r, k| {
            steps[k] * if r < HIDDEN { at(a1, r, k) } else { at(e1, r - HIDDEN, k) }
        });
        let sigma_in =
            matrix(HIDDEN, sigma_inputs, |r, k| at(s1, r, k) * if k < FEATURES { steps[k] } else { 1.0 });
        let geometry = matrix(HIDDEN, HIDDEN, |r, k| at(c1, r, DIRECTION + k));
        let geometry_of_hidden = product(&geometry, &matrix(HIDDEN, HIDDEN, |r, k| at(s3, 1 + r, k)));
        let color = matrix(HIDDEN, HIDDEN + DIRECTION, |r, k| {
            if k < HIDDEN { at(&geometry_of_hidden, r, k) } else { at(c1, r, k - HIDDEN) }
        });
        let color_bias: Vec<f32> = (0..HIDDEN)
            .map(|r| {
                let code = model.individual_code.iter().enumerate();
                code.map(|(k, c)| at(c1, r, DIRECTION + HIDDEN + k) * c).sum()
            })
            .collect();
        Ok(Self {
            attention: Layer::new(&attention, None),
            eye: (eye == 1).then(|| Narrow::new(e2)),
            hidden: Layer::new(s2, None),
            log_sigma: Narrow::new(&matrix(1, HIDDEN, |_, k| at(s3, 0, k))),
            color: Layer::new(&color, Some(&color_bias)),
            rgb: Narrow::new(c2),
            integer: None,
            sigma_in,
            channel_attention: a2.clone(),
            planes,
        })
    }

    /// Makes the field use 16-bit integers.
    ///
    /// * `points`: where the head may be: what the activations reach there sets their scales.
    pub(super) fn with_integers(mut self, dispatch: Dispatch, points: &[[f32; 3]]) -> Self {
        self.integer = Some(IntegerField::new(dispatch, &self, points));
        self
    }

    /// Multiplies the frame's audio code and eye value into the first layer of sigma.
    pub(super) fn of_frame(&self, dispatch: Dispatch, code: &AudioCode, eye: f32) -> FrameField {
        let by_code = matrix(HIDDEN, AUDIO_CODE_LEN, |r, k| at(&self.sigma_in, r, FEATURES + k) * code[k]);
        let attention = product(&by_code, &self.channel_attention);
        let eyes = usize::from(self.eye.is_some());
        let folded = matrix(HIDDEN, FEATURES + HIDDEN + eyes, |r, k| match k {
            0..FEATURES => at(&self.sigma_in, r, k),
            k if k < FEATURES + HIDDEN => at(&attention, r, k - FEATURES),
            _ => at(&self.sigma_in, r, FEATURES + AUDIO_CODE_LEN) * eye,
        });
        let mut frame = FrameField { sigma_in: Layer::new(&folded, None), integer: None };
        if let Some(integer) = &self.integer {
            frame.integer = Some(integer.of_frame(dispatch, self, &frame));
        }
        frame
    }

    /// Multiply-adds for one sample, encoding aside.
    pub(super) fn multiply_adds(&self) -> usize {
        let eyes = usize::from(self.eye.is_some());
        let attention = (HIDDEN + EYE_HIDDEN) * FEATURES + eyes * EYE_HIDDEN;
        let sigma = HIDDEN * (FEATURES + HIDDEN + eyes) + HIDDEN * HIDDEN + HIDDEN;
        attention + sigma + HIDDEN * (HIDDEN + DIRECTION) + 3 * HIDDEN
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

fn product(a: &Matrix, b: &Matrix) -> Matrix {
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
