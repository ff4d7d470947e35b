//! Against TensorFlow, resampy and numpy; `fixtures/deepspeech/make_deepspeech.py` makes the goldens.

use std::io::Cursor;
use std::path::PathBuf;

use headcast_core::npy::Array;

use super::*;
use crate::features::write_npy;

/// What issue and specification ask for.
const LOGITS: f32 = 1e-4;

fn file(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn graph(name: &str) -> Vec<u8> {
    file(&format!("deepspeech/{name}.pb"))
}

pub(super) fn golden(name: &str) -> Vec<f32> {
    Array::read_f32(&file(&format!("deepspeech/{name}.npy"))).unwrap().data
}

/// The start of the English sample, which is a plain 16 kHz wav.
pub(super) fn speech(samples: usize) -> Vec<i16> {
    let wav = file("speech/en.wav");
    let data = wav.windows(4).position(|tag| tag == b"data").unwrap() + 8;
    wav[data..].as_chunks().0[..samples].iter().map(|sample| i16::from_le_bytes(*sample)).collect()
}

/// The generator of `make_deepspeech.py`.
pub(super) fn noise(samples: usize) -> Vec<i16> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        i16::try_from(state >> 18).unwrap() - 8192
    };
    (0..samples).map(|_| next()).collect()
}

/// Largest difference, relative above 1.
pub(super) fn worst(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max)
}

fn floats(pcm: &[i16]) -> Vec<f32> {
    pcm.iter().map(|&sample| f32::from(sample) / 32768.0).collect()
}

pub(super) fn tiny() -> Arc<DeepSpeech> {
    Arc::new(DeepSpeech::from_graph(Cursor::new(graph("tiny")), Precision::F32).unwrap())
}

/// The clip of the goldens.
pub(super) fn inputs() -> mfcc::Inputs {
    let mut pcm = speech(24_000);
    pcm[16_000..18_000].fill(0);
    let mut mfcc = Mfcc::new(&Spools::in_memory());
    mfcc.push(pcm).unwrap();
    mfcc.finish().unwrap().unwrap()
}

fn logits(network: &Network, chunk: u64) -> Vec<f32> {
    let scores = network.scores_by(chunk, &inputs(), &Spools::in_memory(), 2, &|| false).unwrap();
    let mut all = vec![0.0; usize::try_from(scores.frames()).unwrap() * CLASSES];
    for (frame, row) in (0..).zip(all.chunks_exact_mut(CLASSES)) {
        scores.read(frame, row).unwrap();
    }
    all
}

