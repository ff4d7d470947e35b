//! Edit lists and `iTunSMPB` of ISO base media files: where the recording starts inside the decoded audio.
//!
//! ISO/IEC 14496-12 §8.6.6 (`elst`); `iTunSMPB` is Apple's gapless tag: hexadecimal words of which the
//! second is the priming, the third the padding and the fourth the length, in samples.

use std::io::{self, Read, Seek, SeekFrom};

/// Larger movie headers than this are left to the defaults: an hour of audio takes about 1 MB.
const MAX_MOOV_BYTES: u64 = 64 << 20;
/// Boxes looked at, at the top level; fragments come in pairs.
const MAX_TOP_LEVEL: u32 = 100_000;

/// What a file says of its tracks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mp4 {
    movie_timescale: u64,
    tracks: Vec<Track>,
    itunes: Option<Edit>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Track {
    id: u32,
    timescale: u64,
    /// Media time of the first sample shown, and movie time shown (0: not stated).
    edit: Option<(u64, u64)>,
    /// Sum of the sample durations, 0 in a fragmented file.
    media_duration: u64,
}

/// The part of the decoder's output that is the recording, in samples per channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) lead: u64,
    pub(super) total: Option<u64>,
}

/// Reads the movie header and puts the source back at its start; `None` if there is none to be read.
pub(super) fn scan(source: &mut (impl Read + Seek)) -> io::Result<Option<Mp4>> {
    let end = source.seek(SeekFrom::End(0))?;
    let mut moov = None;
    let mut at = 0u64;
    for _ in 0..MAX_TOP_LEVEL {
        source.seek(SeekFrom::Start(at))?;
        let mut header = Vec::with_capacity(16);
        source.take(16).read_to_end(&mut header)?;
        let Some((kind, head, size)) = box_header(&header, end - at) else { break };
        if &kind == b"moov" {
            moov = Some(Vec::new());
            if size <= MAX_MOOV_BYTES {
                let mut body = Vec::new();
                source.seek(SeekFrom::Start(at + head))?;
                source.take(size - head).read_to_end(&mut body)?;
                moov = Some(body);
            }
            break;
        }
        at += size;
        if at >= end {
            break;
        }
    }
    source.rewind()?;
    Ok(moov.map(|moov| Mp4::parse(&moov)))
}

/// Kind, header length and whole length of the box at the start of `bytes`, where `left` bytes remain.
fn box_header(bytes: &[u8], left: u64) -> Option<([u8; 4], u64, u64)> {
    let (size, rest) = bytes.split_first_chunk::<4>()?;
    let (kind, rest) = rest.split_first_chunk::<4>()?;
    let (head, size) = match u32::from_be_bytes(*size) {
        0 => (8, left),
        1 => (16, u64::from_be_bytes(*rest.first_chunk()?)),
        size => (8, u64::from(size)),
    };
    (size >= head && size <= left).then_some((*kind, head, size))
}

/// The boxes inside `bytes`; stops at the first broken one.
fn boxes(mut bytes: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let (kind, head, size) = box_header(bytes, bytes.len() as u64)?;
        let (this, rest) = bytes.split_at(usize::try_from(size).ok()?);
        bytes = rest;
        Some((kind, &this[usize::try_from(head).ok()?..]))
    })
}

fn find<'a>(bytes: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(bytes).find(|(k, _)| k == kind).map(|(_, body)| body)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?)))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// The timescale of an `mvhd` or `mdhd`.
fn timescale(header: &[u8]) -> Option<u64> {
    u32_at(header, if header.first()? == &1 { 20 } else { 12 })
}

impl Mp4 {
    fn parse(moov: &[u8]) -> Self {
        Self {
            movie_timescale: find(moov, b"mvhd").and_then(timescale).unwrap_or(0),
            tracks: boxes(moov)
                .filter(|(kind, _)| kind == b"trak")
                .filter_map(|(_, trak)| Track::parse(trak))
                .collect(),
            itunes: itunes(moov),
        }
    }

