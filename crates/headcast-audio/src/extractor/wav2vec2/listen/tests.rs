//! Against what `transformers` computed (`fixtures/wav2vec2`).

use std::fs::{self, File};
use std::path::PathBuf;

use headcast_core::npy::Array;

use super::super::super::container::Reader;
use super::super::super::matrix::Precision;
use super::super::config::{Config, Output, POSITION, fold_weight_norm};
use super::*;

fn fixtures(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name)
}

fn golden(model: &str, name: &str) -> Array<f32> {
    Array::<f32>::read_f32(&fs::read(fixtures(&format!("wav2vec2/{model}/{name}.npy"))).unwrap()).unwrap()
}

fn speech() -> Vec<f32> {
    let pcm = Array::<f32>::read_f32(&fs::read(fixtures("features/en.pcm.npy")).unwrap()).unwrap();
    pcm.data.iter().map(|v| v / 32768.0).collect()
}

fn config(model: &str) -> Config {
    let read = |name: &str| fs::read(fixtures(&format!("wav2vec2/{model}/{name}"))).unwrap();
    Config::from_hugging_face(&read("config.json"), &read("preprocessor_config.json")).unwrap()
}

/// The network of a folder whose weights are safetensors, changed by `change`.
fn network(model: &str, precision: Precision, change: &dyn Fn(&str, &mut Vec<f32>)) -> Network {
    let config = config(model);
    let file = File::open(fixtures(&format!("wav2vec2/{model}/model.safetensors"))).unwrap();
    let mut reader = Reader::open(file).unwrap();
    let prefix = if config.output == Output::Hidden { "" } else { "wav2vec2." };
    let position = format!("{prefix}{POSITION}.parametrizations.weight.original");
    Network::load(&config, precision, |name, shape| {
        let mut values = if name == format!("{POSITION}.weight") {
            let g = reader.read(&format!("{position}0"), &[1, 1, shape[2]])?;
            fold_weight_norm(&g, &reader.read(&format!("{position}1"), shape)?)
        } else if name.starts_with("lm_head") {
            reader.read(name, shape)?
        } else {
            reader.read(&format!("{prefix}{name}"), shape)?
        };
        change(name, &mut values);
        Ok::<_, super::super::super::container::ContainerError>(values)
    })
    .unwrap()
}

