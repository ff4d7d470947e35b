//! Text becomes speech: by a program of this machine, or by a speech server.
//!
//! A text is spoken sentence by sentence, so that where each one begins and ends is known to the sample: captions need no
//! guess. What a voice sends is untrusted: bounded, decoded by the same decoder as an upload, and laid one after the other
//! in one file, with pauses of our own between sentences. The whole is bounded as a recording is, and in time.

mod error;
mod found;
mod group;
mod pipe;
mod program;
pub mod sentences;
mod server;
mod sound;

pub use error::VoiceError;
pub use server::{Key, NotAServer, ServerSettings};

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use headcast::audio::AudioError;

use crate::captions::Cue;
use crate::jobs::Script;
use program::Program;
use sentences::sentences;
use server::{Server, described};
use sound::{RATE, WavFile};

/// Largest sound file of one sentence, in bytes: three minutes of CD quality.
const MAX_ANSWER: u64 = 32 << 20;

/// How long a voice may take for a sentence, if nobody says otherwise.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// How often that patience a whole text may take: two hours, if nobody says otherwise.
const SENTENCES_OF_PATIENCE: u32 = 60;

/// Pauses after a sentence and after a paragraph, in milliseconds.
const PAUSE: u64 = 320;
const LONG_PAUSE: u64 = 640;

/// A voice as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceInfo {
    /// Its name in requests, such as `espeak-ng/en-us`.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// Language that it speaks, as a BCP 47 tag; empty when nobody says.
    pub language: String,
}

/// A voice that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The voice.
    pub voice: VoiceInfo,
    /// What speaks: `server`, or the name of a program.
    pub kind: String,
}

/// One sentence, and how it is to be spoken.
#[derive(Debug, Clone, Copy)]
struct Wish<'a> {
    words: &'a str,
    /// As the speaker calls it.
    voice: &'a str,
    /// 1 as the voice speaks by itself.
    speed: f64,
}

/// What speaks: a program or a server.
trait Speaker: fmt::Debug + Send + Sync {
    /// What comes before the slash in names of its voices.
    fn name(&self) -> &str;

    /// Its voices, as it calls them itself.
    fn voices(&self) -> &[VoiceInfo];

    /// Says one sentence: a sound file of any format. Blocks, and gives up soon after `cancelled` says so.
    fn say(&self, wish: &Wish<'_>, cancelled: &dyn Fn() -> bool) -> Result<Vec<u8>, VoiceError>;
}

/// A program that speaks, as somebody describes it: `name=program arguments`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandVoice {
    name: String,
    language: String,
    program: PathBuf,
    args: Vec<String>,
}

/// Why a description of a program cannot be used.
#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} describes no voice; use NAME=PROGRAM ARGUMENTS or NAME:LANGUAGE=…, with {{wav}} for the file that it writes"
)]
pub struct NotACommand {
    text: String,
}

impl CommandVoice {
    /// Reads `name=program arguments` or `name:language=…`. Words are separated by spaces; quotation marks keep them
    /// together. There is no shell: nothing else has a meaning.
    ///
    /// # Errors
    /// When there is no name or no program, or a quotation mark without its end.
    pub fn parse(text: &str) -> Result<Self, NotACommand> {
        let wrong = || NotACommand { text: text.to_owned() };
        let (name, command) = text.split_once('=').ok_or_else(wrong)?;
        let VoiceInfo { name, language, .. } = described(name.trim());
        let mut words = words(command).ok_or_else(wrong)?.into_iter();
        let program = words.next().filter(|program| !program.is_empty()).ok_or_else(wrong)?;
        let fine = !name.is_empty()
            && name.chars().count() <= 40
            && !name.contains('/')
            && !name.chars().any(char::is_control);
        if !fine {
            return Err(wrong());
        }
        Ok(Self { name, language, program: program.into(), args: words.collect() })
    }
}

