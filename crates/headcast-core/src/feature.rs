//! What each video frame hears: audio features, whatever extractor made them and wherever they are kept.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::lazy::{Lazy, Maker, Stop};
use crate::spool::{Spool, Spools};

/// Which extractor an avatar was trained with; fixed by the width of its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FeatureKind {
    /// 29 letter scores: DeepSpeech 0.1.0, or headcast's built-in model of the same shape.
    DeepSpeech,
    /// 44 letter scores: wav2vec2 `cpierse/wav2vec2-large-xlsr-53-esperanto`.
    Wav2Vec2Esperanto,
    /// 32 letter scores: another English wav2vec2 CTC model.
    Wav2Vec2,
    /// 1024 hidden values: `facebook/hubert-large-ls960-ft`.
    Hubert,
}

impl FeatureKind {
    /// The kind with rows of `dims` values; `None` for a width no extractor makes.
    pub fn from_dims(dims: usize) -> Option<Self> {
        Some(match dims {
            29 => Self::DeepSpeech,
            44 => Self::Wav2Vec2Esperanto,
            32 => Self::Wav2Vec2,
            1024 => Self::Hubert,
            _ => return None,
        })
    }

    /// Values in a row.
    pub fn dims(self) -> usize {
        match self {
            Self::DeepSpeech => 29,
            Self::Wav2Vec2Esperanto => 44,
            Self::Wav2Vec2 => 32,
            Self::Hubert => 1024,
        }
    }

    /// Rows in one frame's window: 2 for HuBERT, else 16.
    pub fn steps(self) -> usize {
        if self == Self::Hubert { 2 } else { 16 }
    }

    /// What a user calls it, with the exact model.
    pub fn describe(self) -> &'static str {
        match self {
            Self::DeepSpeech => "DeepSpeech 0.1.0 (29 values, `aud_ds.npy`)",
            Self::Wav2Vec2Esperanto => {
                "wav2vec2 cpierse/wav2vec2-large-xlsr-53-esperanto (44 values, `aud_eo.npy`)"
            }
            Self::Wav2Vec2 => "wav2vec2 facebook/wav2vec2-large-960h-lv60-self (32 values, `aud.npy`)",
            Self::Hubert => "HuBERT facebook/hubert-large-ls960-ft (1024 values, `aud_hu.npy`)",
        }
    }
}

/// Why values are not a feature track.
#[derive(Debug, thiserror::Error, PartialEq)]
#[non_exhaustive]
pub enum FeatureError {
    /// Make the features again from a clip that has sound.
    #[error("the features have no rows; make them again from a clip that holds speech")]
    Empty,
    /// Use one of the extractors named in the message.
    #[error(
        "the features have shape {shape:?}; expected [N, 16, 29] (DeepSpeech), [N, 16, 44] or [N, 16, 32] \
         (wav2vec2) or [N, 2, 1024] (HuBERT), one window per video frame"
    )]
    Shape {
        /// Shape found.
        shape: Vec<usize>,
    },
    /// The extractor went wrong: make the features again.
    #[error("the features hold {value} in window {window}; make them again, every value must be finite")]
    NotFinite {
        /// First window with such a value.
        window: usize,
        /// The value.
        value: f32,
    },
    /// Look at the disk.
    #[error("the features cannot be read: {reason}")]
    Unreadable {
        /// What the system said.
        reason: String,
    },
}

/// Why values cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ValuesError {
    /// What the system says: look at the disk. [`io::ErrorKind::UnexpectedEof`] when fewer are there than were asked for.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// What makes them is damaged.
    #[error("they hold {value} where every value must be finite")]
    NotFinite {
        /// The first such value.
        value: f32,
    },
    /// Nothing: whoever asked for them gave up.
    #[error("cancelled")]
    Stopped,
}

