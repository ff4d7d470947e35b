//! Audio code: one window of features to 32 values, then attention over eight neighbouring windows.

use std::collections::VecDeque;
use std::ops::Range;

use headcast_core::{FeatureKind, FeatureTrack, Stop, ValuesError};

use crate::model::{AdNerf, AudioAttention, AudioNet, Conv1d, ErNerf, Linear, Matrix, RadNerf};

use super::dot::dot;

/// Values in an audio code of ER-NeRF.
pub const AUDIO_CODE_LEN: usize = 32;
/// Values in an audio code of RAD-NeRF and AD-NeRF.
pub const WIDE_CODE_LEN: usize = 64;

/// What the field knows about the speech of one frame.
pub type AudioCode<const N: usize = AUDIO_CODE_LEN> = [f32; N];

/// The part of a model that hears: it makes codes of `N` values.
#[derive(Debug, Clone, Copy)]
pub struct Ears<'a, const N: usize> {
    features: FeatureKind,
    /// Upstream's `--att`; 0 without attention.
    attention: u8,
    net: &'a AudioNet,
    pool: Option<&'a AudioAttention>,
    embedding: Option<&'a Matrix>,
}

impl<'a> From<&'a ErNerf> for Ears<'a, AUDIO_CODE_LEN> {
    fn from(model: &'a ErNerf) -> Self {
        let pool = model.audio_attention.as_ref();
        Self::new(
            &model.audio,
            pool,
            model.embedding.as_ref(),
            model.options.features,
            model.options.attention,
        )
    }
}

impl<'a> From<&'a RadNerf> for Ears<'a, WIDE_CODE_LEN> {
    fn from(model: &'a RadNerf) -> Self {
        let pool = model.audio_attention.as_ref();
        Self::new(
            &model.audio,
            pool,
            model.embedding.as_ref(),
            model.options.features,
            model.options.attention,
        )
    }
}

impl<'a> From<&'a AdNerf> for Ears<'a, WIDE_CODE_LEN> {
    fn from(model: &'a AdNerf) -> Self {
        // Its `smo_size` of 8 is the neighbourhood that the others call 2.
        Self::new(&model.audio, Some(&model.audio_attention), None, model.options.features, 2)
    }
}

impl<'a, const N: usize> Ears<'a, N> {
    fn new(
        net: &'a AudioNet,
        pool: Option<&'a AudioAttention>,
        embedding: Option<&'a Matrix>,
        features: FeatureKind,
        attention: u8,
    ) -> Self {
        let pool = pool.filter(|_| attention != 0);
        Self { features, attention: pool.map_or(0, |_| attention), net, pool, embedding }
    }

    /// The code of one window `[steps, dims]` by itself, without attention; overwrites it in a model trained with
    /// `--emb`.
    fn window_code(&self, window: &mut [f32]) -> AudioCode<N> {
        if let Some(table) = self.embedding {
            embed(table, window);
        }
        audio_net(self.net, window)
            .try_into()
            .expect("the width of the code is checked when a model is loaded")
    }
}

/// Why an avatar hears nothing in a feature track.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum ConditioningError {
    /// Extract the features again with the model that the message names.
    #[error(
        "the avatar was trained with {}, but these features are {}; extract them again with the avatar's model",
        expected.describe(), found.describe()
    )]
    FeatureKind {
        /// What the avatar was trained with.
        expected: FeatureKind,
        /// What was handed over.
        found: FeatureKind,
    },
    /// Look at the disk.
    #[error("the speech features cannot be read: {reason}")]
    Unreadable {
        /// What the system said.
        reason: String,
    },
    /// The weights of the extractor are damaged, or not those of a speech network: add the model again.
    #[error(
        "the extractor's values cannot be used: they hold {value} where every value must be finite; add the model again"
    )]
    NotFinite {
        /// The first such value.
        value: f32,
    },
    /// Nothing: whoever asked for the code gave up.
    #[error("cancelled")]
    Stopped,
}

impl From<ValuesError> for ConditioningError {
    /// Of a feature track.
    fn from(error: ValuesError) -> Self {
        match error {
            ValuesError::NotFinite { value } => Self::NotFinite { value },
            ValuesError::Stopped => Self::Stopped,
            error => Self::Unreadable { reason: error.to_string() },
        }
    }
}

