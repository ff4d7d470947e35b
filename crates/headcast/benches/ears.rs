//! wav2vec2 and HuBERT at full size, with random weights: added as a download is, then heard through.
//! `cargo xtask ears`, or `cargo bench -p headcast --bench ears [-- SECONDS threads=N hubert esperanto group f32 f16]`.
//!
//! The limit is the renderer's: a loop of multiply-adds in registers, measured in the same run. Rates go by processor time, which tells
//! most on a machine that does other things as well; the wall clock stands beside it. Needs 2.6 GB of disk, 1.5 GB of memory.
#![expect(
    clippy::cast_precision_loss,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "figures for people; a bench prints, and stops where it cannot go on"
)]

#[path = "../tests/common/random_network.rs"]
mod random_network;

use std::fs;
use std::num::NonZero;
use std::path::Path;
use std::sync::OnceLock;
use std::time::Instant;

use headcast::audio::extractor::Architecture;
use headcast::audio::extractor::matrix::{Matrix, Precision, Rows, Start, product};
use headcast::core::{SampleRate, Spools};
use headcast::extractors::{self, AddRequest};
use headcast::nerf::avatar::Avatar;
use headcast::nerf::cpu::measure::{self, Seconds};
use headcast::nerf::cpu::{Config, Engine};
use headcast::nerf::model::Network;
use headcast::nerf::{Profile, SimdLevel};
use random_network::Sizes;

/// As the published ones are.
const LARGE: Sizes = Sizes {
    architecture: "Wav2Vec2ForCTC",
    vocab: 44,
    channels: 512,
    hidden: 1024,
    layers: 24,
    heads: 16,
    intermediate: 4096,
    positions: [128, 16],
    stable: true,
};

const NETWORKS: [(&str, Sizes); 3] = [
    ("esperanto", LARGE),
    ("group", Sizes { vocab: 32, stable: false, ..LARGE }),
    ("hubert", Sizes { architecture: "HubertModel", ..LARGE }),
];

/// Samples of a run of wav2vec2, which gives 50 rows: a second.
const RUN: usize = 22_400;
/// Samples of a piece of HuBERT, which gives 1000.
const PIECE: usize = 320_080;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |key: &str| arguments.iter().find_map(|a| a.strip_prefix(key)?.parse().ok());
    let seconds: usize = number("").unwrap_or(20);
    let threads: usize = number("threads=").unwrap_or(2);
    let chosen = |name: &str, others: &[&str]| {
        arguments.iter().any(|a| a == name)
            || !others.iter().any(|other| arguments.iter().any(|a| a == other))
    };
    let peak = peak();
    println!("peak of a core: {:.0} GFLOP/s", peak / 1e9);
    products(peak);
    let names = NETWORKS.map(|(name, _)| name);
    for (name, sizes) in NETWORKS.iter().filter(|(name, _)| chosen(name, &names)) {
        println!("\n{name}: {} of full size, {seconds} s of noise, {threads} threads", sizes.architecture);
        let place = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        sizes.write(place.path(), 7, Precision::F32).unwrap();
        for (word, half) in [("f32", false), ("f16", true)] {
            if chosen(word, &["f32", "f16"]) {
                measure(place.path(), half, seconds, threads, peak);
            }
        }
    }
}

