//! Memory does not grow with the clip. A process of its own, because its peak is that of all its threads.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::fs::{self, File};
use std::io::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;

use common::{milo, renderer};
use headcast::audio::Limits;
use headcast::core::spool::Backing;
use headcast::core::timeline::Speed;
use headcast::core::{FrameIndex, FrameRate, RgbImage, Spools};
use headcast::media::mp4::Index;
use headcast::media::store::{Folder, SegmentStore as _};
use headcast::{Features, FrameSource, SegmentSource as _, Session, Speech, TalkingHead, unwatched};

/// Small grey pictures, so that minutes are over soon. The head has heard the clip all the same.
struct Grey(TalkingHead);

impl FrameSource for Grey {
    fn size(&self) -> (u32, u32) {
        (16, 16)
    }

    fn render(&self, frame: FrameIndex, out: &mut RgbImage) -> Result<(), String> {
        out.data_mut().fill(u8::try_from(frame.0 % 200).unwrap());
        Ok(())
    }
}

/// From the recording to the last segment and the index of the MP4.
fn whole_clip(secs: u32, spools: &Spools) {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("clip.wav");
    let mut file = File::create(&path).unwrap();
    // 16 kHz, mono, 16 bit.
    let bytes = secs * 32_000;
    file.write_all(b"RIFF").unwrap();
    file.write_all(&(36 + bytes).to_le_bytes()).unwrap();
    file.write_all(b"WAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\0\x7d\0\0\x02\0\x10\0data").unwrap();
    file.write_all(&bytes.to_le_bytes()).unwrap();
    let second: Vec<u8> =
        (0..16_000).flat_map(|i: i32| i16::try_from(i * 40 % 9000 - 4500).unwrap().to_le_bytes()).collect();
    for _ in 0..secs {
        file.write_all(&second).unwrap();
    }
    drop(file);

    let go_on = &mut |_| ControlFlow::Continue(());
    let (limits, rate) = (Limits::default(), FrameRate::PAL);
    let recording = File::open(path).unwrap();
    let speech =
        Speech::open(recording, Some("a.wav"), &limits, rate, Features::BuiltIn, spools, go_on).unwrap();
    let head =
        TalkingHead::new(renderer(milo()), &speech.features, speech.timeline.frames(), spools).unwrap();
    let session =
        Session::new(speech.timeline, Speed(2500), speech.track, speech.channels, Arc::new(Grey(head)))
            .unwrap();
    let store = Folder::open(place.path().join("out")).unwrap();
    let mut index = Index::new(session.config(), session.plan());
    for k in 0..session.plan().len() {
        store.put(k, session.make_segment(k, &mut unwatched).unwrap()).unwrap();
        index.push(&store.get(k).unwrap().unwrap()).unwrap();
    }
    index.finish().unwrap();
}

/// Most bytes that were resident while `work` worked; `None` where the system does not tell.
fn peak(work: impl FnOnce()) -> Option<u64> {
    // Begins the peak anew (Linux 4.0).
    fs::write("/proc/self/clear_refs", "5").ok()?;
    work();
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// An hour may take 50 MB more than a minute, so nine minutes more may take 7.5 MB.
#[test]
fn ten_minutes_take_the_memory_of_one() {
    const ALLOWED: u64 = 50_000_000 * 9 / 60;
    let on_disk = Spools::new(256 << 10, || Ok(Box::new(tempfile::tempfile()?) as Box<dyn Backing>));
    let peaks = [(&on_disk, 60), (&on_disk, 600), (&Spools::in_memory(), 600)]
        .map(|(spools, secs)| peak(|| whole_clip(secs, spools)));
    let [Some(short), Some(long), Some(in_memory)] = peaks else {
        return println!("SKIPPED: this system does not tell how much memory a process has taken");
    };
    println!("peaks of {short} bytes for 1 min, {long} for 10 min, {in_memory} with everything in memory");
    assert!(long <= short + ALLOWED, "{long} bytes for ten minutes, {short} for one");
    assert!(in_memory > short + ALLOWED, "the control: sound and features are 40 kB per second");
}
