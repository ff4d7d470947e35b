//! The model's tensors, from a safetensors file.

use serde_json::Value;

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

/// Reads named `f32` tensors.
pub(super) struct Tensors<'a> {
    header: Value,
    data: &'a [u8],
}

impl<'a> Tensors<'a> {
    /// `None` if `bytes` is no safetensors file.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (header, data) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*len)).ok()?)?;
        Some(Self { header: serde_json::from_slice(header).ok()?, data })
    }

    fn tensor(&self, name: &str, shape: &[usize]) -> Option<Vec<f32>> {
        let entry = self.header.get(name)?;
        let numbers = |key| -> Option<Vec<usize>> {
            entry.get(key)?.as_array()?.iter().map(|v| usize::try_from(v.as_u64()?).ok()).collect()
        };
        if entry.get("dtype")?.as_str()? != "F32" || numbers("shape")? != shape {
            return None;
        }
        let range = numbers("data_offsets")?;
        let bytes = self.data.get(*range.first()?..*range.get(1)?)?;
        let (values, []) = bytes.as_chunks() else { return None };
        (values.len() == shape.iter().product::<usize>())
            .then(|| values.iter().map(|v| f32::from_le_bytes(*v)).collect())
    }

    /// `name.weight` of `[outputs, channels, taps]` (or `[outputs, channels]` for one tap) and `name.bias`.
    ///
    /// The layer's inputs are `[taps, channels]`: consecutive rows of a row-major `[time, channels]` array.
    pub(super) fn layer(&self, name: &str, outputs: usize, channels: usize, taps: usize) -> Option<Layer> {
        let shape = [outputs, channels, taps];
        let shape = if taps == 1 { &shape[..2] } else { &shape };
        let weight = self.tensor(&format!("{name}.weight"), shape)?;
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
        let bias = self.tensor(&format!("{name}.bias"), &[outputs])?;
        Some(Layer { inputs, outputs, packed, bias })
    }
}
