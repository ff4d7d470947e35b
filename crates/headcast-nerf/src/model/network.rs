//! Any of the networks that an avatar may have.

use headcast_core::FeatureKind;

use super::{AdNerf, ErNerf, RadNerf, SceneOptions, Torso};

/// The network of an avatar.
#[derive(Debug, Clone, PartialEq)]
pub enum Network {
    /// ER-NeRF.
    Er(Box<ErNerf>),
    /// RAD-NeRF.
    Rad(Box<RadNerf>),
    /// AD-NeRF.
    Ad(Box<AdNerf>),
}

impl Network {
    /// Which features drive it.
    pub fn features(&self) -> FeatureKind {
        match self {
            Self::Er(model) => model.options.features,
            Self::Rad(model) => model.options.features,
            Self::Ad(model) => model.options.features,
        }
    }

    /// Whether it follows an eye value.
    pub fn has_eye(&self) -> bool {
        match self {
            Self::Er(model) => model.has_eye(),
            Self::Rad(model) => model.has_eye(),
            Self::Ad(_) => false,
        }
    }

    /// Whether it draws the torso itself.
    pub fn has_torso(&self) -> bool {
        match self {
            Self::Er(model) => model.torso.is_some(),
            Self::Rad(model) => model.torso.is_some(),
            Self::Ad(model) => model.torso.is_some(),
        }
    }

    /// Settings of a network that marches through an occupancy grid; `None` for AD-NeRF.
    pub fn options_mut(&mut self) -> Option<&mut SceneOptions> {
        match self {
            Self::Er(model) => Some(&mut model.options),
            Self::Rad(model) => Some(&mut model.options),
            Self::Ad(_) => None,
        }
    }

    /// The ER-NeRF network, if it is one.
    pub fn as_er(&self) -> Option<&ErNerf> {
        match self {
            Self::Er(model) => Some(model),
            _ => None,
        }
    }

    /// The network as one that marches through an occupancy grid; `None` for AD-NeRF.
    pub fn as_scene(&self) -> Option<Scene<'_>> {
        match self {
            Self::Er(model) => Some(Scene::Er(model)),
            Self::Rad(model) => Some(Scene::Rad(model)),
            Self::Ad(_) => None,
        }
    }
}

/// A network that marches through an occupancy grid, borrowed.
#[derive(Debug, Clone, Copy)]
pub enum Scene<'a> {
    /// ER-NeRF.
    Er(&'a ErNerf),
    /// RAD-NeRF.
    Rad(&'a RadNerf),
}

impl<'a> From<&'a ErNerf> for Scene<'a> {
    fn from(model: &'a ErNerf) -> Self {
        Self::Er(model)
    }
}

impl<'a> From<&'a RadNerf> for Scene<'a> {
    fn from(model: &'a RadNerf) -> Self {
        Self::Rad(model)
    }
}

impl<'a> Scene<'a> {
    /// Sizes and settings.
    pub fn options(self) -> &'a SceneOptions {
        match self {
            Self::Er(model) => &model.options,
            Self::Rad(model) => &model.options,
        }
    }

    /// The box that rays are sampled in: `x0 y0 z0 x1 y1 z1`.
    pub fn aabb(self) -> &'a [f32; 6] {
        match self {
            Self::Er(model) => &model.aabb,
            Self::Rad(model) => &model.aabb,
        }
    }

    /// `[cascades × 128³ / 8]` bytes of occupancy.
    pub fn density_bitfield(self) -> &'a [u8] {
        match self {
            Self::Er(model) => &model.density_bitfield,
            Self::Rad(model) => &model.density_bitfield,
        }
    }

    /// The 2-D torso, if it has one.
    pub fn torso(self) -> Option<&'a Torso> {
        match self {
            Self::Er(model) => model.torso.as_ref(),
            Self::Rad(model) => model.torso.as_ref(),
        }
    }
}
