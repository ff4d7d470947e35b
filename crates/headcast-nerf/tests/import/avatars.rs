//! From checkpoint and data folder to an avatar and back: nothing half written, nothing unexplained.

use std::borrow::Cow;
use std::fs;
use std::path::{Path, PathBuf};

use headcast_core::{FeatureKind, RgbImage};
use headcast_nerf::avatar::{
    Avatar, AvatarError, Background, ImportRequest, Smoothing, import, inspect, list,
};
use headcast_nerf::checkpoint::Family;
use headcast_nerf::model::Network;

use crate::build::*;
use crate::containers::fixture;

/// A subject of 32×24 pixels and three frames, as upstream's tools lay it out.
pub(crate) struct Subject {
    pub(crate) folder: tempfile::TempDir,
}

impl Subject {
    pub(crate) fn new(torso: bool) -> Self {
        let subject = Self { folder: tempfile::tempdir().unwrap() };
        subject.put("ngp.pth", &torch_zip(&checkpoint(er_state(torso), &[])));
        subject.put("transforms_train.json", transforms(&[0, 2, 1]).as_bytes());
        subject.put("au.csv", b"frame, AU45_r, AU45_c\n1, 0.0, 0\n2, 1.0, 1\n3, 5.0, 1\n");
        subject.put("bc.png", &png(32, 24, &[10, 200, 30].repeat(768), false));
        subject
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn put(&self, name: &str, bytes: &[u8]) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.path(name)).unwrap();
    }

    pub(crate) fn request(&self) -> ImportRequest {
        ImportRequest::new(self.path("ngp.pth"), self.folder.path(), "ann")
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.path("library")
    }

    /// The error of an import, which must leave nothing behind.
    pub(crate) fn refused(&self, request: &ImportRequest) -> String {
        let error = import(request, &self.library()).unwrap_err().to_string();
        let left: Vec<_> = fs::read_dir(self.library()).into_iter().flatten().collect();
        assert!(left.is_empty(), "{error}: left {left:?}");
        error
    }
}

fn transforms(img_ids: &[u32]) -> String {
    let frames = img_ids.iter().map(|id| {
        format!(
            "{{\"img_id\": {id}, \"aud_id\": {id}, \
             \"transform_matrix\": [[1,0,0,0.0{id}],[0,1,0,0.1],[0,0,1,0.75],[0,0,0,1]]}}"
        )
    });
    let frames = frames.collect::<Vec<_>>().join(",");
    format!("{{\"focal_len\": 20.0, \"cx\": 16.0, \"cy\": 12.0, \"frames\": [{frames}]}}")
}

pub(crate) fn png(width: u32, height: u32, data: &[u8], alpha: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width, height);
    encoder.set_color(if alpha { png::ColorType::Rgba } else { png::ColorType::Rgb });
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    out
}

