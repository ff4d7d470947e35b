//! The central directory of a zip whose members are stored uncompressed (PKWARE APPNOTE 6.3, §4.3 and §4.5.3).
//!
//! A reader of our own, because all that is needed is where each member's bytes lie: no decompressor means no
//! zip bomb.

use std::collections::HashMap;
use std::io::{Read, Seek};

use super::container::{Place, Source};
use super::error::CheckpointError;

/// A member as the central directory describes it.
#[derive(Debug, Clone)]
pub(super) struct Member {
    header_at: u64,
    bytes: u64,
    crc32: u32,
    stored: bool,
}

/// Members by name.
#[derive(Debug)]
pub(super) struct Index {
    members: HashMap<String, Member>,
    /// Everything before `data.pkl`, with the slash.
    root: String,
}

impl Index {
    pub(super) fn read<R: Read + Seek>(source: &mut Source<R>) -> Result<Self, CheckpointError> {
        let (at, bytes, count) = find_directory(source)?;
        if bytes > MAX_DIRECTORY || count > MAX_DIRECTORY / CENTRAL_LEN as u64 {
            return Err(CheckpointError::damaged(format!("the zip directory declares {count} members")));
        }
        let directory = source.read_at(at, bytes, "the zip directory")?;
        let mut members = HashMap::new();
        let mut rest = directory.as_slice();
        for _ in 0..count {
            let (name, member, after) = central_entry(rest)?;
            rest = after;
            if let Some(name) = name
                && members.insert(name.clone(), member).is_some()
            {
                return Err(CheckpointError::damaged(format!("two members of the zip are called `{name}`")));
            }
        }
        let root = {
            let roots = members.keys().filter_map(|name| name.strip_suffix("data.pkl"));
            let mut roots = roots.filter(|root| root.is_empty() || root.ends_with('/'));
            match (roots.next(), roots.next()) {
                (Some(root), None) => root.to_owned(),
                _ => {
                    return Err(CheckpointError::damaged(
                        "the zip has no `data.pkl` (or several), so torch.save did not write it",
                    ));
                }
            }
        };
        Ok(Self { members, root })
    }

    /// Where the bytes of `<root>/<name>` lie; `None` if there is no such member.
    pub(super) fn place<R: Read + Seek>(
        &self,
        source: &mut Source<R>,
        name: &str,
    ) -> Result<Option<Place>, CheckpointError> {
        let name = format!("{}{name}", self.root);
        let Some(member) = self.members.get(&name) else {
            return Ok(None);
        };
        if !member.stored {
            return Err(CheckpointError::Compressed { member: name });
        }
        let what = format!("member `{name}`");
        let header = source.read_at(member.header_at, LOCAL_LEN as u64, &what)?;
        if u32_at(&header, 0) != Some(LOCAL_SIGNATURE) {
            return Err(CheckpointError::damaged(format!("{what} has no local header")));
        }
        // The extra field differs from the central one: it pads storages to 64 bytes.
        let (name_len, extra_len) = (u16_at(&header, 26).unwrap_or(0), u16_at(&header, 28).unwrap_or(0));
        let start = member.header_at + (LOCAL_LEN as u64) + u64::from(name_len) + u64::from(extra_len);
        if start.checked_add(member.bytes).is_none_or(|end| end > source.len()) {
            return Err(CheckpointError::damaged(format!(
                "{what} declares {} bytes, the file ends before them",
                member.bytes
            )));
        }
        // Writers may leave the checksum out, which reads as 0.
        let crc32 = Some(member.crc32).filter(|crc| *crc != 0);
        Ok(Some(Place { start, bytes: member.bytes, crc32 }))
    }
}

