//! `headcast voices`, and the options that say where voices come from.

use std::path::Path;

use serde_json::json;

use super::args::{VoiceOptions, VoicesOptions};
use super::failure::Failure;
use crate::data_dir;
use crate::voices::{CommandVoice, Key, Listed, ServerSettings, Settings, VoiceError, VoiceInfo, Voices};

/// Voice of `OpenAI`'s servers, and of most that speak like them.
const USUAL_VOICE: &str = "alloy";

/// Longest key, in bytes.
const MAX_KEY: usize = 4096;

impl VoiceOptions {
    /// The voices that these options name, and those that are found. Models of `piper` are looked for in `voices` of the data
    /// folder.
    pub(super) fn voices(&self, data_dir: &Path) -> Result<Voices, Failure> {
        let server = self.voice_url.as_ref().map(|url| {
            let voices = match &self.voice_name[..] {
                [] => vec![USUAL_VOICE.to_owned()],
                names => names.to_vec(),
            };
            let (url, model) = (url.clone(), self.voice_model.clone());
            Ok::<_, Failure>(ServerSettings {
                url,
                model,
                voices,
                key: self.key()?,
                patience: self.voice_patience,
            })
        });
        let commands = self.voice_command.iter().map(|text| CommandVoice::parse(text));
        let settings = Settings {
            server: server.transpose()?,
            commands: commands.collect::<Result<_, _>>().map_err(Failure::input)?,
            models: Some(data_dir.join("voices")),
            patience: self.voice_patience,
            ..Settings::default()
        };
        Voices::new(settings).map_err(Failure::input)
    }

    /// Never from the command line, which every process list shows.
    fn key(&self) -> Result<Option<Key>, Failure> {
        let (text, place) = match &self.voice_key_file {
            Some(path) => {
                let unreadable =
                    |error| Failure::input(format!("{} cannot be read: {error}", path.display()));
                (std::fs::read_to_string(path).map_err(unreadable)?, path.display().to_string())
            }
            None => match std::env::var("HEADCAST_VOICE_KEY") {
                Ok(text) => (text, "HEADCAST_VOICE_KEY".to_owned()),
                Err(_) => return Ok(None),
            },
        };
        let key = (text.len() <= MAX_KEY).then(|| Key::new(&text)).flatten();
        key.map(Some).ok_or_else(|| {
            Failure::input(format!("{place} holds no key: it must be one line of letters, digits and signs"))
        })
    }
}

#[expect(clippy::print_stdout, reason = "the list is what the user asked for")]
pub(super) fn run(options: &VoicesOptions) -> Result<(), Failure> {
    let data_dir = data_dir::choose(options.data.data_dir.clone()).map_err(Failure::machine)?;
    let voices = options.voices.voices(&data_dir)?.list();
    if options.json {
        let list: Vec<_> = voices
            .iter()
            .map(|Listed { voice: VoiceInfo { name, title, language }, kind }| {
                json!({ "name": name, "title": title, "language": language, "kind": kind })
            })
            .collect();
        println!("{}", json!(list));
        return Ok(());
    }
    if voices.is_empty() {
        return Err(Failure::input(VoiceError::None));
    }
    let width = voices.iter().map(|listed| listed.voice.name.chars().count()).max().unwrap_or_default();
    for Listed { voice: VoiceInfo { name, title, language }, .. } in &voices {
        println!("{}", format!("{name:width$}  {language:10}  {title}").trim_end());
    }
    Ok(())
}
