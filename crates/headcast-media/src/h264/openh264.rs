//! The safe wrapper around one OpenH264 encoder: every call into C++ is here.
#![expect(unsafe_code, reason = "the encoder is a C++ library behind a table of function pointers")]

use std::ffi::{c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};
use std::slice;

use headcast_core::FrameRate;
use openh264_sys2::source::APILoader;
use openh264_sys2::{
    CAMERA_VIDEO_REAL_TIME, CONSTANT_ID, ENCODER_OPTION_TRACE_LEVEL, ISVCEncoder, ISVCEncoderVtbl,
    MEDIUM_COMPLEXITY, PRO_MAIN, RC_OFF_MODE, SEncParamExt, SFrameBSInfo, SM_SINGLE_SLICE, SSourcePicture,
    videoFormatI420,
};

use super::Error;
use crate::color::Picture;

/// What the encoder is started with. Sides are whole macroblocks.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) frame_rate: FrameRate,
    pub(super) qp: u8,
    pub(super) level_idc: u8,
}

/// An encoder that was created and initialised, and is destroyed when dropped.
#[derive(Debug)]
pub(super) struct Handle {
    raw: NonNull<ISVCEncoder>,
    width: usize,
    height: usize,
    /// Milliseconds per picture; rate control is off, so it only has to grow.
    millis: i64,
    pictures: i64,
}

// SAFETY: an OpenH264 encoder keeps no thread-local state and, with one thread and one slice as configured in
// `Handle::new`, starts no thread. `Handle` is the only owner of the pointer and every call needs `&mut self`,
// so moving it to another thread moves all access to the encoder.
unsafe impl Send for Handle {}

impl Handle {
    pub(super) fn new(settings: &Settings) -> Result<Self, Error> {
        let mut raw: *mut ISVCEncoder = ptr::null_mut();
        // SAFETY: the out pointer is a live local; the library writes an encoder or leaves null.
        let code = unsafe { APILoader::WelsCreateSVCEncoder(&raw mut raw) };
        let raw = match NonNull::new(raw) {
            Some(raw) if code == 0 => raw,
            _ => return Err(Error::OpenH264 { what: "create an encoder", code }),
        };
        // From here on `Drop` destroys it.
        let rate = settings.frame_rate;
        let mut handle = Self {
            raw,
            width: settings.width,
            height: settings.height,
            millis: (1000 * i64::from(rate.den()) / i64::from(rate.num())).max(1),
            pictures: 0,
        };
        handle.initialize(settings)?;
        Ok(handle)
    }

