//! Where avatars and jobs are kept.

use std::path::PathBuf;

/// The folder that the user named, or the one that the system has for a user's program data:
/// `$XDG_DATA_HOME/headcast` (`~/.local/share/headcast`), `~/Library/Application Support/headcast` or
/// `%LOCALAPPDATA%\headcast`.
///
/// # Errors
/// A sentence, when the system names no such folder.
pub fn choose(named: Option<PathBuf>) -> Result<PathBuf, String> {
    if let Some(dir) = named {
        return Ok(dir);
    }
    let variable = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let home = || variable("HOME");
    let base = if cfg!(windows) {
        variable("LOCALAPPDATA")
    } else if cfg!(target_os = "macos") {
        home().map(|home| home.join("Library/Application Support"))
    } else {
        // The XDG base directory specification ignores relative paths.
        variable("XDG_DATA_HOME")
            .filter(|dir| dir.is_absolute())
            .or_else(|| home().map(|home| home.join(".local/share")))
    };
    base.map(|base| base.join("headcast"))
        .ok_or_else(|| "no folder for program data is known here; name one with --data-dir".to_owned())
}
