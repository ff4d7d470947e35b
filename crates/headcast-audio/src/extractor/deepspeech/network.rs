//! DeepSpeech 0.1.0's network: three dense layers, one bidirectional LSTM, two dense layers.
//!
//! Hannun et al. 2014, "Deep Speech", §2, with an LSTM in the place of the plain recurrence, as Mozilla trained it.
//! Sizes are those of the weights.

use std::io;
use std::ops::Range;
use std::thread;

use headcast_core::spool::{Spool, Spools};

use super::super::matrix::{Matrix, Precision, Rows, Start, product};
use super::mfcc::{CEPSTRA, Inputs};
use super::weights::{Config, Name};

/// Upper bound of the dense layers' outputs.
const CLIP: f32 = 20.0;
/// Added to the bias of the forget gate.
const FORGET_BIAS: f32 = 1.0;
/// Gates of a cell, in this order: input, new value, forget, output.
const GATES: usize = 4;
/// Inputs that go through the network together: activations of 20 MB for 2048 cells.
const CHUNK: u64 = 256;

/// The network with its weights.
pub(super) struct Network {
    /// 494 → 2048 → 2048 → 4096.
    before: [Dense; 3],
    directions: [Lstm; 2],
    /// The fifth layer, what it takes from each direction; the bias is added once.
    after: [Matrix; 2],
    after_bias: Vec<f32>,
    /// 2048 → 29.
    last: Dense,
}

struct Dense {
    weights: Matrix,
    bias: Vec<f32>,
}

/// One direction.
struct Lstm {
    /// From the layer before, and from the output one step before.
    input: Matrix,
    recurrent: Matrix,
    /// With the forget bias.
    bias: Vec<f32>,
}

impl Network {
    /// Packs the weights that `read` gives, each in the shape that `config` says.
    ///
    /// # Panics
    /// If they have another number of values.
    pub(super) fn load<E>(
        config: &Config,
        precision: Precision,
        read: &mut dyn FnMut(Name) -> Result<Vec<f32>, E>,
    ) -> Result<Self, E> {
        let Config { dense: [_, _, third], cells, .. } = *config;
        let mut dense = |weights: Name, bias: Name| {
            let [inputs, outputs] = axes(config, weights);
            let weights = matrix(&read(weights)?, outputs, 0..inputs, precision);
            Ok(Dense { weights, bias: read(bias)? })
        };
        let before = [dense(Name::H1, Name::B1)?, dense(Name::H2, Name::B2)?, dense(Name::H3, Name::B3)?];
        let last = dense(Name::H6, Name::B6)?;
        let mut direction = |kernel, bias| {
            let (kernel, mut bias) = (read(kernel)?, read(bias)?);
            bias[2 * cells..3 * cells].iter_mut().for_each(|bias| *bias += FORGET_BIAS);
            let input = matrix(&kernel, GATES * cells, 0..third, precision);
            // Read whole for every row of 20 ms: converting it each time would take twice as long as the product.
            let recurrent = matrix(&kernel, GATES * cells, third..third + cells, Precision::F32);
            Ok(Lstm { input, recurrent, bias })
        };
        let directions = [
            direction(Name::ForwardKernel, Name::ForwardBias)?,
            direction(Name::BackwardKernel, Name::BackwardBias)?,
        ];
        let (after, after_bias) = (read(Name::H5)?, read(Name::B5)?);
        let half = |inputs| matrix(&after, config.after, inputs, precision);
        let after = [half(0..cells), half(cells..2 * cells)];
        Ok(Self { before, directions, after, after_bias, last })
    }

    /// Memory of the weights.
    pub(super) fn bytes(&self) -> usize {
        let before: usize = self.before.iter().map(|layer| layer.weights.bytes()).sum();
        let directions: usize =
            self.directions.iter().map(|lstm| lstm.input.bytes() + lstm.recurrent.bytes()).sum();
        before + directions + self.after.iter().map(Matrix::bytes).sum::<usize>() + self.last.weights.bytes()
    }

    /// Scores per input.
    pub(super) fn classes(&self) -> usize {
        self.last.weights.outputs()
    }

    fn cells(&self) -> usize {
        self.directions[0].recurrent.inputs()
    }

