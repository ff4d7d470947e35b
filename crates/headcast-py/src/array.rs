//! Arrays as numpy describes them, read without numpy's C interface: one wheel for numpy 1 and 2, and none needed to
//! build it.

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// Numbers that an array may hold, in the byte order of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Element {
    U8,
    I16,
    I32,
    F16,
    F32,
    F64,
}

impl Element {
    fn from_typestr(typestr: &str) -> Option<Self> {
        let native = if cfg!(target_endian = "little") { '<' } else { '>' };
        let kind = match typestr.strip_prefix('|').or_else(|| typestr.strip_prefix(native))? {
            "u1" => Self::U8,
            "i2" => Self::I16,
            "i4" => Self::I32,
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            _ => return None,
        };
        Some(kind)
    }
}

/// Where the numbers of a numpy array lie (the array interface, version 3).
///
/// The array is kept alive. Its numbers are not locked: whoever changes them from another thread while they are read
/// gets a mixture of old and new ones, as with numpy itself; they are only ever read through pointers.
pub(crate) struct Array<'py> {
    /// Keeps the memory.
    _owner: Bound<'py, PyAny>,
    view: View,
}

impl<'py> Array<'py> {
    /// What `array`, a `numpy.ndarray`, holds; `Ok(None)` for numbers of a type that [`Element`] has not.
    ///
    /// # Errors
    /// What Python raises when it is no array.
    pub(crate) fn new(array: &Bound<'py, PyAny>) -> PyResult<Option<Self>> {
        let py = array.py();
        let interface = array.getattr(intern!(py, "__array_interface__"))?.cast_into::<PyDict>()?;
        let item = |key| {
            interface.get_item(key)?.ok_or_else(|| PyValueError::new_err("an incomplete array interface"))
        };
        let shape: Vec<usize> = item(intern!(py, "shape"))?.extract()?;
        let typestr = item(intern!(py, "typestr"))?;
        let Some(element) = Element::from_typestr(&typestr.extract::<String>()?) else { return Ok(None) };
        let (address, _read_only): (usize, bool) = item(intern!(py, "data"))?.extract()?;
        let strides: Option<Vec<isize>> =
            interface.get_item(intern!(py, "strides"))?.map_or(Ok(None), |strides| strides.extract())?;
        let strides = strides.unwrap_or_else(|| packed_strides(&shape, element));
        if strides.len() != shape.len() {
            return Err(PyValueError::new_err(
                "an array interface with another number of strides than sides",
            ));
        }
        let view = View { address, shape, strides, element };
        Ok(Some(Self { _owner: array.clone(), view }))
    }

    /// The numbers, to be read while the array is there.
    pub(crate) fn view(&self) -> &View {
        &self.view
    }
}

/// The strides of an array in C order.
fn packed_strides(shape: &[usize], element: Element) -> Vec<isize> {
    let mut stride: isize = match element {
        Element::U8 => 1,
        Element::I16 | Element::F16 => 2,
        Element::I32 | Element::F32 => 4,
        Element::F64 => 8,
    };
    let mut strides = vec![0; shape.len()];
    for (out, side) in strides.iter_mut().zip(shape).rev() {
        *out = stride;
        stride = stride.saturating_mul(isize::try_from(*side).unwrap_or(isize::MAX));
    }
    strides
}

/// Numbers in someone else's memory. Without the lifetime of [`Array`], so that it can be read with the GIL released:
/// only [`Array::view`] hands it out, by reference.
#[derive(Debug)]
pub(crate) struct View {
    address: usize,
    shape: Vec<usize>,
    /// Bytes from one number to the next along each side; may be negative or zero.
    strides: Vec<isize>,
    element: Element,
}

impl View {
    pub(crate) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(crate) fn element(&self) -> Element {
        self.element
    }

    /// The numbers along the last side, at `place` along the others.
    ///
    /// # Panics
    /// If `place` lies outside the array, or `T` is not its type.
    pub(crate) fn line<T: Number>(&self, place: &[usize]) -> impl Iterator<Item = T> {
        let (start, [len], [stride]) = self.at::<T, 1>(place);
        // SAFETY: `at` made sure that these numbers are the array's, and of this type.
        #[expect(unsafe_code, reason = "foreign memory")]
        (0..len).map(move |index| unsafe { read(offset(start, index, stride)) })
    }

