//! The folded network in 16-bit integers.
//!
//! Features are whole numbers already, and the encoded direction is below 1. How far hidden units reach is measured at some
//! points of the head: once for the attentions, which depend on the position alone, and in every frame for
//! the layers that see the audio code. An activation has 15 bits for four times that, and saturates beyond.
//! Density and colour leave the last sums as `f32`, without another rounding.

use super::dense16::{Activations, Active, FULL, Layer16, MAX_PAIRS, PairRow, chunk};
use super::evaluate::{FieldRows, direction_encode, load3};
use super::field::{DIRECTION, Field, FrameField, HIDDEN, Head};
use super::packet::{PACKET, Row};
use super::simd::math::{ColorRange, color_activation};
use super::simd::{Dispatch, Kernel, Simd};

/// Pairs of the colour layer: hidden units, direction.
const DIRECTION_PAIRS: std::ops::Range<usize> = HIDDEN / 2..(HIDDEN + DIRECTION) / 2;

/// What does not change while an avatar speaks.
#[derive(Debug)]
pub(super) struct IntegerField<H: Head> {
    head: H::Integer,
    /// Value of one of each input of sigma.
    sigma_units: Vec<f32>,
    /// Packets of points on the head, behind [`Head::attend`].
    probes: Vec<FieldRows>,
}

/// What does not change within a frame.
#[derive(Debug)]
pub(super) struct IntegerFrame {
    sigma_in: Layer16,
    hidden: Layer16,
    /// What sums of `hidden` contribute to ln sigma.
    log_sigma: Vec<[f32; 1]>,
    color: Layer16,
    /// What sums of `color` contribute to red, green and blue.
    rgb: Vec<[f32; 3]>,
}

impl<H: Head> IntegerField<H> {
    /// * `points`: where the reach of activations is measured.
    pub(super) fn new(dispatch: Dispatch, field: &Field<H>, points: &[[f32; 3]]) -> Self {
        let mut probes = Vec::with_capacity(points.len().div_ceil(PACKET));
        for points in points.chunks(PACKET) {
            let mut rows = FieldRows::new();
            for lane in 0..PACKET {
                // A last packet that is not full repeats its points.
                let point = points[lane % points.len()];
                for (row, value) in rows.position.iter_mut().zip(point) {
                    row.0[lane] = value;
                }
            }
            dispatch.run(Attend { head: &field.head, rows: &mut rows });
            probes.push(rows);
        }
        let (head, more) = field.head.integer(&probes);
        let mut sigma_units = vec![1.0; H::FEATURES];
        sigma_units.extend(more);
        Self { head, sigma_units, probes }
    }

    /// * `frame`: the frame in `f32`.
    pub(super) fn of_frame(
        &self,
        dispatch: Dispatch,
        field: &Field<H>,
        frame: &FrameField<H>,
    ) -> IntegerFrame {
        let mut largest = [[0.0; HIDDEN]; 2];
        let mut work = FieldRows::new();
        for probe in &self.probes {
            work.first.copy_from_slice(&probe.first);
            dispatch.run(Hide { field, frame, rows: &mut work, largest: &mut largest });
        }
        largest.iter_mut().for_each(level_up);
        let weight = |r, k| if k < frame.sigma_in.inputs() { frame.sigma_in.weight(r, k) } else { 0.0 };
        let (units, bias) = (&self.sigma_units, frame.sigma_in.bias());
        let sigma_in = Layer16::new(HIDDEN, units, |k| k < H::FEATURES, weight, Some(bias), &largest[0]);
        let weight = |r, k| field.hidden.weight(r, k);
        let hidden = Layer16::new(HIDDEN, &sigma_in.units(), |_| false, weight, None, &largest[1]);
        let mut units = hidden.units();
        units.extend([1.0 / FULL; DIRECTION]);
        let weight = |r, k| field.color.weight(r, k);
        let color = Layer16::new(HIDDEN, &units, |k| k >= HIDDEN, weight, Some(field.color.bias()), &[]);
        IntegerFrame {
            log_sigma: in_sums(field.log_sigma.weights(), &hidden),
            rgb: in_sums(field.rgb.weights(), &color),
            sigma_in,
            hidden,
            color,
        }
    }
}

/// Weights of outputs that read a layer's sums instead of its values.
pub(super) fn in_sums<const N: usize>(weights: &[[f32; N]], layer: &Layer16) -> Vec<[f32; N]> {
    weights.iter().enumerate().map(|(r, weights)| weights.map(|w| w * layer.unit_of_sum(r))).collect()
}

/// How far a layer's units reach in packets of points, for [`Layer16::new`].
pub(super) fn reach<'a>(packets: impl Iterator<Item = &'a [Row]>) -> [f32; HIDDEN] {
    let mut largest = [0.0; HIDDEN];
    packets.for_each(|rows| raise(&mut largest, rows));
    level_up(&mut largest);
    largest
}

