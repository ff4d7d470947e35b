//! The networks by themselves, and what the machine could do at best. The caller holds the clock.

use super::super::probe::PeakF32;
use super::engine::AdEngine;
use super::network::{BATCH, Batch, Evaluate};

/// Evaluates the head's fine network, colour included, at `rounds` batches of samples on the calling thread; returns the
/// floating-point operations that the network's layers took, a multiplication and an addition being two.
pub fn evaluate(engine: &AdEngine, rounds: usize) -> u64 {
    let network = engine.head_network();
    let heard = network.hear(&vec![0.1; network.signal()]);
    let mut batch = Batch::new([network].into_iter());
    for (number, packet) in batch.packets.iter_mut().enumerate() {
        for (axis, row) in packet.position.iter_mut().enumerate() {
            for (lane, value) in row.0.iter_mut().enumerate() {
                #[expect(clippy::cast_precision_loss, reason = "a few hundred values")]
                let place = (number * 96 + axis * 32 + lane) as f32;
                *value = (place * 0.618_034).fract() * 0.3 - 0.15;
            }
        }
    }
    for _ in 0..rounds {
        let packets = &mut batch.packets[..];
        engine.dispatch().run(Evaluate { network, heard: &heard, color: true, packets });
        std::hint::black_box(&batch);
    }
    (2 * rounds * BATCH * network.multiply_adds(true)) as u64
}

/// As [`super::super::probe::peak_f32`], with the engine's instruction set.
pub fn peak_f32(engine: &AdEngine, rounds: usize) -> u64 {
    engine.dispatch().run(PeakF32 { rounds })
}
