//! H.264 (ITU-T H.264) through OpenH264: constant quality, CABAC, no B pictures, no delay.
//!
//! An [`Encoder`] encodes one closed group of pictures: the first is an IDR picture with its parameter sets
//! in band, the others are P pictures. It runs on one thread and holds nothing that outlives it, so the same
//! pictures give the same bytes at any time and in any order.

mod bits;
pub(crate) mod decode;
pub(crate) mod nal;
mod openh264;
mod sps;

use headcast_core::{FrameRate, RgbImage};

use crate::color::{Picture, Planes};
use openh264::Handle;
use sps::Sps;

/// Whether OpenH264 was compiled with its assembly. Without it encoding is 2.4 to 3.5 times slower: install
/// `nasm`, run `cargo clean -p openh264-sys2 -p headcast-media` and rebuild.
pub const fn has_assembly() -> bool {
    cfg!(openh264_assembly)
}

/// Quantisation parameter of every picture: quality, and with it the size. Lower is better and larger; six
/// steps halve or double the bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Qp(u8);

impl Qp {
    /// 24: about 43 dB of luma PSNR on a talking head.
    pub const DEFAULT: Self = Self(24);

    /// `None` outside 10 to 44: below, bits go into noise; above, faces fall apart.
    pub fn new(qp: u8) -> Option<Self> {
        (10..=44).contains(&qp).then_some(Self(qp))
    }

    /// The value, 10 to 44.
    pub fn get(self) -> u8 {
        self.0
    }
}

impl Default for Qp {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// What an [`Encoder`] encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Config {
    width: u32,
    height: u32,
    frame_rate: FrameRate,
    qp: Qp,
    level_idc: u8,
}

impl Config {
    /// Pictures of `width × height` pixels at `frame_rate`.
    ///
    /// Odd sides are shown one pixel longer, with the last column or row repeated: 4:2:0 has no odd sizes.
    ///
    /// # Errors
    /// [`Error::Size`] unless [`RgbImage::fits_video`]; [`Error::FrameRate`] when no level allows so many pictures a second.
    pub fn new(width: u32, height: u32, frame_rate: FrameRate, qp: Qp) -> Result<Self, Error> {
        if !RgbImage::fits_video(width, height) {
            return Err(Error::Size { width, height });
        }
        let level_idc = level_idc(width.div_ceil(16), height.div_ceil(16), frame_rate)
            .ok_or(Error::FrameRate { width, height, frame_rate })?;
        Ok(Self { width, height, frame_rate, qp, level_idc })
    }

    /// The same pictures in another quality.
    #[must_use]
    pub fn with_qp(self, qp: Qp) -> Self {
        Self { qp, ..self }
    }

    /// Pixels per row that go in.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows that go in.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Pixels per row that a decoder shows: [`Self::width`] rounded up to even.
    pub fn shown_width(&self) -> u32 {
        self.width.next_multiple_of(2)
    }

    /// Rows that a decoder shows: [`Self::height`] rounded up to even.
    pub fn shown_height(&self) -> u32 {
        self.height.next_multiple_of(2)
    }

    /// Pictures per second.
    pub fn frame_rate(&self) -> FrameRate {
        self.frame_rate
    }

    /// Quality.
    pub fn qp(&self) -> Qp {
        self.qp
    }
}

/// The coded form of one picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// NAL units in Annex B form, each after a four-byte start code: an access unit delimiter, the parameter
    /// sets before an IDR picture, then the picture.
    pub annex_b: Vec<u8>,
    /// Whether decoding can start here.
    pub idr: bool,
}

/// Why pictures cannot be encoded.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// Scale the frames.
    #[error(
        "H.264 frames of {width}x{height} are not supported: use {} to {} pixels a side and at most {} \
         million pixels",
        RgbImage::VIDEO_SIDES.start(), RgbImage::VIDEO_SIDES.end(), RgbImage::MAX_VIDEO_MACROBLOCKS * 256 / 1_000_000
    )]
    Size {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Use fewer frames per second or smaller ones.
    #[error(
        "{frame_rate} frames per second of {width}x{height} are above H.264 level 5.2; use fewer or smaller frames"
    )]
    FrameRate {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// What was asked for.
        frame_rate: FrameRate,
    },
    /// Hand over frames of the size that was configured.
    #[error("a frame of {}x{} went to an encoder of {}x{}", found.0, found.1, expected.0, expected.1)]
    WrongSize {
        /// Size of the encoder.
        expected: (u32, u32),
        /// Size of the frame.
        found: (u32, u32),
    },
    /// Out of memory, or a fault of the encoder: nothing to be done but to report it.
    #[error("OpenH264 failed to {what} (code {code})")]
    OpenH264 {
        /// What it was asked to do.
        what: &'static str,
        /// Its answer.
        code: i32,
    },
}