/// Raises `largest` to what the rows reach.
fn raise(largest: &mut [f32; HIDDEN], rows: &[Row]) {
    for (largest, row) in largest.iter_mut().zip(rows) {
        *largest = row.0.iter().fold(*largest, |largest, value| largest.max(*value));
    }
}

/// Widens the reach of units that hardly any probe woke to half of what is usual in the layer.
fn level_up(largest: &mut [f32; HIDDEN]) {
    let mut sorted = *largest;
    sorted.sort_by(f32::total_cmp);
    let floor = 0.5 * sorted[HIDDEN / 2];
    for largest in largest {
        *largest = largest.max(floor);
    }
}

struct Attend<'a, H> {
    head: &'a H,
    rows: &'a mut FieldRows,
}

impl<H: Head> Kernel for Attend<'_, H> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.head.encode(s, self.rows);
        self.head.attend(s, self.rows);
    }
}

struct Hide<'a, H: Head> {
    field: &'a Field<H>,
    frame: &'a FrameField<H>,
    rows: &'a mut FieldRows,
    largest: &'a mut [[f32; HIDDEN]; 2],
}

impl<H: Head> Kernel for Hide<'_, H> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        self.field.head.place(s, &self.frame.head, self.rows);
        let hidden = self.rows.hide(s, self.field, self.frame);
        for (largest, rows) in self.largest.iter_mut().zip(hidden) {
            raise(largest, rows);
        }
    }
}

/// Rows that the integer layers work in: two values of every sample each.
#[derive(Debug)]
pub(super) struct IntegerRows {
    /// Inputs of sigma.
    first: [PairRow; MAX_PAIRS],
    /// First hidden units of sigma.
    second: [PairRow; HIDDEN / 2],
    /// Second hidden units of sigma, the direction.
    third: [PairRow; (HIDDEN + DIRECTION) / 2],
}

impl IntegerRows {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            first: [PairRow::ZERO; MAX_PAIRS],
            second: [PairRow::ZERO; HIDDEN / 2],
            third: [PairRow::ZERO; (HIDDEN + DIRECTION) / 2],
        })
    }
}

impl FieldRows {
    /// Density and colour of the packet, from its features and directions, in integers.
    #[inline(always)]
    pub(super) fn evaluate_integer<S: Simd, H: Head>(
        &mut self,
        s: S,
        field: &IntegerField<H>,
        frame: &IntegerFrame,
        range: ColorRange,
    ) {
        let mut at = 0;
        while at < PACKET {
            self.evaluate_chunk(s, field, frame, range, at);
            at += chunk::<S>();
        }
    }

    #[inline(always)]
    fn evaluate_chunk<S: Simd, H: Head>(
        &mut self,
        s: S,
        field: &IntegerField<H>,
        frame: &IntegerFrame,
        range: ColorRange,
        at: usize,
    ) {
        let vectors = chunk::<S>() / S::LANES;
        let IntegerRows { first, second, third } = &mut *self.integer;
        for v in 0..vectors {
            let lanes = at + v * S::LANES..at + (v + 1) * S::LANES;
            for (pair, rows) in first.iter_mut().zip(self.first[..H::FEATURES].as_chunks::<2>().0) {
                let [low, high] = [s.load(&rows[0].0[lanes.clone()]), s.load(&rows[1].0[lanes.clone()])];
                s.store_i(s.pair(s.round(low), s.round(high)), &mut pair.0[lanes.clone()]);
            }
            let direction = direction_encode(s, load3(s, &self.direction, lanes.start));
            let (full, negative) = (s.splat(FULL), s.splat(-FULL));
            for (pair, values) in third[DIRECTION_PAIRS].iter_mut().zip(direction.as_chunks::<2>().0) {
                let mut whole = [s.splat_i(0); 2];
                for i in 0..2 {
                    whole[i] = s.round(s.min(s.max(s.mul(values[i], full), negative), full));
                }
                s.store_i(s.pair(whole[0], whole[1]), &mut pair.0[lanes.clone()]);
            }
        }

        let mut active = const { Active::all(H::FEATURES / 2) };
        H::attend_integer(s, &field.head, first, at, &mut active);

        let mut active_second = Active::NONE;
        let to = Activations { rows: second, first_pair: 0, active: &mut active_second };
        frame.sigma_in.forward(s, first, &active, at, Some(to), &[[]; HIDDEN]);

        let mut active = Active::NONE;
        let to = Activations { rows: third, first_pair: 0, active: &mut active };
        let [log_sigma] = frame.hidden.forward(s, second, &active_second, at, Some(to), &frame.log_sigma);
        for pair in DIRECTION_PAIRS {
            active.push(pair, true);
        }
        let rgb = frame.color.forward(s, third, &active, at, None, &frame.rgb);
        for v in 0..vectors {
            let lanes = at + v * S::LANES..at + (v + 1) * S::LANES;
            s.store(log_sigma[v], &mut self.log_sigma.0[lanes.clone()]);
            for (logit, row) in rgb.into_iter().zip(&mut self.rgb) {
                s.store(color_activation(s, range, logit[v]), &mut row.0[lanes.clone()]);
            }
        }
    }
}
