//! Decoding and resizing of the few pictures an avatar has.

use std::io::Cursor;

use headcast_core::RgbImage;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::error::AvatarError;

/// Pixels with straight alpha, `[height, width, 4]`.
#[derive(Debug)]
pub(super) struct Rgba {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) data: Vec<u8>,
}

/// Decodes a PNG or JPEG, told by its first bytes. Alpha is dropped, as `OpenCV`'s default reader does.
pub(crate) fn decode(file: &str, bytes: &[u8]) -> Result<RgbImage, AvatarError> {
    decode_as_taken(file, bytes).map(|(image, _)| image)
}

/// As [`decode`], and the Exif data of a photograph: a TIFF file.
pub(crate) fn decode_as_taken(file: &str, bytes: &[u8]) -> Result<(RgbImage, Option<Vec<u8>>), AvatarError> {
    if bytes.starts_with(&[0xff, 0xd8]) {
        return decode_jpeg(file, bytes);
    }
    let rgba = decode_png(file, bytes)?;
    let rgb = rgba.data.as_chunks::<4>().0.iter().flat_map(|[r, g, b, _]| [*r, *g, *b]).collect();
    RgbImage::from_raw(rgba.width, rgba.height, rgb)
        .map(|image| (image, None))
        .map_err(|source| AvatarError::PictureSize { file: file.to_owned(), source })
}

fn decode_jpeg(file: &str, bytes: &[u8]) -> Result<(RgbImage, Option<Vec<u8>>), AvatarError> {
    let error = |what: String| AvatarError::Picture { file: file.to_owned(), what };
    let side = RgbImage::MAX_SIDE as usize;
    let options = DecoderOptions::default()
        .set_max_width(side)
        .set_max_height(side)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = zune_jpeg::JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    let data = decoder.decode().map_err(|e| error(format!("the JPEG cannot be decoded: {e}")))?;
    let info = decoder.info().ok_or_else(|| error("the JPEG has no size".to_owned()))?;
    let exif = decoder.exif().cloned();
    RgbImage::from_raw(info.width.into(), info.height.into(), data)
        .map(|image| (image, exif))
        .map_err(|source| AvatarError::PictureSize { file: file.to_owned(), source })
}

/// Width and height of a PNG or JPEG, from its header.
pub(crate) fn size(file: &str, bytes: &[u8]) -> Result<(u32, u32), AvatarError> {
    let error = |what: String| AvatarError::Picture { file: file.to_owned(), what };
    if bytes.starts_with(&[0xff, 0xd8]) {
        let mut decoder = zune_jpeg::JpegDecoder::new(ZCursor::new(bytes));
        decoder.decode_headers().map_err(|e| error(format!("the JPEG cannot be decoded: {e}")))?;
        let info = decoder.info().ok_or_else(|| error("the JPEG has no size".to_owned()))?;
        return Ok((info.width.into(), info.height.into()));
    }
    if !bytes.starts_with(b"\x89PNG") {
        return Err(error("it is neither a PNG nor a JPEG picture".to_owned()));
    }
    let reader = png::Decoder::new(Cursor::new(bytes)).read_info();
    let reader = reader.map_err(|e| error(format!("the PNG cannot be decoded: {e}")))?;
    Ok(reader.info().size())
}

