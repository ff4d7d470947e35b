//! The Python package: a wheel, and its tests in fresh environments.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::run;
use crate::{Outcome, build, root, target_dir, tools};

/// Builds the wheel; any version that `pyproject.toml` allows will do, this one is known to.
const MATURIN: &str = "maturin==1.16.0";

/// Both majors of numpy, each of which lays out its C interface differently.
const NUMPYS: [(&str, &str); 2] = [("numpy1", "numpy==1.26.4"), ("numpy2", "numpy==2.2.6")];

/// The majors of Gradio that have the player.
const GRADIOS: [(&str, &str); 2] = [("gradio5", "gradio==5.49.1"), ("gradio6", "gradio==6.31.0")];

const MYPY: &str = "mypy==1.18.2";

/// Builds the wheel, and tests it against every library that it claims to work with.
pub(crate) fn check() -> Outcome {
    let Some(python) = tools::find("python3") else { return tools::skip("Python tests", "python3") };
    let has_venv = Command::new(&python).args(["-c", "import venv, ensurepip"]).output();
    if !has_venv.is_ok_and(|output| output.status.success()) {
        return tools::skip("Python tests", "python3-venv");
    }
    // One of the recipes runs the program.
    build()?;
    let place = target_dir().join("python");
    let wheel = wheel(&python, &place)?;
    for (name, numpy) in NUMPYS {
        let python = environment(&python, &place.join(name), &[numpy], &wheel)?;
        run(Command::new(&python)
            .args(["-u", "-W", "error", "-m", "unittest", "discover", "-s", "python/tests"])
            .env("HEADCAST_BIN", target_dir().join("debug/headcast")))?;
    }
    let browser = browser()?;
    for (name, gradio) in GRADIOS {
        let python = environment(&python, &place.join(name), &[gradio, MYPY], &wheel)?;
        if name == "gradio6" {
            run(Command::new(&python).args(["-m", "mypy", "--strict", "-p", "headcast"]))?;
        }
        let Some([node, chromium]) = &browser else {
            tools::skip(gradio, "node, npm and chromium")?;
            continue;
        };
        run(Command::new(node)
            .arg("tests/browser/gradio.mjs")
            .arg("--python")
            .arg(python)
            .env("CHROMIUM", chromium))?;
    }
    Ok(())
}

/// Builds the wheel in the development profile, with what other steps have compiled already.
fn wheel(python: &Path, place: &Path) -> Result<PathBuf, String> {
    let builder = virtual_environment(python, &place.join("build"))?;
    run(Command::new(&builder).args(PIP).arg(MATURIN))?;
    let wheels = place.join("wheels");
    // One wheel is looked for below.
    let _ = fs::remove_dir_all(&wheels);
    run(Command::new(&builder).args(["-m", "maturin", "build", "--locked", "--out"]).arg(&wheels))?;
    let entries = fs::read_dir(&wheels).map_err(|e| format!("{}: {e}", wheels.display()))?;
    let mut found = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "whl"));
    found.next().ok_or_else(|| format!("there is no wheel in {}", wheels.display()))
}

/// An environment with `packages` and the wheel; returns its Python.
fn environment(python: &Path, folder: &Path, packages: &[&str], wheel: &Path) -> Result<PathBuf, String> {
    let python = virtual_environment(python, folder)?;
    run(Command::new(&python).args(PIP).args(packages))?;
    // The same version with other content, when this is run again.
    run(Command::new(&python).args(PIP).args(["--force-reinstall", "--no-deps"]).arg(wheel))?;
    run(Command::new(&python).args(["-m", "pip", "check"]))?;
    Ok(python)
}

fn virtual_environment(python: &Path, folder: &Path) -> Result<PathBuf, String> {
    let inside = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    if !inside.is_file() {
        run(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    }
    Ok(inside)
}

/// Node and Chromium, with the test's packages installed; `None` where one of them is missing. That the packages cannot
/// be installed is a failure, not a skip.
fn browser() -> Result<Option<[PathBuf; 2]>, String> {
    let (Some(node), Some(npm), Some(chromium)) =
        (tools::find("node"), tools::find("npm"), tools::chromium())
    else {
        return Ok(None);
    };
    let mut install = Command::new(npm);
    install
        .args(["ci", "--no-audit", "--no-fund", "--silent"])
        .env("PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD", "1")
        .current_dir(root().join("tests/browser"));
    run(&mut install)?;
    Ok(Some([node, chromium]))
}

const PIP: [&str; 5] = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
