//! The picture says what the sound says: lip openings of the rendered validation clip against the true ones.
//!
//! The clip (`fixtures/mouth`) is none of the avatar's training data. Lip opening is measured in the picture, as
//! for the truth: pixels of the mouth box with R - B < 30, which teeth and mouth interior have and skin has not.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod common;

use std::sync::Arc;

use common::{correlation, listen, milo, renderer, repository, wav};
use headcast::core::npy::Array;
use headcast::core::{FeatureKind, FeatureTrack, FrameIndex, Pose, RgbImage, Spools};
use headcast::nerf::Renderer;
use headcast::nerf::avatar::Avatar;
use headcast::nerf::conditioning::ngp_pose;
use headcast::{Features, FrameSource, TalkingHead};

/// Every fourth frame is looked at; truth exists for all, so any lag can be tried.
const STRIDE: usize = 4;

#[derive(Debug)]
struct Truth {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
    opening: f64,
    eye: f32,
    pose: Pose,
}

fn truth() -> Vec<Truth> {
    let bytes = std::fs::read(repository().join("fixtures/mouth/truth.npy")).unwrap();
    let array = Array::read_f32(&bytes).unwrap();
    assert_eq!(array.shape, [300, 18]);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole pixels")]
    let row = |row: &[f32]| Truth {
        left: row[0] as u32,
        top: row[1] as u32,
        right: row[2] as u32,
        bottom: row[3] as u32,
        opening: f64::from(row[4]),
        eye: row[5],
        pose: ngp_pose([
            row[6..10].try_into().unwrap(),
            row[10..14].try_into().unwrap(),
            row[14..18].try_into().unwrap(),
            [0.0, 0.0, 0.0, 1.0],
        ]),
    };
    array.data.chunks(18).map(row).collect()
}

/// The avatar, moving as the person of the clip did.
fn avatar(truth: &[Truth]) -> Avatar {
    let mut avatar = milo();
    avatar.poses = truth.iter().map(|t| t.pose).collect();
    avatar.eyes = truth.iter().map(|t| t.eye).collect();
    avatar
}

fn opening(image: &RgbImage, truth: &Truth) -> f64 {
    let open = (truth.top..truth.bottom)
        .flat_map(|y| (truth.left..truth.right).map(move |x| (x, y)))
        .filter(|&(x, y)| {
            let [r, _, b] = image.pixel(x, y);
            i16::from(r) - i16::from(b) < 30
        })
        .count();
    f64::from(u32::try_from(open).unwrap())
}

/// Lip openings of every [`STRIDE`]th frame with these features.
fn speak(renderer: &Arc<Renderer>, features: &FeatureTrack, truth: &[Truth]) -> Vec<(usize, f64)> {
    let head =
        TalkingHead::new(Arc::clone(renderer), features, truth.len() as u64, &Spools::in_memory()).unwrap();
    let mut image = RgbImage::filled(512, 512, [0; 3]).unwrap();
    let looked_at = (0..truth.len()).step_by(STRIDE);
    looked_at
        .map(|i| {
            head.render(FrameIndex(i as u64), &mut image).unwrap();
            (i, opening(&image, &truth[i]))
        })
        .collect()
}

/// Correlation with the truth `lag` frames later.
fn at_lag(rendered: &[(usize, f64)], truth: &[Truth], lag: i64) -> f64 {
    let (found, expected): (Vec<f64>, Vec<f64>) = rendered
        .iter()
        .filter_map(|&(i, opening)| {
            let j = usize::try_from(i64::try_from(i).unwrap() + lag).ok()?;
            Some((opening, truth.get(j)?.opening))
        })
        .unzip();
    correlation(&found, &expected)
}

fn best_lag(rendered: &[(usize, f64)], truth: &[Truth]) -> i64 {
    (-6..=6).max_by(|a, b| at_lag(rendered, truth, *a).total_cmp(&at_lag(rendered, truth, *b))).unwrap()
}

/// The features `by` frames late, wrapped around.
fn late(features: &FeatureTrack, by: usize) -> FeatureTrack {
    let (rows, len) = (features.rows(), features.window_len());
    let mut data = vec![0.0; rows * len];
    for (row, window) in data.chunks_mut(len).enumerate() {
        features.window_into((row + rows - by) % rows, window).unwrap();
    }
    FeatureTrack::from_windows([rows, 16, 29], data).unwrap()
}

#[test]
fn lips_follow_the_sound() {
    let truth = truth();
    let renderer = renderer(avatar(&truth));
    let given = std::fs::File::open(repository().join("fixtures/mouth/features.npy")).unwrap();
    let given = headcast::audio::features::read_npy(given).unwrap();
    assert_eq!(given.kind(), FeatureKind::DeepSpeech);

    let rendered = speak(&renderer, &given, &truth);
    let r = at_lag(&rendered, &truth, 0);
    println!("timeline-made features: r {r:.3} at lag 0, best lag {}", best_lag(&rendered, &truth));
    assert!(r >= 0.95, "timeline-made features: r {r:.3}");
    assert_eq!(best_lag(&rendered, &truth), 0);

    // From the bare recording, through the program's own ears.
    let recording = std::fs::read(repository().join("fixtures/mouth/val.wav")).unwrap();
    let speech = listen(recording, Features::BuiltIn).unwrap();
    assert_eq!(speech.timeline.frames(), truth.len() as u64);
    let rendered = speak(&renderer, &speech.features, &truth);
    let r = at_lag(&rendered, &truth, 0);
    println!("bare recording: r {r:.3} at lag 0, best lag {}", best_lag(&rendered, &truth));
    assert!(r >= 0.75, "bare recording: r {r:.3}");
    assert_eq!(best_lag(&rendered, &truth), 0);

    // Controls: what is three frames late is seen to be, and another passage is no match.
    let rendered = speak(&renderer, &late(&given, 3), &truth);
    assert_eq!(best_lag(&rendered, &truth), -3);
    let rendered = speak(&renderer, &late(&given, 97), &truth);
    let r = at_lag(&rendered, &truth, 0);
    println!("wrong passage: r {r:.3}");
    assert!(r.abs() < 0.35, "wrong passage: r {r:.3}");
}

#[test]
fn the_mouth_is_closed_in_silence() {
    let truth = truth();
    let renderer = renderer(avatar(&truth));
    let speech = listen(wav(16_000, &[0.0; 12 * 16_000]), Features::BuiltIn).unwrap();
    let rendered = speak(&renderer, &speech.features, &truth);
    let widest = rendered.iter().map(|(_, opening)| *opening).fold(0.0, f64::max);
    println!("silence: at most {widest} px open");
    // Words open it by up to 480 px.
    assert!(widest <= 20.0, "{widest} px open in silence");
}