/// Words between spaces; within `"` and `'` spaces are part of them. `None` when a mark has no end.
fn words(text: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut mark) = (Vec::new(), None::<String>, None);
    for c in text.chars() {
        match mark {
            Some(open) if c == open => mark = None,
            None if c == '"' || c == '\'' => {
                mark = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    mark.is_none().then_some(words)
}

/// Where voices come from.
#[derive(Debug, Clone)]
pub struct Settings {
    /// A speech server.
    pub server: Option<ServerSettings>,
    /// Programs that somebody described.
    pub commands: Vec<CommandVoice>,
    /// Whether programs on the search path are offered: `espeak-ng`, `piper`, `say`.
    pub search: bool,
    /// A folder with models of `piper`.
    pub models: Option<PathBuf>,
    /// How long a program may take for a sentence; for a whole text, any voice sixty times as long.
    pub patience: Duration,
    /// Longest sound of a whole text. By default as long as a recording may be.
    pub longest: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            server: None,
            commands: Vec::new(),
            search: true,
            models: None,
            patience: PATIENCE,
            longest: headcast::audio::Limits::default().max_duration,
        }
    }
}

/// The voices of this machine.
#[derive(Debug)]
pub struct Voices {
    configured: Vec<Box<dyn Speaker>>,
    settings: Settings,
    /// Looked for when somebody first asks: that takes some processes.
    found: OnceLock<Vec<Program>>,
}

impl Voices {
    /// The voices that `settings` name.
    ///
    /// # Errors
    /// When the address of the server is none.
    pub fn new(settings: Settings) -> Result<Self, NotAServer> {
        let mut configured: Vec<Box<dyn Speaker>> = Vec::new();
        if let Some(server) = &settings.server {
            configured.push(Box::new(Arc::new(Server::new(server)?)));
        }
        for CommandVoice { name, language, program, args } in settings.commands.iter().cloned() {
            let voice = VoiceInfo { name: String::new(), title: name.clone(), language };
            let patience = settings.patience;
            let (voices, markup) = (vec![voice], None);
            configured.push(Box::new(Program { name, program, args, voices, markup, patience }));
        }
        Ok(Self { configured, settings, found: OnceLock::new() })
    }

    fn speakers(&self) -> impl Iterator<Item = &dyn Speaker> {
        let Settings { search, models, patience, .. } = &self.settings;
        let look = || if *search { found::programs(models.as_deref(), *patience) } else { Vec::new() };
        let found = self.found.get_or_init(look);
        self.configured.iter().map(AsRef::as_ref).chain(found.iter().map(|program| program as &dyn Speaker))
    }

    /// Every voice, the one that is taken when nobody chooses first. Blocks while programs are looked for.
    pub fn list(&self) -> Vec<Listed> {
        self.speakers()
            .flat_map(|speaker| speaker.voices().iter().map(move |voice| listed(speaker, voice)))
            .collect()
    }

    /// Speaks a script into the WAV file `to`, and says when each sentence is heard. Blocks, and gives up soon after
    /// `cancelled` says so; what is in `to` then is of no use.
    ///
    /// # Errors
    /// [`VoiceError`]: what is wrong with the text or the voice, and what to do.
    pub fn speak(
        &self,
        script: &Script,
        to: &Path,
        cancelled: &dyn Fn() -> bool,
    ) -> Result<Vec<Cue>, VoiceError> {
        self.speak_within(script, to, cancelled, &|_bytes| true)
    }

