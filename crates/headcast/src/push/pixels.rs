//! Pictures as others hold them: borrowed, in their own layout.

use headcast_core::RgbImage;
use headcast_media::color::Planes;

/// How the pixels of a picture lie in memory. The names are ffmpeg's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Red, green, blue; 8-bit sRGB.
    Rgb24,
    /// Blue, green, red; as `OpenCV` has it.
    Bgr24,
    /// Red, green, blue, alpha; alpha is ignored, nothing is blended.
    Rgba,
    /// Luma, then a quarter each of blue and red difference (a row or column more where a side is odd). Taken as
    /// BT.709, limited range, chroma sited in the centre of its four pixels, and encoded as it is.
    Yuv420p,
}

impl Format {
    /// Every format.
    pub const ALL: [Self; 4] = [Self::Rgb24, Self::Bgr24, Self::Rgba, Self::Yuv420p];

    /// As ffmpeg's `-pix_fmt` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rgb24 => "rgb24",
            Self::Bgr24 => "bgr24",
            Self::Rgba => "rgba",
            Self::Yuv420p => "yuv420p",
        }
    }

    /// The inverse of [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }

    /// Bytes of a picture without padding, as raw video has them; `None` when a side is 0 or above
    /// [`RgbImage::MAX_SIDE`].
    pub fn byte_len(self, width: u32, height: u32) -> Option<usize> {
        // Checks the sides for every format.
        let planes = Planes::byte_len(width, height)?;
        Some(match self {
            Self::Yuv420p => planes,
            packed => width as usize * height as usize * packed.channels(),
        })
    }

    fn channels(self) -> usize {
        match self {
            Self::Rgb24 | Self::Bgr24 => 3,
            Self::Rgba => 4,
            Self::Yuv420p => 1,
        }
    }
}

/// Why pixels and size do not fit together.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PixelsError {
    /// Use a picture of 1 to 8192 pixels a side.
    #[error("a picture of {width}x{height} pixels is outside 1 to {} a side", RgbImage::MAX_SIDE)]
    Size {
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// Hand over all rows: the last one may end with its last pixel.
    #[error("a {} picture of {width}x{height} has {expected} bytes, got {found}", format.name())]
    Length {
        /// Layout of the pixels.
        format: Format,
        /// Pixels per row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes of the picture, or of the plane that is short.
        expected: usize,
        /// Bytes handed over.
        found: usize,
    },
    /// Give the distance of two rows in bytes.
    #[error("rows of {row} bytes do not fit a stride of {stride}")]
    Stride {
        /// Bytes in a row.
        row: usize,
        /// What was given.
        stride: usize,
    },
    /// Use [`Pixels::packed`] for packed formats and [`Pixels::yuv420p`] for planes.
    #[error("{} is not a packed format", format.name())]
    NotPacked {
        /// What was given.
        format: Format,
    },
}

/// A borrowed picture.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Pixels<'a> {
    format: Format,
    width: u32,
    height: u32,
    planes: [Plane<'a>; 3],
}

/// Rows of one plane; none has no rows.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Plane<'a> {
    data: &'a [u8],
    rows: usize,
    row: usize,
    stride: usize,
}

impl<'a> Pixels<'a> {
    /// A picture without any padding, as raw video has it; the planes of [`Format::Yuv420p`] follow each other.
    ///
    /// # Errors
    /// [`PixelsError::Size`], and [`PixelsError::Length`] unless `data` is exactly [`Format::byte_len`] bytes.
    pub fn tight(format: Format, width: u32, height: u32, data: &'a [u8]) -> Result<Self, PixelsError> {
        let expected = format.byte_len(width, height).ok_or(PixelsError::Size { width, height })?;
        if data.len() != expected {
            return Err(PixelsError::Length { format, width, height, expected, found: data.len() });
        }
        if format != Format::Yuv420p {
            return Self::packed(format, width, height, data, width as usize * format.channels());
        }
        let (width_px, chroma) = (width as usize, width.div_ceil(2) as usize);
        let (y, rest) = data.split_at(width_px * height as usize);
        let (cb, cr) = rest.split_at(rest.len() / 2);
        Self::yuv420p(width, height, [y, cb, cr], [width_px, chroma, chroma])
    }

