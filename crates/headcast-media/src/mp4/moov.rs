//! The header: `ftyp`, `moov`, and the start of `mdat`.

use headcast_core::{SampleRate, SegmentPlan};

use super::boxes::{Put, version_for, write_box, write_full_box};
use super::{Channels, Config, Samples};
use crate::aac::{AAC_FRAME_SAMPLES, audio_specific_config};

/// Everything the header says.
pub(super) struct Movie<'a> {
    pub(super) config: &'a Config,
    pub(super) plan: &'a SegmentPlan,
    pub(super) samples: &'a Samples,
    pub(super) sps: &'a [u8],
    pub(super) pps: &'a [u8],
}

/// What differs between the two tracks in the boxes that both have.
struct Track<'a> {
    id: u32,
    handler: [u8; 4],
    name: &'static [u8],
    timescale: u32,
    /// Ticks of every sample but the last.
    delta: u32,
    /// Ticks of the last sample.
    last_delta: u32,
    sizes: &'a [u32],
    /// Samples in each chunk.
    chunks: Vec<u32>,
    /// Where each chunk starts in the file.
    offsets: Vec<u64>,
    /// Numbers from 1 of the samples at which decoding can start; `None` when it can at all.
    sync_samples: Option<Vec<u32>>,
    /// Of the sound; `None` for pictures.
    channels: Option<Channels>,
}

const VIDEO_TRACK: u32 = 1;
const AUDIO_TRACK: u32 = 2;
/// `und`, three letters of five bits.
const LANGUAGE: u16 = 0x55c4;
/// Identity, fixed point 16.16 and 2.30.
const MATRIX: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];

