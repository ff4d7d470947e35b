//! Makes segments: frames and sound of one stretch of the clip in, a transport stream out.
//!
//! A [`SegmentEncoder`] knows its place from the plan: every timestamp is computed from the index of the frame
//! or access unit, the H.264 encoder is a fresh one, and the transport stream starts all counters at 0. So a
//! segment's bytes depend on its frames, its sound and the plan only.

use bytes::Bytes;
use headcast_core::{FrameIndex, FrameRate, RgbImage, SegmentPlan, Timescale};

use crate::aac::Channels;
use crate::h264::{self, Qp};
use crate::ts;

/// What all segments of a clip have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    video: h264::Config,
    channels: Channels,
}

impl Config {
    /// Frames of `width × height` pixels at `frame_rate`, stereo, default quality.
    ///
    /// # Errors
    /// [`h264::Error`] when no H.264 level allows the size or rate.
    pub fn new(width: u32, height: u32, frame_rate: FrameRate) -> Result<Self, h264::Error> {
        let video = h264::Config::new(width, height, frame_rate, Qp::DEFAULT)?;
        Ok(Self { video, channels: Channels::Stereo })
    }

    /// Quality of the pictures. Default [`Qp::DEFAULT`]; six steps down double the bytes.
    #[must_use]
    pub fn qp(mut self, qp: Qp) -> Self {
        self.video = self.video.with_qp(qp);
        self
    }

    /// Channels of the sound. Default stereo.
    #[must_use]
    pub fn channels(mut self, channels: Channels) -> Self {
        self.channels = channels;
        self
    }

    /// What the pictures are encoded with.
    pub fn video(&self) -> &h264::Config {
        &self.video
    }

    /// What the sound is encoded with.
    pub fn audio_channels(&self) -> Channels {
        self.channels
    }
}

/// The first packets of every segment, PAT and PMT: 376 bytes, the same in each, so a server can send them before
/// the rest exists.
pub fn segment_head(_config: &Config) -> Bytes {
    ts::head()
}

/// Why a segment cannot be made.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Ask for one of the planned segments.
    #[error("segment {index} was asked for, the plan has {segments}")]
    NoSuchSegment {
        /// Asked for.
        index: usize,
        /// Segments of the plan.
        segments: usize,
    },
    /// Make the plan with the frame rate that the encoder is configured for.
    #[error("the plan is for {plan} frames per second, the encoder for {encoder}")]
    FrameRate {
        /// Rate of the plan.
        plan: FrameRate,
        /// Rate of the configuration.
        encoder: FrameRate,
    },
    /// Plan segments of two frames or more: two IDR pictures side by side need different `idr_pic_id`.
    #[error("segment {index} of {segments} has a single frame; plan at least two")]
    SinglePicture {
        /// Segment.
        index: usize,
        /// Segments of the plan.
        segments: usize,
    },
    /// Push exactly the frames that the plan names.
    #[error("segment {index} has {expected} frames, got {found}")]
    Frames {
        /// Segment.
        index: usize,
        /// Frames in the plan.
        expected: u64,
        /// Frames pushed.
        found: u64,
    },
    /// Hand over exactly the access units of [`SegmentEncoder::audio_units`].
    #[error("segment {index} has {expected} AAC access units, got {found}")]
    AudioUnits {
        /// Segment.
        index: usize,
        /// Units in the plan.
        expected: u64,
        /// Units handed over.
        found: u64,
    },
    /// The clip is longer than the clock can count: cut it.
    #[error("frame {frame} lies beyond the 90 kHz clock")]
    TooLong {
        /// Frame of the clip.
        frame: u64,
    },
    /// See there.
    #[error(transparent)]
    H264(#[from] h264::Error),
    /// See there.
    #[error(transparent)]
    Mux(#[from] ts::MuxError),
}

/// Encodes one segment.
#[derive(Debug)]
pub struct SegmentEncoder {
    index: usize,
    frames: std::ops::Range<u64>,
    audio_units: std::ops::Range<u64>,
    frame_rate: FrameRate,
    encoder: h264::Encoder,
    muxer: ts::Muxer,
    pushed: u64,
}

impl SegmentEncoder {
    /// An encoder for segment `index` of `plan`.
    ///
    /// # Errors
    /// [`Error`] when the plan has no such segment or does not fit `config`, or OpenH264 cannot be started.
    pub fn new(config: &Config, plan: &SegmentPlan, index: usize) -> Result<Self, Error> {
        let segments = plan.len();
        let frames = plan.frames(index).ok_or(Error::NoSuchSegment { index, segments })?;
        let frame_rate = plan.timeline().frame_rate();
        if frame_rate != config.video.frame_rate() {
            return Err(Error::FrameRate { plan: frame_rate, encoder: config.video.frame_rate() });
        }
        if frames.end - frames.start == 1 && segments > 1 {
            return Err(Error::SinglePicture { index, segments });
        }
        Ok(Self {
            index,
            audio_units: plan.timeline().aac_units_of(frames.clone()),
            frames,
            frame_rate,
            encoder: h264::Encoder::new(&config.video)?,
            muxer: ts::Muxer::new(config.channels),
            pushed: 0,
        })
    }

    /// Frames of the clip that belong to the segment.
    pub fn frames(&self) -> std::ops::Range<u64> {
        self.frames.clone()
    }

    /// AAC access units of the clip that belong to the segment.
    pub fn audio_units(&self) -> std::ops::Range<u64> {
        self.audio_units.clone()
    }

    /// Encodes the next frame.
    ///
    /// # Errors
    /// [`Error::Frames`] after the last one, [`Error::H264`] when its size differs or the encoder fails.
    pub fn push(&mut self, image: &RgbImage) -> Result<(), Error> {
        let frame = self.frames.start + self.pushed;
        if frame >= self.frames.end {
            return Err(self.wrong_frames(self.pushed + 1));
        }
        let ticks = self
            .frame_rate
            .pts(FrameIndex(frame), Timescale::MPEG)
            .and_then(|pts| u64::try_from(pts.ticks).ok())
            // Leaves room for the base of the clock.
            .filter(|ticks| ticks >> 62 == 0)
            .ok_or(Error::TooLong { frame })?;
        let unit = self.encoder.encode(image)?;
        self.muxer.video(ticks, &unit)?;
        self.pushed += 1;
        Ok(())
    }

    /// The segment, with `audio_units` being the access units of [`Self::audio_units`].
    ///
    /// # Errors
    /// [`Error::Frames`] when frames are missing, [`Error::AudioUnits`] when the number of units differs,
    /// [`Error::Mux`] when a unit is no AAC.
    pub fn finish(mut self, audio_units: &[Bytes]) -> Result<Bytes, Error> {
        if self.pushed != self.frames.end - self.frames.start {
            return Err(self.wrong_frames(self.pushed));
        }
        let expected = self.audio_units.end - self.audio_units.start;
        let found = audio_units.len() as u64;
        if found != expected {
            return Err(Error::AudioUnits { index: self.index, expected, found });
        }
        self.muxer.audio(self.audio_units.start, audio_units)?;
        Ok(self.muxer.finish()?)
    }

    fn wrong_frames(&self, found: u64) -> Error {
        Error::Frames { index: self.index, expected: self.frames.end - self.frames.start, found }
    }
}
