//! Density and colour of a packet.

use super::dense16::MAX_PAIRS;
use super::field::{DIRECTION, Field, FrameField, HIDDEN, Head};
use super::integer::IntegerRows;
use super::packet::{PACKET, Row, rows};
use super::simd::Simd;
use super::simd::math::color_activation;

/// Rows that one evaluation of the field works in.
#[derive(Debug)]
pub(super) struct FieldRows {
    /// x, y, z.
    pub(super) position: [Row; 3],
    /// Unit vectors.
    pub(super) direction: [Row; 3],
    /// Inputs of sigma, features first.
    pub(super) first: Box<[Row]>,
    /// Hidden rows of sigma, the first ones; then hidden rows of colour.
    pub(super) second: Box<[Row]>,
    /// Hidden rows of sigma, the second ones; then the encoded direction.
    pub(super) third: Box<[Row]>,
    /// What the 16-bit layers work in.
    pub(super) integer: Box<IntegerRows>,
    /// ln sigma.
    pub(super) log_sigma: Row,
    /// Colour.
    pub(super) rgb: [Row; 3],
}

impl FieldRows {
    pub(super) fn new() -> Self {
        Self {
            position: [Row::ZERO; 3],
            direction: [Row::ZERO; 3],
            first: rows(2 * MAX_PAIRS),
            second: rows(HIDDEN),
            third: rows(HIDDEN + DIRECTION),
            integer: IntegerRows::new(),
            log_sigma: Row::ZERO,
            rgb: [Row::ZERO; 3],
        }
    }

    /// The vector of positions that starts at `at`.
    #[inline(always)]
    pub(super) fn position<S: Simd>(&self, s: S, at: usize) -> [S::F; 3] {
        load3(s, &self.position, at)
    }

    /// Hidden rows of sigma, from its inputs.
    #[inline(always)]
    pub(super) fn hide<S: Simd, H: Head>(
        &mut self,
        s: S,
        field: &Field<H>,
        frame: &FrameField<H>,
    ) -> [&[Row]; 2] {
        frame.sigma_in.forward_relu(s, &self.first, &mut self.second);
        field.hidden.forward_relu(s, &self.second, &mut self.third[..HIDDEN]);
        [&self.second, &self.third[..HIDDEN]]
    }

    /// Density and colour of the packet, from the features of its positions and from its directions.
    #[inline(always)]
    pub(super) fn evaluate<S: Simd, H: Head>(&mut self, s: S, field: &Field<H>, frame: &FrameField<H>) {
        field.head.place(s, &frame.head, self);
        if let (Some(integer), Some(frame)) = (&field.integer, &frame.integer) {
            self.evaluate_integer(s, integer, frame, field.range);
            return;
        }
        field.head.attend(s, self);
        let mut at = 0;
        while at < PACKET {
            let direction = load3(s, &self.direction, at);
            for (value, row) in direction_encode(s, direction).into_iter().zip(&mut self.third[HIDDEN..]) {
                s.store(value, &mut row.0[at..at + S::LANES]);
            }
            at += S::LANES;
        }
        self.hide(s, field, frame);
        field.color.forward_relu(s, &self.third, &mut self.second);
        let mut at = 0;
        while at < PACKET {
            let [log_sigma] = field.log_sigma.forward(s, &self.third, at);
            s.store(log_sigma, &mut self.log_sigma.0[at..at + S::LANES]);
            let rgb = field.rgb.forward(s, &self.second, at);
            for (logit, row) in rgb.into_iter().zip(&mut self.rgb) {
                s.store(color_activation(s, field.range, logit), &mut row.0[at..at + S::LANES]);
            }
            at += S::LANES;
        }
    }
}

/// The vector of three rows that starts at `at`.
#[inline(always)]
pub(super) fn load3<S: Simd>(s: S, rows: &[Row; 3], at: usize) -> [S::F; 3] {
    let mut out = [s.splat(0.0); 3];
    for axis in 0..3 {
        out[axis] = s.load(&rows[axis].0[at..at + S::LANES]);
    }
    out
}

/// Real spherical harmonics of degrees 0 to 3 of unit vectors.
#[inline(always)]
pub(super) fn direction_encode<S: Simd>(s: S, [x, y, z]: [S::F; 3]) -> [S::F; DIRECTION] {
    let (xx, yy, zz) = (s.mul(x, x), s.mul(y, y), s.mul(z, z));
    let (xy, yz, xz) = (s.mul(x, y), s.mul(y, z), s.mul(x, z));
    let one = s.splat(1.0);
    let five_zz = s.mul(s.splat(5.0), zz);
    [
        s.splat(0.282_094_8),
        s.mul(s.splat(-0.488_602_52), y),
        s.mul(s.splat(0.488_602_52), z),
        s.mul(s.splat(-0.488_602_52), x),
        s.mul(s.splat(1.092_548_5), xy),
        s.mul(s.splat(-1.092_548_5), yz),
        s.sub(s.mul(s.splat(0.946_174_7), zz), s.splat(0.315_391_57)),
        s.mul(s.splat(-1.092_548_5), xz),
        s.mul(s.splat(0.546_274_24), s.sub(xx, yy)),
        s.mul(s.mul(s.splat(0.590_043_6), y), s.sub(yy, s.mul(s.splat(3.0), xx))),
        s.mul(s.mul(s.splat(2.890_611_4), xy), z),
        s.mul(s.mul(s.splat(0.457_045_8), y), s.sub(one, five_zz)),
        s.mul(s.mul(s.splat(0.373_176_34), z), s.sub(five_zz, s.splat(3.0))),
        s.mul(s.mul(s.splat(0.457_045_8), x), s.sub(one, five_zz)),
        s.mul(s.mul(s.splat(1.445_305_7), z), s.sub(xx, yy)),
        s.mul(s.mul(s.splat(0.590_043_6), x), s.sub(s.mul(s.splat(3.0), yy), xx)),
    ]
}