impl Movie<'_> {
    /// All bytes before the payload of segment 0.
    pub(super) fn header(&self) -> Vec<u8> {
        let payload = self.samples.ends.last().copied().unwrap_or(0);
        // Offsets have the same width whatever their value, so a trial run gives the size.
        let size = |wide| self.write(0, wide, payload).len() as u64;
        let wide = size(false) + payload > u64::from(u32::MAX);
        self.write(size(wide), wide, payload)
    }

    /// `wide`: 64-bit offsets and `mdat` size.
    fn write(&self, first_payload: u64, wide: bool, payload: u64) -> Vec<u8> {
        let mut out = Vec::new();
        write_box(&mut out, *b"ftyp", |out| {
            out.extend_from_slice(b"isom");
            out.put_u32(0x200);
            out.extend_from_slice(b"isomiso2avc1mp41");
        });
        write_box(&mut out, *b"moov", |out| {
            self.write_mvhd(out);
            self.write_track(out, &self.video(first_payload), wide);
            if let Some(channels) = self.config.audio_channels() {
                self.write_track(out, &self.audio(first_payload, channels), wide);
            }
        });
        if wide {
            out.put_u32(1);
            out.extend_from_slice(b"mdat");
            out.put_u64(payload + 16);
        } else {
            // Meaningless in the trial run of a file that turns out to need the wide form.
            out.put_u32(u32::try_from(payload + 8).unwrap_or(0));
            out.extend_from_slice(b"mdat");
        }
        out
    }

    fn video(&self, first_payload: u64) -> Track<'_> {
        let rate = self.config.video().frame_rate();
        // At least 12,800 ticks a second, and whole ones per frame.
        let factor = 12_800u32.div_ceil(rate.num());
        let (timescale, delta) = match (rate.num().checked_mul(factor), rate.den().checked_mul(factor)) {
            (Some(timescale), Some(delta)) => (timescale, delta),
            _ => (rate.num(), rate.den()),
        };
        let starts = (0..self.plan.len()).filter_map(|k| self.plan.frames(k));
        let (chunks, offsets) = self.chunks(first_payload, true);
        Track {
            id: VIDEO_TRACK,
            handler: *b"vide",
            name: b"headcast video\0",
            timescale,
            delta,
            last_delta: delta,
            sizes: &self.samples.video,
            chunks,
            offsets,
            sync_samples: Some(starts.filter_map(|f| u32::try_from(f.start + 1).ok()).collect()),
            channels: None,
        }
    }

    fn audio(&self, first_payload: u64, channels: Channels) -> Track<'_> {
        let (chunks, offsets) = self.chunks(first_payload, false);
        // The last unit reaches past the clip; readers that know no edit lists stop here too.
        let before_last = (self.samples.audio.len() as u64).saturating_sub(1) * AAC_FRAME_SAMPLES;
        let last = self.plan.timeline().samples(SampleRate::AAC).saturating_sub(before_last);
        let delta = u32::try_from(AAC_FRAME_SAMPLES).expect("1024");
        Track {
            id: AUDIO_TRACK,
            handler: *b"soun",
            name: b"headcast audio\0",
            timescale: SampleRate::AAC.hz(),
            delta,
            last_delta: u32::try_from(last).unwrap_or(delta).min(delta),
            sizes: &self.samples.audio,
            chunks,
            offsets,
            sync_samples: None,
            channels: Some(channels),
        }
    }

    /// Sample counts and file offsets of the chunks of one track; a piece without samples of it has none.
    fn chunks(&self, first_payload: u64, video: bool) -> (Vec<u32>, Vec<u64>) {
        let (mut counts, mut offsets) = (Vec::new(), Vec::new());
        let mut at = first_payload;
        let (mut pictures, mut units) = (self.samples.video.iter(), self.samples.audio.iter());
        for piece in &self.samples.pieces {
            let bytes = |sizes: &mut std::slice::Iter<'_, u32>, count: u32| -> u64 {
                sizes.by_ref().take(count as usize).map(|&size| u64::from(size)).sum()
            };
            let picture_bytes = bytes(&mut pictures, piece.pictures);
            let unit_bytes = bytes(&mut units, piece.units);
            let (count, offset) =
                if video { (piece.pictures, at) } else { (piece.units, at + picture_bytes) };
            if count > 0 {
                counts.push(count);
                offsets.push(offset);
            }
            at += picture_bytes + unit_bytes;
        }
        (counts, offsets)
    }

    /// Ticks per second of the movie's clock, on which a frame is whole.
    fn timescale(&self) -> (u32, u64) {
        let rate = self.config.video().frame_rate();
        let factor = 1000u32.div_ceil(rate.num());
        let timescale = rate.num().checked_mul(factor);
        let (timescale, factor) = timescale.map_or((rate.num(), 1), |timescale| (timescale, factor));
        (timescale, u64::from(rate.den()) * u64::from(factor))
    }

    /// Frames over frame rate, exactly: where both tracks end.
    fn duration(&self) -> u64 {
        self.plan.timeline().frames().saturating_mul(self.timescale().1)
    }

    fn write_mvhd(&self, out: &mut Vec<u8>) {
        let version = version_for(self.duration());
        write_full_box(out, *b"mvhd", version, 0, |out| {
            // Times stay 0: the same segments give the same file on any day.
            out.put_versioned(version, 0);
            out.put_versioned(version, 0);
            out.put_u32(self.timescale().0);
            out.put_versioned(version, self.duration());
            out.put_u32(0x1_0000); // rate 1
            out.put_u16(0x100); // volume 1
            out.put_zeros(10);
            MATRIX.iter().for_each(|&v| out.put_u32(v));
            out.put_zeros(24);
            out.put_u32(AUDIO_TRACK + 1); // next_track_ID, free with or without sound
        });
    }

    fn write_track(&self, out: &mut Vec<u8>, track: &Track<'_>, wide: bool) {
        let video = track.id == VIDEO_TRACK;
        let duration = self.duration();
        write_box(out, *b"trak", |out| {
            let version = version_for(duration);
            // Enabled, in the movie, in the preview.
            write_full_box(out, *b"tkhd", version, 7, |out| {
                out.put_versioned(version, 0);
                out.put_versioned(version, 0);
                out.put_u32(track.id);
                out.put_u32(0);
                out.put_versioned(version, duration);
                out.put_zeros(8);
                out.put_u16(0); // layer
                out.put_u16(0); // alternate_group: both play
                out.put_u16(if video { 0 } else { 0x100 });
                out.put_u16(0);
                MATRIX.iter().for_each(|&v| out.put_u32(v));
                out.put_u32(if video { self.config.video().shown_width() << 16 } else { 0 });
                out.put_u32(if video { self.config.video().shown_height() << 16 } else { 0 });
            });
            // Both start at their first sample and end with the last frame, which trims the last AAC unit.
            write_box(out, *b"edts", |out| {
                write_full_box(out, *b"elst", version, 0, |out| {
                    out.put_u32(1);
                    out.put_versioned(version, duration);
                    out.put_versioned(version, 0); // media_time
                    out.put_u32(0x1_0000); // rate 1
                });
            });
            write_box(out, *b"mdia", |out| self.write_media(out, track, wide));
        });
    }

    fn write_media(&self, out: &mut Vec<u8>, track: &Track<'_>, wide: bool) {
        let duration = (track.sizes.len() as u64).saturating_sub(1) * u64::from(track.delta)
            + u64::from(track.last_delta);
        let version = version_for(duration);
        write_full_box(out, *b"mdhd", version, 0, |out| {
            out.put_versioned(version, 0);
            out.put_versioned(version, 0);
            out.put_u32(track.timescale);
            out.put_versioned(version, duration);
            out.put_u16(LANGUAGE);
            out.put_u16(0);
        });
        write_full_box(out, *b"hdlr", 0, 0, |out| {
            out.put_u32(0);
            out.extend_from_slice(&track.handler);
            out.put_zeros(12);
            out.extend_from_slice(track.name);
        });
        write_box(out, *b"minf", |out| {
            if track.id == VIDEO_TRACK {
                write_full_box(out, *b"vmhd", 0, 1, |out| out.put_zeros(8));
            } else {
                write_full_box(out, *b"smhd", 0, 0, |out| out.put_zeros(4));
            }
            write_box(out, *b"dinf", |out| {
                write_full_box(out, *b"dref", 0, 0, |out| {
                    out.put_u32(1);
                    write_full_box(out, *b"url ", 0, 1, |_| {}); // in this file
                });
            });
            write_box(out, *b"stbl", |out| self.write_sample_table(out, track, wide));
        });
    }

    fn write_sample_table(&self, out: &mut Vec<u8>, track: &Track<'_>, wide: bool) {
        let count = |n: usize| u32::try_from(n).expect("sample counts are checked before");
        write_full_box(out, *b"stsd", 0, 0, |out| {
            out.put_u32(1);
            match track.channels {
                None => self.write_avc1(out),
                Some(channels) => write_mp4a(out, channels),
            }
        });
        write_full_box(out, *b"stts", 0, 0, |out| {
            let shorter = track.last_delta != track.delta;
            out.put_u32(1 + u32::from(shorter));
            out.put_u32(count(track.sizes.len()) - u32::from(shorter));
            out.put_u32(track.delta);
            if shorter {
                out.put_u32(1);
                out.put_u32(track.last_delta);
            }
        });
        if let Some(sync_samples) = &track.sync_samples {
            write_full_box(out, *b"stss", 0, 0, |out| {
                out.put_u32(count(sync_samples.len()));
                sync_samples.iter().for_each(|&number| out.put_u32(number));
            });
        }
        let runs = runs(&track.chunks);
        write_full_box(out, *b"stsc", 0, 0, |out| {
            out.put_u32(count(runs.len()));
            for (first_chunk, samples) in runs {
                out.put_u32(count(first_chunk));
                out.put_u32(samples);
                out.put_u32(1); // sample_description_index
            }
        });
        write_full_box(out, *b"stsz", 0, 0, |out| {
            out.put_u32(0);
            out.put_u32(count(track.sizes.len()));
            track.sizes.iter().for_each(|&size| out.put_u32(size));
        });
        write_full_box(out, if wide { *b"co64" } else { *b"stco" }, 0, 0, |out| {
            out.put_u32(count(track.offsets.len()));
            for &offset in &track.offsets {
                if wide {
                    out.put_u64(offset);
                } else {
                    out.put_u32(u32::try_from(offset).unwrap_or(0)); // as for mdat
                }
            }
        });
    }

    /// ISO/IEC 14496-15 §5.4.2.
    fn write_avc1(&self, out: &mut Vec<u8>) {
        let side = |side: u32| u16::try_from(side).expect("sides are at most 4096");
        write_box(out, *b"avc1", |out| {
            out.put_zeros(6);
            out.put_u16(1); // data_reference_index
            out.put_zeros(16);
            out.put_u16(side(self.config.video().shown_width()));
            out.put_u16(side(self.config.video().shown_height()));
            out.put_u32(0x48_0000); // 72 dpi
            out.put_u32(0x48_0000);
            out.put_u32(0);
            out.put_u16(1); // frame_count
            out.put_zeros(32); // compressorname
            out.put_u16(24); // depth
            out.put_u16(0xffff);
            write_box(out, *b"avcC", |out| {
                out.push(1);
                out.extend_from_slice(&self.sps[1..4]); // profile, compatibility, level
                out.push(0xfc | 3); // four-byte lengths
                out.push(0xe0 | 1);
                for (set, more) in [(self.sps, Some(1)), (self.pps, None)] {
                    out.put_u16(u16::try_from(set.len()).expect("lengths are checked before"));
                    out.extend_from_slice(set);
                    out.extend(more); // numOfPictureParameterSets
                }
            });
            write_box(out, *b"colr", |out| {
                out.extend_from_slice(b"nclx");
                out.put_u16(1); // BT.709 primaries
                out.put_u16(1); // BT.709 transfer
                out.put_u16(1); // BT.709 matrix
                out.push(0); // limited range
            });
            write_box(out, *b"pasp", |out| {
                out.put_u32(1);
                out.put_u32(1);
            });
        });
    }
}

