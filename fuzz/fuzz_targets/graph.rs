//! Any bytes as a frozen TensorFlow graph: constants or an error. `cargo xtask fuzz` starts from `fixtures/deepspeech`.
#![no_main]

use std::io::Cursor;

use headcast_audio::extractor::deepspeech::{DeepSpeech, Graph};
use headcast_audio::extractor::matrix::Precision;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(mut graph) = Graph::open(Cursor::new(bytes)) {
        let names: Vec<String> = graph.names().map(str::to_owned).collect();
        for name in names {
            if let Ok(values) = graph.read(&name) {
                let shape = graph.shape(&name).expect("it was read");
                assert_eq!(values.len() as u64, shape.iter().product::<u64>());
                // Four bytes for a value, or a short list whose last one is repeated.
                assert!(values.len() <= (bytes.len() / 4).max(1 << 20));
            }
        }
    }
    let _ = DeepSpeech::from_graph(Cursor::new(bytes), Precision::F32);
});
