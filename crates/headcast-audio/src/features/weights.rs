//! The model's tensors, from a safetensors file.

use std::io::Cursor;

use crate::extractor::container::Reader;

/// `[columns, groups of 8 outputs]`: the weights of a convolution or a matrix, laid out for the kernel.
#[derive(Debug, Clone)]
pub(super) struct Layer {
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    /// `[outputs / 8, inputs, 8]`, outputs padded with zeros to whole groups.
    pub(super) packed: Vec<f32>,
    pub(super) bias: Vec<f32>,
}

/// Outputs in a group: one AVX register, two of SSE or NEON.
pub(super) const GROUP: usize = 8;

/// Reads named tensors.
pub(super) struct Tensors<'a>(Reader<Cursor<&'a [u8]>>);

impl<'a> Tensors<'a> {
    /// `None` if `bytes` is no safetensors file.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        Reader::open(Cursor::new(bytes)).ok().map(Self)
    }

    /// `name.weight` of `[outputs, channels, taps]` (or `[outputs, channels]` for one tap) and `name.bias`.
    ///
    /// The layer's inputs are `[taps, channels]`: consecutive rows of a row-major `[time, channels]` array.
    pub(super) fn layer(
        &mut self,
        name: &str,
        outputs: usize,
        channels: usize,
        taps: usize,
    ) -> Option<Layer> {
        let shape = [outputs, channels, taps];
        let shape = if taps == 1 { &shape[..2] } else { &shape };
        let weight = self.0.read(&format!("{name}.weight"), shape).ok()?;
        let inputs = channels * taps;
        let mut packed = vec![0.0; outputs.div_ceil(GROUP) * GROUP * inputs];
        for output in 0..outputs {
            for channel in 0..channels {
                for tap in 0..taps {
                    let input = tap * channels + channel;
                    let group = output / GROUP;
                    packed[(group * inputs + input) * GROUP + output % GROUP] =
                        weight[(output * channels + channel) * taps + tap];
                }
            }
        }
        let bias = self.0.read(&format!("{name}.bias"), &[outputs]).ok()?;
        Some(Layer { inputs, outputs, packed, bias })
    }
}
