//! `headcast features add | list | inspect | extract`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "these commands answer on the terminal")]

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use headcast::audio::extractor::matrix::Precision;
use headcast::audio::extractor::{Architecture, Description, ModelError};
use headcast::audio::features::write_npy;
use headcast::audio::{AudioError, Ears, Ingest, Limits, Options, Progress};
use headcast::core::FeatureKind;
use headcast::extractors::{self, AddError, AddRequest};

use super::args::{ExtractOptions, FeaturesCommand};
use super::failure::Failure;
use super::render::unreadable;
use super::shutdown;
use crate::data_dir;
use crate::studio::{self, Recording};

pub(super) fn run(command: &FeaturesCommand) -> Result<(), Failure> {
    match command {
        FeaturesCommand::Add { path, name, half, overwrite, data } => {
            let library = library(data.data_dir.as_deref())?;
            let request =
                AddRequest { source: path.clone(), name: name.clone(), half: *half, overwrite: *overwrite };
            let entry = extractors::add(&request, &library).map_err(add_failure)?;
            if let Ok(description) = &entry.details {
                print_description(description);
            }
            println!("added as \"{}\" into {}", entry.name, entry.path.display());
            Ok(())
        }
        FeaturesCommand::List { data } => list(&library(data.data_dir.as_deref())?),
        FeaturesCommand::Inspect { path } => {
            let ours = path.join("extractor.json").is_file();
            let description = if ours {
                Description::read(path).map_err(model_failure)?
            } else {
                extractors::inspect(path).map_err(add_failure)?
            };
            print_description(&description);
            Ok(())
        }
        FeaturesCommand::Extract(options) => extract(options),
    }
}

fn print_description(description: &Description) {
    let bytes = match description.precision {
        Precision::F32 => "f32",
        Precision::F16 => "f16",
    };
    match &description.network {
        Architecture::Wav2Vec2(config) => {
            let what = description.what();
            println!("{what}, {} layers of {}, {} heads", config.layers, config.hidden, config.heads);
            println!("weights: {:.0} million, kept as {bytes}", millions(&config.tensors()));
        }
        _ => println!("{}, weights in memory as {bytes}", description.what()),
    }
    if let Some(kind) = description.features() {
        println!("features: {}", kind.describe());
    }
}

#[expect(clippy::cast_precision_loss, reason = "display value")]
fn millions(tensors: &[(String, Vec<usize>)]) -> f64 {
    tensors.iter().map(|(_, shape)| shape.iter().product::<usize>()).sum::<usize>() as f64 / 1e6
}

fn list(library: &Path) -> Result<(), Failure> {
    let entries = extractors::list(library).map_err(|error| unreadable(library, &error))?;
    for entry in &entries {
        match &entry.details {
            Ok(details) => {
                let kind = details.features().map_or("features of no avatar", FeatureKind::describe);
                println!("{:32} {}, {kind}", entry.name, details.what());
            }
            Err(error) => eprintln!("cannot be used: {error}"),
        }
    }
    println!("{:32} for avatars of 29 values that were made with it", "(built in)");
    for kind in
        [FeatureKind::DeepSpeech, FeatureKind::Wav2Vec2Esperanto, FeatureKind::Wav2Vec2, FeatureKind::Hubert]
    {
        let there = |entry: &extractors::Entry| {
            entry.details.as_ref().is_ok_and(|details| details.features() == Some(kind))
        };
        if !entries.iter().any(there) {
            println!("missing: {}; {}", kind.describe(), extractors::advice(kind));
        }
    }
    Ok(())
}

fn extract(options: &ExtractOptions) -> Result<(), Failure> {
    let library = library(options.data.data_dir.as_deref())?;
    let entries = extractors::list(&library).map_err(|error| unreadable(&library, &error))?;
    let entry = match &options.extractor {
        Some(name) => entries.iter().find(|entry| entry.name == *name).ok_or_else(|| {
            Failure::input(format!("there is no extractor \"{name}\"; `headcast features list` shows them"))
        })?,
        None => match &entries[..] {
            [only] => only,
            [] => {
                return Err(Failure::input(
                    "there is no extractor yet; `headcast features list` says what can be added and how",
                ));
            }
            several => {
                let names: Vec<_> = several.iter().map(|entry| entry.name.as_str()).collect();
                let names = names.join(", ");
                return Err(Failure::input(format!(
                    "there are several extractors: choose one of {names} (--extractor)"
                )));
            }
        },
    };
    let recording = Recording::open(&options.audio).map_err(|error| unreadable(&options.audio, &error))?;
    let name = options.audio.file_name().map(|name| name.to_string_lossy().into_owned());
    // Before the weights are read: a recording that cannot be used costs nothing.
    let ingest = Ingest::open(recording, name.as_deref(), &Limits::default()).map_err(Failure::input)?;
    let interrupted = shutdown::flag().map_err(Failure::machine)?;
    let model = extractors::load(entry).map_err(model_failure)?;
    let features = Ears::Model { model, threads: studio::threads(options.engine.threads) };
    let spools = studio::spools_beside(&options.output);
    let on_block = &mut |_: &[f32], _: Progress| {
        if interrupted.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let heard = ingest.run(&Options { features, spools, ..Options::default() }, on_block);
    let heard = heard.map_err(|error| match error {
        AudioError::Cancelled => Failure::Interrupted("interrupted; nothing was written".to_owned()),
        AudioError::Spool(_) => Failure::machine(error),
        error => Failure::input(error),
    })?;
    for warning in &heard.warnings {
        eprintln!("note: {warning}");
    }
    let track = heard
        .features
        .ok_or_else(|| Failure::input("the clip is too short: the extractor hears nothing in it"))?;
    let failed = |error: io::Error| {
        Failure::machine(format!("{} cannot be written: {error}", options.output.display()))
    };
    // Under another name first: the file is there whole or not at all.
    let draft = options.output.with_extension("npy.part");
    let mut out = BufWriter::new(File::create(&draft).map_err(failed)?);
    let written = write_npy(&track, &mut Stoppable { out: &mut out, stop: &interrupted });
    if let Err(error) = written.and_then(|()| out.flush()).and_then(|()| fs::rename(&draft, &options.output))
    {
        let _ = fs::remove_file(&draft);
        if interrupted.load(Ordering::Relaxed) {
            return Err(Failure::Interrupted("interrupted; nothing was written".to_owned()));
        }
        return Err(failed(error));
    }
    let kind = track.kind();
    println!("{}: [{}, {}, {}]", options.output.display(), track.rows(), kind.steps(), kind.dims());
    Ok(())
}

/// Writes until it is told to stop: features are computed as they are written.
struct Stoppable<'a, W> {
    out: W,
    stop: &'a AtomicBool,
}

impl<W: io::Write> io::Write for Stoppable<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn library(data_dir: Option<&Path>) -> Result<std::path::PathBuf, Failure> {
    let data_dir = data_dir::choose(data_dir.map(Path::to_path_buf)).map_err(Failure::machine)?;
    Ok(studio::extractors_of(&data_dir))
}

/// What cannot be read or written is the machine's matter unless it simply is not there.
fn add_failure(error: AddError) -> Failure {
    match error {
        AddError::Model(error) => model_failure(error),
        AddError::Io { ref source, .. } if source.kind() != io::ErrorKind::NotFound => {
            Failure::machine(error)
        }
        error => Failure::input(error),
    }
}

fn model_failure(error: ModelError) -> Failure {
    match error {
        ModelError::Io { ref source, .. } if source.kind() != io::ErrorKind::NotFound => {
            Failure::machine(error)
        }
        error => Failure::input(error),
    }
}
