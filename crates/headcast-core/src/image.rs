//! Pictures in memory.

use std::ops::RangeInclusive;

/// A picture of 8-bit sRGB pixels: `[height, width, 3]`, row-major, no padding, top row first.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

/// Why pixels and size do not fit together.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// Hand over exactly `width × height × 3` bytes.
    #[error("a {width}x{height} RGB picture has {expected} bytes, got {found}")]
    Length {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// `width × height × 3`.
        expected: usize,
        /// Bytes handed over.
        found: usize,
    },
    /// Use a picture of 1 to 8192 pixels a side.
    #[error("a picture of {width}x{height} pixels is outside 1 to {} a side", RgbImage::MAX_SIDE)]
    Size {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
}

impl RgbImage {
    /// Longest side that any part of headcast accepts, in pixels: bounds every allocation.
    pub const MAX_SIDE: u32 = 8192;
    /// Sides of a picture that can be shown as video, in pixels: those that the H.264 encoder takes.
    pub const VIDEO_SIDES: RangeInclusive<u32> = 16..=4096;
    /// Largest picture that can be shown as video, in macroblocks of 16×16 pixels: that of level 5.2
    /// (ITU-T H.264 table A-1), such as 4096×2304.
    pub const MAX_VIDEO_MACROBLOCKS: u32 = 36_864;

    /// Whether pictures of `width × height` pixels can be shown as video: both sides within
    /// [`Self::VIDEO_SIDES`] and at most [`Self::MAX_VIDEO_MACROBLOCKS`].
    pub fn fits_video(width: u32, height: u32) -> bool {
        let sides = [width, height].iter().all(|side| Self::VIDEO_SIDES.contains(side));
        sides && width.div_ceil(16) * height.div_ceil(16) <= Self::MAX_VIDEO_MACROBLOCKS
    }

    /// A picture of one colour.
    ///
    /// # Errors
    /// [`ImageError::Size`] when a side is 0 or above [`Self::MAX_SIDE`].
    pub fn filled(width: u32, height: u32, rgb: [u8; 3]) -> Result<Self, ImageError> {
        let bytes = Self::byte_len(width, height)?;
        let mut data = vec![0; bytes];
        data.as_chunks_mut::<3>().0.fill(rgb);
        Ok(Self { width, height, data })
    }

    /// Wraps `data`, `[height, width, 3]` row-major.
    ///
    /// # Errors
    /// [`ImageError::Length`] when `data` is not `width × height × 3` bytes, [`ImageError::Size`] as in
    /// [`Self::filled`].
    pub fn from_raw(width: u32, height: u32, data: Vec<u8>) -> Result<Self, ImageError> {
        let expected = Self::byte_len(width, height)?;
        if data.len() != expected {
            return Err(ImageError::Length { width, height, expected, found: data.len() });
        }
        Ok(Self { width, height, data })
    }

    fn byte_len(width: u32, height: u32) -> Result<usize, ImageError> {
        let side = 1..=Self::MAX_SIDE;
        if !side.contains(&width) || !side.contains(&height) {
            return Err(ImageError::Size { width, height });
        }
        Ok(width as usize * height as usize * 3)
    }

    /// Pixels per row.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Bytes, `[height, width, 3]`.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// Bytes for writing, `[height, width, 3]`.
    pub fn data_mut(&mut self) -> &mut [u8] {
        &mut self.data
    }

    /// Its bytes, `[height, width, 3]`, for another picture to be made in the same memory.
    pub fn into_raw(self) -> Vec<u8> {
        self.data
    }

    /// The pixel in column `x` of row `y`.
    ///
    /// # Panics
    /// If the position lies outside the picture.
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        assert!(x < self.width && y < self.height, "pixel ({x}, {y}) outside {}x{}", self.width, self.height);
        let i = (y as usize * self.width as usize + x as usize) * 3;
        [self.data[i], self.data[i + 1], self.data[i + 2]]
    }
}

impl std::fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "RgbImage({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_checked_before_anything_is_allocated() {
        assert_eq!(
            RgbImage::filled(u32::MAX, u32::MAX, [0; 3]),
            Err(ImageError::Size { width: u32::MAX, height: u32::MAX })
        );
        assert!(RgbImage::from_raw(2, 2, vec![0; 11]).is_err());
        assert_eq!(RgbImage::filled(3, 2, [1, 2, 3]).unwrap().pixel(2, 1), [1, 2, 3]);
    }

    #[test]
    fn video_has_a_smallest_and_a_largest_picture() {
        for (width, height) in [(16, 16), (17, 4096), (4096, 2304), (3072, 3072)] {
            assert!(RgbImage::fits_video(width, height), "{width}x{height}");
        }
        for (width, height) in [(15, 64), (64, 0), (4097, 16), (4096, 2305), (u32::MAX, u32::MAX)] {
            assert!(!RgbImage::fits_video(width, height), "{width}x{height}");
        }
    }
}
