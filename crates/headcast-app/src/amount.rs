//! Spans of time, amounts of bytes, rates and sizes as people type them.

use std::time::Duration;

use headcast::core::FrameRate;

/// `90s`, `15m`, `12h` or `7d`.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
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
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
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

/// How fast frames are made, for people: `12.3 frames/s`, `0.21 frames/s`, `a frame every 40 s`, `a frame every 2.5 min`.
pub(crate) fn pace(fps: f64) -> String {
    let secs = 1.0 / fps;
    if fps >= 0.95 || fps <= 0.0 || !secs.is_finite() {
        format!("{fps:.1} frames/s")
    } else if secs < 10.0 {
        format!("{fps:.2} frames/s")
    } else if secs < 120.0 {
        format!("a frame every {secs:.0} s")
    } else if secs < 7200.0 {
        format!("a frame every {:.1} min", secs / 60.0)
    } else {
        format!("a frame every {:.1} h", secs / 3600.0)
    }
}

/// How many frames a renderer makes per second: `25`, `29.97`.
pub(super) fn speed(text: &str) -> Result<f64, String> {
    let number = text.parse().ok().filter(|fps: &f64| fps.is_finite() && *fps > 0.0);
    number.ok_or_else(|| "use a number above 0, such as 25".to_owned())
}

/// `25`, `29.97` or `30000/1001` frames per second.
pub(crate) fn frame_rate(text: &str) -> Result<FrameRate, String> {
    let wrong = || "use frames per second such as 25, 29.97 or 30000/1001, from 0.5 to 240".to_owned();
    let digits = |text: &str| split(text).1.is_empty().then(|| text.parse::<u32>().ok()).flatten();
    let rate = if let Some((num, den)) = text.split_once('/') {
        digits(num).zip(digits(den))
    } else if let Some((whole, fraction)) = text.split_once('.') {
        let places = u32::try_from(fraction.len()).ok().filter(|places| (1..=6).contains(places));
        let den = places.and_then(|places| 10u32.checked_pow(places));
        let num = den.and_then(|den| digits(whole)?.checked_mul(den)?.checked_add(digits(fraction)?));
        num.zip(den)
    } else {
        digits(text).zip(Some(1))
    };
    let rate = rate.and_then(|(num, den)| FrameRate::new(num, den)).ok_or_else(wrong)?;
    if (0.5..=240.0).contains(&rate.as_f64()) { Ok(rate) } else { Err(wrong()) }
}

/// `512x512`: width and height in pixels.
pub(crate) fn size(text: &str) -> Result<(u32, u32), String> {
    let side = |text: &str| split(text).1.is_empty().then(|| text.parse().ok()).flatten();
    let (width, height) = text.split_once('x').ok_or("use WIDTHxHEIGHT, such as 512x512")?;
    side(width).zip(side(height)).ok_or_else(|| "use WIDTHxHEIGHT, such as 512x512".to_owned())
}

/// The digits and what follows them.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_have_digits_however_slow() {
        let seen = [25.0, 0.95, 0.5, 0.1, 0.025, 1.0 / 150.0, 1.0 / 9000.0, 0.0].map(pace);
        let right = [
            "25.0 frames/s",
            "0.9 frames/s",
            "0.50 frames/s",
            "a frame every 10 s",
            "a frame every 40 s",
            "a frame every 2.5 min",
            "a frame every 2.5 h",
            "0.0 frames/s",
        ];
        assert_eq!(seen, right);
    }

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
    fn rates() {
        let rate = |num, den| Ok(FrameRate::new(num, den).unwrap());
        assert_eq!(frame_rate("25"), rate(25, 1));
        assert_eq!(frame_rate("29.97"), rate(2997, 100));
        assert_eq!(frame_rate("30000/1001"), rate(30_000, 1001));
        assert_eq!(frame_rate("12.50"), rate(25, 2));
        for bad in [
            "",
            "0",
            "25/0",
            "-25",
            "25fps",
            "241",
            "0.4",
            ".5",
            "25.",
            "1e3",
            "25/1/1",
            "9999999999",
            "1.0000001",
        ] {
            assert!(frame_rate(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn sizes() {
        assert_eq!(size("640x360"), Ok((640, 360)));
        for bad in ["", "640", "640x", "x360", "640X360", "-1x2", "640x360x3", "99999999999x1", "640 x 360"] {
            assert!(size(bad).is_err(), "{bad:?}");
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