    /// Writes the picture of `[height, width, 3]` numbers at `place` along the sides before them to `out`, row by row.
    ///
    /// # Panics
    /// If `place` lies outside the array, what is left is no picture of `out`'s size, or `T` is not its type.
    pub(crate) fn picture<T: Number>(&self, place: &[usize], out: &mut [u8], byte: impl Fn(T) -> u8) {
        let (start, [height, width, channels], [row_stride, stride, channel_stride]) = self.at::<T, 3>(place);
        assert_eq!(channels, 3, "a picture");
        assert_eq!(out.len(), height * width * 3, "a picture of the right size");
        let size = const { size_of::<T>() };
        let packed = channel_stride.cast_unsigned() == size && stride.cast_unsigned() == 3 * size;
        for (y, out) in out.chunks_exact_mut((width * 3).max(1)).enumerate() {
            let row = offset(start, y, row_stride);
            if packed {
                for (x, out) in out.iter_mut().enumerate() {
                    // SAFETY: `at` made sure of the picture; a packed row has `3 · width` numbers side by side.
                    #[expect(unsafe_code, reason = "foreign memory")]
                    let number = unsafe { read(row.wrapping_add(x * size)) };
                    *out = byte(number);
                }
            } else {
                for (x, out) in out.as_chunks_mut::<3>().0.iter_mut().enumerate() {
                    let pixel = offset(row, x, stride);
                    // SAFETY: `at` made sure of the picture, and there are three numbers in a pixel.
                    #[expect(unsafe_code, reason = "foreign memory")]
                    let numbers =
                        [0, 1, 2].map(|channel| unsafe { read(offset(pixel, channel, channel_stride)) });
                    *out = numbers.map(&byte);
                }
            }
        }
    }

    /// Where the numbers at `place` begin, and the sides and strides that are left. What is at any index below those
    /// sides is a number of the array, which [`read`] may read.
    fn at<T: Number, const LEFT: usize>(&self, place: &[usize]) -> (usize, [usize; LEFT], [isize; LEFT]) {
        assert_eq!(T::ELEMENT, self.element, "read as what it holds");
        let mut start = self.address;
        for ((at, side), stride) in place.iter().zip(&self.shape).zip(&self.strides) {
            assert!(at < side, "{at} of {side}");
            start = offset(start, *at, *stride);
        }
        let left = |what| format!("{LEFT} {what} are left");
        let sides = self.shape[place.len()..].try_into().unwrap_or_else(|_| panic!("{}", left("sides")));
        let strides =
            self.strides[place.len()..].try_into().unwrap_or_else(|_| panic!("{}", left("strides")));
        (start, sides, strides)
    }
}

/// The number at `address`, aligned or not.
///
/// # Safety
/// It is a number of that type in an array that is still held.
#[expect(unsafe_code, reason = "the one place where foreign memory is read")]
#[inline(always)]
unsafe fn read<T: Number>(address: usize) -> T {
    // SAFETY: numpy promises that the numbers of an array lie where its interface says, and `Array` holds the array, which
    // keeps its memory while it is referenced. Every bit pattern is a number.
    unsafe { std::ptr::with_exposed_provenance::<T>(address).read_unaligned() }
}

/// numpy's own pointer arithmetic; inside the array it cannot overflow.
fn offset(address: usize, index: usize, stride: isize) -> usize {
    address.wrapping_add(index.wrapping_mul(stride.cast_unsigned()))
}

/// A type of numbers that arrays hold.
pub(crate) trait Number: Copy + 'static {
    const ELEMENT: Element;
}

/// Half precision, as its bits.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub(crate) struct Half(pub(crate) u16);

macro_rules! numbers {
    ($($type:ty => $element:ident),*) => { $(impl Number for $type { const ELEMENT: Element = Element::$element; })* };
}
numbers!(u8 => U8, i16 => I16, i32 => I32, Half => F16, f32 => F32, f64 => F64);
