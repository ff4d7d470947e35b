//! What `inspect` says of files and folders of every family.

use std::fs;

use headcast_core::FeatureKind;
use headcast_nerf::avatar::{Avatar, ImportRequest, Report, Smoothing, import, inspect};
use headcast_nerf::checkpoint::{AdPart, DType, Family};

use crate::build::*;
use crate::containers::fixture;

fn says(report: &Report, words: &[&str]) {
    let text = report.to_string();
    for words in words {
        assert!(text.contains(words), "{words}: {text}");
    }
}

#[test]
fn files_of_every_family_are_described() {
    let report = inspect(&fixture("er-adaptive").join("ngp.pth")).unwrap();
    assert_eq!((report.family, report.features), (Family::ErNerf, Some(FeatureKind::DeepSpeech)));
    assert!(
        report.problems.is_empty() && report.needs.iter().any(|need| need.contains("au.csv")),
        "{report}"
    );
    says(
        &report,
        &[
            "`latest`",
            "attention 1 or 2, from whether",
            "exp_eye on",
            "extractor   built in, or",
            "torso_imgs/",
        ],
    );

    let report = inspect(&fixture("rad-head").join("ngp.pth")).unwrap();
    assert_eq!((report.family, report.features), (Family::RadNerf, Some(FeatureKind::Wav2Vec2Esperanto)));
    assert!(report.eye && !report.torso && report.problems.is_empty(), "{report}");
    says(
        &report,
        &[
            "`best`",
            "nerf/asr.py",
            "9 and 10 March 2023",
            "--attention 1",
            "ori_imgs/*.lms",
            "encoder_ambient [",
            "44 values a row, from `audio_net.encoder_conv.0.weight`",
        ],
    );
    assert!(
        report.precision.iter().any(|(dtype, values)| *dtype == DType::F32 && *values > 100_000),
        "{report}"
    );

    let report = inspect(&fixture("rad-noeye-noind-att1").join("ngp.pth")).unwrap();
    assert!(!report.eye, "{report}");
    says(&report, &["exp_eye off", "`individual_codes`, which is not there"]);

    for (file, part, words) in [
        ("300000_head.tar", AdPart::Head, "signal 64 values"),
        ("600000_body.tar", AdPart::Body, "signal 106 values"),
    ] {
        let report = inspect(&fixture("ad-torso").join(file)).unwrap();
        assert_eq!(
            (report.family, report.part, report.torso),
            (Family::AdNerf, Some(part), part == AdPart::Body)
        );
        assert!(report.problems.is_empty(), "{report}");
        says(
            &report,
            &[words, "width 64", "TorsoNeRFTest_config.txt", "the other half", "step        300000"],
        );
    }
}

#[test]
fn folders_show_what_lies_around_the_checkpoint() {
    let report = inspect(&fixture("rad-torso")).unwrap();
    assert_eq!(report.data.as_ref().map(|data| (data.width, data.height, data.poses)), Some((64, 64, 10)));
    assert!(report.problems.is_empty() && report.needs.is_empty(), "{report}");
    let report = inspect(&fixture("rad-head")).unwrap();
    assert!(
        matches!(&report.problems[..], [problem] if problem.contains("torso_imgs is missing")),
        "{report}"
    );
    let report = inspect(&fixture("ad-torso")).unwrap();
    assert_eq!((report.family, report.part), (Family::AdNerf, Some(AdPart::Head)));
    assert!(report.problems.is_empty(), "{report}");

    // A workspace: the latest epoch is the one that upstream's test would load.
    let workspace = tempfile::tempdir().unwrap();
    let checkpoints = workspace.path().join("checkpoints");
    fs::create_dir(&checkpoints).unwrap();
    let file = torch_zip(&checkpoint(er_state(true), &[]));
    for name in ["ngp.pth", "ngp_ep0009.pth", "ngp_ep0010.pth", "ngp_epx.pth"] {
        fs::write(checkpoints.join(name), &file).unwrap();
    }
    let report = inspect(workspace.path()).unwrap();
    assert!(report.model_file.ends_with("checkpoints/ngp_ep0010.pth"), "{report}");
    assert!(
        report.problems.is_empty() && !report.needs.is_empty(),
        "a workspace has no data to miss: {report}"
    );
    fs::remove_file(checkpoints.join("ngp_ep0009.pth")).unwrap();
    fs::remove_file(checkpoints.join("ngp_ep0010.pth")).unwrap();
    assert!(inspect(workspace.path()).unwrap().model_file.ends_with("checkpoints/ngp.pth"));
    // It is imported in the same way.
    let data = fixture("er-torso");
    let request = ImportRequest::new(workspace.path(), &data, "ann");
    let imported = import(&request, &workspace.path().join("library")).unwrap();
    assert!(imported.notes[0].contains("checkpoints/ngp.pth"), "{:?}", imported.notes);
}

