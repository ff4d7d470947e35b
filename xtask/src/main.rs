//! `cargo xtask`: what CI and maintainers run, in plain Rust so that it works wherever the project builds.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks to its terminal")]

mod dependencies;
mod tools;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

type Outcome = Result<(), String>;

const HELP: &str = "\
cargo xtask <command>

  check      every check and test: format, lints, dependencies, tests, documentation, fuzz smoke, browser
  test       tests only: unit, property, fixtures, bad input, documentation examples
  browser    the page in headless Chromium, against the debug build
  deps       layering, licences and sources of all dependencies
  fixtures   the NeRF fixture tests with the worst difference of each stage
  bench      all benchmarks, in release mode

Tests that need ffmpeg, ffprobe, Chromium or Node.js are skipped where these are missing, loudly and counted;
with HEADCAST_REQUIRE_TOOLS=1 a missing tool is a failure.
";

fn main() -> ExitCode {
    let command = std::env::args().nth(1);
    let outcome = match command.as_deref() {
        Some("check") => check(),
        Some("test") => test(),
        Some("browser") => browser(),
        Some("deps") => dependencies::check(&root()),
        Some("fixtures") => {
            cargo(&["test", "-p", "headcast-nerf", "--test", "fixtures", "--", "--nocapture"])
        }
        Some("bench") => cargo(&["bench", "--workspace"]),
        _ => {
            print!("{HELP}");
            return if command.is_none() { ExitCode::SUCCESS } else { ExitCode::from(2) };
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("\nxtask: {reason}");
            ExitCode::FAILURE
        }
    }
}

fn check() -> Outcome {
    tools::report()?;
    cargo(&["fmt", "--all", "--check"])?;
    dependencies::check(&root())?;
    cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"])?;
    test()?;
    run(Command::new("cargo").args(["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    browser()
}

fn test() -> Outcome {
    cargo(&["test", "--workspace", "--no-fail-fast"])
}

/// Builds the program, then hands it to the browser tests.
fn browser() -> Outcome {
    let tests = root().join("tests/browser");
    let Some(npm) = tools::find("npm") else { return tools::skip("browser tests", "npm") };
    if tools::find("node").is_none() {
        return tools::skip("browser tests", "node");
    }
    let Some(chromium) = tools::chromium() else { return tools::skip("browser tests", "chromium") };
    cargo(&["build", "-p", "headcast-app"])?;
    // `npm ci` takes exactly what the lock file says; browsers are never downloaded.
    run(Command::new(npm)
        .args(["ci", "--no-audit", "--no-fund", "--silent"])
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
        .current_dir(&tests))?;
    run(Command::new("node")
        .arg("on_air.mjs")
        .env("HEADCAST_BIN", target_dir().join("debug/headcast"))
        .env("CHROMIUM", chromium)
        .current_dir(&tests))
}

fn cargo(args: &[&str]) -> Outcome {
    run(Command::new("cargo").args(args))
}

fn run(command: &mut Command) -> Outcome {
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    let text = format!("{command:?}").replace('"', "");
    println!("\n$ {text}");
    let status = command.status().map_err(|e| format!("`{text}` cannot be started: {e}"))?;
    if status.success() { Ok(()) } else { Err(format!("`{text}` failed ({status})")) }
}

fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace root").to_path_buf()
}

fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}