/// ISO/IEC 14496-14 §5.6 and 14496-1 §7.2.6.
fn write_mp4a(out: &mut Vec<u8>, channels: Channels) {
    write_box(out, *b"mp4a", |out| {
        out.put_zeros(6);
        out.put_u16(1); // data_reference_index
        out.put_zeros(8);
        out.put_u16(if channels == Channels::Mono { 1 } else { 2 });
        out.put_u16(16);
        out.put_u32(0);
        out.put_u32(SampleRate::AAC.hz() << 16);
        write_full_box(out, *b"esds", 0, 0, |out| {
            let bitrate_bps = channels.bitrate_bps();
            let mut config = vec![0x40, 0x15, 0, 0, 0]; // AAC, audio stream, bufferSizeDB
            config.put_u32(bitrate_bps); // maxBitrate
            config.put_u32(bitrate_bps); // avgBitrate
            descriptor(&mut config, 0x05, &audio_specific_config(channels));
            let mut stream = vec![0, 0, 0]; // ES_ID, flags
            descriptor(&mut stream, 0x04, &config);
            descriptor(&mut stream, 0x06, &[0x02]); // SL: as MP4 has it
            descriptor(out, 0x03, &stream);
        });
    });
}

/// Tag, size in one byte, content.
fn descriptor(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    let size = u8::try_from(content.len()).ok().filter(|size| *size < 0x80);
    out.push(tag);
    out.push(size.expect("these descriptors are short"));
    out.extend_from_slice(content);
}

