//! Optional programs that tests compare us with.

use std::path::PathBuf;

use crate::process;

/// The program of this name on `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Chromium or Chrome, by `CHROMIUM` or under one of its usual names.
pub(crate) fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from).filter(|file| file.is_file());
    named.or_else(|| ["chromium", "chromium-browser", "google-chrome"].into_iter().find_map(find))
}

/// Whether a missing tool is a failure.
pub(crate) fn required() -> bool {
    std::env::var_os("HEADCAST_REQUIRE_TOOLS").is_some_and(|v| !v.is_empty() && v != "0")
}

/// Says what is skipped for want of `tool`, or fails if tools are required.
pub(crate) fn skip(what: &str, tool: &str) -> Result<(), String> {
    skip_because(what, &format!("`{tool}` is not on PATH"))
}

/// As [`skip`], for any reason.
pub(crate) fn skip_because(what: &str, reason: &str) -> Result<(), String> {
    if required() {
        return Err(format!("{what} cannot be tested: {reason} (HEADCAST_REQUIRE_TOOLS is set)"));
    }
    let line = format!("SKIPPED: {what}: {reason}");
    println!("\n{line}");
    process::note_skip(&line);
    Ok(())
}

/// Prints which tools are here; fails on a missing one if they are required.
pub(crate) fn report() -> Result<(), String> {
    let tools = [
        ("nasm", find("nasm"), "H.264 encoding is 2.4 to 3.5 times slower"),
        ("ffmpeg", find("ffmpeg"), "foreign-reader tests are skipped"),
        ("ffprobe", find("ffprobe"), "foreign-reader tests are skipped"),
        ("node", find("node"), "page tests are skipped"),
        ("npm", find("npm"), "browser tests are skipped"),
        ("chromium", chromium(), "browser tests are skipped"),
        ("mpv", find("mpv"), "it is not seen to play a job"),
        ("cvlc", find("cvlc"), "VLC is not seen to play a job"),
        ("gst-launch-1.0", find("gst-launch-1.0"), "GStreamer is not seen to play a job"),
        ("python3", find("python3"), "Gradio clients and the Python package are not tested"),
        ("curl", find("curl"), "Gradio client tests are skipped"),
        ("nginx", find("nginx"), "its recipe is not run"),
        ("systemd-analyze", find("systemd-analyze"), "the unit of the recipe is not looked at"),
    ];
    let mut missing = Vec::new();
    for (name, found, without) in tools {
        match found {
            Some(path) => println!("{name:16} {}", path.display()),
            None => {
                println!("{name:16} MISSING: {without}");
                missing.push(name);
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let hint = "on Debian: apt-get install nasm ffmpeg chromium nodejs npm python3-venv curl mpv vlc-bin vlc-plugin-base \
                gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad \
                gstreamer1.0-libav nginx-light systemd";
    if required() {
        return Err(format!("missing {} (HEADCAST_REQUIRE_TOOLS is set); {hint}", missing.join(", ")));
    }
    println!("{hint}");
    Ok(())
}
