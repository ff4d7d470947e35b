//! A program with all that it starts, so that all of it can be ended.

use std::io;
use std::process::{Child, Command, ExitStatus};

#[cfg(unix)]
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// A process group: a program, the leader, and what it starts. All of it is ended when this is dropped.
#[derive(Debug)]
pub(super) struct Group {
    leader: Child,
    /// How the leader ended, once it was waited for. Until then no other process can have its number, nor the group's.
    status: Option<ExitStatus>,
}

impl Group {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        Ok(Self { leader: command.spawn()?, status: None })
    }

    /// For its pipes.
    pub(super) fn leader(&mut self) -> &mut Child {
        &mut self.leader
    }

    /// Whether the leader ended well; `None` while it runs. What it started may go on.
    #[cfg(unix)]
    pub(super) fn has_ended(&mut self) -> io::Result<Option<bool>> {
        // It keeps its number until it is waited for, so that the group can still be ended.
        let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(Pid::from_child(&self.leader)), look)?;
        Ok(status.map(|status| status.exit_status() == Some(0)))
    }

    /// Whether the leader ended well; `None` while it runs.
    #[cfg(not(unix))]
    pub(super) fn has_ended(&mut self) -> io::Result<Option<bool>> {
        Ok(self.leader.try_wait()?.map(|status| status.success()))
    }

    /// Ends all of it, and says how the leader did. One that has ended by itself stays as it was.
    pub(super) fn end(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        // None may be left of it.
        #[cfg(unix)]
        let _ = kill_process_group(Pid::from_child(&self.leader), Signal::KILL);
        #[cfg(not(unix))]
        let _ = self.leader.kill();
        let status = self.leader.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.end();
    }
}
