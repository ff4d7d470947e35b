//! A tensor that has been read, and the strided view that says where its values lie.

use super::dtype::DType;
use super::error::CheckpointError;

/// Values read from a checkpoint: contiguous, row-major, in their stored type.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    pub(super) name: String,
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    /// Little-endian elements.
    pub(super) bytes: Vec<u8>,
}

impl Tensor {
    /// Sizes, outermost first; empty for a scalar.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Element type as stored.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Values converted to `f32` (nearest), row-major.
    pub fn to_f32(&self) -> Vec<f32> {
        self.dtype.to_f32(&self.bytes)
    }

    /// As [`Self::to_f32`], refusing NaN and infinity.
    ///
    /// # Errors
    /// [`CheckpointError::NotFinite`] names the tensor and the first such element.
    pub fn to_finite_f32(&self) -> Result<Vec<f32>, CheckpointError> {
        let values = self.to_f32();
        match values.iter().position(|v| !v.is_finite()) {
            Some(index) => {
                Err(CheckpointError::NotFinite { tensor: self.name.clone(), index, value: values[index] })
            }
            None => Ok(values),
        }
    }

    /// Integer values, row-major.
    ///
    /// # Errors
    /// [`CheckpointError::Type`] when the tensor holds real numbers.
    pub fn to_i64(&self) -> Result<Vec<i64>, CheckpointError> {
        self.dtype.to_i64(&self.bytes).ok_or_else(|| CheckpointError::Type {
            tensor: self.name.clone(),
            expected: "integers",
            found: self.dtype,
        })
    }

    /// The bytes of a `u8` tensor.
    ///
    /// # Errors
    /// [`CheckpointError::Type`] for any other element type.
    pub fn into_u8(self) -> Result<Vec<u8>, CheckpointError> {
        if self.dtype == DType::U8 {
            Ok(self.bytes)
        } else {
            Err(CheckpointError::Type { tensor: self.name, expected: "u8", found: self.dtype })
        }
    }
}

/// A strided window into a storage. Offset and strides count elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) dtype: DType,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
    pub(super) offset: usize,
}

impl View {
    /// Number of elements; `None` when it does not fit, which no real tensor reaches.
    pub(super) fn len(&self) -> Option<usize> {
        if self.shape.contains(&0) {
            return Some(0);
        }
        self.shape.iter().try_fold(1usize, |n, size| n.checked_mul(*size))
    }

    /// Elements of the storage from its beginning to the last one the view touches; 0 for an empty view.
    /// Cannot overflow: 8 dimensions of 64 × 64 bits.
    pub(super) fn extent(&self) -> u128 {
        if self.shape.contains(&0) {
            return 0;
        }
        let reach = |(size, stride): (&usize, &usize)| (*size as u128 - 1).saturating_mul(*stride as u128);
        let last = self.shape.iter().zip(&self.strides).map(reach).fold(0u128, u128::saturating_add);
        last.saturating_add(self.offset as u128).saturating_add(1)
    }

    /// Bytes that must exist in the storage. A view that repeats elements (stride 0) may not be larger than
    /// the storage either, so a tiny file cannot ask for a huge array.
    pub(super) fn declared_bytes(&self) -> u128 {
        let elements = self.shape.iter().fold(1u128, |n, size| n.saturating_mul(*size as u128));
        self.extent().max(elements).saturating_mul(self.dtype.size() as u128)
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        for (size, stride) in self.shape.iter().zip(&self.strides).rev() {
            if *size != 1 && *stride != expected {
                return false;
            }
            expected *= *size;
        }
        true
    }

    /// Copies the elements out of `span`, the storage's bytes from element `offset` to the last touched,
    /// in row-major order.
    ///
    /// The caller has checked [`Self::declared_bytes`] against the storage.
    pub(super) fn gather(&self, span: Vec<u8>) -> Vec<u8> {
        if self.is_contiguous() {
            return span;
        }
        let (item, len) = (self.dtype.size(), self.len().unwrap_or(0));
        let mut out = Vec::with_capacity(len * item);
        let mut index = vec![0usize; self.shape.len()];
        for _ in 0..len {
            let at: usize = index.iter().zip(&self.strides).map(|(i, stride)| i * stride).sum();
            out.extend_from_slice(&span[at * item..(at + 1) * item]);
            for (i, size) in index.iter_mut().zip(&self.shape).rev() {
                *i += 1;
                if *i < *size {
                    break;
                }
                *i = 0;
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(shape: &[usize], strides: &[usize], offset: usize) -> View {
        View { dtype: DType::U8, shape: shape.to_vec(), strides: strides.to_vec(), offset }
    }

    #[test]
    fn a_transposed_view_is_gathered_in_row_major_order() {
        // Storage 0..6 as [2, 3], seen as its transpose [3, 2].
        let v = view(&[3, 2], &[1, 3], 0);
        assert_eq!(v.declared_bytes(), 6);
        assert_eq!(v.gather((0..6).collect()), [0, 3, 1, 4, 2, 5]);
        // Every second element.
        assert_eq!(view(&[3], &[2], 1).extent(), 6);
        assert_eq!(view(&[3], &[2], 1).gather((1..6).collect()), [1, 3, 5]);
    }

    #[test]
    fn repeated_and_huge_views_declare_their_full_size() {
        assert_eq!(view(&[1 << 40], &[0], 0).declared_bytes(), 1 << 40);
        let v = view(&[usize::MAX; 8], &[usize::MAX; 8], usize::MAX);
        assert!(v.declared_bytes() > u128::from(u64::MAX));
        assert_eq!(v.len(), None);
        assert_eq!(view(&[0, usize::MAX], &[usize::MAX, 1], 5).declared_bytes(), 0);
        assert_eq!(view(&[], &[], 3).declared_bytes(), 4, "a scalar at element 3");
    }
}
