//! What AD-NeRF keeps in files of its own: a config file, and a second checkpoint for the torso.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use headcast_core::{FeatureKind, RgbImage};

use super::dataset::{POSES, Transforms};
use super::error::AvatarError;
use super::import::{Background, ImportRequest, MAX_PICTURE, default_background, file_name};
use super::{manifest, picture, read_bounded};
use crate::checkpoint::{AdPart, Checkpoint, CheckpointError};
use crate::conditioning::dataset_pose;
use crate::model::{AdNerf, AdOptions};

/// The network, and what its folders say besides.
pub(super) struct AdImport {
    pub(super) model: AdNerf,
    /// Poses that upstream's test would show.
    pub(super) test_poses: Option<PathBuf>,
}

/// Reads everything around the opened head file.
pub(super) fn read(
    request: &ImportRequest,
    head: &mut Checkpoint<BufReader<File>>,
    notes: &mut Vec<String>,
) -> Result<AdImport, AvatarError> {
    let (config, options) = read_config(request)?;
    let body_path = body_path(request, notes);
    let wrap = |path: &Path| {
        let file = path.display().to_string();
        move |source: CheckpointError| AvatarError::Checkpoint { file, source }
    };
    // Exchanged files are found before anything else is missed.
    if AdPart::of(head) == Some(AdPart::Body) {
        let unused = None::<&mut Checkpoint<BufReader<File>>>;
        AdNerf::from_checkpoints(head, unused, options, [[0.0; 4]; 3]).map_err(wrap(&request.checkpoint))?;
    }
    let Some(body_path) = body_path else {
        let unused = None::<&mut Checkpoint<BufReader<File>>>;
        let model = AdNerf::from_checkpoints(head, unused, options, [[0.0; 4]; 3]);
        return Ok(AdImport {
            model: model.map_err(wrap(&request.checkpoint))?,
            test_poses: config.test_poses(&request.data),
        });
    };
    let file = File::open(&body_path).map_err(AvatarError::io(&body_path))?;
    let mut body = Checkpoint::open(BufReader::new(file)).map_err(wrap(&body_path))?;
    if AdPart::of(&body) != Some(AdPart::Body) {
        // It says what it is instead.
        let unused = None::<&mut Checkpoint<BufReader<File>>>;
        AdNerf::from_checkpoints(&mut body, unused, options, [[0.0; 4]; 3]).map_err(wrap(&body_path))?;
        let what = "it is the head file; give the NNNNNN_body.tar".to_owned();
        return Err(AvatarError::data(body_path.display().to_string(), what));
    }
    let train = request.data.join(POSES[0]);
    if !train.is_file() {
        return Err(AvatarError::Missing {
            file: POSES[0].to_owned(),
            folder: request.data.display().to_string(),
            hint: "AD-NeRF's torso is seen by its first camera; upstream's data_util/process_data.py writes the \
                   file into the subject's folder (dataset/<id>)"
                .to_owned(),
        });
    }
    let first = &Transforms::read(&train)?.poses[0];
    let model = AdNerf::from_checkpoints(head, Some(&mut body), options, dataset_pose(first));
    Ok(AdImport {
        model: model.map_err(|source| AvatarError::Checkpoint {
            file: format!("{} and {}", file_name(&request.checkpoint), file_name(&body_path)),
            source,
        })?,
        test_poses: config.test_poses(&request.data),
    })
}

/// The network of both halves and what is around them.
pub(super) fn open(request: &ImportRequest) -> Result<AdNerf, AvatarError> {
    let path = &request.checkpoint;
    let file = File::open(path).map_err(AvatarError::io(path))?;
    let head = Checkpoint::open(BufReader::new(file));
    let wrap = |source| AvatarError::Checkpoint { file: path.display().to_string(), source };
    read(request, &mut head.map_err(wrap)?, &mut Vec::new()).map(|ad| ad.model)
}

/// What the config file says, and what of it becomes part of the network.
fn read_config(request: &ImportRequest) -> Result<(Config, AdOptions), AvatarError> {
    let config = Config::read(&config_path(request)?)?;
    let options = AdOptions {
        features: FeatureKind::DeepSpeech,
        near: config.near,
        far: config.far,
        samples: config.samples.unwrap_or(64),
        importance: config.importance.unwrap_or(128),
    };
    manifest::check_depths(&options)?;
    Ok((config, options))
}

/// `near` and `far`.
pub(super) fn depths(request: &ImportRequest) -> Result<[f32; 2], AvatarError> {
    read_config(request).map(|(_, options)| [options.near, options.far])
}

/// Upstream renders in the size of the background, whatever the pose file says.
pub(super) fn picture_size(request: &ImportRequest) -> Result<Option<(u32, u32)>, AvatarError> {
    let path = match &request.background {
        Some(Background::File(path)) => Some(path.clone()),
        Some(Background::Colour(_)) => None,
        None => default_background(&request.data),
    };
    let Some(path) = path else { return Ok(None) };
    let image: RgbImage = picture::decode(&path.display().to_string(), &read_bounded(&path, MAX_PICTURE)?)?;
    super::check_video_size(&path.display().to_string(), image.width(), image.height())?;
    Ok(Some((image.width(), image.height())))
}

