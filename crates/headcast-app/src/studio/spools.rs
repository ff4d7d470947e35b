//! Where clips that are too long for the memory are worked on.

use std::path::{Path, PathBuf};

use headcast::core::Spools;
use headcast::core::spool::Backing;

/// Of each spool; an open clip has four. A minute or so of sound.
const MEMORY_BYTES: usize = 1 << 20;

/// Spools that overflow into files without a name on the disk of `folder`, which need not exist yet: whatever happens,
/// nothing of them is left behind.
pub fn beside(folder: &Path) -> Spools {
    let folder = folder.to_owned();
    Spools::new(MEMORY_BYTES, move || {
        let file = tempfile::tempfile_in(nearest(&folder))?;
        Ok(Box::new(file) as Box<dyn Backing>)
    })
}

/// The folder, or the one that it would be made in.
fn nearest(folder: &Path) -> PathBuf {
    let there =
        folder.ancestors().find(|folder| folder.as_os_str().is_empty() || folder.is_dir()).unwrap_or(folder);
    // The parent of a relative name has no name itself.
    if there.as_os_str().is_empty() { PathBuf::from(".") } else { there.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_no_name_and_the_folder_need_not_exist() {
        let place = tempfile::tempdir().unwrap();
        let spool = beside(&place.path().join("out/deeper")).spool();
        spool.append(&vec![7; 3 * MEMORY_BYTES]).unwrap();
        spool.append(b"end").unwrap();
        let mut end = [0; 4];
        spool.read(3 * MEMORY_BYTES as u64 - 1, &mut end).unwrap();
        assert_eq!(&end, b"\x07end");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
        assert_eq!(nearest(Path::new("no-such-folder/out")), Path::new("."));
    }
}
