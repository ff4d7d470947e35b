//! Downloaded speech networks, converted and heard through, against what `transformers` made of the same clip
//! (`fixtures/wav2vec2`).
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use std::fs;
use std::path::{Path, PathBuf};

use headcast::core::npy::Array;
use headcast::core::{FeatureTrack, SampleRate, Spools};
use headcast::extractors::{self, AddError, AddRequest};
use headcast::nerf::checkpoint::{Checkpoint, f16_bits, f16_to_f32};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn array(name: &str) -> Array<f32> {
    Array::<f32>::read_f32(&fs::read(fixture(name)).unwrap()).unwrap()
}

/// What the converted network hears in the clip of the goldens.
fn heard(model: &str, half: bool) -> FeatureTrack {
    heard_in(&fixture(&format!("wav2vec2/{model}")), half)
}

fn heard_in(source: &Path, half: bool) -> FeatureTrack {
    let library = tempfile::tempdir().unwrap();
    let source = source.to_owned();
    let request = AddRequest { source, name: Some("x".to_owned()), half, overwrite: false };
    let entry = extractors::add(&request, library.path()).unwrap();
    let mut listener =
        extractors::load(&entry).unwrap().listener(SampleRate::SPEECH, 1, &Spools::in_memory());
    let speech: Vec<f32> = array("features/en.pcm.npy").data.iter().map(|v| v / 32768.0).collect();
    listener.push(&speech).unwrap();
    listener.finish(&|| false).unwrap().unwrap()
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

/// The bytes of a weight in a file.
type Store = fn(f32) -> Vec<u8>;
/// What is left of a weight that was stored in 16 bits.
type Round = fn(f32) -> f32;

fn as_f32(value: f32) -> Vec<u8> {
    value.to_le_bytes().to_vec()
}

fn as_f16(value: f32) -> Vec<u8> {
    f16_bits(value).to_le_bytes().to_vec()
}

/// The upper half of the nearest `f32` that has nothing below it, ties to even.
fn as_bf16(value: f32) -> Vec<u8> {
    let bits = value.to_bits();
    let rounded = bits + 0x7fff + (bits >> 16 & 1);
    rounded.to_be_bytes()[..2].iter().rev().copied().collect()
}

/// A copy of the fixture `ctc-layer` whose weights are first changed and then stored as `dtype`.
fn stored(dtype: &str, change: impl Fn(f32) -> f32, store: Store) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let source = fixture("wav2vec2/ctc-layer");
    for name in ["config.json", "preprocessor_config.json"] {
        fs::copy(source.join(name), folder.path().join(name)).unwrap();
    }
    let file = fs::File::open(source.join("model.safetensors")).unwrap();
    let mut weights = Checkpoint::open(file).unwrap();
    let names: Vec<_> = weights.tensors().map(|tensor| (tensor.name, tensor.shape)).collect();
    let (mut header, mut data) = (Vec::new(), Vec::new());
    for (name, shape) in names {
        let start = data.len();
        data.extend(weights.read(&name).unwrap().to_f32().into_iter().flat_map(|v| store(change(v))));
        let end = data.len();
        header.push(format!(
            r#""{name}":{{"dtype":"{dtype}","shape":{shape:?},"data_offsets":[{start},{end}]}}"#
        ));
    }
    let header = format!("{{{}}}", header.join(","));
    let bytes = [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat();
    fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    folder
}

fn bf16_to_f32(bytes: &[u8]) -> f32 {
    f32::from_le_bytes([0, 0, bytes[0], bytes[1]])
}

/// All windows, one after the other.
fn windows(track: &FeatureTrack) -> Vec<f32> {
    let mut all = vec![0.0; track.rows() * track.window_len()];
    for (row, window) in all.chunks_exact_mut(track.window_len()).enumerate() {
        track.window_into(row, window).unwrap();
    }
    all
}

/// Read exactly: as a file in `f32` of the same rounded values is. And near the network that was not rounded, by what
/// 11 and 8 bits of 60,000 weights make of its scores, which are about ± 3: 0.05 and 0.4.
#[test]
fn weights_in_16_bits_are_read_as_they_are() {
    let rows = array("wav2vec2/ctc-layer/clip.npy");
    let as_they_are = windows(&heard("ctc-layer", false));
    let formats: [(&str, Store, Round, f32); 2] = [
        ("F16", as_f16, |v| f16_to_f32(f16_bits(v)), 0.05),
        ("BF16", as_bf16, |v| bf16_to_f32(&as_bf16(v)), 0.4),
    ];
    for (dtype, store, rounded, tolerance) in formats {
        let short = heard_in(stored(dtype, |v| v, store).path(), false);
        let long = heard_in(stored("F32", rounded, as_f32).path(), false);
        assert!(windows(&short) == windows(&long), "{dtype}");
        let error = off(&short, &rows, 0);
        assert!(error < tolerance, "{dtype}: {error}");
        assert!(windows(&short) != as_they_are, "control, {dtype}: what is rounded is seen");
        let control = off(&short, &rows, 1);
        assert!(control > 2.0 * tolerance, "control, {dtype}: {control} a row further on");
    }
}

/// Also where values are numbers of 16 bits that are none.
#[test]
fn weights_that_are_no_numbers_are_named() {
    let formats: [(&str, Store); 3] = [("F32", as_f32), ("F16", |_| vec![0, 0x7c]), ("BF16", as_bf16)];
    for (dtype, store) in formats {
        let folder = stored(dtype, |_| f32::INFINITY, store);
        let library = tempfile::tempdir().unwrap();
        let source = folder.path().to_owned();
        let request = AddRequest { source, name: Some("x".to_owned()), half: false, overwrite: false };
        let error = extractors::add(&request, library.path()).unwrap_err();
        assert!(matches!(error, AddError::Weights { .. }), "{dtype}: {error:?}");
        assert!(error.to_string().contains("inf at"), "{dtype}: {error}");
        assert_eq!(fs::read_dir(library.path()).unwrap().count(), 0, "{dtype}");
    }
}