fn config_path(request: &ImportRequest) -> Result<PathBuf, AvatarError> {
    if let Some(path) = &request.config {
        return Ok(path.clone());
    }
    let found = CONFIGS.iter().map(|name| request.data.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| AvatarError::Missing {
        file: CONFIGS[0].to_owned(),
        folder: request.data.display().to_string(),
        hint: "AD-NeRF keeps `near` and `far`, without which nothing can be rendered, in this file alone; upstream's \
               data_util/process_data.py writes it into the subject's folder (dataset/<id>): put it there or pass it \
               with --config"
            .to_owned(),
    })
}

/// The body file that was given, else the last one beside the head.
pub(super) fn body_path(request: &ImportRequest, notes: &mut Vec<String>) -> Option<PathBuf> {
    if let Some(path) = &request.body {
        return Some(path.clone());
    }
    let folder = request.checkpoint.parent().unwrap_or(Path::new(""));
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    let found = newest(folder, "_body.tar");
    notes.push(match &found {
        Some(path) => format!("the torso is that of {}", path.display()),
        None => format!(
            "there is no NNNNNN_body.tar in {}: the head is shown without a torso; pass it with --body",
            folder.display()
        ),
    });
    found
}

/// The file of `folder` with the largest number before `suffix`: upstream takes the last in natural order.
pub(super) fn newest(folder: &Path, suffix: &str) -> Option<PathBuf> {
    let files = std::fs::read_dir(folder).ok()?.flatten();
    let numbered = files.filter_map(|file| {
        let name = file.file_name().into_string().ok()?;
        let number: u64 = name.strip_suffix(suffix)?.parse().ok()?;
        Some((number, file.path()))
    });
    numbered.max().map(|(_, path)| path)
}

/// Config files of a subject's folder, the one of upstream's last step first.
pub(super) const CONFIGS: [&str; 3] =
    ["TorsoNeRFTest_config.txt", "TorsoNeRF_config.txt", "HeadNeRF_config.txt"];
const MAX_CONFIG: u64 = 1 << 16;

/// What inference needs of a config file.
#[derive(Debug, PartialEq)]
struct Config {
    near: f32,
    far: f32,
    samples: Option<u32>,
    importance: Option<u32>,
    test_pose_file: Option<String>,
}

impl Config {
    fn read(path: &Path) -> Result<Self, AvatarError> {
        Self::parse(&path.display().to_string(), &read_bounded(path, MAX_CONFIG)?)
    }

    fn parse(name: &str, bytes: &[u8]) -> Result<Self, AvatarError> {
        let error = |what: String| AvatarError::data(name, what);
        let text = str::from_utf8(bytes).map_err(|e| error(format!("it is not a text file: {e}")))?;
        let value = |key: &str| {
            text.lines().rev().find_map(|line| {
                let (found, value) = line.split('#').next()?.split_once('=')?;
                (found.trim() == key).then(|| value.trim().to_owned())
            })
        };
        let depth = |key: &str| {
            let value = value(key).ok_or_else(|| {
                error(format!("it has no line `{key} = …`; it must be AD-NeRF's TorsoNeRFTest_config.txt"))
            })?;
            value.parse::<f32>().map_err(|e| error(format!("`{key} = {value}`: {e}")))
        };
        let count = |key: &str| {
            let number =
                |value: String| value.parse::<u32>().map_err(|e| error(format!("`{key} = {value}`: {e}")));
            value(key).map(number).transpose()
        };
        Ok(Self {
            near: depth("near")?,
            far: depth("far")?,
            samples: count("N_samples")?,
            importance: count("N_importance")?,
            test_pose_file: value("test_pose_file"),
        })
    }

    /// The pose file it names, if it is there.
    fn test_poses(&self, data: &Path) -> Option<PathBuf> {
        let name = self.test_pose_file.as_ref()?;
        // A plain name: the file of a stranger does not choose what is read.
        let plain = Path::new(name).file_name().is_some_and(|file| file == name.as_str());
        Some(data.join(name)).filter(|path| plain && path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn config_files_are_lines_of_keys_and_values() {
        let text = b"expname = Obama_com\n# near = 9\nnear = 0.5\nfar=1.1 # metres\nwith_test = 1\n\
            test_pose_file = transforms_val.json\nN_importance = 64\n";
        let config = Config::parse("c.txt", text).unwrap();
        let expected = Config {
            near: 0.5,
            far: 1.1,
            samples: None,
            importance: Some(64),
            test_pose_file: Some("transforms_val.json".to_owned()),
        };
        assert_eq!(config, expected);
        assert_eq!(config.test_poses(Path::new("/nonexistent")), None);
        for (text, words) in [
            (&b"far = 1"[..], "no line `near"),
            (b"near = x\nfar = 1", "`near = x`"),
            (b"near = 1\nfar = 2\nN_samples = -1", "`N_samples = -1`"),
            (b"\xff", "not a text file"),
        ] {
            let error = Config::parse("c.txt", text).unwrap_err().to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
