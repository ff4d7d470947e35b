//! DeepSpeech 0.1.0 at full size, with random weights: time to read a graph of 490 MB, memory, and speed.
//!
//! `cargo bench -p headcast-audio --bench deepspeech`, with `-- SECONDS` for the length of the clip (20). Takes 1.5 GB.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a report of rounded figures, and small numbers of a message"
)]

use std::io::Cursor;
use std::sync::Arc;
use std::time::Instant;

use headcast_audio::extractor::deepspeech::{DeepSpeech, Listener};
use headcast_audio::extractor::matrix::Precision;
use headcast_core::SampleRate;
use headcast_core::spool::Spools;

/// Every constant of the published graph, and about what its weights are.
const CONSTANTS: [(&str, [usize; 2], f32); 14] = [
    ("h1", [494, 2048], 0.05),
    ("b1", [2048, 0], 0.05),
    ("h2", [2048, 2048], 0.03),
    ("b2", [2048, 0], 0.05),
    ("h3", [2048, 4096], 0.03),
    ("b3", [4096, 0], 0.05),
    ("bidirectional_rnn/fw/basic_lstm_cell/kernel", [6144, 8192], 0.02),
    ("bidirectional_rnn/fw/basic_lstm_cell/bias", [8192, 0], 0.05),
    ("bidirectional_rnn/bw/basic_lstm_cell/kernel", [6144, 8192], 0.02),
    ("bidirectional_rnn/bw/basic_lstm_cell/bias", [8192, 0], 0.05),
    ("h5", [4096, 2048], 0.05),
    ("b5", [2048, 0], 0.05),
    ("h6", [2048, 29], 0.05),
    ("b6", [29, 0], 0.05),
];

/// Multiplications and additions for one row of 20 ms.
fn operations() -> f64 {
    CONSTANTS.iter().map(|(_, [a, b], _)| 2.0 * (a * b) as f64).sum()
}

fn main() {
    let seconds: usize = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(20);
    let clip: Vec<f32> = (1..).scan(1, |state, _| Some(random(state) * 0.3)).take(seconds * 16_000).collect();
    println!("DeepSpeech 0.1.0 at full size, random weights; {seconds} s of noise");
    for precision in [Precision::F32, Precision::F16] {
        let graph = graph();
        let start = Instant::now();
        let model = DeepSpeech::from_graph(Cursor::new(graph), precision).expect("the graph is whole");
        let took = start.elapsed().as_secs_f64();
        println!("\n{precision:?}: read in {took:.1} s, {:.0} MB", model.bytes() as f64 / 1e6);
        let model = Arc::new(model);
        for threads in [2, 4] {
            let spools = Spools::in_memory();
            let mut listener = Listener::new(Arc::clone(&model), SampleRate::SPEECH, &spools);
            let (start, processor) = (Instant::now(), processor_seconds());
            listener.push(&clip).expect("memory does not fail");
            let track =
                listener.finish(threads, &|| false).expect("memory does not fail").expect("a long clip");
            let took = start.elapsed().as_secs_f64();
            let processor = processor_seconds() - processor;
            println!(
                "  {threads} threads: {} rows in {took:.2} s, {:.2} times real time; {processor:.2} s of processor time, {:.0} GFLOP/s of it",
                track.rows(),
                seconds as f64 / took,
                operations() * 50.0 * seconds as f64 / processor / 1e9
            );
        }
    }
}

/// What this process has used of all processors, to a hundredth; other people's work does not count.
fn processor_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// The bytes of a frozen graph: a node per constant with its values as they are in memory.
fn graph() -> Vec<u8> {
    let mut state = 7;
    let mut graph = Vec::new();
    for (name, [a, b], scale) in CONSTANTS {
        let shape = if b == 0 { vec![a] } else { vec![a, b] };
        let count: usize = shape.iter().product();
        let dims: Vec<u8> =
            shape.iter().flat_map(|&size| field(2, &[vec![8], varint(size)].concat())).collect();
        let start = [vec![8, 1], field(2, &dims)].concat();
        // Lengths from the inside out: values, tensor, attribute value, map entry, node.
        let open = |number: u8, length: usize| [vec![number << 3 | 2], varint(length)].concat();
        let values = open(4, count * 4);
        let tensor = open(8, start.len() + values.len() + count * 4);
        let tensor_length = tensor.len() + start.len() + values.len() + count * 4;
        let value = open(2, tensor_length);
        let key = field(1, b"value");
        let entry = open(5, key.len() + value.len() + tensor_length);
        let names = [field(1, name.as_bytes()), field(2, b"Const")].concat();
        let node = open(1, names.len() + entry.len() + key.len() + value.len() + tensor_length);
        for part in [node, names, entry, key, value, tensor, start, values] {
            graph.extend(part);
        }
        graph.extend((0..count).flat_map(|_| (random(&mut state) * scale).to_le_bytes()));
    }
    graph
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], &varint(bytes.len())[..], bytes].concat()
}

fn varint(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Evenly between -1 and 1.
fn random(state: &mut u32) -> f32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 8) as f32 / (1 << 23) as f32 - 1.0
}