/// One network, as it is stored and heard through.
fn measure(folder: &Path, half: bool, seconds: usize, threads: usize, peak: f64) {
    let library = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let request =
        AddRequest { source: folder.to_owned(), name: Some("x".to_owned()), half, overwrite: false };
    forget_peak();
    let start = clock();
    let entry = extractors::add(&request, library.path()).unwrap();
    let (add, add_peak) = (passed(start), memory("VmHWM:"));
    let details = entry.details.as_ref().unwrap();
    let Architecture::Wav2Vec2(config) = &details.network else { panic!("{}", details.what()) };
    forget_peak();
    let start = clock();
    let model = extractors::load(&entry).unwrap();
    let load = passed(start);
    println!(
        "  {:?}: added in {:.1} s ({:.1} of processor time) with {add_peak:.0} MB, loaded in {:.1} s ({:.1}), weights {:.0} MB",
        details.precision,
        add.wall,
        add.cpu,
        load.wall,
        load.cpu,
        model.bytes() as f64 / 1e6
    );
    let mut state = 1;
    let clip: Vec<f32> = (0..seconds * 16_000).map(|_| random(&mut state) * 0.3).collect();
    let start = clock();
    let mut listener = model.listener(SampleRate::SPEECH, threads, &Spools::in_memory());
    clip.chunks(16_000).for_each(|samples| listener.push(samples).unwrap());
    let track = listener.finish(&|| false).unwrap().unwrap();
    // Rows are made when they are read.
    let mut window = vec![0.0; track.window_len()];
    (0..track.rows()).for_each(|row| track.window_into(row, &mut window).unwrap());
    let time = passed(start);
    let operations = if details.what() == "HubertModel" {
        let rest = clip.len() % (PIECE - 80);
        (clip.len() / (PIECE - 80)) as f64 * config.operations(PIECE) + config.operations(rest)
    } else {
        // The last run hears what is left, and is not counted.
        seconds as f64 * config.operations(RUN)
    };
    let rate = operations / time.cpu;
    println!(
        "    {} rows in {:.2} s of processor time: {:.2} times real time on {threads} cores of its own, {:.2} by the wall clock here; \
         {:.0} GFLOP/s of a core, {:.0} % of the peak; peak memory {:.0} MB",
        track.rows(),
        time.cpu,
        (seconds * threads) as f64 / time.cpu,
        seconds as f64 / time.wall,
        rate / 1e9,
        100.0 * rate / peak,
        memory("VmHWM:")
    );
}

/// Products of the network's shapes by themselves.
fn products(peak: f64) {
    for (what, count, inputs, outputs) in [
        ("queries, keys, values", 69, 1024, 3072),
        ("feed-forward, wide", 69, 1024, 4096),
        ("feed-forward, narrow", 69, 4096, 1024),
        ("second convolution", 700, 1536, 512),
        ("positions, one group", 69, 8192, 64),
    ] {
        let mut state = 3;
        let mut values = |count: usize| (0..count).map(|_| random(&mut state)).collect::<Vec<f32>>();
        let (rows, weights) = (values(count * inputs), values(outputs * inputs));
        let rows = Rows { values: &rows, stride: inputs, count };
        let mut out = vec![0.0; count * outputs];
        print!("  {what:22}");
        for precision in [Precision::F32, Precision::F16] {
            let matrix = Matrix::new(&weights, outputs, inputs, precision);
            let time = measure::repeat(0.5, &clock, || product(rows, &matrix, Start::Zero, &mut out, 1));
            let rate = 2.0 * (count * inputs * outputs) as f64 / time;
            print!("  {precision:?} {:4.0} GFLOP/s, {:3.0} %", rate / 1e9, 100.0 * rate / peak);
        }
        println!();
    }
}

/// Operations a second of one thread that only multiplies and adds.
fn peak() -> f64 {
    let milo = Path::new(env!("CARGO_MANIFEST_DIR")).join("../headcast-app/assets/avatars/milo");
    let Network::Er(model) = Avatar::load(&milo).unwrap().model else {
        panic!("the built-in avatar is ER-NeRF")
    };
    let config = Config { profile: Profile::Parity, threads: NonZero::<usize>::MIN, simd: SimdLevel::best() };
    let engine = Engine::new(&*model, 64, 64, &config).unwrap();
    measure::peak(&engine, 0.5, &clock).f32
}

fn clock() -> Seconds {
    static START: OnceLock<Instant> = OnceLock::new();
    let wall = START.get_or_init(Instant::now).elapsed().as_secs_f64();
    // User and system time are the 12th and 13th field after the name, in hundredths of a second.
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks = fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>();
    Seconds { wall, cpu: if ticks > 0.0 { ticks / 100.0 } else { wall } }
}

fn passed(start: Seconds) -> Seconds {
    let now = clock();
    Seconds { wall: now.wall - start.wall, cpu: now.cpu - start.cpu }
}

/// Lets the peak begin anew, where the system can.
fn forget_peak() {
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// A figure of the process, MB; 0 where the system does not tell.
fn memory(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0 / 1e6
}

/// Evenly between -1 and 1.
fn random(state: &mut u32) -> f32 {
    *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
    (*state >> 8) as f32 / (1 << 23) as f32 - 1.0
}