/// Decodes a PNG of any kind to 8-bit RGBA; opaque where it has no alpha.
pub(super) fn decode_png(file: &str, bytes: &[u8]) -> Result<Rgba, AvatarError> {
    let error = |what: String| AvatarError::Picture { file: file.to_owned(), what };
    if !bytes.starts_with(b"\x89PNG") {
        return Err(error("it is neither a PNG nor a JPEG picture".to_owned()));
    }
    let png_error = |e: png::DecodingError| error(format!("the PNG cannot be decoded: {e}"));
    let mut decoder = png::Decoder::new(Cursor::new(bytes));
    decoder.set_transformations(png::Transformations::normalize_to_color8() | png::Transformations::ALPHA);
    let mut reader = decoder.read_info().map_err(png_error)?;
    let (width, height) = reader.info().size();
    let side = 1..=RgbImage::MAX_SIDE;
    if !side.contains(&width) || !side.contains(&height) {
        return Err(error(format!(
            "a picture of {width}x{height} pixels is outside 1 to {} a side",
            RgbImage::MAX_SIDE
        )));
    }
    // At most 8192 × 8192 × 4 bytes, by the check above.
    let len = reader.output_buffer_size().ok_or_else(|| error("the PNG is too large".to_owned()))?;
    let mut data = vec![0; len];
    let frame = reader.next_frame(&mut data).map_err(png_error)?;
    data.truncate(frame.buffer_size());
    let data = match frame.color_type {
        png::ColorType::Rgba => data,
        png::ColorType::GrayscaleAlpha => {
            data.as_chunks::<2>().0.iter().flat_map(|[v, a]| [*v, *v, *v, *a]).collect()
        }
        png::ColorType::Rgb => {
            data.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect()
        }
        png::ColorType::Grayscale => data.iter().flat_map(|v| [*v, *v, *v, 255]).collect(),
        png::ColorType::Indexed => return Err(error("the PNG's palette cannot be expanded".to_owned())),
    };
    if data.len() != width as usize * height as usize * 4 {
        return Err(error("the PNG holds fewer pixels than it declares".to_owned()));
    }
    Ok(Rgba { width, height, data })
}

/// Encodes an 8-bit RGB PNG.
pub(crate) fn encode_png(file: &str, image: &RgbImage) -> Result<Vec<u8>, AvatarError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, image.width(), image.height());
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| writer.write_image_data(image.data()))
        .map_err(|e| AvatarError::Picture { file: file.to_owned(), what: e.to_string() })?;
    Ok(out)
}

/// `over` (straight alpha) on `under`: `c a + b (1 - a)`, rounded.
///
/// # Panics
/// If the sizes differ.
pub(super) fn composite(over: &Rgba, under: &RgbImage) -> RgbImage {
    assert_eq!((over.width, over.height), (under.width(), under.height()), "sizes are checked by the caller");
    let mut out = under.clone();
    let pixels = out.data_mut().as_chunks_mut::<3>().0.iter_mut();
    for (pixel, [r, g, b, a]) in pixels.zip(over.data.as_chunks::<4>().0) {
        let a = u32::from(*a);
        for (below, above) in pixel.iter_mut().zip([r, g, b]) {
            let sum = u32::from(*above) * a + u32::from(*below) * (255 - a);
            #[expect(clippy::cast_possible_truncation, reason = "a mean of two bytes, at most 255")]
            {
                *below = ((sum + 127) / 255) as u8;
            }
        }
    }
    out
}

/// Resizes by area: shrinking averages what each new pixel covers, enlarging interpolates linearly.
pub(crate) fn resize(
    image: &RgbImage,
    width: u32,
    height: u32,
) -> Result<RgbImage, headcast_core::ImageError> {
    let mut out = RgbImage::filled(width, height, [0; 3])?;
    let columns = taps(image.width(), width);
    let rows = taps(image.height(), height);
    let stride = image.width() as usize * 3;
    // Rows first: a row of sums of the source's width, then its columns.
    let mut line = vec![0f32; stride];
    for (pixels, row) in out.data_mut().chunks_exact_mut(width as usize * 3).zip(&rows) {
        line.fill(0.0);
        for (y, weight) in row {
            for (sum, value) in line.iter_mut().zip(&image.data()[y * stride..(y + 1) * stride]) {
                *sum += weight * f32::from(*value);
            }
        }
        for (pixel, column) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(&columns) {
            for (k, value) in pixel.iter_mut().enumerate() {
                let sum: f32 = column.iter().map(|(x, weight)| weight * line[x * 3 + k]).sum();
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a weighted mean of bytes, clamped"
                )]
                {
                    *value = sum.round().clamp(0.0, 255.0) as u8;
                }
            }
        }
    }
    Ok(out)
}

