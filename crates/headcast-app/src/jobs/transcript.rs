//! How loud a recording is, from moment to moment.

use std::ops::ControlFlow;
use std::path::Path;

use headcast::audio::{AudioError, Cut, Ears, Ingest, Limits, Options};
use headcast::core::SampleRate;

use crate::captions::STEP_MS;
use crate::studio::Recording;

/// Of each [`STEP_MS`] of the part of a recording that is spoken, its mean absolute sample. Decodes all of it.
#[expect(clippy::cast_precision_loss, reason = "a step has some hundred samples")]
pub(super) fn loudness(path: &Path, name: &str, cut: Cut) -> Result<Vec<f32>, AudioError> {
    let recording = Recording::open(path).map_err(AudioError::Io)?;
    let clip = Ingest::open_cut(recording, Some(name), &Limits::default(), cut)?;
    let step = usize::try_from(u64::from(SampleRate::AAC.hz()) * STEP_MS / 1000).unwrap_or(1)
        * clip.info().output_channels;
    let (mut levels, mut sum, mut count) = (Vec::new(), 0.0_f32, 0);
    let options = Options { features: Ears::Deaf, ..Options::default() };
    clip.run(&options, &mut |samples: &[f32], _| {
        for sample in samples {
            sum += sample.abs();
            count += 1;
            if count == step {
                levels.push(sum / step as f32);
                (sum, count) = (0.0, 0);
            }
        }
        ControlFlow::Continue(())
    })?;
    Ok(levels)
}
