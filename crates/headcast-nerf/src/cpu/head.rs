//! ER-NeRF's head, with everything multiplied together that can be: the same function in fewer multiplications.
//!
//! With `f` the grid features, `a` the audio code and `e` the eye value, upstream computes
//!
//! ```text
//! u = A2 relu(A1 f)      v = sigmoid(E2 relu(E1 f))      relu(S1 [f, a*u, e v])
//! ```
//!
//! `A2` has no activation behind it, so `S1u diag(a) A2` is one 64×64 matrix a frame. `A1` and `E1` read the same
//! input and stand on top of each other. With what [`super::field`] folds, 18.8 k multiplications a sample are
//! left of 23.2 k.

use super::dense16::{Activations, Active, FULL, Layer16, PairRow, chunk};
use super::error::RenderError;
use super::evaluate::FieldRows;
use super::field::{Field, HIDDEN, Head, Nets, at, expect, matrix, product};
use super::grid_encode::{FEATURES, Planes};
use super::integer::{in_sums, reach};
use super::packet::{Layer, Narrow, PACKET};
use super::simd::Simd;
use super::simd::math::{ColorRange, sigmoid};
use crate::conditioning::AUDIO_CODE_LEN;
use crate::model::{ErNerf, Matrix};

/// Hidden width of the eye attention.
const EYE_HIDDEN: usize = 16;
/// Row of the eye attention.
const EYE: usize = FEATURES + HIDDEN;

/// Pairs of sigma's inputs: features, attention, and the eye with nothing beside it.
const FEATURE_PAIRS: usize = FEATURES / 2;
const EYE_PAIR: usize = FEATURE_PAIRS + HIDDEN / 2;
/// Every feature is read.
const FEATURES_ACTIVE: Active = Active::all(FEATURE_PAIRS);

/// What does not change while an avatar speaks.
#[derive(Debug)]
pub(super) struct PlaneHead {
    planes: Planes,
    /// Features → hidden rows of the audio channel attention, then those of the eye attention.
    attention: Layer,
    /// Hidden rows of the eye attention → its logit. `None` for a model without eyes.
    eye: Option<Narrow<1>>,
    /// `S1` with the feature columns scaled: `[64, 36 + 32 + eye]`.
    sigma_in: Matrix,
    /// `A2`: `[32, 64]`.
    channel_attention: Matrix,
}

/// Both attentions in 16 bits.
#[derive(Debug)]
pub(super) struct PlaneLayers16 {
    attention: Layer16,
    /// Hidden layer of the eye attention, and what its sums contribute to the logit.
    eye: Option<(Layer16, Vec<[f32; 1]>)>,
}

impl PlaneHead {
    /// The field of `model`.
    ///
    /// # Errors
    /// [`RenderError::Unsupported`] for sizes other than upstream's.
    pub(super) fn field(model: &ErNerf) -> Result<Field<Self>, RenderError> {
        let eye = usize::from(model.has_eye());
        let inputs = FEATURES + AUDIO_CODE_LEN + eye;
        expect(
            &model.audio_channel_attention,
            "aud_ch_att_net",
            &[(HIDDEN, FEATURES), (AUDIO_CODE_LEN, HIDDEN)],
        )?;
        expect(&model.eye_attention, "eye_att_net", &[(EYE_HIDDEN, FEATURES), (1, EYE_HIDDEN)])?;
        let planes = Planes::new(&model.planes, model.options.bound)?;
        let steps = *planes.steps();
        let [a1, a2] = [0, 1].map(|i| &model.audio_channel_attention.layers[i]);
        let [e1, e2] = [0, 1].map(|i| &model.eye_attention.layers[i]);
        let attention = matrix(HIDDEN + EYE_HIDDEN, FEATURES, |r, k| {
            steps[k] * if r < HIDDEN { at(a1, r, k) } else { at(e1, r - HIDDEN, k) }
        });
        let nets = Nets {
            sigma: &model.sigma,
            color: &model.color,
            individual_code: &model.individual_code,
            range: ColorRange::STRETCHED,
        };
        Field::new(&nets, inputs, |s1| Self {
            attention: Layer::new(&attention, None),
            eye: (eye == 1).then(|| Narrow::new(e2)),
            sigma_in: matrix(HIDDEN, inputs, |r, k| at(s1, r, k) * if k < FEATURES { steps[k] } else { 1.0 }),
            channel_attention: a2.clone(),
            planes,
        })
    }

    /// What one step of each feature is worth.
    pub(super) fn steps(&self) -> &[f32; FEATURES] {
        self.planes.steps()
    }
}

