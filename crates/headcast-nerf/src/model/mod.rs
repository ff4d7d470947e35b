//! Networks as values: weights with checked shapes, no arithmetic.

mod er_nerf;
mod layers;

pub use er_nerf::{AudioAttention, AudioNet, ErNerf, ErOptions, Torso};
pub use layers::{Conv1d, GridTable, Linear, Matrix, Mlp};
