//! RGB to Y′CbCr 4:2:0, BT.709, limited range, rounded exactly.
//!
//! Luma is 16 to 235, chroma 16 to 240 (Rec. ITU-R BT.709-6 §3). Every value is the nearest integer to the
//! real one, so the error before rounding is never above 0.5 and a grey stays grey. Chroma is the mean of
//! the 2×2 pixels it stands for, sited in their centre (`chroma_sample_loc_type` 1), which the parameter sets
//! say.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod kernel;

use headcast_core::RgbImage;

/// A picture in 4:2:0 that somebody else made: BT.709, limited range, no padding.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Planes<'a> {
    width: u32,
    height: u32,
    y: &'a [u8],
    cb: &'a [u8],
    cr: &'a [u8],
}

impl<'a> Planes<'a> {
    /// Splits `data`: `[height, width]` luma, then `[ceil(height / 2), ceil(width / 2)]` each of blue and red
    /// difference, as ffmpeg's raw `yuv420p` has it. `None` unless it has exactly [`Self::byte_len`] bytes.
    pub fn split(width: u32, height: u32, data: &'a [u8]) -> Option<Self> {
        let (luma, chroma) = Self::plane_lens(width, height)?;
        (data.len() == luma + 2 * chroma).then(|| {
            let (y, rest) = data.split_at(luma);
            let (cb, cr) = rest.split_at(chroma);
            Self { width, height, y, cb, cr }
        })
    }

    /// Bytes of such a picture; `None` when a side is 0 or above [`RgbImage::MAX_SIDE`].
    pub fn byte_len(width: u32, height: u32) -> Option<usize> {
        Self::plane_lens(width, height).map(|(luma, chroma)| luma + 2 * chroma)
    }

    fn plane_lens(width: u32, height: u32) -> Option<(usize, usize)> {
        let side = 1..=RgbImage::MAX_SIDE;
        let fits = side.contains(&width) && side.contains(&height);
        let area = |width: u32, height: u32| width as usize * height as usize;
        fits.then(|| (area(width, height), area(width.div_ceil(2), height.div_ceil(2))))
    }

    /// Width and height, pixels.
    pub fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }
}

impl std::fmt::Debug for Planes<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Planes({}x{})", self.width, self.height)
    }
}

/// Planes of one picture, sized in whole macroblocks.
///
/// `y`: `[coded_height, coded_width]`, `cb` and `cr`: half of that each way; row-major, no padding. Right of
/// and below the picture its last column and row repeat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    width: u32,
    height: u32,
    coded_width: usize,
    coded_height: usize,
    y: Vec<u8>,
    cb: Vec<u8>,
    cr: Vec<u8>,
    /// Two rows of RGB, `[2, coded_width, 3]`, for widths that are no whole number of macroblocks.
    rows: Vec<u8>,
}

impl Picture {
    /// A black picture of `width × height` pixels.
    ///
    /// # Panics
    /// If a side is 0 or above [`RgbImage::MAX_SIDE`].
    pub fn new(width: u32, height: u32) -> Self {
        let side = 1..=RgbImage::MAX_SIDE;
        assert!(side.contains(&width) && side.contains(&height), "picture of {width}x{height}");
        let coded_width = width.next_multiple_of(16) as usize;
        let coded_height = height.next_multiple_of(16) as usize;
        let luma = coded_width * coded_height;
        Self {
            width,
            height,
            coded_width,
            coded_height,
            y: vec![16; luma],
            cb: vec![128; luma / 4],
            cr: vec![128; luma / 4],
            rows: vec![0; 2 * 3 * coded_width],
        }
    }