    fn initialize(&mut self, settings: &Settings) -> Result<(), Error> {
        let side = |side: usize| c_int::try_from(side).expect("sides are at most 4096");
        #[expect(
            clippy::cast_possible_truncation,
            reason = "rate control is off: the rate only has to be about right"
        )]
        let frame_rate = settings.frame_rate.as_f64() as f32;
        let vtbl = self.vtbl();

        let mut quiet: c_int = 0; // WELS_LOG_QUIET: a library does not print
        let set_option = vtbl.SetOption.expect(FILLED);
        // SAFETY: a created encoder takes the trace level before initialisation; the value is a live int, which
        // is the type of this option, and is copied.
        let code = unsafe {
            set_option(self.raw.as_ptr(), ENCODER_OPTION_TRACE_LEVEL, (&raw mut quiet).cast::<c_void>())
        };
        check("set its trace level", code)?;

        let mut params = MaybeUninit::<SEncParamExt>::zeroed();
        let get_default_params = vtbl.GetDefaultParams.expect(FILLED);
        // SAFETY: the out pointer is a live local of the type that the library fills.
        let code = unsafe { get_default_params(self.raw.as_ptr(), params.as_mut_ptr()) };
        check("give its default settings", code)?;
        // SAFETY: zeroed, which is a value of every field (integers, floats, bools, C enums bound as integers),
        // then overwritten by the library with its defaults.
        let mut params = unsafe { params.assume_init() };

        params.iUsageType = CAMERA_VIDEO_REAL_TIME;
        params.iPicWidth = side(settings.width);
        params.iPicHeight = side(settings.height);
        params.fMaxFrameRate = frame_rate;
        params.iRCMode = RC_OFF_MODE;
        params.bEnableFrameSkip = false;
        params.iEntropyCodingModeFlag = 1;
        params.iComplexityMode = MEDIUM_COMPLEXITY;
        params.uiIntraPeriod = 0;
        params.eSpsPpsIdStrategy = CONSTANT_ID;
        params.iTemporalLayerNum = 1;
        params.iSpatialLayerNum = 1;
        // More than one thread may cut a picture into slices by load: other bytes on another day.
        params.iMultipleThreadIdc = 1;
        params.bUseLoadBalancing = false;
        // Scene changes would bring IDR pictures that nobody asked for.
        params.bEnableSceneChangeDetect = false;
        params.bEnableAdaptiveQuant = false;
        params.bEnableBackgroundDetection = false;
        params.bEnableDenoise = false;
        params.bEnableLongTermReference = false;
        params.bEnableFrameCroppingFlag = false;
        let layer = &mut params.sSpatialLayers[0];
        layer.iVideoWidth = side(settings.width);
        layer.iVideoHeight = side(settings.height);
        layer.fFrameRate = frame_rate;
        layer.iDLayerQp = c_int::from(settings.qp);
        layer.uiProfileIdc = PRO_MAIN;
        layer.uiLevelIdc = c_int::from(settings.level_idc);
        layer.sSliceArgument.uiSliceMode = SM_SINGLE_SLICE;
        layer.sSliceArgument.uiSliceNum = 1;

        let initialize_ext = vtbl.InitializeExt.expect(FILLED);
        // SAFETY: the settings are a live local, copied by the library.
        check("start with these settings", unsafe { initialize_ext(self.raw.as_ptr(), &raw const params) })
    }

    /// Encodes `picture`; `sink` gets the Annex B bytes of its NAL units, in order, in one or more calls.
    ///
    /// # Panics
    /// If the picture's coded size is not the encoder's.
    pub(super) fn encode(&mut self, picture: &Picture, mut sink: impl FnMut(&[u8])) -> Result<(), Error> {
        // The safety of the plane pointers below rests on this.
        assert_eq!((picture.coded_width(), picture.coded_height()), (self.width, self.height), "coded size");
        let side = |side: usize| c_int::try_from(side).expect("sides are at most 4096");
        let source = SSourcePicture {
            iColorFormat: videoFormatI420,
            iStride: [side(self.width), side(self.width / 2), side(self.width / 2), 0],
            pData: [
                picture.y().as_ptr().cast_mut(),
                picture.cb().as_ptr().cast_mut(),
                picture.cr().as_ptr().cast_mut(),
                ptr::null_mut(),
            ],
            iPicWidth: side(self.width),
            iPicHeight: side(self.height),
            uiTimeStamp: self.pictures * self.millis,
            bPsnrY: false,
            bPsnrU: false,
            bPsnrV: false,
        };
        let mut info = MaybeUninit::<SFrameBSInfo>::zeroed();
        let encode_frame = self.vtbl().EncodeFrame.expect(FILLED);
        // SAFETY: `Picture` guarantees planes of `coded_width × coded_height` samples, a quarter of that for
        // chroma, which the strides and sizes above describe and the assertion ties to the size the encoder was
        // initialised with. The library only reads them (the C type lacks `const`), and not after it returns.
        let code = unsafe { encode_frame(self.raw.as_ptr(), &raw const source, info.as_mut_ptr()) };
        check("encode a picture", code)?;
        // SAFETY: zeroed is a value of every field (integers, floats, null pointers); the library fills the rest.
        let info = unsafe { info.assume_init() };
        self.pictures += 1;

        let layers = usize::try_from(info.iLayerNum).unwrap_or(0);
        for layer in info.sLayerInfo.iter().take(layers) {
            let count = usize::try_from(layer.iNalCount).unwrap_or(0);
            if count == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: after a successful call `pNalLengthInByte` points to `iNalCount` lengths in memory of the
            // encoder that lives until the next call, which `&mut self` rules out.
            let lengths = unsafe { slice::from_raw_parts(layer.pNalLengthInByte, count) };
            let bytes: usize = lengths.iter().map(|&l| usize::try_from(l).unwrap_or(0)).sum();
            // SAFETY: the NAL units lie one after the other at `pBsBuf`, their lengths add up to `bytes`; same
            // lifetime as above.
            sink(unsafe { slice::from_raw_parts(layer.pBsBuf, bytes) });
        }
        Ok(())
    }

    fn vtbl(&self) -> ISVCEncoderVtbl {
        // SAFETY: `raw` points to a live encoder until `Drop`; an encoder is a pointer to its function table,
        // which is static.
        unsafe { **self.raw.as_ptr() }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Destroying also uninitialises.
        // SAFETY: `raw` came from `WelsCreateSVCEncoder`, is owned by `self` and is not used afterwards.
        unsafe { APILoader::WelsDestroySVCEncoder(self.raw.as_ptr()) };
    }
}

fn check(what: &'static str, code: c_int) -> Result<(), Error> {
    if code == 0 { Ok(()) } else { Err(Error::OpenH264 { what, code }) }
}

const FILLED: &str = "OpenH264 fills its whole function table";
