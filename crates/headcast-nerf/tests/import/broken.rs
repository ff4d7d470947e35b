//! Thirty broken checkpoints, as they come from users' disks, and what each of them is told.

use headcast_nerf::checkpoint::CheckpointError;
use headcast_nerf::model::{AdField, Network};

use crate::build::*;
use crate::containers::open;

/// One broken file.
struct Case {
    what: &'static str,
    file: Vec<u8>,
    says: &'static [&'static str],
}

fn scene(state: Vec<Tensor>) -> Vec<u8> {
    torch_zip(&checkpoint(state, &[]))
}

fn er(change: impl FnOnce(&mut Vec<Tensor>)) -> Vec<u8> {
    let mut state = er_state(true);
    change(&mut state);
    scene(state)
}

fn rad(change: impl FnOnce(&mut Vec<Tensor>)) -> Vec<u8> {
    let mut state = rad_state(true);
    change(&mut state);
    scene(state)
}

fn ad(signal: u64, change: impl FnOnce(&mut Vec<(&'static str, Vec<Tensor>)>)) -> Vec<u8> {
    let mut states = ad_states(signal);
    change(&mut states);
    torch_zip(&ad_checkpoint(states))
}

fn without(name: &'static str) -> impl FnOnce(&mut Vec<Tensor>) {
    move |state| state.retain(|tensor| tensor.name != name)
}

fn reshaped(name: &'static str, shape: &'static [u64]) -> impl FnOnce(&mut Vec<Tensor>) {
    move |state| {
        let values = vec![0.25; usize::try_from(shape.iter().product::<u64>()).unwrap()];
        *find(state, name) = Tensor::floats(name, shape, &values);
    }
}

fn poisoned(name: &'static str, value: f32) -> impl FnOnce(&mut Vec<Tensor>) {
    move |state| find(state, name).bytes[4..8].copy_from_slice(&value.to_le_bytes())
}

/// As the product loads them: half an AD-NeRF is checked by itself.
fn load(file: &[u8]) -> Result<(), CheckpointError> {
    let mut checkpoint = open(file)?;
    match checkpoint.family() {
        headcast_nerf::checkpoint::Family::AdNerf => AdField::from_checkpoint(&mut checkpoint).map(drop),
        _ => Network::from_checkpoint(&mut checkpoint).map(drop),
    }
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn cases() -> Vec<Case> {
    let case = |what, file, says| Case { what, file, says };
    let good = er(|_| ());
    vec![
        case("an empty download", Vec::new(), &["it is empty"]),
        case(
            "a web page saved as ngp.pth",
            b"<!DOCTYPE html><html>".to_vec(),
            &["neither a PyTorch", "a web page instead of the file"],
        ),
        case(
            "a git-lfs pointer",
            b"version https://git-lfs.github.com/spec/v1\n".to_vec(),
            &["`git lfs pull` fetches it"],
        ),
        case("half a download", good[..good.len() / 2].to_vec(), &["damaged or incomplete", "again"]),
        case("the end is missing", good[..good.len() - 30].to_vec(), &["damaged or incomplete"]),
        case(
            "a zip program packed it again",
            zip(&members(&checkpoint(er_state(true), &[])), ZipOptions { method: 8, ..Default::default() }),
            &["compressed or encrypted", "torch.save"],
        ),
        case(
            "a storage was lost",
            zip(
                &members(&checkpoint(er_state(true), &[]))
                    .into_iter()
                    .filter(|(name, _)| !name.ends_with("sigma_net.net.1.weight"))
                    .collect::<Vec<_>>(),
                ZipOptions::default(),
            ),
            &["the values of tensor `sigma_net.net.1.weight` are missing"],
        ),
        case(
            "an optimizer's file",
            torch_zip(&Py::Dict(vec![(text("optimizer"), Py::Dict(vec![]))])),
            &["no talking-head model", "`model`"],
        ),
        case(
            "another network",
            torch_zip(&Py::State(vec![Tensor::floats("conv1.weight", &[1], &[0.0])])),
            &["`encoder_xy.offsets` is the sign of ER-NeRF", "`encoder_ambient.offsets` of RAD-NeRF"],
        ),
        case(
            "ER-NeRF without a plane",
            er(without("encoder_yz.embeddings")),
            &["no tensor `encoder_yz.embeddings`", "every ER-NeRF file has"],
        ),
        case(
            "ER-NeRF without its audio net",
            er(without("audio_net.encoder_fc1.2.bias")),
            &["no tensor `audio_net.encoder_fc1.2.bias`"],
        ),
        case(
            "half an attention",
            er(without("audio_att_net.attentionNet.0.weight")),
            &["no tensor `audio_att_net.attentionNet.0.weight`"],
        ),
        case("a torso without anchors", er(without("anchor_points")), &["no tensor `anchor_points`"]),
        case(
            "80 mel bands",
            er(reshaped("audio_net.encoder_conv.0.weight", &[32, 80, 3])),
            &["80 values", "DeepSpeech", "HuBERT"],
        ),
        case(
            "a narrower network",
            er(reshaped("sigma_net.net.1.weight", &[32, 64])),
            &["shape [32, 64], expected [64, 64]"],
        ),
        case(
            "sigma of another family",
            er(reshaped("sigma_net.net.0.weight", &[64, 65])),
            &["[64, 69] (or [64, 68] without the eye value)"],
        ),
        case(
            "codes were left out",
            er(without("individual_codes")),
            &["`color_net.net.0.weight` has shape [64, 84], expected [64, 80]"],
        ),
        case(
            "training diverged",
            er(poisoned("color_net.net.1.weight", f32::NAN)),
            &["`color_net.net.1.weight` holds NaN", "training diverged"],
        ),
        case(
            "an infinite table",
            er(poisoned("torso_encoder.embeddings", f32::INFINITY)),
            &["`torso_encoder.embeddings` holds inf"],
        ),
        case(
            "an empty box",
            er(|state| find(state, "aabb_infer").bytes[12..16].copy_from_slice(&(-2f32).to_le_bytes())),
            &["`aabb_infer` is not usable"],
        ),
        case(
            "levels that fall",
            er(|state| find(state, "encoder_xz.offsets").bytes[4] = 200),
            &["`encoder_xz.offsets` is not usable", "rise"],
        ),
        case(
            "occupancy of the wrong size",
            er(|state| {
                *find(state, "density_bitfield") =
                    Tensor::new("density_bitfield", "ByteStorage", &[5], vec![0; 5]);
            }),
            &["`density_bitfield` has shape [5]", "262144"],
        ),
        case(
            "occupancy as floats",
            er(|state| find(state, "density_bitfield").class = "CharStorage"),
            &["holds i8 values, expected u8"],
        ),
        case(
            "RAD-NeRF without its ambient net",
            rad(without("ambient_net.net.1.weight")),
            &["no tensor `ambient_net.net.1.weight`", "every RAD-NeRF file has"],
        ),
        case("RAD-NeRF without its grid", rad(without("encoder.offsets")), &["no tensor `encoder.offsets`"]),
        case(
            "three ambient dimensions",
            rad(reshaped("ambient_net.net.2.weight", &[3, 64])),
            &["`ambient_net.net.2.weight` has shape [3, 64], expected [2, 64]"],
        ),
        case(
            "a code of 32 values in RAD-NeRF",
            rad(reshaped("audio_net.encoder_fc1.2.weight", &[32, 64])),
            &["shape [32, 64], expected [64, 64]"],
        ),
        case(
            "an ER-NeRF torso in RAD-NeRF",
            rad(reshaped("torso_deform_net.net.0.weight", &[32, 84])),
            &["shape [32, 84], expected [64, 104]"],
        ),
        case(
            "RAD-NeRF diverged",
            rad(poisoned("encoder_ambient.embeddings", f32::NAN)),
            &["`encoder_ambient.embeddings` holds NaN"],
        ),
        case(
            "an early AD-NeRF head",
            ad(64, |states| states.retain(|(name, _)| *name != "network_audattnet_state_dict")),
            &["no `network_audattnet_state_dict`", "take a later NNNNNN_head.tar"],
        ),
        case(
            "AD-NeRF without its fine network",
            ad(106, |states| states.retain(|(name, _)| *name != "network_fine_state_dict")),
            &["no tensor `network_fine_state_dict.pts_linears.0.weight`", "every AD-NeRF file has"],
        ),
        case(
            "AD-NeRF without a layer",
            ad(64, |states| without("pts_linears.3.weight")(&mut states[0].1)),
            &["no tensor `network_fn_state_dict.pts_linears.3.weight`"],
        ),
        case(
            "AD-NeRF that hears 200 values",
            ad(64, |states| reshaped("pts_linears.0.weight", &[16, 63 + 200])(&mut states[0].1)),
            &["`network_fn_state_dict.pts_linears.0.weight` has shape [16, 263], expected [16, 127]"],
        ),
        case(
            "AD-NeRF networks of two widths",
            ad(64, |states| reshaped("pts_linears.0.weight", &[32, 127])(&mut states[1].1)),
            &["`network_fine_state_dict.pts_linears.0.weight` has shape [32, 127], expected [16, 127]"],
        ),
    ]
}

#[test]
fn each_is_told_what_is_wrong() {
    // Controls: what the cases damage loads as it is, from both containers.
    for whole in [er(|_| ()), rad(|_| ()), ad(64, |_| ()), ad(106, |_| ())] {
        load(&whole).unwrap();
    }
    load(&torch_legacy(&ad_checkpoint(ad_states(106)))).unwrap();

    let cases = cases();
    assert!(cases.len() >= 30, "{}", cases.len());
    for Case { what, file, says } in &cases {
        let error = match load(file) {
            Err(error) => error.to_string(),
            Ok(()) => panic!("{what}: it loads"),
        };
        println!("{what}: {error}");
        for words in *says {
            assert!(error.contains(words), "{what}: {words:?} is not in {error:?}");
        }
    }
    let mut texts: Vec<_> = cases.iter().map(|case| load(&case.file).unwrap_err().to_string()).collect();
    texts.sort();
    texts.dedup();
    assert!(texts.len() + 1 >= cases.len(), "messages tell the cases apart: {texts:#?}");
}
