//! One MP4 file (ISO/IEC 14496-12, -14, -15) from the finished segments of a clip: the same access units in another
//! wrapping, nothing is encoded again.
//!
//! The file starts with its index (`moov` before `mdat`), so a browser plays it while it loads. It is made in two
//! passes over the segments and never held as a whole: [`Index`] sees each segment once and keeps sizes only, then
//! [`Layout`] knows every byte offset, gives the header, and turns any segment into its part of the file.
//!
//! ```text
//! ftyp moov mdat[ segment 0: video audio video audio … | segment 1: … ]
//! └─ header ───┘ └─ payload(0) ──────────────────────┘
//! ```

mod boxes;
mod moov;
mod write;

pub use write::{WriteError, write};

use std::ops::Range;

use bytes::Bytes;
use headcast_core::{FrameIndex, SegmentPlan, Timeline, Timescale};

use crate::aac::Channels;
use crate::h264::{self, nal};
use crate::segment::Config;
use crate::ts::{self, AAC_UNIT_TICKS, BASE_TICKS, DemuxError, Streams};

/// Why segments do not make a file.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Make the segment again.
    #[error("segment {segment} cannot be read: {source}")]
    Demux {
        /// Segment.
        segment: usize,
        /// What is wrong with it.
        source: DemuxError,
    },
    /// Hand over the segments of one clip, each once, in order.
    #[error("segment {segment} is not the one the plan has there: {what}")]
    WrongSegment {
        /// Position in the plan.
        segment: usize,
        /// What differs.
        what: &'static str,
    },
    /// Hand over the segment that the index was made from.
    #[error("segment {segment} has changed since the index was made; make the index again")]
    Changed {
        /// Segment.
        segment: usize,
    },
    /// Push the segments that are missing.
    #[error("the clip has {expected} segments, the index has seen {found}")]
    Incomplete {
        /// Segments in the plan.
        expected: usize,
        /// Segments pushed.
        found: usize,
    },
    /// Ask for one of the clip's segments.
    #[error("segment {segment} was asked for, the clip has {segments}")]
    NoSuchSegment {
        /// Asked for.
        segment: usize,
        /// Segments of the clip.
        segments: usize,
    },
    /// Cut the clip: MP4 counts samples with 32 bits.
    #[error("the clip is too long for one MP4 file; cut it")]
    TooLong,
}

/// First pass: collects what the header needs. Holds 4 bytes per access unit.
#[derive(Debug)]
pub struct Index {
    config: Config,
    plan: SegmentPlan,
    samples: Samples,
    parameter_sets: Option<ParameterSets>,
}

/// What both passes agree on.
#[derive(Debug, Default)]
struct Samples {
    /// Bytes of each picture, length prefixes included.
    video: Vec<u32>,
    /// Bytes of each AAC access unit.
    audio: Vec<u32>,
    /// Pieces of all segments, in order.
    pieces: Vec<Piece>,
    /// For each segment, the end of its payload, counted from the first byte of payload.
    ends: Vec<u64>,
}

/// About a second of pictures, then the sound that goes with them: how far a player has to read ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    pictures: u32,
    units: u32,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct ParameterSets {
    sps: Vec<u8>,
    pps: Vec<u8>,
}

/// Second pass: where every byte of the file is.
#[derive(Debug)]
pub struct Layout {
    config: Config,
    plan: SegmentPlan,
    header: Bytes,
    ends: Vec<u64>,
}

impl Index {
    /// An index of the clip that `plan` cuts into segments.
    pub fn new(config: &Config, plan: &SegmentPlan) -> Self {
        Self { config: *config, plan: plan.clone(), samples: Samples::default(), parameter_sets: None }
    }

    /// Takes the next segment, in order from 0.
    ///
    /// # Errors
    /// [`Error::Demux`] when it is damaged, [`Error::WrongSegment`] when it is another one or there is none left.
    pub fn push(&mut self, segment: &[u8]) -> Result<(), Error> {
        let index = self.samples.ends.len();
        let streams = access_units(&self.config, &self.plan, index, segment)?;
        let first =
            streams.video.first().ok_or(Error::WrongSegment { segment: index, what: "no picture" })?;
        let sets = parameter_sets(&first.data)
            .ok_or(Error::WrongSegment { segment: index, what: "no parameter sets" })?;
        if *self.parameter_sets.get_or_insert_with(|| sets.clone()) != sets {
            return Err(Error::WrongSegment { segment: index, what: "its parameter sets differ" });
        }
        let mut bytes = 0;
        let samples = &mut self.samples;
        let sizes = streams.video.iter().map(|unit| avcc_len(&unit.data));
        push_sizes(&mut samples.video, sizes, &mut bytes)?;
        push_sizes(&mut samples.audio, streams.audio.iter().map(|unit| unit.data.len()), &mut bytes)?;
        samples.pieces.extend(pieces(&self.plan, &streams));
        let start = samples.ends.last().copied().unwrap_or(0);
        samples.ends.push(start + bytes);
        Ok(())
    }