fn off(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

/// The samples of `run.npy`.
fn run_samples() -> Vec<f32> {
    let mut samples = speech()[5000..27400].to_vec();
    standardise(&mut samples);
    samples
}

#[test]
fn a_run_is_that_of_transformers() {
    for (model, tolerance) in [("ctc-layer", 1e-4), ("hubert", 2e-4)] {
        let expected = golden(model, "run");
        let network_as = |precision, change: &dyn Fn(&str, &mut Vec<f32>)| network(model, precision, change);
        let network = network_as(Precision::F32, &|_, _| {});
        let rows = network.run(&run_samples(), 1);
        assert_eq!(expected.shape, [69, network.config().dims()]);
        let error = off(&rows, &expected.data);
        assert!(error < tolerance, "{model}: {error}");
        // Any number of threads makes the same values.
        for threads in [2, 3] {
            assert_eq!(network.run(&run_samples(), threads), rows, "{model} on {threads} threads");
        }
        // Weights in 16 bits are near, and are seen to be others.
        let half = off(&network_as(Precision::F16, &|_, _| {}).run(&run_samples(), 1), &expected.data);
        assert!(half < 0.05, "{model} in f16: {half}");
        // Control: one weight of each kind of tensor, a little off, is seen.
        for part in [
            "conv_layers.0.conv.weight",
            "conv_layers.3.conv.bias",
            "conv_layers.6.layer_norm.weight",
            "feature_projection.layer_norm.bias",
            "feature_projection.projection.weight",
            "pos_conv_embed.conv.weight",
            "encoder.layer_norm.weight",
            "layers.1.attention.k_proj.weight",
            "layers.0.attention.v_proj.bias",
            "layers.0.attention.out_proj.weight",
            "layers.1.feed_forward.intermediate_dense.weight",
            "layers.1.feed_forward.output_dense.bias",
            "layers.0.final_layer_norm.weight",
        ] {
            let change = |name: &str, values: &mut Vec<f32>| {
                if name.ends_with(part) {
                    let middle = values.len() / 2;
                    values[middle] += 1.0;
                }
            };
            let error = off(&network_as(Precision::F32, &change).run(&run_samples(), 1), &expected.data);
            assert!(error > 2.0 * tolerance, "{model}: {part} is not seen: {error}");
        }
    }
}

/// All rows of a clip that comes in blocks of `block` samples.
fn rows_of(network: &Arc<Network>, samples: &[f32], block: usize) -> Vec<f32> {
    let spools = Spools::in_memory();
    let all = |spool: &Spool| {
        let mut rows = vec![0.0; usize::try_from(spool.len() / 4).unwrap()];
        spool.read_f32s(0, &mut rows).unwrap();
        rows
    };
    if network.config().output == Output::Hidden {
        let mut listener = Hubert::new(Arc::clone(network), SampleRate::SPEECH, 1, &spools);
        samples.chunks(block).for_each(|samples| listener.push(samples).unwrap());
        let rows = listener.extract(&|| true).unwrap();
        assert_eq!(rows * network.config().dims(), all(&listener.rows).len());
        return all(&listener.rows);
    }
    let mut listener =
        Ctc::new(Arc::clone(network), FeatureKind::Wav2Vec2Esperanto, SampleRate::SPEECH, 1, &spools);
    samples.chunks(block).for_each(|samples| listener.push(samples).unwrap());
    listener.end().unwrap();
    all(&listener.scores)
}

#[test]
fn a_clip_is_cut_as_upstream_cuts_it() {
    let speech = speech();
    for (model, tolerance) in [("ctc-layer", 1e-4), ("hubert", 2e-4)] {
        let network = Arc::new(network(model, Precision::F32, &|_, _| {}));
        let expected = golden(model, "clip");
        let rows = rows_of(&network, &speech, 1111);
        let error = off(&rows, &expected.data);
        assert!(error < tolerance, "{model}: {error}");
        assert_eq!(rows_of(&network, &speech, 44_800), rows, "{model}: blocks are seen");
        // Control: a clip that starts a chunk later has other rows.
        let later = rows_of(&network, &speech[320..], 1111);
        assert!(off(&later, &expected.data[..later.len()]) > 0.05, "{model}");
    }
}

#[test]
fn row_counts_of_awkward_lengths_are_exact() {
    for model in ["ctc-layer", "hubert"] {
        let network = Arc::new(network(model, Precision::F32, &|_, _| {}));
        let counts = golden(model, "counts");
        assert_eq!(counts.shape, [20, 2]);
        for pair in counts.data.chunks_exact(2) {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "small whole numbers"
            )]
            let (samples, expected) = (pair[0] as usize, pair[1] as usize);
            let rows = rows_of(&network, &vec![0.0; samples], 100_000).len() / network.config().dims();
            assert_eq!(rows, expected, "{model}: {samples} samples");
        }
    }
}

#[test]
fn windows_hear_zeros_before_and_after_the_rows() {
    let network = Arc::new(network("ctc-layer", Precision::F32, &|_, _| {}));
    let expected = golden("ctc-layer", "clip");
    let mut listener = Box::new(Ctc::new(
        network,
        FeatureKind::Wav2Vec2Esperanto,
        SampleRate::SPEECH,
        1,
        &Spools::in_memory(),
    ));
    listener.push(&speech()).unwrap();
    let track = listener.finish(&|| true).unwrap().unwrap();
    // 139 rows are 70 windows of 16, two rows apart, after eight zero rows: the last one ends with eight or more.
    assert_eq!((track.rows(), track.kind()), (70, FeatureKind::Wav2Vec2Esperanto));
    let mut window = vec![0.0; 16 * 44];
    for (row, zero_before, zero_after) in [(0, 8, 0), (4, 0, 0), (65, 0, 0), (66, 0, 1), (69, 0, 7)] {
        track.window_into(row, &mut window).unwrap();
        let rows: Vec<&[f32]> = window.chunks_exact(44).collect();
        assert!(rows[..zero_before].concat().iter().all(|v| *v == 0.0));
        assert!(rows[16 - zero_after..].concat().iter().all(|v| *v == 0.0));
        let first = 2 * row + zero_before - 8;
        let inner = &window[zero_before * 44..(16 - zero_after) * 44];
        assert!(off(inner, &expected.data[first * 44..][..inner.len()]) < 1e-4, "window {row}");
    }
}

#[test]
fn nobody_waits_for_a_clip_that_nobody_wants() {
    let network = Arc::new(network("hubert", Precision::F32, &|_, _| {}));
    let mut listener = Hubert::new(network, SampleRate::SPEECH, 1, &Spools::in_memory());
    listener.push(&vec![0.1; 700_000]).unwrap();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let go_on = || asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) < 1;
    assert!(matches!(listener.extract(&go_on), Err(ListenError::Cancelled)));
    assert_eq!(listener.rows.len(), 1000 * 24 * 4, "one piece was made");
}
