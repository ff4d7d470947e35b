//! Raw frames from a stream of bytes, one after the other, on a thread of their own: a read that waits for its
//! program keeps nobody from noticing Ctrl-C.

use std::io::{self, Read};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread;
use std::time::Duration;

/// What comes next.
#[derive(Debug)]
pub(super) enum Next {
    /// A whole frame; give its memory back with [`RawFrames::recycle`].
    Frame(Vec<u8>),
    /// Nothing within the time that was asked for.
    NotYet,
    /// The stream ended after a whole frame.
    End,
    /// The stream ended after so many bytes of a frame.
    Partial(usize),
    /// The system cannot read.
    Failed(io::Error),
}

/// Frames of one size, two of them in memory.
#[derive(Debug)]
pub(super) struct RawFrames {
    frames: Receiver<Next>,
    recycle: SyncSender<Vec<u8>>,
}

impl RawFrames {
    /// Frames of `frame_bytes` bytes each.
    ///
    /// # Errors
    /// When the system has no thread left.
    pub(super) fn read(source: impl Read + Send + 'static, frame_bytes: usize) -> io::Result<Self> {
        let (to_reader, frames) = mpsc::sync_channel(1);
        let (recycle, recycled) = mpsc::sync_channel(FRAMES);
        for _ in 0..FRAMES {
            // There is room for all of them.
            let _ = recycle.try_send(Vec::new());
        }
        thread::Builder::new()
            .name("stdin".into())
            .spawn(move || read_all(source, frame_bytes, &recycled, &to_reader))?;
        Ok(Self { frames, recycle })
    }

    /// Waits for the next frame, at most `time`.
    pub(super) fn next(&self, time: Duration) -> Next {
        match self.frames.recv_timeout(time) {
            Ok(next) => next,
            Err(RecvTimeoutError::Timeout) => Next::NotYet,
            Err(RecvTimeoutError::Disconnected) => Next::End,
        }
    }

    pub(super) fn recycle(&self, frame: Vec<u8>) {
        // A reader that has ended needs none.
        let _ = self.recycle.try_send(frame);
    }
}

fn read_all(
    mut source: impl Read,
    frame_bytes: usize,
    recycled: &Receiver<Vec<u8>>,
    frames: &SyncSender<Next>,
) {
    for mut frame in recycled {
        // Once per buffer: the size is checked before anything is read.
        frame.resize(frame_bytes, 0);
        let next = match fill(&mut source, &mut frame) {
            Ok(read) if read == frame_bytes => Next::Frame(frame),
            Ok(0) => return,
            Ok(read) => Next::Partial(read),
            Err(error) => Next::Failed(error),
        };
        let more = matches!(next, Next::Frame(_));
        if frames.send(next).is_err() || !more {
            return;
        }
    }
}

/// Reads until `buffer` is full or the stream ends; gives the number of bytes.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// One that is read, one that is used.
const FRAMES: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives three bytes at a time.
    struct Trickle(Vec<u8>);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let now = self.0.len().min(3).min(buffer.len());
            buffer[..now].copy_from_slice(&self.0[..now]);
            self.0.drain(..now);
            Ok(now)
        }
    }

    fn read(bytes: usize) -> (Vec<Vec<u8>>, Next) {
        let source = Trickle((0..bytes).map(|i| u8::try_from(i).unwrap()).collect());
        let frames = RawFrames::read(source, 8).unwrap();
        let mut whole = Vec::new();
        loop {
            match frames.next(Duration::from_secs(60)) {
                Next::Frame(frame) => {
                    whole.push(frame.clone());
                    frames.recycle(frame);
                }
                other => return (whole, other),
            }
        }
    }

    #[test]
    fn frames_are_whole_whatever_comes_at_a_time() {
        let (frames, end) = read(24);
        assert_eq!(frames.concat(), (0..24).collect::<Vec<u8>>());
        assert!(frames.len() == 3 && matches!(end, Next::End));
        let (frames, end) = read(29);
        assert!(frames.len() == 3 && matches!(end, Next::Partial(5)));
        let (frames, end) = read(0);
        assert!(frames.is_empty() && matches!(end, Next::End));
    }

    #[test]
    fn nobody_waits_for_a_program_that_sleeps() {
        struct Asleep(Receiver<()>);
        impl Read for Asleep {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                let _ = self.0.recv();
                Ok(0)
            }
        }
        let (wake, sleeping) = mpsc::sync_channel(1);
        let frames = RawFrames::read(Asleep(sleeping), 8).unwrap();
        assert!(matches!(frames.next(Duration::from_millis(1)), Next::NotYet));
        drop(wake);
        assert!(matches!(frames.next(Duration::from_secs(60)), Next::End));
    }
}
