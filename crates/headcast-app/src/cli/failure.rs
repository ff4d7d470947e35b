//! How a command ends when it does not end well.

use std::fmt::Display;
use std::process::ExitCode;

/// One sentence for the user, and whose fault it is.
#[derive(Debug)]
pub(crate) enum Failure {
    /// A file or value that the user gave cannot be used.
    Input(String),
    /// The machine refused: disk, port, memory.
    Machine(String),
    /// The user pressed Ctrl-C.
    Interrupted(String),
}

impl Failure {
    pub(crate) fn input(reason: impl Display) -> Self {
        Self::Input(reason.to_string())
    }

    pub(crate) fn machine(reason: impl Display) -> Self {
        Self::Machine(reason.to_string())
    }

    #[expect(clippy::print_stderr, reason = "the one place where a command's failure reaches the terminal")]
    pub(crate) fn print(&self) {
        let (Self::Input(reason) | Self::Machine(reason) | Self::Interrupted(reason)) = self;
        eprintln!("headcast: {reason}");
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        // 2 is clap's, for wrong usage.
        ExitCode::from(match self {
            Self::Machine(_) => 1,
            Self::Input(_) => 3,
            Self::Interrupted(_) => 130,
        })
    }
}
