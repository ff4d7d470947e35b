//! Clips of any length through `headcast render`.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::{clip, watch};

/// Renders `secs` seconds into the folder `place` with the avatar of the data folder `dir`, with features from a file or
/// its own.
pub(super) fn command(dir: &Path, place: &Path, secs: u32, features: bool) -> Command {
    let audio = place.join("clip.wav");
    std::fs::write(&audio, clip::recording(secs)).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_headcast"));
    command.args(["render", "--quiet", "--avatar", "cube", "--audio"]).arg(&audio);
    if features {
        let file = place.join("clip.npy");
        std::fs::write(&file, clip::features(secs)).unwrap();
        command.arg("--features").arg(file);
    }
    command.arg("-o").arg(place.join("out")).arg("--data-dir").arg(dir).stdout(Stdio::null());
    command
}

/// Peak memory, in bytes, of the command, which succeeds; `None` where the system does not tell.
pub(super) fn peak(mut command: Command) -> Option<u64> {
    let mut child = command.spawn().unwrap();
    let mut peak = None;
    loop {
        // The peak only rises, so the last look counts.
        peak = watch::peak_bytes(child.id()).or(peak);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status}");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
