//! Who may depend on what: layering inside the workspace, homes of the heavy crates, licences, sources.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// Workspace crates and the workspace crates they may name. Siblings (audio, nerf, media) never meet.
const LAYERS: &[(&str, &[&str])] = &[
    ("headcast-core", &[]),
    ("headcast-audio", &["headcast-core"]),
    ("headcast-nerf", &["headcast-core"]),
    ("headcast-media", &["headcast-core"]),
    ("headcast", &["headcast-core", "headcast-audio", "headcast-nerf", "headcast-media"]),
    ("headcast-app", &["headcast"]),
    ("headcast-py", &["headcast", "headcast-app"]),
    ("xtask", &[]),
];

/// Crates with one home each: nobody else names them.
const HOMES: &[(&str, &str)] = &[
    ("axum", "headcast-app"),
    ("tokio", "headcast-app"),
    ("clap", "headcast-app"),
    ("anyhow", "headcast-app"),
    ("indicatif", "headcast-app"),
    ("libc", "headcast-app"),
    ("rustix", "headcast-app"),
    ("rusqlite", "headcast-app"),
    ("ureq", "headcast-app"),
    ("symphonia", "headcast-audio"),
    ("rubato", "headcast-audio"),
    ("openh264-sys2", "headcast-media"),
    ("fdk-aac", "headcast-media"),
    ("safetensors", "headcast-nerf"),
    ("pyo3", "headcast-py"),
];

/// Licences that a MIT OR Apache-2.0 program may link. MPL-2.0 (symphonia) is per file.
const LICENCES: &[&str] = &[
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "0BSD",
    "CC0-1.0",
    "Unlicense",
    "Unicode-3.0",
    "MPL-2.0",
    "BSL-1.0",
    // The list of certificate authorities, which is data (webpki-roots).
    "CDLA-Permissive-2.0",
];

pub(crate) fn check(root: &Path) -> Result<(), String> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked", "--all-features"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("cargo metadata cannot be started: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    let metadata: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))?;
    let mut problems = problems(&metadata);
    let manifest =
        std::fs::read_to_string(root.join("Cargo.toml")).map_err(|e| format!("Cargo.toml: {e}"))?;
    if manifest.lines().any(|line| line.trim_start().starts_with("panic") && line.contains("abort")) {
        problems.push("a profile sets panic = \"abort\"; decoders and jobs rely on unwinding".to_owned());
    }
    if !problems.is_empty() {
        return Err(problems.join("\n"));
    }
    println!(
        "dependencies: layering, homes, licences and sources of {} packages are in order",
        packages(&metadata).len()
    );
    Ok(())
}

fn packages(metadata: &Value) -> Vec<&Value> {
    metadata["packages"].as_array().map(|list| list.iter().collect()).unwrap_or_default()
}

fn problems(metadata: &Value) -> Vec<String> {
    let layers: BTreeMap<_, _> = LAYERS.iter().copied().collect();
    let homes: BTreeMap<_, _> = HOMES.iter().copied().collect();
    let mut problems = Vec::new();
    for package in packages(metadata) {
        let name = package["name"].as_str().unwrap_or_default();
        if let Some(source) = package["source"].as_str() {
            if !source.starts_with("registry+") && !source.starts_with("sparse+") {
                problems.push(format!("{name} comes from {source}; only crates.io is allowed"));
            }
            let licence = package["license"].as_str().unwrap_or("(none)");
            if !licence_is_allowed(licence) {
                problems.push(format!("{name} is licensed {licence}, which is not in the list"));
            }
            continue;
        }
        let Some(allowed) = layers.get(name) else {
            problems
                .push(format!("{name} is not in the list of workspace crates (xtask/src/dependencies.rs)"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let needs = dependency["name"].as_str().unwrap_or_default();
            // Tests may look across; what ships may not.
            let ships = dependency["kind"].is_null();
            if ships && layers.contains_key(needs) && !allowed.contains(&needs) {
                problems.push(format!("{name} must not depend on {needs}"));
            }
            if ships && homes.get(needs).is_some_and(|home| *home != name) {
                problems.push(format!("{needs} lives in {} alone, {name} must not name it", homes[needs]));
            }
        }
    }
    problems
}

/// Whether an SPDX expression of OR, AND and parentheses can be met from the list.
fn licence_is_allowed(expression: &str) -> bool {
    // "MIT/Apache-2.0" is an old spelling of OR.
    let expression = expression.replace('/', " OR ").replace(['(', ')'], " ");
    expression.split(" AND ").all(|all| all.split(" OR ").any(|one| LICENCES.contains(&one.trim())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences() {
        assert!(licence_is_allowed("MIT OR GPL-3.0-only"));
        assert!(licence_is_allowed("(MIT OR Apache-2.0) AND Unicode-3.0"));
        assert!(!licence_is_allowed("GPL-3.0-only"));
        assert!(!licence_is_allowed("MIT AND GPL-3.0-only"));
    }

    #[test]
    fn a_sibling_and_a_stray_home_are_found() {
        let metadata = serde_json::json!({ "packages": [{
            "name": "headcast-audio", "source": null,
            "dependencies": [
                { "name": "headcast-nerf", "kind": null },
                { "name": "tokio", "kind": null },
                { "name": "headcast-media", "kind": "dev" },
            ],
        }]});
        let problems = problems(&metadata);
        assert_eq!(problems.len(), 2, "{problems:?}");
    }
}
