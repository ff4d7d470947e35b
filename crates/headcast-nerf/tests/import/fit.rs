//! Poses of another person or recording: what shows that they are, and no false alarm.

use std::fs;
use std::path::Path;

use headcast_nerf::avatar::{Check, ImportRequest, Item, State, examine, import, inspect, inspect_with_data};
use serde_json::{Value, json};

use crate::build::*;
use crate::containers::fixture;

const SUBJECTS: [(&str, &str); 11] = [
    ("ad-head", "300000_head.tar"),
    ("ad-torso", "300000_head.tar"),
    ("er-adaptive", "ngp.pth"),
    ("er-att0-noind", "ngp.pth"),
    ("er-fp16", "ngp.pth"),
    ("er-head", "ngp.pth"),
    ("er-hubert-eye", "ngp.pth"),
    ("er-torso", "ngp.pth"),
    ("rad-head", "ngp.pth"),
    ("rad-noeye-noind-att1", "ngp.pth"),
    ("rad-torso", "ngp.pth"),
];

/// A copy of a fixture whose pose file is changed.
fn changed(name: &str, file: &str, change: impl Fn(&mut Value)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    let path = folder.path().join(file);
    let mut poses = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    change(&mut poses);
    fs::write(&path, poses.to_string()).unwrap();
    folder
}

fn fit(folder: &Path) -> Check {
    examine(folder).checks.into_iter().find(|check| check.item == Item::Fit).unwrap()
}

/// Imports the folder and returns what it says.
fn imported(folder: &Path, file: &str) -> Result<String, String> {
    let library = tempfile::tempdir().unwrap();
    let request = ImportRequest::new(folder.join(file), folder, "ann");
    import(&request, library.path()).map(|report| report.notes.join("\n")).map_err(|error| error.to_string())
}

/// Every entry of the fourth column, or another change of each matrix.
fn each(poses: &mut Value, change: impl Fn(&mut Vec<Vec<f64>>)) {
    for frame in poses["frames"].as_array_mut().unwrap() {
        let mut matrix = serde_json::from_value(frame["transform_matrix"].clone()).unwrap();
        change(&mut matrix);
        frame["transform_matrix"] = json!(matrix);
    }
}

#[test]
fn what_belongs_together_is_not_suspected() {
    for (name, file) in SUBJECTS {
        let check = fit(&fixture(name));
        assert_eq!((check.state, check.blocks), (State::Fine, false), "{name}: {}", check.text);
        let notes = imported(&fixture(name), file).unwrap();
        assert!(!notes.contains("another person"), "{name}: {notes}");
    }
}

#[test]
fn cameras_that_look_elsewhere_are_refused_with_both_names() {
    // Turned round, and half a turn about the vertical.
    let behind = changed("er-torso", "transforms_train.json", |poses| {
        each(poses, |matrix| {
            for row in matrix.iter_mut().take(3) {
                (row[0], row[2]) = (-row[0], -row[2]);
            }
        });
    });
    // As if the picture were another part of the video.
    let beside = changed("rad-torso", "transforms_train.json", |poses| {
        each(poses, |matrix| matrix[0][3] += 2.0);
    });
    for folder in [&behind, &beside] {
        let check = fit(folder.path());
        assert_eq!((check.state, check.blocks), (State::Unusable, true), "{}", check.text);
        let report = inspect(folder.path()).unwrap();
        assert!(report.problems.contains(&check.text), "{report}");
        // Where the checkpoint lies elsewhere, as upstream has it.
        let workspace = tempfile::tempdir().unwrap();
        let checkpoint = workspace.path().join("ngp.pth");
        fs::rename(folder.path().join("ngp.pth"), &checkpoint).unwrap();
        for path in [workspace.path(), &checkpoint] {
            assert!(inspect(path).unwrap().problems.is_empty());
            let report = inspect_with_data(path, folder.path()).unwrap();
            assert!(report.problems.contains(&check.text), "{report}");
        }
        fs::rename(&checkpoint, folder.path().join("ngp.pth")).unwrap();
        let error = imported(folder.path(), "ngp.pth").unwrap_err();
        for words in
            ["transforms_train.json", "ngp.pth", "64x64 pixels, focal length 156", "another person", "take "]
        {
            assert!(error.contains(words), "{words}: {error}");
        }
    }
}

#[test]
fn what_looks_odd_is_imported_with_a_note() {
    // Ten times as far away: another scale of the tracker.
    let far = changed("er-torso", "transforms_train.json", |poses| {
        each(poses, |matrix| matrix.iter_mut().take(3).for_each(|row| row[3] *= 10.0));
    });
    // A focal length that shows a part of the face.
    let near = changed("er-torso", "transforms_train.json", |poses| {
        poses["focal_len"] = json!(poses["focal_len"].as_f64().unwrap() * 8.0);
    });
    // More frames than the training had codes for.
    let long = changed("er-adaptive", "transforms_train.json", |poses| {
        let frames = poses["frames"].as_array_mut().unwrap();
        let first = frames[0].clone();
        frames.extend(std::iter::repeat_n(first, 100));
    });
    for (folder, words) in [
        (&far, "is a spot of 0."),
        (&near, "of the head of ngp.pth are in the picture"),
        (&long, "has 109 poses, but the checkpoint has individual codes for 100 frames"),
    ] {
        let check = fit(folder.path());
        assert_eq!((check.state, check.blocks), (State::Warning, false), "{}", check.text);
        let notes = imported(folder.path(), "ngp.pth").unwrap();
        assert!(notes.contains(words) && notes.contains("another person"), "{notes}");
    }
}

#[test]
fn the_steps_of_training_tell_its_frames() {
    let folder = changed("er-torso", "transforms_train.json", |_| {});
    let put = |epoch: i32, step: i32| {
        let scalars = [("epoch", Py::Int(epoch)), ("global_step", Py::Int(step))];
        fs::write(folder.path().join("ngp.pth"), torch_zip(&checkpoint(er_state(true), &scalars))).unwrap();
        fit(folder.path())
    };
    let check = put(20, 20 * 10);
    assert!(!check.text.contains("trained with"), "control: {}", check.text);
    let check = put(20, 20 * 7000);
    assert_eq!(check.state, State::Warning);
    assert!(check.text.contains("has 10 poses, but the checkpoint was trained with 7000"), "{}", check.text);
}

#[test]
fn ad_nerfs_depths_are_held_against_its_poses() {
    let move_away =
        |poses: &mut Value| each(poses, |matrix| matrix.iter_mut().take(3).for_each(|row| row[3] *= 3.0));
    let folder = changed("ad-torso", "transforms_val.json", move_away);
    // Upstream's test poses are imported, those of training are looked at first.
    let error = imported(folder.path(), "300000_head.tar").unwrap_err();
    assert!(error.contains("outside near and far of the config file"), "{error}");
    let folder = changed("ad-torso", "transforms_train.json", move_away);
    let check = fit(folder.path());
    assert_eq!(check.state, State::Unusable, "{}", check.text);
}
