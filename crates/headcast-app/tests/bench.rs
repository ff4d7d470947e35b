//! `headcast bench`: the shape of what it prints. How fast this machine is, is no test's business.
#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let place = tempfile::tempdir().unwrap();
    Command::new(env!("CARGO_BIN_EXE_headcast"))
        .arg("bench")
        .args(["--frames", "1", "--data-dir"])
        .arg(place.path())
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn json_has_every_profile_and_the_peak() {
    let output = bench(&["--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let profiles = report["profiles"].as_object().unwrap();
    let names: Vec<&str> = profiles.keys().map(String::as_str).collect();
    assert_eq!(names, ["fast", "parity", "preview", "quality"]);
    let positive = |value: &Value, path: &str| {
        let number = value.pointer(path).and_then(Value::as_f64);
        assert!(number.is_some_and(|number| number > 0.0), "{path} of {value}");
        number.unwrap()
    };
    for profile in profiles.values() {
        for path in
            ["/fps", "/samples_per_frame", "/samples_per_ray", "/rays_of_pixels", "/lanes_used", "/gflops"]
        {
            positive(profile, path);
        }
        for stage in ["march", "encode", "evaluate"] {
            positive(profile, &format!("/ns_per_sample/{stage}"));
        }
    }
    positive(&report, "/peak/f32_gflops");
    positive(&report, "/peak/i16_gops");
    // A fact of the pictures, not of the machine.
    let samples = |name: &str| positive(&profiles[name], "/samples_per_frame");
    assert!(samples("preview") < samples("fast") && samples("fast") < samples("quality"));
    assert!(samples("quality") < samples("parity"));
    if cfg!(target_os = "linux") {
        let bytes = positive(&report, "/renderer_bytes");
        assert!(bytes < 120e6, "{bytes} bytes for one renderer");
    }
}

#[test]
fn one_profile_for_people_and_what_cannot_be_measured() {
    let output = bench(&["--profile", "preview"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && text.contains("\npreview: "), "{text}");
    assert!(!text.contains("\nquality: ") && !text.contains("NaN"), "{text}");
    let refused = bench(&["--avatar", "nobody"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("headcast avatar list"));
    let refused = bench(&["--profile", "auto"]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("all of them"));
}
