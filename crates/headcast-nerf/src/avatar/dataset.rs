//! The data folder that upstream's tools make: `transforms_*.json`, `au.csv`.

use std::path::Path;

use headcast_core::{Intrinsics, Pose};
use serde::Deserialize;

use super::error::AvatarError;
use super::poses::{MAX_FRAMES, is_rigid};
use crate::conditioning::ngp_pose;

/// What a `transforms_*.json` says.
#[derive(Debug)]
pub(super) struct Transforms {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) intrinsics: Intrinsics,
    pub(super) poses: Vec<Pose>,
    pub(super) img_ids: Vec<u32>,
    /// `eye_ratio` of every frame; `None` unless all have one.
    pub(super) eye_ratios: Option<Vec<f32>>,
}

#[derive(Deserialize)]
struct File {
    focal_len: Option<f64>,
    fl_x: Option<f64>,
    fl_y: Option<f64>,
    camera_angle_x: Option<f64>,
    camera_angle_y: Option<f64>,
    cx: Option<f64>,
    cy: Option<f64>,
    w: Option<f64>,
    h: Option<f64>,
    frames: Vec<Frame>,
}

#[derive(Deserialize)]
struct Frame {
    img_id: u32,
    eye_ratio: Option<f64>,
    transform_matrix: Vec<Vec<f64>>,
}

/// Pose files of a data folder, the preferred one first.
pub(super) const POSES: [&str; 3] = ["transforms_train.json", "transforms_val.json", LIVE_TALKING_POSES];
/// `LiveTalking`'s.
pub(super) const LIVE_TALKING_POSES: &str = "data_kf.json";
/// Largest JSON that is read: about a hundred times a clip of three minutes.
const MAX_JSON: u64 = 128 << 20;

