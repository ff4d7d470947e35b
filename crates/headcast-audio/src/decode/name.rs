//! Codecs by the names that users know.

use symphonia::core::codecs::audio::well_known::*;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters};

/// Name of a codec that can be decoded, or might be.
pub(super) fn codec(id: AudioCodecId) -> Option<&'static str> {
    Some(match id {
        CODEC_ID_PCM_S8 | CODEC_ID_PCM_U8 => "8-bit PCM",
        CODEC_ID_PCM_S16LE | CODEC_ID_PCM_S16BE => "16-bit PCM",
        CODEC_ID_PCM_S24LE | CODEC_ID_PCM_S24BE => "24-bit PCM",
        CODEC_ID_PCM_S32LE | CODEC_ID_PCM_S32BE => "32-bit PCM",
        CODEC_ID_PCM_F32LE | CODEC_ID_PCM_F32BE => "32-bit float PCM",
        CODEC_ID_PCM_F64LE | CODEC_ID_PCM_F64BE => "64-bit float PCM",
        CODEC_ID_PCM_ALAW => "A-law",
        CODEC_ID_PCM_MULAW => "mu-law",
        CODEC_ID_ADPCM_G722 | CODEC_ID_ADPCM_G726 | CODEC_ID_ADPCM_G726LE => "ADPCM (G.72x)",
        CODEC_ID_ADPCM_MS | CODEC_ID_ADPCM_IMA_WAV | CODEC_ID_ADPCM_IMA_QT => "ADPCM",
        CODEC_ID_MP1 => "MPEG audio layer I",
        CODEC_ID_MP2 => "MPEG audio layer II",
        CODEC_ID_MP3 => "mp3",
        CODEC_ID_AAC => "AAC-LC",
        CODEC_ID_ALAC => "Apple Lossless (ALAC)",
        CODEC_ID_FLAC => "FLAC",
        CODEC_ID_VORBIS => "Vorbis",
        CODEC_ID_OPUS => "Opus",
        CODEC_ID_SPEEX => "Speex",
        CODEC_ID_AC3 => "Dolby Digital (AC-3)",
        CODEC_ID_EAC3 => "Dolby Digital Plus (E-AC-3)",
        CODEC_ID_AC4 => "Dolby AC-4",
        CODEC_ID_DCA => "DTS",
        CODEC_ID_TRUEHD => "Dolby TrueHD",
        CODEC_ID_WMA => "Windows Media Audio",
        CODEC_ID_WAVPACK => "WavPack",
        CODEC_ID_MONKEYS_AUDIO => "Monkey's Audio",
        CODEC_ID_TTA => "TTA",
        _ => return None,
    })
}

/// Name of a codec that is refused, with the profile where that is the reason.
pub(super) fn refused(params: &AudioCodecParameters) -> String {
    if params.codec == CODEC_ID_AAC
        && let Some(profile) = params.extra_data.as_deref().and_then(aac_profile)
    {
        return profile.to_owned();
    }
    codec(params.codec).unwrap_or("of a codec it does not name").to_owned()
}

/// What is unusual about an `AudioSpecificConfig` (ISO/IEC 14496-3 §1.6.2.1).
fn aac_profile(config: &[u8]) -> Option<&'static str> {
    let [first, second, ..] = config else { return None };
    let object_type = match first >> 3 {
        31 => 32 + ((first & 7) << 3 | second >> 5),
        object_type => object_type,
    };
    let channels = second >> 3 & 15;
    Some(match object_type {
        1 => "AAC Main",
        3 => "AAC SSR",
        4 => "AAC-LTP",
        5 => "HE-AAC",
        29 => "HE-AAC v2",
        23 | 39 => "low-delay AAC",
        42 => "xHE-AAC",
        2 if channels == 0 || channels > 2 => "AAC with more than two channels",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aac_profiles_are_named() {
        assert_eq!(aac_profile(&[0x2b, 0x92]), Some("HE-AAC"));
        assert_eq!(aac_profile(&[0xeb, 0x8a]), Some("HE-AAC v2"));
        assert_eq!(aac_profile(&[0xf9, 0x48]), Some("xHE-AAC"));
        assert_eq!(aac_profile(&[0x11, 0xb0]), Some("AAC with more than two channels"));
        assert_eq!(aac_profile(&[0x12, 0x10]), None);
        assert_eq!(aac_profile(&[]), None);
    }
}