/// For each of `to` pixels, the source pixels it is made of and their weights, which sum to 1.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "positions inside a picture of at most 8192 pixels"
)]
fn taps(from: u32, to: u32) -> Vec<Vec<(usize, f32)>> {
    let scale = f64::from(from) / f64::from(to);
    let last = from as usize - 1;
    (0..to)
        .map(|i| {
            if scale >= 1.0 {
                let (low, high) = (f64::from(i) * scale, (f64::from(i) + 1.0) * scale);
                let covered = |x: usize| high.min(x as f64 + 1.0) - low.max(x as f64);
                let touched = low as usize..=((high - 1e-9) as usize).min(last);
                touched.map(|x| (x, (covered(x) / scale) as f32)).collect()
            } else {
                let centre = ((f64::from(i) + 0.5) * scale - 0.5).clamp(0.0, last as f64);
                let x = centre as usize;
                let f = (centre - x as f64) as f32;
                vec![(x, 1.0 - f), ((x + 1).min(last), f)]
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(width: u32, height: u32) -> RgbImage {
        let data = (0..width * height * 3).map(|i| (i * 7 % 251) as u8).collect();
        RgbImage::from_raw(width, height, data).unwrap()
    }

    #[test]
    fn png_survives_the_round_trip_and_damage_is_reported() {
        let image = picture(5, 3);
        let bytes = encode_png("x.png", &image).unwrap();
        assert_eq!(decode("x.png", &bytes).unwrap(), image);
        let error = decode("x.png", &bytes[..bytes.len() - 20]).unwrap_err().to_string();
        assert!(error.starts_with("x.png: the PNG"), "{error}");
        assert!(decode("x.png", b"GIF89a").unwrap_err().to_string().contains("neither a PNG nor a JPEG"));
        assert!(decode("x.jpg", &[0xff, 0xd8, 0xff, 0xe0, 0, 4]).is_err());
    }

    #[test]
    fn a_png_that_declares_a_huge_size_is_refused_from_its_header() {
        let mut bytes = encode_png("x.png", &picture(2, 2)).unwrap();
        bytes[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]);
        let crc = png_crc(&bytes[12..29]);
        bytes[29..33].copy_from_slice(&crc.to_be_bytes());
        let error = decode("x.png", &bytes).unwrap_err().to_string();
        assert!(error.contains("65536x65536"), "{error}");
    }

    fn png_crc(bytes: &[u8]) -> u32 {
        !bytes.iter().fold(u32::MAX, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte), |c, _| c >> 1 ^ if c & 1 == 1 { 0xedb8_8320 } else { 0 })
        })
    }

    #[test]
    fn resizing_by_area_keeps_means_and_flat_colours() {
        let image =
            RgbImage::from_raw(4, 2, [10, 30, 50, 70, 20, 40, 60, 80].iter().flat_map(|v| [*v; 3]).collect());
        let half = resize(&image.unwrap(), 2, 1).unwrap();
        assert_eq!([half.pixel(0, 0)[0], half.pixel(1, 0)[0]], [25, 65]);
        let flat = RgbImage::filled(7, 5, [3, 200, 255]).unwrap();
        for (w, h) in [(3, 2), (7, 5), (20, 11), (1, 1)] {
            assert!(
                resize(&flat, w, h).unwrap().data().as_chunks::<3>().0.iter().all(|p| *p == [3, 200, 255])
            );
        }
        let same = picture(6, 4);
        assert_eq!(resize(&same, 6, 4).unwrap(), same);
    }

    #[test]
    fn compositing_is_straight_alpha() {
        let under = RgbImage::filled(3, 1, [100, 0, 255]).unwrap();
        let over = Rgba { width: 3, height: 1, data: vec![200, 9, 9, 0, 200, 9, 9, 255, 200, 100, 55, 128] };
        let out = composite(&over, &under);
        assert_eq!([out.pixel(0, 0), out.pixel(1, 0)], [[100, 0, 255], [200, 9, 9]]);
        assert_eq!(out.pixel(2, 0), [150, 50, 155]);
    }
}
