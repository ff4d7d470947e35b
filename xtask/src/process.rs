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

/// Runs `command` in the repository's root unless it says otherwise, and shows what it prints: all of it, or, where the
/// environment has `CI`, results and skips alone, and the rest of it if it fails. Of tests that pass, skips alone.
pub(crate) fn run(command: &mut Command) -> Outcome {
    let brief = std::env::var_os("CI").is_some_and(|value| !value.is_empty());
    run_for(command, PATIENCE, &mut Transcript::new(brief))
}

fn run_for(command: &mut Command, patience: Duration, transcript: &mut Transcript) -> Outcome {
    let text = announce(command);
    let outcome = watch(command, &text, patience, transcript);
    if outcome.is_err() {
        transcript.tell_the_rest();
    }
    outcome
}

fn watch(command: &mut Command, text: &str, patience: Duration, transcript: &mut Transcript) -> Outcome {
    let started = Instant::now();
    let failed = |error: std::io::Error| format!("`{text}` cannot be run: {error}");
    // One pipe for both, so that what belongs together stays together.
    let (output, input) = std::io::pipe().map_err(failed)?;
    let mut child =
        command.stdout(input.try_clone().map_err(failed)?).stderr(input).spawn().map_err(failed)?;
    // The command has copies of the pipe, which would keep it from ending.
    command.stdout(Stdio::null()).stderr(Stdio::null());
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
                if let Some(line) = transcript.take(line) {
                    println!("{line}");
                }
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
            // What it left running may hold its output open.
            Err(mpsc::RecvTimeoutError::Timeout) if status.is_some() => break,
            Err(mpsc::RecvTimeoutError::Timeout) if heard.elapsed() > patience => {
                return Err(give_up(text, &mut child, patience));
            }
            Err(mpsc::RecvTimeoutError::Timeout) => status = child.try_wait().map_err(failed)?,
        }
    }
    let status = child.wait().map_err(failed)?;
    println!("({} s)", started.elapsed().as_secs());
    if status.success() { Ok(()) } else { Err(format!("`{text}` failed ({status})")) }
}

/// What a command printed, and how much of it is shown.
struct Transcript {
    /// Whether only results and skips are shown while it runs.
    brief: bool,
    /// Whether these lines are what tests printed that passed: some of them panic on purpose.
    of_successes: bool,
    held: Vec<String>,
}

impl Transcript {
    fn new(brief: bool) -> Self {
        Self { brief, of_successes: false, held: Vec::new() }
    }

    /// What is shown of `line` at once.
    fn take(&mut self, line: String) -> Option<String> {
        let result = line.starts_with("test result:");
        if result || line == "successes:" || line == "failures:" {
            self.of_successes = line == "successes:";
        }
        let skip = line.contains("SKIPPED");
        if skip {
            note_skip(&line);
        }
        // Of the test harness, of browsers and Gradio clients, and of Python's unittest.
        let result = result || line.contains(" passed, ") || line.starts_with("Ran ");
        if skip || result || !(self.brief || self.of_successes) {
            return Some(line);
        }
        if !self.of_successes {
            self.held.push(line);
        }
        None
    }

    fn tell_the_rest(&mut self) {
        for line in self.held.drain(..) {
            println!("{line}");
        }
    }
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
        run_for(
            Command::new("sh").args(["-c", script]),
            Duration::from_secs(patience),
            &mut Transcript::new(false),
        )
    }

    /// What is shown of `lines` at once, and what of them if the command fails.
    fn told(brief: bool, lines: &str) -> [String; 2] {
        let mut transcript = Transcript::new(brief);
        let shown: Vec<String> = lines.lines().filter_map(|line| transcript.take(line.to_owned())).collect();
        [shown.join("\n"), transcript.held.join("\n")]
    }

    #[test]
    fn a_failure_is_told_without_what_passed() {
        const OUTPUT: &str = "test one ... ok\ntest two ... FAILED\n\nsuccesses:\n\n---- one stdout ----\nthread 'one' \
                              panicked\n\nfailures:\n\n---- two stdout ----\nthe reason\n\ntest result: FAILED. 1 \
                              passed\nerror: test failed";
        let [shown, rest] = told(true, OUTPUT);
        assert_eq!(shown, "test result: FAILED. 1 passed");
        assert!(rest.contains("two ... FAILED") && rest.contains("the reason"), "{rest}");
        assert!(rest.ends_with("error: test failed"), "{rest}");
        assert!(!rest.contains("panicked") && !rest.contains("test result"), "{rest}");
        let [shown, rest] = told(false, OUTPUT);
        assert!(shown.contains("the reason") && !shown.contains("panicked"), "{shown}");
        assert_eq!(rest, "", "shown while it runs");
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
    fn both_outputs_are_read() {
        let mut transcript = Transcript::new(true);
        let script = "echo one; echo two >&2; echo three";
        let outcome =
            watch(Command::new("sh").args(["-c", script]), script, Duration::from_secs(60), &mut transcript);
        assert!(outcome.is_ok());
        assert_eq!(transcript.held, ["one", "two", "three"]);
    }

    #[test]
    fn what_is_left_running_is_not_waited_for() {
        assert!(shell("sleep 20 & exit 0", 60).is_ok());
        assert!(shell("exit 3", 60).unwrap_err().contains("exit status: 3"));
    }
}
