//! `headcast serve`: the page and the API until Ctrl-C.

use std::sync::Arc;

use super::args::{AccessOptions, ServeOptions};
use super::failure::Failure;
use super::shutdown;
use crate::amount::pace;
use crate::data_dir;
use crate::jobs::{self, Studio};
use crate::server::{self, Access, AccessError, Embedders, ServeError};
use crate::studio::{EngineSettings, LocalStudio, build_notes};

pub(super) fn run(options: &ServeOptions) -> Result<(), Failure> {
    let data_dir = data_dir::choose(options.data.data_dir.clone()).map_err(Failure::machine)?;
    let mut engine = EngineSettings::from_env(options.engine.threads).map_err(Failure::input)?;
    engine.assume_fps = options.assume_fps;
    engine.max_fps = options.max_fps;
    // Before a port is opened, and with words of its own.
    let notes = jobs::prepare(&data_dir).map_err(Failure::machine)?;
    let access = access(&options.access).map_err(Failure::input)?;
    let embedders = Embedders::new(&options.access.allow_embed)
        .map_err(|problem| Failure::input(format!("--allow-embed: {problem}")))?;
    let voices = options.voices.voices(&data_dir)?;
    let studio = Arc::new(LocalStudio::new(&data_dir, engine).with_voices(voices));
    let config = server::Config {
        host: options.host,
        port: options.port,
        data_dir,
        allowed_hosts: options.access.allow_host.clone(),
        embedders,
        access,
        open_to_all: options.access.no_auth,
        limits: jobs::Limits {
            in_flight: options.jobs,
            pause_unwatched: options.pause_unwatched,
            abandoned: options.abandoned,
            max_open: options.max_open,
            keep: options.keep,
            max_disk_bytes: options.max_disk,
            ..jobs::Limits::default()
        },
        ..server::Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::machine(format!("the server's threads cannot be started: {error}")))?;
    runtime.block_on(serve(config, studio, notes))
}

fn access(options: &AccessOptions) -> Result<Access, AccessError> {
    let mut access = Access::default();
    if let Some(pair) = &options.auth {
        access = access.with_basic(pair)?;
    }
    if let Some(token) = &options.token {
        access = access.with_token(token)?;
    }
    Ok(access)
}

#[expect(clippy::print_stdout, reason = "the address is what the user waits for")]
async fn serve(config: server::Config, studio: Arc<LocalStudio>, notes: Vec<String>) -> Result<(), Failure> {
    let shutdown = shutdown::requested()
        .map_err(|error| Failure::machine(format!("signals cannot be watched for: {error}")))?;
    let data_dir = config.data_dir.clone();
    let server =
        server::bind(config, Arc::<LocalStudio>::clone(&studio)).await.map_err(|error| match error {
            ServeError::Unprotected { .. } => Failure::input(error),
            _ => Failure::machine(error),
        })?;
    println!("headcast {} on {}  (Ctrl-C stops it)", env!("CARGO_PKG_VERSION"), server.url());
    println!("avatars and jobs are kept in {}", data_dir.display());
    for note in notes.into_iter().chain(build_notes()) {
        println!("note: {note}");
    }
    // The first job finds its renderer loaded and measured. An error shows again, with its job.
    tokio::task::spawn_blocking(move || {
        // So does whoever opens the page find the voices.
        drop(studio.voices());
        if let Ok(prepared) = studio.warm_up() {
            println!("renderer: {}, {}", prepared.renderer.describe(), pace(prepared.fps));
        }
    });
    server.run(shutdown).await;
    Ok(())
}
