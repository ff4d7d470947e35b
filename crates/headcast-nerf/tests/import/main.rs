//! Checkpoints and avatars, good and bad: containers, hostile pickles, import, the built-in avatar.

mod avatars;
mod build;
mod containers;
mod hostile;
mod mutation;