impl Transforms {
    pub(super) fn read(path: &Path) -> Result<Self, AvatarError> {
        let bytes = super::read_bounded(path, MAX_JSON)?;
        Self::parse(&path.display().to_string(), &bytes)
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Self, AvatarError> {
        let error = |what: String| AvatarError::data(name, what);
        let file: File = serde_json::from_slice(bytes)
            .map_err(|e| error(format!("it is no pose file as upstream's `process.py` writes it: {e}")))?;
        if file.frames.is_empty() || file.frames.len() > MAX_FRAMES {
            return Err(error(format!("it has {} frames, expected 1 to {MAX_FRAMES}", file.frames.len())));
        }
        let (width, height) = file.size().ok_or_else(|| {
            error("it has no usable picture size (`w` and `h`, or half of them in `cx` and `cy`)".to_owned())
        })?;
        super::check_video_size(name, width, height)?;
        let intrinsics = file.intrinsics(width, height).ok_or_else(|| {
            error(
                "it has no usable focal length (`focal_len`, `fl_x`, `fl_y`, `camera_angle_x` or `_y`)"
                    .to_owned(),
            )
        })?;
        let poses = file.frames.iter().enumerate().map(|(i, frame)| {
            let pose = matrix(&frame.transform_matrix).map(ngp_pose).filter(is_rigid);
            pose.ok_or_else(|| {
                error(format!(
                    "`transform_matrix` of frame {i} (img_id {}) is no 4x4 rigid transform",
                    frame.img_id
                ))
            })
        });
        let poses = poses.collect::<Result<_, _>>()?;
        let img_ids = file.frames.iter().map(|frame| frame.img_id).collect();
        #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32")]
        let ratio = |value: f64| value.clamp(0.0, 1.0) as f32;
        let ratios = file.frames.iter().map(|frame| frame.eye_ratio.filter(|v| v.is_finite()).map(ratio));
        let eye_ratios = ratios.collect();
        Ok(Self { width, height, intrinsics, poses, img_ids, eye_ratios })
    }
}

impl File {
    /// Upstream: `w` and `h`, else `2 int(cx)` and `2 int(cy)`.
    fn size(&self) -> Option<(u32, u32)> {
        let side = |value: f64| {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the range is checked"
            )]
            (1.0..=f64::from(u32::MAX)).contains(&value).then_some(value as u32)
        };
        match (self.w, self.h) {
            (Some(w), Some(h)) => Some((side(w)?, side(h)?)),
            _ => Some((side(self.cx?.trunc() * 2.0)?, side(self.cy?.trunc() * 2.0)?)),
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32")]
    fn intrinsics(&self, width: u32, height: u32) -> Option<Intrinsics> {
        let from_angle = |side: u32, angle: Option<f64>| Some(f64::from(side) / (2.0 * (angle? / 2.0).tan()));
        let (fx, fy) = match self.focal_len {
            Some(focal) => (Some(focal), Some(focal)),
            None if self.fl_x.or(self.fl_y).is_some() => (self.fl_x, self.fl_y),
            None => (from_angle(width, self.camera_angle_x), from_angle(height, self.camera_angle_y)),
        };
        let (fx, fy) = (fx.or(fy)?, fy.or(fx)?);
        let centre = |value: Option<f64>, side: u32| value.unwrap_or(f64::from(side) / 2.0) as f32;
        let (cx, cy) = (centre(self.cx, width), centre(self.cy, height));
        let camera = Intrinsics { fx: fx as f32, fy: fy as f32, cx, cy };
        let usable = [camera.fx, camera.fy].iter().all(|f| f.is_finite() && *f > 0.0);
        (usable && cx.is_finite() && cy.is_finite()).then_some(camera)
    }
}

/// The upper three rows of a 4×4 (or 3×4) matrix.
fn matrix(rows: &[Vec<f64>]) -> Option<[[f32; 4]; 4]> {
    if !(3..=4).contains(&rows.len()) {
        return None;
    }
    let mut out = Pose::IDENTITY.0;
    for (out, row) in out.iter_mut().zip(rows) {
        #[expect(clippy::cast_possible_truncation, reason = "upstream reads the entries as f32 too")]
        let row = row.as_slice().as_array::<4>()?.map(|v| v as f32);
        *out = row;
    }
    Some(out)
}

/// Largest `au.csv`; OpenFace writes about 5 kB per frame when every column is on.
const MAX_CSV: u64 = 512 << 20;

/// Eye values of frames `img_ids` from OpenFace's `au.csv`: column ` AU45_r`, row = `img_id`, `clip(v, 0, 2) / 2`.
/// `None` if there is no such file.
pub(super) fn eye_values(path: &Path, img_ids: &[u32]) -> Result<Option<Vec<f32>>, AvatarError> {
    if !path.exists() {
        return Ok(None);
    }
    let bytes = super::read_bounded(path, MAX_CSV)?;
    parse_eyes(&path.display().to_string(), &bytes, img_ids).map(Some)
}

fn parse_eyes(name: &str, bytes: &[u8], img_ids: &[u32]) -> Result<Vec<f32>, AvatarError> {
    let error = |what: String| AvatarError::data(name, what);
    let text = str::from_utf8(bytes).map_err(|e| error(format!("it is not a text file: {e}")))?;
    let mut lines = text.lines();
    let header = lines.next().unwrap_or_default();
    let column = header.split(',').position(|name| name.trim() == "AU45_r").ok_or_else(|| {
        error(
            "it has no column `AU45_r`; it must be the table that OpenFace's FeatureExtraction writes"
                .to_owned(),
        )
    })?;
    let rows = lines.filter(|line| !line.trim().is_empty()).enumerate().map(|(i, line)| {
        let cell = line.split(',').nth(column).map(str::trim).unwrap_or_default();
        let value = cell.parse::<f64>().ok().filter(|v| v.is_finite());
        value.ok_or_else(|| error(format!("row {i} has \"{cell}\" in column `AU45_r`, expected a number")))
    });
    let rows: Vec<f64> = rows.collect::<Result<_, _>>()?;
    let value = |id: &u32| {
        #[expect(clippy::cast_possible_truncation, reason = "rounding to the nearest f32")]
        let value = rows.get(*id as usize).map(|v| (v.clamp(0.0, 2.0) / 2.0) as f32);
        value.ok_or_else(|| {
            error(format!(
                "it has {} rows, the pose file needs row {id}; it belongs to another recording, or make it again \
                 from the whole video",
                rows.len()
            ))
        })
    };
    img_ids.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: &str = r#"{"img_id": 3, "aud_id": 3, "face_rect": [0, 0, 1, 1],
        "transform_matrix": [[1,0,0,0.1],[0,1,0,0.2],[0,0,1,0.75],[0,0,0,1]]}"#;

