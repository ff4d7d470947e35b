//! `avatar.toml`.

use headcast_core::{FeatureKind, Intrinsics};
use serde::{Deserialize, Serialize};

use super::error::AvatarError;
use crate::model::{AdOptions, Network, SceneOptions};

/// Version of the container that this code writes, and the newest it reads.
pub(super) const FORMAT: u32 = 1;

/// The file as it is stored. Everything in it may be edited by hand except sizes and counts, which must fit the
/// other files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) format: u32,
    pub(super) kind: String,
    pub(super) title: String,
    #[serde(default)]
    pub(super) credits: String,
    #[serde(default)]
    pub(super) licence: String,
    pub(super) picture: Picture,
    pub(super) model: Model,
    #[serde(default)]
    pub(super) smoothing: SmoothingEntry,
    pub(super) frames: Frames,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) full_body: Option<FullBodyEntry>,
    #[serde(default)]
    pub(super) source: Source,
}

/// Size in pixels and the pinhole camera.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Picture {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) fx: f32,
    pub(super) fy: f32,
    pub(super) cx: f32,
    pub(super) cy: f32,
}

impl Picture {
    pub(super) fn intrinsics(&self) -> Intrinsics {
        Intrinsics { fx: self.fx, fy: self.fy, cx: self.cx, cy: self.cy }
    }
}

/// What the tensors cannot say. `features`, `eye` and `torso` repeat what they do say, for readers; but features of the
/// built-in model look like `DeepSpeech`'s, so [`BUILT_IN_FEATURES`] may take the place of that word. The settings of
/// other families are left out.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Model {
    pub(super) features: String,
    pub(super) eye: bool,
    pub(super) torso: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) attention: Option<u8>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) max_steps: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) dt_gamma: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) min_near: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) torso_shrink: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) near: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) far: Option<f32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) samples: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) importance: Option<u32>,
}

impl Model {
    /// The settings of `network`.
    pub(super) fn of(network: &Network) -> Self {
        let mut model = Self {
            features: features_word(network.features()).to_owned(),
            eye: network.has_eye(),
            torso: network.has_torso(),
            attention: None,
            max_steps: None,
            dt_gamma: None,
            min_near: None,
            torso_shrink: None,
            near: None,
            far: None,
            samples: None,
            importance: None,
        };
        let scene = match network {
            Network::Er(network) => &network.options,
            Network::Rad(network) => &network.options,
            Network::Ad(network) => {
                let AdOptions { near, far, samples, importance, .. } = network.options;
                (model.near, model.far) = (Some(near), Some(far));
                (model.samples, model.importance) = (Some(samples), Some(importance));
                return model;
            }
        };
        model.attention = Some(scene.attention);
        model.max_steps = Some(scene.max_steps);
        model.dt_gamma = Some(scene.dt_gamma);
        model.min_near = Some(scene.min_near);
        model.torso_shrink = Some(scene.torso_shrink);
        model
    }

    /// Puts the settings into `network`, checked. What is left out keeps upstream's default.
    pub(super) fn apply(&self, network: &mut Network) -> Result<(), AvatarError> {
        match network {
            Network::Er(network) => self.apply_scene(&mut network.options),
            Network::Rad(network) => self.apply_scene(&mut network.options),
            Network::Ad(network) => {
                let (Some(near), Some(far)) = (self.near, self.far) else {
                    return Err(AvatarError::data("avatar.toml", "[model] of an AD-NeRF needs near and far"));
                };
                let options = &mut network.options;
                (options.near, options.far) = (near, far);
                options.samples = self.samples.unwrap_or(options.samples);
                options.importance = self.importance.unwrap_or(options.importance);
                check_depths(options)
            }
        }
    }