    /// As [`Self::speak`], as long as `has_room` says that the file may have so many bytes. It is asked before each sentence
    /// is written.
    ///
    /// # Errors
    /// As [`Self::speak`].
    pub fn speak_within(
        &self,
        script: &Script,
        to: &Path,
        cancelled: &dyn Fn() -> bool,
        has_room: &dyn Fn(u64) -> bool,
    ) -> Result<Vec<Cue>, VoiceError> {
        let text = Script::plain(&script.text);
        let sentences = sentences(&text);
        if sentences.is_empty() {
            return Err(VoiceError::Nothing);
        }
        let name = script.voice.as_deref().unwrap_or_default();
        let (speaker, voice) = self.find(name)?;
        let longest = self.settings.longest;
        let most = longest.as_secs().saturating_mul(RATE).min(WavFile::MAX_SAMPLES);
        let patience = self.settings.patience.saturating_mul(SENTENCES_OF_PATIENCE);
        let began = Instant::now();
        let mut file = WavFile::create(to)?;
        let mut cues = Vec::new();
        for sentence in sentences {
            if began.elapsed() > patience {
                return Err(VoiceError::Slow { who: speaker.name().to_owned(), secs: patience.as_secs() });
            }
            let wish = Wish { words: sentence.words, voice: &voice, speed: script.speed.factor() };
            let samples = sound::read(speaker.say(&wish, cancelled)?, speaker.name(), cancelled)?;
            let pause = if sentence.ends_paragraph { LONG_PAUSE } else { PAUSE } * RATE / 1000;
            let start = file.samples();
            let end = start + samples.len() as u64 + pause;
            if end > most {
                return Err(VoiceError::Endless(AudioError::TooLong { stated: None, max: longest }));
            }
            if !has_room(WavFile::bytes(end)) {
                return Err(VoiceError::Disk(io::ErrorKind::StorageFull.into()));
            }
            file.push(&samples)?;
            let words = sentence.words.split_whitespace().collect::<Vec<_>>().join(" ");
            cues.push(Cue {
                start_ms: start * 1000 / RATE,
                end_ms: file.samples() * 1000 / RATE,
                text: words,
            });
            file.push_silence(pause)?;
            if cancelled() {
                return Err(VoiceError::Cancelled);
            }
        }
        file.finish()?;
        Ok(cues)
    }

    /// The voice of that name, as its speaker calls it.
    fn find(&self, name: &str) -> Result<(&dyn Speaker, String), VoiceError> {
        let mut any = false;
        for speaker in self.speakers() {
            for voice in speaker.voices() {
                any = true;
                if listed(speaker, voice).voice.name == name {
                    return Ok((speaker, voice.name.clone()));
                }
            }
        }
        Err(if any { VoiceError::Unknown { name: name.to_owned() } } else { VoiceError::None })
    }
}

