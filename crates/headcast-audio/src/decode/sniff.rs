//! What the first bytes of a file say.

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Container {
    /// RIFF WAVE.
    Wav,
    /// MPEG audio frames, perhaps behind an ID3 tag.
    Mp3,
    /// AAC in ADTS frames.
    Adts,
    /// ISO base media: m4a, mp4, mov, 3gp.
    Mp4,
    /// Native FLAC.
    Flac,
    /// Ogg.
    Ogg,
    /// Matroska and WebM.
    Matroska,
}

impl Container {
    /// What a user calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Adts => "aac (ADTS)",
            Self::Mp4 => "m4a/mp4",
            Self::Flac => "flac",
            Self::Ogg => "ogg",
            Self::Matroska => "webm/mkv",
        }
    }
}

/// The format that the signature names; `None` when there is no (unambiguous) signature.
pub(super) fn container(head: &[u8]) -> Option<Container> {
    match head {
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..] => Some(Container::Wav),
        [b'f', b'L', b'a', b'C', ..] => Some(Container::Flac),
        [b'O', b'g', b'g', b'S', ..] => Some(Container::Ogg),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Some(Container::Matroska),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => Some(Container::Mp4),
        // An ID3 tag may stand before anything that has no place for tags of its own.
        [b'I', b'D', b'3', ..] => None,
        // Sync word, layer bits 00: ADTS; any other layer: MPEG audio.
        [0xff, b, ..] if b & 0xf6 == 0xf0 => Some(Container::Adts),
        [0xff, b, ..] if b & 0xe0 == 0xe0 => Some(Container::Mp3),
        _ => None,
    }
}

/// What a file that is no audio seems to be, for the message.
pub(super) fn looks_like(head: &[u8]) -> Option<&'static str> {
    let signatures: [(&[u8], &str); 14] = [
        (b"\x89PNG", "a PNG picture"),
        (b"\xff\xd8\xff", "a JPEG picture"),
        (b"GIF8", "a GIF picture"),
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a zip archive or an office document"),
        (b"Rar!", "a RAR archive"),
        (b"7z\xbc\xaf", "a 7z archive"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"\x93NUMPY", "a NumPy array; choose it as features instead"),
        (b"FORM", "AIFF audio, which is not read"),
        (b"caff", "CAF audio, which is not read"),
        (b"\x30\x26\xb2\x75", "Windows Media audio, which is not read"),
        (b"#!AMR", "AMR audio, which is not read"),
        (b"MThd", "a MIDI file"),
    ];
    if let Some((_, what)) = signatures.iter().find(|(signature, _)| head.starts_with(signature)) {
        return Some(what);
    }
    let text = |b: &u8| b.is_ascii_graphic() || b.is_ascii_whitespace() || *b >= 0x80;
    (!head.is_empty() && head.iter().all(text)).then_some("text")
}