fn off(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn logits_are_those_of_tensorflow_however_the_clip_is_cut() {
    let expected = golden("logits");
    let model = tiny();
    let whole = logits(&model.network, 256);
    assert!(off(&whole, &expected) < LOGITS, "{}", off(&whole, &expected));
    // One, an odd number and an even number of chunks, whole and not: the same bits.
    for chunk in [1, 7, 37, 38, 73, 74, 75] {
        assert_eq!(logits(&model.network, chunk), whole, "chunks of {chunk}");
    }
}

#[test]
fn a_changed_weight_is_seen() {
    let expected = golden("logits");
    for changed in weights::Name::ALL {
        let mut graph = Frozen::open(Cursor::new(graph("tiny"))).unwrap();
        let config = graph.config();
        let model = DeepSpeech::load(&config, Precision::F32, |name, _| {
            let mut values = graph.read(name)?;
            if name == changed.in_graph() {
                values.iter_mut().for_each(|value| *value *= 1.01);
            }
            Ok::<_, DeepSpeechError>(values)
        });
        let off = off(&logits(&model.unwrap().network, 256), &expected);
        assert!(off > 10.0 * LOGITS, "{changed:?}: {off}");
    }
}

#[test]
fn half_precision_is_close() {
    let model = DeepSpeech::from_graph(Cursor::new(graph("tiny")), Precision::F16).unwrap();
    assert!(model.bytes() < tiny().bytes());
    let expected = golden("logits");
    let off = off(&logits(&model.network, 256), &expected);
    let largest = expected.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    assert!(off > 0.0 && off < 2e-3 * largest, "{off} of {largest}");
}

fn listen(pcm: &[f32], rate: u32, piece: usize) -> Option<FeatureTrack> {
    let mut listener = Listener::new(tiny(), SampleRate::new(rate).unwrap(), &Spools::in_memory());
    for samples in pcm.chunks(piece) {
        listener.push(samples).unwrap();
    }
    listener.finish(2, &|| false).unwrap()
}

#[test]
fn awkward_lengths_make_as_many_rows_as_upstream() {
    let rows: Vec<[u64; 3]> = serde_json::from_slice(&file("deepspeech/rows.json")).unwrap();
    assert_eq!(rows.len(), 20);
    for [rate, samples, rows] in rows {
        let pcm = floats(&noise(usize::try_from(samples).unwrap()));
        let track = listen(&pcm, u32::try_from(rate).unwrap(), 1000);
        let found = track.map_or(0, |track| track.rows());
        assert_eq!(found as u64, rows, "{samples} samples at {rate} Hz");
    }
}

#[test]
fn the_file_is_that_of_the_script() {
    for (name, rate, samples) in [("clip", 16_000, 5600), ("clip.22050", 22_050, 7000)] {
        let expected_bytes = file(&format!("deepspeech/{name}.npy"));
        let expected = Array::read_f32(&expected_bytes).unwrap();
        let mut found_bytes = Vec::new();
        let track = listen(&floats(&noise(samples)), rate, 333).unwrap();
        write_npy(&track, &mut found_bytes).unwrap();
        // Header and length to the byte: float64, [rows, 16, 29].
        assert_eq!(found_bytes.len(), expected_bytes.len());
        let header = found_bytes.len() - expected.data.len() * 8;
        assert_eq!(found_bytes[..header], expected_bytes[..header]);
        let found = Array::read_f32(&found_bytes).unwrap();
        assert_eq!(found.shape, expected.shape);
        assert!(off(&found.data, &expected.data) < LOGITS, "{name}: {}", off(&found.data, &expected.data));
        // Control: the file of a clip that begins a frame later.
        let mut later = Vec::new();
        let track = listen(&floats(&noise(samples + 640)[640..]), rate, 333).unwrap();
        write_npy(&track, &mut later).unwrap();
        assert!(off(&Array::read_f32(&later).unwrap().data, &expected.data) > 0.1);
    }
}

#[test]
fn resampling_is_that_of_resampy() {
    for rate in [8000, 22_050, 44_100, 48_000] {
        let input = floats(&noise(rate as usize / 4));
        let expected = golden(&format!("resampled.{rate}"));
        for piece in [1, 100, input.len()] {
            let mut resampler = Kaiser::new(SampleRate::new(rate).unwrap(), SampleRate::SPEECH);
            let mut found = Vec::new();
            for samples in input.chunks(piece) {
                resampler.push(samples, &mut found);
            }
            resampler.finish(&mut found);
            assert_eq!(found.len(), 4000 - usize::from(rate == 22_050));
            #[expect(clippy::cast_possible_truncation, reason = "as the goldens are stored")]
            let found: Vec<f32> =
                found[..expected.len()].iter().map(|sample| (sample * 32768.0) as f32).collect();
            // Both sides compute in `f64`; the goldens are stored in `f32`: half a unit in the seventh digit.
            assert!(worst(&found, &expected) < 2e-7, "{rate} Hz: {}", worst(&found, &expected));
        }
        // Control: the other resampler of this crate, whose pass band is wider, is told apart.
        let mut plain =
            crate::resample::Resampler::new(SampleRate::new(rate).unwrap(), SampleRate::SPEECH, 1);
        let mut found = Vec::new();
        plain.push(&input, &mut found);
        plain.finish(&mut found);
        let found: Vec<f32> = found[..expected.len()].iter().map(|sample| sample * 32768.0).collect();
        assert!(off(&found, &expected) > 10.0);
    }
}

#[test]
fn samples_are_cut_towards_zero_and_do_not_wrap() {
    let cut = [0.9, -0.9, 5.99, -5.99, 40_000.0, -40_000.0].map(|sample: f64| to_int16(sample / 32768.0));
    assert_eq!(cut, [0, 0, 5, -5, 32767, -32768]);
}

#[test]
fn a_clip_can_be_given_up() {
    let mut listener = Listener::new(tiny(), SampleRate::SPEECH, &Spools::in_memory());
    listener.push(&[0.1; 16_000]).unwrap();
    let error = listener.finish(2, &|| true).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::Interrupted);
}

