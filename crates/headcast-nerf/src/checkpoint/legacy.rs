//! The container of PyTorch before 1.6: five pickles in a row, then the raw arrays.
//!
//! ```text
//! magic │ version │ system info │ object │ [storage keys] │ count key₀ │ data key₀ │ count key₁ │ …
//! ```

use std::collections::HashMap;
use std::io::{Read, Seek};

use super::container::{Place, Source};
use super::dtype::DType;
use super::error::CheckpointError;
use super::objects::{Arena, Id, Node};
use super::pickle;
use super::reader::MAX_PICKLE;

/// The object and where each storage lies.
#[derive(Debug)]
pub(super) struct Legacy {
    pub(super) arena: Arena,
    pub(super) root: Id,
    pub(super) places: HashMap<String, Place>,
}

/// The first bytes of such a file: PROTO 2, LONG1 of ten bytes, the magic number.
pub(super) const START: [u8; 14] =
    [0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

pub(super) fn read<R: Read + Seek>(source: &mut Source<R>) -> Result<Legacy, CheckpointError> {
    let head = source.read_at(0, source.len().min(MAX_PICKLE), "the file")?;
    let mut arena = Arena::default();
    let (_magic, at) = pickle::run(&head, 0, &mut arena)?;
    let (version, at) = pickle::run(&head, at, &mut arena)?;
    if arena.int(version) != Some(1001) {
        return Err(CheckpointError::damaged("the version number after the magic number is not 1001"));
    }
    let (system, at) = pickle::run(&head, at, &mut arena)?;
    if arena.lookup(system, "little_endian").is_some_and(|id| *arena.get(id) == Node::Bool(false)) {
        return Err(CheckpointError::damaged("its numbers are big-endian"));
    }
    let (root, at) = pickle::run(&head, at, &mut arena)?;
    let (keys, at) = pickle::run(&head, at, &mut arena)?;
    drop(head);
    let places = storages(source, &arena, keys, at as u64)?;
    Ok(Legacy { arena, root, places })
}

fn storages<R: Read + Seek>(
    source: &mut Source<R>,
    arena: &Arena,
    keys: Id,
    mut at: u64,
) -> Result<HashMap<String, Place>, CheckpointError> {
    let Node::List(keys) = arena.get(keys) else {
        return Err(CheckpointError::damaged("the list of storages is missing"));
    };
    let dtypes: HashMap<&str, DType> = arena.storages().map(|(key, storage)| (key, storage.dtype)).collect();
    let mut places = HashMap::new();
    for key in keys {
        let key = arena.str(*key).ok_or_else(|| CheckpointError::damaged("a storage's key is no text"))?;
        let dtype = dtypes.get(key).ok_or_else(|| {
            // The list may hold any text; that of a storage is short.
            let key: String = key.chars().take(80).collect();
            CheckpointError::damaged(format!("nothing says which type storage `{key}` has"))
        })?;
        let count = source.read_at(at, 8, &format!("storage `{key}`"))?;
        let count = count.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
        at += 8;
        let bytes = count.checked_mul(dtype.size() as u64);
        let end = bytes.and_then(|bytes| at.checked_add(bytes)).filter(|end| *end <= source.len());
        let (Some(bytes), Some(end)) = (bytes, end) else {
            return Err(CheckpointError::damaged(format!(
                "storage `{key}` declares {count} elements of {} bytes, {} bytes are left in the file",
                dtype.size(),
                source.len() - at
            )));
        };
        places.insert(key.to_owned(), Place { start: at, bytes, crc32: None });
        at = end;
    }
    Ok(places)
}
