//! A session makes any segment at any time, and picture and sound meet.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::io::Write as _;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{listen, milo, renderer, wav};
use headcast::core::timeline::Speed;
use headcast::core::{FrameIndex, RgbImage, Spools};
use headcast::media::aac::{Channels, Track};
use headcast::media::ts;
use headcast::source::{FrameDone, MakeError, Stop};
use headcast::{Features, FrameError, FrameSource, SegmentSource, Session, TalkingHead, unwatched};

/// Grey frames that drift, white ones at `flashes`.
#[derive(Debug, Default)]
struct Flashes {
    flashes: Vec<u64>,
    rendered: AtomicU64,
    broken: Option<u64>,
    /// The frame that panics.
    fatal: Option<u64>,
    at_once: usize,
}

impl FrameSource for Flashes {
    fn size(&self) -> (u32, u32) {
        (64, 48)
    }

    fn render(&self, frame: FrameIndex, out: &mut RgbImage) -> Result<(), FrameError> {
        self.rendered.fetch_add(1, Ordering::Relaxed);
        assert_ne!(self.fatal, Some(frame.0), "a bug");
        if self.broken == Some(frame.0) {
            return Err(FrameError::Other("the picture fell off the wall".into()));
        }
        let level =
            if self.flashes.contains(&frame.0) { 250 } else { 20 + u8::try_from(frame.0 % 16).unwrap() };
        out.data_mut().fill(level);
        Ok(())
    }

    fn at_once(&self) -> usize {
        self.at_once
    }
}

/// `secs` of 16 kHz sound with a click of 2 ms at each of `clicks` (seconds).
fn clicks(secs: f64, clicks: &[f64]) -> Vec<u8> {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small test values")]
    let sample = |t: f64| (t * 16_000.0) as usize;
    let mut samples = vec![0.0; sample(secs)];
    for click in clicks {
        for (i, s) in samples[sample(*click)..sample(click + 0.002)].iter_mut().enumerate() {
            *s = if i % 8 < 4 { 0.8 } else { -0.8 };
        }
    }
    wav(16_000, &samples)
}

fn session(recording: Vec<u8>, frames: Flashes) -> (Session, Arc<Flashes>) {
    let speech = listen(recording, Features::BuiltIn).unwrap();
    let frames = Arc::new(frames);
    let source: Arc<dyn FrameSource> = Arc::<Flashes>::clone(&frames);
    let session = Session::new(speech.timeline, Speed(2500), speech.track, speech.channels, source).unwrap();
    (session, frames)
}

fn make(session: &Session, index: usize) -> Bytes {
    session.make_segment(index, &mut unwatched).unwrap()
}

#[test]
fn order_does_not_show_in_the_bytes() {
    let (session, _) = session(clicks(7.0, &[1.0]), Flashes::default());
    let segments = session.plan().len();
    assert!(segments >= 5);
    let in_order: Vec<_> = (0..segments).map(|k| make(&session, k)).collect();
    // A permutation that never meets two neighbours in order.
    for k in (0..segments).rev().chain((0..segments).step_by(2)) {
        assert_eq!(make(&session, k), in_order[k], "segment {k}");
    }
    assert!(in_order.iter().all(|bytes| bytes.starts_with(&session.segment_head())));
    // Control: another picture makes other bytes.
    let (other, _) = self::session(clicks(7.0, &[1.0]), Flashes { flashes: vec![3], ..Flashes::default() });
    assert_ne!(make(&other, 0), in_order[0]);
    assert_eq!(make(&other, 2), in_order[2]);
}

/// Frames that are made at the same time come in order, and a segment may have fewer of them than could be.
#[test]
fn frames_at_once_do_not_show_in_the_bytes() {
    let flashes = || Flashes { flashes: vec![3, 17, 40], ..Flashes::default() };
    let (one, _) = session(clicks(3.0, &[1.0]), flashes());
    for at_once in [2, 3, 1000] {
        let (several, frames) = session(clicks(3.0, &[1.0]), Flashes { at_once, ..flashes() });
        let mut seen = Vec::new();
        for k in 0..one.plan().len() {
            let bytes = several.make_segment(k, &mut |done: FrameDone<'_>| {
                seen.push(done.frame.0);
                ControlFlow::Continue(())
            });
            assert_eq!(bytes.unwrap(), make(&one, k), "segment {k}, {at_once} at once");
        }
        assert!(seen.iter().copied().eq(0..75), "{at_once} at once: {seen:?}");
        assert_eq!(frames.rendered.load(Ordering::Relaxed), 75);
    }
}

/// A frame that takes for ever, unless it is given up.
struct Endless;

