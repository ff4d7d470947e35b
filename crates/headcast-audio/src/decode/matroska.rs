//! `CodecDelay` and `DiscardPadding` of Matroska and WebM files, which the demuxer keeps to itself.
//!
//! The elements are walked flat: a container of interest is entered by reading on behind its header, so that
//! the unknown lengths of live recordings (RFC 8794 §6.2) need no special case.

use std::io::{self, BufReader, Read, Seek, SeekFrom};

/// Elements looked at; an hour of 20 ms blocks has 180,000.
const MAX_ELEMENTS: u32 = 4_000_000;

// RFC 9559 §5.1
const SEGMENT: u32 = 0x1853_8067;
const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const CODEC_DELAY: u32 = 0x56aa;
const CLUSTER: u32 = 0x1f43_b675;
const BLOCK_GROUP: u32 = 0xa0;
const BLOCK: u32 = 0xa1;
const SIMPLE_BLOCK: u32 = 0xa3;
const DISCARD_PADDING: u32 = 0x75a2;

/// What a file says of its tracks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Matroska {
    /// The file ends before the segment does.
    pub(super) cut_off: bool,
    tracks: Vec<(u32, Track)>,
}

/// In nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Track {
    pub(super) codec_delay_nanos: u64,
    /// Of the last block.
    pub(super) discard_nanos: u64,
}

impl Matroska {
    pub(super) fn track(&self, number: u32) -> Track {
        self.tracks.iter().find(|(n, _)| *n == number).map(|(_, track)| *track).unwrap_or_default()
    }

    /// A block of a track that no entry announced is none of ours.
    fn entry(&mut self, number: u32) -> Option<&mut Track> {
        self.tracks.iter_mut().find(|(n, _)| *n == number).map(|(_, track)| track)
    }

    fn define(&mut self, number: u32, track: Track) {
        const MAX_TRACKS: usize = 64;
        if let Some(known) = self.entry(number) {
            *known = track;
        } else if self.tracks.len() < MAX_TRACKS {
            self.tracks.push((number, track));
        }
    }
}

/// Walks the whole file by its element headers and puts the source back at its start.
pub(super) fn scan(source: &mut (impl Read + Seek)) -> io::Result<Option<Matroska>> {
    let end = source.seek(SeekFrom::End(0))?;
    source.rewind()?;
    let mut reader = BufReader::with_capacity(4096, &mut *source);
    let matroska = walk(&mut reader, end);
    source.rewind()?;
    matroska.map(Some)
}

fn walk(reader: &mut BufReader<impl Read + Seek>, end: u64) -> io::Result<Matroska> {
    let mut matroska = Matroska::default();
    // The entry being read has its number after or before its delay.
    let mut entry: (Option<u32>, Track) = (None, Track::default());
    let mut block_track = 0;
    for _ in 0..MAX_ELEMENTS {
        let Some(id) = vint(reader, false)? else { break };
        let Some(size) = vint(reader, true)? else { break };
        let Ok(id) = u32::try_from(id) else { break };
        if id != CODEC_DELAY
            && id != TRACK_NUMBER
            && let Some(number) = entry.0
        {
            // Any other element: keep what is known of the entry so far.
            matroska.define(number, entry.1);
        }
        // All ones is an unknown length.
        if id == SEGMENT && size != (1 << 56) - 1 {
            matroska.cut_off = reader.stream_position()?.saturating_add(size) > end;
        }
        match id {
            SEGMENT | TRACKS | CLUSTER | BLOCK_GROUP => entry = (None, Track::default()),
            TRACK_ENTRY => entry = (None, Track::default()),
            TRACK_NUMBER | CODEC_DELAY | DISCARD_PADDING if (1..=8).contains(&size) => {
                let Some(value) = number(reader, size)? else { break };
                match id {
                    TRACK_NUMBER => entry.0 = u32::try_from(value).ok(),
                    CODEC_DELAY => entry.1.codec_delay_nanos = value,
                    _ => {
                        // Signed: a negative value asks for padding at the start, which nothing writes.
                        let sign = 1u64 << (8 * size - 1);
                        if let Some(track) = matroska.entry(block_track) {
                            track.discard_nanos = if value & sign == 0 { value } else { 0 };
                        }
                    }
                }
            }
            _ => {
                let mut skip = size;
                if id == BLOCK || id == SIMPLE_BLOCK {
                    let before = reader.stream_position()?;
                    let Some(number) = vint(reader, true)? else { break };
                    block_track = u32::try_from(number).unwrap_or(0);
                    // Only the last block of a track may end in padding.
                    if let Some(track) = matroska.entry(block_track) {
                        track.discard_nanos = 0;
                    }
                    let Some(rest) = skip.checked_sub(reader.stream_position()? - before) else { break };
                    skip = rest;
                }
                let Ok(skip) = i64::try_from(skip) else { break };
                if skip > 1 << 40 {
                    break;
                }
                reader.seek_relative(skip)?;
            }
        }
    }
    Ok(matroska)
}

