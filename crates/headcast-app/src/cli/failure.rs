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

    /// What went wrong.
    pub(crate) fn reason(&self) -> &str {
        let (Self::Input(reason) | Self::Machine(reason) | Self::Interrupted(reason)) = self;
        reason
    }

    /// The same, with what is left of the work in parentheses.
    pub(crate) fn with(self, left: impl Display) -> Self {
        match self {
            Self::Input(reason) => Self::Input(format!("{reason} ({left})")),
            Self::Machine(reason) => Self::Machine(format!("{reason} ({left})")),
            Self::Interrupted(reason) => Self::Interrupted(format!("{reason} ({left})")),
        }
    }

    #[expect(clippy::print_stderr, reason = "the one place where a command's failure reaches the terminal")]
    pub(crate) fn print(&self) {
        eprintln!("headcast: {}", self.reason());
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
