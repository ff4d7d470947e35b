//! Step by step against `python_speech_features` 0.6.

use super::super::tests::{golden, noise, speech, worst};
use super::*;

/// Both sides compute in `f64`; the goldens are stored in `f32`, which is half a unit in the seventh digit.
const TOLERANCE: f32 = 2e-7;
/// Every 12th of 149 frames is in the goldens, which are every 6th of 75 that are kept.
const EVERY: usize = 12;

/// One and a half seconds with a silent part, as in `make_deepspeech.py`.
fn clip() -> Vec<i16> {
    let mut pcm = speech(24_000);
    pcm[16_000..18_000].fill(0);
    pcm
}

fn narrow(values: impl IntoIterator<Item = f64>) -> Vec<f32> {
    #[expect(clippy::cast_possible_truncation, reason = "as the goldens are stored")]
    values.into_iter().map(|value| value as f32).collect()
}

/// The emphasised frames that the goldens are of.
fn frames(pcm: &[i16]) -> Vec<Vec<f64>> {
    let value = |i: usize| f64::from(pcm[i]);
    let mut emphasised: Vec<f64> =
        (0..pcm.len()).map(|i| if i == 0 { value(0) } else { value(i) - EMPHASIS * value(i - 1) }).collect();
    emphasised.resize(pcm.len() + WINDOW, 0.0);
    (0..149).step_by(EVERY).map(|frame| emphasised[frame * 160..][..WINDOW].to_vec()).collect()
}

#[test]
fn filters_are_those_of_the_package() {
    let found = narrow(filters().into_iter().flatten());
    assert!(worst(&found, &golden("mfcc.filters")) < TOLERANCE);
}

#[test]
fn every_step_is_that_of_the_package() {
    let mut chain = Chain::new();
    let mut steps: [Vec<f32>; 6] = Default::default();
    for frame in frames(&clip()) {
        let cepstra = chain.frame(&frame);
        let log_mel = chain.mel.map(f64::ln);
        steps[0].extend(narrow(chain.power.iter().step_by(8).copied()));
        steps[1].extend(narrow([chain.energy()]));
        steps[2].extend(narrow(chain.mel));
        steps[3].extend(narrow(log_mel));
        steps[4].extend(narrow(chain.lifted(&log_mel)));
        steps[5].extend(narrow(cepstra));
    }
    for (found, name) in steps.iter().zip(["power", "energy", "mel", "log_mel", "lifted", "mfcc"]) {
        let expected = golden(&format!("mfcc.{name}"));
        let off = worst(found, &expected);
        // A sum of 26 terms that cancel loses a digit: the package adds in another order.
        assert!(
            off < TOLERANCE * if name == "lifted" || name == "mfcc" { 5.0 } else { 1.0 },
            "{name}: {off:e}"
        );
    }
}

#[test]
fn inputs_are_those_of_the_script_however_the_samples_come() {
    let expected = golden("inputs");
    for piece in [1, 319, 4096, 24_000] {
        let mut mfcc = Mfcc::new(&Spools::in_memory());
        for samples in clip().chunks(piece) {
            mfcc.push(samples.iter().copied()).unwrap();
        }
        let inputs = mfcc.finish().unwrap().unwrap();
        assert_eq!(inputs.frames(), 75);
        let mut found = Vec::new();
        let mut block = Vec::new();
        for frame in (0..75).step_by(15) {
            inputs.read(frame..frame + 1, &mut block).unwrap();
            found.extend_from_slice(&block);
        }
        // Cepstra are kept in `f32` on the way: 20 in size, with a deviation of 10.
        let off = worst(&found, &expected);
        assert!(off < 5e-7, "pieces of {piece}: {off:e}");
        // Blocks are the single inputs, side by side.
        inputs.read(0..75, &mut block).unwrap();
        assert_eq!(block.len(), (75 + 18) * CEPSTRA);
        assert_eq!(block[15 * CEPSTRA..][..INPUTS], found[INPUTS..2 * INPUTS]);
    }
}

#[test]
fn a_sample_more_or_less_is_seen() {
    let mut pcm = clip();
    pcm[5000] += 40;
    let mut mfcc = Mfcc::new(&Spools::in_memory());
    mfcc.push(pcm).unwrap();
    let mut found = Vec::new();
    mfcc.finish().unwrap().unwrap().read(15..16, &mut found).unwrap();
    assert!(worst(&found, &golden("inputs")[INPUTS..2 * INPUTS]) > 1e-5);
}

#[test]
fn short_clips_make_as_many_frames_as_the_package_says() {
    for (samples, frames) in
        [(1, 1), (400, 1), (401, 1), (560, 1), (561, 2), (880, 2), (881, 3), (16_000, 50)]
    {
        assert_eq!(kept_frames(samples), frames, "{samples} samples");
        let mut mfcc = Mfcc::new(&Spools::in_memory());
        mfcc.push(noise(usize::try_from(samples).unwrap())).unwrap();
        let inputs = mfcc.finish().unwrap().unwrap();
        assert_eq!(inputs.cepstra.len(), frames * FRAME_VALUES * 4, "{samples} samples");
    }
    assert!(Mfcc::new(&Spools::in_memory()).finish().unwrap().is_none());
}

#[test]
fn silence_has_finite_inputs() {
    let mut mfcc = Mfcc::new(&Spools::in_memory());
    mfcc.push(vec![0; 16_000]).unwrap();
    let mut found = Vec::new();
    mfcc.finish().unwrap().unwrap().read(0..50, &mut found).unwrap();
    assert!(found.iter().all(|value| value.is_finite()));
}
