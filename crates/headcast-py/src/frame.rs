//! Frames as Python programs have them: arrays of bytes, or of numbers in `[0, 1]`.

use std::sync::LazyLock;

use headcast::nerf::checkpoint::f16_to_f32;
use pyo3::prelude::*;

use crate::array::{Array, Element, Half, View};
use crate::error::FrameError;

/// Some frames in an array of `(height, width, 3)` or `(n, height, width, 3)`.
pub(crate) struct Frames<'py> {
    array: Array<'py>,
}

impl<'py> Frames<'py> {
    /// Frames of `width x height` in a `numpy.ndarray`.
    ///
    /// # Errors
    /// `headcast.FrameError` when they are none: it says what to do.
    pub(crate) fn new(array: &Bound<'py, PyAny>, size: (u32, u32)) -> PyResult<Self> {
        let Some(frames) = Array::new(array)? else { return Err(wrong_type(array)?) };
        if !matches!(frames.view().element(), Element::U8 | Element::F16 | Element::F32 | Element::F64) {
            return Err(wrong_type(array)?);
        }
        check_shape(frames.view().shape(), size).map_err(FrameError::new_err)?;
        Ok(Self { array: frames })
    }

    pub(crate) fn view(&self) -> FramesView<'_> {
        FramesView(self.array.view())
    }
}

/// Frames that are read with the GIL released.
#[derive(Clone, Copy)]
pub(crate) struct FramesView<'a>(&'a View);

impl FramesView<'_> {
    /// How many there are.
    pub(crate) fn len(self) -> usize {
        match self.0.shape() {
            [count, _, _, _] => *count,
            _ => 1,
        }
    }

    /// Writes frame `index` to `out` as packed RGB.
    ///
    /// # Errors
    /// A sentence, when its numbers are evidently not in `[0, 1]`.
    pub(crate) fn copy(self, index: usize, out: &mut [u8]) -> Result<(), String> {
        let batch = [index];
        let place: &[usize] = if self.0.shape().len() == 4 { &batch } else { &[] };
        match self.0.element() {
            Element::U8 => self.0.picture(place, out, |byte: u8| byte),
            Element::F16 => self.0.picture(place, out, |half: Half| HALVES[usize::from(half.0)]),
            Element::F32 => self.0.picture(place, out, byte_of),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "the eighth bit is far from the twenty-fourth"
            )]
            Element::F64 => self.0.picture(place, out, |value: f64| byte_of(value as f32)),
            Element::I16 | Element::I32 => unreachable!("`Frames::new` takes no integers"),
        }
        if self.0.element() == Element::U8 || share(out, |byte| byte == u8::MAX) < MUCH {
            return Ok(());
        }
        // A bright picture, or one in 0..255: the second is mostly far above 1.
        let mut far = vec![0; out.len()];
        match self.0.element() {
            Element::F16 => self.0.picture(place, &mut far, |half: Half| u8::from(f16_to_f32(half.0) > FAR)),
            Element::F32 => self.0.picture(place, &mut far, |value: f32| u8::from(value > FAR)),
            _ => self.0.picture(place, &mut far, |value: f64| u8::from(value > f64::from(FAR))),
        }
        if share(&far, |far| far == 1) < MUCH {
            return Ok(());
        }
        Err("numbers of this frame are far above 1: float frames are in [0, 1], so divide it by 255, or pass \
             frame.astype(\"uint8\")"
            .to_owned())
    }
}

/// No picture in `[0, 1]` overshoots this far.
const FAR: f32 = 2.0;

/// A share of the numbers that is no accident.
const MUCH: f64 = 0.25;

#[expect(clippy::cast_precision_loss, reason = "a share")]
fn share(bytes: &[u8], what: impl Fn(u8) -> bool) -> f64 {
    bytes.iter().filter(|byte| what(**byte)).count() as f64 / bytes.len().max(1) as f64
}

/// 0 is black and 1 is white, to the nearest of 256 steps; what is outside is clamped and NaN is black.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates and makes 0 of NaN, which is what is wanted"
)]
fn byte_of(value: f32) -> u8 {
    (value * 255.0 + 0.5) as u8
}

/// [`byte_of`] every half: a table of 64 KiB is faster than arithmetic on their bits.
static HALVES: LazyLock<Vec<u8>> =
    LazyLock::new(|| (0..=u16::MAX).map(|bits| byte_of(f16_to_f32(bits))).collect());

fn wrong_type(array: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let dtype = array.getattr("dtype")?.to_string();
    Ok(FrameError::new_err(format!(
        "a frame of dtype {dtype} cannot be shown; pass uint8 in 0..255 (`frame.astype(\"uint8\")`), or float16, float32 \
         or float64 in [0, 1]"
    )))
}

fn check_shape(shape: &[usize], (width, height): (u32, u32)) -> Result<(), String> {
    let wanted = [height as usize, width as usize, 3];
    let is_batch = shape.len() == 4;
    let picture = if is_batch { &shape[1..] } else { shape };
    if picture == wanted {
        return Ok(());
    }
    let of = if is_batch { "frames of shape " } else { "a frame of shape " };
    let what = format!("{of}{} where {} is needed", tuple(shape), tuple(&wanted));
    let [h, w] = [wanted[0], wanted[1]];
    let advice = match *picture {
        [3, a, b] if [a, b] == [h, w] => {
            if is_batch {
                "channels come last: pass frames.transpose(0, 2, 3, 1), for a torch tensor frames.permute(0, 2, 3, 1)"
                    .to_owned()
            } else {
                "channels come last: pass frame.transpose(1, 2, 0), for a torch tensor frame.permute(1, 2, 0)"
                    .to_owned()
            }
        }
        [a, b, 4] if [a, b] == [h, w] => "leave the alpha channel out: pass frame[..., :3]".to_owned(),
        [a, b, 1] if [a, b] == [h, w] => {
            "make three channels of one: pass numpy.repeat(frame, 3, axis=-1)".to_owned()
        }
        [a, b] if [a, b] == [h, w] => {
            "make three channels of a grey picture: pass numpy.stack([frame] * 3, axis=-1)".to_owned()
        }
        [a, b, 3] if [a, b] == [w, h] => {
            format!("size is (width, height): a Stream(size=({b}, {a})) takes this frame")
        }
        [a, b, 3] => {
            format!("resize it, or open the stream with size=({b}, {a}), which is (width, height)")
        }
        _ => "pass (height, width, 3), or (n, height, width, 3) for several frames".to_owned(),
    };
    Err(format!("{what}; {advice}"))
}

/// A shape as Python writes it.
fn tuple(shape: &[usize]) -> String {
    let sides: Vec<_> = shape.iter().map(usize::to_string).collect();
    if sides.len() == 1 { format!("({},)", sides[0]) } else { format!("({})", sides.join(", ")) }
}
