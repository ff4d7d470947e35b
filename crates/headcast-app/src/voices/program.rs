//! Programs of this machine that speak: text in, a sound file out. No shell is between.

use std::borrow::Cow;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use super::error::VoiceError;
use super::group::Group;
use super::pipe::Gathered;
use super::{MAX_ANSWER, Speaker, VoiceInfo, Wish};

/// A program and how it is called.
#[derive(Debug, Clone)]
pub(super) struct Program {
    /// What it is called in names of voices, before the slash.
    pub(super) name: String,
    pub(super) program: PathBuf,
    /// Arguments, in which `{text_file}`, `{wav}`, `{voice}`, `{speed}`, `{wpm}` and `{slowness}` are replaced. Without
    /// `{text_file}` the text comes on standard input, without `{wav}` the sound is taken from standard output.
    pub(super) args: Vec<String>,
    /// As they are called where `{voice}` stands.
    pub(super) voices: Vec<VoiceInfo>,
    /// What it takes for a command where it stands twice in a text.
    pub(super) markup: Option<char>,
    pub(super) patience: Duration,
}

/// Words per minute of speed 1.
const WORDS_PER_MINUTE: f64 = 175.0;

/// How often a program at work is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// Of what it says on standard error, so much is kept.
const MAX_SAID: usize = 2_000;

/// One that has ended says nothing more, unless what it started does: that is not waited for much longer.
const LAST_WORDS: Duration = Duration::from_secs(1);

impl Speaker for Program {
    fn name(&self) -> &str {
        &self.name
    }

    fn voices(&self) -> &[VoiceInfo] {
        &self.voices
    }

    fn say(&self, wish: &Wish<'_>, cancelled: &dyn Fn() -> bool) -> Result<Vec<u8>, VoiceError> {
        let folder = tempfile::Builder::new().prefix("headcast-voice-").tempdir()?;
        let (text_file, wav) = (folder.path().join("text.txt"), folder.path().join("speech.wav"));
        let takes_file = self.args.iter().any(|arg| arg.contains("{text_file}"));
        let gives_file = self.args.iter().any(|arg| arg.contains("{wav}"));
        let words = self.markup.map_or(Cow::Borrowed(wish.words), |mark| broken(wish.words, mark).into());
        if takes_file {
            std::fs::write(&text_file, &*words)?;
        }
        let replaced = [
            ("{text_file}", text_file.to_string_lossy().into_owned()),
            ("{wav}", wav.to_string_lossy().into_owned()),
            ("{voice}", wish.voice.to_owned()),
            ("{speed}", format!("{:.2}", wish.speed)),
            ("{wpm}", format!("{:.0}", WORDS_PER_MINUTE * wish.speed)),
            ("{slowness}", format!("{:.3}", 1.0 / wish.speed)),
        ];
        let args = self.args.iter().map(|arg| fill(arg, &replaced));
        let mut command = Command::new(&self.program);
        command.args(args);
        let run = Run {
            who: &self.name,
            patience: self.patience,
            limit: MAX_ANSWER,
            growing: gives_file.then_some(&wav),
        };
        let heard = run.output(command, (!takes_file).then_some(&*words), cancelled)?;
        if !gives_file {
            return Ok(heard);
        }
        let mut sound = Vec::new();
        match std::fs::File::open(&wav) {
            Ok(file) => file.take(MAX_ANSWER + 1).read_to_end(&mut sound)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(VoiceError::NotSound {
                    who: self.name.clone(),
                    reason: "there is no file".to_owned(),
                });
            }
            Err(error) => return Err(error.into()),
        };
        if sound.len() as u64 > MAX_ANSWER {
            return Err(VoiceError::TooMuch { who: self.name.clone(), limit: MAX_ANSWER });
        }
        Ok(sound)
    }
}

/// The text with a space between two of `mark`: it is to be read, and no command.
fn broken(text: &str, mark: char) -> String {
    let mut broken = String::with_capacity(text.len());
    for c in text.chars() {
        if c == mark && broken.ends_with(mark) {
            broken.push(' ');
        }
        broken.push(c);
    }
    broken
}

