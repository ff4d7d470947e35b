//! `headcast serve`: the page and the API until Ctrl-C.

use std::sync::Arc;

use super::args::{AccessOptions, ServeOptions};
use super::failure::Failure;
use crate::data_dir;
use crate::server::{self, Access, AccessError, ServeError};
use crate::studio::{EngineSettings, LocalStudio, build_notes};

pub(super) fn run(options: &ServeOptions) -> Result<(), Failure> {
    let data_dir = data_dir::choose(options.data.data_dir.clone()).map_err(Failure::machine)?;
    let engine = EngineSettings::from_env(options.engine.threads).map_err(Failure::input)?;
    let access = access(&options.access).map_err(Failure::input)?;
    let studio = Arc::new(LocalStudio::new(&data_dir, engine));
    let config = server::Config {
        host: options.host,
        port: options.port,
        data_dir,
        allowed_hosts: options.access.allow_host.clone(),
        access,
        open_to_all: options.access.no_auth,
        max_audio_bytes: studio.limits().max_bytes,
        ..server::Config::default()
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::machine(format!("the server's threads cannot be started: {error}")))?;
    runtime.block_on(serve(config, studio)).map_err(|error| match error {
        ServeError::Unprotected { .. } => Failure::input(error),
        _ => Failure::machine(error),
    })
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
async fn serve(config: server::Config, studio: Arc<LocalStudio>) -> Result<(), ServeError> {
    let data_dir = config.data_dir.clone();
    let server = server::bind(config, Arc::<LocalStudio>::clone(&studio)).await?;
    println!("headcast {} on {}  (Ctrl-C stops it)", env!("CARGO_PKG_VERSION"), server.url());
    println!("avatars and jobs are kept in {}", data_dir.display());
    for note in build_notes() {
        println!("note: {note}");
    }
    // The first job finds its renderer loaded and measured. An error shows again, with its job.
    tokio::task::spawn_blocking(move || {
        if let Ok(prepared) = studio.warm_up() {
            println!("renderer: {}, {:.1} frames/s", prepared.renderer.describe(), prepared.fps);
        }
    });
    server
        .run(async {
            // Without a signal handler there is nothing to wait for but the end of the process.
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        })
        .await;
    Ok(())
}
