//! AD-NeRF from the state dicts of its head and body files.

use std::io::{Read, Seek};

use headcast_core::FeatureKind;

use super::error::CheckpointError;
use super::family::Family;
use super::loader::Loader;
use super::reader::Checkpoint;
use crate::model::{AdField, AdNerf, AdOptions, AdTorso, AudioAttention, AudioNet, FaceNet, Linear};

/// Which of its two files an AD-NeRF checkpoint is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AdPart {
    /// `NNNNNN_head.tar`: hears the audio code alone.
    Head,
    /// `NNNNNN_body.tar`: hears the head's pose too.
    Body,
}

impl AdPart {
    /// Which part an opened AD-NeRF checkpoint is; `None` if its first layer is missing or of neither width.
    pub fn of<R: Read + Seek>(checkpoint: &Checkpoint<R>) -> Option<Self> {
        match checkpoint.shape(&format!("{COARSE}.pts_linears.0.weight"))? {
            [_, cols] if *cols == FaceNet::POSITION + CODE => Some(Self::Head),
            [_, cols] if (1..=CODE).contains(&cols.checked_sub(FaceNet::POSITION + AdTorso::POSE)?) => {
                Some(Self::Body)
            }
            _ => None,
        }
    }

    fn file(self) -> &'static str {
        match self {
            Self::Head => "head file (NNNNNN_head.tar)",
            Self::Body => "body file (NNNNNN_body.tar)",
        }
    }
}

impl AdNerf {
    /// Builds the network from the two files of a training run; their prefixes are upstream's.
    ///
    /// * `body`: `None` for a head on its background alone.
    /// * `options`: what the files do not say; its `features` are replaced by what they do say.
    /// * `torso_pose`: `transform_matrix` of the first frame of `transforms_train.json`, upper three rows.
    ///
    /// # Errors
    /// [`CheckpointError`]: another family, head and body exchanged, a missing tensor, a shape, values that are
    /// not finite.
    pub fn from_checkpoints<R: Read + Seek, S: Read + Seek>(
        head: &mut Checkpoint<R>,
        body: Option<&mut Checkpoint<S>>,
        options: AdOptions,
        torso_pose: [[f32; 4]; 3],
    ) -> Result<Self, CheckpointError> {
        expect_part(head, AdPart::Head)?;
        let mut loader = Loader::new(head);
        let torso = match body {
            Some(body) => {
                expect_part(body, AdPart::Body)?;
                let mut loader = Loader::new(body);
                Some(AdTorso { field: field(&mut loader)?, pose: torso_pose })
            }
            None => None,
        };
        assemble(&mut loader, torso, options)
    }

    /// Builds the network from an avatar's file, which holds both parts; settings are its scalars' or the defaults.
    pub(super) fn from_avatar<R: Read + Seek>(file: &mut Checkpoint<R>) -> Result<Self, CheckpointError> {
        if !file.has(&format!("head.{COARSE}.pts_linears.0.weight")) {
            // The file of a training run.
            return Err(CheckpointError::AdPart(
                "an AD-NeRF checkpoint is one half of an avatar, and depths are in a config file beside the data: import \
                 it with `headcast avatar import --checkpoint NNNNNN_head.tar --body NNNNNN_body.tar --data FOLDER`"
                    .to_owned(),
            ));
        }
        let mut torso = None;
        if file.has(&format!("body.{COARSE}.pts_linears.0.weight")) {
            let mut loader = Loader::within(file, "body.");
            let field = field(&mut loader)?;
            let pose = loader.floats("pose", &[3, 4])?;
            let pose = std::array::from_fn(|r| std::array::from_fn(|c| pose[4 * r + c]));
            torso = Some(AdTorso { field, pose });
        }
        let options = AdOptions {
            features: FeatureKind::DeepSpeech,
            near: 0.0,
            far: 1.0,
            samples: 64,
            importance: 128,
        };
        assemble(&mut Loader::within(file, "head."), torso, options)
    }
}

impl AdField {
    /// The two networks of one checkpoint, head or body.
    ///
    /// # Errors
    /// As [`AdNerf::from_checkpoints`].
    pub fn from_checkpoint<R: Read + Seek>(file: &mut Checkpoint<R>) -> Result<Self, CheckpointError> {
        file.expect_family(Family::AdNerf)?;
        let part = AdPart::of(file);
        let mut loader = Loader::new(file);
        if part == Some(AdPart::Head) {
            ears(&mut loader)?;
        }
        field(&mut loader)
    }
}

/// The audio net and the attention of a head.
fn ears<R: Read + Seek>(
    head: &mut Loader<'_, R>,
) -> Result<(AudioNet, FeatureKind, AudioAttention), CheckpointError> {
    let (audio, features) = head.audio_net("network_audnet_state_dict", CODE)?;
    let attention = "network_audattnet_state_dict";
    let audio_attention = head.audio_attention(attention, ATTENTION)?.ok_or_else(|| {
        CheckpointError::AdPart(format!(
            "the head file has no `{attention}`, the attention over the audio: it is an early one; take a later \
             NNNNNN_head.tar"
        ))
    })?;
    Ok((audio, features, audio_attention))
}

