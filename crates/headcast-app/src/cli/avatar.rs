//! `headcast avatar import | list | inspect | preview`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "these commands answer on the terminal")]

use std::path::Path;

use headcast::nerf::avatar::{self, AvatarError, Background, FullBodyRequest, ImportRequest, Smoothing};

use super::args::{AvatarCommand, DataOptions, ImportOptions};
use super::failure::Failure;
use crate::data_dir;
use crate::doctor::Report;
use crate::studio::{Avatars, EngineSettings, LocalStudio};

pub(super) fn run(command: &AvatarCommand) -> Result<(), Failure> {
    match command {
        AvatarCommand::Import(options) => import(options),
        AvatarCommand::List { data } => list(&avatars(data.data_dir.as_deref())?),
        AvatarCommand::Preview { name, library } => preview(name, library),
        AvatarCommand::Inspect { path, data, json } => inspect(path, data.as_deref(), *json),
    }
}

fn import(options: &ImportOptions) -> Result<(), Failure> {
    let studio = studio(&options.library)?;
    let request = ImportRequest {
        title: options.title.clone(),
        credits: options.credits.clone(),
        licence: options.licence.clone(),
        licence_file: options.licence_file.clone(),
        thumbnail: options.thumbnail.clone(),
        body: options.body.clone(),
        config: options.config.clone(),
        transforms: options.transforms.clone(),
        background: options.background.as_deref().map(Background::from_name),
        full_body: options.fullbody_img.clone().map(|pictures| FullBodyRequest {
            pictures,
            offset_x: options.fullbody_offset_x.unwrap_or(0),
            offset_y: options.fullbody_offset_y.unwrap_or(0),
        }),
        fix_eye: options.fix_eye,
        attention: options.attention,
        max_steps: options.max_steps,
        smoothing: smoothing(options),
        half: options.half,
        overwrite: options.overwrite,
        ..ImportRequest::new(&options.checkpoint, &options.data, &options.name)
    };
    let report = studio.import_avatar(&request).map_err(failure)?;
    print!("{report}");
    println!(
        "imported as \"{}\" ({:.1} MB) into {}",
        options.name,
        megabytes(report.bytes),
        report.path.display()
    );
    Ok(())
}

/// Renders the pictures of an avatar that has none, or older ones.
fn preview(name: &str, library: &DataOptions) -> Result<(), Failure> {
    let folder = studio(library)?.portray(name).map_err(Failure::input)?;
    println!("the pictures of \"{name}\" are in {}", folder.display());
    Ok(())
}

fn studio(library: &DataOptions) -> Result<LocalStudio, Failure> {
    let data_dir = data_dir::choose(library.data_dir.clone()).map_err(Failure::machine)?;
    Ok(LocalStudio::new(&data_dir, EngineSettings::from_env(None).map_err(Failure::input)?))
}

/// What the flags ask for; `None` without any.
fn smoothing(options: &ImportOptions) -> Option<Smoothing> {
    let (path, eyes, lips) = (options.smooth_path, options.smooth_eyes, options.smooth_lips);
    (path || eyes || lips || options.no_smoothing).then_some(Smoothing { path, eyes, lips })
}

fn list(avatars: &Avatars) -> Result<(), Failure> {
    let (entries, problems) = avatars.list().map_err(failure)?;
    for entry in entries {
        let info = &entry.info;
        println!("{:16} {}x{}  {}; {}", info.name, info.width, info.height, info.title, entry.remark);
        if !info.credits.is_empty() {
            println!("{:16} {}", "", info.credits);
        }
    }
    for problem in problems {
        eprintln!("cannot be used: {problem}");
    }
    Ok(())
}

fn inspect(path: &Path, data: Option<&Path>, json: bool) -> Result<(), Failure> {
    let report = match data {
        Some(data) => avatar::inspect_with_data(path, data),
        None => avatar::inspect(path),
    };
    let report = report.map_err(failure)?;
    if json {
        let report = serde_json::to_value(Report::from(&report)).map_err(Failure::machine)?;
        println!("{report:#}");
    } else {
        print!("{report}");
    }
    if report.problems.is_empty() {
        Ok(())
    } else {
        Err(Failure::input("it cannot be rendered as it is; the problems are listed above"))
    }
}

fn avatars(data_dir: Option<&Path>) -> Result<Avatars, Failure> {
    let data_dir = data_dir::choose(data_dir.map(Path::to_path_buf)).map_err(Failure::machine)?;
    Ok(Avatars::new(&data_dir))
}

/// A file that cannot be read or written is the machine's matter unless it simply is not there.
pub(super) fn failure(error: AvatarError) -> Failure {
    match &error {
        AvatarError::Io { source, .. } if source.kind() != std::io::ErrorKind::NotFound => {
            Failure::machine(error)
        }
        _ => Failure::input(error),
    }
}

#[expect(clippy::cast_precision_loss, reason = "display value")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1e6
}
