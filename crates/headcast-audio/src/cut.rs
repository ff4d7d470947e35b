//! The part of a recording that is spoken.

use std::fmt;
use std::time::Duration;

use headcast_core::SampleRate;

/// From an instant of a recording to another one, or to its end. Default is all of it.
///
/// Instants are rounded to the nearest sample of the recording, so a cut at sample instants is exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    start: Duration,
    end: Option<Duration>,
}

/// Why two instants are no cut.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CutError {
    /// Send a plain number of seconds.
    #[error("{name} is {value}; give seconds from the beginning of the recording, such as 1.5")]
    NotAnInstant {
        /// `start` or `end`.
        name: &'static str,
        /// As given.
        value: f64,
    },
    /// Exchange them, or leave one out.
    #[error(
        "the cut starts at {} s and ends at {} s; the end must come after the start", start.as_secs_f64(), end.as_secs_f64()
    )]
    Backwards {
        /// As given.
        start: Duration,
        /// As given.
        end: Duration,
    },
}

impl Cut {
    /// All of a recording.
    pub const WHOLE: Self = Self { start: Duration::ZERO, end: None };

    /// * `end`: `None` is the end of the recording.
    ///
    /// # Errors
    /// [`CutError::Backwards`] where nothing is between them.
    pub fn new(start: Duration, end: Option<Duration>) -> Result<Self, CutError> {
        match end {
            Some(end) if end <= start => Err(CutError::Backwards { start, end }),
            _ => Ok(Self { start, end }),
        }
    }

    /// The same of seconds, as people and programs send them; `None` is the beginning and the end of the recording.
    ///
    /// # Errors
    /// [`CutError`]: for NaN, infinities, what lies before the beginning or beyond a day, and as [`Self::new`].
    pub fn from_secs(start: Option<f64>, end: Option<f64>) -> Result<Self, CutError> {
        let instant = |name, value: f64| match Duration::try_from_secs_f64(value) {
            Ok(instant) if instant <= LATEST => Ok(instant),
            _ => Err(CutError::NotAnInstant { name, value }),
        };
        let start = start.map(|value| instant("start", value)).transpose()?.unwrap_or_default();
        Self::new(start, end.map(|value| instant("end", value)).transpose()?)
    }

    /// Where it begins.
    pub fn start(self) -> Duration {
        self.start
    }

    /// Where it ends; `None` is the end of the recording.
    pub fn end(self) -> Option<Duration> {
        self.end
    }

    /// Whether nothing is cut away.
    pub fn is_whole(self) -> bool {
        self == Self::WHOLE
    }

    /// Length of what is left of a recording of `length`.
    pub(crate) fn of(self, length: Duration) -> Duration {
        self.end.map_or(length, |end| end.min(length)).saturating_sub(self.start)
    }

    /// In samples per channel at `rate`.
    pub(crate) fn samples(self, rate: SampleRate) -> (u64, Option<u64>) {
        let nearest = |at: Duration| {
            let nanos = at.as_nanos() * u128::from(rate.hz()) + 500_000_000;
            u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX)
        };
        (nearest(self.start), self.end.map(nearest))
    }
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {:.3} s to ", self.start.as_secs_f64())?;
        match self.end {
            Some(end) => write!(f, "{:.3} s", end.as_secs_f64()),
            None => f.write_str("the end"),
        }
    }
}

/// Longer than any recording that is accepted.
const LATEST: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_numbers_in_order() {
        assert!(Cut::from_secs(None, None).unwrap().is_whole());
        assert!(Cut::from_secs(Some(0.0), None).unwrap().is_whole());
        let cut = Cut::from_secs(Some(1.5), Some(2.25)).unwrap();
        assert_eq!((cut.start().as_millis(), cut.end().unwrap().as_millis()), (1500, 2250));
        assert_eq!(cut.to_string(), "from 1.500 s to 2.250 s");
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.001, 1e9, 1e300] {
            for (start, end) in [(Some(value), None), (None, Some(value))] {
                let error = Cut::from_secs(start, end).unwrap_err();
                assert!(matches!(error, CutError::NotAnInstant { .. }), "{error}");
                assert!(
                    error.to_string().contains(if start.is_some() { "start is" } else { "end is" }),
                    "{error}"
                );
            }
        }
        for (start, end) in [(2.0, 2.0), (2.0, 1.0), (0.0, 0.0)] {
            let error = Cut::from_secs(Some(start), Some(end)).unwrap_err().to_string();
            assert!(error.contains("must come after"), "{error}");
        }
    }

    #[test]
    fn what_is_left_is_known_before_it_is_heard() {
        let secs = Duration::from_secs;
        let cut = |start, end: Option<u64>| Cut::new(secs(start), end.map(secs)).unwrap();
        assert_eq!(cut(0, None).of(secs(9)), secs(9));
        assert_eq!(cut(2, None).of(secs(9)), secs(7));
        assert_eq!(cut(2, Some(5)).of(secs(9)), secs(3));
        assert_eq!(cut(2, Some(50)).of(secs(9)), secs(7));
        assert_eq!(cut(20, Some(50)).of(secs(9)), secs(0));
        let third = Cut::new(Duration::from_nanos(333_333_333), None).unwrap();
        assert_eq!(third.samples(SampleRate::new(48_000).unwrap()), (16_000, None));
    }
}
