//! A picture on its way to the encoder, in memory that is used again.

use headcast_core::RgbImage;
use headcast_media::color::Planes;
use headcast_media::segment::{Error, SegmentEncoder};

use super::pixels::{Format, Pixels};

/// Pixels without padding, of the stream's size.
#[derive(Debug)]
pub(super) struct Frame {
    format: Format,
    bytes: Vec<u8>,
}

impl Frame {
    pub(super) fn new() -> Self {
        Self { format: Format::Rgb24, bytes: Vec::new() }
    }

    /// A picture in the encoder's colours, of the stream's size.
    pub(super) fn of_planes(bytes: Vec<u8>) -> Self {
        Self { format: Format::Yuv420p, bytes }
    }

    pub(super) fn fill_from(&mut self, pixels: &Pixels<'_>) {
        self.format = pixels.format();
        pixels.copy_into(&mut self.bytes);
    }

    /// Hands the picture to `encoder`. The frame holds the same picture afterwards, perhaps in another format.
    pub(super) fn encode(&mut self, size: (u32, u32), encoder: &mut SegmentEncoder) -> Result<(), Error> {
        let (width, height) = size;
        match self.format {
            Format::Rgb24 => {}
            Format::Bgr24 => self.bytes.as_chunks_mut::<3>().0.iter_mut().for_each(|pixel| pixel.swap(0, 2)),
            Format::Rgba => drop_alpha(&mut self.bytes),
            Format::Yuv420p => {
                let planes = Planes::split(width, height, &self.bytes).expect(SIZE);
                return encoder.push_planes(&planes);
            }
        }
        self.format = Format::Rgb24;
        let image = RgbImage::from_raw(width, height, std::mem::take(&mut self.bytes)).expect(SIZE);
        let pushed = encoder.push(&image);
        self.bytes = image.into_raw();
        pushed
    }
}

/// RGBA to RGB in place.
fn drop_alpha(bytes: &mut Vec<u8>) {
    let pixels = bytes.len() / 4;
    for pixel in 1..pixels {
        bytes.copy_within(4 * pixel..4 * pixel + 3, 3 * pixel);
    }
    bytes.truncate(3 * pixels);
}

const SIZE: &str = "the stream takes pictures of its own size only";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alpha_is_dropped_in_place() {
        let mut bytes: Vec<u8> = (0..12).collect();
        drop_alpha(&mut bytes);
        assert_eq!(bytes, [0, 1, 2, 4, 5, 6, 8, 9, 10]);
        bytes.clear();
        drop_alpha(&mut bytes);
        assert!(bytes.is_empty());
    }
}
