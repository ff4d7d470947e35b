//! A bounded, deterministic mutation run: whatever happens to the bytes, the reader returns. The libFuzzer target
//! `fuzz/fuzz_targets/pickle.rs` does the same without bound.

use headcast_nerf::checkpoint::Checkpoint;
use headcast_nerf::model::ErNerf;

use crate::build::*;
use crate::containers::load;

struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ z >> 31) % n as u64).unwrap()
    }
}

/// Bytes that decide something: everything but the bulk of the largest arrays.
fn interesting(file: &[u8], state: &[Tensor]) -> Vec<usize> {
    let bulk = &state.iter().find(|t| t.name == "density_bitfield").unwrap().bytes;
    let at = file.windows(bulk.len()).position(|w| w == bulk).unwrap();
    (0..file.len()).filter(|i| !(at..at + bulk.len()).contains(i)).collect()
}

#[test]
fn mutated_checkpoints_never_panic() {
    let mut random = Random(1);
    let state = er_state(true);
    let top = checkpoint(state.clone(), &[("extra", Py::Call("a.b", "c", vec![Py::Int(1)]))]);
    let (mut refused, mut accepted) = (0, 0);
    for file in [
        torch_zip(&top),
        torch_legacy(&top),
        zip(&members(&top), ZipOptions { zip64: true, ..Default::default() }),
    ] {
        let places = interesting(&file, &state);
        // Pickle and directory lie at the ends; weights fill the middle.
        let (head, tail) = (places.len().min(12_000), places.len() - 9_000);
        for round in 0..700 {
            let mut mutated = file.clone();
            for _ in 0..=random.below(4) {
                let place = if round % 2 == 0 { random.below(head) } else { tail + random.below(9_000) };
                let value = match random.below(3) {
                    0 => mutated[places[place]] ^ 1 << random.below(8),
                    1 => [0, 0xff, 0x7f, 0x80][random.below(4)],
                    _ => b"(.}]tuRbQaesqrhjcX"[random.below(18)],
                };
                mutated[places[place]] = value;
            }
            if round % 10 == 0 {
                let len = random.below(mutated.len());
                mutated.truncate(len);
            }
            match load(&mutated) {
                Ok(_) => accepted += 1,
                Err(e) => {
                    assert!(!e.to_string().is_empty());
                    refused += 1;
                }
            }
        }
    }
    println!("{refused} refused, {accepted} still loaded");
    assert!(
        refused > 500 && accepted > 50,
        "the mutations no longer reach both outcomes: {refused}, {accepted}"
    );
}

#[test]
fn mutated_safetensors_never_panic() {
    let mut random = Random(2);
    let header = br#"{"__metadata__":{"mean_density_torso":"0.5"},"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"encoder_xy.offsets":{"dtype":"I32","shape":[2],"data_offsets":[16,24]}}"#;
    let file = [&(header.len() as u64).to_le_bytes()[..], header, &[0; 24]].concat();
    let mut opened = Checkpoint::open(std::io::Cursor::new(&file)).unwrap();
    assert_eq!(opened.read("a").unwrap().shape(), [2, 2]);
    for _ in 0..5000 {
        let mut mutated = file.clone();
        for _ in 0..=random.below(3) {
            let at = random.below(mutated.len());
            mutated[at] = match random.below(2) {
                0 => mutated[at] ^ 1 << random.below(8),
                _ => b"0123456789{}[]\",:"[random.below(17)],
            };
        }
        if let Ok(mut opened) = Checkpoint::open(std::io::Cursor::new(&mutated)) {
            let _ = opened.read("a");
            let _ = ErNerf::from_checkpoint(&mut opened);
        }
    }
}