    /// A packed picture whose rows start `stride` bytes apart.
    ///
    /// # Errors
    /// [`PixelsError`]; `data` may be longer than the picture.
    pub fn packed(
        format: Format,
        width: u32,
        height: u32,
        data: &'a [u8],
        stride: usize,
    ) -> Result<Self, PixelsError> {
        if format == Format::Yuv420p {
            return Err(PixelsError::NotPacked { format });
        }
        format.byte_len(width, height).ok_or(PixelsError::Size { width, height })?;
        let mut pixels = Self { format, width, height, planes: [Plane::default(); 3] };
        let plane = Plane { data, rows: height as usize, row: width as usize * format.channels(), stride };
        pixels.planes[0] = pixels.checked(plane)?;
        Ok(pixels)
    }

    /// A picture in 4:2:0: luma, blue and red difference, each with the distance of its rows in bytes.
    ///
    /// # Errors
    /// As [`Self::packed`].
    pub fn yuv420p(
        width: u32,
        height: u32,
        planes: [&'a [u8]; 3],
        strides: [usize; 3],
    ) -> Result<Self, PixelsError> {
        let format = Format::Yuv420p;
        format.byte_len(width, height).ok_or(PixelsError::Size { width, height })?;
        let mut pixels = Self { format, width, height, planes: [Plane::default(); 3] };
        for (plane, (data, stride)) in planes.into_iter().zip(strides).enumerate() {
            let part = if plane == 0 { 1 } else { 2 };
            let (rows, row) = (height.div_ceil(part) as usize, width.div_ceil(part) as usize);
            pixels.planes[plane] = pixels.checked(Plane { data, rows, row, stride })?;
        }
        Ok(pixels)
    }

    fn checked(&self, plane: Plane<'a>) -> Result<Plane<'a>, PixelsError> {
        let Plane { data, rows, row, stride } = plane;
        if stride < row {
            return Err(PixelsError::Stride { row, stride });
        }
        // The sides are at most 8192, but a stride can be anything.
        let expected = stride.saturating_mul(rows - 1).saturating_add(row);
        if data.len() < expected {
            let Self { format, width, height, .. } = *self;
            return Err(PixelsError::Length { format, width, height, expected, found: data.len() });
        }
        Ok(plane)
    }

    /// Layout of the pixels.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// The picture in RGB: for a look at it, not for every frame.
    ///
    /// # Panics
    /// Never: every layout has as many pixels as its size says.
    pub fn to_rgb(&self) -> RgbImage {
        let mut bytes = Vec::new();
        self.copy_into(&mut bytes);
        let pixel: &dyn Fn(usize, usize) -> [u8; 3] = match self.format {
            Format::Rgb24 | Format::Bgr24 | Format::Rgba => &|x, y| {
                let at = (y * self.width as usize + x) * self.format.channels();
                let [a, b, c] = [bytes[at], bytes[at + 1], bytes[at + 2]];
                if self.format == Format::Bgr24 { [c, b, a] } else { [a, b, c] }
            },
            Format::Yuv420p => &|x, y| {
                let (width, height) = (self.width as usize, self.height as usize);
                let (chroma, luma) = (width.div_ceil(2), width * height);
                let at = luma + y / 2 * chroma + x / 2;
                yuv_to_rgb([bytes[y * width + x], bytes[at], bytes[at + chroma * height.div_ceil(2)]])
            },
        };
        let (width, height) = (self.width as usize, self.height as usize);
        let data = (0..height).flat_map(|y| (0..width).flat_map(move |x| pixel(x, y))).collect();
        RgbImage::from_raw(self.width, self.height, data).expect("as many pixels as the picture has")
    }

    /// Overwrites `out` with the picture, without padding. Allocates nothing where `out` was that large before.
    pub(super) fn copy_into(&self, out: &mut Vec<u8>) {
        out.clear();
        for Plane { data, rows, row, stride } in self.planes {
            if stride == row {
                out.extend_from_slice(&data[..rows * row]);
            } else {
                (0..rows).for_each(|y| out.extend_from_slice(&data[y * stride..][..row]));
            }
        }
    }
}

/// BT.709, limited range (Rec. ITU-R BT.709-6 §3).
fn yuv_to_rgb(yuv: [u8; 3]) -> [u8; 3] {
    let [y, cb, cr] = yuv.map(f32::from);
    let (y, cb, cr) =
        ((y - 16.0) * 255.0 / 219.0, (cb - 128.0) * 255.0 / 224.0, (cr - 128.0) * 255.0 / 224.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
    let byte = |value: f32| value.round().clamp(0.0, 255.0) as u8;
    [byte(y + 1.5748 * cr), byte(y - 0.187_324 * cb - 0.468_124 * cr), byte(y + 1.8556 * cb)]
}

impl<'a> From<&'a RgbImage> for Pixels<'a> {
    fn from(image: &'a RgbImage) -> Self {
        let (width, height) = (image.width(), image.height());
        Self::tight(Format::Rgb24, width, height, image.data()).expect("an RgbImage is such a picture")
    }
}

impl std::fmt::Debug for Pixels<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pixels({} {}x{})", self.format.name(), self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_left_behind() {
        let mut out = vec![9; 3];
        let data: Vec<u8> = (0..17).collect();
        // Two rows of two pixels, eleven bytes apart, the last one without its padding.
        let pixels = Pixels::packed(Format::Bgr24, 2, 2, &data, 11).unwrap();
        pixels.copy_into(&mut out);
        assert_eq!(out, [0, 1, 2, 3, 4, 5, 11, 12, 13, 14, 15, 16]);
        let planes = [&data[..8], &data[8..11], &data[11..]];
        let pixels = Pixels::yuv420p(3, 2, planes, [5, 3, 2]).unwrap();
        pixels.copy_into(&mut out);
        assert_eq!(out, [0, 1, 2, 5, 6, 7, 8, 9, 11, 12]);
        assert_eq!(Format::Yuv420p.byte_len(3, 2), Some(10));
        let tight = out.clone();
        Pixels::tight(Format::Yuv420p, 3, 2, &tight).unwrap().copy_into(&mut out);
        assert_eq!(out, tight);
    }

