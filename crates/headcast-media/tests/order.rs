//! A segment's bytes depend on its frames, its sound and the plan only.

mod common;

use std::thread;

use common::Clip;
use headcast_core::timeline::Speed;
use headcast_core::{FrameIndex, FrameRate, RgbImage, SegmentPlan, Timeline, Timescale};
use headcast_media::segment::{Config, Error, SegmentEncoder, segment_head};
use headcast_media::ts::{self, AAC_UNIT_TICKS, BASE_TICKS, PACKET_BYTES, PCR_LEAD_TICKS};
use headcast_media::{h264, segment};
use proptest::prelude::*;

#[test]
fn any_order_gives_the_same_bytes() {
    let clip = Clip::new(128, 80, 160, FrameRate::PAL);
    let in_order = clip.segments();
    assert!(in_order.len() >= 4, "{} segments", in_order.len());
    // Backwards, a scramble, and two threads at once.
    let backwards: Vec<usize> = (0..in_order.len()).rev().collect();
    let scrambled: Vec<usize> = (0..in_order.len()).map(|k| (k * 3 + 2) % in_order.len()).collect();
    for order in [backwards, scrambled] {
        for k in order {
            assert!(clip.segment(k) == in_order[k], "segment {k} differs");
        }
    }
    let (first, second) = thread::scope(|scope| {
        let first = scope.spawn(|| clip.segment(1));
        let second = scope.spawn(|| clip.segment(2));
        (first.join().unwrap(), second.join().unwrap())
    });
    assert!(first == in_order[1] && second == in_order[2]);
    assert!(in_order.iter().all(|segment| segment.starts_with(&segment_head(&clip.config))));
    assert_eq!(segment_head(&clip.config).len(), 376);

    // Control: another frame is another segment.
    let mut encoder = SegmentEncoder::new(&clip.config, &clip.plan, 1).unwrap();
    encoder.frames().for_each(|frame| encoder.push(&clip.frame(frame + 1)).unwrap());
    let units = encoder.audio_units();
    let units = &clip.units[usize::try_from(units.start).unwrap()..usize::try_from(units.end).unwrap()];
    assert!(encoder.finish(units).unwrap() != in_order[1]);
}

/// The first packets of a tiny segment, byte by byte.
#[test]
fn golden_first_picture() {
    let clip = Clip::new(16, 16, 8, FrameRate::PAL);
    let grey = RgbImage::filled(16, 16, [128; 3]).unwrap();
    let mut encoder = SegmentEncoder::new(&clip.config, &clip.plan, 0).unwrap();
    (0..8).for_each(|_| encoder.push(&grey).unwrap());
    let segment = encoder.finish(&clip.units).unwrap();
    let video = &segment[2 * PACKET_BYTES..3 * PACKET_BYTES];
    assert_eq!(video[..4], [0x47, 0x41, 0x00, 0x30]); // unit start, PID 0x100, adaptation field, counter 0
    let stuffed = usize::from(video[4]);
    assert_eq!(video[5], 0x50); // random_access_indicator, PCR_flag
    assert_eq!(video[6..12], [0x00, 0x06, 0xcc, 0x3c, 0x7e, 0x00]); // PCR 891000: 100 ms before 10 s
    let pes = &video[5 + stuffed..];
    #[rustfmt::skip]
    let expected = [
        0x00, 0x00, 0x01, 0xe0, 0x00, 0x00,       // stream_id, PES_packet_length unbounded
        0x84, 0x80, 0x05,                         // data aligned, PTS only
        0x21, 0x00, 0x37, 0x77, 0x41,             // PTS 900000
        0x00, 0x00, 0x00, 0x01, 0x09, 0x10,       // AUD, I
        0x00, 0x00, 0x00, 0x01, 0x67,             // SPS
        0x4d, 0x4c, 0x1f,                         // Main, constraint_set1, 4 and 5 (progressive, no B), level 3.1
    ];
    assert_eq!(pes[..expected.len()], expected);
    let streams = ts::demux(&segment).unwrap();
    assert_eq!((streams.video.len(), streams.audio.len()), (8, 15));
    assert_eq!(streams.audio[0].data, clip.units[0]);
}