    /// Runs over a whole clip, on two threads or more.
    ///
    /// Each direction walks the clip from its end. Up to the middle it puts its outputs aside; from there on
    /// it finds those of the other one, and the layers after can run. Half of one direction's outputs is on the disk
    /// at most at a time for each, 0.4 MB per second of speech together.
    ///
    /// ```text
    /// forward   ──put aside──►│──with backward's──► scores
    /// scores ◄──with forward's──│◄──put aside──   backward
    /// ```
    ///
    /// * `stop`: asked before each chunk of 5 s; when it says so, the result is an error of the kind
    ///   [`io::ErrorKind::Interrupted`].
    pub(super) fn scores(
        &self,
        inputs: &Inputs,
        spools: &Spools,
        threads: usize,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> io::Result<Scores> {
        self.scores_by(CHUNK, inputs, spools, threads, stop)
    }

    /// As [`Self::scores`], with chunks of `length` inputs.
    pub(super) fn scores_by(
        &self,
        length: u64,
        inputs: &Inputs,
        spools: &Spools,
        threads: usize,
        stop: &(dyn Fn() -> bool + Sync),
    ) -> io::Result<Scores> {
        let frames = inputs.frames();
        let chunks = frames.div_ceil(length);
        let middle = chunks / 2;
        let chunk = |k: u64| k * length..frames.min((k + 1) * length);
        let threads = (threads / 2).max(1);
        let (mut forward, mut backward) =
            (Walk::new(self, 0, inputs, threads), Walk::new(self, 1, inputs, threads));
        let (aside_forward, aside_backward) = (spools.spool(), spools.spool());
        let go_on = || if stop() { Err(io::Error::from(io::ErrorKind::Interrupted)) } else { Ok(()) };

        join(
            || {
                (0..middle).try_for_each(|k| {
                    go_on()?;
                    aside_forward.append_f32s(forward.chunk(chunk(k))?)
                })
            },
            || {
                (middle..chunks).rev().try_for_each(|k| {
                    go_on()?;
                    aside_backward.append_f32s(backward.chunk(chunk(k))?)
                })
            },
        )?;
        let cells = self.cells() as u64;
        let scores = Scores {
            classes: self.classes(),
            frames,
            chunk: length,
            middle: middle * length,
            first_half: spools.spool(),
            second_half: spools.spool(),
        };
        join(
            || {
                let mut other = Vec::new();
                (middle..chunks).try_for_each(|k| {
                    go_on()?;
                    let range = chunk(k);
                    resize(&mut other, (range.end - range.start) * cells);
                    // The last chunk was put aside first.
                    aside_backward.read_f32s((frames - range.end) * cells, &mut other)?;
                    let own = forward.chunk(range)?;
                    scores.second_half.append_f32s(&self.after([own, &other], threads))
                })
            },
            || {
                let mut other = Vec::new();
                (0..middle).rev().try_for_each(|k| {
                    go_on()?;
                    let range = chunk(k);
                    resize(&mut other, (range.end - range.start) * cells);
                    aside_forward.read_f32s(range.start * cells, &mut other)?;
                    let own = backward.chunk(range)?;
                    scores.first_half.append_f32s(&self.after([&other, own], threads))
                })
            },
        )?;
        Ok(scores)
    }

    /// The layers after the recurrent one, from the outputs of both directions.
    fn after(&self, both: [&[f32]; 2], threads: usize) -> Vec<f32> {
        let count = both[0].len() / self.cells();
        let mut hidden = vec![0.0; count * self.after_bias.len()];
        product(
            rows(both[0], self.cells()),
            &self.after[0],
            Start::Bias(&self.after_bias),
            &mut hidden,
            threads,
        );
        product(rows(both[1], self.cells()), &self.after[1], Start::Out, &mut hidden, threads);
        clip(&mut hidden);
        let mut scores = vec![0.0; count * self.classes()];
        self.last.run(rows(&hidden, self.after_bias.len()), &mut scores, threads);
        scores
    }
}

impl Dense {
    fn run(&self, rows: Rows<'_>, out: &mut [f32], threads: usize) {
        product(rows, &self.weights, Start::Bias(&self.bias), out, threads);
    }
}

/// One direction on its way through a clip.
struct Walk<'a> {
    network: &'a Network,
    direction: usize,
    inputs: &'a Inputs,
    threads: usize,
    cell: Vec<f32>,
    output: Vec<f32>,
    /// Values of the layer before and after, by turns; gates; outputs of the last chunk.
    values: [Vec<f32>; 2],
    gates: Vec<f32>,
    outputs: Vec<f32>,
}

impl<'a> Walk<'a> {
    fn new(network: &'a Network, direction: usize, inputs: &'a Inputs, threads: usize) -> Self {
        let cells = network.cells();
        Self {
            network,
            direction,
            inputs,
            threads,
            cell: vec![0.0; cells],
            output: vec![0.0; cells],
            values: Default::default(),
            gates: Vec::new(),
            outputs: Vec::new(),
        }
    }