/// Positions whose windows the attention of frame `frame` sees; those outside the clip are silence.
///
/// `attention` is upstream's `--att`: 0 sees the frame itself, 1 the eight before it (and not itself), 2 the
/// frame with four before and three after.
///
/// # Panics
/// If `frame` is above `i64::MAX - 4`: no clip is that long.
pub fn neighbourhood(attention: u8, frame: u64) -> Range<i64> {
    let at = i64::try_from(frame).expect("frame numbers fit an i64");
    match attention {
        0 => at..at + 1,
        1 => at - 8..at,
        _ => at - 4..at + 4,
    }
}

/// The audio code of every frame of a clip of `frames` frames, in order.
///
/// See [`AudioCodes`], which yields the same values one at a time.
///
/// # Errors
/// [`ConditioningError`]: the avatar was trained with other features, or these cannot be read.
pub fn audio_codes<'a, const N: usize>(
    model: impl Into<Ears<'a, N>>,
    track: &'a FeatureTrack,
    frames: u64,
    smooth_lips: bool,
) -> Result<Vec<AudioCode<N>>, ConditioningError> {
    let ears: Ears<'_, N> = model.into();
    AudioCodes::new(ears, track, frames, smooth_lips)?.collect()
}

/// The code of every row of `track` by itself, without attention over its neighbours.
///
/// # Errors
/// [`ConditioningError::Unreadable`] and [`ConditioningError::NotFinite`].
pub fn window_codes<'a, const N: usize>(
    model: impl Into<Ears<'a, N>>,
    track: &FeatureTrack,
) -> Result<Vec<AudioCode<N>>, ConditioningError> {
    let ears = model.into();
    let mut window = vec![0.0; track.window_len()];
    let code = |row| {
        track.window_into(row, &mut window)?;
        Ok(ears.window_code(&mut window))
    };
    (0..track.rows()).map(code).collect()
}

/// Audio codes of a clip, frame by frame. After an error there is no more to be had.
///
/// Every window passes the audio net once and stays while a neighbour needs it; silence passes it once in
/// all. Memory does not depend on the length of the clip.
#[derive(Debug)]
pub struct AudioCodes<'a, const N: usize> {
    ears: Ears<'a, N>,
    track: &'a FeatureTrack,
    frames: u64,
    smooth_lips: bool,
    next_frame: u64,
    /// Codes of the positions in `neighbourhood(attention, next_frame - 1)`, in order.
    codes: VecDeque<AudioCode<N>>,
    silence: Option<AudioCode<N>>,
    /// The last row that passed the audio net: clips longer than their features repeat it.
    last_row: Option<(usize, AudioCode<N>)>,
    previous: Option<AudioCode<N>>,
    window: Vec<f32>,
}

impl<'a, const N: usize> AudioCodes<'a, N> {
    /// Starts at frame 0.
    ///
    /// * `frames`: length of the clip; see [`FeatureTrack::row_at`] for how rows stand against it.
    /// * `smooth_lips`: blends each code with the smoothed code before it (upstream `--smooth_lips`).
    ///
    /// # Errors
    /// [`ConditioningError::FeatureKind`] when the avatar was trained with other features.
    pub fn new(
        model: impl Into<Ears<'a, N>>,
        track: &'a FeatureTrack,
        frames: u64,
        smooth_lips: bool,
    ) -> Result<Self, ConditioningError> {
        Self::starting_at(0, None, model, track, frames, smooth_lips)
    }