    /// Overwrites the picture with `image`.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn fill_from(&mut self, image: &RgbImage) {
        self.fill_with(image, kernel::Level::detect());
    }

    fn fill_with(&mut self, image: &RgbImage, level: kernel::Level) {
        assert_eq!((image.width(), image.height()), (self.width, self.height), "picture size");
        let width = self.width as usize;
        let last = self.height as usize - 1;
        let (top, bottom) = self.rows.split_at_mut(3 * self.coded_width);
        let row = |y: usize| {
            let y = y.min(last);
            &image.data()[3 * width * y..3 * width * (y + 1)]
        };
        let pairs = self.y.chunks_exact_mut(2 * self.coded_width);
        let chroma = self.coded_width / 2;
        let chroma = self.cb.chunks_exact_mut(chroma).zip(self.cr.chunks_exact_mut(chroma));
        for (pair, (y, (cb, cr))) in pairs.zip(chroma).enumerate() {
            let (mut above, mut below) = (row(2 * pair), row(2 * pair + 1));
            if width < self.coded_width {
                repeat_last_pixel(above, top);
                repeat_last_pixel(below, bottom);
                (above, below) = (&*top, &*bottom);
            }
            let (y_above, y_below) = y.split_at_mut(self.coded_width);
            level.convert(above, below, y_above, y_below, cb, cr);
        }
    }

    /// Overwrites the picture with samples that are Y′CbCr already: copied, not computed.
    ///
    /// # Panics
    /// If the sizes differ.
    pub fn fill_from_planes(&mut self, planes: &Planes<'_>) {
        assert_eq!((planes.width, planes.height), (self.width, self.height), "picture size");
        let (coded, luma) = (self.coded_width, self.width as usize);
        let (coded_chroma, chroma) = (coded / 2, luma.div_ceil(2));
        repeat_edges(planes.y, luma, &mut self.y, coded);
        repeat_edges(planes.cb, chroma, &mut self.cb, coded_chroma);
        repeat_edges(planes.cr, chroma, &mut self.cr, coded_chroma);
    }

    /// Pixels per row, without the padding.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Rows, without the padding.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// Luma samples per row, a multiple of 16.
    pub fn coded_width(&self) -> usize {
        self.coded_width
    }

    /// Luma rows, a multiple of 16.
    pub fn coded_height(&self) -> usize {
        self.coded_height
    }

    /// Luma, `[coded_height, coded_width]`.
    pub fn y(&self) -> &[u8] {
        &self.y
    }

    /// Blue difference, `[coded_height / 2, coded_width / 2]`.
    pub fn cb(&self) -> &[u8] {
        &self.cb
    }

    /// Red difference, `[coded_height / 2, coded_width / 2]`.
    pub fn cr(&self) -> &[u8] {
        &self.cr
    }
}

/// Copies rows of `width` samples into rows of `coded`; right of them and below their last column and row repeat.
fn repeat_edges(plane: &[u8], width: usize, out: &mut [u8], coded: usize) {
    let rows = plane.len() / width;
    for (y, out) in out.chunks_exact_mut(coded).enumerate() {
        let row = &plane[width * y.min(rows - 1)..][..width];
        out[..width].copy_from_slice(row);
        out[width..].fill(row[width - 1]);
    }
}