    /// The outputs of this direction for the inputs `range`, `[range, cells]` in the order of time. Ranges follow
    /// each other in the order of the direction.
    fn chunk(&mut self, range: Range<u64>) -> io::Result<&[f32]> {
        let count = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        let lstm = &self.network.directions[self.direction];
        let [now, next] = &mut self.values;
        self.inputs.read(range, now)?;
        let mut stride = CEPSTRA;
        for layer in &self.network.before {
            next.resize(count * layer.weights.outputs(), 0.0);
            layer.run(Rows { values: now, stride, count }, next, self.threads);
            clip(next);
            stride = layer.weights.outputs();
            std::mem::swap(now, next);
        }
        // What the gates get from the layer before, for all steps at once.
        let cells = self.cell.len();
        self.gates.resize(count * GATES * cells, 0.0);
        product(
            Rows { values: now, stride, count },
            &lstm.input,
            Start::Bias(&lstm.bias),
            &mut self.gates,
            self.threads,
        );
        self.outputs.resize(count * cells, 0.0);
        let backward = self.direction == 1;
        for step in 0..count {
            let t = if backward { count - 1 - step } else { step };
            let gates = &mut self.gates[t * GATES * cells..][..GATES * cells];
            product(rows(&self.output, cells), &lstm.recurrent, Start::Out, gates, 1);
            lstm_step(gates, &mut self.cell, &mut self.output);
            self.outputs[t * cells..][..cells].copy_from_slice(&self.output);
        }
        Ok(&self.outputs)
    }
}

/// Gates to the cells' next values and outputs.
fn lstm_step(gates: &[f32], cell: &mut [f32], output: &mut [f32]) {
    let cells = cell.len();
    let (input, rest) = gates.split_at(cells);
    let (new, rest) = rest.split_at(cells);
    let (forget, out) = rest.split_at(cells);
    for i in 0..cells {
        cell[i] = sigmoid(forget[i]) * cell[i] + sigmoid(input[i]) * new[i].tanh();
        output[i] = sigmoid(out[i]) * cell[i].tanh();
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

fn clip(values: &mut [f32]) {
    for value in values {
        *value = value.clamp(0.0, CLIP);
    }
}

fn rows(values: &[f32], length: usize) -> Rows<'_> {
    Rows { values, stride: length, count: values.len() / length }
}

/// Inputs and outputs of a layer.
fn axes(config: &Config, weights: Name) -> [usize; 2] {
    let shape = config.shape(weights);
    [shape[0], shape[1]]
}

/// Some inputs of a TensorFlow matrix, which is `[inputs, outputs]`.
fn matrix(values: &[f32], outputs: usize, inputs: Range<usize>, precision: Precision) -> Matrix {
    let values = &values[inputs.start * outputs..inputs.end * outputs];
    Matrix::pack(values, [outputs, inputs.len()], [1, outputs], precision)
}

fn resize(values: &mut Vec<f32>, count: u64) {
    values.resize(usize::try_from(count).unwrap_or(usize::MAX), 0.0);
}

/// Runs both at once; the first error counts.
fn join(a: impl FnOnce() -> io::Result<()>, b: impl FnOnce() -> io::Result<()> + Send) -> io::Result<()> {
    thread::scope(|scope| {
        let b = scope.spawn(b);
        let a = a();
        let b = b.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        a.and(b)
    })
}

/// Scores of a whole clip, `[frames, classes]`, in two halves.
pub(super) struct Scores {
    classes: usize,
    frames: u64,
    chunk: u64,
    /// First frame of the second half.
    middle: u64,
    /// Chunks of this half were appended from the last to the first.
    first_half: Spool,
    second_half: Spool,
}

impl Scores {
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    /// Scores of one frame.
    pub(super) fn read(&self, frame: u64, out: &mut [f32]) -> io::Result<()> {
        let classes = self.classes as u64;
        if frame >= self.middle {
            return self.second_half.read_f32s((frame - self.middle) * classes, out);
        }
        let chunk_end = (frame / self.chunk + 1) * self.chunk;
        self.first_half.read_f32s((self.middle - chunk_end + frame % self.chunk) * classes, out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{golden, inputs, tiny};
    use super::*;

    /// `f32` on both sides, sums of 494 terms up to 20 in another order.
    const TOLERANCE: f32 = 5e-5;

    #[test]
    fn every_layer_is_that_of_tensorflow() {
        let (model, inputs) = (tiny(), inputs());
        let (third, both) = (golden("layer_3"), golden("both"));
        let cells = model.network.cells();
        for direction in [0, 1] {
            let mut walk = Walk::new(&model.network, direction, &inputs, 1);
            walk.chunk(0..inputs.frames()).unwrap();
            assert_eq!(walk.values[0].len(), third.len());
            let off = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off(&walk.values[0], &third) < TOLERANCE, "{}", off(&walk.values[0], &third));
            let outputs: Vec<f32> = both
                .chunks_exact(2 * cells)
                .flat_map(|row| row[direction * cells..][..cells].to_vec())
                .collect();
            assert_eq!(walk.outputs.len(), outputs.len());
            assert!(
                off(&walk.outputs, &outputs) < TOLERANCE,
                "{direction}: {}",
                off(&walk.outputs, &outputs)
            );
            // Control: the other direction is another one.
            let other: Vec<f32> = both
                .chunks_exact(2 * cells)
                .flat_map(|row| row[(1 - direction) * cells..][..cells].to_vec())
                .collect();
            assert!(off(&walk.outputs, &other) > 0.1);
        }
        // Cells at both ends of the clipped range are among them.
        assert!(third.contains(&0.0) && third.contains(&20.0));
    }
}
