use std::io::{Cursor, Read, Seek, SeekFrom};

use super::*;
use crate::decode::tests::{fixture, wav};

fn open(bytes: Vec<u8>, name: &str) -> Result<Ingest, AudioError> {
    Ingest::open(Cursor::new(bytes), Some(name), &Limits::default())
}

fn run(bytes: Vec<u8>, name: &str) -> Result<(Ingested, Vec<f32>), AudioError> {
    let mut pcm = Vec::new();
    let ingested = open(bytes, name)?.run(&Options::default(), &mut |block: &[f32], _: Progress| {
        pcm.extend_from_slice(block);
        ControlFlow::Continue(())
    })?;
    Ok((ingested, pcm))
}

fn refused(bytes: Vec<u8>, name: &str) -> String {
    let error = run(bytes, name).unwrap_err();
    println!("{name}: {error}");
    error.to_string()
}

fn tone(count: usize, channels: u16) -> Vec<u8> {
    let sample = |i: usize| i16::try_from(i * 37 % 2000).unwrap() - 1000;
    let data: Vec<u8> =
        (0..count).flat_map(|i| sample(i).to_le_bytes().repeat(usize::from(channels))).collect();
    wav(1, channels, 16_000, 16, &data)
}

#[test]
fn one_pass_gives_audio_features_and_timeline_of_one_length() {
    for (name, channels) in [("click.mp3", 1), ("click-opus.ogg", 1), ("surround-centre.opus", 2)] {
        let (clip, pcm) = run(fixture(name), name).unwrap();
        assert_eq!(clip.timeline.frames(), 16, "{name}"); // 0.612 s
        assert_eq!(pcm.len(), 16 * 1920 * channels, "{name}");
        assert_eq!(clip.info.output_channels, channels);
        assert_eq!(clip.features.unwrap().rows(), 16, "{name}");
        assert!(clip.warnings.is_empty(), "{name}: {:?}", clip.warnings);
        assert!(clip.level.peak > 0.3 && clip.level.rms < 0.1, "{name}: {:?}", clip.level);
    }
    let (_, pcm) = run(fixture("surround-centre.opus"), "a.opus").unwrap();
    assert!(
        pcm.chunks(2).all(|frame| (frame[0] - frame[1]).abs() < 0.02),
        "the centre is heard on both sides"
    );
    let (clip, pcm) = run(tone(6401, 2), "a.wav").unwrap();
    assert_eq!((clip.samples, clip.timeline.frames(), pcm.len()), (6401, 11, 2 * 11 * 1920));
}