    /// As [`Self::new`], from frame `first` on. The codes are those that start at frame 0.
    ///
    /// * `previous`: the code of the frame before, which smoothing needs; for frame 0 there is none.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn starting_at(
        first: u64,
        previous: Option<AudioCode<N>>,
        model: impl Into<Ears<'a, N>>,
        track: &'a FeatureTrack,
        frames: u64,
        smooth_lips: bool,
    ) -> Result<Self, ConditioningError> {
        let ears = model.into();
        let (expected, found) = (ears.features, track.kind());
        if expected != found {
            return Err(ConditioningError::FeatureKind { expected, found });
        }
        Ok(Self {
            ears,
            track,
            frames,
            smooth_lips,
            next_frame: first,
            codes: VecDeque::with_capacity(8),
            silence: None,
            last_row: None,
            previous,
            window: vec![0.0; track.window_len()],
        })
    }

    /// The code of the window at position `at`, before attention.
    fn window_code(&mut self, at: i64, stop: &Stop<'_>) -> Result<AudioCode<N>, ConditioningError> {
        let Some(row) = self.track.row_at(at, self.frames) else {
            if self.silence.is_none() {
                // Silence is zero *features*: the biases of the net make its code non-zero.
                self.window.fill(0.0);
                self.silence = Some(self.ears.window_code(&mut self.window));
            }
            return Ok(self.silence.unwrap_or([0.0; N]));
        };
        if let Some((last, code)) = self.last_row
            && last == row
        {
            return Ok(code);
        }
        self.track.window_until(row, stop, &mut self.window)?;
        let code = self.ears.window_code(&mut self.window);
        self.last_row = Some((row, code));
        Ok(code)
    }

    /// As [`Iterator::next`], for a caller who may want to give up where features are made when they are read:
    /// [`ConditioningError::Stopped`] when `stop` said so.
    pub fn next_until(&mut self, stop: &Stop<'_>) -> Option<Result<AudioCode<N>, ConditioningError>> {
        if self.next_frame >= self.frames {
            return None;
        }
        let seen = neighbourhood(self.ears.attention, self.next_frame);
        self.codes.pop_front();
        let missing = seen.end - seen.start - i64::try_from(self.codes.len()).unwrap_or(0);
        for at in seen.end - missing..seen.end {
            match self.window_code(at, stop) {
                Ok(code) => self.codes.push_back(code),
                Err(error) => return Some(Err(error)),
            }
        }
        let mut code = match self.ears.pool {
            Some(net) => attend(net, self.codes.make_contiguous()),
            None => self.codes[0],
        };
        if self.smooth_lips {
            if let Some(previous) = self.previous {
                for (code, previous) in code.iter_mut().zip(previous) {
                    *code = 0.35 * previous + 0.65 * *code;
                }
            }
            self.previous = Some(code);
        }
        self.next_frame += 1;
        Some(Ok(code))
    }
}

impl<const N: usize> Iterator for AudioCodes<'_, N> {
    type Item = Result<AudioCode<N>, ConditioningError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_until(&|| false)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.frames.saturating_sub(self.next_frame));
        (left.unwrap_or(usize::MAX), left.ok())
    }
}

/// Replaces each row of scores by the embedding of its best class, the first of equals (so that silence is
/// class 0).
fn embed(table: &Matrix, window: &mut [f32]) {
    for row in window.chunks_exact_mut(table.cols) {
        let mut best = 0;
        for (class, score) in row.iter().enumerate() {
            if *score > row[best] {
                best = class;
            }
        }
        row.copy_from_slice(&table.data[best * table.cols..(best + 1) * table.cols]);
    }
}

/// `window`: `[steps, dims]`. Four convolutions of stride 2 leave one time step of either 16 or 2.
fn audio_net(net: &AudioNet, window: &[f32]) -> Vec<f32> {
    let mut x = window.to_vec();
    for layer in &net.convolutions {
        x = convolve(layer, &x, 2);
        leaky_relu(&mut x);
    }
    let mut hidden = linear(&net.linear[0], &x);
    leaky_relu(&mut hidden);
    linear(&net.linear[1], &hidden)
}

/// Weighted sum of eight codes, the weights made from the codes themselves: from as many of their first values as
/// the net takes.
fn attend<const N: usize>(net: &AudioAttention, codes: &[AudioCode<N>]) -> AudioCode<N> {
    let looked_at = net.convolutions[0].inputs;
    let mut x: Vec<f32> = codes.iter().flat_map(|code| &code[..looked_at]).copied().collect();
    for layer in &net.convolutions {
        x = convolve(layer, &x, 1);
        leaky_relu(&mut x);
    }
    let logits = linear(&net.linear, &x);
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weights: Vec<f32> = logits.iter().map(|v| (v - max).exp()).collect();
    let total: f32 = weights.iter().sum();
    let mut out = [0.0; N];
    for (code, weight) in codes.iter().zip(weights) {
        for (out, value) in out.iter_mut().zip(code) {
            *out += weight / total * value;
        }
    }
    out
}

