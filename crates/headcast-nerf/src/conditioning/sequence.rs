//! Values that accompany the poses: their order beyond the recorded clip, and the eye value.

/// Pose index of frame `frame` when `len` poses are recorded: forwards, backwards, forwards, the end poses
/// shown twice in a row at each turn (`0 … n-1, n-1 … 0, 0 …`).
///
/// # Panics
/// If `len` is 0.
pub fn mirror(frame: u64, len: usize) -> usize {
    assert!(len > 0, "a path has at least one pose");
    let len_u64 = len as u64;
    let (turn, rest) = (frame / len_u64, frame % len_u64);
    let forwards = usize::try_from(rest).expect("the remainder is below `len`");
    if turn.is_multiple_of(2) { forwards } else { len - 1 - forwards }
}

/// Eye value of `OpenFace`'s blink intensity AU45 (0 open to 5): halved and clipped to `[0, 1]`.
pub fn eye_from_au45(intensity: f32) -> f32 {
    intensity.clamp(0.0, 2.0) / 2.0
}

/// Upstream's `--smooth_eye`: every value becomes the mean of itself and its neighbours.
#[expect(clippy::cast_precision_loss, reason = "at most three values")]
pub fn smooth_eye(values: &[f32]) -> Vec<f32> {
    (0..values.len())
        .map(|i| {
            let near = &values[i.saturating_sub(1)..values.len().min(i + 2)];
            near.iter().sum::<f32>() / near.len() as f32
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_play_back_and_forth() {
        let order: Vec<usize> = (0..8).map(|frame| mirror(frame, 3)).collect();
        assert_eq!(order, [0, 1, 2, 2, 1, 0, 0, 1]);
        assert_eq!(mirror(u64::MAX, 1), 0);
    }

    #[test]
    fn eyes_are_clipped_and_averaged_inside_the_clip() {
        assert_eq!([-1.0, 0.5, 3.0].map(eye_from_au45), [0.0, 0.25, 1.0]);
        assert_eq!(smooth_eye(&[0.0, 3.0, 6.0]), [1.5, 3.0, 4.5]);
        assert_eq!(smooth_eye(&[2.0]), [2.0]);
        assert!(smooth_eye(&[]).is_empty());
    }
}
