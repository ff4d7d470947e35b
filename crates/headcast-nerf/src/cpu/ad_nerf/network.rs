//! A network of AD-NeRF, with everything added up beforehand that is the same for many samples.
//!
//! With `p` the encoded position, `s` what the network hears, `d` the encoded direction:
//!
//! ```text
//! h = relu(A0 [p, s] + b0), …, relu(A5 [p, s, h] + b5), …      density = α h      colour = C relu(… relu(V0 [h, d] + c0))
//! ```
//!
//! `s` is the same in a whole frame, so `A0s s + b0` and `A5s s + b5` are biases; `d` is the same along a ray, so
//! `V0d d + c0` is what a ray's sums start from. Of a head's 593,408 multiply-adds 557,184 are left, and 486,912 where
//! density is all that is wanted.

use super::super::error::RenderError;
use super::super::packet::{Narrow, PACKET, Row, rows};
use super::super::simd::{Kernel, Simd};
use super::blocked::{Blocked, Start};
use super::octaves::octave_encode;
use crate::field::octave_encode as encode_direction;
use crate::model::{FaceNet, Linear, Matrix};

/// Packets that go through a layer one after the other.
const PACKETS: usize = 4;
/// Samples that are evaluated together.
pub(super) const BATCH: usize = PACKETS * PACKET;

/// What does not change while an avatar speaks.
#[derive(Debug)]
pub(super) struct Network {
    /// Without the columns of the signal.
    points: Vec<Blocked>,
    /// Of the layers in `points`, padded.
    biases: Vec<Vec<f32>>,
    /// The columns of the signal, of the first layer and of the one that sees the input again.
    hearing: [Matrix; 2],
    alpha: Narrow<1>,
    alpha_bias: f32,
    /// Without the columns of the direction.
    views: Vec<Blocked>,
    /// Of the layers in `views`, padded; the first is part of what a ray starts from.
    view_biases: Vec<Vec<f32>>,
    /// The columns of the direction, one after the other: `[27, rows of the first view layer]`.
    looking: Vec<f32>,
    rgb: Narrow<3>,
    rgb_bias: [f32; 3],
    width: usize,
    multiply_adds: [usize; 2],
}

/// Biases of a frame: with what is heard in it.
#[derive(Debug)]
pub(super) struct Heard(Vec<Vec<f32>>);

/// The layer that sees the input a second time.
const AGAIN: usize = FaceNet::SKIP + 1;

impl Network {
    /// # Errors
    /// [`RenderError::Unsupported`] when layers do not fit each other.
    pub(super) fn new(net: &FaceNet) -> Result<Self, RenderError> {
        let (width, signal) = (net.width(), net.signal());
        check(net)?;
        let position = FaceNet::POSITION;
        let mut points = Vec::with_capacity(net.points.len());
        for (number, Linear { weight, .. }) in net.points.iter().enumerate() {
            let inputs = match number {
                0 => position,
                AGAIN => position + width,
                _ => width,
            };
            // The signal's columns come behind the position's.
            let skipped = |k: usize| k + if number == AGAIN && k >= position { signal } else { 0 };
            points.push(Blocked::new(width, inputs, |r, k| at(weight, r, skipped(k))));
        }
        let hearing = [0, AGAIN].map(|number| {
            let weight = &net.points[number].weight;
            let data = (0..width).flat_map(|r| (0..signal).map(move |k| at(weight, r, position + k)));
            Matrix { rows: width, cols: signal, data: data.collect() }
        });
        let half = net.views[0].weight.rows;
        let views: Vec<Blocked> = (net.views.iter().enumerate())
            .map(|(number, Linear { weight, .. })| {
                Blocked::new(half, if number == 0 { width } else { half }, |r, k| at(weight, r, k))
            })
            .collect();
        let looking = (0..FaceNet::DIRECTION).flat_map(|k| {
            let weight = &net.views[0].weight;
            (0..views[0].rows()).map(move |r| if r < half { at(weight, r, width + k) } else { 0.0 })
        });
        let padded = |layers: &[Linear], packed: &[Blocked]| -> Vec<Vec<f32>> {
            let bias = |(layer, packed): (&Linear, &Blocked)| {
                let mut bias = layer.bias.clone();
                bias.resize(packed.rows(), 0.0);
                bias
            };
            layers.iter().zip(packed).map(bias).collect()
        };
        let density = width * (2 * position + (net.points.len() - 1) * width + 1);
        let color = half * (width + (net.views.len() - 1) * half + 3);
        Ok(Self {
            biases: padded(&net.points, &points),
            view_biases: padded(&net.views, &views),
            looking: looking.collect(),
            points,
            hearing,
            alpha: Narrow::new(&net.alpha.weight),
            alpha_bias: net.alpha.bias[0],
            views,
            rgb: Narrow::new(&net.rgb.weight),
            rgb_bias: [0, 1, 2].map(|channel| net.rgb.bias[channel]),
            width,
            multiply_adds: [density, density + color],
        })
    }

