//! The sequence parameter set: what OpenH264 writes, with cropping and video usability information of ours.
//!
//! OpenH264 is fed whole macroblocks, because it would pad with black and spend bits on the edge; so the
//! picture size is said here. Its own VUI has no timing and no chroma location.

use headcast_core::FrameRate;

use super::bits::{BitReader, BitWriter, escape_into, unescape};
use super::nal::{kind, nal_unit_type};

/// Fields of a Main profile sequence parameter set (ITU-T H.264 §7.3.2.1.1) up to the cropping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sps {
    pub(super) constraint_flags: u32,
    pub(super) level_idc: u32,
    pub(super) log2_max_frame_num_minus4: u32,
    pub(super) max_num_ref_frames: u32,
    pub(super) gaps_in_frame_num_value_allowed: bool,
    pub(super) width_in_mbs: u32,
    pub(super) height_in_mbs: u32,
    pub(super) direct_8x8_inference: bool,
}

const PROFILE_MAIN: u32 = 77;

impl Sps {
    /// Parses a NAL unit; `None` unless it is a Main profile SPS with id 0, POC type 2 and whole frames, which
    /// is all that the encoder writes under our settings.
    pub(super) fn parse(nal_unit: &[u8]) -> Option<Self> {
        if nal_unit_type(nal_unit) != kind::SPS {
            return None;
        }
        let rbsp = unescape(&nal_unit[1..]);
        let mut r = BitReader::new(&rbsp);
        let profile_idc = r.bits(8)?;
        let constraint_flags = r.bits(8)?;
        let level_idc = r.bits(8)?;
        let seq_parameter_set_id = r.ue()?;
        let log2_max_frame_num_minus4 = r.ue()?;
        let pic_order_cnt_type = r.ue()?;
        let max_num_ref_frames = r.ue()?;
        let gaps_in_frame_num_value_allowed = r.flag()?;
        let width_in_mbs = r.ue()? + 1;
        let height_in_mbs = r.ue()? + 1;
        let frame_mbs_only = r.flag()?;
        let direct_8x8_inference = r.flag()?;
        let known = profile_idc == PROFILE_MAIN
            && seq_parameter_set_id == 0
            && pic_order_cnt_type == 2
            && frame_mbs_only
            && log2_max_frame_num_minus4 <= 12;
        known.then_some(Self {
            constraint_flags,
            level_idc,
            log2_max_frame_num_minus4,
            max_num_ref_frames,
            gaps_in_frame_num_value_allowed,
            width_in_mbs,
            height_in_mbs,
            direct_8x8_inference,
        })
    }

    /// The NAL unit for a picture of `width × height` (both even) at `frame_rate`, BT.709 limited range.
    ///
    /// # Panics
    /// If the macroblocks do not cover the picture.
    pub(super) fn write(&self, width: u32, height: u32, frame_rate: FrameRate) -> Vec<u8> {
        let mut w = BitWriter::default();
        w.bits(8, PROFILE_MAIN);
        w.bits(8, self.constraint_flags);
        w.bits(8, self.level_idc);
        w.ue(0); // seq_parameter_set_id
        w.ue(self.log2_max_frame_num_minus4);
        w.ue(2); // pic_order_cnt_type: output order is decoding order
        w.ue(self.max_num_ref_frames);
        w.flag(self.gaps_in_frame_num_value_allowed);
        w.ue(self.width_in_mbs - 1);
        w.ue(self.height_in_mbs - 1);
        w.flag(true); // frame_mbs_only_flag
        w.flag(self.direct_8x8_inference);
        let right = 16 * self.width_in_mbs - width;
        let bottom = 16 * self.height_in_mbs - height;
        let cropped = right > 0 || bottom > 0;
        w.flag(cropped);
        if cropped {
            // In units of two luma samples for 4:2:0 (table 6-1).
            for offset in [0, right / 2, 0, bottom / 2] {
                w.ue(offset);
            }
        }
        w.flag(true); // vui_parameters_present_flag
        self.write_vui(&mut w, frame_rate);
        let mut nal_unit = vec![0x60 | kind::SPS]; // nal_ref_idc 3
        escape_into(&w.finish(), &mut nal_unit);
        nal_unit
    }

