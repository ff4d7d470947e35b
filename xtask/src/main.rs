//! `cargo xtask`: what CI and maintainers run.

fn main() {}
