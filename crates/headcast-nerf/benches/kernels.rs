//! Each kernel of the CPU renderer by itself: nanoseconds a sample, and how much of the peak that is.
//!
//! `cargo bench -p headcast-nerf --bench kernels`, with `-- avx2` for one instruction set, `-- layer` for kernels of that
//! name. Samples are those of the avatar of [`subject`]. The peak is measured beside each kernel, because processors
//! change their speed.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::print_stdout,
    reason = "a report of rounded figures"
)]

mod subject;

use std::num::NonZero;

use headcast_nerf::Profile;
use headcast_nerf::cpu::measure;
use headcast_nerf::cpu::probe::kernels::{self, Arithmetic};
use headcast_nerf::cpu::{Config, Engine, SimdLevel};

use subject::{Subject, clock};

/// How long a kernel is repeated, and the peak beside it, seconds.
const PERIOD: f64 = 0.2;

fn main() {
    let subject = Subject::find();
    println!(
        "{}, {}x{}, one thread, ns a sample (torso: a pixel)",
        subject.name, subject.width, subject.height
    );
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let (levels, names): (Vec<_>, Vec<_>) =
        words.iter().partition(|word| SimdLevel::from_name(word).is_some());
    for level in SimdLevel::ALL.into_iter().filter(|level| level.is_available()) {
        if levels.is_empty() || levels.iter().any(|word| SimdLevel::from_name(word) == Some(level)) {
            report(&subject, level, &names);
        }
    }
}

fn report(subject: &Subject, level: SimdLevel, names: &[&String]) {
    println!("\n{level}");
    let config = Config { profile: Profile::Parity, threads: NonZero::<usize>::MIN, simd: level };
    let engine = Engine::new(&subject.model, subject.width, subject.height, &config)
        .expect("the subject is an avatar");
    let wanted = |name: &str| names.is_empty() || names.iter().any(|word| name.contains(word.as_str()));
    for mut kernel in kernels::all(&engine, &subject.view()) {
        if !wanted(kernel.name()) {
            continue;
        }
        let samples = kernel.samples() as f64;
        let time = measure::repeat(PERIOD, &clock, || kernel.run()) / samples;
        print!("  {:20} {:8.2} ns", kernel.name(), time * 1e9);
        match kernel.operations() {
            Some((arithmetic, operations)) => {
                let peak = measure::peak(&engine, PERIOD, &clock);
                let (peak, unit) = match arithmetic {
                    Arithmetic::F32 => (peak.f32, "GFLOP/s"),
                    Arithmetic::I16 => (peak.i16, "GOP/s"),
                };
                let rate = operations as f64 / time;
                println!(" {:6.1} {unit}, {:3.0} % of {:.1}", rate / 1e9, 100.0 * rate / peak, peak / 1e9);
            }
            None => println!(),
        }
    }
}
