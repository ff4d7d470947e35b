//! The safe wrapper around one OpenH264 decoder: reads back the last picture of what an encoder here made.
#![expect(unsafe_code, reason = "the decoder is a C++ library behind a table of function pointers")]

use std::ffi::{c_int, c_long, c_void};
use std::ptr::{self, NonNull};
use std::slice;

use openh264_sys2::source::APILoader;
use openh264_sys2::{
    DECODER_OPTION_END_OF_STREAM, DECODER_OPTION_TRACE_LEVEL, DECODING_STATE, ERROR_CON_DISABLE, ISVCDecoder,
    ISVCDecoderVtbl, SBufferInfo, SDecodingParam, VIDEO_BITSTREAM_AVC, videoFormatI420,
};

use super::{Config, Error};

/// The picture of the last of `access_units`, which begin with an IDR picture: planar 4:2:0 of the size of `config`,
/// as [`Planes::split`](crate::color::Planes::split) takes it.
///
/// # Errors
/// [`Error::OpenH264`] when they are damaged, or of another size.
pub(crate) fn last_picture<'a>(
    config: &Config,
    access_units: impl IntoIterator<Item = &'a [u8]>,
) -> Result<Vec<u8>, Error> {
    let mut decoder = Handle::new()?;
    let (mut decoded, mut shown, mut last) = (0_u64, 0_u64, None);
    let mut show = |picture: Option<Shown<'_>>| {
        let Some(picture) = picture else { return false };
        shown += 1;
        last = picture.of(config);
        true
    };
    for unit in access_units {
        decoder.decode(unit, |picture| _ = show(picture))?;
        decoded += 1;
    }
    decoder.end()?;
    // It shows pictures one late, because of streams that have them in another order.
    loop {
        let mut more = false;
        decoder.flush(|picture| more = show(picture))?;
        if !more {
            break;
        }
    }
    last.filter(|_| shown == decoded).ok_or(Error::OpenH264 { what: "decode the last picture", code: 0 })
}

/// A decoder that was created and initialised, and is destroyed when dropped. It stays on its thread.
struct Handle {
    raw: NonNull<ISVCDecoder>,
}

impl Handle {
    fn new() -> Result<Self, Error> {
        let mut raw: *mut ISVCDecoder = ptr::null_mut();
        // SAFETY: the out pointer is a live local; the library writes a decoder or leaves null.
        let code = unsafe { APILoader::WelsCreateDecoder(&raw mut raw) };
        let raw = match NonNull::new(raw) {
            Some(raw) if code == 0 => raw,
            _ => return Err(failed("create a decoder", code)),
        };
        // From here on `Drop` destroys it.
        let mut decoder = Self { raw };
        let vtbl = decoder.vtbl();
        let mut quiet: c_int = 0; // WELS_LOG_QUIET: a library does not print
        let set_option = vtbl.SetOption.expect(FILLED);
        // SAFETY: a created decoder takes the trace level before initialisation; the value is a live int, which is the
        // type of this option, and is copied.
        let code = unsafe {
            set_option(raw.as_ptr(), DECODER_OPTION_TRACE_LEVEL, (&raw mut quiet).cast::<c_void>())
        };
        check("set the decoder's trace level", code)?;
        let mut params = SDecodingParam::default();
        params.sVideoProperty.eVideoBsType = VIDEO_BITSTREAM_AVC;
        // What is damaged is an error, not a guess.
        params.eEcActiveIdc = ERROR_CON_DISABLE;
        let initialize = vtbl.Initialize.expect(FILLED);
        // SAFETY: the settings are a live local, copied by the library.
        check("start the decoder", unsafe { initialize(decoder.raw.as_ptr(), &raw const params) })?;
        Ok(decoder)
    }

