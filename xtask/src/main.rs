//! `cargo xtask`: what CI and maintainers run, in plain Rust so that it works wherever the project builds.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

mod arm;
mod dependencies;
mod links;
mod process;
mod python;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use process::{cargo, run};

type Outcome = Result<(), String>;

const HELP: &str = "\
cargo xtask <command>

  check      every check and test: format, lints, dependencies, tests, documentation, fuzz smoke, browser,
             Gradio clients, Python package
  test       tests only: unit, property, fixtures, bad input, documentation examples
  browser [NAME]
             the page in headless Chromium, and players of other people, against the debug build: on_air,
             accessibility, record, text, gallery, avatars, join, patience, seek, pushed, watching and clients, or one of them
  gradio     real Gradio clients (PyPI, npm) and the examples of docs/gradio.md, against the debug build
  python     the Python wheel, built and tested with numpy 1 and 2 and Gradio 5 and 6
  crash      kills the server again and again and compares what comes out; --kills N, default 100
  arm        the NEON kernels against the reference, under QEMU unless this is an ARM
  deps       layering, licences and sources of all dependencies
  fixtures   the NeRF fixture tests with the worst difference of each stage
  fuzz [N]   every fuzz target for N seconds (60), with libFuzzer
  bench      all benchmarks, in release mode
  ears       wav2vec2, HuBERT and DeepSpeech at full size, with random weights: speed and memory, in release mode

Tests that need ffmpeg, ffprobe, mpv, VLC, GStreamer, Chromium, Node.js or Python are skipped where these are missing,
loudly and counted; with HEADCAST_REQUIRE_TOOLS=1 a missing tool is a failure. Where CI is set, results and skips are
shown, and the whole output of what fails.
";

