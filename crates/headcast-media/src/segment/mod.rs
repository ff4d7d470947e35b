//! Makes segments: frames and sound of one stretch of the clip in, a transport stream out.
//!
//! A [`SegmentEncoder`] knows its place from the plan: every timestamp is computed from the index of the frame
//! or access unit, the H.264 encoder is a fresh one, and the transport stream starts all counters at 0. So a
//! segment's bytes depend on its frames, its sound and the plan only.

use bytes::Bytes;
use headcast_core::{FrameIndex, FrameRate, RgbImage, SegmentPlan, Timescale};

use crate::aac::Channels;
use crate::color::Planes;
use crate::h264::{self, Qp};
use crate::ts;

/// What all segments of a clip have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    video: h264::Config,
    channels: Option<Channels>,
}

impl Config {
    /// Frames of `width × height` pixels at `frame_rate`, stereo, default quality.
    ///
    /// # Errors
    /// [`h264::Error`] when no H.264 level allows the size or rate.
    pub fn new(width: u32, height: u32, frame_rate: FrameRate) -> Result<Self, h264::Error> {
        let video = h264::Config::new(width, height, frame_rate, Qp::DEFAULT)?;
        Ok(Self { video, channels: Some(Channels::Stereo) })
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
        self.channels = Some(channels);
        self
    }

    /// Pictures only: segments and files have no sound track at all.
    #[must_use]
    pub fn without_sound(mut self) -> Self {
        self.channels = None;
        self
    }

    /// What the pictures are encoded with.
    pub fn video(&self) -> &h264::Config {
        &self.video
    }

    /// What the sound is encoded with; `None` when there is none.
    pub fn audio_channels(&self) -> Option<Channels> {
        self.channels
    }
}

/// The first packets of every segment, PAT and PMT: 376 bytes, the same in each, so a server can send them before
/// the rest exists.
pub fn segment_head(config: &Config) -> Bytes {
    ts::head(config.channels.is_some())
}

/// Whether `access_unit`, the first of a segment, has the parameter sets that `config` gives: the same picture size
/// and frame rate, from the same encoder.
///
/// # Errors
/// [`h264::Error`] when OpenH264 cannot be started.
pub fn has_parameter_sets_of(config: &Config, access_unit: &[u8]) -> Result<bool, h264::Error> {
    let (width, height) = (config.video.width(), config.video.height());
    let black =
        RgbImage::filled(width, height, [0; 3]).map_err(|_size| h264::Error::Size { width, height })?;
    let first = h264::Encoder::new(&config.video)?.encode(&black)?;
    Ok(h264::parameter_sets(&first.annex_b).is_some_and(|own| Some(own) == h264::parameter_sets(access_unit)))
}

/// The last picture of a segment, in the encoder's colours: planar 4:2:0 as [`Planes::split`] takes it, with what
/// encoding has cost.
///
/// * `access_units`: the pictures of the segment in Annex B form, from the first on.
///
/// # Errors
/// [`h264::Error`] when they are damaged, or not of the size in `config`.
pub fn last_picture<'a>(
    config: &Config,
    access_units: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, h264::Error> {
    h264::decode::last_picture(&config.video, access_units)
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
    /// The segment ends where frames end.
    open: bool,
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
            audio_units: match config.channels {
                Some(_) => plan.timeline().aac_units_of(frames.clone()),
                None => 0..0,
            },
            frames,
            frame_rate,
            encoder: h264::Encoder::new(&config.video)?,
            muxer: ts::Muxer::new(config.channels),
            pushed: 0,
            open: false,
        })
    }

    /// An encoder for segment `index` of a clip without sound whose length nobody knows yet: it starts at frame
    /// `start` and ends where [`Self::finish`] is called.
    ///
    /// # Errors
    /// [`Error::H264`] when OpenH264 cannot be started.
    ///
    /// # Panics
    /// If `config` has sound: where frames end is where sound ends, and only a plan knows.
    pub fn open_ended(config: &Config, index: usize, start: FrameIndex) -> Result<Self, Error> {
        assert!(config.channels.is_none(), "an open end with sound");
        Ok(Self {
            index,
            audio_units: 0..0,
            frames: start.0..u64::MAX,
            frame_rate: config.video.frame_rate(),
            encoder: h264::Encoder::new(&config.video)?,
            muxer: ts::Muxer::new(None),
            pushed: 0,
            open: true,
        })
    }

    /// Frames of the clip that belong to the segment.
    pub fn frames(&self) -> std::ops::Range<u64> {
        self.frames.clone()
    }

    /// Frames that were pushed so far.
    pub fn pushed(&self) -> u64 {
        self.pushed
    }

    /// AAC access units of the clip that belong to the segment: none when it has no sound.
    pub fn audio_units(&self) -> std::ops::Range<u64> {
        self.audio_units.clone()
    }

    /// Encodes the next frame.
    ///
    /// # Errors
    /// [`Error::Frames`] after the last one, [`Error::H264`] when its size differs or the encoder fails.
    pub fn push(&mut self, image: &RgbImage) -> Result<(), Error> {
        let ticks = self.next_ticks()?;
        let unit = self.encoder.encode(image)?;
        self.mux(ticks, &unit)
    }

    /// Encodes the next frame, which is in the encoder's colours already.
    ///
    /// # Errors
    /// As [`Self::push`].
    pub fn push_planes(&mut self, planes: &Planes<'_>) -> Result<(), Error> {
        let ticks = self.next_ticks()?;
        let unit = self.encoder.encode_planes(planes)?;
        self.mux(ticks, &unit)
    }

    fn mux(&mut self, ticks: u64, unit: &h264::AccessUnit) -> Result<(), Error> {
        self.muxer.video(ticks, unit)?;
        self.pushed += 1;
        Ok(())
    }

    /// PTS of the next frame, from the start of the clip.
    fn next_ticks(&self) -> Result<u64, Error> {
        let frame = self.frames.start + self.pushed;
        if frame >= self.frames.end {
            return Err(self.wrong_frames(self.pushed + 1));
        }
        self.frame_rate
            .pts(FrameIndex(frame), Timescale::MPEG)
            .and_then(|pts| u64::try_from(pts.ticks).ok())
            // Leaves room for the base of the clock.
            .filter(|ticks| ticks >> 62 == 0)
            .ok_or(Error::TooLong { frame })
    }

    /// The segment, with `audio_units` being the access units of [`Self::audio_units`].
    ///
    /// # Errors
    /// [`Error::Frames`] when frames are missing, [`Error::AudioUnits`] when the number of units differs,
    /// [`Error::Mux`] when a unit is no AAC.
    pub fn finish(mut self, audio_units: &[Bytes]) -> Result<Bytes, Error> {
        if self.open {
            // One picture is a clip, and no segment beside another one.
            if self.pushed == 1 && self.index > 0 {
                return Err(Error::SinglePicture { index: self.index, segments: self.index + 1 });
            }
        } else if self.pushed != self.frames.end - self.frames.start {
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
