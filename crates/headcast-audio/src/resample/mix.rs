//! Fewer channels: stereo for the video, mono for the features.

use symphonia::core::audio::{Channels, Position};

/// Where one channel of a file is heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Left,
    Right,
    /// In both: centre, rear centre, top centre.
    Centre,
    /// Beside or behind the listener, or above on that side.
    SideLeft,
    SideRight,
    /// Low-frequency effects: left out, as ITU-R BS.775 does.
    Lfe,
}

/// The channels of a file, in the order of its samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Layout(Vec<Place>);

impl Layout {
    /// By the positions that the file names, else by their number in the order of WAVE files.
    pub(crate) fn of(channels: &Channels) -> Self {
        match channels {
            Channels::Positioned(positions) => Self(positions.iter().map(place).collect()),
            other => Self::wave(other.count()),
        }
    }

    /// Order of WAVE files without a channel mask.
    pub(crate) fn wave(count: usize) -> Self {
        use Place::{Centre, Left, Lfe, Right, SideLeft, SideRight};
        Self(match count {
            1 => vec![Centre],
            2 => vec![Left, Right],
            3 => vec![Left, Right, Centre],
            4 => vec![Left, Right, SideLeft, SideRight],
            5 => vec![Left, Right, Centre, SideLeft, SideRight],
            6 => vec![Left, Right, Centre, Lfe, SideLeft, SideRight],
            7 => vec![Left, Right, Centre, Lfe, Centre, SideLeft, SideRight],
            _ => vec![Left, Right, Centre, Lfe, SideLeft, SideRight, SideLeft, SideRight],
        })
    }

    /// Order of Opus and Vorbis streams (Vorbis I §4.3.9).
    pub(crate) fn vorbis(count: usize) -> Self {
        use Place::{Centre, Left, Lfe, Right, SideLeft, SideRight};
        Self(match count {
            3 => vec![Left, Centre, Right],
            5 => vec![Left, Centre, Right, SideLeft, SideRight],
            6 => vec![Left, Centre, Right, SideLeft, SideRight, Lfe],
            7 => vec![Left, Centre, Right, SideLeft, SideRight, Centre, Lfe],
            8 => vec![Left, Centre, Right, SideLeft, SideRight, SideLeft, SideRight, Lfe],
            count => return Self::wave(count),
        })
    }

    pub(crate) fn channels(&self) -> usize {
        self.0.len()
    }
}

fn place(position: Position) -> Place {
    let left = Position::REAR_LEFT
        | Position::SIDE_LEFT
        | Position::TOP_FRONT_LEFT
        | Position::TOP_REAR_LEFT
        | Position::TOP_SIDE_LEFT
        | Position::FRONT_LEFT_WIDE
        | Position::BOTTOM_FRONT_LEFT;
    let right = Position::REAR_RIGHT
        | Position::SIDE_RIGHT
        | Position::TOP_FRONT_RIGHT
        | Position::TOP_REAR_RIGHT
        | Position::TOP_SIDE_RIGHT
        | Position::FRONT_RIGHT_WIDE
        | Position::BOTTOM_FRONT_RIGHT;
    match position {
        p if (Position::FRONT_LEFT | Position::FRONT_LEFT_CENTER).contains(p) => Place::Left,
        p if (Position::FRONT_RIGHT | Position::FRONT_RIGHT_CENTER).contains(p) => Place::Right,
        p if (Position::LFE1 | Position::LFE2).contains(p) => Place::Lfe,
        p if left.contains(p) => Place::SideLeft,
        p if right.contains(p) => Place::SideRight,
        _ => Place::Centre,
    }
}

/// Mixes interleaved frames of one layout.
///
/// More than two channels become stereo with the coefficients of ITU-R BS.775-3 annex 4: front channels at
/// 1, centre and surround at 1/√2 (the side they are on, or both), LFE left out; then both sides are divided
/// by the larger sum, so that full scale everywhere does not clip.
#[derive(Debug)]
pub(crate) struct Mixer {
    channels: usize,
    /// Gains to left and right; `None` for mono and stereo, which pass unchanged.
    stereo: Option<Vec<[f32; 2]>>,
}

