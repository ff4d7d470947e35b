//! Recordings of any length, made on the spot.

/// Speech-like sound, as a WAV file: tones that come and go. Mono, 16 kHz, 16 bit; 32 kB per second.
pub fn recording(secs: u32) -> Vec<u8> {
    let bytes = secs * 32_000;
    let mut file = b"RIFF".to_vec();
    file.extend((36 + bytes).to_le_bytes());
    file.extend(b"WAVEfmt \x10\0\0\0\x01\0\x01\0");
    file.extend(16_000u32.to_le_bytes());
    file.extend(32_000u32.to_le_bytes());
    file.extend(b"\x02\0\x10\0data");
    file.extend(bytes.to_le_bytes());
    file.extend((0..secs * 16_000).flat_map(|i| {
        let loud = i16::try_from(i / 800 % 9).unwrap();
        let tone = i16::try_from(i * 40 % 1600).unwrap() - 800;
        (tone * loud).to_le_bytes()
    }));
    file
}

/// Features of no speech in particular: `[25 * secs, 16, 29]` float32, as a `.npy` file; 46 kB per second.
pub fn features(secs: u32) -> Vec<u8> {
    let frames = 25 * secs;
    let dict = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({frames}, 16, 29)}}");
    let mut file = b"\x93NUMPY\x01\0".to_vec();
    file.extend(u16::try_from(dict.len()).unwrap().to_le_bytes());
    file.extend(dict.as_bytes());
    for frame in 0..frames {
        let value = f32::from(u8::try_from(frame % 17).unwrap()) / 4.0;
        file.extend(value.to_le_bytes().repeat(16 * 29));
    }
    file
}
