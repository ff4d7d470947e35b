//! The vector kernels of `AArch64`, run by QEMU where the processor is another one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::process::run;
use crate::{Outcome, target_dir, tools};

const TRIPLE: &str = "aarch64-unknown-linux-gnu";
const WHAT: &str = "NEON kernels";

/// Tests of the operations and layers of every level, of every kernel against the reference, and of small whole pictures
/// that are to be scalar code's to the last bit. What has `neon` in its name is expanded from the bodies that x86-64 runs.
const TESTS: [&str; 6] = [
    "cpu::simd::",
    "cpu::packet::",
    "cpu::dense16::",
    "cpu::occupancy::",
    "parity::neon",
    "vector_instruction_sets_agree_bit_by_bit",
];

/// Builds the tests of the renderer for `AArch64` and runs those that know an instruction set.
pub(crate) fn check() -> Outcome {
    let mut cargo = Command::new("cargo");
    cargo.args(["test", "--locked", "-p", "headcast-nerf", "--lib", "--test", "parity"]);
    if !cfg!(target_arch = "aarch64") {
        let Some(emulator) = ["qemu-aarch64-static", "qemu-aarch64"].into_iter().find_map(tools::find) else {
            return tools::skip(WHAT, "qemu-aarch64-static");
        };
        let linker = std::env::var_os(variable("LINKER")).map(PathBuf::from);
        let Some(linker) = linker.or_else(|| tools::find("aarch64-linux-gnu-gcc")) else {
            return tools::skip(WHAT, "aarch64-linux-gnu-gcc");
        };
        if !has_std() {
            let reason = format!(
                "this Rust has no standard library for {TRIPLE} (`rustup target add {TRIPLE}`, or RUSTC names a compiler that has it)"
            );
            return tools::skip_because(WHAT, &reason);
        }
        cargo
            .args(["--target", TRIPLE])
            .arg("--target-dir")
            // Apart, because RUSTC may name another compiler than the one that built the rest.
            .arg(target_dir().join("arm"))
            .env(variable("LINKER"), linker)
            .env(variable("RUNNER"), emulator)
            // A static program needs no foreign libraries to be found when it runs.
            .env(variable("RUSTFLAGS"), "-C target-feature=+crt-static");
    }
    run(cargo.arg("--").args(TESTS))
}

/// Cargo's environment variable for `what` of the target.
fn variable(what: &str) -> String {
    format!("CARGO_TARGET_{}_{what}", TRIPLE.to_uppercase().replace('-', "_"))
}

/// Whether the compiler that cargo will use has a standard library for the target.
fn has_std() -> bool {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc)
        .args(["--print", "target-libdir", "--target", TRIPLE])
        .stderr(Stdio::null())
        .output();
    let Ok(output) = output else { return false };
    let folder = String::from_utf8_lossy(&output.stdout);
    let Ok(entries) = Path::new(folder.trim()).read_dir() else { return false };
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
}