#[test]
fn what_does_not_fit_the_plan_is_refused() {
    let clip = Clip::new(64, 48, 20, FrameRate::PAL);
    let new =
        |config: &Config, plan: &SegmentPlan, index| SegmentEncoder::new(config, plan, index).map(|_| ());
    let segments = clip.plan.len();
    assert_eq!(new(&clip.config, &clip.plan, 9), Err(Error::NoSuchSegment { index: 9, segments }));
    let ntsc = Config::new(64, 48, FrameRate::new(30, 1).unwrap()).unwrap();
    assert!(matches!(new(&ntsc, &clip.plan, 0), Err(Error::FrameRate { .. })));
    let single = SegmentPlan::from_ends(*clip.plan.timeline(), vec![19, 20]).unwrap();
    assert!(matches!(new(&clip.config, &single, 1), Err(Error::SinglePicture { index: 1, .. })));
    assert!(matches!(Config::new(8, 8, FrameRate::PAL), Err(h264::Error::Size { .. })));

    let mut encoder = SegmentEncoder::new(&clip.config, &clip.plan, 0).unwrap();
    let wrong = encoder.push(&RgbImage::filled(48, 64, [0; 3]).unwrap());
    assert!(matches!(wrong, Err(Error::H264(h264::Error::WrongSize { .. }))));
    encoder.push(&clip.frame(0)).unwrap();
    assert_eq!(encoder.finish(&[]), Err(Error::Frames { index: 0, expected: 8, found: 1 }));

    let mut encoder = SegmentEncoder::new(&clip.config, &clip.plan, 0).unwrap();
    (0..8).for_each(|i| encoder.push(&clip.frame(i)).unwrap());
    assert_eq!(encoder.push(&clip.frame(8)), Err(Error::Frames { index: 0, expected: 8, found: 9 }));
    let units = Err(Error::AudioUnits { index: 0, expected: 15, found: 14 });
    assert_eq!(encoder.finish(&clip.units[..14]), units);
}