fn expect_part<R: Read + Seek>(file: &Checkpoint<R>, expected: AdPart) -> Result<(), CheckpointError> {
    file.expect_family(Family::AdNerf)?;
    match AdPart::of(file) {
        Some(found) if found != expected => Err(CheckpointError::AdPart(format!(
            "this is the {} of an AD-NeRF, where the {} is needed; give each under its own option",
            found.file(),
            expected.file()
        ))),
        // Loading says what is wrong with a first layer of neither width.
        _ => Ok(()),
    }
}

fn assemble<R: Read + Seek>(
    head: &mut Loader<'_, R>,
    torso: Option<AdTorso>,
    options: AdOptions,
) -> Result<AdNerf, CheckpointError> {
    let (audio, features, audio_attention) = ears(head)?;
    let field = field(head)?;
    if field.coarse.signal() != CODE {
        let expected = format!("[W, {}]", FaceNet::POSITION + CODE);
        let found = vec![field.coarse.width(), field.coarse.signal() + FaceNet::POSITION];
        return Err(head.misshapen(&format!("{COARSE}.pts_linears.0.weight"), expected, found));
    }
    if let Some(torso) = torso.as_ref().filter(|torso| torso.code() == 0) {
        // It would hear nothing, and the pose alone is more than it takes.
        return Err(CheckpointError::Shape {
            tensor: format!("{COARSE}.pts_linears.0.weight of the body"),
            expected: format!("[W, {} + S] with S from 1 to {CODE}", FaceNet::POSITION + AdTorso::POSE),
            found: vec![torso.field.coarse.width(), torso.field.coarse.signal() + FaceNet::POSITION],
        });
    }
    Ok(AdNerf { options: AdOptions { features, ..options }, audio, audio_attention, head: field, torso })
}

fn field<R: Read + Seek>(loader: &mut Loader<'_, R>) -> Result<AdField, CheckpointError> {
    let (coarse, signal, width) = net(loader, COARSE, None)?;
    let (fine, ..) = net(loader, FINE, Some((signal, width)))?;
    Ok(AdField { coarse, fine })
}

/// One network, with the size of its signal and its width; both must be `like` those of the other, if given.
fn net<R: Read + Seek>(
    loader: &mut Loader<'_, R>,
    prefix: &str,
    like: Option<(usize, usize)>,
) -> Result<(FaceNet, usize, usize), CheckpointError> {
    let first = format!("{prefix}.pts_linears.0.weight");
    let shape = loader.shape(&first)?;
    let (width, signal) = match shape.as_slice() {
        &[width, cols] if (2..=MAX_WIDTH).contains(&width) && width % 2 == 0 && cols > FaceNet::POSITION => {
            (width, cols - FaceNet::POSITION)
        }
        _ => {
            let expected = format!(
                "[W, {} + S] with W even and at most {MAX_WIDTH}, S = {CODE} in a head and {} in a body",
                FaceNet::POSITION,
                CODE + AdTorso::POSE
            );
            return Err(loader.misshapen(&first, expected, shape));
        }
    };
    if signal > CODE + AdTorso::POSE || like.is_some_and(|like| like != (signal, width)) {
        let (signal, width) = like.unwrap_or((CODE, width));
        return Err(loader.misshapen(&first, format!("[{width}, {}]", FaceNet::POSITION + signal), shape));
    }
    let input = FaceNet::POSITION + signal;
    let depth = layers(loader, &format!("{prefix}.pts_linears"), FaceNet::SKIP + 2);
    let view_depth = layers(loader, &format!("{prefix}.views_linears"), 1);
    let mut linear = |name: &str, outputs, inputs| -> Result<Linear, CheckpointError> {
        loader.linear(&format!("{prefix}.{name}"), outputs, inputs)
    };
    let points = (0..depth).map(|k| {
        let inputs = match k {
            0 => input,
            k if k == FaceNet::SKIP + 1 => input + width,
            _ => width,
        };
        linear(&format!("pts_linears.{k}"), width, inputs)
    });
    let points = points.collect::<Result<_, _>>()?;
    let half = width / 2;
    let views = (0..view_depth).map(|k| {
        let inputs = if k == 0 { width + FaceNet::DIRECTION } else { half };
        linear(&format!("views_linears.{k}"), half, inputs)
    });
    let views = views.collect::<Result<_, _>>()?;
    let net = FaceNet {
        points,
        alpha: linear("alpha_linear", 1, width)?,
        views,
        rgb: linear("rgb_linear", 3, half)?,
    };
    Ok((net, signal, width))
}

/// How many layers `name` has: up to the last one that is there, so that one missing before it is named.
fn layers<R: Read + Seek>(loader: &Loader<'_, R>, name: &str, least: usize) -> usize {
    let last = (0..MAX_DEPTH).rev().find(|k| loader.has(&format!("{name}.{k}.weight")));
    last.map_or(least, |last| (last + 1).max(least))
}

/// Values in the audio code.
const CODE: usize = 64;
/// Values of each code that the attention looks at.
const ATTENTION: usize = 32;
/// More layers than anyone trains.
const MAX_DEPTH: usize = 32;
/// Wider than anyone trains.
const MAX_WIDTH: usize = 1024;
const COARSE: &str = "network_fn_state_dict";
const FINE: &str = "network_fine_state_dict";
