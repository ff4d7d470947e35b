//! How streams end: too few frames, too many, given up, broken.

use std::sync::Arc;

use bytes::Bytes;
use headcast::core::FrameRate;
use headcast::media::store::{Memory, SegmentStore, StoreError};
use headcast::push::{End, Error, Format, Length, Output, Pixels, Stream, Warning};
use headcast::{ClipFolder, ClipFolderError};

use crate::{SIZE, all, memory, picture, plain, push, settings, silent, sound};

#[test]
fn missing_frames_hold_the_last_picture() {
    let length = || Length::Sound(sound(2.0));
    let (store, output) = memory();
    let mut stream = Stream::open(settings(length()), output).unwrap();
    push(&mut stream, 0..47);
    let finished = stream.finish().unwrap();
    assert_eq!((finished.frames, finished.warnings), (50, vec![Warning::Held { frames: 3 }]));

    let (expected, output) = memory();
    let mut stream = Stream::open(settings(length()), output).unwrap();
    push(&mut stream, 0..47);
    for _ in 0..3 {
        push(&mut stream, 46..47);
    }
    assert_eq!(stream.finish().unwrap().warnings, []);
    assert!(all(&*store) == all(&*expected));
    let text = Warning::Held { frames: 1 }.to_string();
    assert_eq!(text, "1 frame missing at the end: the last picture is held as long");
}

#[test]
fn surplus_frames_are_left_out_and_counted() {
    let (store, output) = memory();
    let mut stream = Stream::open(settings(silent(20)), output).unwrap();
    push(&mut stream, 0..23);
    assert_eq!(stream.next_frame(), 20);
    assert_eq!(stream.finish().unwrap().warnings, [Warning::Surplus { frames: 3 }]);
    let (expected, output) = memory();
    let mut stream = Stream::open(settings(silent(20)), output).unwrap();
    push(&mut stream, 0..20);
    stream.finish().unwrap();
    assert!(all(&*store) == all(&*expected));
}

#[test]
fn a_clip_without_a_frame_is_none() {
    let folder = tempfile::tempdir().unwrap();
    for length in [silent(20), Length::Open(FrameRate::PAL)] {
        let clip = ClipFolder::create(folder.path()).unwrap();
        let stream = Stream::open(settings(length), Output::Folder(clip.clone())).unwrap();
        assert!(clip.playlist().unwrap().is_some());
        let error = stream.finish().unwrap_err();
        assert!(error.to_string().starts_with("no frame was written"), "{error}");
        assert_eq!(clip.playlist().unwrap(), None, "nothing plays");
        assert!(!clip.video_path().exists());
    }
}

#[test]
fn an_aborted_clip_plays_as_far_as_it_goes() {
    for dropped in [false, true] {
        for (length, playing) in
            [(Length::Sound(sound(3.0)), 24), (silent(75), 24), (Length::Open(FrameRate::PAL), 40)]
        {
            let folder = tempfile::tempdir().unwrap();
            let clip = ClipFolder::create(folder.path()).unwrap();
            let mut stream = Stream::open(settings(length), Output::Folder(clip.clone())).unwrap();
            let viewer = stream.viewer();
            push(&mut stream, 0..40);
            let reason = if dropped {
                drop(stream);
                "the stream was dropped before it was finished"
            } else {
                let aborted = stream.abort("CUDA out of memory").unwrap();
                assert_eq!(aborted.frames, playing);
                "CUDA out of memory"
            };
            assert_eq!(viewer.end(), Some(End::Aborted(reason.into())));
            assert_eq!(viewer.frames(), playing);
            let playlist = clip.playlist().unwrap().unwrap();
            assert_eq!(playlist, viewer.playlist());
            assert!(playlist.contains("EVENT") && playlist.ends_with("#EXT-X-ENDLIST\n"), "{playlist}");
            let listed = playlist.lines().filter(|line| !line.starts_with('#')).count();
            assert_eq!(listed, viewer.segments());
            assert_eq!(clip.segments().list().unwrap().len(), listed);
            assert!(!clip.video_path().exists());
        }
    }
}

#[test]
fn an_event_playlist_grows_by_appending() {
    let folder = tempfile::tempdir().unwrap();
    let clip = ClipFolder::create(folder.path()).unwrap();
    let length = Length::Open(FrameRate::PAL);
    let mut stream = Stream::open(settings(length), Output::Folder(clip.clone())).unwrap();
    let viewer = stream.viewer();
    let mut before = clip.playlist().unwrap().unwrap();
    assert!(before.contains("EVENT") && !before.contains("ENDLIST") && !before.contains("EXTINF"));
    let mut seen = 0;
    for frame in 0..200 {
        push(&mut stream, frame..frame + 1);
        let text = clip.playlist().unwrap().unwrap();
        assert!(text.starts_with(&before) && !text.contains("ENDLIST"), "{text}");
        let listed: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert!(listed.iter().all(|name| folder.path().join(name).exists()), "{text}");
        seen = seen.max(listed.len());
        before = text;
    }
    // 8, 16, 32, 48 and 48 frames, and the sixth ends with the clip.
    assert!(seen >= 4, "{seen} segments were listed while frames came");
    assert_eq!(stream.finish().unwrap().segments, 6);
    let text = clip.playlist().unwrap().unwrap();
    assert!(text.starts_with(&before) && text.ends_with("#EXT-X-ENDLIST\n"), "{text}");
    assert_eq!(text, viewer.playlist());
    assert!(clip.video_path().exists());
}