/// Walks the packets without the crate's own reader, which could share a mistake with the writer.
fn check_packets(segment: &[u8]) -> Result<(), TestCaseError> {
    let (packets, rest) = segment.as_chunks::<PACKET_BYTES>();
    prop_assert!(rest.is_empty());
    let mut counters = std::collections::BTreeMap::<u16, u8>::new();
    for packet in packets {
        prop_assert_eq!(packet[0], 0x47);
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let counter = counters.entry(pid).or_default();
        prop_assert_eq!(packet[3] & 0x0f, *counter % 16, "PID {}", pid);
        prop_assert!(packet[3] & 0x10 != 0, "a packet without payload does not count");
        *counter = (*counter + 1) % 16;
        let adaptation = if packet[3] & 0x20 != 0 { 1 + usize::from(packet[4]) } else { 0 };
        prop_assert!(adaptation < PACKET_BYTES - 4, "no room for payload");
        if pid == 0x100 && packet[1] & 0x40 != 0 {
            prop_assert!(packet[5] & 0x10 != 0, "a picture without PCR");
            let pcr =
                u64::from_be_bytes([0, 0, 0, packet[6], packet[7], packet[8], packet[9], packet[10]]) >> 7;
            let p = &packet[4 + adaptation + 9..];
            let pts = u64::from(p[0] >> 1 & 7) << 30
                | u64::from(u16::from_be_bytes([p[1], p[2]]) >> 1) << 15
                | u64::from(u16::from_be_bytes([p[3], p[4]]) >> 1);
            prop_assert_eq!(pts - pcr, PCR_LEAD_TICKS);
        }
    }
    prop_assert!(counters.values().all(|&counter| counter == 0), "{:?}", counters);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, rng_seed: proptest::test_runner::RngSeed::Fixed(11), ..Default::default() })]

    #[test]
    fn every_segment_keeps_its_promises(
        (width, height) in (16u32..70, 16u32..70),
        frames in 1u64..90,
        (num, den) in prop::sample::select(vec![(25, 1), (24, 1), (30, 1), (30_000, 1001), (60, 1), (5, 1)]),
        speed in 500u32..5000,
        qp in 10u8..=44,
    ) {
        let rate = FrameRate::new(num, den).unwrap();
        let timeline = Timeline::from_frames(frames, rate).unwrap();
        let plan = SegmentPlan::new(timeline, Speed(speed));
        let mut clip = Clip::new(width, height, frames, rate);
        clip.config = clip.config.qp(h264::Qp::new(qp).unwrap());
        clip.plan = plan;
        let (mut frame, mut unit) = (0, 0);
        for k in 0..clip.plan.len() {
            let segment = clip.segment(k);
            check_packets(&segment)?;
            prop_assert!(segment == clip.segment(k), "same input, same bytes");
            let streams = ts::demux(&segment).unwrap();
            // Every frame and unit of the clip, once, at its instant.
            for picture in &streams.video {
                let ticks = rate.pts(FrameIndex(frame), Timescale::MPEG).unwrap().ticks;
                prop_assert_eq!(picture.pts, BASE_TICKS + ticks.cast_unsigned());
                frame += 1;
            }
            for sound in &streams.audio {
                prop_assert_eq!(sound.pts, BASE_TICKS + AAC_UNIT_TICKS * unit);
                prop_assert_eq!(&sound.data[..], &clip.units[usize::try_from(unit).unwrap()][..]);
                unit += 1;
            }
        }
        prop_assert_eq!(frame, frames);
        prop_assert_eq!(unit, clip.units.len() as u64);
    }

    /// Controls: whatever byte is wrong, the reader says so or reads the same, and never panics.
    #[test]
    fn damaged_segments_never_panic_the_reader(seed in any::<u64>(), flips in 1usize..4) {
        let clip = Clip::new(16, 16, 8, FrameRate::PAL);
        let mut segment = clip.segment(0).to_vec();
        let mut state = seed;
        for _ in 0..flips {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(state >> 33).unwrap() % segment.len();
            segment[at] ^= 1 << (state >> 29 & 7);
        }
        let _ = ts::demux(&segment);
        let cut = usize::try_from(seed % segment.len() as u64).unwrap();
        prop_assert!(ts::demux(&segment[..cut]).is_err());
    }
}

#[test]
fn each_kind_of_damage_is_found() {
    let clip = Clip::new(64, 48, 8, FrameRate::PAL);
    let good = clip.segment(0);
    assert!(ts::demux(&good).is_ok());
    let packets = good.len() / PACKET_BYTES;
    let damaged = |edit: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.to_vec();
        edit(&mut bytes);
        ts::demux(&bytes).unwrap_err()
    };
    let drop_packet =
        |at: usize| move |b: &mut Vec<u8>| drop(b.drain(at * PACKET_BYTES..(at + 1) * PACKET_BYTES));
    for at in 0..packets {
        damaged(&drop_packet(at));
    }
    assert_eq!(damaged(&|b| b[2 * PACKET_BYTES] = 0).packet, 2);
    assert_eq!(damaged(&|b| b[2 * PACKET_BYTES + 3] ^= 1).what, "continuity counter out of step");
    assert_eq!(damaged(&|b| b[2 * PACKET_BYTES + 2] = 0x77).what, "a PID that the PMT does not name");
    assert_eq!(damaged(&|b| b[2 * PACKET_BYTES + 8] ^= 1).what, "PCR is not 100 ms ahead of its PTS");
    assert!(damaged(&|b| b.truncate(100)).to_string().contains("within a packet"));
    assert!(damaged(&|b| b[7] ^= 1).to_string().contains("PAT and PMT"));
    assert!(segment::Error::from(ts::MuxError::NoPicture).to_string().contains("without a picture"));
}
