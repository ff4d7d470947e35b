//! Pictures in other layouts are the same pictures.

use headcast::core::FrameRate;
use headcast::media::color::Picture;
use headcast::push::{Format, Length, Pixels, Settings, Stream};

use crate::{all, memory, picture};

const SIDES: (u32, u32) = (33, 17);

/// What a stream of `frames` in `format` is made of, with rows `padding` bytes apart.
fn segments(format: Format, frames: u64, padding: usize) -> Vec<bytes::Bytes> {
    let (store, output) = memory();
    let mut stream =
        Stream::open(Settings::new(SIDES.0, SIDES.1, Length::Open(FrameRate::PAL)), output).unwrap();
    for frame in 0..frames {
        let data = raw(format, frame);
        if padding == 0 {
            stream.write(&Pixels::tight(format, SIDES.0, SIDES.1, &data).unwrap()).unwrap();
        } else if format == Format::Yuv420p {
            let (y, rest) = data.split_at(33 * 17);
            let (cb, cr) = rest.split_at(17 * 9);
            let planes = [padded(y, 33, padding), padded(cb, 17, padding), padded(cr, 17, padding)];
            let strides = [33 + padding, 17 + padding, 17 + padding];
            let planes = [&planes[0][..], &planes[1][..], &planes[2][..]];
            stream.write(&Pixels::yuv420p(SIDES.0, SIDES.1, planes, strides).unwrap()).unwrap();
        } else {
            let row = data.len() / 17;
            let data = padded(&data, row, padding);
            stream.write(&Pixels::packed(format, SIDES.0, SIDES.1, &data, row + padding).unwrap()).unwrap();
        }
    }
    stream.finish().unwrap();
    all(&*store)
}

fn padded(data: &[u8], row: usize, padding: usize) -> Vec<u8> {
    data.chunks(row).flat_map(|row| row.iter().copied().chain(vec![77; padding])).collect()
}

/// A picture in `format`.
fn raw(format: Format, frame: u64) -> Vec<u8> {
    let image = picture(frame, SIDES);
    let pixels = || image.data().as_chunks::<3>().0.iter();
    match format {
        Format::Rgb24 => image.data().to_vec(),
        Format::Bgr24 => pixels().flat_map(|[r, g, b]| [*b, *g, *r]).collect(),
        // Whatever alpha says.
        Format::Rgba => pixels().flat_map(|[r, g, b]| [*r, *g, *b, r ^ g]).collect(),
        Format::Yuv420p => {
            let mut converted = Picture::new(SIDES.0, SIDES.1);
            converted.fill_from(&image);
            let stride = converted.coded_width();
            let mut data: Vec<u8> =
                converted.y().chunks(stride).take(17).flat_map(|row| &row[..33]).copied().collect();
            for plane in [converted.cb(), converted.cr()] {
                data.extend(plane.chunks(stride / 2).take(9).flat_map(|row| &row[..17]));
            }
            data
        }
    }
}

#[test]
fn every_format_gives_the_same_stream() {
    let expected = segments(Format::Rgb24, 20, 0);
    for format in Format::ALL {
        for padding in [0, 5] {
            assert!(segments(format, 20, padding) == expected, "{} with {padding}", format.name());
        }
    }
    // Control: red and blue changed over are another picture.
    let (store, output) = memory();
    let mut stream =
        Stream::open(Settings::new(SIDES.0, SIDES.1, Length::Open(FrameRate::PAL)), output).unwrap();
    for frame in 0..20 {
        let data = raw(Format::Bgr24, frame);
        stream.write(&Pixels::tight(Format::Rgb24, SIDES.0, SIDES.1, &data).unwrap()).unwrap();
    }
    stream.finish().unwrap();
    assert!(all(&*store) != expected);
}