    /// What to keep of track `id` when it decodes to `rate` samples per second; `None` if not stated.
    pub(super) fn edit(&self, id: u32, rate: u32) -> Option<Edit> {
        let track = self.tracks.iter().find(|track| track.id == id)?;
        let stated = track.edit.and_then(|(start, shown)| self.frames(track, start, shown, rate));
        match (stated, self.itunes) {
            // Some files have an edit list that starts at 0, written by an editor, beside Apple's tag.
            (Some(Edit { lead: 0, .. }) | None, Some(itunes)) => Some(itunes),
            (stated, _) => stated,
        }
    }

    fn frames(&self, track: &Track, start: u64, shown: u64, rate: u32) -> Option<Edit> {
        let to_frames = |ticks: u64, timescale: u64| {
            let num = u128::from(ticks) * u128::from(rate) + u128::from(timescale / 2);
            u64::try_from(num.checked_div(u128::from(timescale))?).ok()
        };
        let lead = to_frames(start, track.timescale)?;
        // The sample durations are exact, the edit is rounded to the movie's ticks (often milliseconds).
        let by_media = track.media_duration.checked_sub(start).and_then(|d| to_frames(d, track.timescale));
        let by_edit = to_frames(shown, self.movie_timescale).filter(|&frames| frames > 0);
        let tick = to_frames(1, self.movie_timescale).unwrap_or(0) + 1;
        let total = match (by_media.filter(|&frames| frames > 0), by_edit) {
            (Some(media), Some(edit)) if media.abs_diff(edit) <= tick => Some(media),
            (Some(media), Some(edit)) => Some(media.min(edit)),
            (media, edit) => media.or(edit),
        };
        Some(Edit { lead, total })
    }
}

impl Track {
    fn parse(trak: &[u8]) -> Option<Self> {
        let tkhd = find(trak, b"tkhd")?;
        let id = u32_at(tkhd, if tkhd.first()? == &1 { 20 } else { 12 })?;
        let mdia = find(trak, b"mdia")?;
        let stts = find(mdia, b"minf").and_then(|minf| find(find(minf, b"stbl")?, b"stts"));
        Some(Self {
            id: u32::try_from(id).ok()?,
            timescale: timescale(find(mdia, b"mdhd")?)?,
            edit: find(trak, b"edts").and_then(|edts| find(edts, b"elst")).and_then(edit),
            media_duration: stts.map(media_duration).unwrap_or(0),
        })
    }
}

/// Sum of count times duration over the `stts` entries.
fn media_duration(stts: &[u8]) -> u64 {
    let (entries, _) = stts.get(8..).unwrap_or_default().as_chunks::<8>();
    entries.iter().fold(0, |sum: u64, entry| {
        let (count, delta) = (u32_at(entry, 0).unwrap_or(0), u32_at(entry, 4).unwrap_or(0));
        sum.saturating_add(count * delta)
    })
}

/// Media time and length of the first edit that is not an empty one.
fn edit(elst: &[u8]) -> Option<(u64, u64)> {
    let wide = elst.first()? == &1;
    let size = if wide { 20 } else { 12 };
    elst.get(8..)?.chunks_exact(size).find_map(|entry| {
        let (shown, start) = if wide {
            (u64_at(entry, 0)?, i64::from_be_bytes(*entry.get(8..)?.first_chunk()?))
        } else {
            (u32_at(entry, 0)?, i64::from(i32::from_be_bytes(*entry.get(4..)?.first_chunk()?)))
        };
        // -1 is an empty edit: the track starts later than the movie.
        Some((u64::try_from(start).ok()?, shown))
    })
}