/// `(first_chunk from 1, samples_per_chunk)` wherever it changes.
fn runs(chunks: &[u32]) -> Vec<(usize, u32)> {
    let mut runs: Vec<(usize, u32)> = Vec::new();
    for (number, &samples) in (1..).zip(chunks) {
        if runs.last().is_none_or(|run| run.1 != samples) {
            runs.push((number, samples));
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use headcast_core::{FrameRate, Timeline};

    use super::super::Piece;
    use super::*;

    #[test]
    fn runs_name_the_first_chunk_of_each_length() {
        assert_eq!(runs(&[8, 25, 25, 14, 25]), [(1, 8), (2, 25), (4, 14), (5, 25)]);
        assert!(runs(&[]).is_empty());
    }

    /// A file above 4 GiB, of which only the sizes exist.
    #[test]
    fn long_files_have_64_bit_offsets() {
        let timeline = Timeline::from_frames(16, FrameRate::PAL).unwrap();
        let plan = SegmentPlan::from_ends(timeline, vec![8, 16]).unwrap();
        let config = Config::new(64, 64, FrameRate::PAL).unwrap();
        let find = |bytes: &[u8], kind: &[u8]| bytes.windows(4).position(|w| w == kind);
        for (size, wide) in [(1000, false), (u32::MAX / 8, true)] {
            let payload = 16 * u64::from(size) + 30 * 300;
            let samples = Samples {
                video: vec![size; 16],
                audio: vec![300; 30],
                pieces: vec![Piece { pictures: 8, units: 15 }; 2],
                ends: vec![payload / 2, payload],
            };
            let movie = Movie {
                config: &config,
                plan: &plan,
                samples: &samples,
                sps: &[0x67, 77, 64, 31],
                pps: &[0x68],
            };
            let header = movie.header();
            assert_eq!(find(&header, b"co64").is_some(), wide);
            assert_eq!(find(&header, b"stco").is_some(), !wide);
            let mdat = find(&header, b"mdat").unwrap();
            if wide {
                assert_eq!(header[mdat - 4..mdat], [0, 0, 0, 1]);
                assert_eq!(header[mdat + 4..], (payload + 16).to_be_bytes());
                // Second chunk of video: after the first segment's payload.
                let co64 = find(&header, b"co64").unwrap();
                let second = u64::from_be_bytes(*header[co64 + 20..].first_chunk().unwrap());
                assert_eq!(second, header.len() as u64 + payload / 2);
            } else {
                assert_eq!(header[mdat - 4..mdat], u32::try_from(payload + 8).unwrap().to_be_bytes());
                assert_eq!(header.len(), mdat + 4);
            }
        }
    }
}
