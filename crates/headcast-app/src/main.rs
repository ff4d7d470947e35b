//! The `headcast` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    headcast_app::cli::main()
}
