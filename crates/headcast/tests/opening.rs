//! A clip is opened without its sound being compressed, and the sound that follows is that of one pass.
#![expect(clippy::unwrap_used, reason = "tests fail by panicking")]

mod common;

use std::io::{Cursor, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bytes::Bytes;
use headcast::audio::{Cut, Ears, Ingest, Limits, Options, Progress};
use headcast::core::{FrameRate, SampleRate, Spools};
use headcast::media::aac::{self, Encoder as _};
use headcast::{Features, Sound, Speech};

use common::{listen, repository, wav};

/// Units that are written before anybody asks, with the few that a block of samples may add.
const UNASKED: u64 = 64 + 16;

fn speech(folder: &str, name: &str) -> Vec<u8> {
    std::fs::read(repository().join("fixtures").join(folder).join(name)).unwrap()
}

/// A voice-like sound: a tone whose loudness and pitch change.
#[expect(clippy::cast_precision_loss, reason = "small test values")]
fn hum(secs: usize) -> Vec<u8> {
    let sample = |i: usize| {
        let t = i as f32 / 16_000.0;
        0.5 * (t * 3.0).sin() * (t * (700.0 + 200.0 * (t * 0.7).sin())).sin()
    };
    wav(16_000, &(0..secs * 16_000).map(sample).collect::<Vec<f32>>())
}

/// The sound of a recording, decoded and compressed in one go.
fn in_one_pass(recording: Vec<u8>, name: &str) -> Vec<Bytes> {
    part_in_one_pass(recording, name, Cut::WHOLE)
}

fn part_in_one_pass(recording: Vec<u8>, name: &str, cut: Cut) -> Vec<Bytes> {
    let ingest = Ingest::open_cut(Cursor::new(recording), Some(name), &Limits::default(), cut).unwrap();
    let channels = aac::Channels::from_count(ingest.info().output_channels).unwrap();
    let mut encoder = aac::Fdk::new(channels).unwrap();
    let mut units = Vec::new();
    let options = Options { features: Ears::Deaf, ..Options::default() };
    let mut take = |block: &[f32], _: Progress| {
        units.extend(encoder.push(block).unwrap());
        ControlFlow::Continue(())
    };
    let heard = ingest.run(&options, &mut take).unwrap();
    units.extend(encoder.finish().unwrap());
    assert_eq!(units.len() as u64, heard.timeline.aac_units());
    units
}

fn open(recording: impl Read + Seek + Send + Sync + 'static, name: &str) -> Sound {
    let go_on = &mut |_| ControlFlow::Continue(());
    Sound::open(recording, Some(name), &Limits::default(), FrameRate::PAL, go_on).unwrap()
}

#[test]
fn the_sound_is_that_of_one_pass_wherever_it_is_asked_for_first() {
    let mut broken = speech("audio", "click.mp3");
    let middle = broken.len() / 2;
    broken[middle..middle + 200].fill(0x55);
    let clips = [
        ("hum.wav", hum(30)),
        ("en.wav", speech("speech", "en.wav")),
        ("click.mp3", speech("audio", "click.mp3")),
        ("broken.mp3", broken),
        ("click.m4a", speech("audio", "click.m4a")),
        ("click-opus.ogg", speech("audio", "click-opus.ogg")),
        ("surround-centre.opus", speech("audio", "surround-centre.opus")),
    ];
    for (name, recording) in clips {
        let expected = in_one_pass(recording.clone(), name);
        let units = expected.len() as u64;
        for first in [0, units / 2, units - 1] {
            let sound = open(Cursor::new(recording.clone()), name);
            assert_eq!(sound.timeline.aac_units(), units, "{name}");
            let one = sound.track.wait(first..first + 1).unwrap();
            assert!(one[0] == expected[usize::try_from(first).unwrap()], "{name}, unit {first}");
            assert!(sound.track.wait(0..units).unwrap() == expected, "{name}, asked for unit {first} first");
        }
        // Control: another loudness is another sound.
        if name == "hum.wav" {
            let quieter = in_one_pass(wav(16_000, &[0.25; 16_000]), name);
            assert_ne!(quieter[..40], expected[..40]);
        }
    }
}

#[test]
fn the_sound_of_a_part_is_that_of_the_part() {
    let recording = speech("speech", "en.wav");
    let cut = Cut::from_secs(Some(1.25), Some(4.0)).unwrap();
    let expected = part_in_one_pass(recording.clone(), "en.wav", cut);
    assert_ne!(expected, in_one_pass(recording.clone(), "en.wav")[..expected.len()], "control");
    let go_on = &mut |_| ControlFlow::Continue(());
    let (recording, limits, spools) = (Cursor::new(recording), Limits::default(), Spools::in_memory());
    let (pal, built_in) = (FrameRate::PAL, Features::BuiltIn);
    let part = Speech::open(recording, Some("en.wav"), &limits, cut, pal, built_in, &spools, go_on).unwrap();
    assert!(part.track.wait(0..part.timeline.aac_units()).unwrap() == expected);
}

#[test]
fn opening_compresses_a_few_seconds_and_the_rest_is_made_for_those_who_ask() {
    let speech = listen(hum(120), Features::BuiltIn).unwrap();
    let units = speech.timeline.aac_units();
    assert_eq!(units, speech.timeline.samples(SampleRate::AAC).div_ceil(1024));
    assert!(units > 20 * UNASKED);
    // What is there at the start comes by itself, and nothing beyond, however long one waits.
    let deadline = Instant::now() + Duration::from_secs(30);
    while speech.track.len() < 64 && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    assert!((64..=UNASKED).contains(&speech.track.len()), "{}", speech.track.len());
    let other = speech.track.clone();
    thread::scope(|scope| {
        let waiting = scope.spawn(move || other.wait(units - 3..units).unwrap().len());
        assert_eq!(speech.track.wait(300..310).unwrap().len(), 10);
        assert_eq!(waiting.join().unwrap(), 3);
    });
}

/// A recording that says when it is let go, and may become shorter.
struct Watched {
    bytes: Cursor<Vec<u8>>,
    gone: Arc<AtomicBool>,
    cut: Arc<AtomicBool>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let half = self.bytes.get_ref().len() / 2;
        if self.cut.load(Ordering::SeqCst) {
            self.bytes.get_mut().truncate(half);
            self.cut.store(false, Ordering::SeqCst);
        }
        self.bytes.read(buffer)
    }
}

