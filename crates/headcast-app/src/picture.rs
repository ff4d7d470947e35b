//! Pictures for people: written as PNG, and made small.

use std::io;

use headcast::core::RgbImage;

/// A PNG file of `image`. Quickly rather than small: writing a frame must not be slower than rendering it.
///
/// # Errors
/// When it cannot be encoded.
pub(crate) fn png(image: &RgbImage) -> io::Result<Vec<u8>> {
    let mut file = Vec::new();
    let mut encoder = png::Encoder::new(&mut file, image.width(), image.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(image.data())?;
    writer.finish()?;
    Ok(file)
}

/// `image` with no side longer than `side` pixels: means of square blocks, of which those at the right and lower edge are
/// left out where they are not whole.
#[expect(clippy::cast_possible_truncation, reason = "a mean of bytes is a byte")]
pub(crate) fn reduced(image: &RgbImage, side: u32) -> RgbImage {
    let block = image.width().max(image.height()).div_ceil(side.max(1)).max(1);
    let (width, height) = (image.width() / block, image.height() / block);
    // One that is too thin for its length stays as it is.
    let Ok(mut small) = RgbImage::filled(width, height, [0; 3]) else { return image.clone() };
    let [stride, block] = [image.width() as usize * 3, block as usize];
    let area = (block * block) as u32;
    for (at, value) in small.data_mut().iter_mut().enumerate() {
        let [row, column, channel] = [at / 3 / width as usize, at / 3 % width as usize, at % 3];
        let first = row * block * stride + column * block * 3 + channel;
        let rows = (0..block).map(|y| first + y * stride);
        let sum: u32 = rows
            .flat_map(|at| (0..block).map(move |x| at + 3 * x))
            .map(|at| u32::from(image.data()[at]))
            .sum();
        *value = ((sum + area / 2) / area) as u8;
    }
    small
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_picture_is_the_mean_of_blocks() {
        let data: Vec<u8> = (0..5 * 4u8).flat_map(|at| [at, 100, 255 - at]).collect();
        let image = RgbImage::from_raw(5, 4, data).unwrap();
        let small = reduced(&image, 3);
        assert_eq!((small.width(), small.height()), (2, 2));
        // Pixels 0, 1, 5 and 6; then 12, 13, 17 and 18.
        assert_eq!(small.pixel(0, 0), [3, 100, 252]);
        assert_eq!(small.pixel(1, 1), [15, 100, 240]);
        assert_eq!(reduced(&image, 5).data(), image.data());
    }
}
