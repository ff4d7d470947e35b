//! Relative links in the documentation lead to files that are there.

use std::path::Path;
use std::process::Command;

pub(crate) fn check(root: &Path) -> Result<(), String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "*.md"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("git cannot be started: {e}"))?;
    let mut broken = Vec::new();
    for page in String::from_utf8_lossy(&output.stdout).split('\0').filter(|name| !name.is_empty()) {
        let path = root.join(page);
        let text = std::fs::read_to_string(&path).map_err(|e| format!("{page}: {e}"))?;
        let folder = path.parent().unwrap_or(root);
        let dead = targets(&text).filter(|target| !folder.join(target).exists());
        broken.extend(dead.map(|target| format!("{page} links to {target}, which is not there")));
    }
    if broken.is_empty() { Ok(()) } else { Err(broken.join("\n")) }
}

/// What `](…)` points to, without addresses of the web and parts of pages.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).filter_map(|rest| {
        let target = rest.split(')').next()?.split('#').next()?;
        (!target.is_empty() && !target.contains("://")).then_some(target)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_found() {
        let text = "[a](docs/a.md#part) ![b](b.png) [c](https://example.org) [d](#here)";
        assert_eq!(targets(text).collect::<Vec<_>>(), ["docs/a.md", "b.png"]);
    }
}
