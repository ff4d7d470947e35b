//! A picture of the user's own behind the person.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use headcast_core::RgbImage;

use crate::avatar::AvatarError;
use crate::avatar::picture;

/// Largest file of a picture, in bytes.
pub const MAX_BYTES: u64 = 16 << 20;

/// Most pixels of a picture: decoding takes up to 12 bytes for each.
pub const MAX_PIXELS: u64 = 24_000_000;

/// Reads and decodes a file: see [`decode`].
///
/// # Errors
/// As [`decode`], and [`AvatarError::Io`].
pub fn read(path: &Path) -> Result<RgbImage, AvatarError> {
    let io = |source| AvatarError::Io { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    // One byte more than is accepted shows that there are too many.
    File::open(path).map_err(io)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    decode(&path.display().to_string(), &bytes)
}

/// Decodes a PNG or JPEG, told by its first bytes; a photograph is turned as its camera says. Alpha is dropped.
///
/// * `name`: for messages.
///
/// # Errors
/// [`AvatarError::Picture`] when it is neither, is damaged, or has more than [`MAX_BYTES`] or [`MAX_PIXELS`], which is seen before
/// it is decoded.
pub fn decode(name: &str, bytes: &[u8]) -> Result<RgbImage, AvatarError> {
    let error = |what: String| AvatarError::Picture { file: name.to_owned(), what };
    if bytes.len() as u64 > MAX_BYTES {
        let what = format!("a background has at most {} MB; make the picture smaller", MAX_BYTES >> 20);
        return Err(error(what));
    }
    let (width, height) = picture::size(name, bytes)?;
    if u64::from(width) * u64::from(height) > MAX_PIXELS {
        let what = format!(
            "a background has at most {} million pixels, this one {width}x{height}; make the picture smaller",
            MAX_PIXELS / 1_000_000
        );
        return Err(error(what));
    }
    let (image, exif) = picture::decode_as_taken(name, bytes)?;
    let turn = exif.as_deref().and_then(orientation).unwrap_or(1);
    turned(image, turn).map_err(|source| AvatarError::PictureSize { file: name.to_owned(), source })
}

/// The value of tag `Orientation` of the first directory of a TIFF file (Exif 2.32, §4.6.4), 1 to 8.
fn orientation(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..2)? {
        b"II" => true,
        b"MM" => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let bytes = *tiff.get(at..)?.first_chunk::<2>()?;
        Some(if little { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    };
    let bytes = *tiff.get(4..)?.first_chunk::<4>()?;
    let first = if little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
    let first = usize::try_from(first).ok()?;
    let entries = usize::from(u16_at(first)?);
    let entry = |i: usize| first.checked_add(2 + 12 * i);
    let at = (0..entries).filter_map(entry).find(|at| u16_at(*at) == Some(0x0112))?;
    u16_at(at.checked_add(8)?).filter(|value| (1..=8).contains(value))
}

/// `image` as the camera was held: 1 upright, 2 to 8 mirrored or turned.
fn turned(image: RgbImage, orientation: u16) -> Result<RgbImage, headcast_core::ImageError> {
    let (w, h) = (image.width(), image.height());
    // The source's column and row of each pixel.
    let from = |x: u32, y: u32| match orientation {
        2 => (w - 1 - x, y),
        3 => (w - 1 - x, h - 1 - y),
        4 => (x, h - 1 - y),
        5 => (y, x),
        6 => (y, h - 1 - x),
        7 => (w - 1 - y, h - 1 - x),
        8 => (w - 1 - y, x),
        _ => (x, y),
    };
    if orientation == 1 {
        return Ok(image);
    }
    let (width, height) = if orientation >= 5 { (h, w) } else { (w, h) };
    let mut out = RgbImage::filled(width, height, [0; 3])?;
    let rows = out.data_mut().chunks_exact_mut(width as usize * 3);
    for (row, y) in rows.zip(0..) {
        for (pixel, x) in row.as_chunks_mut::<3>().0.iter_mut().zip(0..) {
            let (x, y) = from(x, y);
            *pixel = image.pixel(x, y);
        }
    }
    Ok(out)
}

/// The middle of `picture`, as much as fills `width × height`, in that size.
///
/// # Errors
/// [`headcast_core::ImageError`] when the size is none.
pub(crate) fn cover(
    picture: &RgbImage,
    width: u32,
    height: u32,
) -> Result<RgbImage, headcast_core::ImageError> {
    let (from_width, from_height) = (picture.width(), picture.height());
    // As wide as `width / height` of its height, or as high: 8192² fits u64.
    let share = |side: u32, of: u32, to: u32| {
        let part = (u64::from(side) * u64::from(of) + u64::from(to) / 2) / u64::from(to.max(1));
        u32::try_from(part.max(1)).unwrap_or(u32::MAX)
    };
    let crop_width = share(from_height, width, height).min(from_width);
    let crop_height = share(from_width, height, width).min(from_height);
    let (left, top) = ((from_width - crop_width) / 2, (from_height - crop_height) / 2);
    let stride = from_width as usize * 3;
    let rows = picture.data().chunks_exact(stride).skip(top as usize).take(crop_height as usize);
    let bytes = left as usize * 3..(left + crop_width) as usize * 3;
    let data = rows.flat_map(|row| &row[bytes.clone()]).copied().collect();
    picture::resize(&RgbImage::from_raw(crop_width, crop_height, data)?, width, height)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Red rises with the column, green with the row.
    fn ramp(width: u32, height: u32) -> RgbImage {
        let value = |v: u32| u8::try_from(v).unwrap();
        let pixel = |i: u32| [value(i % width), value(i / width), 50];
        RgbImage::from_raw(width, height, (0..width * height).flat_map(pixel).collect()).unwrap()
    }

    #[test]
    fn the_middle_of_a_picture_fills_the_frame() {
        // Of the same shape: nothing is lost.
        assert_eq!(cover(&ramp(40, 30), 40, 30).unwrap(), ramp(40, 30));
        // Too wide: columns 5 to 34 stay. Too high: rows 15 to 24.
        let wide = cover(&ramp(40, 30), 30, 30).unwrap();
        assert_eq!([wide.pixel(0, 0), wide.pixel(29, 29)], [[5, 0, 50], [34, 29, 50]]);
        let high = cover(&ramp(20, 40), 20, 10).unwrap();
        assert_eq!([high.pixel(0, 0), high.pixel(19, 9)], [[0, 15, 50], [19, 24, 50]]);
        // Halved: means of two by two.
        let half = cover(&ramp(80, 40), 20, 20).unwrap();
        assert_eq!([half.pixel(0, 0), half.pixel(19, 19)], [[21, 1, 50], [59, 39, 50]]);
        for (w, h) in [(1, 1), (1, 200), (200, 1), (3, 2)] {
            let out = cover(&ramp(w, h), 64, 48).unwrap();
            assert_eq!((out.width(), out.height(), out.pixel(63, 47)[2]), (64, 48, 50), "{w}x{h}");
        }
    }

    #[test]
    fn photographs_stand_as_their_camera_says() {
        let tiff = |little: bool, tag: u16, value: u16| {
            let two = |v: u16| if little { v.to_le_bytes() } else { v.to_be_bytes() };
            let four = |v: u32| if little { v.to_le_bytes() } else { v.to_be_bytes() };
            let mut out = if little { b"II*\0".to_vec() } else { b"MM\0*".to_vec() };
            out.extend(four(8));
            out.extend(two(2));
            for (tag, value) in [(0x0100, 7), (tag, value)] {
                out.extend([two(tag), two(3)].concat());
                out.extend(four(1));
                out.extend([two(value), two(0)].concat());
            }
            out
        };
        for little in [true, false] {
            for value in 1..=8 {
                assert_eq!(orientation(&tiff(little, 0x0112, value)), Some(value));
            }
            assert_eq!(orientation(&tiff(little, 0x0112, 9)), None);
            assert_eq!(orientation(&tiff(little, 0x0111, 6)), None);
        }
        let whole = tiff(true, 0x0112, 6);
        for len in 0..30 {
            assert_eq!(orientation(&whole[..len]), None, "{len} bytes");
        }
        let far = [b"II*\0".as_slice(), &u32::MAX.to_le_bytes()].concat();
        assert_eq!(orientation(&far), None);

        // Where row 0 and column 0 of the file are to be seen: Exif's own table, in the corner that both share.
        let corner = |orientation: u16| {
            let out = turned(ramp(5, 3), orientation).unwrap();
            let (right, bottom) = (out.width() - 1, out.height() - 1);
            let corners = [(0, 0), (right, 0), (right, bottom), (0, bottom)];
            let at = corners.iter().position(|(x, y)| out.pixel(*x, *y) == [0, 0, 50]).unwrap();
            // And which way columns run from there.
            let next = if out.width() == 5 { "across" } else { "down" };
            (["top left", "top right", "bottom right", "bottom left"][at], next)
        };
        let expected = [
            (1, "top left", "across"),
            (2, "top right", "across"),
            (3, "bottom right", "across"),
            (4, "bottom left", "across"),
            (5, "top left", "down"),
            (6, "top right", "down"),
            (7, "bottom right", "down"),
            (8, "bottom left", "down"),
        ];
        for (value, at, next) in expected {
            assert_eq!(corner(value), (at, next), "{value}");
        }
    }

    #[test]
    fn too_large_pictures_are_refused_before_they_are_decoded() {
        let png = |width, height| {
            let image = RgbImage::filled(width, height, [1; 3]).unwrap();
            picture::encode_png("x", &image).unwrap()
        };
        assert_eq!(decode("x", &png(6, 4)).unwrap().width(), 6);
        // The pixels are not there: only the header is read.
        let long = png(6000, 4001);
        let error = decode("sea.png", &long[..200]).unwrap_err().to_string();
        assert!(error.contains("sea.png") && error.contains("6000x4001"), "{error}");
        let error = decode("x", &vec![0; (16 << 20) + 1]).unwrap_err().to_string();
        assert!(error.contains("16 MB"), "{error}");
        assert!(decode("x", b"GIF89a").unwrap_err().to_string().contains("neither a PNG nor a JPEG"));
    }
}
