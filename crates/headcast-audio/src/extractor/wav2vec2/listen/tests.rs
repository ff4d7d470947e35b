//! Against what `transformers` computed (`fixtures/wav2vec2`).

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// All values that `maker` makes, the last chunk first.
fn made(maker: &dyn Maker<Error = ValuesError>) -> Vec<f32> {
    let (count, chunk) = (maker.count(), maker.chunk() as u64);
    let mut all = vec![f32::NAN; usize::try_from(count).unwrap()];
    for start in (0..count).step_by(maker.chunk()).collect::<Vec<_>>().into_iter().rev() {
        let end = count.min(start + chunk);
        let mut values = Vec::new();
        maker.make(start..end, &[], &|| false, &mut values).unwrap();
        all[usize::try_from(start).unwrap()..usize::try_from(end).unwrap()].copy_from_slice(&values);
    }
    all
}

/// All rows of a clip that comes in blocks of `block` samples.
fn rows_of(network: &Arc<Network>, samples: &[f32], block: usize) -> Vec<f32> {
    let (spools, dims) = (Spools::in_memory(), network.config().dims());
    if network.config().output == Output::Hidden {
        let mut listener = Hubert::new(Arc::clone(network), SampleRate::SPEECH, 1, &spools);
        samples.chunks(block).for_each(|samples| listener.push(samples).unwrap());
        return made(&listener.end().unwrap());
    }
    let kind = FeatureKind::Wav2Vec2Esperanto;
    let mut listener = Ctc::new(Arc::clone(network), kind, SampleRate::SPEECH, 1, &spools);
    samples.chunks(block).for_each(|samples| listener.push(samples).unwrap());
    let runs = listener.end().unwrap();
    let mut rows = made(&runs);
    let padding = rows.split_off(runs.rows() * dims);
    assert!(padding.iter().all(|v| *v == 0.0));
    rows
}

/// Upstream's loop over a buffer, the whole clip at once.
fn rows_at_once(network: &Network, samples: &[f32]) -> Vec<f32> {
    let dims = network.config().dims();
    let run = |held: &[f32]| {
        let mut held = held.to_vec();
        standardise(&mut held);
        network.run(&held, 1)
    };
    let (mut held, mut chunks, mut kept) = (vec![0.0; 3200], 10, Vec::new());
    for chunk in samples.chunks(320) {
        held.extend_from_slice(chunk);
        chunks += 1;
        if chunks == 70 {
            let rows = run(&held);
            kept.extend_from_slice(&rows[10 * dims..rows.len() - 9 * dims]);
            held.drain(..50 * 320);
            chunks = 20;
        }
    }
    kept.extend(run(&held).into_iter().skip(10 * dims));
    kept
}

#[test]
fn what_is_made_when_it_is_read_is_what_is_made_at_once() {
    let network = Arc::new(network("ctc-layer", Precision::F32, &|_, _| {}));
    let speech = speech();
    // Ends of runs, with whole and short chunks, and rows of the last run in two chunks.
    for count in [1, 500, 19_199, 19_200, 19_201, 19_279, 35_121, 35_200, 35_210, 38_300, speech.len()] {
        let at_once = rows_at_once(&network, &speech[..count]);
        assert!(rows_of(&network, &speech[..count], 777) == at_once, "{count} samples");
        if count > 19_000 {
            let mut other = speech[..count].to_vec();
            other[count - 4000] += 0.1;
            assert!(rows_of(&network, &other, 777) != at_once, "control: {count} samples");
        }
    }
}

#[test]
fn the_first_second_of_scores_takes_one_run() {
    let network = Arc::new(network("ctc-layer", Precision::F32, &|_, _| {}));
    let mut listener = Box::new(Ctc::new(
        Arc::clone(&network),
        FeatureKind::Wav2Vec2Esperanto,
        SampleRate::SPEECH,
        1,
        &Spools::in_memory(),
    ));
    listener.push(&speech()).unwrap();
    let runs = listener.end().unwrap();
    let mut rows = Vec::new();
    runs.make(0..runs.chunk() as u64, &[], &|| false, &mut rows).unwrap();
    // The samples of that run, and nothing of what follows.
    let mut held = [vec![0.0; 3200], speech()[..19_200].to_vec()].concat();
    standardise(&mut held);
    let expected = network.run(&held, 1);
    assert_eq!(rows, expected[10 * 44..60 * 44]);
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
    let track = listener.finish(&|| false).unwrap().unwrap();
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
fn a_piece_of_hidden_values_is_made_when_it_is_read() {
    let network = Arc::new(network("hubert", Precision::F32, &|_, _| {}));
    let mut listener = Hubert::new(Arc::clone(&network), SampleRate::SPEECH, 1, &Spools::in_memory());
    let clip: Vec<f32> = speech().into_iter().cycle().take(700_000).collect();
    clip.chunks(5000).for_each(|samples| listener.push(samples).unwrap());
    let pieces = listener.end().unwrap();
    let [mut first, mut last] = [Vec::new(), Vec::new()];
    let chunk = pieces.chunk() as u64;
    pieces.make(2 * chunk..pieces.count(), &[], &|| false, &mut last).unwrap();
    pieces.make(0..chunk, &[], &|| false, &mut first).unwrap();
    let all = made(&pieces);
    assert!(all[..first.len()] == first && all[2 * first.len()..] == last);
    assert_eq!(first.len(), 1000 * 24);
    assert!(first[..last.len()] != last, "control");
}

#[test]
fn a_run_and_a_piece_can_be_given_up_before_and_in_the_middle() {
    for model in ["ctc-layer", "hubert"] {
        let network = Arc::new(network(model, Precision::F32, &|_, _| {}));
        let samples = Spools::in_memory().spool();
        samples.append_f32s(&speech()).unwrap();
        let maker: Box<dyn Maker<Error = ValuesError>> = match network.config().output {
            Output::Hidden => Box::new(Pieces::new(network, 1, samples).unwrap()),
            Output::Logits(_) => Box::new(Runs::new(network, 1, samples)),
        };
        let first = 0..maker.count().min(maker.chunk() as u64);
        // Says stop when it was asked so many times before.
        let make_until = |patience: usize| {
            let (asked, mut values) = (AtomicUsize::new(0), Vec::new());
            let stop = || asked.fetch_add(1, Ordering::Relaxed) >= patience;
            let made = maker.make(first.clone(), &[], &stop, &mut values);
            (made, values, asked.into_inner())
        };
        let (made, _, questions) = make_until(usize::MAX);
        assert!(made.is_ok() && questions > 5, "{model} asks {questions} times");
        for patience in [0, 1, questions / 2, questions - 1] {
            let (made, values, asked) = make_until(patience);
            assert!(matches!(made, Err(ValuesError::Stopped)), "{model}: {made:?}");
            assert_eq!((values.len(), asked), (0, patience + 1), "{model} goes on");
        }
    }
}
