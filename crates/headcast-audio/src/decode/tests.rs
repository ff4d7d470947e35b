//! Click tracks of every format: the pulses stand where they were put, to a millisecond.

use std::io::Cursor;
use std::path::PathBuf;

use super::*;

const CLICKS: [f64; 3] = [0.020, 0.150, 0.480];
/// 27001 samples at 44.1 kHz.
const LENGTH: f64 = 27_001.0 / 44_100.0;

pub(crate) fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/audio").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

struct Decoded {
    info: Info,
    /// First channel.
    samples: Vec<f32>,
    all: Vec<f32>,
    damage: Damage,
}

fn decode(bytes: Vec<u8>, name: &str, trimmed: bool) -> Result<Decoded, AudioError> {
    let mut decoder = Decoder::open_with(Cursor::new(bytes), Some(name), 1 << 30, trimmed)?;
    let info = decoder.info().clone();
    let (mut block, mut all) = (Vec::new(), Vec::new());
    while decoder.next_block(&mut block)? {
        assert!(!block.is_empty());
        all.extend_from_slice(&block);
    }
    let samples = all.iter().step_by(info.channels).copied().collect();
    Ok(Decoded { info, samples, all, damage: decoder.damage() })
}

#[expect(clippy::cast_precision_loss, reason = "small counts")]
fn secs(samples: usize, info: &Info) -> f64 {
    samples as f64 / f64::from(info.sample_rate.hz())
}

/// How late the recording is, in seconds: the shift that fits it best to the pulses.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    reason = "small positions"
)]
fn lag(samples: &[f32], rate: f64) -> f64 {
    let pulse = |t: f64| {
        let at = |c: f64| {
            (-((t - c) / 2e-4).powi(2) / 2.0).exp() * (std::f64::consts::TAU * 3000.0 * (t - c)).cos()
        };
        CLICKS.map(at).iter().sum::<f64>()
    };
    let reach = (0.060 * rate) as i64;
    let reference: Vec<(i64, f64)> = (0..samples.len() as i64)
        .map(|i| (i, pulse(i as f64 / rate)))
        .filter(|(_, v)| v.abs() > 1e-3)
        .collect();
    let fit = |shift: i64| {
        let at = |i: i64| usize::try_from(i).ok().and_then(|i| samples.get(i)).copied().unwrap_or(0.0);
        reference.iter().map(|&(i, v)| v * f64::from(at(i + shift))).sum::<f64>()
    };
    let best = (-reach..=reach).max_by(|&a, &b| fit(a).total_cmp(&fit(b))).unwrap();
    best as f64 / rate
}

/// File, codec, how late it is without trimming in ms (0 where there is nothing to trim), and whether the
/// file states its end.
const FORMATS: [(&str, &str, f64, bool); 16] = [
    ("click.wav", "16-bit PCM", 0.0, true),
    ("click-alaw.wav", "A-law", 0.0, true),
    ("click-mulaw.wav", "mu-law", 0.0, true),
    ("click.flac", "FLAC", 0.0, true),
    ("click-alac.m4a", "Apple Lossless (ALAC)", 0.0, true),
    ("click.mp3", "mp3", 25.06, true),
    ("click-untagged.mp3", "mp3", 25.06, false),
    ("click.m4a", "AAC-LC", 23.22, true),
    ("click-no-edit-list.m4a", "AAC-LC", 23.22, false),
    ("click-fragmented.mp4", "AAC-LC", 23.22, false),
    ("click.aac", "AAC-LC", 23.22, false),
    // The Vorbis decoder trims by itself, in both modes.
    ("click-vorbis.ogg", "Vorbis", 0.0, true),
    ("click-opus.ogg", "Opus", 6.5, true),
    ("click.webm", "Opus", 6.5, true),
    ("click-live.webm", "Opus", 6.5, true),
    ("click-opus.mp4", "Opus", 6.5, true),
];

