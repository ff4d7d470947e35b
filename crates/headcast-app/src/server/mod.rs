//! The HTTP server: the page, the REST interface, playlists and segments, and the event stream.
//!
//! [`router`] needs no socket, so tests call it directly; [`bind`] and [`Server::run`] put it on one.

mod assets;
mod catalog;
mod events;
mod guard;
mod jobs;
mod json;
mod playlist;
mod problem;
mod segment;
mod upload;
mod video;

pub use upload::{FieldError, Form, read_form};

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{any, get, post};
use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use crate::jobs::{Jobs, Limits, Studio};

/// Where and how to serve.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address to listen on. Default 127.0.0.1: this machine only.
    pub host: IpAddr,
    /// Port to listen on; 0 for any free one. Default 7860.
    pub port: u16,
    /// Holds `jobs/` and `uploads/`; made when missing. Default `headcast-data`.
    pub data_dir: PathBuf,
    /// Names besides the usual ones that a browser may reach this server by, such as that of a proxy.
    pub allowed_hosts: Vec<String>,
    /// Largest audio file that is accepted, in bytes. Default 1 GiB: three hours of CD quality are 1.9 GB as
    /// WAV, and 100 MB as anything else.
    pub max_audio_bytes: u64,
    /// Largest speech feature file that is accepted, in bytes. Default 256 MiB.
    pub max_features_bytes: u64,
    /// How many jobs are held. See [`Limits`].
    pub limits: Limits,
    /// How long a request for the playlist of a job that is not opened waits for it. Default 10 s.
    pub playlist_wait: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 7860,
            data_dir: PathBuf::from("headcast-data"),
            allowed_hosts: Vec::new(),
            max_audio_bytes: 1 << 30,
            max_features_bytes: 256 << 20,
            limits: Limits::default(),
            playlist_wait: Duration::from_secs(10),
        }
    }
}

/// Why the server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// Stop the other program, or choose another port.
    #[error("port {port} on {host} is in use; choose another one with --port, or 0 for any free one")]
    PortInUse {
        /// The address.
        host: IpAddr,
        /// The port.
        port: u16,
    },
    /// Choose an address of this machine and a port that this user may use.
    #[error("cannot listen on {host} port {port}: {source}")]
    Listen {
        /// The address.
        host: IpAddr,
        /// The port.
        port: u16,
        /// What the system said.
        source: io::Error,
    },
    /// Choose another folder, or make this one writable.
    #[error("cannot write to the data folder {}: {source}; choose another one with --data-dir", dir.display())]
    DataDir {
        /// The folder.
        dir: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The connection to the network broke down.
    #[error("the server stopped: {0}")]
    Serve(io::Error),
}

/// Everything that the handlers share.
#[derive(Clone)]
pub struct AppState {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    studio: Arc<dyn Studio>,
    jobs: Jobs,
    assets: assets::Assets,
}

impl std::fmt::Debug for AppState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AppState").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl AppState {
    /// Makes the data folder and starts the job queue.
    ///
    /// # Errors
    /// [`ServeError::DataDir`] when the folder cannot be made or written to.
    pub fn new(config: Config, studio: Arc<dyn Studio>) -> Result<Self, ServeError> {
        let failed = |source| ServeError::DataDir { dir: config.data_dir.clone(), source };
        let uploads = config.data_dir.join("uploads");
        std::fs::create_dir_all(&uploads).map_err(failed)?;
        // Found out now with a clear message, rather than by the first upload.
        tempfile::NamedTempFile::new_in(&uploads).map_err(failed)?;
        let jobs =
            Jobs::start(Arc::clone(&studio), &config.data_dir.join("jobs"), config.limits).map_err(failed)?;
        Ok(Self { inner: Arc::new(Inner { config, studio, jobs, assets: assets::Assets::new() }) })
    }

    /// The job table.
    pub fn jobs(&self) -> &Jobs {
        &self.inner.jobs
    }

    fn config(&self) -> &Config {
        &self.inner.config
    }

    fn studio(&self) -> &Arc<dyn Studio> {
        &self.inner.studio
    }
}