    fn apply_scene(&self, options: &mut SceneOptions) -> Result<(), AvatarError> {
        let set = |what: &str, value: Option<f32>, low: f32, high: f32, out: &mut f32| match value {
            Some(value) if !(low..=high).contains(&value) => Err(AvatarError::data(
                "avatar.toml",
                format!("{what} {value} is not between {low} and {high}"),
            )),
            Some(value) => {
                *out = value;
                Ok(())
            }
            None => Ok(()),
        };
        if let Some(attention) = self.attention {
            check_attention(attention, options.attention)?;
            options.attention = attention;
        }
        if let Some(max_steps) = self.max_steps {
            check_max_steps(max_steps)?;
            options.max_steps = max_steps;
        }
        set("dt_gamma", self.dt_gamma, 0.0, 1.0, &mut options.dt_gamma)?;
        set("min_near", self.min_near, 0.0, 100.0, &mut options.min_near)?;
        set("torso_shrink", self.torso_shrink, 0.01, 100.0, &mut options.torso_shrink)
    }
}

/// An AD-NeRF's range of depths and numbers of samples.
pub(super) fn check_depths(options: &AdOptions) -> Result<(), AvatarError> {
    let AdOptions { near, far, samples, importance, .. } = *options;
    if !(near.is_finite() && far.is_finite() && 0.0 < near && near < far && far <= 1e4) {
        let expected = "depths must be positive and rise; AD-NeRF's config file has them as `near` and `far`";
        return Err(AvatarError::Option { option: "near, far", value: format!("{near}, {far}"), expected });
    }
    if (4..=1024).contains(&samples) && importance <= 4096 {
        return Ok(());
    }
    let expected = "use 4 to 1024 coarse and at most 4096 fine samples; upstream's defaults are 64 and 128";
    Err(AvatarError::Option {
        option: "samples, importance",
        value: format!("{samples}, {importance}"),
        expected,
    })
}

/// `detected` is 0 for a model without attention, else 2.
pub(super) fn check_attention(attention: u8, detected: u8) -> Result<(), AvatarError> {
    let fits = if detected == 0 { attention == 0 } else { (1..=2).contains(&attention) };
    let expected = if detected == 0 {
        "the model has no audio attention, so it must be 0"
    } else {
        "the model has audio attention, so it must be 1 or 2"
    };
    if fits {
        Ok(())
    } else {
        Err(AvatarError::Option { option: "attention", value: attention.to_string(), expected })
    }
}

pub(super) fn check_max_steps(max_steps: u32) -> Result<(), AvatarError> {
    if (1..=4096).contains(&max_steps) {
        return Ok(());
    }
    let expected = "use 1 to 4096; upstream's default is 16";
    Err(AvatarError::Option { option: "max_steps", value: max_steps.to_string(), expected })
}

/// Defaults for rendering.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SmoothingEntry {
    #[serde(default)]
    pub(super) path: bool,
    #[serde(default)]
    pub(super) eyes: bool,
    #[serde(default)]
    pub(super) lips: bool,
}

/// The other files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Frames {
    pub(super) poses: usize,
    pub(super) torso_images: usize,
    pub(super) background: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) thumbnail: Option<String>,
}

/// The larger picture that what the network renders is pasted into.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FullBodyEntry {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) offset_x: u32,
    pub(super) offset_y: u32,
    /// Files.
    pub(super) pictures: usize,
    /// One picture for all poses.
    #[serde(default)]
    pub(super) still: bool,
    /// `jpg` or `png`.
    pub(super) extension: String,
}

impl FullBodyEntry {
    /// File of frame `img_id` inside the avatar.
    pub(super) fn name(&self, img_id: u32) -> String {
        format!("fullbody/{img_id}.{}", self.extension)
    }

    /// File of all frames.
    pub(super) fn still_name(&self) -> String {
        format!("fullbody.{}", self.extension)
    }
}

/// What it was made from, for people.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Source {
    #[serde(default)]
    pub(super) checkpoint: String,
    #[serde(default)]
    pub(super) poses: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) epoch: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) step: Option<u64>,
}