/// An element id (length marker kept) or length (marker dropped); `None` at the end or if malformed.
fn vint(reader: &mut impl Read, drop_marker: bool) -> io::Result<Option<u64>> {
    let Some(first) = byte(reader)? else { return Ok(None) };
    let extra = first.leading_zeros();
    if extra > 7 {
        return Ok(None);
    }
    let mut value = u64::from(first);
    if drop_marker {
        value &= (1 << (7 - extra)) - 1;
    }
    for _ in 0..extra {
        let Some(next) = byte(reader)? else { return Ok(None) };
        value = value << 8 | u64::from(next);
    }
    Ok(Some(value))
}

fn number(reader: &mut impl Read, bytes: u64) -> io::Result<Option<u64>> {
    let mut value = 0;
    for _ in 0..bytes {
        let Some(next) = byte(reader)? else { return Ok(None) };
        value = value << 8 | u64::from(next);
    }
    Ok(Some(value))
}

fn byte(reader: &mut impl Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    Ok((reader.read(&mut byte)? == 1).then_some(byte[0]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn element(id: &[u8], body: &[u8]) -> Vec<u8> {
        [id, &[0x80 | u8::try_from(body.len()).unwrap()], body].concat()
    }

    #[test]
    fn delay_and_padding_of_a_live_recording() {
        let entry = element(
            &[0xae],
            &[element(&[0xd7], &[2]), element(&[0x56, 0xaa], &6_500_000u32.to_be_bytes())].concat(),
        );
        let simple = element(&[0xa3], &[0x82, 0, 0, 0x80, 1, 2, 3]);
        let last = [element(&[0xa1], &[0x82, 0, 20, 0, 1, 2]), element(&[0x75, 0xa2], &[0x5b, 0x8d, 0x80])];
        let group = element(&[0xa0], &last.concat());
        let mut file = element(&[0x1a, 0x45, 0xdf, 0xa3], &[0; 4]);
        // Segment and cluster of unknown length.
        file.extend([0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        file.extend(element(&[0x16, 0x54, 0xae, 0x6b], &entry));
        file.extend([0x1f, 0x43, 0xb6, 0x75, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
        file.extend(&simple);
        file.extend(&group);
        let read = |file: &[u8]| scan(&mut io::Cursor::new(file)).unwrap().unwrap();
        let expected = Track { codec_delay_nanos: 6_500_000, discard_nanos: 6_000_000 };
        assert_eq!(read(&file).track(2), expected);
        assert_eq!(read(&file).track(1), Track::default());
        // Control: with another block behind it, the padding was not the end's.
        file.extend(&simple);
        assert_eq!(read(&file).track(2).discard_nanos, 0);
        for end in 0..file.len() {
            read(&file[..end]);
        }
    }
}
