//! Clips that come with the program.

use bytes::Bytes;

use crate::jobs::SampleInfo;

/// English first, then Mandarin.
pub(super) fn all() -> Vec<SampleInfo> {
    vec![
        SampleInfo {
            id: "en".into(),
            language: "en".into(),
            title: "A short test message (12 s)".into(),
            file_name: "en_male_short.flac".into(),
            bytes: Bytes::from_static(include_bytes!("../../assets/samples/en_male_short.flac")),
        },
        SampleInfo {
            id: "zh".into(),
            language: "zh".into(),
            title: "大家好，欢迎来到今天的节目（25 秒）".into(),
            file_name: "zh_male_espeak.flac".into(),
            bytes: Bytes::from_static(include_bytes!("../../assets/samples/zh_male_espeak.flac")),
        },
    ]
}
