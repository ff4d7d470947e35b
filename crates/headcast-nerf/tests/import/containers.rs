//! Both PyTorch containers and safetensors yield the same tensors; shapes decide the options.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use headcast_core::FeatureKind;
use headcast_nerf::checkpoint::{AdPart, Checkpoint, CheckpointError, DType, Family};
use headcast_nerf::model::{ErNerf, Network, RadNerf};

use crate::build::*;

pub(crate) fn open(bytes: &[u8]) -> Result<Checkpoint<Cursor<&[u8]>>, CheckpointError> {
    Checkpoint::open(Cursor::new(bytes))
}

pub(crate) fn load(bytes: &[u8]) -> Result<ErNerf, CheckpointError> {
    ErNerf::from_checkpoint(&mut open(bytes)?)
}

#[test]
fn zip_zip64_legacy_and_bare_state_dicts_agree() {
    let state = er_state(true);
    let top = checkpoint(state.clone(), &[]);
    let model = load(&torch_zip(&top)).unwrap();
    assert_eq!(load(&zip(&members(&top), ZipOptions { zip64: true, ..Default::default() })).unwrap(), model);
    assert_eq!(load(&torch_legacy(&top)).unwrap(), model);
    let mut bare = load(&torch_zip(&Py::State(state))).unwrap();
    // Without the dictionary around it there is no mean density; upstream starts from 0.
    bare.torso.as_mut().unwrap().mean_density = 0.25;
    assert_eq!(bare, model);

    let o = &model.options;
    assert_eq!((o.features, o.attention, o.cascades), (FeatureKind::DeepSpeech, 2, 1));
    assert_eq!((o.bound, o.max_steps, o.torso_shrink), (1.0, 16, 0.8));
    assert!(model.has_eye());
    assert_eq!((model.individual_code.len(), model.torso.unwrap().individual_code.len()), (4, 8));
}

#[test]
fn names_shapes_and_scalars_are_known_before_anything_is_read() {
    let file = torch_zip(&checkpoint(er_state(false), &[]));
    let mut checkpoint = open(&file).unwrap();
    assert_eq!(checkpoint.family(), Family::ErNerf);
    assert_eq!(checkpoint.scalar("epoch"), Some(34.0));
    assert_eq!(checkpoint.scalar("mean_density_torso"), Some(0.25));
    let counter = checkpoint.tensors().find(|t| t.name == "step_counter").unwrap();
    assert_eq!((counter.shape, counter.dtype), (vec![16, 2], DType::I32));
    assert_eq!(checkpoint.read_rows("individual_codes", 2).unwrap().shape(), [2, 4]);
    assert!(checkpoint.skipped().is_empty());
}

#[test]
fn strided_shared_and_typed_storages_are_read() {
    let mut state = er_state(false);
    // Two tensors share one storage, the second a transposed part of it.
    let values: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let base = Tensor::floats("base", &[12], &values);
    let view =
        Tensor { name: "view".to_owned(), shape: vec![2, 3], strides: vec![1, 4], offset: 2, ..base.clone() };
    state.extend([base, view]);
    state.push(Tensor::new("half", "HalfStorage", &[2], vec![0, 0x3c, 0, 0xc0]));
    state.push(Tensor::new("double", "DoubleStorage", &[], 2.5f64.to_le_bytes().to_vec()));
    state.push(Tensor::new("long", "LongStorage", &[1], (-7i64).to_le_bytes().to_vec()));
    for file in [torch_zip(&checkpoint(state.clone(), &[])), torch_legacy(&checkpoint(state, &[]))] {
        let mut checkpoint = open(&file).unwrap();
        assert_eq!(checkpoint.read("view").unwrap().to_f32(), [2.0, 6.0, 10.0, 3.0, 7.0, 11.0]);
        assert_eq!(checkpoint.read("half").unwrap().to_f32(), [1.0, -2.0]);
        assert_eq!(checkpoint.read("double").unwrap().to_f32(), [2.5]);
        assert_eq!(checkpoint.read("long").unwrap().to_i64().unwrap(), [-7]);
    }
}

#[test]
fn weights_in_half_or_double_give_the_same_network() {
    let single = load(&torch_zip(&checkpoint(er_state(false), &[]))).unwrap();
    let mut state = er_state(false);
    for tensor in state.iter_mut().filter(|t| t.class == "FloatStorage") {
        let values = tensor.bytes.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)));
        tensor.bytes = values.flat_map(f64::to_le_bytes).collect();
        tensor.class = "DoubleStorage";
    }
    assert_eq!(load(&torch_zip(&checkpoint(state, &[]))).unwrap(), single);
}