#[test]
fn other_graphs_say_what_they_are() {
    let error = |bytes: &[u8]| {
        DeepSpeech::from_graph(Cursor::new(bytes.to_vec()), Precision::F32).unwrap_err().to_string()
    };
    let later = error(&graph("later"));
    for part in [
        "lstm_fused_cell/bias",
        "DeepSpeech 0.2",
        "deepspeech-0_1_0-b90017e8.pb",
        "b90017e816572ddce84f5843f1fa21e6a377975e",
    ] {
        assert!(later.contains(part), "{later}");
    }
    let spellings = error(&graph("spellings"));
    assert!(spellings.contains("no constant \"h1\", but \"half\""), "{spellings}");
    let tiny = graph("tiny");
    let cut = error(&tiny[..tiny.len() / 2]);
    assert!(cut.contains("cut off") && cut.contains("download it again"), "{cut}");
    assert!(error(b"PK\x03\x04 and more").contains("unpack it first"));
    assert!(error(b"<!DOCTYPE html>").contains("web page"));
    assert!(error(b"").contains("an empty file"));
    // A German alphabet has more letters.
    let wide = error(&with_shape(&tiny, "h6", [9, 29], [29, 9]));
    assert!(wide.contains("\"h6\"") && wide.contains("[29, 9]") && wide.contains("[9, 29]"), "{wide}");
}

/// The graph with another shape for one constant of the same size.
fn with_shape(graph: &[u8], name: &str, from: [u8; 2], to: [u8; 2]) -> Vec<u8> {
    let shape = |[a, b]: [u8; 2]| [0x12, 2, 0x08, a, 0x12, 2, 0x08, b];
    let mut graph = graph.to_vec();
    let node = [&[0x0a, 2], name.as_bytes()].concat();
    let node = graph.windows(node.len()).position(|bytes| bytes == node).unwrap();
    let place = graph[node..].windows(8).position(|bytes| bytes == shape(from)).unwrap() + node;
    graph[place..place + 8].copy_from_slice(&shape(to));
    graph
}