impl FrameSource for Endless {
    fn size(&self) -> (u32, u32) {
        (64, 48)
    }

    fn render(&self, _frame: FrameIndex, _out: &mut RgbImage) -> Result<(), FrameError> {
        Err(FrameError::Other("nobody can give it up".into()))
    }

    fn render_until(
        &self,
        _frame: FrameIndex,
        stop: &Stop<'_>,
        _out: &mut RgbImage,
    ) -> Result<(), FrameError> {
        let deadline = Instant::now() + Duration::from_secs(30);
        while Instant::now() < deadline {
            if stop() {
                return Err(FrameError::Stopped);
            }
            std::thread::yield_now();
        }
        Err(FrameError::Other("nobody gave it up".into()))
    }
}

#[test]
fn a_frame_is_given_up_in_the_middle() {
    let speech = listen(clicks(1.0, &[]), Features::BuiltIn).unwrap();
    let session =
        Session::new(speech.timeline, Speed(100), speech.track, speech.channels, Arc::new(Endless)).unwrap();
    let asked = AtomicU64::new(0);
    let stop = || asked.fetch_add(1, Ordering::Relaxed) >= 5;
    let made = session.make_segment_until(0, &stop, &mut unwatched);
    assert!(matches!(made, Err(MakeError::Cancelled)), "{made:?}");
    // Control: a frame that fails by itself says why.
    let (failing, _) = self::session(clicks(1.0, &[]), Flashes { broken: Some(0), ..Flashes::default() });
    let made = failing.make_segment_until(0, &|| false, &mut unwatched);
    assert!(matches!(made, Err(MakeError::Render { .. })), "{made:?}");
}