    #[test]
    fn every_layout_can_be_looked_at() {
        let colours = [[255u8, 0, 0], [0, 255, 0], [0, 0, 255], [20, 128, 200]];
        for rgb in colours {
            let image = RgbImage::filled(6, 4, rgb).unwrap();
            let [r, g, b] = rgb;
            let mut planes = headcast_media::color::Picture::new(6, 4);
            planes.fill_from(&image);
            let (y, cb, cr) = (planes.y()[0], planes.cb()[0], planes.cr()[0]);
            for (format, data) in [
                (Format::Rgb24, [r, g, b].repeat(24)),
                (Format::Bgr24, [b, g, r].repeat(24)),
                (Format::Rgba, [r, g, b, 9].repeat(24)),
                (Format::Yuv420p, [vec![y; 24], vec![cb; 6], vec![cr; 6]].concat()),
            ] {
                let seen = Pixels::tight(format, 6, 4, &data).unwrap().to_rgb();
                let worst = seen.data().iter().zip(image.data()).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
                assert!(
                    worst <= if format == Format::Yuv420p { 2 } else { 0 },
                    "{} {rgb:?}: {worst}",
                    format.name()
                );
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_numbers() {
        let data = [0; 64];
        let refused = |result: Result<Pixels<'_>, PixelsError>| result.unwrap_err().to_string();
        let tight = |format, width, height| refused(Pixels::tight(format, width, height, &data));
        assert_eq!(tight(Format::Rgba, 4, 3), "a rgba picture of 4x3 has 48 bytes, got 64");
        assert_eq!(tight(Format::Rgb24, 0, 3), "a picture of 0x3 pixels is outside 1 to 8192 a side");
        assert_eq!(
            tight(Format::Yuv420p, u32::MAX, u32::MAX),
            "a picture of 4294967295x4294967295 pixels is outside 1 to 8192 a side"
        );
        let packed = |stride| Pixels::packed(Format::Rgb24, 4, 6, &data, stride);
        assert_eq!(refused(packed(12)), "a rgb24 picture of 4x6 has 72 bytes, got 64");
        assert_eq!(refused(packed(11)), "rows of 12 bytes do not fit a stride of 11");
        assert!(refused(packed(usize::MAX)).contains("got 64"));
        assert!(matches!(
            Pixels::packed(Format::Yuv420p, 4, 4, &data, 4),
            Err(PixelsError::NotPacked { .. })
        ));
        assert_eq!(
            refused(Pixels::yuv420p(8, 8, [&data, &data, &data[..15]], [8, 4, 4])),
            "a yuv420p picture of 8x8 has 16 bytes, got 15"
        );
        assert!(Format::ALL.iter().all(|&format| Format::from_name(format.name()) == Some(format)));
        assert_eq!(Format::from_name("RGB24"), None);
    }
}
