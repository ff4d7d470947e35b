//! Finds out whether `openh264-sys2` compiles OpenH264 with its assembly, by the rules of its build script,
//! which falls back to plain C without a word.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Stdio};

fn main() {
    println!("cargo::rustc-check-cfg=cfg(openh264_assembly)");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=NASM");
    println!("cargo::rerun-if-env-changed=OPENH264_NO_ASM");
    println!("cargo::rerun-if-env-changed=PATH");

    let arch = env::var("CARGO_CFG_TARGET_ARCH").unwrap_or_default();
    let os = env::var("CARGO_CFG_TARGET_OS").unwrap_or_default();
    let assembly = match arch.as_str() {
        "x86" | "x86_64" => x86_assembly(),
        // NEON sources go through the C compiler, which is there anyway.
        "arm" | "aarch64" => os != "windows",
        _ => false,
    };
    if assembly {
        println!("cargo::rustc-cfg=openh264_assembly");
    }
}

fn x86_assembly() -> bool {
    // Set is enough: openh264-sys2 does not look at the value.
    if env::var("OPENH264_NO_ASM").is_ok() {
        println!(
            "cargo::warning=OPENH264_NO_ASM is set: H.264 encoding will be 2.4 to 3.5 times slower; unset it \
             (an empty value counts as set), run `cargo clean -p openh264-sys2` and rebuild"
        );
        return false;
    }
    if !nasm_runs() {
        println!(
            "cargo::warning=nasm not found: H.264 encoding will be 2.4 to 3.5 times slower; install nasm, run \
             `cargo clean -p openh264-sys2 -p headcast-media` and rebuild"
        );
        return false;
    }
    true
}

/// `$NASM`, or any `nasm` in `PATH`, that answers to `-v`.
fn nasm_runs() -> bool {
    let candidates = match env::var("NASM") {
        Ok(path) => vec![PathBuf::from(path)],
        Err(_) => {
            let path = env::var_os("PATH").unwrap_or_default();
            env::split_paths(&path).map(|folder| folder.join("nasm")).collect()
        }
    };
    candidates.iter().any(|nasm| {
        let run = Command::new(nasm).arg("-v").stdout(Stdio::null()).stderr(Stdio::null()).status();
        run.is_ok_and(|status| status.success())
    })
}