#[test]
fn an_import_holds_what_the_folder_held() {
    let subject = Subject::new(true);
    let request = ImportRequest {
        title: Some("Ann \"the first\"".to_owned()),
        credits: Some("Ann".to_owned()),
        attention: Some(1),
        max_steps: Some(32),
        ..subject.request()
    };
    let report = import(&request, &subject.library()).unwrap();
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    let avatar = Avatar::load(&subject.library().join("ann")).unwrap();
    assert_eq!((avatar.name.as_str(), avatar.title.as_str()), ("ann", "Ann \"the first\""));
    assert_eq!((avatar.width, avatar.height, avatar.intrinsics.fx), (32, 24, 20.0));
    assert_eq!(avatar.eyes, [0.0, 1.0, 0.5], "in the order of the pose file, by img_id");
    assert_eq!(avatar.poses[1].origin(), [0.4, 3.0, 0.08]);
    assert_eq!(avatar.background.pixel(31, 23), [10, 200, 30]);
    let options = &avatar.model.as_er().unwrap().options;
    assert_eq!((options.attention, options.max_steps), (1, 32));
    let order: Vec<_> = (0..8).map(|i| headcast_nerf::conditioning::mirror(i, avatar.poses.len())).collect();
    assert_eq!(order, [0, 1, 2, 2, 1, 0, 0, 1]);

    // The network is the checkpoint's, to the bit.
    let bytes = fs::read(subject.path("ngp.pth")).unwrap();
    let mut direct = crate::containers::load(&bytes).unwrap();
    (direct.options.attention, direct.options.max_steps) = (1, 32);
    assert_eq!(avatar.model.as_er(), Some(&direct));

    // The same from memory.
    let folder = subject.library().join("ann");
    let get = |name: &str| fs::read(folder.join(name)).ok().map(Cow::Owned);
    let embedded = Avatar::from_files("ann", &get).unwrap();
    assert!(!embedded.built_in_features);
    // Whoever trained with the built-in features says so in the manifest.
    let edited = |name: &str| match name {
        "avatar.toml" => {
            let text = fs::read_to_string(folder.join(name)).unwrap();
            assert!(text.contains("features = \"deepspeech\""), "{text}");
            Some(text.replace("features = \"deepspeech\"", "features = \"built-in\"").into_bytes().into())
        }
        _ => get(name),
    };
    assert!(Avatar::from_files("ann", &edited).unwrap().built_in_features);
    assert_eq!((embedded.model, embedded.poses, embedded.eyes), (avatar.model, avatar.poses, avatar.eyes));
}

#[test]
fn half_precision_changes_tables_only_and_little() {
    let subject = Subject::new(true);
    import(&ImportRequest { half: true, ..subject.request() }, &subject.library()).unwrap();
    let half = Avatar::load(&subject.library().join("ann")).unwrap().model;
    let half = half.as_er().unwrap();
    let full = crate::containers::load(&fs::read(subject.path("ngp.pth")).unwrap()).unwrap();
    assert_eq!(
        (&half.sigma, &half.audio, &half.density_bitfield),
        (&full.sigma, &full.audio, &full.density_bitfield)
    );
    assert_ne!(half.planes, full.planes);
    for (a, b) in half.planes.iter().zip(&full.planes) {
        assert!(
            a.embeddings.iter().zip(&b.embeddings).all(|(a, b)| (a - b).abs() <= b.abs() / 2048.0 + 3e-8)
        );
    }
}

#[test]
fn existing_avatars_are_kept_unless_replaced_and_lists_show_them() {
    let subject = Subject::new(true);
    let library = subject.library();
    assert!(list(&library).unwrap().is_empty());
    import(&subject.request(), &library).unwrap();
    let error = import(&subject.request(), &library).unwrap_err();
    assert!(matches!(error, AvatarError::Exists { .. }), "{error}");
    let replace = ImportRequest { overwrite: true, title: Some("second".to_owned()), ..subject.request() };
    import(&replace, &library).unwrap();

    fs::create_dir_all(library.join("broken")).unwrap();
    fs::write(library.join("broken/avatar.toml"), "format = 9\nkind = \"x\"").unwrap();
    fs::create_dir_all(library.join("not an avatar")).unwrap();
    let avatars = list(&library).unwrap();
    assert_eq!(avatars.iter().map(|a| a.name.as_str()).collect::<Vec<_>>(), ["ann", "broken"]);
    let details = avatars[0].details.as_ref().unwrap();
    assert_eq!((details.title.as_str(), details.poses, details.torso), ("second", 3, true));
    assert!(avatars[1].details.as_ref().unwrap_err().to_string().contains("format 9"));
    let hidden = fs::read_dir(&library)
        .unwrap()
        .filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "staging folders are removed");
}