    fn parse(head: &str, frames: &str) -> Result<Transforms, String> {
        let text = format!("{{{head} \"frames\": [{frames}]}}");
        Transforms::parse("t.json", text.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn sizes_and_cameras_follow_upstream() {
        let t = parse("\"focal_len\": 1100.0, \"cx\": 225.5, \"cy\": 200.0,", FRAME).unwrap();
        assert_eq!((t.width, t.height), (450, 400));
        assert_eq!(t.intrinsics, Intrinsics { fx: 1100.0, fy: 1100.0, cx: 225.5, cy: 200.0 });
        assert_eq!(t.img_ids, [3]);
        assert_eq!(t.eye_ratios, None);
        let demo = FRAME.replace("\"aud_id\"", "\"eye_ratio\": 0.3, \"aud_id\"");
        let size = "\"focal_len\": 1100.0, \"cx\": 8, \"cy\": 8,";
        assert_eq!(parse(size, &demo).unwrap().eye_ratios, Some(vec![0.3]));
        assert_eq!(parse(size, &format!("{demo},{FRAME}")).unwrap().eye_ratios, None);
        assert_eq!(t.poses[0].origin(), [0.8, 3.0, 0.4]);
        let t = parse("\"fl_y\": 50, \"w\": 64, \"h\": 48,", FRAME).unwrap();
        assert_eq!(t.intrinsics, Intrinsics { fx: 50.0, fy: 50.0, cx: 32.0, cy: 24.0 });
        let t = parse("\"camera_angle_x\": 1.5707963267948966, \"w\": 64, \"h\": 48,", FRAME).unwrap();
        assert!((t.intrinsics.fx - 32.0).abs() < 1e-4 && t.intrinsics.fy == t.intrinsics.fx);
    }

    #[test]
    fn unusable_pose_files_are_explained() {
        let good = "\"focal_len\": 1.0, \"cx\": 8, \"cy\": 8,";
        assert!(parse(good, "").unwrap_err().contains("0 frames"));
        assert!(parse("\"cx\": 8, \"cy\": 8,", FRAME).unwrap_err().contains("focal length"));
        assert!(parse("\"focal_len\": 1.0,", FRAME).unwrap_err().contains("picture size"));
        for (w, h, words) in [
            ("1e99", "64", "no usable picture size"),
            ("-64", "64", "no usable picture size"),
            ("1e9", "1e9", "1000000000x1000000000 pixels cannot be shown: video has 16 to 4096"),
            ("15", "64", "15x64 pixels"),
            ("64", "4097", "64x4097 pixels"),
            ("4096", "4096", "at most as many in all as 4096x2304"),
        ] {
            let head = format!("\"focal_len\": 1.0, \"w\": {w}, \"h\": {h},");
            let error = parse(&head, FRAME).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let bad = FRAME.replace("[1,0,0,0.1]", "[9,0,0,0.1]");
        assert!(parse(good, &bad).unwrap_err().contains("frame 0 (img_id 3)"));
        let short = FRAME.replace("[1,0,0,0.1]", "[1,0,0]");
        assert!(parse(good, &short).unwrap_err().contains("rigid"));
        assert!(Transforms::parse("t.json", b"[1]").unwrap_err().to_string().contains("no pose file"));
    }

    #[test]
    fn eye_values_are_clipped_and_rows_found_by_frame_number() {
        let csv = b"frame, success, AU45_r, AU45_c\n1, 1, 0.50, 1\n2, 1, 3.0, 1\n3, 1, -0.1, 0\n";
        assert_eq!(parse_eyes("au.csv", csv, &[2, 0, 1]).unwrap(), [0.0, 0.25, 1.0]);
        let error = |bytes: &[u8], ids: &[u32]| parse_eyes("au.csv", bytes, ids).unwrap_err().to_string();
        assert!(error(csv, &[3]).contains("3 rows, the pose file needs row 3"));
        assert!(error(b"frame, AU01_r\n", &[0]).contains("no column `AU45_r`"));
        assert!(error(b"AU45_r\nx\n", &[0]).contains("row 0 has \"x\""));
        assert!(error(b"AU45_r\nnan\n", &[0]).contains("expected a number"));
    }
}
