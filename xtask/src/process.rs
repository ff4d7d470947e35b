//! Commands that are watched while they run: none is waited for without end, and what they skip is counted.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use crate::{Outcome, root};

/// A command that prints nothing for this long hangs: the longest compilation takes a third of it on two cores, the
/// longest test a tenth, and both go on printing.
const PATIENCE: Duration = Duration::from_secs(20 * 60);

/// Lines that say what was not tested, of all commands.
static SKIPPED: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Notes what is not tested, for the list at the end.
pub(crate) fn note_skip(line: &str) {
    SKIPPED.lock().unwrap_or_else(PoisonError::into_inner).push(line.trim().to_owned());
}

/// Prints what was skipped so far.
pub(crate) fn report_skips() {
    let skipped = SKIPPED.lock().unwrap_or_else(PoisonError::into_inner);
    println!("\n{} skipped", skipped.len());
    for line in skipped.iter() {
        println!("  {line}");
    }
}

pub(crate) fn cargo(args: &[&str]) -> Outcome {
    run(Command::new("cargo").args(args))
}

/// Runs `command` in the repository's root unless it says otherwise, and shows what it prints.
pub(crate) fn run(command: &mut Command) -> Outcome {
    run_for(command, PATIENCE)
}

fn run_for(command: &mut Command, patience: Duration) -> Outcome {
    let text = announce(command);
    let started = Instant::now();
    let failed = |error: std::io::Error| format!("`{text}` cannot be run: {error}");
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(failed)?;
    let output = child.stdout.take().expect("stdout is piped");
    let (send, lines) = mpsc::sync_channel(64);
    thread::spawn(move || {
        // What players and browsers print need not be text.
        let text = |line: Vec<u8>| String::from_utf8_lossy(&line).into_owned();
        BufReader::new(output).split(b'\n').map_while(Result::ok).try_for_each(|line| send.send(text(line)))
    });
    let mut heard = Instant::now();
    let mut status = None;
    loop {
        match lines.recv_timeout(Duration::from_millis(200)) {
            Ok(line) => {
                heard = Instant::now();
                println!("{line}");
                if line.contains("SKIPPED") {
                    note_skip(&line);
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            // What it left running may hold its output open.
            Err(mpsc::RecvTimeoutError::Timeout) if status.is_some() => break,
            Err(mpsc::RecvTimeoutError::Timeout) if heard.elapsed() > patience => {
                return Err(give_up(&text, &mut child, patience));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => status = child.try_wait().map_err(failed)?,
        }
    }
    let status = child.wait().map_err(failed)?;
    println!("({} s)", started.elapsed().as_secs());
    if status.success() { Ok(()) } else { Err(format!("`{text}` failed ({status})")) }
}

/// Prints the command.
fn announce(command: &mut Command) -> String {
    if command.get_current_dir().is_none() {
        command.current_dir(root());
    }
    let text = format!("{command:?}").replace('"', "");
    println!("\n$ {text}");
    text
}

/// Ends `child` and all that it started. The reason names their threads: the test harness calls those after tests.
fn give_up(text: &str, child: &mut Child, patience: Duration) -> String {
    let mut reason =
        format!("`{text}` has printed nothing for {} s and is ended; running were", patience.as_secs());
    let mut family = vec![child.id()];
    let mut next = 0;
    while let Some(&process) = family.get(next) {
        next += 1;
        let threads = threads(process);
        let _ = write!(reason, "\n  {process}:");
        for (id, name) in &threads {
            let _ = write!(reason, " {name}");
            let children = std::fs::read_to_string(format!("/proc/{process}/task/{id}/children"));
            family.extend(
                children.unwrap_or_default().split_whitespace().filter_map(|child| child.parse::<u32>().ok()),
            );
        }
    }
    let _ = Command::new("kill").arg("-KILL").args(family.iter().map(u32::to_string)).status();
    let _ = child.kill();
    let _ = child.wait();
    reason
}

/// Number and name of each thread; none where there is no `/proc`.
fn threads(process: u32) -> Vec<(String, String)> {
    let folder = format!("/proc/{process}/task");
    let Ok(entries) = std::fs::read_dir(Path::new(&folder)) else { return Vec::new() };
    let name = |entry: std::fs::DirEntry| {
        let id = entry.file_name().into_string().ok()?;
        let name = std::fs::read_to_string(entry.path().join("comm")).ok()?;
        Some((id, name.trim().to_owned()))
    };
    entries.flatten().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, patience: u64) -> Outcome {
        run_for(Command::new("sh").args(["-c", script]), Duration::from_secs(patience))
    }

    #[test]
    fn what_hangs_is_ended_with_all_that_it_started() {
        let reason = shell("sleep 300 & echo started $!; sleep 301", 1).unwrap_err();
        if cfg!(target_os = "linux") {
            assert_eq!(reason.matches("sleep").count(), 4, "two in the command, two that ran: {reason}");
        }
        assert!(shell("sleep 2; echo late", 30).is_ok(), "the control");
    }

    #[test]
    fn what_is_left_running_is_not_waited_for() {
        assert!(shell("sleep 20 & exit 0", 60).is_ok());
        assert!(shell("exit 3", 60).unwrap_err().contains("exit status: 3"));
    }
}
