//! The `headcast` program.

fn main() {}
