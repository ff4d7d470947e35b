//! Spans of time, amounts of bytes and speeds as people type them.

use std::time::Duration;

/// `90s`, `15m`, `12h` or `7d`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let (number, unit) = split(text);
    let secs = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => return Err("use a whole number with s, m, h or d, such as 7d".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_no_number| "begin with a whole number, such as 7d".to_owned())?;
    number.checked_mul(secs).map(Duration::from_secs).ok_or_else(|| "that is too long".to_owned())
}

/// `500M`, `20G`, `1T`: powers of a thousand, as disks are sold; without a letter, bytes.
pub(super) fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor = match unit {
        "" => 1,
        "K" | "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        _ => return Err("use a whole number with K, M, G or T, such as 20G".to_owned()),
    };
    let number: u64 =
        number.parse().map_err(|_no_number| "begin with a whole number, such as 20G".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "that is too much".to_owned())
}

/// Frames per second: `25`, `29.97`.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|fps: &f64| fps.is_finite() && *fps > 0.0);
    number.ok_or_else(|| "use a number above 0, such as 25".to_owned())
}

/// The digits and what follows them.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("7d"), Ok(Duration::from_secs(7 * 86400)));
        assert_eq!(duration("0m"), Ok(Duration::ZERO));
        assert_eq!(duration("12h"), Ok(Duration::from_secs(12 * 3600)));
        for bad in
            ["", "7", "d", "7 d", "-7d", "1.5d", "7w", "7dd", "99999999999999999999d", "999999999999999999d"]
        {
            assert!(duration(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn speeds() {
        assert_eq!(speed("29.97"), Ok(29.97));
        for bad in ["", "0", "-1", "inf", "NaN", "25fps"] {
            assert!(speed(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn amounts() {
        assert_eq!(bytes("1000"), Ok(1000));
        assert_eq!(bytes("20G"), Ok(20_000_000_000));
        assert_eq!(bytes("5k"), Ok(5000));
        for bad in ["", "G", "20GB", "-1", "1.5G", "20 G", "99999999999999999999", "99999999999T"] {
            assert!(bytes(bad).is_err(), "{bad:?}");
        }
    }
}
