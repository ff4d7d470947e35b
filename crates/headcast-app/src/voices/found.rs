//! Voices that are there without being asked for: programs on the search path.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::VoiceInfo;
use super::program::{Program, Run};

/// A list of voices is there at once, or the program is broken.
const LISTING: Duration = Duration::from_secs(10);

/// Longest list that is read, in bytes.
const MAX_LIST: u64 = 1 << 20;

/// `espeak-ng`, `piper` with the models in `models`, and `say`, as far as they are there.
pub(super) fn programs(models: Option<&Path>, patience: Duration) -> Vec<Program> {
    let with = |name: &str, program, args: &[&str], voices, markup| Program {
        name: name.to_owned(),
        program,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        voices,
        markup,
        patience,
    };
    let mut found = Vec::new();
    if let Some(program) = on_path("piper") {
        let voices = models.map(piper_models).unwrap_or_default();
        let args = ["--model", "{voice}", "--length_scale", "{slowness}", "--output_file", "{wav}"];
        found.push(with("piper", program, &args, voices, None));
    }
    if let Some(program) = on_path("say") {
        let voices = say_voices(&listed(&program, &["-v", "?"]));
        let format = "--data-format=LEI16@22050";
        let args = [
            "-v",
            "{voice}",
            "-r",
            "{wpm}",
            "--file-format=WAVE",
            format,
            "-o",
            "{wav}",
            "-f",
            "{text_file}",
        ];
        // `[[rate 90]]` and the like.
        found.push(with("say", program, &args, voices, Some('[')));
    }
    if let Some(program) = on_path("espeak-ng") {
        let voices = espeak_voices(&listed(&program, &["--voices"]));
        let args = ["-v", "{voice}", "-s", "{wpm}", "-w", "{wav}", "-f", "{text_file}"];
        // `[[h@'loU]]`: phonemes.
        found.push(with("espeak-ng", program, &args, voices, Some('[')));
    }
    found.retain(|program| !program.voices.is_empty());
    found
}

fn on_path(name: &str) -> Option<PathBuf> {
    let name = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    std::env::split_paths(&std::env::var_os("PATH")?)
        .map(|folder| folder.join(&name))
        .find(|path| path.is_file())
}

/// What a program lists; nothing when it fails: there are no voices then.
fn listed(program: &Path, args: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(args);
    let run = Run { who: "", patience: LISTING, limit: MAX_LIST, growing: None };
    let output = run.output(command, None, &|| false).unwrap_or_default();
    String::from_utf8_lossy(&output).into_owned()
}

/// `Pty Language Age/Gender VoiceName File Other Languages`; English first, as what is taken when nobody chooses.
fn espeak_voices(list: &str) -> Vec<VoiceInfo> {
    let rows = list.lines().skip(1).filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (language, _, name) = (words.next()?, words.next()?, words.next()?);
        let title = name.replace('_', " ");
        Some(VoiceInfo { name: language.to_owned(), title, language: language.to_owned() })
    });
    let mut voices: Vec<_> = rows.collect();
    voices.sort_by_key(|voice| voice.name != "en-us");
    voices
}

/// `Name   en_US    # What it says`; names may have spaces.
fn say_voices(list: &str) -> Vec<VoiceInfo> {
    let rows = list.lines().filter_map(|line| {
        let (name, language) = line.split('#').next()?.trim().rsplit_once(char::is_whitespace)?;
        let name = name.trim().to_owned();
        (!name.is_empty()).then(|| VoiceInfo {
            title: name.clone(),
            name,
            language: language.replace('_', "-"),
        })
    });
    rows.collect()
}

/// `en_US-amy-medium.onnx`, each with its `.onnx.json`.
fn piper_models(folder: &Path) -> Vec<VoiceInfo> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let models = entries.filter_map(|entry| {
        let path = entry.ok()?.path();
        let stem = path.file_name()?.to_str()?.strip_suffix(".onnx")?.to_owned();
        if !path.with_file_name(format!("{stem}.onnx.json")).is_file() {
            return None;
        }
        let (language, _) = stem.split_once('-')?;
        let language = language.replace('_', "-");
        Some(VoiceInfo { name: path.to_str()?.to_owned(), title: stem, language })
    });
    let mut models: Vec<_> = models.collect();
    models.sort_by(|a, b| a.title.cmp(&b.title));
    models
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_as_the_programs_print_them() {
        let espeak = "Pty Language       Age/Gender VoiceName          File                 Other Languages\n \
                      5  af              --/M      Afrikaans          gmw/af               \n \
                      2  en-us           --/M      English_(America)  gmw/en-US            (en 3)\n broken\n";
        let found: Vec<_> =
            espeak_voices(espeak).into_iter().map(|voice| (voice.name, voice.title)).collect();
        let pair = |name: &str, title: &str| (name.to_owned(), title.to_owned());
        assert_eq!(found, [pair("en-us", "English (America)"), pair("af", "Afrikaans")]);

        let say = "Alex                en_US    # Most people recognize me by my voice.\nBad News  en_GB # x\n# y\n";
        let found: Vec<_> = say_voices(say).into_iter().map(|voice| (voice.name, voice.language)).collect();
        assert_eq!(found, [pair("Alex", "en-US"), pair("Bad News", "en-GB")]);
    }

    #[test]
    fn piper_has_the_models_that_are_complete() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["zh_CN-huayan.onnx", "zh_CN-huayan.onnx.json", "en_US-amy.onnx", "readme.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = piper_models(dir.path());
        assert_eq!(
            found.iter().map(|voice| (&*voice.title, &*voice.language)).collect::<Vec<_>>(),
            [("zh_CN-huayan", "zh-CN")]
        );
    }
}
