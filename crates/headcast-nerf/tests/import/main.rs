//! Checkpoints and avatars, good and bad: containers, hostile pickles, import, the built-in avatar.

#![expect(clippy::unwrap_used, reason = "a test that unwraps fails with a line number")]

mod allocation;
mod avatars;
mod build;
mod containers;
mod hostile;
mod mutation;
