//! Feature files of the extractors that upstream projects use.

use std::io::{self, Read, Seek, Write};
use std::sync::Arc;

use headcast_core::npy::{NpyError, Stored};
use headcast_core::{FeatureError, FeatureKind, FeatureTrack, ValuesError};

/// Why a file is not a feature track.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FeatureFileError {
    /// Not a readable array.
    #[error(transparent)]
    Npy(#[from] NpyError),
    /// Not of a known extractor, empty, or with values that are no numbers.
    #[error(transparent)]
    Feature(#[from] FeatureError),
    /// The extractor is known, but its axes are in another order.
    #[error(
        "the features have shape {shape:?}, which is {name} with its axes swapped; expected [N, {steps}, {dims}]: \
         save np.transpose(a, {axes}) instead"
    )]
    Transposed {
        /// Shape found.
        shape: Vec<usize>,
        /// The extractor.
        name: &'static str,
        /// Rows in a window.
        steps: usize,
        /// Values in a row.
        dims: usize,
        /// Order of axes that corrects it.
        axes: &'static str,
    },
    /// The extractor is known, but its output was not cut into windows as the avatar needs it.
    #[error(
        "the features have shape {shape:?}; rows of {dims} values are {name}, whose windows are \
         [N, {steps}, {dims}], one per video frame: {advice}"
    )]
    Windows {
        /// Shape found.
        shape: Vec<usize>,
        /// The extractor.
        name: &'static str,
        /// Rows in a window.
        steps: usize,
        /// Values in a row.
        dims: usize,
        /// What to do.
        advice: &'static str,
    },
}