#[test]
fn clicks_of_every_format_stand_in_their_place() {
    for (name, codec, untrimmed_ms, end_stated) in FORMATS {
        let decoded = decode(fixture(name), name, true).unwrap();
        let rate = f64::from(decoded.info.sample_rate.hz());
        let late = lag(&decoded.samples, rate);
        let length = secs(decoded.samples.len(), &decoded.info);
        println!("{name}: {:.2} ms late, {:+.2} ms long", late * 1e3, (length - LENGTH) * 1e3);
        assert_eq!(decoded.info.codec, codec, "{name}");
        assert_eq!(decoded.info.channels, 1, "{name}");
        assert!(late.abs() <= 0.001, "{name} is {late} s late");
        assert_eq!(decoded.damage, Damage::default(), "{name}");
        if end_stated {
            assert!((length - LENGTH).abs() <= 0.001, "{name} is {length} s long");
        } else {
            assert!((0.0..0.070).contains(&(length - LENGTH)), "{name} is {length} s long");
        }

        // Control: without the trimming the check sees how late the format is.
        let raw = decode(fixture(name), name, false).unwrap();
        let late = lag(&raw.samples, rate) * 1e3;
        assert!((late - untrimmed_ms).abs() < 0.2, "{name} untrimmed is {late} ms late");
    }
}

#[test]
fn surround_opus_keeps_its_channels_apart() {
    let decoded = decode(fixture("surround-centre.opus"), "a.opus", true).unwrap();
    assert_eq!((decoded.info.channels, decoded.info.output_channels), (6, 2));
    let peak = |c: usize| decoded.all.iter().skip(c).step_by(6).fold(0f32, |m, v| m.max(v.abs()));
    // The Vorbis order of six channels is left, centre, right, ...
    assert!(peak(1) > 0.4, "{}", peak(1));
    for silent in [0, 2, 3, 4, 5] {
        assert!(peak(silent) < 0.05, "channel {silent}: {}", peak(silent));
    }
}

/// A wav file of one format chunk and the given data.
pub(crate) fn wav(tag: u16, channels: u16, rate: u32, bits: u16, data: &[u8]) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut out = b"RIFF".to_vec();
    out.extend(u32::try_from(36 + data.len()).unwrap().to_le_bytes());
    out.extend(b"WAVEfmt \x10\0\0\0");
    out.extend(tag.to_le_bytes());
    out.extend(channels.to_le_bytes());
    out.extend(rate.to_le_bytes());
    out.extend((rate * u32::from(block)).to_le_bytes());
    out.extend(block.to_le_bytes());
    out.extend(bits.to_le_bytes());
    out.extend(b"data");
    out.extend(u32::try_from(data.len()).unwrap().to_le_bytes());
    out.extend(data);
    out
}

#[test]
fn every_wav_sample_format_has_the_same_level() {
    let bytes = |f: &dyn Fn(f64) -> Vec<u8>| -> Vec<u8> {
        (0..4000).flat_map(|i| f((f64::from(i) * 0.05).sin() * 0.5)).collect()
    };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "scaled to the format")]
    let formats: [(u16, u16, Vec<u8>); 6] = [
        (1, 8, bytes(&|v| vec![(128.0 + v * 128.0) as u8])),
        (1, 16, bytes(&|v| ((v * 32768.0) as i16).to_le_bytes().to_vec())),
        (1, 24, bytes(&|v| ((v * 8_388_608.0) as i32).to_le_bytes()[..3].to_vec())),
        (1, 32, bytes(&|v| ((v * 2_147_483_648.0) as i32).to_le_bytes().to_vec())),
        (3, 32, bytes(&|v| (v as f32).to_le_bytes().to_vec())),
        (3, 64, bytes(&|v| v.to_le_bytes().to_vec())),
    ];
    for (tag, bits, data) in formats {
        let decoded = decode(wav(tag, 1, 16_000, bits, &data), "a.wav", true).unwrap();
        assert_eq!(decoded.samples.len(), 4000, "{bits} bits");
        let step = if bits == 8 { 1.0 / 120.0 } else { 1e-4 };
        for (i, v) in (0u16..).zip(&decoded.samples) {
            let expected = (f64::from(i) * 0.05).sin() * 0.5;
            assert!((f64::from(*v) - expected).abs() < step, "{bits} bits, sample {i}: {v} for {expected}");
        }
    }
}