    /// The file's layout.
    ///
    /// # Errors
    /// [`Error::Incomplete`] when segments are missing, [`Error::TooLong`].
    pub fn finish(self) -> Result<Layout, Error> {
        let expected = self.plan.len();
        let found = self.samples.ends.len();
        if found < expected {
            return Err(Error::Incomplete { expected, found });
        }
        self.finish_early()
    }

    /// The layout of a file that ends with the last segment that was pushed.
    ///
    /// The segments stay those of the whole clip: where picture and sound are cut apart, the sound of a clip that
    /// really ended there could have a unit more or less.
    ///
    /// # Errors
    /// [`Error::Incomplete`] when none was pushed, [`Error::TooLong`].
    pub fn finish_early(self) -> Result<Layout, Error> {
        let found = self.samples.ends.len();
        let incomplete = Error::Incomplete { expected: self.plan.len(), found };
        let Some(parameter_sets) = self.parameter_sets else { return Err(incomplete) };
        let ends = self.plan.ends()[..found].to_vec();
        let timeline =
            ends.last().and_then(|&end| Timeline::from_frames(end, self.plan.timeline().frame_rate()));
        let Some(shown) = timeline.and_then(|timeline| SegmentPlan::from_ends(timeline, ends)) else {
            return Err(incomplete);
        };
        let counts = [self.samples.video.len(), self.samples.audio.len()];
        if counts.iter().any(|&count| u32::try_from(count).is_err()) {
            return Err(Error::TooLong);
        }
        let movie = moov::Movie {
            config: &self.config,
            plan: &shown,
            samples: &self.samples,
            sps: &parameter_sets.sps,
            pps: &parameter_sets.pps,
        };
        let header = movie.header().into();
        Ok(Layout { header, ends: self.samples.ends, config: self.config, plan: self.plan })
    }
}

impl Layout {
    /// The start of the file: everything before the first payload.
    pub fn header(&self) -> Bytes {
        self.header.clone()
    }

    /// Bytes of the whole file.
    pub fn total_len(&self) -> u64 {
        self.header.len() as u64 + self.ends.last().copied().unwrap_or(0)
    }

    /// Where in the file the payload of segment `index` lies; `None` past the last.
    pub fn payload_range(&self, index: usize) -> Option<Range<u64>> {
        let header = self.header.len() as u64;
        let end = *self.ends.get(index)?;
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        Some(header + start..header + end)
    }

    /// Segments whose payload has bytes in `range` of the file.
    pub fn segments_in(&self, range: Range<u64>) -> Range<usize> {
        let header = self.header.len() as u64;
        let (start, end) = (range.start.saturating_sub(header), range.end.saturating_sub(header));
        if end <= start {
            return 0..0;
        }
        let first = self.ends.partition_point(|&e| e <= start);
        let last = self.ends.partition_point(|&e| e < end);
        first..(last + 1).min(self.ends.len()).max(first)
    }

    /// The part of the file that holds segment `index`, from that segment's bytes.
    ///
    /// # Errors
    /// [`Error`] when it is damaged or not the one that the index saw.
    pub fn payload(&self, index: usize, segment: &[u8]) -> Result<Bytes, Error> {
        let segments = self.ends.len();
        let range = self.payload_range(index).ok_or(Error::NoSuchSegment { segment: index, segments })?;
        let streams = access_units(&self.config, &self.plan, index, segment)?;
        let changed = Error::Changed { segment: index };
        let Ok(bytes) = usize::try_from(range.end - range.start) else { return Err(changed) };
        let mut out = Vec::with_capacity(bytes.min(segment.len()));
        let (mut video, mut audio) = (streams.video.iter(), streams.audio.iter());
        for piece in pieces(&self.plan, &streams) {
            for unit in video.by_ref().take(piece.pictures as usize) {
                for nal_unit in picture_nal_units(&unit.data) {
                    let Ok(length) = u32::try_from(nal_unit.len()) else { return Err(changed) };
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(nal_unit);
                }
            }
            for unit in audio.by_ref().take(piece.units as usize) {
                out.extend_from_slice(&unit.data);
            }
        }
        if out.len() != bytes {
            return Err(changed);
        }
        Ok(out.into())
    }
}