/// `moov/udta/meta/ilst/----` whose name is `iTunSMPB`.
fn itunes(moov: &[u8]) -> Option<Edit> {
    let meta = find(find(moov, b"udta")?, b"meta")?;
    let ilst = find(meta.get(4..)?, b"ilst")?;
    boxes(ilst).filter(|(kind, _)| kind == b"----").find_map(|(_, item)| {
        let name = find(item, b"name")?;
        if name.get(4..)? != b"iTunSMPB" {
            return None;
        }
        let text = str::from_utf8(find(item, b"data")?.get(8..)?).ok()?;
        let mut words = text.split_ascii_whitespace().map(|word| u64::from_str_radix(word, 16).ok());
        let (_, lead, _, total) = (words.next()?, words.next()??, words.next()?, words.next()??);
        Some(Edit { lead, total: (total > 0).then_some(total) })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let mut out = u32::try_from(body.len() + 8).unwrap().to_be_bytes().to_vec();
        out.extend(kind);
        out.extend(body);
        out
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|w| w.to_be_bytes()).collect()
    }

    /// A movie of one track: 44100 ticks per second, movie ticks of a millisecond.
    fn movie(elst: Option<&[u32]>, stts: &[u32], udta: &[u8]) -> Mp4 {
        let mvhd = boxed(b"mvhd", &words(&[0, 0, 0, 1000, 0]));
        let edts = elst.map(|e| boxed(b"edts", &boxed(b"elst", &words(e)))).unwrap_or_default();
        let stbl = boxed(b"stbl", &boxed(b"stts", &words(stts)));
        let mdhd = boxed(b"mdhd", &words(&[0, 0, 0, 44_100, 0]));
        let mdia = boxed(b"mdia", &[mdhd, boxed(b"minf", &stbl)].concat());
        let trak = boxed(b"trak", &[boxed(b"tkhd", &words(&[0, 0, 0, 7, 0])), edts, mdia].concat());
        let moov = boxed(b"moov", &[mvhd, trak, udta.to_vec()].concat());
        let mut file = boxed(b"ftyp", b"M4A \0\0\0\0");
        file.extend(moov);
        scan(&mut io::Cursor::new(file)).unwrap().unwrap()
    }

    #[test]
    fn edit_list_with_exact_sample_durations() {
        // 1024 priming; 1000 ms = 44100 samples; the sample durations say 44123.
        let mp4 = movie(Some(&[0, 1, 1000, 1024, 0x1_0000]), &[0, 2, 44, 1024, 1, 91], &[]);
        assert_eq!(mp4.edit(7, 44_100), Some(Edit { lead: 1024, total: Some(44_123) }));
        // An edit that cuts the end off by more than rounding wins; an empty edit before it is skipped.
        let elst = [0, 2, 500, u32::MAX, 0x1_0000, 500, 2048, 0x1_0000];
        let mp4 = movie(Some(&elst), &[0, 1, 100, 1024], &[]);
        assert_eq!(mp4.edit(7, 44_100), Some(Edit { lead: 2048, total: Some(22_050) }));
        assert_eq!(mp4.edit(8, 44_100), None);
        assert_eq!(movie(None, &[0, 1, 100, 1024], &[]).edit(7, 44_100), None);
    }

    #[test]
    fn itunes_tag_where_there_is_no_edit_list() {
        let text = b" 00000000 00000840 000001CA 00000000003F31F6 00000000";
        let item = [
            boxed(b"mean", b"\0\0\0\0com.apple.iTunes"),
            boxed(b"name", b"\0\0\0\0iTunSMPB"),
            boxed(b"data", &[&[0, 0, 0, 1, 0, 0, 0, 0], &text[..]].concat()),
        ]
        .concat();
        let meta = [vec![0; 4], boxed(b"ilst", &boxed(b"----", &item))].concat();
        let udta = boxed(b"udta", &boxed(b"meta", &meta));
        let mp4 = movie(None, &[0, 1, 100, 1024], &udta);
        assert_eq!(mp4.edit(7, 44_100), Some(Edit { lead: 2112, total: Some(0x003f_31f6) }));
    }

    #[test]
    fn broken_boxes_end_the_walk() {
        assert_eq!(scan(&mut io::Cursor::new(b"\0\0\0\x07moov")).unwrap(), None);
        assert_eq!(
            scan(&mut io::Cursor::new(b"\0\0\0\x01moov\xff\xff\xff\xff\xff\xff\xff\xff")).unwrap(),
            None
        );
        assert_eq!(scan(&mut io::Cursor::new(b"")).unwrap(), None);
        let elst = [&[0u8, 0, 0, 0, 0xff, 0xff, 0xff, 0xff][..], &[0xff; 11]].concat();
        assert_eq!(edit(&elst), None);
        assert_eq!(media_duration(&[0xff; 8 + 16]), u64::MAX);
    }
}
