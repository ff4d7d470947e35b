//! Random weights at upstream's default sizes: what a user's file asks of the importer and the renderers.

use std::num::NonZero;
use std::sync::Arc;

use headcast_core::{FeatureKind, FeatureTrack, FrameIndex, RgbImage, Spools};
use headcast_nerf::avatar::{Avatar, ImportRequest, import};
use headcast_nerf::{Renderer, Settings};

use crate::avatars::Subject;
use crate::build::*;

/// Weights small enough that no layer runs away.
fn calm(state: &mut [Tensor]) {
    for tensor in state.iter_mut().filter(|t| t.class == "FloatStorage" && t.name != "aabb_infer") {
        for value in tensor.bytes.as_chunks_mut::<4>().0 {
            *value = (0.3 * f32::from_le_bytes(*value)).to_le_bytes();
        }
    }
}

/// What upstream's `latest` files hold besides.
fn latest(mut state: Vec<Tensor>) -> Vec<u8> {
    calm(&mut state);
    let ids = state.iter_mut().find(|tensor| tensor.name == "individual_codes").unwrap();
    *ids = Tensor::floats("individual_codes", &[10_000, 4], &vec![0.1; 40_000]);
    state.push(Tensor::floats("density_grid", &[1, 2_097_152], &vec![-1.0; 2_097_152]));
    let moments = Py::Dict(vec![(text("state"), Py::Dict(vec![])), (text("lr"), Py::Float(5e-4))]);
    torch_zip(&checkpoint(state, &[("optimizer", moments)]))
}

/// Imports, hears six windows of noise, and renders a frame; the picture must show more than the background.
fn imports_and_renders(subject: &Subject, request: &ImportRequest, kind: FeatureKind) {
    let report = import(request, &subject.library()).unwrap();
    assert!(report.avatar.problems.is_empty(), "{report}");
    let avatar = Arc::new(Avatar::load(&report.path).unwrap());
    let settings = Settings { threads: NonZero::new(2), ..Settings::default() };
    let renderer = Renderer::new(Arc::clone(&avatar), &settings).unwrap();
    let window = kind.steps() * kind.dims();
    let noise = (0..6 * window).map(|i| (i * 7919 % 1000) as f32 / 500.0 - 1.0).collect();
    let track = FeatureTrack::from_windows([6, kind.steps(), kind.dims()], noise).unwrap();
    let clip = renderer.clip(&track, 6, &Spools::in_memory()).unwrap();
    let mut out = RgbImage::filled(avatar.width, avatar.height, [0; 3]).unwrap();
    let stats = renderer.render(&clip, FrameIndex(4), &mut out).unwrap();
    assert!(stats.samples > 100, "{stats:?}");
    assert_ne!(out, avatar.background, "something is in front of the background");
    let mut again = RgbImage::filled(avatar.width, avatar.height, [9; 3]).unwrap();
    renderer.render(&clip, FrameIndex(4), &mut again).unwrap();
    assert_eq!(again, out);
}

#[test]
fn er_nerf_at_default_sizes() {
    let subject = Subject::new(true);
    let file = latest(er_state_of(true, DEFAULT));
    assert!((15_000_000..17_000_000).contains(&file.len()), "{} bytes", file.len());
    subject.put("ngp.pth", &file);
    imports_and_renders(&subject, &subject.request(), FeatureKind::DeepSpeech);
}

#[test]
fn rad_nerf_at_default_sizes() {
    let subject = Subject::new(true);
    let file = latest(rad_state_of(true, DEFAULT));
    assert!((24_000_000..28_000_000).contains(&file.len()), "{} bytes", file.len());
    subject.put("ngp.pth", &file);
    imports_and_renders(&subject, &subject.request(), FeatureKind::Wav2Vec2Esperanto);
}

#[test]
fn ad_nerf_at_default_sizes() {
    let subject = Subject::new(true);
    for (file, signal) in [("300000_head.tar", 64), ("600000_body.tar", 106)] {
        let mut states = ad_states_of(signal, 256);
        states.iter_mut().for_each(|(_, state)| calm(state));
        subject.put(file, &torch_zip(&ad_checkpoint(states)));
    }
    // Few samples: this is about sizes.
    let config = b"near = 0.3\nfar = 1.2\nN_samples = 8\nN_importance = 4\n";
    subject.put("TorsoNeRFTest_config.txt", config);
    let request = ImportRequest { checkpoint: subject.path("300000_head.tar"), ..subject.request() };
    imports_and_renders(&subject, &request, FeatureKind::DeepSpeech);
}