/// Offset, bytes and number of entries of the central directory.
fn find_directory<R: Read + Seek>(source: &mut Source<R>) -> Result<(u64, u64, u64), CheckpointError> {
    let truncated =
        || CheckpointError::damaged("the zip directory at its end is missing, the file is truncated");
    let tail_len = source.len().min(END_LEN as u64 + 0xffff);
    let tail_at = source.len() - tail_len;
    let tail = source.read_at(tail_at, tail_len, "the end of the zip")?;
    let end = (0..=tail.len().checked_sub(END_LEN).ok_or_else(truncated)?)
        .rev()
        .find(|at| {
            u32_at(&tail, *at) == Some(END_SIGNATURE)
                && u16_at(&tail, at + 20).is_some_and(|comment| at + END_LEN + comment as usize == tail.len())
        })
        .ok_or_else(truncated)?;
    let count = u16_at(&tail, end + 10).ok_or_else(truncated)?;
    let bytes = u32_at(&tail, end + 12).ok_or_else(truncated)?;
    let at = u32_at(&tail, end + 16).ok_or_else(truncated)?;
    let locator = end.checked_sub(LOCATOR_LEN).filter(|at| u32_at(&tail, *at) == Some(LOCATOR_SIGNATURE));
    let Some(locator) = locator else {
        return Ok((at.into(), bytes.into(), count.into()));
    };
    let end64_at = u64_at(&tail, locator + 8).ok_or_else(truncated)?;
    let end64 = source.read_at(end64_at, END64_LEN, "the zip64 directory end")?;
    if u32_at(&end64, 0) != Some(END64_SIGNATURE) {
        return Err(CheckpointError::damaged("the zip64 directory end is not where it should be"));
    }
    match (u64_at(&end64, 48), u64_at(&end64, 40), u64_at(&end64, 32)) {
        (Some(at), Some(bytes), Some(count)) => Ok((at, bytes, count)),
        _ => Err(truncated()),
    }
}

/// Name (`None` if it is not UTF-8, which no member of ours is), member, and what follows it.
type Entry<'a> = (Option<String>, Member, &'a [u8]);

fn central_entry(entry: &[u8]) -> Result<Entry<'_>, CheckpointError> {
    parse_central(entry).ok_or_else(|| CheckpointError::damaged("the zip directory is cut off or garbled"))
}

fn parse_central(entry: &[u8]) -> Option<Entry<'_>> {
    if u32_at(entry, 0)? != CENTRAL_SIGNATURE {
        return None;
    }
    let (flags, method) = (u16_at(entry, 8)?, u16_at(entry, 10)?);
    let crc32 = u32_at(entry, 16)?;
    let (compressed, plain, header_at) = (u32_at(entry, 20)?, u32_at(entry, 24)?, u32_at(entry, 42)?);
    let name_end = CENTRAL_LEN + u16_at(entry, 28)? as usize;
    let extra_end = name_end + u16_at(entry, 30)? as usize;
    let end = extra_end + u16_at(entry, 32)? as usize;
    let name = str::from_utf8(entry.get(CENTRAL_LEN..name_end)?).ok().map(str::to_owned);
    // Zip64 (§4.5.3): only the fields that are all ones above appear, in this order.
    let mut wide = zip64_extra(entry.get(name_end..extra_end)?);
    let mut widen = |narrow: u32| {
        if narrow == u32::MAX {
            let (value, rest) = wide.split_first_chunk::<8>()?;
            wide = rest;
            Some(u64::from_le_bytes(*value))
        } else {
            Some(u64::from(narrow))
        }
    };
    let (plain, compressed, header_at) = (widen(plain)?, widen(compressed)?, widen(header_at)?);
    let stored = method == 0 && flags & 1 == 0 && compressed == plain;
    Some((name, Member { header_at, bytes: plain, crc32, stored }, entry.get(end..)?))
}

fn zip64_extra(mut extra: &[u8]) -> &[u8] {
    while let (Some(id), Some(len)) = (u16_at(extra, 0), u16_at(extra, 2)) {
        let Some(body) = extra.get(4..4 + len as usize) else { break };
        if id == 1 {
            return body;
        }
        extra = &extra[4 + len as usize..];
    }
    &[]
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

const LOCAL_SIGNATURE: u32 = 0x0403_4b50;
const LOCAL_LEN: usize = 30;
const CENTRAL_SIGNATURE: u32 = 0x0201_4b50;
const CENTRAL_LEN: usize = 46;
const END_SIGNATURE: u32 = 0x0605_4b50;
const END_LEN: usize = 22;
const END64_SIGNATURE: u32 = 0x0606_4b50;
const END64_LEN: u64 = 56;
const LOCATOR_SIGNATURE: u32 = 0x0706_4b50;
const LOCATOR_LEN: usize = 20;
/// Largest directory: about 200,000 members, where checkpoints have some hundreds.
const MAX_DIRECTORY: u64 = 16 << 20;