/// Encodes one closed group of pictures.
#[derive(Debug)]
pub struct Encoder {
    config: Config,
    handle: Handle,
    picture: Picture,
    pictures: u64,
}

impl Encoder {
    /// An encoder whose first picture will be an IDR picture.
    ///
    /// # Errors
    /// [`Error::OpenH264`] when it cannot be started.
    pub fn new(config: &Config) -> Result<Self, Error> {
        let picture = Picture::new(config.width, config.height);
        let handle = Handle::new(&openh264::Settings {
            width: picture.coded_width(),
            height: picture.coded_height(),
            frame_rate: config.frame_rate,
            qp: config.qp.get(),
            level_idc: config.level_idc,
        })?;
        Ok(Self { config: *config, handle, picture, pictures: 0 })
    }

    /// Encodes the next picture.
    ///
    /// # Errors
    /// [`Error::WrongSize`], and [`Error::OpenH264`] when the encoder fails.
    pub fn encode(&mut self, image: &RgbImage) -> Result<AccessUnit, Error> {
        self.expect_size((image.width(), image.height()))?;
        self.picture.fill_from(image);
        self.encode_picture()
    }

    /// Encodes the next picture, which is in the encoder's colours already.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_planes(&mut self, planes: &Planes<'_>) -> Result<AccessUnit, Error> {
        self.expect_size(planes.size())?;
        self.picture.fill_from_planes(planes);
        self.encode_picture()
    }

    fn expect_size(&self, found: (u32, u32)) -> Result<(), Error> {
        let expected = (self.config.width, self.config.height);
        if found == expected { Ok(()) } else { Err(Error::WrongSize { expected, found }) }
    }

    fn encode_picture(&mut self) -> Result<AccessUnit, Error> {
        let idr = self.pictures == 0;
        let mut annex_b = Vec::new();
        // primary_pic_type 0 is I only, 1 is I and P (table 7-5). Apple's players and QuickTime want a delimiter
        // before every picture of a transport stream.
        push_nal_unit(&mut annex_b, &[kind_byte(nal::kind::AUD), if idr { 0x10 } else { 0x30 }]);
        let mut seen = [false; 4];
        let mut unexpected = false;
        let config = &self.config;
        self.handle.encode(&self.picture, |coded| {
            for nal_unit in nal::annex_b(coded) {
                match nal::nal_unit_type(nal_unit) {
                    nal::kind::SPS if idr => {
                        let Some(sps) = Sps::parse(nal_unit) else {
                            unexpected = true;
                            continue;
                        };
                        let sps = sps.write(config.shown_width(), config.shown_height(), config.frame_rate);
                        push_nal_unit(&mut annex_b, &sps);
                        seen[0] = true;
                    }
                    nal::kind::PPS if idr => {
                        push_nal_unit(&mut annex_b, nal_unit);
                        seen[1] = true;
                    }
                    nal::kind::IDR if idr => {
                        push_nal_unit(&mut annex_b, nal_unit);
                        seen[2] = true;
                    }
                    nal::kind::SLICE if !idr => {
                        push_nal_unit(&mut annex_b, nal_unit);
                        seen[3] = true;
                    }
                    _ => unexpected = true,
                }
            }
        })?;
        let complete = if idr { [true, true, true, false] } else { [false, false, false, true] };
        if unexpected || seen != complete {
            return Err(Error::OpenH264 { what: "write the NAL units of a picture", code: 0 });
        }
        self.pictures += 1;
        Ok(AccessUnit { annex_b, idr })
    }
}

/// SPS and PPS of an IDR picture in Annex B form.
pub(crate) fn parameter_sets(annex_b: &[u8]) -> Option<[&[u8]; 2]> {
    let find = |kind| nal::annex_b(annex_b).find(|n| nal::nal_unit_type(n) == kind);
    Some([find(nal::kind::SPS)?, find(nal::kind::PPS)?])
}

fn push_nal_unit(out: &mut Vec<u8>, nal_unit: &[u8]) {
    out.extend_from_slice(&nal::START_CODE);
    out.extend_from_slice(nal_unit);
}

const fn kind_byte(nal_unit_type: u8) -> u8 {
    nal_unit_type // nal_ref_idc 0
}