impl Manifest {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AvatarError> {
        let error = |what: String| AvatarError::data("avatar.toml", what);
        let text = str::from_utf8(bytes).map_err(|e| error(format!("it is not UTF-8 text: {e}")))?;
        // The version first: a newer file may have other fields.
        #[derive(Deserialize)]
        struct Version {
            format: u32,
            kind: String,
        }
        let version: Version = toml::from_str(text).map_err(|e| error(e.to_string()))?;
        if version.format != FORMAT {
            return Err(AvatarError::Version { found: version.format, known: FORMAT });
        }
        if !KINDS.contains(&version.kind.as_str()) {
            return Err(error(format!(
                "kind \"{}\" is not known to this version of headcast, which knows {}",
                version.kind,
                KINDS.join(", ")
            )));
        }
        let manifest: Self = toml::from_str(text).map_err(|e| error(e.to_string()))?;
        let p = &manifest.picture;
        let finite = [p.fx, p.fy, p.cx, p.cy].iter().all(|v| v.is_finite());
        if !finite || p.fx <= 0.0 || p.fy <= 0.0 {
            return Err(error("[picture] fx and fy must be positive, cx and cy finite".to_owned()));
        }
        super::check_video_size("avatar.toml", p.width, p.height)?;
        if let Some(body) = &manifest.full_body {
            super::check_video_size("avatar.toml", body.width, body.height)?;
            if !["jpg", "png"].contains(&body.extension.as_str()) {
                let what = format!("[full_body] extension \"{}\" is neither jpg nor png", body.extension);
                return Err(error(what.chars().take(200).collect()));
            }
        }
        Ok(manifest)
    }

    /// Width and height of the video.
    pub(super) fn video_size(&self) -> (u32, u32) {
        match &self.full_body {
            Some(body) => (body.width, body.height),
            None => (self.picture.width, self.picture.height),
        }
    }

    pub(super) fn to_toml(&self) -> Result<String, AvatarError> {
        let text = toml::to_string(self).map_err(|e| AvatarError::data("avatar.toml", e.to_string()))?;
        Ok(format!(
            "# headcast avatar. Texts and [smoothing] may be edited; the rest must fit the other files.\n{text}"
        ))
    }
}

/// Words for the families in `avatar.toml`.
const KINDS: [&str; 3] = ["er-nerf", "rad-nerf", "ad-nerf"];

/// The word for the family of `network`.
pub(super) fn kind_word(network: &Network) -> &'static str {
    match network {
        Network::Er(_) => KINDS[0],
        Network::Rad(_) => KINDS[1],
        Network::Ad(_) => KINDS[2],
    }
}

/// Word for features of the built-in model in `avatar.toml`.
pub(super) const BUILT_IN_FEATURES: &str = "built-in";

/// Word for a feature kind in `avatar.toml` and in [`Details`](super::Details).
pub fn features_word(kind: FeatureKind) -> &'static str {
    match kind {
        FeatureKind::DeepSpeech => "deepspeech",
        FeatureKind::Wav2Vec2Esperanto => "wav2vec2-esperanto",
        FeatureKind::Wav2Vec2 => "wav2vec2",
        FeatureKind::Hubert => "hubert",
    }
}

/// Checks that `name` is a plain name: it becomes a folder and a part of a URL.
///
/// # Errors
/// [`AvatarError::Name`].
pub fn check_name(name: &str) -> Result<(), AvatarError> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let fits = (1..=64).contains(&name.len()) && name.chars().all(plain);
    if fits && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Ok(())
    } else {
        Err(AvatarError::Name { name: name.chars().take(80).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for name in ["milo", "A-1_b", "0", &"x".repeat(64)] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "a\\b", "-a", "_x", "a b", "ä", "a.b", &"x".repeat(65), "a\0"] {
            assert!(check_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn newer_formats_and_other_kinds_are_refused_in_words() {
        let error = Manifest::parse(b"format = 2\nkind = \"er-nerf\"\nnew = 1").unwrap_err().to_string();
        assert!(error.contains("format 2") && error.contains("update headcast"), "{error}");
        let error = Manifest::parse(b"format = 1\nkind = \"mesh\"").unwrap_err().to_string();
        assert!(error.contains("\"mesh\""), "{error}");
        assert!(Manifest::parse(b"\xff").is_err());
    }
}
