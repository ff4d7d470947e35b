//! What frames are announced.

use std::fmt;
use std::str::FromStr;

use headcast::core::{FrameRate, RgbImage};
use headcast::push::Format;

/// Frames of a job that come from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pushed {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Frames per second.
    pub frame_rate: FrameRate,
    /// Layout of the pixels.
    pub format: Format,
    /// How many there are.
    pub count: Count,
}

/// How many frames there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Count {
    /// As many as the sound is long.
    Sound,
    /// So many, without sound.
    Known(u64),
    /// As many as come, without sound.
    Open,
}

impl Pushed {
    /// Bytes of a frame.
    ///
    /// # Panics
    /// If the size was not checked before.
    pub fn frame_bytes(&self) -> usize {
        assert!(RgbImage::fits_video(self.width, self.height), "sizes are checked when a job is made");
        self.format.byte_len(self.width, self.height).expect("checked above")
    }
}

/// Not a description of frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a description of frames")]
pub struct NotPushed;

/// `512x512 25/1 rgb24 750`, as the table has it; `-` where the sound says how many, `open` where nobody does.
impl fmt::Display for Pushed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { width, height, frame_rate, format, count } = self;
        write!(f, "{width}x{height} {}/{} {} ", frame_rate.num(), frame_rate.den(), format.name())?;
        match count {
            Count::Sound => f.write_str("-"),
            Count::Known(frames) => frames.fmt(f),
            Count::Open => f.write_str("open"),
        }
    }
}

impl FromStr for Pushed {
    type Err = NotPushed;

    fn from_str(text: &str) -> Result<Self, NotPushed> {
        let parse = || {
            let mut words = text.split(' ');
            let (width, height) = words.next()?.split_once('x')?;
            let (num, den) = words.next()?.split_once('/')?;
            let format = Format::from_name(words.next()?)?;
            let count = match words.next()? {
                "-" => Count::Sound,
                "open" => Count::Open,
                frames => Count::Known(frames.parse().ok()?),
            };
            let (width, height) = (width.parse().ok()?, height.parse().ok()?);
            let frame_rate = FrameRate::new(num.parse().ok()?, den.parse().ok()?)?;
            let fits = words.next().is_none() && RgbImage::fits_video(width, height);
            fits.then_some(Self { width, height, frame_rate, format, count })
        };
        parse().ok_or(NotPushed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_back() {
        for count in [Count::Sound, Count::Known(750), Count::Open] {
            let frame_rate = FrameRate::new(30_000, 1001).unwrap();
            let pushed = Pushed { width: 640, height: 360, frame_rate, format: Format::Yuv420p, count };
            assert_eq!(pushed.to_string().parse(), Ok(pushed));
            assert_eq!(pushed.frame_bytes(), 640 * 360 * 3 / 2);
        }
        for wrong in [
            "",
            "640x360",
            "640x360 25/1 gray -",
            "8x8 25/1 rgb24 -",
            "64x48 25/0 rgb24 -",
            "64x48 25/1 rgb24 - x",
            "64x48 25/1 rgb24 ajar",
        ] {
            assert_eq!(wrong.parse::<Pushed>(), Err(NotPushed), "{wrong}");
        }
    }
}
