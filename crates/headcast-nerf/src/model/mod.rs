//! Networks as values: weights with checked shapes, no arithmetic.

mod ad_nerf;
mod er_nerf;
mod layers;
mod network;
mod rad_nerf;
mod scene;

pub use ad_nerf::{AdField, AdNerf, AdOptions, AdTorso, FaceNet};
pub use er_nerf::ErNerf;
pub use layers::{Conv1d, GridTable, Linear, Matrix, Mlp};
pub use network::{Network, Scene};
pub use rad_nerf::RadNerf;
pub use scene::{AudioAttention, AudioNet, SceneOptions, Torso, TorsoPose};
