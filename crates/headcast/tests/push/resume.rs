//! A stream goes on where another one stopped.

use std::sync::Arc;

use headcast::ClipFolder;
use headcast::core::FrameRate;
use headcast::media::mp4::access_units;
use headcast::media::segment;
use headcast::media::store::{Memory, SegmentStore as _};
use headcast::push::{Error, Length, Output, Settings, Stream, Viewer, Warning};

use crate::{all, memory, push, settings, silent, sound};

fn open(folder: &std::path::Path, length: Length) -> Result<Stream, Error> {
    Stream::open(settings(length), Output::Folder(ClipFolder::reopen(folder)?))
}

/// Aborted or killed at any frame, a clip ends as if nothing had happened.
#[test]
fn a_clip_ends_as_if_nothing_had_happened() {
    let (expected, output) = memory();
    let mut stream = Stream::open(settings(Length::Sound(sound(4.0))), output).unwrap();
    push(&mut stream, 0..100);
    let playlist = stream.viewer().playlist();
    stream.finish().unwrap();
    for (stop, at) in [(3, 0), (8, 8), (30, 24), (99, 56), (100, 100)] {
        for killed in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            let mut stream = open(folder.path(), Length::Sound(sound(4.0))).unwrap();
            push(&mut stream, 0..stop);
            stream.abort("stopped").unwrap();
            if killed {
                // A process that is killed leaves the playlist as it was.
                std::fs::write(folder.path().join("index.m3u8"), &playlist).unwrap();
                std::fs::write(folder.path().join(".segment_00004.ts.1-1.part"), "half").unwrap();
            }
            let mut stream = open(folder.path(), Length::Sound(sound(4.0))).unwrap();
            assert_eq!(stream.next_frame(), at, "stopped at {stop}");
            assert_eq!(stream.viewer().playlist(), playlist);
            push(&mut stream, at..100);
            let clip = stream.folder().unwrap().clone();
            assert_eq!(stream.finish().unwrap().frames, 100);
            assert!(all(&**clip.segments()) == all(&*expected), "stopped at {stop}");
            assert_eq!(clip.playlist().unwrap().as_ref(), Some(&playlist));
            assert!(clip.video_path().exists());
        }
    }
}

#[test]
fn an_open_clip_goes_on_after_its_last_frame() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = open(folder.path(), Length::Open(FrameRate::PAL)).unwrap();
    push(&mut stream, 0..30);
    stream.abort("a break").unwrap();
    let mut stream = open(folder.path(), Length::Open(FrameRate::PAL)).unwrap();
    assert_eq!(stream.next_frame(), 30);
    assert!(!stream.viewer().playlist().contains("ENDLIST"));
    push(&mut stream, 30..50);
    let viewer = stream.viewer();
    assert_eq!(stream.finish().unwrap().frames, 50);
    assert_eq!(viewer.plan().unwrap().ends(), [8, 24, 30, 38, 50]);
    // One frame is no segment to go on from.
    let folder = tempfile::tempdir().unwrap();
    let mut stream = open(folder.path(), Length::Open(FrameRate::PAL)).unwrap();
    push(&mut stream, 0..1);
    assert_eq!(stream.abort("a break").unwrap().frames, 0);
    assert_eq!(open(folder.path(), Length::Open(FrameRate::PAL)).unwrap().next_frame(), 0);
}

#[test]
fn another_clip_is_not_continued() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = open(folder.path(), Length::Sound(sound(4.0))).unwrap();
    push(&mut stream, 0..60);
    stream.abort("stopped").unwrap();
    let refused = |settings: Settings| {
        let output = Output::Folder(ClipFolder::reopen(folder.path()).unwrap());
        let error = Stream::open(settings, output).unwrap_err();
        assert!(matches!(error, Error::Mismatch { .. }), "{error}");
        error.to_string()
    };
    let mut other = sound(4.0);
    let recording: Vec<u8> = {
        let mut wav = crate::recording(4.0);
        wav[50_000..51_000].fill(0x11);
        wav
    };
    other.track = crate::common::listen(recording, headcast::Features::BuiltIn).unwrap().track;
    assert!(refused(settings(Length::Sound(other))).contains("its sound is another one"));
    assert!(refused(Settings::new(80, 48, Length::Sound(sound(4.0)))).contains("of another size"));
    assert!(refused(settings(Length::Sound(sound(1.0)))).contains("its length differs"));
    assert!(refused(settings(silent(100))).contains("its segments are cut otherwise"));
    assert!(refused(settings(Length::Open(FrameRate::new(30, 1).unwrap()))).contains("another frame rate"));
    // Nothing was touched, and the right one goes on.
    assert_eq!(open(folder.path(), Length::Sound(sound(4.0))).unwrap().next_frame(), 56);
}

#[test]
fn a_missing_segment_is_where_it_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let mut stream = open(folder.path(), silent(100)).unwrap();
    push(&mut stream, 0..100);
    stream.finish().unwrap();
    let clip = ClipFolder::reopen(folder.path()).unwrap();
    std::fs::remove_file(clip.segments().segment_path(1)).unwrap();
    let mut stream = open(folder.path(), silent(100)).unwrap();
    assert_eq!(stream.next_frame(), 8);
    assert_eq!(clip.segments().list().unwrap(), [0]);
    push(&mut stream, 8..100);
    stream.finish().unwrap();
    assert_eq!(clip.segments().list().unwrap().len(), 4);
}