/// * `x`: `[time, inputs]`; returns `[time', outputs]` with zero padding of one step at either end.
fn convolve(layer: &Conv1d, x: &[f32], stride: usize) -> Vec<f32> {
    let time = x.len() / layer.inputs;
    let out_time = (time + 2 - layer.kernel) / stride + 1;
    let mut out = Vec::with_capacity(out_time * layer.outputs);
    // The inputs of one output step in the order of the weights, `[inputs, kernel]`.
    let mut patch = vec![0.0; layer.inputs * layer.kernel];
    for step in 0..out_time {
        for tap in 0..layer.kernel {
            let at = (step * stride + tap).checked_sub(1).filter(|at| *at < time);
            for input in 0..layer.inputs {
                patch[input * layer.kernel + tap] = at.map_or(0.0, |at| x[at * layer.inputs + input]);
            }
        }
        for (weights, bias) in layer.weight.chunks_exact(patch.len()).zip(&layer.bias) {
            out.push(dot(weights, &patch) + bias);
        }
    }
    out
}

fn linear(layer: &Linear, x: &[f32]) -> Vec<f32> {
    let rows = layer.weight.data.chunks_exact(layer.weight.cols);
    rows.zip(&layer.bias).map(|(weights, bias)| dot(weights, x) + bias).collect()
}