#[test]
fn a_recording_cut_off_anywhere_gives_what_it_holds() {
    for (name, ..) in FORMATS {
        let whole = fixture(name);
        let decoded = decode(whole[..whole.len() * 9 / 10].to_vec(), name, true);
        match decoded {
            Ok(cut) => {
                let length = secs(cut.samples.len(), &cut.info);
                println!("{name}: {length:.3} s, {:?}", cut.damage);
                assert!(length < LENGTH + 0.01, "{name}: {length}");
                // ADTS, untagged mp3 and Ogg just end: nothing in them says that there was more.
                let silent_end =
                    ["click.aac", "click-untagged.mp3", "click-vorbis.ogg", "click-opus.ogg"].contains(&name);
                assert!(cut.damage.truncated || silent_end || name == "click-live.webm", "{name}");
            }
            // The index of an m4a stands at its end.
            Err(error) => {
                println!("{name}: {error}");
                assert!(
                    matches!(error, AudioError::Damaged { .. } | AudioError::NoAudioTrack { .. }),
                    "{name}: {error}"
                );
            }
        }
    }
}

/// Deterministic stand-in for a fuzzer: no change to a file makes a panic, or takes long.
#[test]
fn mutated_files_never_panic() {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state >> 33).unwrap() % below
    };
    for (name, ..) in FORMATS.into_iter().chain([("surround-centre.opus", "", 0.0, false)]) {
        let whole = fixture(name);
        // Headers are where the danger is; the samples of a PCM file are not.
        let reach = whole.len().min(6000);
        for round in 0..300 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(8) {
                bytes[random(reach)] = u8::try_from(random(256)).unwrap();
            }
            if round % 4 == 0 {
                bytes.truncate(1 + random(reach));
            }
            let Ok(mut decoder) = Decoder::open(Cursor::new(bytes), Some(name), 1 << 30, Cut::WHOLE) else {
                continue;
            };
            let mut block = Vec::new();
            while matches!(decoder.next_block(&mut block), Ok(true)) {
                // Ten minutes out of 50 kB: the length limit would end it.
                if decoder.position() > 600 * 48_000 {
                    break;
                }
            }
        }
    }
}

fn decode_cut(name: &str, cut: Cut) -> (Vec<f32>, Damage) {
    let mut decoder = Decoder::open(Cursor::new(fixture(name)), Some(name), 1 << 30, cut).unwrap();
    let (mut block, mut all) = (Vec::new(), Vec::new());
    while decoder.next_block(&mut block).unwrap() {
        all.extend_from_slice(&block);
    }
    assert_eq!(decoder.position(), (all.len() / decoder.info().channels) as u64);
    (all, decoder.damage())
}

#[test]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small positions")]
fn a_cut_is_a_slice_of_the_whole_to_the_sample() {
    let secs = |secs| Some(std::time::Duration::from_secs_f64(secs));
    for name in ["click.wav", "click.mp3", "click.m4a", "click.aac", "click-opus.ogg", "surround-centre.opus"]
    {
        let whole = decode(fixture(name), name, true).unwrap();
        let channels = whole.info.channels;
        let at = |time: f64| (time * f64::from(whole.info.sample_rate.hz())).round() as usize * channels;
        for (start, end) in [(0.0, Some(0.2)), (0.1, Some(0.4)), (0.123_456_7, None), (0.15, Some(0.150_1))] {
            let (cut, damage) = decode_cut(name, Cut::new(secs(start).unwrap(), end.and_then(secs)).unwrap());
            let slice = &whole.all[at(start)..end.map_or(whole.all.len(), at)];
            assert!(cut == slice, "{name} {start} to {end:?}: {} of {} values", cut.len(), slice.len());
            // It would be seen to be late by one sample.
            assert!(cut != whole.all[at(start) + channels..][..slice.len() - channels], "{name}");
            assert_eq!(damage, Damage::default(), "{name}");
        }
    }
}