    /// Decodes one access unit in Annex B form; `sink` gets the picture that is shown next.
    fn decode(&mut self, annex_b: &[u8], sink: impl FnOnce(Option<Shown<'_>>)) -> Result<(), Error> {
        let Ok(length) = c_int::try_from(annex_b.len()) else {
            return Err(Error::OpenH264 { what: "decode so large a picture", code: 0 });
        };
        let decode = self.vtbl().DecodeFrameNoDelay.expect(FILLED);
        // SAFETY: the library reads `length` bytes at the pointer, which the slice has; the rest is as `show` says.
        self.show(sink, |raw, planes, info| unsafe { decode(raw, annex_b.as_ptr(), length, planes, info) })
    }

    /// Nothing follows.
    fn end(&mut self) -> Result<(), Error> {
        let mut yes: c_int = 1;
        let set_option = self.vtbl().SetOption.expect(FILLED);
        // SAFETY: the value is a live int, which is the type of this option, and is copied.
        let code = unsafe {
            set_option(self.raw.as_ptr(), DECODER_OPTION_END_OF_STREAM, (&raw mut yes).cast::<c_void>())
        };
        check("end a stream", code)
    }

    /// `sink` gets the next of the pictures that are not shown yet.
    fn flush(&mut self, sink: impl FnOnce(Option<Shown<'_>>)) -> Result<(), Error> {
        let flush = self.vtbl().FlushFrame.expect(FILLED);
        // SAFETY: as `show` says.
        self.show(sink, |raw, planes, info| unsafe { flush(raw, planes, info) })
    }

    /// Hands the picture that `call` brings to `sink`. It gets the live decoder, and live locals for three pointers and
    /// one description.
    fn show(
        &mut self,
        sink: impl FnOnce(Option<Shown<'_>>),
        call: impl FnOnce(*mut ISVCDecoder, *mut *mut u8, *mut SBufferInfo) -> DECODING_STATE,
    ) -> Result<(), Error> {
        let mut planes: [*mut u8; 3] = [ptr::null_mut(); 3];
        let mut info = SBufferInfo::default();
        let state = call(self.raw.as_ptr(), planes.as_mut_ptr(), &raw mut info);
        if state != 0 {
            return Err(Error::OpenH264 { what: "decode a picture", code: state });
        }
        // SAFETY: the only variant of the union; its fields are integers, which have no invalid values.
        let buffer = unsafe { info.UsrData.sSystemBuffer };
        let side = |side: c_int| usize::try_from(side).unwrap_or(0);
        let (width, height) = (side(buffer.iWidth), side(buffer.iHeight));
        let strides = buffer.iStride.map(side);
        let whole = info.iBufferStatus == 1
            && buffer.iFormat == videoFormatI420
            && width > 0
            && height > 0
            && width % 2 == 0
            && height % 2 == 0
            && strides[0] >= width
            && strides[1] >= width / 2
            && planes.iter().all(|plane| !plane.is_null());
        if !whole {
            sink(None);
            return Ok(());
        }
        let sizes = [(strides[0], width, height), (strides[1], width / 2, height / 2)];
        let plane = |at: usize| {
            let (stride, width, height) = sizes[at.min(1)];
            // SAFETY: of a picture that is ready the library gives pointers to `height` rows of `width` samples,
            // `stride` apart, in memory of the decoder that lives until the next call, which `&mut self` rules out
            // before `sink` is done.
            let samples = unsafe { slice::from_raw_parts(planes[at], stride * (height - 1) + width) };
            Plane { samples, stride }
        };
        sink(Some(Shown { width, height, planes: [plane(0), plane(1), plane(2)] }));
        Ok(())
    }

    fn vtbl(&mut self) -> ISVCDecoderVtbl {
        // SAFETY: `raw` points to a live decoder until `Drop`; a decoder is a pointer to its function table, which is
        // static.
        unsafe { **self.raw.as_ptr() }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        let uninitialize = self.vtbl().Uninitialize.expect(FILLED);
        // SAFETY: `raw` came from `WelsCreateDecoder`, is owned by `self` and is not used afterwards; one that was not
        // initialised may be uninitialised.
        unsafe {
            uninitialize(self.raw.as_ptr());
            APILoader::WelsDestroyDecoder(self.raw.as_ptr());
        }
    }
}

/// A picture in the decoder's memory: sides are even.
struct Shown<'a> {
    width: usize,
    height: usize,
    planes: [Plane<'a>; 3],
}

struct Plane<'a> {
    samples: &'a [u8],
    stride: usize,
}

impl Shown<'_> {
    /// A copy without padding and without the column and row that odd sizes are shown with; `None` of another size.
    fn of(&self, config: &Config) -> Option<Vec<u8>> {
        let shown = (config.shown_width() as usize, config.shown_height() as usize);
        if (self.width, self.height) != shown {
            return None;
        }
        let (width, height) = (config.width as usize, config.height as usize);
        let mut bytes = Vec::new();
        for (at, plane) in self.planes.iter().enumerate() {
            let (width, height) =
                if at == 0 { (width, height) } else { (width.div_ceil(2), height.div_ceil(2)) };
            for row in plane.samples.chunks(plane.stride).take(height) {
                bytes.extend_from_slice(row.get(..width)?);
            }
        }
        Some(bytes)
    }
}

fn check(what: &'static str, code: c_long) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(failed(what, code)) }
}

fn failed(what: &'static str, code: c_long) -> Error {
    // A long is an int on some systems.
    #[allow(
        clippy::useless_conversion,
        clippy::unnecessary_fallible_conversions,
        reason = "depends on the system"
    )]
    let code = i32::try_from(code).unwrap_or(i32::MIN);
    Error::OpenH264 { what, code }
}