fn leaky_relu(x: &mut [f32]) {
    for v in x {
        if *v < 0.0 {
            *v *= 0.02;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{GridTable, Mlp, SceneOptions};

    /// Values in `[-0.5, 0.5)` of a linear congruential generator.
    struct Noise(u32);

    impl Noise {
        fn values(&mut self, n: usize) -> Vec<f32> {
            let mut next = || {
                self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                f32::from(u16::try_from(self.0 >> 16).unwrap()) / 65_536.0 - 0.5
            };
            (0..n).map(|_| next()).collect()
        }

        fn matrix(&mut self, rows: usize, cols: usize) -> Matrix {
            Matrix { rows, cols, data: self.values(rows * cols) }
        }

        fn linear(&mut self, outputs: usize, inputs: usize) -> Linear {
            Linear { weight: self.matrix(outputs, inputs), bias: self.values(outputs) }
        }

        fn conv(&mut self, [inputs, outputs]: [usize; 2]) -> Conv1d {
            let (weight, bias) = (self.values(outputs * inputs * 3), self.values(outputs));
            Conv1d { outputs, inputs, kernel: 3, weight, bias }
        }
    }

    /// A model of which only the audio part is there.
    fn model(attention: u8, emb: bool) -> ErNerf {
        let mut noise = Noise(7);
        let table = GridTable { channels: 1, offsets: vec![0], embeddings: vec![] };
        let mlp = Mlp { layers: vec![] };
        ErNerf {
            options: SceneOptions {
                features: FeatureKind::DeepSpeech,
                attention,
                bound: 1.0,
                cascades: 1,
                max_steps: 16,
                dt_gamma: 0.0,
                min_near: 0.05,
                torso_shrink: 0.8,
            },
            aabb: [0.0; 6],
            density_bitfield: vec![],
            audio: AudioNet {
                convolutions: [[29, 32], [32, 32], [32, 64], [64, 64]].map(|sizes| noise.conv(sizes)),
                linear: [noise.linear(64, 64), noise.linear(32, 64)],
            },
            audio_attention: (attention > 0).then(|| AudioAttention {
                convolutions: [[32, 16], [16, 8], [8, 4], [4, 2], [2, 1]].map(|sizes| noise.conv(sizes)),
                linear: noise.linear(8, 8),
            }),
            embedding: emb.then(|| noise.matrix(29, 29)),
            individual_code: vec![],
            planes: [table.clone(), table.clone(), table],
            audio_channel_attention: mlp.clone(),
            eye_attention: mlp.clone(),
            sigma: mlp.clone(),
            color: mlp,
            torso: None,
        }
    }

    fn track(rows: usize) -> FeatureTrack {
        let data = Noise(11).values(rows * 16 * 29);
        FeatureTrack::from_windows([rows, 16, 29], data).unwrap()
    }

    /// One frame's code from nothing but its own neighbourhood.
    fn alone(model: &ErNerf, track: &FeatureTrack, frames: u64, frame: u64) -> AudioCode {
        let codes: Vec<AudioCode> = neighbourhood(model.options.attention, frame)
            .map(|at| {
                let mut window = vec![0.0; track.window_len()];
                if let Some(row) = track.row_at(at, frames) {
                    track.window_into(row, &mut window).unwrap();
                }
                Ears::from(model).window_code(&mut window)
            })
            .collect();
        model.audio_attention.as_ref().map_or(codes[0], |net| attend(net, &codes))
    }

    #[test]
    fn codes_depend_only_on_their_neighbourhood() {
        for (attention, emb) in [(0, false), (1, false), (2, false), (2, true)] {
            let model = model(attention, emb);
            // Fewer rows than frames, and more.
            for (rows, frames) in [(5, 14), (14, 5), (1, 1)] {
                let track = track(rows);
                let codes = audio_codes(&model, &track, frames, false).unwrap();
                assert_eq!(codes.len() as u64, frames);
                for (frame, code) in (0..).zip(&codes) {
                    assert_eq!(*code, alone(&model, &track, frames, frame), "att {attention}, frame {frame}");
                }
            }
            let (few, many) = (track(3), track(14));
            assert_ne!(alone(&model, &few, 14, 9), alone(&model, &many, 14, 9), "the features matter");
        }
    }

    #[test]
    fn smoothed_lips_follow_the_smoothed_code_before() {
        let model = model(2, false);
        let track = track(6);
        let raw = audio_codes(&model, &track, 6, false).unwrap();
        let smooth = audio_codes(&model, &track, 6, true).unwrap();
        assert_eq!(smooth[0], raw[0]);
        for frame in 1..6 {
            for channel in 0..AUDIO_CODE_LEN {
                let expected = 0.35 * smooth[frame - 1][channel] + 0.65 * raw[frame][channel];
                assert_eq!(smooth[frame][channel], expected);
            }
        }
    }

    #[test]
    fn features_of_another_extractor_are_refused_by_name() {
        let track = FeatureTrack::from_windows([1, 16, 44], vec![0.0; 16 * 44]).unwrap();
        let error = audio_codes(&model(2, false), &track, 1, false).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("DeepSpeech 0.1.0") && text.contains("esperanto"), "{text}");
    }

    #[test]
    fn neighbourhoods_are_those_of_upstream() {
        assert_eq!(neighbourhood(0, 5), 5..6);
        assert_eq!(neighbourhood(1, 5), -3..5, "eight before, not itself");
        assert_eq!(neighbourhood(2, 0), -4..4);
    }

    #[test]
    fn convolution_pads_and_strides() {
        let layer =
            Conv1d { outputs: 1, inputs: 1, kernel: 3, weight: vec![1.0, 10.0, 100.0], bias: vec![0.5] };
        assert_eq!(convolve(&layer, &[1.0, 2.0, 3.0, 4.0], 2), [210.5, 432.5]);
        assert_eq!(convolve(&layer, &[1.0, 2.0], 2), [210.5]);
        assert_eq!(convolve(&layer, &[1.0, 2.0, 3.0], 1), [210.5, 321.5, 32.5]);
        assert_eq!(convolve(&layer, &[7.0], 2), [70.5]);
    }

    #[test]
    fn embedding_takes_the_first_best_class() {
        let table = Matrix { rows: 3, cols: 3, data: (0..9u8).map(f32::from).collect() };
        let mut window = [0.0, 2.0, 2.0, 0.0, 0.0, 0.0, -3.0, -2.0, -1.0];
        embed(&table, &mut window);
        assert_eq!(window, [3.0, 4.0, 5.0, 0.0, 1.0, 2.0, 6.0, 7.0, 8.0]);
    }
}