#[test]
fn features_are_optional_and_sinks_can_stop() {
    let options = Options { features: Ears::Deaf, ..Options::default() };
    let clip = open(tone(16_000, 1), "a.wav")
        .unwrap()
        .run(&options, &mut |_: &[f32], _: Progress| ControlFlow::Continue(()));
    assert!(clip.unwrap().features.is_none());
    let mut calls = 0;
    let stopped =
        open(tone(160_000, 1), "a.wav").unwrap().run(&options, &mut |_: &[f32], progress: Progress| {
            assert!(progress.bytes <= progress.total_bytes && progress.total_bytes > 320_000);
            calls += 1;
            if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
    assert!(matches!(stopped, Err(AudioError::Cancelled)));
    assert_eq!(calls, 3);
}

/// What is heard first and what sounds later are what one pass gives, for every format, damaged files included.
#[test]
fn two_passes_give_what_one_gives() {
    let mut broken = fixture("click.mp3");
    let middle = broken.len() / 2;
    broken[middle..middle + 200].fill(0x55);
    let cut = fixture("click.m4a").len() * 9 / 10;
    let half = fixture("click.mp3").len() / 2;
    let clips: [(&str, Vec<u8>); 8] = [
        ("stereo.wav", tone(6401, 2)),
        ("click.mp3", fixture("click.mp3")),
        ("broken.mp3", broken),
        ("half.mp3", fixture("click.mp3")[..half].to_vec()),
        ("click.m4a", fixture("click.m4a")),
        ("cut.m4a", fixture("click.m4a")[..cut].to_vec()),
        ("click-opus.ogg", fixture("click-opus.ogg")),
        ("surround-centre.opus", fixture("surround-centre.opus")),
    ];
    let mut warned = 0;
    for (name, bytes) in clips {
        let Ok((clip, pcm)) = run(bytes.clone(), name) else {
            // What is refused is refused before the first frame.
            let heard = open(bytes, name)
                .and_then(|ingest| ingest.hear(&Options::default(), &mut |_| ControlFlow::Continue(())));
            assert!(heard.is_err(), "{name}");
            continue;
        };
        let heard = open(bytes.clone(), name)
            .unwrap()
            .hear(&Options::default(), &mut |_| ControlFlow::Continue(()))
            .unwrap();
        assert_eq!((heard.timeline, heard.samples), (clip.timeline, clip.samples), "{name}");
        assert_eq!((heard.level, &heard.warnings), (clip.level, &clip.warnings), "{name}");
        warned += heard.warnings.len();
        let (a, b) = (clip.features.unwrap(), heard.features.unwrap());
        assert_eq!(a.rows(), b.rows(), "{name}");
        let window = |track: &FeatureTrack, row| {
            let mut window = vec![0.0; track.window_len()];
            track.window_into(row, &mut window).unwrap();
            window
        };
        assert!((0..a.rows()).all(|row| window(&a, row) == window(&b, row)), "{name}");
        let mut later = Vec::new();
        let mut take = |block: &[f32], _: Progress| {
            later.extend_from_slice(block);
            ControlFlow::Continue(())
        };
        open(bytes, name).unwrap().sound(&heard.timeline, &mut take).unwrap();
        assert!(later == pcm, "{name}: the same samples");
    }
    assert!(warned > 0, "what is missing was noticed");
}

#[test]
fn a_recording_that_became_another_one_is_seen() {
    let heard = open(tone(16_000, 1), "a.wav")
        .unwrap()
        .hear(&Options::default(), &mut |_| ControlFlow::Continue(()))
        .unwrap();
    for samples in [15_000, 17_000] {
        let again = open(tone(samples, 1), "a.wav").unwrap();
        let error = again.sound(&heard.timeline, &mut |_: &[f32], _: Progress| ControlFlow::Continue(()));
        assert!(matches!(error, Err(AudioError::Changed)));
    }
}

#[test]
fn files_that_are_no_audio_are_refused_in_a_sentence() {
    assert!(refused(Vec::new(), "a.wav").contains("empty"));
    let text = refused(b"Dear diary, this is no sound at all.\n".repeat(100), "a.wav");
    assert!(text.contains("looks like text") && text.contains("wav, mp3, m4a"), "{text}");
    assert!(refused(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR".repeat(20), "a.mp3").contains("PNG picture"));
    assert!(refused(b"hi".to_vec(), "a.wav").contains("text"));
    assert!(refused(vec![0; 5000], "a.wav").contains("not an audio file"));
    assert!(refused(fixture("no-audio.mp4"), "a.mp4").contains("no audio track"));
}

#[test]
fn codecs_that_are_not_decoded_are_named() {
    // The AudioSpecificConfig of AAC-LC at 44.1 kHz mono (0x1208) becomes HE-AAC at the same rate.
    let mut heaac = fixture("click.m4a");
    let at = heaac.windows(4).position(|w| w == [5, 0x80, 0x80, 0x80]).unwrap();
    assert_eq!(heaac[at + 5..at + 7], [0x12, 0x08]);
    heaac[at + 5] = 0x2a;
    assert!(refused(heaac, "a.m4a").contains("HE-AAC"));
    let gsm = refused(wav(0x31, 1, 8000, 8, &[0; 4000]), "a.wav");
    assert!(gsm.contains("cannot decode"), "{gsm}");
}

#[test]
fn rates_and_channel_counts_outside_the_range_are_stated() {
    assert!(refused(wav(1, 1, 4000, 16, &[1; 8000]), "a.wav").contains("4000 samples per second"));
    assert!(refused(wav(1, 1, 384_000, 16, &[1; 8000]), "a.wav").contains("384000"));
    assert!(refused(wav(1, 9, 16_000, 16, &[1; 18_000]), "a.wav").contains("9 channels"));
    for rate in [8_000, 192_000] {
        for channels in [1, 8] {
            let data = vec![1; rate as usize * usize::from(channels)];
            let (clip, _) = run(wav(1, channels, rate, 16, &data), "a.wav").unwrap();
            assert_eq!(clip.timeline.frames(), 13);
        }
    }
}

#[test]
fn lengths_outside_the_limits_are_refused() {
    let short = refused(tone(800, 1), "a.wav");
    assert!(short.contains("only 0.050 s") && short.contains("0.100 s"), "{short}");
    assert!(refused(tone(0, 1), "a.wav").contains("0.000 s"));

    // No header states this length, so decoding stops where the limit is.
    let limits = Limits { max_duration: Duration::from_millis(300), ..Limits::default() };
    let opened = Ingest::open(Cursor::new(fixture("click.aac")), None, &limits).unwrap();
    let mut heard = 0;
    let error = opened.run(&Options::default(), &mut |block: &[f32], _: Progress| {
        heard += block.len();
        ControlFlow::Continue(())
    });
    assert!(matches!(error, Err(AudioError::TooLong { stated: None, .. })));
    assert!(heard < 48_000 * 2 / 5);

    let limits = Limits { max_bytes: 1000, ..Limits::default() };
    let large = Ingest::open(Cursor::new(tone(1000, 1)), None, &limits);
    assert!(matches!(large, Err(AudioError::TooLarge { bytes: 2044, max: 1000 })));
}

/// Three hours of a wav that is never read further than its first block.
struct Hours {
    header: Vec<u8>,
    pos: u64,
    len: u64,
    read: std::sync::Arc<std::sync::atomic::AtomicU64>,
}

impl Read for Hours {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        let left = usize::try_from(self.len - self.pos.min(self.len)).unwrap().min(buf.len());
        for (i, byte) in buf[..left].iter_mut().enumerate() {
            let at = usize::try_from(self.pos).unwrap() + i;
            *byte = self.header.get(at).copied().unwrap_or(0);
        }
        self.pos += left as u64;
        self.read.fetch_add(left as u64, std::sync::atomic::Ordering::Relaxed);
        Ok(left)
    }
}

impl Seek for Hours {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.pos = match to {
            SeekFrom::Start(at) => at,
            SeekFrom::End(by) => self.len.saturating_add_signed(by),
            SeekFrom::Current(by) => self.pos.saturating_add_signed(by),
        };
        Ok(self.pos)
    }
}

#[test]
fn three_hours_are_refused_from_the_header() {
    let bytes = 3 * 3600 * 16_000 * 2u32;
    let mut header = wav(1, 1, 16_000, 16, &[]);
    header[4..8].copy_from_slice(&(bytes + 36).to_le_bytes());
    header[40..44].copy_from_slice(&bytes.to_le_bytes());
    let read = std::sync::Arc::default();
    let source = Hours { header, pos: 0, len: u64::from(bytes) + 44, read: std::sync::Arc::clone(&read) };
    let error = Ingest::open(source, Some("long.wav"), &Limits::default()).unwrap_err().to_string();
    assert!(error.contains("3 h long") && error.contains("limit of 2 h"), "{error}");
    assert!(read.load(std::sync::atomic::Ordering::Relaxed) < 1 << 20);
}

#[test]
fn a_promise_of_hours_in_a_short_file_is_a_truncated_file() {
    let mut bytes = tone(16_000, 1);
    bytes[4..8].copy_from_slice(&(3 * 3600 * 32_000u32 + 36).to_le_bytes());
    bytes[40..44].copy_from_slice(&(3 * 3600 * 32_000u32).to_le_bytes());
    let (clip, _) = run(bytes, "a.wav").unwrap();
    assert!(matches!(clip.warnings[..], [Warning::Truncated { decoded }] if decoded.as_millis() > 900));
}

#[test]
fn samples_that_are_no_numbers_are_found() {
    let mut data: Vec<u8> = (0..16_000).flat_map(|_| 0.25f32.to_le_bytes()).collect();
    data[4 * 12_000..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let message = refused(wav(3, 1, 16_000, 32, &data), "a.wav");
    assert!(message.contains("NaN at 0.750 s (sample 12000)"), "{message}");
    data[4 * 12_000..][..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    assert!(refused(wav(3, 1, 16_000, 32, &data), "a.wav").contains("inf at"));
}

#[test]
fn silence_and_cut_files_are_accepted_with_a_warning() {
    let (clip, _) = run(wav(1, 1, 16_000, 16, &[0; 32_000]), "a.wav").unwrap();
    assert_eq!(clip.warnings, [Warning::Silent]);
    assert!(clip.warnings[0].to_string().contains("Check the microphone"));
    assert!(clip.level.peak_dbfs().is_infinite());

    for name in ["click.wav", "click.mp3"] {
        let whole = fixture(name);
        let (clip, _) = run(whole[..whole.len() / 2].to_vec(), name).unwrap();
        let [Warning::Truncated { decoded }] = clip.warnings[..] else {
            panic!("{name}: {:?}", clip.warnings)
        };
        assert!((0.2..0.45).contains(&decoded.as_secs_f64()), "{name}: {decoded:?}");
        assert!(clip.warnings[0].to_string().contains("only the first 0."));
        assert!(run(whole, name).unwrap().0.warnings.is_empty());
    }
    // Nothing but a header.
    let header = refused(fixture("click.mp3")[..60].to_vec(), "a.mp3");
    assert!(header.contains("not an audio file") || header.contains("damaged"), "{header}");
}

struct Failing(Cursor<Vec<u8>>);

impl Read for Failing {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        if self.0.position() > 100_000 {
            return Err(std::io::Error::other("the disk is gone"));
        }
        self.0.read(buf)
    }
}

impl Seek for Failing {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn read_errors_are_not_taken_for_the_end() {
    let error = Ingest::open(Failing(Cursor::new(tone(160_000, 1))), None, &Limits::default())
        .and_then(|ingest| {
            ingest.run(&Options::default(), &mut |_: &[f32], _: Progress| ControlFlow::Continue(()))
        })
        .unwrap_err();
    assert!(error.to_string().contains("the disk is gone"), "{error}");
}

fn run_cut(
    bytes: Vec<u8>,
    limits: &Limits,
    start: f64,
    end: Option<f64>,
) -> Result<(Ingested, Vec<f32>), AudioError> {
    let cut = Cut::from_secs(Some(start), end).unwrap();
    let mut pcm = Vec::new();
    let ingest = Ingest::open_cut(Cursor::new(bytes), Some("a.wav"), limits, cut)?;
    let ingested = ingest.run(&Options::default(), &mut |block: &[f32], _: Progress| {
        pcm.extend_from_slice(block);
        ControlFlow::Continue(())
    })?;
    Ok((ingested, pcm))
}

/// At the rate of the video, which is resampled by nothing.
fn sawtooth(secs: usize) -> Vec<u8> {
    let data: Vec<u8> =
        (0..48_000 * secs).flat_map(|i| i16::try_from(i * 37 % 20_011).unwrap().to_le_bytes()).collect();
    wav(1, 1, 48_000, 16, &data)
}

#[test]
fn a_cut_is_all_that_is_there_of_a_recording() {
    let limits = Limits::default();
    let (_, whole) = run(sawtooth(4), "a.wav").unwrap();
    let (clip, pcm) = run_cut(sawtooth(4), &limits, 1.25, Some(2.25)).unwrap();
    assert_eq!((clip.samples, clip.timeline.frames(), pcm.len()), (48_000, 25, 48_000));
    assert!(pcm == whole[60_000..108_000] && pcm != whole[60_001..108_001]);
    // What the avatar hears starts anew with it.
    let part = wav(1, 1, 48_000, 16, &sawtooth(4)[44 + 120_000..][..96_000]);
    let (alone, _) = run(part, "a.wav").unwrap();
    let rows = |clip: &Ingested| {
        let track = clip.features.as_ref().unwrap();
        let window = |row| {
            let mut window = vec![0.0; track.window_len()];
            track.window_into(row, &mut window).unwrap();
            window
        };
        (0..track.rows()).flat_map(window).collect::<Vec<f32>>()
    };
    assert_eq!(rows(&clip), rows(&alone));
    // Limits are for what is left.
    let short = Limits { max_duration: Duration::from_secs(2), ..limits };
    assert!(matches!(run_cut(sawtooth(4), &short, 0.0, None), Err(AudioError::TooLong { .. })));
    assert_eq!(run_cut(sawtooth(4), &short, 2.5, None).unwrap().0.samples, 72_000);
    assert!(matches!(run_cut(sawtooth(4), &limits, 1.0, Some(1.05)), Err(AudioError::TooShort { .. })));
}

#[test]
fn a_cut_beyond_the_end_is_refused_before_or_when_the_end_is_known() {
    let limits = Limits::default();
    for (start, end, says) in [
        (4.0, None, "starts at 4.0 s, and the recording is only 4.0 s long"),
        (1.0, Some(9.5), "ends at 9.5 s, and the recording is only 4.0 s long"),
    ] {
        let cut = Cut::from_secs(Some(start), end).unwrap();
        let stated = Ingest::open_cut(Cursor::new(sawtooth(4)), None, &limits, cut).unwrap_err().to_string();
        assert!(stated.contains(says), "{stated}");
        // A header that promises an hour.
        let mut liar = sawtooth(4);
        liar[4..8].copy_from_slice(&(3600 * 96_000u32 + 36).to_le_bytes());
        liar[40..44].copy_from_slice(&(3600 * 96_000u32).to_le_bytes());
        let found = run_cut(liar, &limits, start, end).unwrap_err().to_string();
        assert!(found.contains(says), "{found}");
    }
    // The padding that other decoders take for sound.
    assert_eq!(run_cut(sawtooth(4), &limits, 1.0, Some(4.08)).unwrap().0.samples, 144_000);
}

#[test]
fn what_is_wrong_outside_of_the_cut_does_not_matter() {
    let mut data: Vec<u8> = (0..16_000).flat_map(|_| 0.25f32.to_le_bytes()).collect();
    data[4 * 2_000..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    data[4 * 12_000..][..4].copy_from_slice(&f32::NAN.to_le_bytes());
    let sound = |start, end| run_cut(wav(3, 1, 16_000, 32, &data), &Limits::default(), start, Some(end));
    assert_eq!(sound(0.2, 0.7).unwrap().0.samples, 8000);
    let error = sound(0.2, 0.8).unwrap_err().to_string();
    assert!(error.contains("NaN at 0.750 s (sample 12000)"), "{error}");
}

#[test]
fn a_file_that_ends_behind_the_cut_is_whole_for_its_purpose() {
    // It states a segment twice as long as it has, so that it is cut off is known from the start.
    let whole = fixture("click-live.webm");
    let size = 4 + whole.windows(4).position(|bytes| bytes == [0x18, 0x53, 0x80, 0x67]).unwrap();
    let cut_off = || {
        let mut bytes = whole.clone();
        let stated = (1 << 56) | (2 * bytes.len() as u64);
        bytes[size..size + 8].copy_from_slice(&stated.to_be_bytes());
        bytes
    };
    let is_truncated =
        |warnings: &[Warning]| warnings.iter().any(|warning| matches!(warning, Warning::Truncated { .. }));
    let limits = Limits::default();
    let (clip, _) = run_cut(cut_off(), &limits, 0.0, Some(0.2)).unwrap();
    assert_eq!(clip.samples, 9600);
    assert!(!is_truncated(&clip.warnings), "{:?}", clip.warnings);
    let error = run_cut(cut_off(), &limits, 0.1, Some(0.15)).unwrap_err();
    assert!(matches!(error, AudioError::TooShort { .. }), "{error}");
    // Control: whoever wants the rest misses it.
    for start in [0.0, 0.1] {
        let (clip, _) = run_cut(cut_off(), &limits, start, None).unwrap();
        assert!(is_truncated(&clip.warnings), "{:?}", clip.warnings);
    }
    let (clip, _) = run_cut(whole.clone(), &limits, 0.1, None).unwrap();
    assert!(!is_truncated(&clip.warnings), "{:?}", clip.warnings);
}

#[test]
fn waiting_for_the_cut_can_be_given_up() {
    let cut = Cut::from_secs(Some(3.0), None).unwrap();
    let ingest = Ingest::open_cut(Cursor::new(sawtooth(4)), None, &Limits::default(), cut).unwrap();
    let given_up = ingest.run(&Options::default(), &mut |block: &[f32], _: Progress| {
        assert!(block.is_empty(), "the sound before the cut is not handed out");
        ControlFlow::Break(())
    });
    assert!(matches!(given_up, Err(AudioError::Cancelled)));
}