/// Lowest level that allows the picture size and rate (table A-1, §A.3.1), at least 3.1, whose 14 Mbit/s
/// leave room for constant quality; `None` above 5.2.
fn level_idc(width_in_mbs: u32, height_in_mbs: u32, frame_rate: FrameRate) -> Option<u8> {
    /// `(level_idc, MaxMBPS, MaxFS)`
    const LEVELS: [(u8, u64, u64); 8] = [
        (31, 108_000, 3_600),
        (32, 216_000, 5_120),
        (40, 245_760, 8_192),
        (41, 245_760, 8_192),
        (42, 522_240, 8_704),
        (50, 589_824, 22_080),
        (51, 983_040, 36_864),
        (52, 2_073_600, 36_864),
    ];
    let (width, height) = (u64::from(width_in_mbs), u64::from(height_in_mbs));
    let frame_size = width * height;
    let side = width.max(height);
    // Macroblocks per second against MaxMBPS, both times the denominator.
    let (num, den) = (u64::from(frame_rate.num()), u64::from(frame_rate.den()));
    LEVELS
        .iter()
        .find(|(_, max_mbps, max_fs)| {
            frame_size <= *max_fs && side * side <= 8 * max_fs && frame_size * num <= max_mbps * den
        })
        .map(|(level_idc, ..)| *level_idc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(num: u32, den: u32) -> FrameRate {
        FrameRate::new(num, den).unwrap()
    }

    #[test]
    fn levels_follow_table_a_1() {
        let level = |w: u32, h: u32, fps| level_idc(w.div_ceil(16), h.div_ceil(16), rate(fps, 1));
        assert_eq!(level(512, 512, 25), Some(31));
        assert_eq!(level(1280, 720, 25), Some(31));
        assert_eq!(level(1920, 1080, 25), Some(40));
        assert_eq!(level(1920, 1080, 60), Some(42));
        assert_eq!(level(3840, 2160, 25), Some(51));
        assert_eq!(level(4096, 16, 25), Some(40)); // the side alone: sqrt(8 · MaxFS) = 256 macroblocks
        assert_eq!(level(3840, 2160, 240), None);
    }

    #[test]
    fn sizes_are_bounded() {
        let config = |w, h| Config::new(w, h, FrameRate::PAL, Qp::DEFAULT);
        assert!(config(16, 16).is_ok() && config(451, 333).is_ok() && config(4096, 2304).is_ok());
        for (w, h) in [(15, 64), (64, 0), (4097, 64), (4096, 4096), (u32::MAX, u32::MAX)] {
            assert_eq!(config(w, h), Err(Error::Size { width: w, height: h }));
        }
        let error = Config::new(3840, 2160, rate(240, 1), Qp::DEFAULT).unwrap_err();
        assert!(error.to_string().contains("fewer or smaller"), "{error}");
        assert_eq!((Qp::new(9), Qp::new(45)), (None, None));
    }

    #[test]
    fn the_first_picture_alone_carries_parameter_sets() {
        let config = Config::new(64, 48, FrameRate::PAL, Qp::DEFAULT).unwrap();
        let mut encoder = Encoder::new(&config).unwrap();
        let kinds =
            |unit: &AccessUnit| nal::annex_b(&unit.annex_b).map(nal::nal_unit_type).collect::<Vec<_>>();
        let first = encoder.encode(&RgbImage::filled(64, 48, [200, 10, 10]).unwrap()).unwrap();
        assert!(first.idr);
        assert_eq!(kinds(&first), [9, 7, 8, 5]);
        // A cut to another picture does not tempt the encoder into an IDR picture of its own.
        for rgb in [[0, 0, 255], [255, 255, 255], [0, 0, 255]] {
            let next = encoder.encode(&RgbImage::filled(64, 48, rgb).unwrap()).unwrap();
            assert!(!next.idr);
            assert_eq!(kinds(&next), [9, 1]);
        }
        let wrong = encoder.encode(&RgbImage::filled(48, 64, [0; 3]).unwrap());
        assert_eq!(wrong, Err(Error::WrongSize { expected: (64, 48), found: (48, 64) }));
    }

    #[test]
    fn a_fresh_encoder_gives_the_same_bytes_whatever_ran_before() {
        let config = Config::new(80, 64, FrameRate::PAL, Qp::DEFAULT).unwrap();
        let frame = |i: u8| RgbImage::filled(80, 64, [i * 40, 255 - i * 40, 100]).unwrap();
        let encode = || {
            let mut encoder = Encoder::new(&config).unwrap();
            (0..5).map(|i| encoder.encode(&frame(i)).unwrap()).collect::<Vec<_>>()
        };
        let once = encode();
        let mut other = Encoder::new(&config).unwrap();
        other.encode(&frame(3)).unwrap();
        assert_eq!(encode(), once);
        // Control: another picture, other bytes.
        let mut encoder = Encoder::new(&config).unwrap();
        assert_ne!(encoder.encode(&frame(1)).unwrap(), once[0]);
    }
}