#[test]
fn options_follow_the_shapes() {
    // hubert, no attention, no individual codes, no eye value
    let mut state = er_state(false);
    state.retain(|t| !t.name.starts_with("audio_att_net") && t.name != "individual_codes");
    for (name, shape) in [
        ("audio_net.encoder_conv.0.weight", &[32, 1024, 3][..]),
        ("color_net.net.0.weight", &[64, 80]),
        ("sigma_net.net.0.weight", &[64, 68]),
    ] {
        let n: u64 = shape.iter().product();
        *find(&mut state, name) = Tensor::floats(name, shape, &vec![0.5; usize::try_from(n).unwrap()]);
    }
    let model = load(&torch_zip(&checkpoint(state, &[]))).unwrap();
    assert_eq!((model.options.features, model.options.attention), (FeatureKind::Hubert, 0));
    assert!(!model.has_eye() && model.individual_code.is_empty() && model.audio_attention.is_none());
}

/// A stored fixture. Always those of the repository: what is expected of each is written down here by name.
pub(crate) fn fixture(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/nerf").join(name);
    assert!(path.is_dir(), "{} is part of the repository and is not there", path.display());
    path
}

#[test]
fn fixture_checkpoints_load() {
    for (name, features, torso, code) in [
        ("er-head", FeatureKind::DeepSpeech, false, 4),
        ("er-torso", FeatureKind::DeepSpeech, true, 4),
        ("er-fp16", FeatureKind::DeepSpeech, true, 4),
        ("er-hubert-eye", FeatureKind::Hubert, false, 4),
        ("er-att0-noind", FeatureKind::Wav2Vec2Esperanto, false, 0),
        ("er-adaptive", FeatureKind::DeepSpeech, false, 4),
    ] {
        let bytes = std::fs::read(fixture(name).join("ngp.pth")).unwrap();
        let mut checkpoint = open(&bytes).unwrap();
        let model = ErNerf::from_checkpoint(&mut checkpoint).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(model.options.features, features, "{name}");
        assert_eq!((model.torso.is_some(), model.individual_code.len()), (torso, code), "{name}");
        assert_eq!(model.options.attention == 0, name.contains("att0"), "{name}");
        assert!(model.density_bitfield.iter().any(|b| *b != 0), "{name}");
    }
}

#[test]
fn families_are_told_apart() {
    let bytes = std::fs::read(fixture("rad-head").join("ngp.pth")).unwrap();
    let error = load(&bytes).unwrap_err().to_string();
    assert_eq!(error, "this is a RAD-NeRF checkpoint where an ER-NeRF head is needed");
    let Network::Rad(model) = Network::from_checkpoint(&mut open(&bytes).unwrap()).unwrap() else {
        panic!("it is a RAD-NeRF");
    };
    assert_eq!((model.options.features, model.options.attention), (FeatureKind::Wav2Vec2Esperanto, 2));
    assert!(model.has_eye() && model.torso.is_none());
    let bytes = torch_zip(&checkpoint(er_state(false), &[]));
    let error = RadNerf::from_checkpoint(&mut open(&bytes).unwrap()).unwrap_err().to_string();
    assert_eq!(error, "this is an ER-NeRF checkpoint where a RAD-NeRF head is needed");

    for file in ["300000_head.tar", "600000_body.tar"] {
        let bytes = std::fs::read(fixture("ad-torso").join(file)).unwrap();
        let mut opened = open(&bytes).unwrap();
        assert_eq!(opened.family(), Family::AdNerf);
        let part = if file.contains("head") { AdPart::Head } else { AdPart::Body };
        assert_eq!(AdPart::of(&opened), Some(part));
        assert_eq!(opened.scalar("global_step"), Some(300_000.0));
        let error = Network::from_checkpoint(&mut opened).unwrap_err().to_string();
        assert!(error.contains("one half of an avatar"), "{error}");
        let error = load(&bytes).unwrap_err().to_string();
        assert_eq!(error, "this is an AD-NeRF checkpoint where an ER-NeRF head is needed");
    }

    let other = torch_zip(&Py::State(vec![Tensor::floats("conv1.weight", &[1], &[0.0])]));
    assert_eq!(open(&other).unwrap().family(), Family::Unknown);
    let error = Network::from_checkpoint(&mut open(&other).unwrap()).unwrap_err().to_string();
    assert!(error.contains("`encoder_xy.offsets` is the sign of ER-NeRF"), "{error}");
}