#[test]
fn missing_files_say_where_upstream_keeps_them() {
    let subject = Subject::new(true);
    let lacks = |file: &str, words: &[&str]| {
        let bytes = fs::read(subject.path(file)).unwrap();
        subject.remove(file);
        let error = subject.refused(&subject.request());
        for word in words {
            assert!(error.contains(word), "{error}");
        }
        subject.put(file, &bytes);
    };
    lacks("transforms_train.json", &["`transforms_train.json` is missing", "process.py", "--transforms"]);
    lacks("bc.png", &["`bc.jpg` is missing", "process.py", "--background"]);
    lacks("au.csv", &["au.csv", "AU45_r", "--fix-eye 0.25"]);
    lacks("ngp.pth", &["ngp.pth"]);
    // What the messages suggest works.
    subject.remove("au.csv");
    subject.remove("bc.png");
    let request = ImportRequest {
        fix_eye: Some(0.25),
        background: Some(Background::Colour([255; 3])),
        ..subject.request()
    };
    import(&request, &subject.library()).unwrap();
    let avatar = Avatar::load(&subject.library().join("ann")).unwrap();
    assert_eq!((avatar.eyes, avatar.background.pixel(0, 0)), (vec![0.25; 3], [255; 3]));
}

#[test]
fn bad_requests_and_bad_files_leave_nothing_behind() {
    let subject = Subject::new(true);
    let base = subject.request();
    for (request, words) in [
        (ImportRequest { name: "../up".to_owned(), ..base.clone() }, "no avatar name"),
        (ImportRequest { fix_eye: Some(1.5), ..base.clone() }, "--fix-eye 1.5"),
        (ImportRequest { attention: Some(0), ..base.clone() }, "attention 0"),
        (ImportRequest { max_steps: Some(0), ..base.clone() }, "max_steps 0"),
        (
            ImportRequest { checkpoint: subject.path("au.csv"), ..base.clone() },
            "neither a PyTorch checkpoint",
        ),
        (ImportRequest { transforms: Some(subject.path("au.csv")), ..base.clone() }, "no pose file"),
        (
            ImportRequest { background: Some(Background::File(subject.path("au.csv"))), ..base.clone() },
            "neither a PNG",
        ),
        (ImportRequest { thumbnail: Some(subject.path("au.csv")), ..base.clone() }, "neither a PNG"),
    ] {
        let error = subject.refused(&request);
        assert!(error.contains(words), "{error}");
    }
    // Poses of a longer recording than the eye values.
    subject.put("other.json", transforms(&[0, 9]).as_bytes());
    let error =
        subject.refused(&ImportRequest { transforms: Some(subject.path("other.json")), ..base.clone() });
    assert!(error.contains("another recording"), "{error}");
    let mut state = er_state(true);
    find(&mut state, "torso_net.net.2.weight").bytes[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    subject.put("nan.pth", &torch_zip(&checkpoint(state, &[])));
    let error = subject.refused(&ImportRequest { checkpoint: subject.path("nan.pth"), ..base.clone() });
    assert!(error.contains("nan.pth") && error.contains("`torso_net.net.2.weight` holds NaN"), "{error}");
    // A library that is a file.
    let error = import(&base, &subject.path("au.csv")).unwrap_err();
    assert!(matches!(error, AvatarError::Io { .. }), "{error}");
}

#[test]
fn a_background_of_another_size_is_resized_with_a_note() {
    let subject = Subject::new(true);
    subject.put("bc.png", &png(64, 48, &[9, 8, 7].repeat(3072), false));
    let report = import(&subject.request(), &subject.library()).unwrap();
    assert!(report.notes[0].contains("resized from 64x48 to 32x24"), "{:?}", report.notes);
    let avatar = Avatar::load(&report.path).unwrap();
    assert_eq!((avatar.background.width(), avatar.background.pixel(3, 3)), (32, [9, 8, 7]));
}

#[test]
fn heads_without_a_torso_take_captured_torsos() {
    let subject = Subject::new(false);
    // None at all: allowed, with a note.
    let report = import(&subject.request(), &subject.library()).unwrap();
    assert!(report.notes[0].contains("torso_imgs"), "{:?}", report.notes);
    let bare = Avatar::load(&report.path).unwrap();
    assert!(!bare.has_torso_images());
    assert_eq!(*bare.backdrop(0, &bare.background).unwrap(), bare.background);
    fs::remove_dir_all(subject.library()).unwrap();

    // Opaque red in the left half, for frames 0 and 2 only: one is missing.
    let row: Vec<u8> = (0..32).flat_map(|x| if x < 16 { [255, 0, 0, 255] } else { [0, 0, 0, 0] }).collect();
    let torso = png(32, 24, &row.repeat(24), true);
    subject.put("torso_imgs/0.png", &torso);
    subject.put("torso_imgs/2.png", &torso);
    let error = subject.refused(&subject.request());
    assert!(error.contains("`1.png` is missing") && error.contains("1 of 3 poses"), "{error}");
    // Another size.
    subject.put("torso_imgs/1.png", &torso);
    subject.put("torso_imgs/0.png", &png(16, 24, &row[..64].repeat(24), true));
    let error = subject.refused(&subject.request());
    assert!(error.contains("16x24 pixels, the avatar 32x24"), "{error}");

    subject.put("torso_imgs/0.png", &torso);
    let report = import(&subject.request(), &subject.library()).unwrap();
    let avatar = Avatar::load(&report.path).unwrap();
    let red: RgbImage = avatar.backdrop(1, &avatar.background).unwrap().into_owned();
    assert_eq!([red.pixel(15, 0), red.pixel(16, 0)], [[255, 0, 0], [10, 200, 30]]);
    let get = |name: &str| fs::read(report.path.join(name)).ok().map(Cow::Owned);
    assert_eq!(*Avatar::from_files("ann", &get).unwrap().backdrop(1, &avatar.background).unwrap(), red);
    // Removed behind its back.
    fs::remove_file(report.path.join("torso/2.png")).unwrap();
    assert!(avatar.backdrop(1, &avatar.background).unwrap_err().to_string().contains("torso/2.png"));
    assert!(
        Avatar::from_files("ann", &|name| fs::read(report.path.join(name)).ok().map(Cow::Owned)).is_err()
    );
}

#[test]
fn damaged_avatars_name_the_file() {
    let subject = Subject::new(true);
    let path = import(&subject.request(), &subject.library()).unwrap().path;
    for file in ["avatar.toml", "model.safetensors", "poses.safetensors", "background.png"] {
        let bytes = fs::read(path.join(file)).unwrap();
        fs::write(path.join(file), &bytes[..bytes.len() / 2]).unwrap();
        let error = Avatar::load(&path).unwrap_err().to_string();
        assert!(error.contains(file), "{file}: {error}");
        fs::remove_file(path.join(file)).unwrap();
        let error = Avatar::load(&path).unwrap_err().to_string();
        assert!(error.contains(file) && error.contains("missing"), "{file}: {error}");
        fs::write(path.join(file), &bytes).unwrap();
        assert!(Avatar::load(&path).is_ok());
    }
    let toml = fs::read_to_string(path.join("avatar.toml")).unwrap();
    for (from, to, words) in [
        ("poses = 3", "poses = 4", "holds 3 poses"),
        ("width = 32", "width = 33", "32x24 pixels, the avatar 33x24"),
        ("background.png", "../../bc.png", "not the plain name"),
        ("attention = 2", "attention = 7", "attention 7"),
        ("fx = 20.0", "fx = nan", "fx and fy"),
    ] {
        assert!(toml.contains(from), "{toml}");
        fs::write(path.join("avatar.toml"), toml.replacen(from, to, 1)).unwrap();
        let error = Avatar::load(&path).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn sizes_that_video_cannot_show_are_refused_and_reported() {
    let subject = Subject::new(true);
    let sized = |w: u32, h: u32| {
        transforms(&[0, 2, 1]).replacen("\"cx\"", &format!("\"w\": {w}, \"h\": {h}, \"cx\""), 1)
    };
    for (w, h) in [(8, 6), (15, 24), (4098, 24), (4096, 4096)] {
        subject.put("transforms_train.json", sized(w, h).as_bytes());
        let words = format!("pictures of {w}x{h} pixels cannot be shown");
        assert!(subject.refused(&subject.request()).contains(&words));
        let report = inspect(subject.folder.path()).unwrap();
        assert!(matches!(&report.problems[..], [problem] if problem.contains(&words)), "{report}");
    }
    // The smallest is imported. A folder that says otherwise is neither loaded nor listed as usable.
    subject.put("transforms_train.json", sized(16, 16).as_bytes());
    assert!(inspect(subject.folder.path()).unwrap().problems.is_empty());
    let path = import(&subject.request(), &subject.library()).unwrap().path;
    let toml = fs::read_to_string(path.join("avatar.toml")).unwrap();
    assert!(toml.contains("width = 16\n"), "{toml}");
    fs::write(path.join("avatar.toml"), toml.replacen("width = 16\n", "width = 8192\n", 1)).unwrap();
    let words = "8192x16 pixels cannot be shown";
    assert!(Avatar::load(&path).unwrap_err().to_string().contains(words));
    let report = inspect(&path).unwrap();
    assert!(matches!(&report.problems[..], [problem] if problem.contains(words)), "{report}");
    let listed = list(&subject.library()).unwrap();
    assert!(listed[0].details.as_ref().unwrap_err().to_string().contains(words));
}

#[test]
fn inspection_shows_what_a_file_or_folder_is() {
    let subject = Subject::new(true);
    let report = inspect(&subject.path("ngp.pth")).unwrap();
    assert_eq!((report.family, report.features), (Family::ErNerf, Some(FeatureKind::DeepSpeech)));
    assert!(report.eye && report.torso && report.attention && report.problems.is_empty(), "{report}");
    let text = report.to_string();
    for words in ["ER-NeRF", "DeepSpeech", "head code   [10, 4]", "encoder_xy [96, 1]", "epoch       34"] {
        assert!(text.contains(words), "{text}");
    }

    subject.remove("au.csv");
    let report = inspect(subject.folder.path()).unwrap();
    assert_eq!(report.problems.len(), 1);
    assert!(report.problems[0].contains("au.csv` is missing: OpenFace writes it"), "{report}");

    let mut state = er_state(false);
    state.retain(|t| t.name != "encoder_xz.offsets");
    subject.put("part.pth", &torch_zip(&checkpoint(state, &[])));
    let report = inspect(&subject.path("part.pth")).unwrap();
    assert!(report.problems[0].contains("no tensor `encoder_xz.offsets`"), "{report}");

    let request = ImportRequest { fix_eye: Some(0.0), ..subject.request() };
    let imported = import(&request, &subject.library()).unwrap();
    let report = inspect(&imported.path).unwrap();
    assert_eq!(report, imported.avatar);
    assert_eq!(report.avatar.as_ref().map(|a| (a.width, a.height, a.poses)), Some((32, 24, 3)));
    assert!(report.problems.is_empty(), "{report}");

    assert!(inspect(Path::new("/nonexistent")).is_err());
    assert!(inspect(&subject.library()).unwrap_err().to_string().contains("no avatar"));
}

#[test]
fn fixture_subjects_import() {
    for name in ["er-torso", "er-head", "er-hubert-eye"] {
        let folder = fixture(name);
        let library = tempfile::tempdir().unwrap();
        let request = ImportRequest::new(folder.join("ngp.pth"), &folder, name);
        import(&request, library.path()).unwrap_or_else(|e| panic!("{name}: {e}"));
        let avatar = Avatar::load(&library.path().join(name)).unwrap();
        assert_eq!((avatar.width, avatar.background.height()), (64, 64));
        assert!(avatar.eyes.iter().any(|e| *e > 0.0));
    }
}

#[test]
fn rad_nerf_subjects_import() {
    for (name, torso, eye) in
        [("rad-head", false, true), ("rad-torso", true, true), ("rad-noeye-noind-att1", false, false)]
    {
        let folder = fixture(name);
        let library = tempfile::tempdir().unwrap();
        let mut request = ImportRequest::new(folder.join("ngp.pth"), &folder, name);
        request.attention = Some(1);
        let report = import(&request, library.path()).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((report.avatar.family, report.avatar.torso), (Family::RadNerf, torso), "{name}");
        assert_eq!(report.notes.iter().any(|note| note.contains("stay still at 0.25")), eye, "{name}");
        let avatar = Avatar::load(&report.path).unwrap();
        assert_eq!((avatar.model.has_torso(), avatar.model.has_eye()), (torso, eye), "{name}");
        assert_eq!(avatar.eyes[3], if eye { 0.25 } else { 0.0 });
        // Upstream's test.py smooths everything.
        assert_eq!(avatar.smoothing, Smoothing { path: true, eyes: true, lips: true });
        assert_eq!(list(library.path()).unwrap()[0].details.as_ref().unwrap().kind, "rad-nerf");

        // The network is the checkpoint's, to the bit.
        let bytes = fs::read(folder.join("ngp.pth")).unwrap();
        let mut direct = Network::from_checkpoint(&mut crate::containers::open(&bytes).unwrap()).unwrap();
        direct.options_mut().unwrap().attention = 1;
        assert!(avatar.model == direct, "{name}: the network changed on its way");
    }
}

#[test]
fn rad_nerf_eyes_come_from_the_pose_file_or_the_landmarks() {
    let subject = Subject::new(true);
    let mut request = subject.request();
    request.checkpoint = fixture("rad-torso").join("ngp.pth");
    let eyes = |request: &ImportRequest| {
        let report = import(request, &subject.library()).unwrap();
        let eyes = Avatar::load(&report.path).unwrap().eyes;
        fs::remove_dir_all(&report.path).unwrap();
        eyes
    };
    // Two squares of 4 by 4 pixels in 32x24: 4.17 %; the value is cut off at 1.
    let landmarks = |side: f32| {
        let eye = [[0.0, 0.0], [0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0], [0.0, 1.0]];
        let point =
            |i: usize| if (36..48).contains(&i) { eye[i % 6].map(|v| 9.0 + side * v) } else { [1.0; 2] };
        (0..68).map(point).map(|[x, y]| format!("{x} {y}\n")).collect::<String>()
    };
    for (id, side) in [(0, 4.0), (1, 1.0), (2, 0.5)] {
        subject.put(&format!("ori_imgs/{id}.lms"), landmarks(side).as_bytes());
    }
    // Frames 0, 2, 1.
    let measured = eyes(&request);
    let expected = [1.0, 0.5 / 768.0 * 100.0, 2.0 / 768.0 * 100.0];
    assert!(measured.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6), "{measured:?}");
    subject.put("ori_imgs/1.lms", b"<html>");
    assert!(subject.refused(&request).contains("1.lms"), "a damaged file is named");
    let poses = transforms(&[0, 2, 1]).replace("\"aud_id\"", "\"eye_ratio\": 0.375, \"aud_id\"");
    subject.put("transforms_train.json", poses.as_bytes());
    assert_eq!(eyes(&request), [0.375; 3]);
    request.fix_eye = Some(0.5);
    assert_eq!(eyes(&request), [0.5; 3]);
}

/// The avatar that is part of the program.
#[test]
fn the_built_in_avatar_loads() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../headcast-app/assets/avatars/milo");
    let avatar = Avatar::load(&folder).unwrap();
    assert_eq!(
        (avatar.name.as_str(), avatar.width, avatar.height, avatar.poses.len()),
        ("milo", 512, 512, 1500)
    );
    assert!(avatar.model.has_torso() && avatar.model.has_eye());
    assert_eq!(avatar.model.features(), FeatureKind::DeepSpeech);
    assert!(avatar.built_in_features);
    for words in ["ICT-FaceKit", "MIT", "USC Institute for Creative Technologies"] {
        assert!(avatar.credits.contains(words), "{}", avatar.credits);
    }
    assert!(fs::read_to_string(folder.join("LICENSE.txt")).unwrap().contains("Permission is hereby granted"));
    let size: u64 = fs::read_dir(&folder).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).sum();
    assert!(size < 5 << 20, "{size} bytes are part of every binary");
    assert!(avatar.eyes.iter().any(|e| *e > 0.3), "it blinks");
}