#[test]
fn spellings_of_names_and_values_are_understood() {
    let mut graph_file = Graph::open(Cursor::new(graph("spellings"))).unwrap();
    let mut read = |name: &str| graph_file.read(name);
    assert_eq!(read("list").unwrap(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(read("repeat").unwrap(), [1.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
    assert_eq!(read("splat").unwrap(), [0.25; 4]);
    assert_eq!(read("zeros").unwrap(), [0.0; 4]);
    assert_eq!(read("scalar").unwrap(), [7.0]);
    assert!(matches!(read("half"), Err(GraphError::Type { found: 19, .. })));
    assert!(matches!(read("ints"), Err(GraphError::Type { found: 3, .. })));
    assert!(matches!(read("none"), Err(GraphError::Missing { .. })));
}

#[test]
fn sizes_survive_their_description() {
    let config = Frozen::open(Cursor::new(graph("tiny"))).unwrap().config();
    assert_eq!(config, Config { dense: [10, 11, 12], cells: 7, after: 9 });
    assert_eq!(Config::from_json(&config.to_json()), Some(config));
    for (key, wrong) in
        [("cells", "0"), ("after", "16385"), ("dense", "[1,2]"), ("type", "\"wav2vec2\""), ("cells", "-1")]
    {
        let mut value = config.to_json();
        value[key] = serde_json::from_str(wrong).unwrap();
        assert_eq!(Config::from_json(&value), None, "{value}");
    }
}

#[test]
fn names_are_found_in_every_spelling() {
    let mut graph_file = Graph::open(Cursor::new(graph("tiny"))).unwrap();
    let expected = logits(&tiny().network, 256);
    type Spell<'a> = (&'a str, &'a dyn Fn(&str) -> String);
    let others: [Spell<'_>; 3] = [
        ("imported under a name", &|name| format!("deepspeech/{name}")),
        ("in a doubled scope", &|name| {
            name.replace("bidirectional_rnn", "bidirectional_rnn/bidirectional_rnn")
        }),
        ("as before TensorFlow 1.2", &|name| {
            name.replace("kernel", "weights").replace("cell/bias", "cell/biases")
        }),
    ];
    for (what, spell) in others {
        let mut bytes = Vec::new();
        for name in weights::Name::ALL.map(weights::Name::in_graph) {
            let shape = graph_file.shape(name).unwrap().to_vec();
            bytes.extend(constant(&spell(name), &shape, &graph_file.read(name).unwrap()));
        }
        // A name that only ends like one.
        bytes.extend(constant("not_h1", &[1], &[5.0]));
        let model = DeepSpeech::from_graph(Cursor::new(bytes), Precision::F32).unwrap();
        assert_eq!(logits(&model.network, 256), expected, "{what}");
    }
    let renamed = replaced(&graph("tiny"), b"basic_lstm_cell/kernel", b"another_lstm_/kernel__");
    assert!(matches!(
        DeepSpeech::from_graph(Cursor::new(renamed), Precision::F32),
        Err(DeepSpeechError::OtherVersion { missing: "bidirectional_rnn/fw/basic_lstm_cell/kernel", .. })
    ));
}

/// A field of bytes.
fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut length = bytes.len();
    let mut field = vec![number << 3 | 2];
    while length >= 0x80 {
        field.push(u8::try_from(length & 0x7f).unwrap() | 0x80);
        length >>= 7;
    }
    field.push(u8::try_from(length).unwrap());
    [&field, bytes].concat()
}

/// A field that is a number.
fn number(number: u8, mut value: u64) -> Vec<u8> {
    let mut field = vec![number << 3];
    while value >= 0x80 {
        field.push(u8::try_from(value & 0x7f).unwrap() | 0x80);
        value >>= 7;
    }
    field.push(u8::try_from(value).unwrap());
    field
}

/// A node with a tensor whose values are listed.
fn constant(name: &str, shape: &[u64], values: &[f32]) -> Vec<u8> {
    let dims: Vec<u8> = shape.iter().flat_map(|&size| field(2, &number(1, size))).collect();
    let values: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let tensor = [number(1, 1), field(2, &dims), field(5, &values)].concat();
    let attribute = [field(1, b"value"), field(2, &field(8, &tensor))].concat();
    field(1, &[field(1, name.as_bytes()), field(2, b"Const"), field(5, &attribute)].concat())
}

fn replaced(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    while let Some(at) = bytes.windows(from.len()).position(|part| part == from) {
        bytes[at..at + to.len()].copy_from_slice(to);
    }
    bytes
}

#[test]
fn values_that_are_no_numbers_are_refused() {
    let tiny = graph("tiny");
    let b6 = {
        let mut graph = Graph::open(Cursor::new(tiny.clone())).unwrap();
        graph.read("b6").unwrap().iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>()
    };
    let bytes = replaced(&tiny, &b6[..4], &f32::NAN.to_le_bytes());
    let error = DeepSpeech::from_graph(Cursor::new(bytes), Precision::F32).unwrap_err();
    assert!(matches!(error, DeepSpeechError::NotFinite { name: "b6" }), "{error}");
}

#[test]
fn hostile_bytes_end_in_an_error_and_take_no_memory() {
    let huge = [0xff, 0xff, 0xff, 0xff, 0x7f];
    // A node of 34 GB; a name of 34 GB in a node of 8 bytes; a list that repeats one value without end.
    let node = [&[0x0a][..], &huge].concat();
    assert!(matches!(Graph::open(Cursor::new(node)), Err(GraphError::CutOff { found: 6, .. })));
    let name = [&[0x0a, 8, 0x0a][..], &huge, &[0, 0, 0x0a, 0]].concat();
    assert!(matches!(Graph::open(Cursor::new(name)), Err(GraphError::Damaged { .. })));
    for shape in [&[1 << 40][..], &[1 << 32, 1 << 32], &[u64::MAX, 2], &[0]] {
        let mut splat = Graph::open(Cursor::new(constant("a", shape, &[1.0]))).unwrap();
        assert!(matches!(splat.read("a"), Err(GraphError::Damaged { .. })), "{shape:?}");
    }
    assert!(matches!(Graph::open(Cursor::new(constant("a", &[1; 9], &[]))), Err(GraphError::Damaged { .. })));
    let long = "a".repeat(2000);
    assert!(matches!(
        Graph::open(Cursor::new(constant(&long, &[1], &[1.0]))),
        Err(GraphError::Damaged { .. })
    ));

    // Every byte of a small graph, changed in a few ways, and every cut.
    let bytes = graph("spellings");
    for at in 0..bytes.len() {
        for change in [0x01, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] ^= change;
            read_all(&bytes);
        }
        read_all(&bytes[..at]);
    }
}

fn read_all(bytes: &[u8]) {
    if let Ok(mut graph) = Graph::open(Cursor::new(bytes)) {
        let names: Vec<String> = graph.names().map(str::to_owned).collect();
        for name in names {
            if let Ok(values) = graph.read(&name) {
                let size: u64 = graph.shape(&name).unwrap().iter().product();
                assert_eq!(values.len() as u64, size);
            }
        }
    }
}
