//! Checkpoint reader: any bytes end in a model or an error. Start the corpus from `fixtures/nerf/*/*.{pth,tar}`.
#![no_main]

use std::io::Cursor;

use headcast_nerf::checkpoint::Checkpoint;
use headcast_nerf::model::Network;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // The bytes as a whole file, and as the pickle of a legacy file: the fuzzer need not find the magic number.
    let legacy =
        [b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.\x80\x02M\xe9\x03.\x80\x02}.", data]
            .concat();
    for bytes in [data, &legacy] {
        if let Ok(mut checkpoint) = Checkpoint::open(Cursor::new(bytes)) {
            let names: Vec<String> = checkpoint.tensors().map(|tensor| tensor.name).collect();
            for name in names {
                if let Ok(tensor) = checkpoint.read(&name) {
                    assert_eq!(tensor.to_f32().len(), tensor.shape().iter().product::<usize>());
                }
            }
            let _ = Network::from_checkpoint(&mut checkpoint);
        }
    }
});