    /// §E.1.1.
    fn write_vui(&self, w: &mut BitWriter, frame_rate: FrameRate) {
        w.flag(true); // aspect_ratio_info_present_flag
        w.bits(8, 1); // aspect_ratio_idc: square
        w.flag(false); // overscan_info_present_flag
        w.flag(true); // video_signal_type_present_flag
        w.bits(3, 5); // video_format: unspecified
        w.flag(false); // video_full_range_flag
        w.flag(true); // colour_description_present_flag
        w.bits(8, 1); // colour_primaries: BT.709
        w.bits(8, 1); // transfer_characteristics: BT.709
        w.bits(8, 1); // matrix_coefficients: BT.709
        w.flag(true); // chroma_loc_info_present_flag
        w.ue(1); // chroma_sample_loc_type_top_field: centre of the 2×2 luma samples
        w.ue(1); // chroma_sample_loc_type_bottom_field
        // A tick is a field: two per frame. Rates that do not fit are left unsaid.
        let time_scale = frame_rate.num().checked_mul(2);
        w.flag(time_scale.is_some()); // timing_info_present_flag
        if let Some(time_scale) = time_scale {
            w.bits(32, frame_rate.den()); // num_units_in_tick
            w.bits(32, time_scale);
            w.flag(true); // fixed_frame_rate_flag
        }
        w.flag(false); // nal_hrd_parameters_present_flag
        w.flag(false); // vcl_hrd_parameters_present_flag
        w.flag(false); // pic_struct_present_flag
        w.flag(true); // bitstream_restriction_flag
        w.flag(true); // motion_vectors_over_pic_boundaries_flag
        w.ue(0); // max_bytes_per_pic_denom
        w.ue(0); // max_bits_per_mb_denom
        w.ue(16); // log2_max_mv_length_horizontal
        w.ue(16); // log2_max_mv_length_vertical
        w.ue(0); // max_num_reorder_frames: a decoder may show a picture at once
        w.ue(self.max_num_ref_frames); // max_dec_frame_buffering
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPS: Sps = Sps {
        constraint_flags: 0x40,
        level_idc: 31,
        log2_max_frame_num_minus4: 11,
        max_num_ref_frames: 1,
        gaps_in_frame_num_value_allowed: false,
        width_in_mbs: 29,
        height_in_mbs: 21,
        direct_8x8_inference: true,
    };

    #[test]
    fn what_is_written_is_read_back_and_crops_to_the_picture() {
        let nal_unit = SPS.write(452, 334, FrameRate::PAL);
        assert_eq!(Sps::parse(&nal_unit), Some(SPS));
        let rbsp = unescape(&nal_unit[1..]);
        let mut r = BitReader::new(&rbsp);
        r.bits(24).unwrap();
        for _ in 0..4 {
            r.ue().unwrap();
        }
        r.flag().unwrap();
        assert_eq!((r.ue(), r.ue()), (Some(28), Some(20)));
        r.bits(2).unwrap();
        assert_eq!(r.flag(), Some(true));
        // 464 - 452 = 12 and 336 - 334 = 2 luma samples.
        assert_eq!([r.ue(), r.ue(), r.ue(), r.ue()], [Some(0), Some(6), Some(0), Some(1)]);
    }

    #[test]
    fn other_parameter_sets_are_refused() {
        let mut nal_unit = SPS.write(464, 336, FrameRate::PAL);
        assert!(Sps::parse(&nal_unit).is_some());
        nal_unit[1] = 66;
        assert_eq!(Sps::parse(&nal_unit), None);
        assert_eq!(Sps::parse(&[0x68, 1, 2]), None);
        assert_eq!(Sps::parse(&[0x67]), None);
        assert_eq!(Sps::parse(&[]), None);
    }
}