fn repeat_last_pixel(row: &[u8], out: &mut [u8]) {
    let (pixels, rest) = out.split_at_mut(row.len());
    pixels.copy_from_slice(row);
    let last = [row[row.len() - 3], row[row.len() - 2], row[row.len() - 1]];
    rest.as_chunks_mut::<3>().0.fill(last);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// BT.709 limited range in f64, straight from the recommendation.
    fn reference(rgb: [f64; 3]) -> [f64; 3] {
        let [r, g, b] = rgb;
        let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
        [
            16.0 + 219.0 / 255.0 * y,
            128.0 + 224.0 / 255.0 * (b - y) / 1.8556,
            128.0 + 224.0 / 255.0 * (r - y) / 1.5748,
        ]
    }

    /// Multiplicative congruential generator: the same pictures on every machine.
    fn noise(seed: u64) -> impl FnMut() -> u8 {
        let mut state = seed;
        move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        }
    }

    fn noisy(width: u32, height: u32) -> RgbImage {
        let mut next = noise(u64::from(width * 31 + height));
        let bytes = (width * height * 3) as usize;
        RgbImage::from_raw(width, height, (0..bytes).map(|_| next()).collect()).unwrap()
    }

    /// Largest distance from the real values, over the pixels of the picture and its padding.
    fn worst_error(picture: &Picture, image: &RgbImage) -> f64 {
        let pixel = |x: usize, y: usize| {
            let (x, y) = (u32::try_from(x).unwrap(), u32::try_from(y).unwrap());
            image.pixel(x.min(image.width() - 1), y.min(image.height() - 1)).map(f64::from)
        };
        let mut worst = 0f64;
        for y in 0..picture.coded_height {
            for x in 0..picture.coded_width {
                let found = f64::from(picture.y[y * picture.coded_width + x]);
                worst = worst.max((found - reference(pixel(x, y))[0]).abs());
            }
        }
        for y in 0..picture.coded_height / 2 {
            for x in 0..picture.coded_width / 2 {
                let mut mean = [0.0; 3];
                for (dx, dy) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                    let p = pixel(2 * x + dx, 2 * y + dy);
                    (0..3).for_each(|c| mean[c] += p[c] / 4.0);
                }
                let at = y * picture.coded_width / 2 + x;
                let [_, cb, cr] = reference(mean);
                worst = worst.max((f64::from(picture.cb[at]) - cb).abs());
                worst = worst.max((f64::from(picture.cr[at]) - cr).abs());
            }
        }
        worst
    }

    #[test]
    fn rounds_to_the_nearest_value_at_every_level_and_size() {
        for (width, height) in [(1, 1), (16, 16), (17, 3), (451, 333), (64, 64)] {
            let image = noisy(width, height);
            let mut planes = Vec::new();
            for level in kernel::Level::all() {
                let mut picture = Picture::new(width, height);
                picture.fill_with(&image, level);
                let worst = worst_error(&picture, &image);
                assert!(worst <= 0.5 + 1e-9, "{width}x{height} at {level:?}: off by {worst}");
                // Control: one wrong sample is seen.
                picture.y[0] ^= 1;
                assert!(worst_error(&picture, &image) > 0.5);
                picture.y[0] ^= 1;
                planes.push(picture);
            }
            assert!(planes.iter().all(|p| *p == planes[0]), "levels differ at {width}x{height}");
        }
    }

    /// All 2^24 colours, each as a 2×2 block: the tightest rounding there is.
    #[test]
    fn every_colour_is_rounded_exactly() {
        let mut picture = Picture::new(512, 512);
        for high in 0..256u32 {
            let mut data = Vec::with_capacity(512 * 512 * 3);
            for y in 0..512u32 {
                for x in 0..512u32 {
                    let low = (y / 2) * 256 + x / 2;
                    data.extend_from_slice(&[
                        high.to_le_bytes()[0],
                        low.to_le_bytes()[1],
                        low.to_le_bytes()[0],
                    ]);
                }
            }
            let image = RgbImage::from_raw(512, 512, data).unwrap();
            picture.fill_with(&image, kernel::Level::Baseline);
            let baseline = picture.clone();
            picture.fill_from(&image);
            assert!(picture == baseline, "levels differ at red {high}");
            for low in 0..65_536usize {
                let (x, y) = (low % 256, low / 256);
                let at = 3 * (2 * y * 512 + 2 * x);
                let rgb = [0, 1, 2].map(|c| f64::from(image.data()[at + c]));
                let [luma, cb, cr] = reference(rgb);
                let found =
                    [picture.y[2 * y * 512 + 2 * x], picture.cb[y * 256 + x], picture.cr[y * 256 + x]];
                for (found, real) in found.into_iter().zip([luma, cb, cr]) {
                    assert!((f64::from(found) - real).abs() <= 0.5 + 1e-9, "{rgb:?}: {found} for {real}");
                }
            }
        }
    }

    #[test]
    fn greys_have_no_colour_and_the_range_is_limited() {
        for (grey, luma) in [(0, 16), (128, 126), (255, 235)] {
            let mut picture = Picture::new(16, 16);
            picture.fill_from(&RgbImage::filled(16, 16, [grey; 3]).unwrap());
            assert!(picture.y.iter().all(|&y| y == luma));
            assert!(picture.cb.iter().chain(&picture.cr).all(|&c| c == 128));
        }
    }

    #[test]
    fn planes_are_copied_and_their_edges_repeat() {
        // 17 × 3: 17 + 15 columns, 3 + 13 rows; chroma 9 × 2.
        let data: Vec<u8> = (0..17 * 3 + 2 * 9 * 2).collect();
        let planes = Planes::split(17, 3, &data).unwrap();
        assert_eq!(Planes::byte_len(17, 3), Some(data.len()));
        assert_eq!(Planes::split(17, 3, &data[1..]), None);
        assert_eq!(Planes::byte_len(0, 3), None);
        let mut picture = Picture::new(17, 3);
        picture.fill_from_planes(&planes);
        let y = |x: usize, y: usize| picture.y()[32 * y + x];
        assert_eq!([y(0, 0), y(16, 0), y(31, 0), y(0, 2), y(0, 15), y(31, 15)], [0, 16, 16, 34, 34, 50]);
        let (cb, cr) =
            (|x: usize, y: usize| picture.cb()[16 * y + x], |x: usize, y: usize| picture.cr()[16 * y + x]);
        assert_eq!([cb(0, 0), cb(8, 0), cb(15, 0), cb(0, 7)], [51, 59, 59, 60]);
        assert_eq!([cr(0, 0), cr(15, 7)], [69, 86]);
    }

    /// RGB that is converted here, or was converted before: the same picture. Odd sides, so that the padding stands for
    /// one column and row of pixels either way.
    #[test]
    fn planes_and_rgb_meet() {
        let rgb: Vec<u8> = (0..33 * 17 * 3u32).map(|i| (i * 31 % 251).to_le_bytes()[0]).collect();
        let image = RgbImage::from_raw(33, 17, rgb).unwrap();
        let mut converted = Picture::new(33, 17);
        converted.fill_from(&image);
        let (width, chroma) = (converted.coded_width(), converted.coded_width() / 2);
        let mut data: Vec<u8> =
            converted.y().chunks(width).take(17).flat_map(|row| &row[..33]).copied().collect();
        for plane in [converted.cb(), converted.cr()] {
            data.extend(plane.chunks(chroma).take(9).flat_map(|row| &row[..17]));
        }
        let mut copied = Picture::new(33, 17);
        copied.fill_from_planes(&Planes::split(33, 17, &data).unwrap());
        assert!(
            copied.y() == converted.y() && copied.cb() == converted.cb() && copied.cr() == converted.cr()
        );
        // Control: one sample differs.
        data[5] ^= 1;
        copied.fill_from_planes(&Planes::split(33, 17, &data).unwrap());
        assert!(copied.y() != converted.y());
    }
}