/// Writes a track as upstream's extractor saves it with `numpy.save`, header and all: `[rows, steps, dims]`, float64 for
/// `DeepSpeech`, else float32. What `out` buffers is for the caller to flush.
///
/// # Errors
/// What the system says when the track cannot be read or `out` not written, and that the extractor is damaged when it
/// makes values that are no numbers.
pub fn write_npy(track: &FeatureTrack, out: &mut dyn Write) -> io::Result<()> {
    let kind = track.kind();
    let wide = kind == FeatureKind::DeepSpeech;
    let descr = if wide { "<f8" } else { "<f4" };
    let dict = format!(
        "{{'descr': '{descr}', 'fortran_order': False, 'shape': ({}, {}, {}), }}",
        track.rows(),
        kind.steps(),
        kind.dims()
    );
    // Version 1.0: NumPy fills up with spaces to a multiple of 64, and leaves room for more digits of the first axis.
    const START: usize = 10;
    let room = 21usize.saturating_sub(track.rows().to_string().len());
    let length = (START + dict.len() + room + 1).next_multiple_of(64) - START;
    out.write_all(b"\x93NUMPY\x01\x00")?;
    out.write_all(&u16::try_from(length).map_err(io::Error::other)?.to_le_bytes())?;
    out.write_all(format!("{dict:<width$}\n", width = length - 1).as_bytes())?;
    let mut window = vec![0.0; track.window_len()];
    let mut bytes = Vec::new();
    for row in 0..track.rows() {
        track.window_into(row, &mut window).map_err(|error| match error {
            ValuesError::Io(error) => error,
            error => io::Error::other(format!(
                "the extractor's values cannot be used: {error}; add the model again"
            )),
        })?;
        bytes.clear();
        for &value in &window {
            match wide {
                true => bytes.extend(f64::from(value).to_le_bytes()),
                false => bytes.extend(value.to_le_bytes()),
            }
        }
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Opens a `.npy` feature file: `[N, 16, 29]` (`DeepSpeech`), `[N, 16, 44]` or `[N, 16, 32]` (wav2vec2) or
/// `[N, 2, 1024]` (`HuBERT`), float32 or float64.
///
/// Reads it once to see that every value is a number; the track reads it again. A few megabytes of it are in memory
/// at a time.
///
/// # Errors
/// [`FeatureFileError`]; for a wrong shape it names the extractor that it seems to be of.
pub fn read_npy(file: impl Read + Seek + Send + 'static) -> Result<FeatureTrack, FeatureFileError> {
    let array = Stored::open(file)?;
    match array.shape()[..] {
        [n, steps, dims] if FeatureKind::from_dims(dims).is_some_and(|kind| kind.steps() == steps) => {
            Ok(FeatureTrack::windows([n, steps, dims], Arc::new(array))?)
        }
        _ => Err(explain(array.shape().to_vec())),
    }
}

fn explain(shape: Vec<usize>) -> FeatureFileError {
    let transposed = |kind: FeatureKind, axes| FeatureFileError::Transposed {
        shape: shape.clone(),
        name: kind.describe(),
        steps: kind.steps(),
        dims: kind.dims(),
        axes,
    };
    let windows = |kind: FeatureKind, advice| FeatureFileError::Windows {
        shape: shape.clone(),
        name: kind.describe(),
        steps: kind.steps(),
        dims: kind.dims(),
        advice,
    };
    let kind_of = |dims: usize, steps: usize| FeatureKind::from_dims(dims).filter(|k| k.steps() == steps);
    match shape[..] {
        [_, a, b] => {
            if let Some(kind) = kind_of(a, b) {
                return transposed(kind, "(0, 2, 1)");
            }
            if let Some(kind) = FeatureKind::from_dims(b) {
                return windows(kind, "make the features again with that extractor's own script");
            }
        }
        [_, dims] => {
            if let Some(kind) = FeatureKind::from_dims(dims) {
                return windows(kind, "cut the rows into windows, as that extractor's own script does");
            }
        }
        _ => {}
    }
    match shape[..] {
        [a, b, _] => match (kind_of(b, a), kind_of(a, b)) {
            (Some(kind), _) => return transposed(kind, "(2, 0, 1)"),
            (_, Some(kind)) => return transposed(kind, "(2, 1, 0)"),
            _ => {}
        },
        [1, n, steps, dims] if n > 0 && kind_of(dims, steps).is_some() => {
            if let Some(kind) = kind_of(dims, steps) {
                return windows(kind, "save a[0] instead, without the leading axis");
            }
        }
        _ => {}
    }
    FeatureError::Shape { shape }.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(descr: &str, shape: &str, values: &[u8]) -> Vec<u8> {
        let dict = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}}}");
        let mut out = b"\x93NUMPY\x01\0".to_vec();
        out.extend(u16::try_from(dict.len()).unwrap().to_le_bytes());
        out.extend(dict.as_bytes());
        out.extend(values);
        out
    }

    fn read(bytes: Vec<u8>) -> Result<FeatureTrack, FeatureFileError> {
        read_npy(std::io::Cursor::new(bytes))
    }

    #[test]
    fn the_four_layouts_in_both_precisions() {
        for (steps, dims) in [(16, 29), (16, 44), (16, 32), (2, 1024)] {
            let values: Vec<f64> = (0..3 * steps * dims).map(|i| f64::from(i) / 8.0).collect();
            let f64s: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            #[expect(clippy::cast_possible_truncation, reason = "small test values")]
            let f32s: Vec<u8> = values.iter().flat_map(|v| (*v as f32).to_le_bytes()).collect();
            let shape = format!("(3, {steps}, {dims})");
            for (descr, bytes) in [("<f8", &f64s), ("<f4", &f32s)] {
                let track = read(npy(descr, &shape, bytes)).unwrap();
                assert_eq!((track.rows(), track.kind().dims()), (3, dims as usize));
                let mut window = vec![0.0; track.window_len()];
                track.window_into(2, &mut window).unwrap();
                let expected = &values[2 * window.len()..];
                assert!(window.iter().zip(expected).all(|(found, expected)| f64::from(*found) == *expected));
            }
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for (steps, dims, header) in [(16, 29, "'<f8'"), (16, 44, "'<f4'"), (2, 1024, "'<f4'")] {
            #[expect(clippy::cast_precision_loss, reason = "small test values")]
            let values: Vec<f32> = (0..3 * steps * dims).map(|i| i as f32 / 7.0).collect();
            let track = FeatureTrack::from_windows([3, steps, dims], values.clone()).unwrap();
            let mut file = Vec::new();
            write_npy(&track, &mut file).unwrap();
            assert!(String::from_utf8_lossy(&file[..64]).contains(header));
            let again = read(file).unwrap();
            let mut window = vec![0.0; steps * dims];
            for (row, expected) in values.chunks_exact(steps * dims).enumerate() {
                again.window_into(row, &mut window).unwrap();
                assert_eq!(window, expected);
            }
        }
    }

    #[test]
    fn wrong_shapes_say_what_they_are() {
        let message = |shape: &str, count: usize| {
            let error = read(npy("<f4", shape, &vec![0; count * 4])).unwrap_err();
            error.to_string()
        };
        let transposed = message("(2, 29, 16)", 2 * 29 * 16);
        assert!(transposed.contains("swapped") && transposed.contains("(0, 2, 1)"), "{transposed}");
        assert!(message("(16, 29, 2)", 2 * 29 * 16).contains("(2, 0, 1)"));
        let hubert = message("(1, 16, 1024)", 16 * 1024);
        assert!(hubert.contains("HuBERT") && hubert.contains("[N, 2, 1024]"), "{hubert}");
        assert!(message("(5, 1024)", 5 * 1024).contains("HuBERT"));
        assert!(message("(5, 29)", 5 * 29).contains("DeepSpeech"));
        assert!(message("(1, 2, 16, 44)", 2 * 16 * 44).contains("a[0]"));
        assert!(message("(3, 16, 30)", 3 * 16 * 30).contains("[N, 16, 29]"));
        assert!(message("(0, 16, 29)", 0).contains("no rows"));
        let nan: Vec<u8> = f32::NAN.to_le_bytes().repeat(16 * 29);
        let error = read(npy("<f4", "(1, 16, 29)", &nan)).unwrap_err().to_string();
        assert!(error.contains("NaN in window 0"), "{error}");
        assert!(matches!(read(b"hello".to_vec()).unwrap_err(), FeatureFileError::Npy(NpyError::Magic)));
    }
}