#[test]
fn live_talkings_folder_is_imported_as_it_is() {
    let data = tempfile::tempdir().unwrap();
    let subject = fixture("er-torso");
    fs::create_dir(data.path().join("pretrained")).unwrap();
    for (from, to) in [
        ("ngp.pth", "pretrained/ngp_kf.pth"),
        ("transforms_train.json", "data_kf.json"),
        ("au.csv", "au.csv"),
    ] {
        fs::copy(subject.join(from), data.path().join(to)).unwrap();
    }
    let report = inspect(data.path()).unwrap();
    assert!(report.model_file.ends_with("pretrained/ngp_kf.pth") && report.problems.is_empty(), "{report}");
    let library = data.path().join("library");
    let request = ImportRequest::new(data.path(), data.path(), "ann");
    let imported = import(&request, &library).unwrap();
    assert!(imported.notes.iter().any(|note| note.contains("background is white")), "{:?}", imported.notes);
    let avatar = Avatar::load(&imported.path).unwrap();
    assert_eq!(avatar.background.pixel(0, 0), [255; 3]);
    assert_eq!(avatar.smoothing, Smoothing { path: true, eyes: true, lips: true });
    // The same subject in upstream's own layout is not smoothed.
    fs::rename(data.path().join("data_kf.json"), data.path().join("transforms_train.json")).unwrap();
    fs::copy(subject.join("bc.png"), data.path().join("bc.png")).unwrap();
    let request = ImportRequest { overwrite: true, ..request };
    let avatar = Avatar::load(&import(&request, &library).unwrap().path).unwrap();
    assert_eq!(avatar.smoothing, Smoothing::default());
}

#[test]
fn avatars_have_no_open_questions_left() {
    let library = tempfile::tempdir().unwrap();
    for (name, file, kind) in [
        ("rad-torso", "ngp.pth", Family::RadNerf),
        ("ad-torso", "300000_head.tar", Family::AdNerf),
        ("er-torso", "ngp.pth", Family::ErNerf),
    ] {
        let folder = fixture(name);
        let request = ImportRequest::new(folder.join(file), &folder, name);
        let path = import(&request, library.path()).unwrap().path;
        let report = inspect(&path).unwrap();
        assert_eq!((report.family, report.variant, report.torso), (kind, "imported avatar", true), "{name}");
        assert!(report.needs.is_empty() && report.problems.is_empty(), "{report}");
        assert!(!report.to_string().contains("--attention"), "{report}");
    }
}

#[test]
fn an_empty_occupancy_grid_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let put = |state: Vec<Tensor>| {
        let path = folder.path().join("ngp.pth");
        fs::write(&path, torch_zip(&checkpoint(state, &[]))).unwrap();
        inspect(&path).unwrap().to_string()
    };
    assert!(!put(er_state(true)).contains("`density_bitfield` is empty"), "control");
    let mut state = er_state(true);
    find(&mut state, "density_bitfield").bytes.fill(0);
    assert!(put(state).contains("`density_bitfield` is empty"));
}
