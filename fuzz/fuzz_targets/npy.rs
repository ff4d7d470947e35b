//! Any bytes as a `.npy` array: no panic, and no more memory than the bytes justify.
#![no_main]

use headcast_core::npy::Array;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(array) = Array::read_f32(bytes) {
        assert_eq!(array.data.len(), array.shape.iter().product::<usize>());
        assert!(array.data.len() <= bytes.len());
    }
    let _ = Array::read_i64(bytes);
    let _ = Array::read_u8(bytes);
});
