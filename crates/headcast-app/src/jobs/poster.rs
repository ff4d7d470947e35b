//! First frames, to show before a video plays.

use bytes::Bytes;

/// The file, if it is one from the first byte to the last: a poster is not waited for to reach the disk.
pub(super) fn whole(file: Vec<u8>) -> Option<Bytes> {
    // PNG (third edition) §5.2 and §11.2.5: the signature and the IEND chunk.
    let whole = file.starts_with(b"\x89PNG\r\n\x1a\n") && file.ends_with(b"\0\0\0\0IEND\xae\x42\x60\x82");
    whole.then(|| file.into())
}

#[cfg(test)]
mod tests {
    use headcast::core::RgbImage;

    use super::*;
    use crate::picture;

    #[test]
    fn only_a_whole_file_is_shown() {
        let file = picture::png(&RgbImage::filled(16, 16, [1, 2, 3]).unwrap()).unwrap();
        assert_eq!(whole(file.clone()).unwrap(), file);
        for cut in [0, 7, file.len() - 1] {
            assert_eq!(whole(file[..cut].to_vec()), None, "{cut}");
        }
    }
}