/// The access units of one segment, if it is segment `index` of `plan`: its pictures and its sound, at their times.
///
/// # Errors
/// [`Error::Demux`] when it is damaged, [`Error::WrongSegment`] when it is another one.
pub fn access_units(
    config: &Config,
    plan: &SegmentPlan,
    index: usize,
    segment: &[u8],
) -> Result<Streams, Error> {
    let wrong = |what| Error::WrongSegment { segment: index, what };
    let frames = plan.frames(index).ok_or_else(|| wrong("the plan has no more"))?;
    let streams = ts::demux(segment).map_err(|source| Error::Demux { segment: index, source })?;
    let units = match config.audio_channels() {
        Some(_) => plan.timeline().aac_units_of(frames.clone()),
        None => 0..0,
    };
    if streams.video.len() as u64 != frames.end - frames.start {
        return Err(wrong("its number of pictures differs"));
    }
    if streams.audio.len() as u64 != units.end - units.start {
        return Err(wrong("its number of AAC access units differs"));
    }
    let rate = plan.timeline().frame_rate();
    let wrap = |ticks: u64| ticks & ((1 << 33) - 1);
    let on_time = streams.video.iter().zip(frames).all(|(unit, frame)| {
        let ticks =
            rate.pts(FrameIndex(frame), Timescale::MPEG).and_then(|pts| u64::try_from(pts.ticks).ok());
        ticks.is_some_and(|ticks| wrap(BASE_TICKS + ticks) == unit.pts)
    });
    let sound_on_time =
        streams.audio.iter().zip(units).all(|(unit, j)| wrap(BASE_TICKS + AAC_UNIT_TICKS * j) == unit.pts);
    if on_time && sound_on_time { Ok(streams) } else { Err(wrong("its timestamps differ")) }
}

/// Cuts a segment into about one second each; both passes come to the same cuts.
fn pieces(plan: &SegmentPlan, streams: &Streams) -> Vec<Piece> {
    let rate = plan.timeline().frame_rate();
    let pictures = (rate.num().div_ceil(rate.den()) as usize).max(1);
    let mut units = 0;
    let mut pieces = Vec::new();
    let mut picture = 0;
    while picture < streams.video.len() {
        let end = (picture + pictures).min(streams.video.len());
        let due = match streams.video.get(end) {
            Some(next) => {
                streams.audio.iter().skip(units).take_while(|unit| is_before(unit.pts, next.pts)).count()
            }
            None => streams.audio.len() - units,
        };
        let count = |n: usize| u32::try_from(n).expect("a piece holds a second of access units");
        pieces.push(Piece { pictures: count(end - picture), units: count(due) });
        units += due;
        picture = end;
    }
    pieces
}

/// On a clock that wraps at 33 bits.
fn is_before(pts: u64, other: u64) -> bool {
    other.wrapping_sub(pts).wrapping_sub(1) & ((1 << 33) - 1) < 1 << 32
}

fn push_sizes(sizes: &mut Vec<u32>, new: impl Iterator<Item = usize>, total: &mut u64) -> Result<(), Error> {
    for size in new {
        *total += size as u64;
        sizes.push(u32::try_from(size).ok().ok_or(Error::TooLong)?);
    }
    Ok(())
}

/// What a sample holds: delimiters and parameter sets stay in the header (ISO/IEC 14496-15 §5.3.3.1).
fn picture_nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    nal::annex_b(annex_b).filter(|nal_unit| {
        !matches!(nal::nal_unit_type(nal_unit), nal::kind::AUD | nal::kind::SPS | nal::kind::PPS)
    })
}

fn avcc_len(annex_b: &[u8]) -> usize {
    picture_nal_units(annex_b).map(|nal_unit| 4 + nal_unit.len()).sum()
}

fn parameter_sets(annex_b: &[u8]) -> Option<ParameterSets> {
    let [sps, pps] = h264::parameter_sets(annex_b)?.map(<[u8]>::to_vec);
    let sets = ParameterSets { sps, pps };
    // profile_idc, constraint flags and level_idc are copied to the header.
    (sets.sps.len() >= 4 && sets.sps.len() < 1 << 16 && sets.pps.len() < 1 << 16).then_some(sets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_compared_across_the_wrap() {
        assert!(is_before(1, 2) && !is_before(2, 2) && !is_before(3, 2));
        let last = (1 << 33) - 1;
        assert!(is_before(last, 0) && !is_before(0, last));
    }
}