/// The last segment is never a single picture.
#[test]
fn an_open_clip_may_end_anywhere() {
    for frames in [1, 2, 7, 8, 9, 10, 24, 25, 26] {
        let (_, output) = memory();
        let mut stream = Stream::open(settings(Length::Open(FrameRate::PAL)), output).unwrap();
        push(&mut stream, 0..frames);
        let viewer = stream.viewer();
        assert_eq!(stream.finish().unwrap().frames, frames);
        let ends = viewer.plan().unwrap().ends().to_vec();
        let last = ends.last().unwrap() - ends.len().checked_sub(2).map_or(0, |k| ends[k]);
        assert_eq!(ends.last(), Some(&frames));
        assert!(frames == 1 || last > 1, "{ends:?}");
    }
}

#[test]
fn a_frame_of_another_size_is_refused_and_the_stream_goes_on() {
    let (_, output) = memory();
    let mut stream = Stream::open(settings(silent(9)), output).unwrap();
    push(&mut stream, 0..4);
    let error = stream.write(&Pixels::from(&picture(4, (48, 64)))).unwrap_err();
    assert!(matches!(error, Error::WrongSize { expected: SIZE, found: (48, 64) }), "{error}");
    let short = plain(Format::Rgb24, 3);
    assert!(Pixels::tight(Format::Rgb24, 64, 48, &short[1..]).is_err());
    push(&mut stream, 4..9);
    assert_eq!(stream.finish().unwrap().warnings, []);
}

/// A disk that is full from the third segment on.
#[derive(Default)]
struct Full(Memory);

impl SegmentStore for Full {
    fn put(&self, index: usize, segment: Bytes) -> Result<(), StoreError> {
        if index == 2 {
            return Err(StoreError::new("there", std::io::ErrorKind::StorageFull.into()));
        }
        self.0.put(index, segment)
    }

    fn get(&self, index: usize) -> Result<Option<Bytes>, StoreError> {
        self.0.get(index)
    }

    fn contains(&self, index: usize) -> Result<bool, StoreError> {
        self.0.contains(index)
    }

    fn list(&self) -> Result<Vec<usize>, StoreError> {
        self.0.list()
    }
}

#[test]
fn a_full_disk_ends_the_stream_with_its_own_words() {
    let mut stream = Stream::open(settings(silent(200)), Output::Store(Arc::new(Full::default()))).unwrap();
    let viewer = stream.viewer();
    let error = (0..200).find_map(|frame| stream.write(&Pixels::from(&picture(frame, SIZE))).err()).unwrap();
    assert!(matches!(error, Error::Store(StoreError::Full { .. })), "{error}");
    assert!(matches!(viewer.end(), Some(End::Failed(reason)) if reason.contains("disk is full")));
    assert_eq!((viewer.segments(), viewer.frames()), (2, 24));
    assert!(viewer.playlist().ends_with("#EXT-X-ENDLIST\n"));
    let again = stream.write(&Pixels::from(&picture(0, SIZE))).unwrap_err();
    assert!(again.to_string().contains("disk is full"), "{again}");
    assert!(matches!(stream.finish(), Err(Error::Ended { .. })));
}

#[test]
fn sound_that_broke_off_fails_the_stream() {
    let mut sound = sound(1.0);
    let (writer, track) = headcast::media::aac::Track::new();
    writer.fail("out of luck");
    sound.track = track;
    let (_, output) = memory();
    let mut stream = Stream::open(settings(Length::Sound(sound)), output).unwrap();
    let failed = (0..25).find_map(|frame| stream.write(&Pixels::from(&picture(frame, SIZE))).err());
    let error = failed.unwrap_or_else(|| stream.finish().unwrap_err());
    assert!(error.to_string().contains("out of luck"), "{error}");
}

#[test]
fn a_watcher_that_panics_leaves_nobody_waiting() {
    let (_, output) = memory();
    let settings = settings(silent(40)).watch(|_| panic!("a watcher of poor health"));
    let mut stream = Stream::open(settings, output).unwrap();
    let viewer = stream.viewer();
    push(&mut stream, 0..1);
    assert!(matches!(viewer.wait_end(std::time::Duration::from_secs(60)), Some(End::Failed(_))));
    drop(stream);
}

#[test]
fn other_peoples_folders_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let playlist = folder.path().join("index.m3u8");
    std::fs::write(&playlist, "#EXTM3U\n#EXTINF:4,\nmovie.ts\n").unwrap();
    for opened in [ClipFolder::create(folder.path()), ClipFolder::reopen(folder.path())] {
        let error = opened.unwrap_err();
        assert!(matches!(error, ClipFolderError::Foreign { .. }), "{error}");
    }
    std::fs::write(&playlist, b"\xff\xfe").unwrap();
    assert!(ClipFolder::create(folder.path()).is_err());
    std::fs::remove_file(&playlist).unwrap();
    std::fs::write(folder.path().join("segment_00000.ts"), "whose?").unwrap();
    assert!(ClipFolder::create(folder.path()).is_err());
    std::fs::remove_file(folder.path().join("segment_00000.ts")).unwrap();
    for name in ["holiday.jpg", "captions.srt"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let clip = ClipFolder::create(folder.path()).unwrap();
    assert!(["holiday.jpg", "captions.srt"].iter().all(|name| folder.path().join(name).exists()));
    // Beside a playlist of ours they are ours, too.
    clip.write_playlist("#EXTM3U\n").unwrap();
    clip.write_captions("WEBVTT\n", "").unwrap();
    ClipFolder::create(folder.path()).unwrap();
    assert!(folder.path().join("holiday.jpg").exists() && !folder.path().join("captions.srt").exists());
}