impl Head for PlaneHead {
    const CODE: usize = AUDIO_CODE_LEN;
    const FEATURES: usize = FEATURES;
    type Frame = ();
    type Integer = PlaneLayers16;

    fn of_frame(&self, code: &[f32], eye: f32) -> (Layer, ()) {
        let by_code = matrix(HIDDEN, AUDIO_CODE_LEN, |r, k| at(&self.sigma_in, r, FEATURES + k) * code[k]);
        let attention = product(&by_code, &self.channel_attention);
        let eyes = usize::from(self.eye.is_some());
        let folded = matrix(HIDDEN, FEATURES + HIDDEN + eyes, |r, k| match k {
            0..FEATURES => at(&self.sigma_in, r, k),
            k if k < FEATURES + HIDDEN => at(&attention, r, k - FEATURES),
            _ => at(&self.sigma_in, r, FEATURES + AUDIO_CODE_LEN) * eye,
        });
        (Layer::new(&folded, None), ())
    }

    #[inline(always)]
    fn encode<S: Simd>(&self, s: S, rows: &mut FieldRows) {
        let mut at = 0;
        while at < PACKET {
            let p = rows.position(s, at);
            self.planes.encode(s, p, at, &mut rows.first);
            at += S::LANES;
        }
    }

    #[inline(always)]
    fn place<S: Simd>(&self, _: S, (): &(), _: &mut FieldRows) {}

    /// Hidden rows of the audio channel attention, then the eye attention.
    #[inline(always)]
    fn attend<S: Simd>(&self, s: S, rows: &mut FieldRows) {
        let (features, attention) = rows.first.split_at_mut(FEATURES);
        self.attention.forward_relu(s, features, &mut attention[..HIDDEN + EYE_HIDDEN]);
        let Some(eye) = &self.eye else { return };
        let mut at = 0;
        while at < PACKET {
            let [logit] = eye.forward(s, &rows.first[EYE..], at);
            // Lanes do not meet, so the row that held these lanes' first hidden value is free.
            s.store(sigmoid(s, logit), &mut rows.first[EYE].0[at..at + S::LANES]);
            at += S::LANES;
        }
    }

    fn integer(&self, probes: &[FieldRows]) -> (PlaneLayers16, Vec<f32>) {
        let largest = reach(probes.iter().map(|rows| &rows.first[FEATURES..]));
        let features = [1.0; FEATURES];
        let weight = |r, k| self.attention.weight(r, k);
        let attention = Layer16::new(HIDDEN, &features, |_| true, weight, None, &largest);
        let eye = self.eye.as_ref().map(|eye| {
            let weight = |r, k| self.attention.weight(HIDDEN + r, k);
            let layer = Layer16::new(EYE_HIDDEN, &features, |_| true, weight, None, &[]);
            let head = in_sums(eye.weights(), &layer);
            (layer, head)
        });
        let mut units = attention.units();
        if eye.is_some() {
            units.extend([1.0 / FULL, 0.0]);
        }
        (PlaneLayers16 { attention, eye }, units)
    }

    #[inline(always)]
    fn attend_integer<S: Simd>(
        s: S,
        layers: &PlaneLayers16,
        inputs: &mut [PairRow],
        at: usize,
        active: &mut Active,
    ) {
        let (features, attention) = inputs.split_at_mut(FEATURE_PAIRS);
        let to = Activations { rows: attention, first_pair: FEATURE_PAIRS, active };
        layers.attention.forward(s, features, &FEATURES_ACTIVE, at, Some(to), &[[]; HIDDEN]);
        let Some((layer, head)) = &layers.eye else { return };
        let [logit] = layer.forward(s, features, &FEATURES_ACTIVE, at, None, head);
        for (v, logit) in logit.into_iter().enumerate().take(chunk::<S>() / S::LANES) {
            let eye = s.round(s.mul(sigmoid(s, logit), s.splat(FULL)));
            let lanes = at + v * S::LANES..at + (v + 1) * S::LANES;
            s.store_i(s.pair(eye, s.splat_i(0)), &mut inputs[EYE_PAIR].0[lanes]);
        }
        active.push(EYE_PAIR, true);
    }

    fn multiply_adds(&self) -> usize {
        let eyes = usize::from(self.eye.is_some());
        let attention = (HIDDEN + EYE_HIDDEN) * FEATURES + eyes * EYE_HIDDEN;
        attention + HIDDEN * (FEATURES + HIDDEN + eyes)
    }
}