/// As it is called from outside: a program with one voice by its own name, a model by that of its file.
fn listed(speaker: &dyn Speaker, voice: &VoiceInfo) -> Listed {
    let kind = speaker.name().to_owned();
    let own = if voice.name.contains('/') { &voice.title } else { &voice.name };
    let name = if own.is_empty() { kind.clone() } else { format!("{kind}/{own}") };
    Listed { voice: VoiceInfo { name, ..voice.clone() }, kind }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn commands_are_words_and_no_shell() {
        let voice = CommandVoice::parse("my:zh=/opt/my tts/x --a \"two words\" '' $HOME;ls {wav}").unwrap();
        assert_eq!((voice.name.as_str(), voice.language.as_str()), ("my", "zh"));
        assert_eq!(voice.program, Path::new("/opt/my"));
        assert_eq!(voice.args, ["tts/x", "--a", "two words", "", "$HOME;ls", "{wav}"]);
        for bad in ["", "x", "=x", "x=", "x=  ", "x=\"y", "a/b=c"] {
            assert!(CommandVoice::parse(bad).is_err(), "{bad:?}");
        }
    }

    /// Says everything within a second of sound, and takes its time for it.
    #[derive(Debug)]
    struct Parrot {
        voices: [VoiceInfo; 1],
        takes: Duration,
        heard: Arc<Mutex<Vec<String>>>,
    }

    impl Speaker for Parrot {
        fn name(&self) -> &str {
            "parrot"
        }

        fn voices(&self) -> &[VoiceInfo] {
            &self.voices
        }

        fn say(&self, wish: &Wish<'_>, _: &dyn Fn() -> bool) -> Result<Vec<u8>, VoiceError> {
            self.heard.lock().unwrap().push(wish.words.to_owned());
            std::thread::sleep(self.takes);
            let file = tempfile::NamedTempFile::new()?;
            let mut wav = WavFile::create(file.path())?;
            wav.push(&[0.5; 48_000])?;
            wav.finish()?;
            Ok(std::fs::read(file.path())?)
        }
    }

    /// What a parrot said to a text, and how it ended. `room` is what the file may have.
    fn parrot(
        text: &str,
        settings: Settings,
        takes: Duration,
        room: u64,
    ) -> (Vec<String>, Result<u64, VoiceError>) {
        let heard: Arc<Mutex<Vec<String>>> = Arc::default();
        let voices = [VoiceInfo { name: String::new(), title: String::new(), language: String::new() }];
        let parrot = Parrot { voices, takes, heard: Arc::clone(&heard) };
        let settings = Settings { search: false, ..settings };
        let voices = Voices { configured: vec![Box::new(parrot)], settings, found: OnceLock::new() };
        let script = Script {
            text: text.to_owned(),
            voice: Some("parrot".to_owned()),
            speed: crate::jobs::Pace::default(),
        };
        let file = tempfile::NamedTempFile::new().unwrap();
        let said = voices.speak_within(&script, file.path(), &|| false, &|bytes| bytes <= room);
        let bytes = std::fs::metadata(file.path()).unwrap().len();
        let heard = std::mem::take(&mut *heard.lock().unwrap());
        (heard, said.map(|cues| cues.last().unwrap().end_ms * 96 + PAUSE * 96 + 44 - bytes))
    }

    #[test]
    fn a_text_is_as_long_as_a_recording_may_be() {
        let text = "One. Two. Three. Four. Five.";
        // A second and a pause each: the third sentence ends after 3.96 s.
        let for_secs = |secs| {
            let settings = Settings { longest: Duration::from_secs(secs), ..Settings::default() };
            parrot(text, settings, Duration::ZERO, u64::MAX)
        };
        let (heard, said) = for_secs(3);
        assert_eq!(heard, ["One.", "Two.", "Three."]);
        let error = said.unwrap_err();
        assert_eq!(error.kind().1, "audio_too_long");
        let longest = Duration::from_secs(3);
        assert_eq!(error.to_string(), AudioError::TooLong { stated: None, max: longest }.to_string());
        let (heard, said) = for_secs(7);
        assert_eq!((heard.len(), said.unwrap()), (5, 0), "the control, with the size that the cues tell");
    }

    #[test]
    fn a_text_takes_no_more_room_than_there_is() {
        let text = "One. Two. Three.";
        let (heard, said) = parrot(text, Settings::default(), Duration::ZERO, 44 + 2 * 126_720);
        assert_eq!(heard.len(), 3);
        assert_eq!(said.unwrap_err().kind().1, "disk");
        assert!(parrot(text, Settings::default(), Duration::ZERO, 44 + 3 * 126_720).1.is_ok(), "the control");
    }

    #[test]
    fn a_text_takes_no_more_time_than_so_many_sentences() {
        let text = "Yes. ".repeat(80);
        // It may take 60 times 5 ms, which are over after 15 sentences at the latest.
        let settings = Settings { patience: Duration::from_millis(5), ..Settings::default() };
        let (heard, said) = parrot(&text, settings, Duration::from_millis(20), u64::MAX);
        assert!(heard.len() <= 16, "{}", heard.len());
        let error = said.unwrap_err();
        assert!(matches!(error, VoiceError::Slow { .. }), "{error}");
        let (heard, said) = parrot(&text, Settings::default(), Duration::ZERO, u64::MAX);
        assert_eq!((heard.len(), said.unwrap()), (80, 0), "the control");
    }

    #[test]
    fn voices_and_captions_get_text_alone() {
        let (heard, said) = parrot("One\0 \x1btwo.\r\nThree.", Settings::default(), Duration::ZERO, u64::MAX);
        assert_eq!(heard, ["One   two.", "Three."]);
        said.unwrap();
    }
}