fn main() -> ExitCode {
    let command = argument(1);
    let outcome = match command.as_deref() {
        Some("check") => check(),
        Some("test") => test(),
        Some("browser") => browser(argument(2).as_deref()),
        Some("gradio") => gradio(),
        Some("python") => python::check(),
        Some("crash") => crash(),
        Some("arm") => arm::check(),
        Some("deps") => dependencies::check(&root()),
        Some("fixtures") => {
            cargo(&["test", "-p", "headcast-nerf", "--test", "fixtures", "--", "--nocapture"])
        }
        Some("fuzz") => fuzz(&argument(2).unwrap_or_else(|| "60".into())),
        Some("bench") => cargo(&["bench", "--workspace"]),
        Some("ears") => ears(),
        _ => {
            print!("{HELP}");
            return if command.is_none() { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    process::report_skips();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("\nxtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn argument(index: usize) -> Option<String> {
    std::env::args().nth(index)
}

fn check() -> Outcome {
    tools::report()?;
    cargo(&["fmt", "--all", "--check"])?;
    dependencies::check(&root())?;
    links::check(&root())?;
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    test()?;
    run(Command::new("cargo").args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    fuzz("5")?;
    browser(None)?;
    gradio()?;
    python::check()
}

/// Every test; what tests print is read, so that a skip is seen.
fn test() -> Outcome {
    cargo(&["test", "--workspace", "--no-fail-fast", "--", "--show-output"])
}

fn ears() -> Outcome {
    cargo(&["bench", "-p", "headcast", "--bench", "ears"])?;
    cargo(&["bench", "-p", "headcast-audio", "--bench", "deepspeech"])
}

/// libFuzzer on the stable toolchain: the compiler's coverage pass is an LLVM pass like any other, so neither
/// nightly nor cargo-fuzz is needed. Crash inputs land in `fuzz/artifacts`.
fn fuzz(seconds: &str) -> Outcome {
    if !cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        return tools::skip("fuzz targets", "an x86-64 Linux");
    }
    let target_dir = target_dir().join("fuzz");
    let flags = [
        "--cfg fuzzing",
        "-Cpasses=sancov-module",
        "-Cllvm-args=-sanitizer-coverage-level=4",
        "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
        "-Cllvm-args=-sanitizer-coverage-pc-table",
        "-Cllvm-args=-sanitizer-coverage-trace-compares",
        "-Cdebug-assertions",
        "-Ccodegen-units=1",
    ];
    let triple = "x86_64-unknown-linux-gnu";
    // With a target triple, flags reach the fuzzed code and not the build scripts.
    run(Command::new("cargo")
        .args(["build", "--release", "--locked", "--manifest-path", "fuzz/Cargo.toml", "--target", triple])
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTFLAGS", flags.join(" ")))?;
    for (target, seeds) in
        [("graph", Some("fixtures/deepspeech")), ("multipart", None), ("npy", None), ("pickle", None)]
    {
        let corpus = root().join("fuzz/corpus").join(target);
        let artifacts = root().join("fuzz/artifacts").join(target);
        for folder in [&corpus, &artifacts] {
            std::fs::create_dir_all(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
        }
        run(Command::new(target_dir.join(triple).join("release").join(target))
            .arg(&corpus)
            .args(seeds.map(|folder| root().join(folder)))
            .arg(format!("-max_total_time={seconds}"))
            .arg(format!("-artifact_prefix={}/", artifacts.display()))
            .args(["-rss_limit_mb=2048", "-timeout=10", "-verbosity=0", "-print_final_stats=1"]))?;
    }
    Ok(())
}

/// What `browser` runs, in this order: files in `tests/browser`.
const BROWSER_TESTS: &[&str] = &[
    "on_air",
    "accessibility",
    "record",
    "trim",
    "text",
    "ears",
    "gallery",
    "avatars",
    "join",
    "patience",
    "seek",
    "pushed",
    "watching",
    "others",
    "clients",
];

/// Builds the program, then hands it to the browser tests, or to the one called `only`.
fn browser(only: Option<&str>) -> Outcome {
    let wanted = BROWSER_TESTS.iter().copied().filter(|name| only.is_none_or(|only| only == *name));
    let wanted: Vec<_> = wanted.collect();
    if wanted.is_empty() {
        return Err(format!("the browser tests are {}", BROWSER_TESTS.join(", ")));
    }
    let tests = root().join("tests/browser");
    let Some(npm) = tools::find("npm") else { return tools::skip("browser tests", "npm") };
    if tools::find("node").is_none() {
        return tools::skip("browser tests", "node");
    }
    let Some(chromium) = tools::chromium() else { return tools::skip("browser tests", "chromium") };
    build()?;
    // `npm ci` takes exactly what the lock file says; browsers are never downloaded.
    run(Command::new(npm)
        .args(["ci", "--no-audit", "--no-fund", "--silent"])
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
        .current_dir(&tests))?;
    if only.is_none() {
        // The page's modules carry their types in comments.
        let player = root().join("crates/headcast-app/player");
        run(Command::new(tests.join("node_modules/.bin/tsc"))
            .arg("--noEmit")
            .arg("--project")
            .arg(player.join("jsconfig.json")))?;
    }
    for name in wanted {
        run(Command::new("node")
            .arg(format!("{name}.mjs"))
            .env("HEADCAST_BIN", target_dir().join("debug/headcast"))
            .env("CHROMIUM", &chromium)
            .current_dir(&tests))?;
    }
    Ok(())
}

/// Builds the program, then hands it to the Gradio clients.
fn gradio() -> Outcome {
    const WHAT: &str = "Gradio client tests";
    let tests = root().join("tests/gradio");
    let Some(npm) = tools::find("npm") else { return tools::skip(WHAT, "npm") };
    let Some(python) = tools::find("python3") else { return tools::skip(WHAT, "python3") };
    for tool in ["node", "curl"] {
        if tools::find(tool).is_none() {
            return tools::skip(WHAT, tool);
        }
    }
    // Debian has it apart from Python.
    let venv = Command::new(&python).args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
    if !venv.is_ok_and(|status| status.success()) {
        return tools::skip(WHAT, "python3 -m venv");
    }
    build()?;
    run(Command::new(npm).args(["ci", "--no-audit", "--no-fund", "--silent"]).current_dir(&tests))?;
    run(Command::new(python)
        .arg("run.py")
        .arg("--binary")
        .arg(target_dir().join("debug/headcast"))
        .arg("--venvs")
        .arg(target_dir().join("gradio-clients"))
        .current_dir(&tests))
}

/// The test that `check` runs with a few kills, with many.
fn crash() -> Outcome {
    let arguments: Vec<_> = std::env::args().skip(2).collect();
    let kills = match arguments.as_slice() {
        [] => 100,
        [name, number] if name == "--kills" => {
            number.parse::<u32>().map_err(|_no_number| format!("--kills takes a number, not {number:?}"))?
        }
        other => return Err(format!("crash takes --kills N, not {}", other.join(" "))),
    };
    run(Command::new("cargo")
        .args(["test", "-p", "headcast-app", "--test", "crash", "--", "--nocapture"])
        .env("HEADCAST_CRASH_KILLS", kills.to_string()))
}

/// The program; with it the rest, because the Python wheel needs the same features of the same dependencies, which are
/// so compiled once.
fn build() -> Outcome {
    cargo(&["build", "--workspace"])
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace root").to_path_buf()
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