impl ValuesError {
    pub(crate) fn past_end() -> Self {
        Self::Io(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Numbers that need not be in memory.
pub trait Values: Send + Sync + fmt::Debug {
    /// How many there are.
    fn count(&self) -> u64;

    /// Fills `out` with those from number `at` on.
    ///
    /// # Errors
    /// [`ValuesError`].
    fn read(&self, at: u64, out: &mut [f32]) -> Result<(), ValuesError>;

    /// As [`Self::read`], for a caller who may want to give up where values are made when they are read.
    ///
    /// * `stop`: by default not asked.
    ///
    /// # Errors
    /// As [`Self::read`], and [`ValuesError::Stopped`] when `stop` said so.
    fn read_until(&self, at: u64, stop: &Stop<'_>, out: &mut [f32]) -> Result<(), ValuesError> {
        let _ = stop;
        self.read(at, out)
    }
}

impl Values for Vec<f32> {
    fn count(&self) -> u64 {
        self.len() as u64
    }

    fn read(&self, at: u64, out: &mut [f32]) -> Result<(), ValuesError> {
        let at = usize::try_from(at).ok().and_then(|at| self.get(at..at.checked_add(out.len())?));
        out.copy_from_slice(at.ok_or_else(ValuesError::past_end)?);
        Ok(())
    }
}

impl Values for Spool {
    fn count(&self) -> u64 {
        self.len() / 4
    }

    fn read(&self, at: u64, out: &mut [f32]) -> Result<(), ValuesError> {
        Ok(self.read_f32s(at, out)?)
    }
}

/// Audio features of a clip: one window of `[steps, dims]` values per video frame.
///
/// **The one rule for rows against frames.** For a clip of N frames, window `i` exists for every `i < N`:
/// rows past the last one repeat it, nothing is ever shifted. Rows beyond N are kept and may be heard by
/// the neighbourhood of the last frames. Before row 0, and past both N and the last row, there is silence:
/// all values zero. [`FeatureTrack::row_at`] is the only place that knows this.
#[derive(Debug, Clone)]
pub struct FeatureTrack {
    kind: FeatureKind,
    layout: Layout,
    rows: usize,
    values: Arc<dyn Values>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Layout {
    /// `[rows, steps, dims]`, as upstream's `.npy` files hold them.
    Windows,
    /// `[2 × rows, dims]` at 50 Hz; window i is rows `2i - 8 .. 2i + 8`, zero outside. A sixteenth of
    /// the room of the windows it stands for.
    Scores,
}

/// Values looked at together when a track is checked.
const CHECKED: usize = 1 << 14;

impl FeatureTrack {
    /// Windows as upstream stores them, in memory.
    ///
    /// * `shape`: `[rows, steps, dims]`; `data`: that many values, row-major.
    ///
    /// # Errors
    /// [`FeatureError`] when the shape is of no known extractor, there is no row, or a value is not finite.
    ///
    /// # Panics
    /// If `data` has not `rows × steps × dims` values.
    pub fn from_windows(shape: [usize; 3], data: Vec<f32>) -> Result<Self, FeatureError> {
        Self::windows(shape, Arc::new(data))
    }

    /// As [`Self::from_windows`], wherever the values are. Reads each of them once to see that it is a number.
    ///
    /// # Errors
    /// As [`Self::from_windows`], and [`FeatureError::Unreadable`].
    ///
    /// # Panics
    /// As [`Self::from_windows`].
    pub fn windows(shape: [usize; 3], values: Arc<dyn Values>) -> Result<Self, FeatureError> {
        let (kind, rows) = Self::windowed(shape, values.count())?;
        Self::checked(kind, Layout::Windows, rows, values)
    }

    /// As [`Self::windows`], of values that are made when they are read: none of them yet. One that is no number is an
    /// error when it is read.
    ///
    /// * `spools`: where those that were made are put aside.
    ///
    /// # Errors
    /// [`FeatureError::Shape`] and [`FeatureError::Empty`].
    ///
    /// # Panics
    /// As [`Self::from_windows`].
    pub fn lazy_windows(
        shape: [usize; 3],
        maker: impl Maker<Error = ValuesError> + 'static,
        spools: &Spools,
    ) -> Result<Self, FeatureError> {
        let (kind, rows) = Self::windowed(shape, maker.count())?;
        Self::unchecked(kind, Layout::Windows, rows, Arc::new(Lazy::new(maker, spools)))
    }

    fn windowed(shape: [usize; 3], count: u64) -> Result<(FeatureKind, usize), FeatureError> {
        let [rows, steps, dims] = shape;
        let kind = FeatureKind::from_dims(dims)
            .filter(|kind| kind.steps() == steps)
            .ok_or_else(|| FeatureError::Shape { shape: shape.to_vec() })?;
        assert_eq!(count, (rows * steps * dims) as u64, "the values must fill the shape");
        Ok((kind, rows))
    }

    /// Scores at 50 Hz, two rows per 25 fps frame, from which windows are cut on demand.
    ///
    /// * `values`: `[2 × rows, dims]`, row-major.
    ///
    /// # Errors
    /// As [`Self::windows`].
    ///
    /// # Panics
    /// If `values` is not a whole number of row pairs, or `kind` is not one of 16 steps.
    pub fn scores(kind: FeatureKind, values: Arc<dyn Values>) -> Result<Self, FeatureError> {
        let rows = Self::scored(kind, values.count());
        Self::checked(kind, Layout::Scores, rows, values)
    }

    /// As [`Self::scores`], of values that are made when they are read: none of them yet. One that is no number is an
    /// error when it is read.
    ///
    /// * `spools`: where those that were made are put aside.
    ///
    /// # Errors
    /// [`FeatureError::Empty`].
    ///
    /// # Panics
    /// As [`Self::scores`].
    pub fn lazy_scores(
        kind: FeatureKind,
        maker: impl Maker<Error = ValuesError> + 'static,
        spools: &Spools,
    ) -> Result<Self, FeatureError> {
        let rows = Self::scored(kind, maker.count());
        Self::unchecked(kind, Layout::Scores, rows, Arc::new(Lazy::new(maker, spools)))
    }

    fn scored(kind: FeatureKind, count: u64) -> usize {
        assert_eq!(kind.steps(), 16, "scores are for kinds with windows of 16 steps");
        let per_row = 2 * kind.dims() as u64;
        assert!(count.is_multiple_of(per_row), "scores come in pairs of rows");
        usize::try_from(count / per_row).unwrap_or(usize::MAX)
    }

    fn unchecked(
        kind: FeatureKind,
        layout: Layout,
        rows: usize,
        values: Arc<dyn Values>,
    ) -> Result<Self, FeatureError> {
        if rows == 0 { Err(FeatureError::Empty) } else { Ok(Self { kind, layout, rows, values }) }
    }

    fn checked(
        kind: FeatureKind,
        layout: Layout,
        rows: usize,
        values: Arc<dyn Values>,
    ) -> Result<Self, FeatureError> {
        if rows == 0 {
            return Err(FeatureError::Empty);
        }
        let count = values.count();
        let per_row = count / rows as u64;
        let mut block = vec![0.0; CHECKED];
        let mut at = 0;
        while at < count {
            let now = usize::try_from(count - at).map_or(CHECKED, |left| left.min(CHECKED));
            let block = &mut block[..now];
            values.read(at, block).map_err(|error| FeatureError::Unreadable { reason: error.to_string() })?;
            if let Some(i) = block.iter().position(|v| !v.is_finite()) {
                let window = usize::try_from((at + i as u64) / per_row).unwrap_or(usize::MAX);
                return Err(FeatureError::NotFinite { window, value: block[i] });
            }
            at += now as u64;
        }
        Ok(Self { kind, layout, rows, values })
    }

    /// Which extractor made it.
    pub fn kind(&self) -> FeatureKind {
        self.kind
    }

    /// Number of windows the extractor made.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// `steps × dims`: values in one window.
    pub fn window_len(&self) -> usize {
        self.kind.steps() * self.kind.dims()
    }

    /// The row heard at position `at` (in frames, may be negative) of a clip of `frames` frames; `None` is
    /// silence. See the rule above.
    pub fn row_at(&self, at: i64, frames: u64) -> Option<usize> {
        let at = u64::try_from(at).ok()?;
        let rows = self.rows() as u64;
        if at < rows {
            usize::try_from(at).ok()
        } else if at < frames {
            Some(self.rows() - 1)
        } else {
            None
        }
    }

    /// Copies window `row` into `out`, `[steps, dims]` row-major.
    ///
    /// # Errors
    /// [`ValuesError`] when the values are not in memory and cannot be read or made.
    ///
    /// # Panics
    /// If `row` is not below [`Self::rows`] or `out` is not [`Self::window_len`] long.
    pub fn window_into(&self, row: usize, out: &mut [f32]) -> Result<(), ValuesError> {
        self.window_until(row, &|| false, out)
    }

    /// As [`Self::window_into`], for a caller who may want to give up: values that are made when they are read may take
    /// seconds.
    ///
    /// # Errors
    /// As [`Self::window_into`], and [`ValuesError::Stopped`] when `stop` said so.
    ///
    /// # Panics
    /// As [`Self::window_into`].
    pub fn window_until(&self, row: usize, stop: &Stop<'_>, out: &mut [f32]) -> Result<(), ValuesError> {
        let len = self.window_len();
        assert_eq!(out.len(), len, "out must hold one window");
        assert!(row < self.rows, "window {row} of {}", self.rows);
        match self.layout {
            Layout::Windows => self.values.read_until(row as u64 * len as u64, stop, out),
            Layout::Scores => {
                let dims = self.kind.dims();
                // Steps of the window before the clip, and those up to its end.
                let before = 8usize.saturating_sub(2 * row);
                let end = (2 * (self.rows - row) + 8).min(16);
                let first = (2 * row + before - 8) as u64;
                out[..before * dims].fill(0.0);
                out[end * dims..].fill(0.0);
                self.values.read_until(first * dims as u64, stop, &mut out[before * dims..end * dims])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(rows: usize) -> FeatureTrack {
        #[expect(clippy::cast_precision_loss, reason = "small test values")]
        let data: Vec<f32> = (0..rows * 2 * 29).map(|i| (i / 29) as f32 + 1.0).collect();
        FeatureTrack::scores(FeatureKind::DeepSpeech, Arc::new(data)).unwrap()
    }

    #[test]
    fn rows_are_clamped_at_the_end_and_silent_outside() {
        let track = scores(5);
        let row = |at| track.row_at(at, 7);
        assert_eq!([row(-1), row(0), row(4), row(6), row(7)], [None, Some(0), Some(4), Some(4), None]);
        // More rows than frames: the last frames' neighbourhood hears them.
        assert_eq!(track.row_at(4, 3), Some(4));
        assert_eq!(track.row_at(5, 3), None);
    }

    #[test]
    fn windows_of_scores_are_centred_on_the_frame() {
        let track = scores(20);
        let mut window = vec![0.0; 16 * 29];
        track.window_into(0, &mut window).unwrap();
        let first: Vec<f32> = window.iter().step_by(29).copied().collect();
        assert_eq!(first[..9], [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0]);
        track.window_into(19, &mut window).unwrap();
        assert_eq!(window[0], 31.0);
        assert_eq!(window[9 * 29], 40.0);
        assert_eq!(window[10 * 29..], [0.0; 6 * 29]);
    }

    #[test]
    fn wrong_shapes_name_the_right_ones() {
        let error = FeatureTrack::from_windows([1, 16, 1024], vec![0.0; 16 * 1024]).unwrap_err();
        assert!(error.to_string().contains("[N, 2, 1024] (HuBERT)"), "{error}");
        let error = FeatureTrack::from_windows([1, 16, 29], vec![f32::NAN; 16 * 29]).unwrap_err();
        assert!(matches!(error, FeatureError::NotFinite { window: 0, .. }));
        let error = FeatureTrack::from_windows([0, 16, 29], vec![]).unwrap_err();
        assert_eq!(error, FeatureError::Empty);
    }
}
