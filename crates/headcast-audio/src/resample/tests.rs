use super::*;

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

#[expect(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "test signals")]
fn sine(hz: f64, rate: u32, count: usize) -> Vec<f32> {
    (0..count).map(|i| (std::f64::consts::TAU * hz * i as f64 / f64::from(rate)).sin() as f32 * 0.5).collect()
}

fn resample(input: &[f32], from: u32, to: u32, block: usize) -> Vec<f32> {
    let mut resampler = Resampler::new(rate(from), rate(to), 1);
    let mut out = Vec::new();
    for block in input.chunks(block) {
        resampler.push(block, &mut out);
    }
    let total = resampler.finish(&mut out);
    assert_eq!(total, out.len() as u64);
    out
}

/// Level in the middle of a signal, away from its abrupt ends.
fn rms(signal: &[f32]) -> f32 {
    let middle = &signal[signal.len() / 4..signal.len() * 3 / 4];
    (middle.iter().map(|v| v * v).sum::<f32>() / 1e0 / middle.iter().map(|_| 1.0f32).sum::<f32>()).sqrt()
}

#[test]
fn sines_keep_level_and_phase_and_nothing_folds_back() {
    for from in [8_000, 11_025, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000] {
        for to in [16_000, 48_000] {
            let count = usize::try_from(from).unwrap() / 2;
            let hz = 0.4 * f64::from(from.min(to));
            let out = resample(&sine(hz, from, count), from, to, 4096);
            let expected = sine(hz, to, out.len());
            let error: Vec<f32> = out.iter().zip(&expected).map(|(a, b)| a - b).collect();
            assert!(rms(&error) < 1e-4, "{from} to {to}: {}", rms(&error));
            // Control: a delay of one sample would be seen.
            let late: Vec<f32> = out.iter().skip(1).zip(&expected).map(|(a, b)| a - b).collect();
            assert!(rms(&late) > 1e-2);
            if from > to {
                // Above the new Nyquist frequency: gone, by 80 dB.
                let hz = 0.5 * f64::from(to) * 1.1;
                if hz < 0.5 * f64::from(from) {
                    let out = resample(&sine(hz, from, count), from, to, 4096);
                    assert!(rms(&out) < 5e-5, "{from} to {to} folds {} back", rms(&out));
                }
            }
        }
    }
}

#[test]
fn clicks_stay_in_place_and_lengths_are_exact() {
    for (from, to) in [
        (44_100, 48_000),
        (44_100, 16_000),
        (8_000, 48_000),
        (48_000, 16_000),
        (192_000, 16_000),
        (44_101, 48_000),
    ] {
        for count in [1usize, 500, 12_345] {
            let mut input = vec![0.0; count];
            let at = count / 3;
            input[at] = 1.0;
            let out = resample(&input, from, to, 1000);
            let expected = (count * to as usize).div_ceil(from as usize);
            assert_eq!(out.len(), expected, "{count} from {from} to {to}");
            let peak = (0..out.len()).max_by(|&a, &b| out[a].abs().total_cmp(&out[b].abs())).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "small positions")]
            let (found, put) = (peak as f64 / f64::from(to), at as f64 / f64::from(from));
            assert!((found - put).abs() <= 0.51 / f64::from(to), "{from} to {to}: {found} for {put}");
        }
    }
}

#[test]
fn blocks_of_any_size_give_the_same_samples() {
    let input = sine(440.0, 44_100, 20_000);
    let whole = resample(&input, 44_100, 48_000, 20_000);
    assert_eq!(resample(&input, 44_100, 48_000, 333), whole);
    assert_eq!(resample(&input, 48_000, 48_000, 333), input);
    assert!(resample(&[], 44_100, 48_000, 10).is_empty());
}

/// Upstream resamples for HuBERT with librosa, whose default is `soxr_hq`. Tones up to 7 kHz come out alike but for 20 ms at
/// either end, where both filters see a clip begin or stop at once; its pass band ends at 7.3 kHz, this one's at 7.84.
#[test]
#[expect(clippy::cast_possible_truncation, reason = "as librosa is given them")]
fn tones_are_those_of_librosa() {
    const TONES: [u32; 9] = [100, 220, 470, 1000, 2100, 3300, 4700, 6100, 7000];
    const END: usize = 320;
    for from in [22_050u32, 44_100, 48_000] {
        let tones = |shift: u32| -> Vec<f32> {
            let value = |i: u32| {
                let at = f64::from(i + shift) / f64::from(from);
                let tone =
                    |(k, hz): (u32, &u32)| (std::f64::consts::TAU * f64::from(*hz) * at + f64::from(k)).sin();
                ((0..).zip(&TONES).map(tone).sum::<f64>() / 10.0) as f32
            };
            (0..from / 4).map(value).collect()
        };
        let path = format!("{}/../../fixtures/wav2vec2/resampled.{from}.npy", env!("CARGO_MANIFEST_DIR"));
        let expected =
            headcast_core::npy::Array::<f32>::read_f32(&std::fs::read(path).unwrap()).unwrap().data;
        let off = |found: &[f32]| {
            let pairs = found.iter().zip(&expected).enumerate();
            let inner = END..expected.len() - END;
            pairs.filter(|(i, _)| inner.contains(i)).map(|(_, (a, b))| (a - b).abs()).fold(0.0, f32::max)
        };
        let found = resample(&tones(0), from, 16_000, 4096);
        assert_eq!(found.len(), expected.len());
        assert!(off(&found) < 3e-4, "{from}: {}", off(&found));
        let control = off(&resample(&tones(1), from, 16_000, 4096));
        assert!(control > 0.1, "control: a sample later {control}");
    }
}