/// Every route, without a socket.
pub fn router(state: AppState) -> Router {
    // The form itself bounds every field, and says so in words.
    let upload = post(jobs::create).layer(DefaultBodyLimit::disable());
    Router::new()
        .route("/", get(assets::page))
        .route("/assets/{version}/{*path}", get(assets::asset))
        .route("/favicon.ico", get(assets::favicon))
        .route("/healthz", get(catalog::health))
        .route("/api/v1/info", get(catalog::info))
        .route("/api/v1/avatars", get(catalog::avatars))
        .route("/api/v1/avatars/{name}/thumbnail", get(catalog::thumbnail))
        .route("/api/v1/samples", get(catalog::samples))
        .route("/api/v1/samples/{id}/audio", get(catalog::sample_audio))
        .route("/api/v1/jobs", upload.get(jobs::list))
        .route("/api/v1/jobs/{id}", get(jobs::show).delete(jobs::remove))
        .route("/api/v1/jobs/{id}/cancel", post(jobs::cancel))
        .route("/api/v1/jobs/{id}/index.m3u8", get(playlist::index))
        .route("/api/v1/jobs/{id}/live.m3u8", get(playlist::live))
        .route("/api/v1/jobs/{id}/video.mp4", get(video::mp4))
        .route("/api/v1/jobs/{id}/{segment}", get(segment::segment))
        .route("/api/v1/events", any(events::stream))
        .fallback(problem::no_such_page)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(middleware::from_fn_with_state(state.clone(), guard::guard))
        .with_state(state)
}

/// A server that listens and does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    state: AppState,
}

/// Listens on the configured address, so that the caller can print [`Server::url`] before [`Server::run`].
///
/// # Errors
/// When the port is taken or the data folder cannot be used.
pub async fn bind(config: Config, studio: Arc<dyn Studio>) -> Result<Server, ServeError> {
    let (host, port) = (config.host, config.port);
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ServeError::PortInUse { host, port },
        _ => ServeError::Listen { host, port, source },
    };
    let listener = TcpListener::bind((host, port)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let state = AppState::new(config, studio)?;
    Ok(Server { listener, address, state })
}

impl Server {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The page's address, for a browser on this machine.
    pub fn url(&self) -> String {
        if self.address.ip().is_unspecified() {
            format!("http://localhost:{}/", self.address.port())
        } else {
            format!("http://{}/", self.address)
        }
    }

    /// Answers until `shutdown` resolves, then ends every wait, gives open answers two seconds and returns.
    ///
    /// # Errors
    /// [`ServeError::Serve`] when the network breaks down.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) -> Result<(), ServeError> {
        let stopped = Arc::new(tokio::sync::Notify::new());
        let state = self.state.clone();
        let begin_stop = {
            let stopped = Arc::clone(&stopped);
            let state = state.clone();
            async move {
                shutdown.await;
                // Held requests and event streams end with their jobs; blocks for one frame at most.
                let _ = tokio::task::spawn_blocking(move || state.jobs().stop()).await;
                stopped.notify_one();
            }
        };
        // Small packets (the first ones of a held segment, events) must not wait for larger ones.
        let listener = self.listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        let serve = axum::serve(listener, router(state)).with_graceful_shutdown(begin_stop);
        let grace = async {
            stopped.notified().await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        tokio::select! {
            result = serve.into_future() => result.map_err(ServeError::Serve),
            () = grace => Ok(()),
        }
    }
}

/// [`bind`] and [`Server::run`] in one.
///
/// # Errors
/// As both of them.
pub async fn serve(
    config: Config,
    studio: Arc<dyn Studio>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> Result<(), ServeError> {
    bind(config, studio).await?.run(shutdown).await
}
