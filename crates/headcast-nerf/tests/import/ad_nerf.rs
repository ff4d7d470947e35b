//! AD-NeRF: two checkpoints, a config file and poses become an avatar.

use std::fs;
use std::path::{Path, PathBuf};

use headcast_nerf::avatar::{Avatar, ImportRequest, import};
use headcast_nerf::checkpoint::{AdPart, Checkpoint, Family};
use headcast_nerf::model::{AdField, Network};

use crate::containers::fixture;

/// A copy of a fixture that may be damaged.
struct Copy {
    folder: tempfile::TempDir,
}

impl Copy {
    fn new(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(fixture(name)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn request(&self) -> ImportRequest {
        ImportRequest::new(self.path("300000_head.tar"), self.folder.path(), "ann")
    }

    fn refused(&self, request: &ImportRequest) -> String {
        let error = import(request, &self.path("library")).unwrap_err().to_string();
        let left: Vec<_> = fs::read_dir(self.path("library")).into_iter().flatten().collect();
        assert!(left.is_empty(), "{error}: left {left:?}");
        error
    }
}

fn field(path: &Path) -> AdField {
    AdField::from_checkpoint(&mut Checkpoint::open(fs::File::open(path).unwrap()).unwrap()).unwrap()
}

#[test]
fn both_halves_become_one_avatar() {
    let subject = Copy::new("ad-torso");
    let report = import(&subject.request(), &subject.path("library")).unwrap();
    assert!(matches!(&report.notes[..], [note] if note.contains("600000_body.tar")), "{:?}", report.notes);
    assert_eq!((report.avatar.family, report.avatar.torso), (Family::AdNerf, true));
    assert!(report.avatar.problems.is_empty(), "{report}");
    let avatar = Avatar::load(&report.path).unwrap();
    // The test's poses, as upstream would show them, and the size of the background.
    assert_eq!((avatar.width, avatar.height, avatar.poses.len()), (24, 24, 10));
    let Network::Ad(model) = &avatar.model else { panic!("it is an AD-NeRF") };
    assert_eq!((model.options.near, model.options.far), (0.567_902_74, 1.167_902_7));
    assert_eq!((model.options.samples, model.options.importance), (64, 128));
    let torso = model.torso.as_ref().unwrap();
    assert_eq!(torso.pose[0][..2], [0.976_458_85, -0.044_011_418], "the first training pose, to the bit");
    assert_eq!(torso.code(), 64);
    // Networks are those of the checkpoints, to the bit.
    assert!(model.head == field(&subject.path("300000_head.tar")), "the head changed on its way");
    assert!(torso.field == field(&subject.path("600000_body.tar")), "the torso changed on its way");
}

#[test]
fn a_head_alone_is_allowed_with_a_note() {
    let subject = Copy::new("ad-head");
    let report = import(&subject.request(), &subject.path("library")).unwrap();
    assert!(report.notes[0].contains("without a torso; pass it with --body"), "{:?}", report.notes);
    assert!(!Avatar::load(&report.path).unwrap().model.has_torso());
}

#[test]
fn a_folder_gives_its_last_checkpoints() {
    let subject = Copy::new("ad-torso");
    fs::copy(subject.path("300000_head.tar"), subject.path("90000_head.tar")).unwrap();
    fs::write(subject.path("1000000_head.txt"), "no checkpoint").unwrap();
    let request = ImportRequest { checkpoint: subject.folder.path().to_owned(), ..subject.request() };
    let report = import(&request, &subject.path("library")).unwrap();
    assert!(report.notes[0].contains("300000_head.tar"), "by number, not by letter: {:?}", report.notes);
}

#[test]
fn what_is_missing_or_exchanged_is_said() {
    let subject = Copy::new("ad-torso");
    let base = subject.request();
    let head = subject.path("300000_head.tar");
    let body = subject.path("600000_body.tar");
    for (request, words) in [
        (
            ImportRequest { checkpoint: body.clone(), ..base.clone() },
            "body file (NNNNNN_body.tar) of an AD-NeRF, where the head file",
        ),
        (ImportRequest { body: Some(head), ..base.clone() }, "give the NNNNNN_body.tar"),
        (
            ImportRequest { body: Some(fixture("er-head").join("ngp.pth")), ..base.clone() },
            "this is an ER-NeRF checkpoint where an AD-NeRF head is needed",
        ),
        (
            ImportRequest {
                checkpoint: fixture("er-torso").join("ngp.pth"),
                body: Some(body),
                ..ImportRequest::new("", fixture("er-torso"), "ann")
            },
            "--body",
        ),
        (
            ImportRequest { config: Some(subject.path("transforms_val.json")), ..base.clone() },
            "no line `near",
        ),
    ] {
        let error = subject.refused(&request);
        assert!(error.contains(words), "{error}");
    }
    let without = |file: &str, words: &[&str]| {
        let bytes = fs::read(subject.path(file)).unwrap();
        fs::remove_file(subject.path(file)).unwrap();
        let error = subject.refused(&base);
        fs::write(subject.path(file), bytes).unwrap();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    without("TorsoNeRFTest_config.txt", &["`near` and `far`", "process_data.py", "--config"]);
    without("transforms_train.json", &["torso is seen by its first camera", "dataset/<id>"]);
    without("bc.png", &["`bc.jpg` is missing"]);
    for (from, to, words) in [
        ("near = 0.5", "near = 5.5", "depths must be positive and rise"),
        ("near = 0.5", "near = -0.5", "depths must be positive and rise"),
        ("with_test = 1", "N_samples = 1", "use 4 to 1024 coarse"),
    ] {
        let config = fs::read_to_string(subject.path("TorsoNeRFTest_config.txt")).unwrap();
        fs::write(subject.path("TorsoNeRFTest_config.txt"), config.replacen(from, to, 1)).unwrap();
        let error = subject.refused(&base);
        assert!(error.contains(words), "{error}");
        fs::write(subject.path("TorsoNeRFTest_config.txt"), config).unwrap();
    }
    // Nothing was damaged on the way here.
    import(&base, &subject.path("library")).unwrap();
}

#[test]
fn parts_are_told_by_what_they_hear() {
    for (file, part) in [("300000_head.tar", AdPart::Head), ("600000_body.tar", AdPart::Body)] {
        let checkpoint = Checkpoint::open(fs::File::open(fixture("ad-torso").join(file)).unwrap()).unwrap();
        assert_eq!(AdPart::of(&checkpoint), Some(part));
    }
}
