//! The same pictures give the same bytes, pulled or pushed.

use std::sync::Arc;

use bytes::Bytes;
use headcast::core::timeline::{Speed, vod_playlist};
use headcast::core::{FrameRate, Timeline};
use headcast::media::store::file_name;
use headcast::push::{Length, Pixels, Settings, Stream};
use headcast::{ClipFolder, SegmentSource, Session, Sound, unwatched};

use crate::{Pictures, SIZE, all, memory, picture, push, recording, settings, silent, sound};

fn pulled(sound: Sound, size: (u32, u32)) -> (Session, Vec<Bytes>) {
    let frames = Arc::new(Pictures(size));
    let session = Session::new(sound.timeline, Speed(2500), sound.track, sound.channels, frames).unwrap();
    let segments =
        (0..session.plan().len()).map(|k| session.make_segment(k, &mut unwatched).unwrap()).collect();
    (session, segments)
}

#[test]
fn pushed_frames_give_the_bytes_of_rendered_ones() {
    for size in [SIZE, (33, 47)] {
        let (session, expected) = pulled(sound(5.3), size);
        let (store, output) = memory();
        let settings = || Settings::new(size.0, size.1, Length::Sound(sound(5.3))).speed(Speed(2500));
        let mut stream = Stream::open(settings(), output).unwrap();
        assert_eq!(stream.total_frames(), Some(133));
        assert_eq!(stream.viewer().playlist(), vod_playlist(session.plan(), file_name));
        push(&mut stream, 0..133);
        let finished = stream.finish().unwrap();
        assert_eq!((finished.frames, finished.segments), (133, session.plan().len()));
        assert_eq!(finished.warnings, []);
        assert!(all(&*store) == expected, "{size:?}");

        // Control: one picture in another place.
        let (store, output) = memory();
        let mut stream = Stream::open(settings(), output).unwrap();
        push(&mut stream, 0..30);
        stream.write(&Pixels::from(&picture(31, size))).unwrap();
        push(&mut stream, 31..133);
        stream.finish().unwrap();
        let found = all(&*store);
        let differing: Vec<_> = (0..expected.len()).filter(|&k| found[k] != expected[k]).collect();
        assert_eq!(differing, [session.plan().segment_of(30).unwrap()]);
    }
}

#[test]
fn a_recording_is_heard_the_same_with_and_without_features() {
    let go_on = &mut |_| std::ops::ControlFlow::Continue(());
    let limits = headcast::audio::Limits::default();
    let recording = std::io::Cursor::new(recording(2.0));
    let alone = Sound::open(recording, Some("a.wav"), &limits, FrameRate::PAL, go_on).unwrap();
    let other = sound(2.0);
    assert_eq!(alone.timeline, other.timeline);
    let units = alone.timeline.aac_units();
    assert_eq!(alone.track.wait(0..units), other.track.wait(0..units));
}

/// The folder of a push is the folder of a render: playlist, segments and video.
#[test]
fn a_folder_is_complete() {
    let folder = tempfile::tempdir().unwrap();
    let (session, expected) = pulled(sound(2.0), SIZE);
    let rendered = ClipFolder::create(folder.path().join("rendered")).unwrap();
    rendered.write_playlist(&vod_playlist(session.plan(), file_name)).unwrap();
    for (k, segment) in expected.into_iter().enumerate() {
        headcast::media::store::SegmentStore::put(&**rendered.segments(), k, segment).unwrap();
    }
    rendered.write_video(session.config(), session.plan()).unwrap();

    let pushed = ClipFolder::create(folder.path().join("pushed")).unwrap();
    let output = headcast::push::Output::Folder(pushed);
    let mut stream = Stream::open(settings(Length::Sound(sound(2.0))), output).unwrap();
    let playlist = std::fs::read_to_string(folder.path().join("pushed/index.m3u8")).unwrap();
    assert!(playlist.contains("VOD") && playlist.ends_with("#EXT-X-ENDLIST\n"), "before the first frame");
    push(&mut stream, 0..50);
    stream.finish().unwrap();
    let names = |of: &str| {
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path().join(of)).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        names
    };
    assert_eq!(names("pushed"), names("rendered"));
    for name in names("rendered") {
        let read = |of: &str| std::fs::read(folder.path().join(of).join(&name)).unwrap();
        assert!(read("pushed") == read("rendered"), "{name:?}");
    }
}

#[test]
fn odd_sizes_one_frame_and_other_rates() {
    for (frames, rate, size) in
        [(1, (25, 1), (17, 16)), (9, (25, 1), (451, 333)), (61, (24, 1), SIZE), (75, (30_000, 1001), SIZE)]
    {
        let rate = FrameRate::new(rate.0, rate.1).unwrap();
        let timeline = Timeline::from_frames(frames, rate).unwrap();
        for length in [Length::Silent(timeline), Length::Open(rate)] {
            let (store, output) = memory();
            let mut stream = Stream::open(Settings::new(size.0, size.1, length), output).unwrap();
            push(&mut stream, 0..frames);
            let viewer = stream.viewer();
            let finished = stream.finish().unwrap();
            assert_eq!((finished.frames, finished.warnings), (frames, vec![]));
            let plan = viewer.plan().unwrap();
            assert_eq!(plan.timeline().frames(), frames);
            for (k, segment) in all(&*store).iter().enumerate() {
                let streams = headcast::media::mp4::access_units(viewer.config(), &plan, k, segment).unwrap();
                assert!(streams.audio.is_empty());
                assert!(segment.starts_with(&viewer.segment_head()));
            }
        }
    }
    let too_small = Settings::new(15, 64, silent(9));
    let error = Stream::open(too_small, memory().1).unwrap_err();
    assert!(error.to_string().contains("16 to 4096 pixels a side"), "{error}");
    let too_fast = Settings::new(4096, 2304, Length::Open(FrameRate::new(240, 1).unwrap()));
    assert!(Stream::open(too_fast, memory().1).is_err());
}