impl Mixer {
    pub(crate) fn new(layout: &Layout) -> Self {
        let channels = layout.channels();
        let stereo = (channels > 2).then(|| {
            let half = std::f32::consts::FRAC_1_SQRT_2;
            let gains: Vec<[f32; 2]> = layout
                .0
                .iter()
                .map(|place| match place {
                    Place::Left => [1.0, 0.0],
                    Place::Right => [0.0, 1.0],
                    Place::Centre => [half, half],
                    Place::SideLeft => [half, 0.0],
                    Place::SideRight => [0.0, half],
                    Place::Lfe => [0.0, 0.0],
                })
                .collect();
            let sum = |side: usize| gains.iter().map(|gain| gain[side]).sum::<f32>();
            let scale = 1.0 / sum(0).max(sum(1)).max(1.0);
            gains.iter().map(|gain| gain.map(|g| g * scale)).collect()
        });
        Self { channels, stereo }
    }

    /// At most two interleaved channels, in `out` unless `input` has no more than that itself.
    pub(crate) fn for_video<'a>(&self, input: &'a [f32], out: &'a mut Vec<f32>) -> &'a [f32] {
        let Some(gains) = &self.stereo else { return input };
        out.clear();
        for frame in input.chunks_exact(self.channels) {
            let side = |side: usize| frame.iter().zip(gains).map(|(v, gain)| v * gain[side]).sum::<f32>();
            out.extend([side(0), side(1)]);
        }
        out
    }

    /// The mean of all channels, in `out` unless there is only one.
    pub(crate) fn for_features<'a>(&self, input: &'a [f32], out: &'a mut Vec<f32>) -> &'a [f32] {
        if self.channels == 1 {
            return input;
        }
        #[expect(clippy::cast_precision_loss, reason = "at most 8 channels")]
        let scale = 1.0 / self.channels as f32;
        out.clear();
        out.extend(input.chunks_exact(self.channels).map(|frame| frame.iter().sum::<f32>() * scale));
        out
    }

    /// The first channel, in `out` unless there is only one.
    pub(crate) fn first<'a>(&self, input: &'a [f32], out: &'a mut Vec<f32>) -> &'a [f32] {
        if self.channels == 1 {
            return input;
        }
        out.clear();
        out.extend(input.iter().step_by(self.channels));
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn surround_folds_to_both_sides_and_cannot_clip() {
        let mixer = Mixer::new(&Layout::wave(6));
        let mut out = Vec::new();
        let total = 1.0 + 2.0 * std::f32::consts::FRAC_1_SQRT_2;
        let close = |a: f32, b: f32| (a - b).abs() < 1e-6;
        // Left only, then LFE only, then everything.
        let input = [[1.0, 0.0, 0.0, 0.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0, 0.0, 0.0], [1.0; 6]].concat();
        let mixed = mixer.for_video(&input, &mut out);
        assert!(close(mixed[0], 1.0 / total) && mixed[1] == 0.0);
        assert_eq!(mixed[2..4], [0.0, 0.0]);
        assert!(close(mixed[4], 1.0) && close(mixed[5], 1.0));
        // Control: the same samples in the order of Opus are other places.
        let mut other = Vec::new();
        let opus = Mixer::new(&Layout::vorbis(6));
        assert_ne!(opus.for_video(&input, &mut other)[2..4], [0.0, 0.0]);
    }

    #[test]
    fn mono_and_stereo_pass_and_features_hear_the_mean() {
        let mut out = Vec::new();
        assert_eq!(Mixer::new(&Layout::wave(2)).for_video(&[0.5, -0.5], &mut out), [0.5, -0.5]);
        assert_eq!(Mixer::new(&Layout::wave(2)).for_features(&[0.5, 0.25], &mut out), [0.375]);
        assert_eq!(Mixer::new(&Layout::wave(1)).for_features(&[0.5, 0.25], &mut out), [0.5, 0.25]);
        assert_eq!(Mixer::new(&Layout::wave(2)).first(&[0.5, 0.25, 0.75, 1.0], &mut out), [0.5, 0.75]);
    }
}
