//! The command line: arguments in, exit code out. Only this module prints.

mod args;
mod avatar;
mod bench;
mod failure;
mod features;
mod pipe;
mod progress;
mod raw;
mod remote;
mod render;
mod sender;
mod serve;
mod shutdown;
mod voices;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

/// Parses the arguments, runs the command and returns what the shell sees: 0 done, 1 the machine said no
/// (disk, port, memory), 2 wrong usage, 3 an input that cannot be used, 130 interrupted.
pub fn main() -> ExitCode {
    let outcome = match Arguments::parse().command() {
        Command::Serve(options) => serve::run(&options),
        Command::Render(options) => render::run(&options),
        Command::Pipe(options) => pipe::run(&options),
        Command::Avatar(command) => avatar::run(&command),
        Command::Features(command) => features::run(&command),
        Command::Voices(options) => voices::run(&options),
        Command::Bench(options) => bench::run(&options),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.print();
            failure.exit_code()
        }
    }
}