const FILLED: &str = "OpenH264 fills its whole function table";

#[cfg(test)]
mod tests {
    use headcast_core::{FrameRate, RgbImage};

    use super::super::{Encoder, Qp};
    use super::*;
    use crate::color::Planes;

    fn picture(n: u32, width: u32, height: u32) -> RgbImage {
        let value = |x: u32, y: u32| u8::try_from((x + 2 * y + 40 * n) / 2 % 200 + 20).unwrap();
        let pixels =
            (0..height).flat_map(|y| (0..width).flat_map(move |x| [value(x, y), value(y, x), value(x, x)]));
        RgbImage::from_raw(width, height, pixels.collect()).unwrap()
    }

    /// Mean distance of samples.
    fn distance(one: &[u8], other: &[u8]) -> u64 {
        assert_eq!(one.len(), other.len());
        let sum: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
        sum / one.len() as u64
    }

    /// What goes into the encoder, without padding.
    fn planes(image: &RgbImage) -> Vec<u8> {
        let (width, height) = (image.width(), image.height());
        let mut picture = crate::color::Picture::new(width, height);
        picture.fill_from(image);
        let (stride, mut bytes) = (picture.coded_width(), Vec::new());
        let (width, height) = (width as usize, height as usize);
        let half = (width.div_ceil(2), height.div_ceil(2));
        for (plane, stride, (width, height)) in [
            (picture.y(), stride, (width, height)),
            (picture.cb(), stride / 2, half),
            (picture.cr(), stride / 2, half),
        ] {
            plane.chunks(stride).take(height).for_each(|row| bytes.extend_from_slice(&row[..width]));
        }
        bytes
    }

    #[test]
    fn the_last_picture_is_read_back() {
        for (width, height) in [(64, 48), (65, 49), (66, 50)] {
            let config = Config::new(width, height, FrameRate::PAL, Qp::DEFAULT).unwrap();
            let mut encoder = Encoder::new(&config).unwrap();
            let images: Vec<_> = (0..5).map(|n| picture(n, width, height)).collect();
            let units: Vec<_> = images.iter().map(|image| encoder.encode(image).unwrap().annex_b).collect();
            let last = last_picture(&config, units.iter().map(Vec::as_slice)).unwrap();
            assert!(Planes::split(width, height, &last).is_some());
            assert!(distance(&last, &planes(&images[4])) <= 2);
            assert!(distance(&last, &planes(&images[3])) > 5, "the control");
            let first = last_picture(&config, [&units[0][..]]).unwrap();
            assert!(distance(&first, &planes(&images[0])) <= 2);
            // Cut short, without a beginning, of another size, nothing at all.
            let cut = [&units[0][..], &units[1][..units[1].len() / 2]];
            assert!(last_picture(&config, cut).is_err());
            assert!(last_picture(&config, [&units[1][..]]).is_err());
            let other = Config::new(80, 48, FrameRate::PAL, Qp::DEFAULT).unwrap();
            assert!(last_picture(&other, units.iter().map(Vec::as_slice)).is_err());
            assert!(last_picture(&config, []).is_err());
        }
    }
}
