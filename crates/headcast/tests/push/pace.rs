//! Slow and fast pushers, and how much memory they take.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use headcast::core::FrameRate;
use headcast::media::store::{Memory, SegmentStore, StoreError};
use headcast::push::{Event, Length, Output, Pixels, Settings, Stream};

use crate::{SIZE, all, memory, picture, push, settings, silent};

/// Lets a segment in when it is told to.
struct Gate {
    inner: Memory,
    open: Mutex<mpsc::Receiver<()>>,
    waiting: AtomicUsize,
}

impl SegmentStore for Gate {
    fn put(&self, index: usize, segment: Bytes) -> Result<(), StoreError> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _ = self.open.lock().unwrap().recv();
        self.inner.put(index, segment)
    }

    fn get(&self, index: usize) -> Result<Option<Bytes>, StoreError> {
        self.inner.get(index)
    }

    fn contains(&self, index: usize) -> Result<bool, StoreError> {
        self.inner.contains(index)
    }

    fn list(&self) -> Result<Vec<usize>, StoreError> {
        self.inner.list()
    }
}

#[test]
fn a_pusher_waits_for_the_encoder_and_nothing_is_dropped() {
    let (go, open) = mpsc::sync_channel(1);
    let store =
        Arc::new(Gate { inner: Memory::default(), open: Mutex::new(open), waiting: AtomicUsize::new(0) });
    let output = Output::Store(Arc::<Gate>::clone(&store));
    let mut stream = Stream::open(settings(silent(200)), output).unwrap();
    let (report, written) = mpsc::sync_channel(200);
    let pusher = thread::spawn(move || {
        for frame in 0..200 {
            stream.write(&Pixels::from(&picture(frame, SIZE))).unwrap();
            report.send((frame, stream.allocated_frames())).unwrap();
        }
        stream.finish().unwrap()
    });
    // The first segment (8 frames) is not let in, so its last picture and the one before it are not free again: the
    // pusher gets as far as there are frames.
    let stalled_at = 8 - 2 + Stream::MAX_FRAMES.get();
    let reports: Vec<_> = (0..stalled_at).map(|_| written.recv().unwrap()).collect();
    assert_eq!(reports[stalled_at - 1], (stalled_at as u64 - 1, Stream::MAX_FRAMES.get()));
    while store.waiting.load(Ordering::SeqCst) == 0 {
        thread::sleep(Duration::from_millis(5));
    }
    assert!(written.recv_timeout(Duration::from_millis(300)).is_err(), "the pusher waits");
    assert_eq!(store.list().unwrap(), [0; 0]);
    // Once the door is open, everything arrives.
    drop(go);
    let finished = pusher.join().unwrap();
    assert_eq!(finished.frames, 200);
    assert!(written.iter().all(|(_, allocated)| allocated <= Stream::MAX_FRAMES.get()));

    let (plain, output) = memory();
    let mut stream = Stream::open(settings(silent(200)), output).unwrap();
    push(&mut stream, 0..200);
    stream.finish().unwrap();
    assert!(all(&*plain) == all(&*store), "waiting does not show in the bytes");
}

#[test]
fn a_pusher_that_has_something_else_to_look_at_need_not_wait() {
    let (go, open) = mpsc::sync_channel(1);
    let store =
        Arc::new(Gate { inner: Memory::default(), open: Mutex::new(open), waiting: AtomicUsize::new(0) });
    let output = Output::Store(Arc::<Gate>::clone(&store));
    let mut stream = Stream::open(settings(silent(40)), output).unwrap();
    let long = Duration::from_secs(30);
    // As far as the test above: the first segment is not let in.
    let stalled_at = 8 - 2 + Stream::MAX_FRAMES.get() as u64;
    for frame in 0..stalled_at {
        assert!(stream.wait_room(long).unwrap(), "frame {frame}");
        push(&mut stream, frame..frame + 1);
    }
    assert!(!stream.wait_room(Duration::from_millis(20)).unwrap());
    assert!(!stream.wait_room(Duration::ZERO).unwrap());
    assert_eq!(stream.next_frame(), stalled_at);
    drop(go);
    assert!(stream.wait_room(long).unwrap());
    // Room that was found is not taken twice.
    assert!(stream.wait_room(Duration::ZERO).unwrap());
    push(&mut stream, stalled_at..40);
    // Nothing is wanted any more, so nothing is waited for.
    assert!(stream.wait_room(Duration::ZERO).unwrap());
    assert_eq!(stream.allocated_frames(), Stream::MAX_FRAMES.get());
    stream.finish().unwrap();

    let (plain, output) = memory();
    let mut stream = Stream::open(settings(silent(40)), output).unwrap();
    push(&mut stream, 0..40);
    stream.finish().unwrap();
    assert!(all(&*plain) == all(&*store));
}

#[test]
fn a_slow_and_a_fast_pusher_leave_the_same() {
    let run = |pause: Duration| {
        let (store, output) = memory();
        let mut stream = Stream::open(Settings::new(64, 48, Length::Open(FrameRate::PAL)), output).unwrap();
        for frame in 0..60 {
            thread::sleep(pause);
            push(&mut stream, frame..frame + 1);
        }
        let viewer = stream.viewer();
        let finished = stream.finish().unwrap();
        (all(&*store), viewer.playlist(), finished.frames)
    };
    assert!(run(Duration::from_millis(20)) == run(Duration::ZERO));
}

#[test]
fn everything_that_happens_is_told() {
    let (told, events) = mpsc::sync_channel(100);
    let (_, output) = memory();
    let settings = settings(silent(40)).watch(move |event| told.send(event).unwrap());
    let mut stream = Stream::open(settings, output).unwrap();
    push(&mut stream, 0..40);
    stream.finish().unwrap();
    let events: Vec<_> = events.iter().collect();
    let frames = events.iter().filter(|event| matches!(event, Event::Frame(_))).count();
    let segments: Vec<_> = events.iter().filter(|event| matches!(event, Event::Segment(_))).collect();
    assert_eq!((frames, segments), (40, vec![&Event::Segment(0), &Event::Segment(1), &Event::Segment(2)]));
}

#[test]
fn viewers_wait_for_what_will_come_and_no_longer() {
    let (_, output) = memory();
    let mut stream = Stream::open(settings(silent(40)), output).unwrap();
    let viewer = stream.viewer();
    assert_eq!(viewer.wait_segment(1, Duration::from_millis(1)).unwrap(), None);
    let long = Duration::from_secs(60);
    thread::scope(|scope| {
        let waiting = [0, 1, 2, 3].map(|k| {
            scope.spawn({
                let viewer = &viewer;
                move || viewer.wait_segment(k, long).unwrap().is_some()
            })
        });
        push(&mut stream, 0..30);
        drop(stream);
        // 8, 24, 40: the third one will never come, the fourth was never planned.
        assert_eq!(waiting.map(|thread| thread.join().unwrap()), [true, true, false, false]);
        assert!(viewer.wait_end(long).is_some());
    });
}