    /// Values of the signal that it hears.
    pub(super) fn signal(&self) -> usize {
        self.hearing[0].cols
    }

    /// Multiply-adds of a query, of density alone or with colour.
    pub(super) fn multiply_adds(&self, color: bool) -> usize {
        self.multiply_adds[usize::from(color)]
    }

    /// Adds what is heard in a frame to the biases.
    ///
    /// # Panics
    /// If `signal` has another length.
    pub(super) fn hear(&self, signal: &[f32]) -> Heard {
        let mut biases = self.biases.clone();
        for (number, columns) in [0, AGAIN].into_iter().zip(&self.hearing) {
            assert_eq!(signal.len(), columns.cols, "what the network hears");
            for (bias, weights) in biases[number].iter_mut().zip(columns.data.chunks_exact(columns.cols)) {
                *bias += weights.iter().zip(signal).map(|(w, s)| w * s).sum::<f32>();
            }
        }
        Heard(biases)
    }

    /// What the colour of a ray's samples starts from.
    ///
    /// * `view`: of length 1.
    /// * `out`: overwritten.
    pub(super) fn look(&self, view: [f32; 3], out: &mut Vec<f32>) {
        out.clear();
        out.extend_from_slice(&self.view_biases[0]);
        let mut encoded = Vec::with_capacity(FaceNet::DIRECTION);
        encode_direction(&view, 4, &mut encoded);
        for (column, value) in self.looking.chunks_exact(out.len()).zip(encoded) {
            for (out, weight) in out.iter_mut().zip(column) {
                *out += weight * value;
            }
        }
    }
}

fn at(matrix: &Matrix, row: usize, column: usize) -> f32 {
    matrix.data[row * matrix.cols + column]
}

/// Samples in the making: 128 of them in packets.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) packets: Vec<Packet>,
}

/// One packet of a batch.
#[derive(Debug)]
pub(super) struct Packet {
    /// Read.
    pub(super) position: [Row; 3],
    /// What colour starts from, of [`Network::look`]; read.
    pub(super) start: Box<[Row]>,
    /// Density before its rectification; written.
    pub(super) raw: Row,
    /// Logits of colour; written when it is wanted.
    pub(super) rgb: [Row; 3],
    /// The encoded position, and behind it the outputs of the layers with even numbers: where the layer that sees both
    /// needs them.
    even: Box<[Row]>,
    /// Outputs of the layers with odd numbers.
    odd: Box<[Row]>,
}

impl Batch {
    /// For queries of all of `networks`.
    pub(super) fn new<'a>(networks: impl Iterator<Item = &'a Network>) -> Self {
        let (mut width, mut start) = (0, 0);
        for network in networks {
            width = width.max(network.points[0].rows()).max(network.width);
            start = start.max(network.views[0].rows());
        }
        // Views are narrower than points, but both are padded.
        let width = width.max(start);
        let packet = || Packet {
            position: [Row::ZERO; 3],
            start: rows(start),
            raw: Row::ZERO,
            rgb: [Row::ZERO; 3],
            even: rows(FaceNet::POSITION + width),
            odd: rows(width),
        };
        Self { packets: (0..PACKETS).map(|_| packet()).collect() }
    }
}