impl Seek for Watched {
    fn seek(&mut self, to: SeekFrom) -> std::io::Result<u64> {
        self.bytes.seek(to)
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.gone.store(true, Ordering::SeqCst);
    }
}

fn watched(bytes: Vec<u8>) -> (Watched, Arc<AtomicBool>, Arc<AtomicBool>) {
    let (gone, cut) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let recording = Watched { bytes: Cursor::new(bytes), gone: Arc::clone(&gone), cut: Arc::clone(&cut) };
    (recording, gone, cut)
}

fn soon(what: &AtomicBool) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    while !what.load(Ordering::SeqCst) && Instant::now() < deadline {
        thread::sleep(Duration::from_millis(1));
    }
    what.load(Ordering::SeqCst)
}

#[test]
fn a_recording_is_let_go_with_the_last_who_could_ask_or_when_its_sound_is_complete() {
    let (recording, gone, _) = watched(hum(60));
    let sound = open(recording, "hum.wav");
    let other = sound.clone();
    drop(sound);
    other.track.wait(0..40).unwrap();
    assert!(!gone.load(Ordering::SeqCst), "more may be asked for");
    drop(other);
    assert!(soon(&gone));

    let (recording, gone, _) = watched(hum(60));
    let sound = open(recording, "hum.wav");
    sound.track.wait(0..sound.timeline.aac_units()).unwrap();
    assert!(soon(&gone));
}

#[test]
fn a_recording_that_changes_while_it_is_spoken_is_an_error_where_the_change_is_heard() {
    let (recording, _, cut) = watched(hum(60));
    let sound = open(recording, "hum.wav");
    let units = sound.timeline.aac_units();
    let first = sound.track.wait(0..40).unwrap();
    cut.store(true, Ordering::SeqCst);
    let error = sound.track.wait(units - 1..units).unwrap_err().to_string();
    assert!(error.contains("must not change while it is spoken"), "{error}");
    assert_eq!(sound.track.wait(0..40).unwrap(), first, "what was there is still there");
}

#[test]
fn what_is_wrong_in_the_middle_is_said_before_the_first_frame() {
    // A value that is no number after 40 of 60 seconds.
    let mut file = hum(60);
    file[20] = 3;
    let samples: Vec<u8> =
        (0..60 * 16_000u32).flat_map(|i| if i == 640_000 { f32::NAN } else { 0.25 }.to_le_bytes()).collect();
    file.truncate(44);
    file[28..32].copy_from_slice(&64_000u32.to_le_bytes());
    file[32..36].copy_from_slice(&[4, 0, 32, 0]);
    let len = u32::try_from(samples.len()).unwrap();
    file[4..8].copy_from_slice(&(36 + len).to_le_bytes());
    file[40..44].copy_from_slice(&len.to_le_bytes());
    file.extend(samples);
    let error = listen(file, Features::BuiltIn).unwrap_err().to_string();
    assert!(error.contains("NaN at 40.0 s"), "{error}");

    let stop = &mut |progress: Progress| match progress.decoded > Duration::from_secs(20) {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let (recording, gone, _) = watched(hum(60));
    let (limits, pal, whole) = (Limits::default(), FrameRate::PAL, Cut::WHOLE);
    let built_in = Features::BuiltIn;
    let cancelled =
        Speech::open(recording, Some("a.wav"), &limits, whole, pal, built_in, &Spools::in_memory(), stop);
    assert!(cancelled.unwrap_err().to_string().contains("cancelled"));
    assert!(soon(&gone), "nothing is left running");
}
