//! Downloaded speech networks, converted and heard through, against what `transformers` made of the same clip
//! (`fixtures/wav2vec2`).
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use std::fs;
use std::path::{Path, PathBuf};

use headcast::core::npy::Array;
use headcast::core::{FeatureTrack, SampleRate, Spools};
use headcast::extractors::{self, AddRequest};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn array(name: &str) -> Array<f32> {
    Array::<f32>::read_f32(&fs::read(fixture(name)).unwrap()).unwrap()
}

/// What the converted network hears in the clip of the goldens.
fn heard(model: &str, half: bool) -> FeatureTrack {
    let library = tempfile::tempdir().unwrap();
    let source = fixture(&format!("wav2vec2/{model}"));
    let request = AddRequest { source, name: Some("x".to_owned()), half, overwrite: false };
    let entry = extractors::add(&request, library.path()).unwrap();
    let mut listener =
        extractors::load(&entry).unwrap().listener(SampleRate::SPEECH, 1, &Spools::in_memory());
    let speech: Vec<f32> = array("features/en.pcm.npy").data.iter().map(|v| v / 32768.0).collect();
    listener.push(&speech).unwrap();
    listener.finish(&|| true).unwrap().unwrap()
}

/// How far the windows of `track` are from rows of `transformers` that are `shift` further on, at most.
///
/// Window i has 16 rows from 2 i - 8 on; before and after the clip they are zeros.
fn off(track: &FeatureTrack, rows: &Array<f32>, shift: usize) -> f32 {
    let [count, dims] = rows.shape[..] else { panic!("rows of {:?}", rows.shape) };
    assert_eq!(track.rows(), count / 2 + 1);
    let mut window = vec![0.0; track.window_len()];
    let mut most = 0.0f32;
    for i in 0..track.rows() {
        track.window_into(i, &mut window).unwrap();
        for (step, found) in window.chunks_exact(dims).enumerate() {
            let at = (2 * i + step + shift).checked_sub(8).filter(|row| *row < count);
            for (k, value) in found.iter().enumerate() {
                let expected = at.map_or(0.0, |row| rows.data[row * dims + k]);
                most = most.max((value - expected).abs());
            }
        }
    }
    most
}

/// Both orders of norms, both kinds of files, both spellings of the positional weights.
#[test]
fn converted_networks_hear_what_transformers_hears() {
    for model in ["ctc-group", "ctc-layer"] {
        let rows = array(&format!("wav2vec2/{model}/clip.npy"));
        let track = heard(model, false);
        let error = off(&track, &rows, 0);
        assert!(error < 1e-4, "{model}: {error}");
        let control = off(&track, &rows, 1);
        assert!(control > 0.01, "{model}, control: {control} a row further on");
        let half = off(&heard(model, true), &rows, 0);
        assert!(half < 0.05 && half > error, "{model} in f16: {half}");
    }
}
