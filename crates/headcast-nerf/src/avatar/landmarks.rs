//! Eye values of RAD-NeRF's data: how large the eyes are in the landmarks of each frame.

use std::path::Path;

use super::error::AvatarError;
use super::read_bounded;

/// Of upstream's renderer when nothing says how far the eyes are shut.
pub(super) const USUAL_EYE: f32 = 0.25;

/// Folder of the landmarks.
pub(super) const FOLDER: &str = "ori_imgs";

/// Where the landmarks of a frame are in the data folder.
pub(super) fn file(img_id: u32) -> String {
    format!("{FOLDER}/{img_id}.lms")
}

/// Share of the picture that both eyes take up, in percent, from a face-alignment file: 68 lines of `x y`.
///
/// Polygons 36 to 41 and 42 to 47, as upstream's loader measures them.
pub(super) fn eye_area(path: &Path, width: u32, height: u32) -> Result<f32, AvatarError> {
    let bytes = read_bounded(path, MAX_LANDMARKS)?;
    parse(&bytes, f64::from(width) * f64::from(height)).ok_or_else(|| {
        AvatarError::data(
            path.display().to_string(),
            "it is no landmark file of 68 lines with two numbers each; make it again with upstream's \
             data_utils/process.py (task 4), or import with --fix-eye 0.25",
        )
    })
}

#[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32, the range is checked")]
fn parse(bytes: &[u8], pixels: f64) -> Option<f32> {
    let text = str::from_utf8(bytes).ok()?;
    let mut points = Vec::with_capacity(POINTS);
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let mut numbers = line.split_whitespace().map(str::parse::<f64>);
        let (Some(Ok(x)), Some(Ok(y)), None) = (numbers.next(), numbers.next(), numbers.next()) else {
            return None;
        };
        points.push([x, y]);
    }
    if points.len() != POINTS {
        return None;
    }
    let value = (area(&points[36..42]) + area(&points[42..48])) / pixels * 100.0;
    // An eye that fills more than that is no eye; avatars keep values from 0 to 1.
    value.is_finite().then_some(value.clamp(0.0, 1.0) as f32)
}

/// Shoelace formula.
fn area(polygon: &[[f64; 2]]) -> f64 {
    let next = polygon.iter().cycle().skip(1);
    let twice: f64 = polygon.iter().zip(next).map(|(a, b)| a[0] * b[1] - a[1] * b[0]).sum();
    twice.abs() / 2.0
}

const POINTS: usize = 68;
const MAX_LANDMARKS: u64 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn file(eye: impl Fn(usize) -> [f64; 2]) -> String {
        (0..POINTS)
            .map(|i| if (36..48).contains(&i) { eye(i) } else { [0.0; 2] })
            .fold(String::new(), |text, [x, y]| format!("{text}{x:.3} {y:.3}\n"))
    }

    #[test]
    fn eyes_are_measured_in_percent_of_the_picture() {
        // Two 6-point outlines of 4 x 1 pixels.
        let outline = [[0.0, 0.0], [2.0, 0.0], [4.0, 0.0], [4.0, 1.0], [2.0, 1.0], [0.0, 1.0]];
        let text = file(|i| outline[i % 6].map(|v| v + 100.0));
        let value = parse(text.as_bytes(), 40.0 * 20.0).unwrap();
        assert!((value - 1.0).abs() < 1e-6, "{value}");
        let value = parse(text.as_bytes(), 400.0 * 200.0).unwrap();
        assert!((value - 0.01).abs() < 1e-6, "{value}");
    }

    #[test]
    fn other_files_are_refused() {
        let good = file(|_| [1.0, 1.0]);
        assert_eq!(parse(good.as_bytes(), 100.0), Some(0.0));
        for bad in ["", "1 2\n", &good[8..], &format!("{good}1 2\n"), &good.replace("1.000 1.000", "1.0 x")] {
            assert_eq!(parse(bad.as_bytes(), 100.0), None, "{bad:?}");
        }
    }
}