/// The pictures that a finished clip ends with, in the encoder's colours.
fn last_picture(clip: &ClipFolder, viewer: &Viewer) -> Vec<u8> {
    let (config, plan) = (viewer.config(), viewer.plan().unwrap());
    let index = plan.len() - 1;
    let segment = clip.segments().get(index).unwrap().unwrap();
    let streams = access_units(config, &plan, index, &segment).unwrap();
    segment::last_picture(config, streams.video.iter().map(|unit| &unit.data[..])).unwrap()
}

/// Mean distance of samples, in tenths: encoding twice costs some two steps, another frame is ten away.
fn distance(one: &[u8], other: &[u8]) -> u64 {
    let sum: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    assert_eq!(one.len(), other.len());
    10 * sum / one.len() as u64
}

/// After a break there is no picture in memory: the last one that is in a segment is held.
#[test]
fn what_is_missing_after_a_break_holds_the_last_picture() {
    for sounding in [true, false] {
        let length = || if sounding { Length::Sound(sound(2.0)) } else { silent(50) };
        let ended = |frames: u64, breaks: bool| {
            let folder = tempfile::tempdir().unwrap();
            let mut stream = open(folder.path(), length()).unwrap();
            push(&mut stream, 0..frames);
            if breaks {
                stream.abort("a break").unwrap();
                stream = open(folder.path(), length()).unwrap();
                assert_eq!(stream.next_frame(), frames);
            }
            let (viewer, clip) = (stream.viewer(), stream.folder().unwrap().clone());
            let finished = stream.finish().unwrap();
            assert_eq!(
                (finished.frames, finished.warnings),
                (50, vec![Warning::Held { frames: 50 - frames }])
            );
            last_picture(&clip, &viewer)
        };
        let (undisturbed, broken) = (ended(24, false), ended(24, true));
        assert!(distance(&undisturbed, &broken) <= 30, "{}", distance(&undisturbed, &broken));
        assert!(distance(&undisturbed, &ended(8, true)) > 60, "the control");
    }
    // Without any picture there is still none.
    let folder = tempfile::tempdir().unwrap();
    let error = open(folder.path(), silent(50)).unwrap().finish().unwrap_err();
    assert!(matches!(error, Error::NoFrame { missing: Some(50) }), "{error}");
}

#[test]
fn an_open_clip_may_end_with_one_frame_after_a_break() {
    for (more, held) in [(1, 1), (2, 0)] {
        let folder = tempfile::tempdir().unwrap();
        let mut stream = open(folder.path(), Length::Open(FrameRate::PAL)).unwrap();
        push(&mut stream, 0..30);
        stream.abort("a break").unwrap();
        let mut stream = open(folder.path(), Length::Open(FrameRate::PAL)).unwrap();
        push(&mut stream, 30..30 + more);
        let (viewer, clip) = (stream.viewer(), stream.folder().unwrap().clone());
        let finished = stream.finish().unwrap();
        assert_eq!(finished.frames, 32);
        assert_eq!(finished.warnings, [Warning::Held { frames: 1 }][..held]);
        assert_eq!(viewer.plan().unwrap().ends(), [8, 24, 30, 32]);
        assert!(clip.playlist().unwrap().unwrap().ends_with("#EXT-X-ENDLIST\n"));
    }
}

/// Whoever knows where segments end has the ones made again that are not there, and no other ones.
#[test]
fn a_missing_segment_of_an_open_clip_ends_where_it_did() {
    let open = |ends: &[u64], output| {
        Stream::open(settings(Length::Open(FrameRate::PAL)).ends(ends.to_vec()), output).unwrap()
    };
    let (whole, output) = memory();
    let mut stream = open(&[], output);
    push(&mut stream, 0..30);
    stream.abort("a break").unwrap();
    let mut stream = open(&[8, 24, 30], Output::Store(Arc::<Memory>::clone(&whole)));
    push(&mut stream, 30..50);
    stream.finish().unwrap();
    let ends = [8, 24, 30, 38, 50];
    let expected = all(&*whole);
    // Frames 24 to 30 are not there, and those behind them are.
    for (sent, held) in [(24..60, 0), (24..30, 20), (24..24, 26)] {
        let (store, output) = memory();
        for index in [0, 1, 3, 4] {
            store.put(index, expected[index].clone()).unwrap();
        }
        let mut stream = open(&ends, output);
        assert_eq!((stream.next_frame(), stream.viewer().segments()), (24, 2));
        push(&mut stream, sent.clone());
        let viewer = stream.viewer();
        let finished = stream.finish().unwrap();
        let warnings = [Warning::Held { frames: held }];
        assert_eq!(finished.warnings, warnings[..usize::from(held > 0)], "{sent:?}");
        assert_eq!(finished.frames, sent.end.max(50));
        assert_eq!(viewer.plan().unwrap().ends()[..5], ends);
        let again = all(&*store);
        assert!(again[..2] == expected[..2]);
        assert_eq!(again[2] == expected[2], sent.end >= 30, "held pictures are others");
        assert!(again[3..5] == expected[3..], "what is there stays as it is: {sent:?}");
    }
    // What breaks off within it leaves it as it was: not there.
    let (store, output) = memory();
    store.put(0, expected[0].clone()).unwrap();
    let mut stream = open(&ends, output);
    push(&mut stream, 8..20);
    assert_eq!(stream.abort("a break").unwrap().frames, 8);
    assert_eq!(store.list().unwrap(), [0]);
}