#[test]
fn frames_at_once_end_together() {
    let (cancelled, frames) = session(clicks(4.0, &[]), Flashes { at_once: 2, ..Flashes::default() });
    let mut seen = 0;
    let made = cancelled.make_segment(2, &mut |_: FrameDone<'_>| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(made, Err(MakeError::Cancelled)));
    // Those that were asked for, one more of each thread that waits to be taken, and one that each is at.
    assert!(frames.rendered.load(Ordering::Relaxed) <= 3 + 2 + 2);
    assert!(!make(&cancelled, 2).is_empty());

    let (failing, _) =
        session(clicks(2.0, &[]), Flashes { broken: Some(5), at_once: 2, ..Flashes::default() });
    let error = failing.make_segment(0, &mut unwatched).unwrap_err();
    assert!(matches!(error, MakeError::Render { frame: FrameIndex(5), .. }), "{error}");

    let (fatal, _) = session(clicks(2.0, &[]), Flashes { fatal: Some(5), at_once: 2, ..Flashes::default() });
    let made = catch_unwind(AssertUnwindSafe(|| fatal.make_segment(0, &mut unwatched).map(drop)));
    let panic = made.unwrap_err();
    let text = panic.downcast_ref::<String>().unwrap();
    assert!(text.contains("a bug"), "{text}");
}

#[test]
fn the_real_renderer_makes_the_same_bytes_in_any_order() {
    let speech = listen(clicks(0.8, &[0.3]), Features::BuiltIn).unwrap();
    let head =
        TalkingHead::new(renderer(milo()), &speech.features, speech.timeline.frames(), &Spools::in_memory())
            .unwrap();
    let session =
        Session::new(speech.timeline, Speed(1000), speech.track, speech.channels, Arc::new(head)).unwrap();
    let (first, second) = (make(&session, 0), make(&session, 1));
    assert_eq!(make(&session, 1), second);
    assert_eq!(make(&session, 0), first);
}

#[test]
fn cancelling_takes_effect_within_one_frame() {
    let (session, frames) = session(clicks(4.0, &[]), Flashes::default());
    let mut seen = 0;
    let cancelled = session.make_segment(2, &mut |_: FrameDone<'_>| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    assert!(matches!(cancelled, Err(MakeError::Cancelled)));
    assert_eq!(frames.rendered.load(Ordering::Relaxed), 3);
    // And the session goes on as if nothing had happened.
    assert!(!make(&session, 2).is_empty());
}

#[test]
fn a_frame_that_fails_names_itself() {
    let (session, _) = session(clicks(2.0, &[]), Flashes { broken: Some(5), ..Flashes::default() });
    let error = session.make_segment(0, &mut unwatched).unwrap_err();
    assert!(matches!(error, MakeError::Render { frame: FrameIndex(5), .. }), "{error}");
    assert_eq!(error.to_string(), "frame 5 cannot be rendered: the picture fell off the wall");
}

#[test]
fn a_segment_that_waits_for_its_sound_can_be_given_up() {
    let timeline = listen(clicks(2.0, &[]), Features::BuiltIn).unwrap().timeline;
    let (writer, track) = Track::new();
    let session =
        Session::new(timeline, Speed(2500), track, Channels::Mono, Arc::new(Flashes::default())).unwrap();
    let frames = session.plan().frames(1).unwrap();
    let (patience, given_up) = std::sync::mpsc::sync_channel::<()>(1);
    let made = std::thread::scope(|scope| {
        // The sound ends one day, whatever becomes of the test.
        scope.spawn(move || {
            let _ = given_up.recv_timeout(Duration::from_secs(30));
            drop(writer);
        });
        let _patience = patience;
        let (left, asked) = (AtomicU64::new(frames.end - frames.start), AtomicU64::new(0));
        // Only when every frame is made and nothing but the sound is missing.
        let stop = || left.load(Ordering::Relaxed) == 0 && asked.fetch_add(1, Ordering::Relaxed) >= 3;
        session.make_segment_until(1, &stop, &mut |_: FrameDone<'_>| {
            left.fetch_sub(1, Ordering::Relaxed);
            ControlFlow::Continue(())
        })
    });
    assert!(matches!(made, Err(MakeError::Cancelled)), "{made:?}");
}

#[test]
fn sound_that_failed_fails_the_segment_instead_of_hanging() {
    let timeline = listen(clicks(1.0, &[]), Features::BuiltIn).unwrap().timeline;
    let (writer, track) = Track::new();
    writer.fail("out of luck");
    let session =
        Session::new(timeline, Speed(2500), track, Channels::Mono, Arc::new(Flashes::default())).unwrap();
    let error = session.make_segment(0, &mut unwatched).unwrap_err();
    assert!(error.to_string().contains("out of luck"), "{error}");
}

#[test]
fn every_segment_has_its_frames_and_its_sound() {
    let (session, _) = session(clicks(5.3, &[1.0]), Flashes::default());
    let plan = session.plan();
    for k in 0..plan.len() {
        let streams = ts::demux(&make(&session, k)).unwrap();
        let frames = plan.frames(k).unwrap();
        assert_eq!(streams.video.len() as u64, frames.end - frames.start);
        let units = plan.timeline().aac_units_of(frames);
        assert_eq!(streams.audio.len() as u64, units.end - units.start);
    }
}

/// Flashes and clicks that start together are decoded together, by other people's software.
#[test]
fn picture_and_sound_meet() {
    if Command::new("ffmpeg").arg("-version").output().is_err() {
        assert!(std::env::var_os("HEADCAST_REQUIRE_TOOLS").is_none(), "ffmpeg is required and not on PATH");
        println!("SKIPPED: ffmpeg is not on PATH");
        return;
    }
    let flashes = vec![10, 47, 90];
    let at: Vec<f64> = [10, 47, 90].iter().map(|f| f64::from(*f) / 25.0).collect();
    let (session, _) = session(clicks(5.0, &at), Flashes { flashes: flashes.clone(), ..Flashes::default() });
    let mut file = tempfile::Builder::new().suffix(".ts").tempfile().unwrap();
    for k in 0..session.plan().len() {
        file.write_all(&make(&session, k)).unwrap();
    }
    let path = file.path().to_str().unwrap();
    let decode = |arguments: &[&str]| {
        let output =
            Command::new("ffmpeg").args(["-v", "error", "-i", path]).args(arguments).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty());
        output.stdout
    };

    let pictures = decode(&["-map", "0:v", "-f", "rawvideo", "-pix_fmt", "gray", "-"]);
    let pictures: Vec<_> = pictures.chunks(64 * 48).collect();
    assert_eq!(pictures.len(), 125);
    let white: Vec<u64> = (0u64..).zip(&pictures).filter(|(_, p)| p[64 * 24] > 150).map(|(i, _)| i).collect();
    assert_eq!(white, flashes);

    let sound = decode(&["-map", "0:a", "-f", "f32le", "-ac", "1", "-"]);
    let sound: Vec<f32> = sound.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let loud = |t: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "small test values")]
        let start = (t * 48_000.0) as usize;
        // From 1 ms before: what AAC smears ahead of a click is far below half its height.
        let found = sound[start - 4800..start + 4800].iter().position(|s| s.abs() > 0.35).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "small test values")]
        let millis = (found as f64 - 4800.0) / 48.0;
        millis
    };
    for t in at {
        let millis = loud(t);
        println!("click at {t:.2} s is decoded {millis:+.2} ms from its flash");
        assert!(millis.abs() <= 2.0, "{millis} ms");
    }
}
