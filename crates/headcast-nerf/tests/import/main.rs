//! Checkpoints and avatars, good and bad: containers, hostile pickles, import, the built-in avatar.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod ad_nerf;
mod allocation;
mod avatars;
mod broken;
mod build;
mod containers;
mod default_sizes;
mod doctor;
mod fit;
mod full_body;
mod hostile;
mod mutation;