/// Evaluates the first packets of a batch.
pub(super) struct Evaluate<'a> {
    pub(super) network: &'a Network,
    pub(super) heard: &'a Heard,
    /// Whether colour is wanted, too.
    pub(super) color: bool,
    pub(super) packets: &'a mut [Packet],
}

impl Kernel for Evaluate<'_> {
    type Output = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let Self { network, heard, color, packets } = self;
        for packet in packets.iter_mut() {
            let mut at = 0;
            while at < PACKET {
                octave_encode(s, &packet.position, at, &mut packet.even);
                at += S::LANES;
            }
        }
        let mut even = false;
        for (number, (layer, bias)) in network.points.iter().zip(&heard.0).enumerate() {
            even = number % 2 == 0;
            for Packet { even: input, odd, .. } in packets.iter_mut() {
                let (position, hidden) = input.split_at_mut(FaceNet::POSITION);
                let bias = Start::Bias(bias);
                match number {
                    0 => layer.forward_relu(s, bias, position, hidden),
                    AGAIN => layer.forward_relu(s, bias, input, odd),
                    _ if even => layer.forward_relu(s, bias, odd, hidden),
                    _ => layer.forward_relu(s, bias, hidden, odd),
                }
            }
        }
        for Packet { even: input, odd, raw, .. } in packets.iter_mut() {
            let h = if even { &input[FaceNet::POSITION..] } else { &odd[..] };
            let mut at = 0;
            while at < PACKET {
                let [sum] = network.alpha.forward(s, h, at);
                s.store(s.add(sum, s.splat(network.alpha_bias)), &mut raw.0[at..at + S::LANES]);
                at += S::LANES;
            }
        }
        if !color {
            return;
        }
        for (number, (layer, bias)) in network.views.iter().zip(&network.view_biases).enumerate() {
            for Packet { even: input, odd, start, .. } in packets.iter_mut() {
                let hidden = &mut input[FaceNet::POSITION..];
                let (from, to) = if even { (&*hidden, &mut odd[..]) } else { (&odd[..], hidden) };
                let start = if number == 0 { Start::Rows(start) } else { Start::Bias(bias) };
                layer.forward_relu(s, start, from, to);
            }
            even = !even;
        }
        for Packet { even: input, odd, rgb, .. } in packets.iter_mut() {
            let h = if even { &input[FaceNet::POSITION..] } else { &odd[..] };
            let mut at = 0;
            while at < PACKET {
                let sums = network.rgb.forward(s, h, at);
                for ((sum, bias), row) in sums.into_iter().zip(network.rgb_bias).zip(rgb.iter_mut()) {
                    s.store(s.add(sum, s.splat(bias)), &mut row.0[at..at + S::LANES]);
                }
                at += S::LANES;
            }
        }
    }
}

/// Whether every layer takes what the one before gives.
fn check(net: &FaceNet) -> Result<(), RenderError> {
    let (width, signal) = (net.width(), net.signal());
    let input = FaceNet::POSITION + signal;
    let half = net.views.first().map_or(0, |layer| layer.weight.rows);
    let fits = |layer: &Linear, rows: usize, cols: usize| {
        let Matrix { rows: r, cols: c, ref data } = layer.weight;
        (r, c) == (rows, cols) && data.len() == r * c && layer.bias.len() == r
    };
    let points = net.points.iter().enumerate().all(|(number, layer)| {
        let cols = match number {
            0 => input,
            AGAIN => input + width,
            _ => width,
        };
        fits(layer, width, cols)
    });
    let views = net.views.iter().enumerate().all(|(number, layer)| {
        fits(layer, half, if number == 0 { width + FaceNet::DIRECTION } else { half })
    });
    let heads = fits(&net.alpha, 1, width) && fits(&net.rgb, 3, half);
    if points && views && heads && net.points.len() > AGAIN && half > 0 && width > 0 {
        return Ok(());
    }
    Err(RenderError::Unsupported {
        what: format!(
            "an AD-NeRF network of {} and {} layers of width {width} that do not fit each other",
            net.points.len(),
            net.views.len()
        ),
    })
}