/// Replaces each placeholder once, so that one that is part of a value stays as it is.
fn fill(template: &str, replaced: &[(&str, String)]) -> String {
    let (mut filled, mut rest) = (String::new(), template);
    while !rest.is_empty() {
        let next = replaced.iter().filter_map(|(mark, value)| Some((rest.find(mark)?, mark, value))).min();
        let Some((at, mark, value)) = next else { break };
        filled += &rest[..at];
        filled += value;
        rest = &rest[at + mark.len()..];
    }
    filled + rest
}

/// One run of a program, bounded in time and in what it may say.
pub(super) struct Run<'a> {
    pub(super) who: &'a str,
    pub(super) patience: Duration,
    /// Bytes on standard output, and of the file.
    pub(super) limit: u64,
    /// A file that it writes.
    pub(super) growing: Option<&'a PathBuf>,
}

impl Run<'_> {
    /// What it says on standard output.
    pub(super) fn output(
        &self,
        mut command: Command,
        input: Option<&str>,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<u8>, VoiceError> {
        let stdin = if input.is_some() { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Secrets of the server are none of its business.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("HEADCAST_"))
        {
            command.env_remove(name);
        }
        let missing = |source| VoiceError::Missing { program: self.who.to_owned(), source };
        let mut group = Group::spawn(command).map_err(missing)?;
        let child = group.leader();
        if let (Some(mut pipe), Some(text)) = (child.stdin.take(), input) {
            let text = text.to_owned();
            // One that does not read is not waited for here. One that ends early breaks the pipe, and says why itself.
            thread::spawn(move || pipe.write_all(text.as_bytes()));
        }
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let heard = child.stdout.take().map(|pipe| Gathered::first(pipe, limit)).unwrap_or_default();
        let said = child.stderr.take().map(|pipe| Gathered::last(pipe, MAX_SAID)).unwrap_or_default();
        let too_much = || Err(VoiceError::TooMuch { who: self.who.to_owned(), limit: self.limit });
        let began = Instant::now();
        loop {
            // Before anything is looked at: what it did then is all that it did itself.
            let has_ended = group.has_ended()?;
            if heard.is_over_limit() || self.growing.is_some_and(|path| size(path) > self.limit) {
                return too_much();
            }
            // What it left running may hold the pipe open, and nobody needs that once there is a file.
            let is_complete = heard.is_closed() || self.growing.is_some_and(|path| path.exists());
            if has_ended == Some(false) || has_ended == Some(true) && is_complete {
                break;
            }
            if cancelled() {
                return Err(VoiceError::Cancelled);
            }
            if began.elapsed() > self.patience {
                return Err(VoiceError::Hung { who: self.who.to_owned(), secs: self.patience.as_secs() });
            }
            thread::sleep(LOOK_EVERY);
        }
        let status = group.end()?;
        if !status.success() {
            let ended = Instant::now();
            while !said.is_closed() && ended.elapsed() < LAST_WORDS {
                thread::sleep(LOOK_EVERY);
            }
            return Err(VoiceError::Failed {
                program: self.who.to_owned(),
                status: how(status),
                said: last_words(&said.take()),
            });
        }
        Ok(heard.take())
    }
}

fn size(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |file| file.len())
}

fn how(status: ExitStatus) -> String {
    status.code().map_or_else(|| status.to_string(), |code| format!("exit status {code}"))
}

/// The last line with something in it, shortened.
fn last_words(said: &[u8]) -> String {
    let text = String::from_utf8_lossy(said);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    line.chars().filter(|c| !c.is_control()).take(300).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_replaced_once() {
        let with = [("{a}", "{b}".to_owned()), ("{b}", "x".to_owned())];
        assert_eq!(fill("-{a}-{b}-{c}-{a}", &with), "-{b}-x-{c}-{b}");
        assert_eq!(fill("", &with), "");
    }

    #[test]
    fn what_would_be_a_command_is_words() {
        assert_eq!(broken("a [[b]] [[[c]", '['), "a [ [b]] [ [ [c]");
        assert_eq!(broken("[1] 讲[", '['), "[1] 讲[", "the control");
    }

    #[test]
    fn of_what_it_says_the_last_line_counts() {
        assert_eq!(last_words(b"one\n two\x1b[0m \n\n"), "two[0m");
        assert_eq!(last_words(&[b'x'; 900]).len(), 300);
    }
}
