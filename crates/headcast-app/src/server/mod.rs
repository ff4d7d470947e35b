//! The HTTP server: the page, the REST interface, playlists and segments, and the event stream.
//!
//! [`router`] needs no socket, so tests call it directly; [`bind`] and [`Server::run`] put it on one.

mod assets;
mod auth;
mod avatar_form;
mod avatars;
mod background;
mod captions;
mod catalog;
mod connections;
mod embed;
mod events;
mod feed;
mod form;
mod frames;
mod gradio;
mod guard;
mod inspections;
mod jobs;
mod json;
mod metrics;
mod openapi;
mod operation;
mod playlist;
mod problem;
mod query;
mod range;
mod routes;
mod segment;
mod sse;
mod stall;
mod upload;
mod uploads;
mod video;
mod watched;

pub use assets::page_module;
pub use auth::{Access, AccessError};
pub use background::{Background, BackgroundError};
pub use connections::Timeouts;
pub use embed::Embedders;
pub use upload::{FieldError, Form, read_form};

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

use self::problem::Problem;
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
    /// Sites whose pages may show a job's player in a frame. Default none.
    pub embedders: Embedders,
    /// Who is let in. Default everybody, which [`bind`] accepts for this machine only.
    pub access: Access,
    /// Lets everybody in on other addresses too. Default false.
    pub open_to_all: bool,
    /// Connections at a time; one more is told to come back. Default 768: below the 1024 open files that many
    /// systems allow.
    pub max_connections: usize,
    /// Uploads at a time; one more is told to come back. Default 8.
    pub max_uploads: usize,
    /// How long a client may take.
    pub timeouts: Timeouts,
    /// Largest audio file that is accepted, in bytes. Default that of the decoder, 2 GiB.
    pub max_audio_bytes: u64,
    /// Largest speech feature file that is accepted, in bytes. Default 2 GiB: two hours and more of any kind.
    pub max_features_bytes: u64,
    /// Largest avatar that is imported, all its files together, in bytes. Default 1 GiB.
    pub max_avatar_bytes: u64,
    /// How long files that may become an avatar are kept when nothing is done with them. Default an hour.
    pub inspection_kept: Duration,
    /// How many jobs are held. See [`Limits`].
    pub limits: Limits,
    /// How long the playlist of a job that is not opened may take before its first bytes go out alone. Default 5 s:
    /// until then an answer can still say that the job failed.
    pub playlist_wait: Duration,
    /// How often a Gradio client is told that a quiet stream is alive, and a WebSocket that it is. More than zero.
    /// Default 15 s.
    pub heartbeat: Duration,
    /// How often a held segment sends a byte of what is known of it, 188 times at most. Default 3 s.
    pub keep_alive: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            host: IpAddr::from([127, 0, 0, 1]),
            port: 7860,
            data_dir: PathBuf::from("headcast-data"),
            allowed_hosts: Vec::new(),
            embedders: Embedders::default(),
            access: Access::default(),
            open_to_all: false,
            max_connections: 768,
            max_uploads: 8,
            timeouts: Timeouts::default(),
            max_audio_bytes: headcast::audio::Limits::default().max_bytes,
            max_features_bytes: 2 << 30,
            max_avatar_bytes: 1 << 30,
            inspection_kept: Duration::from_hours(1),
            limits: Limits::default(),
            playlist_wait: Duration::from_secs(5),
            heartbeat: Duration::from_secs(15),
            keep_alive: Duration::from_secs(3),
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
    /// Ask for a password or a token, or say that everybody may come in.
    #[error(
        "{host} can be reached from other machines, and nobody is asked for a password; add --auth user:password or \
         --token TOKEN, or --no-auth if everybody who reaches this port may use it"
    )]
    Unprotected {
        /// The address.
        host: IpAddr,
    },
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
    metrics: Arc<metrics::Metrics>,
    assets: assets::Assets,
    door: auth::Door,
    upload_turns: Semaphore,
    uploads: uploads::Uploads,
    inspections: Arc<inspections::Inspections>,
    gradio: gradio::Events,
    /// Held while the library of avatars changes.
    library: tokio::sync::Mutex<()>,
    /// Becomes true when the server ends.
    closing: watch::Sender<bool>,
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
        tempfile::NamedTempFile::with_prefix_in("upload-", &uploads).map_err(failed)?;
        let metrics = Arc::<metrics::Metrics>::default();
        let watched = watched::Watched { studio: Arc::clone(&studio), metrics: Arc::clone(&metrics) };
        let jobs =
            Jobs::start(Arc::new(watched), &config.data_dir.join("jobs"), config.limits).map_err(failed)?;
        Ok(Self {
            inner: Arc::new(Inner {
                door: auth::Door::new(config.access.clone()),
                upload_turns: Semaphore::new(config.max_uploads),
                uploads: uploads::Uploads::default(),
                inspections: Arc::default(),
                gradio: gradio::Events::default(),
                library: tokio::sync::Mutex::default(),
                closing: watch::Sender::new(false),
                assets: assets::Assets::new(),
                config,
                studio,
                jobs,
                metrics,
            }),
        })
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

    fn door(&self) -> &auth::Door {
        &self.inner.door
    }

    /// The right to send something large, for as long as it is held.
    fn upload_turn(&self) -> Result<SemaphorePermit<'_>, Problem> {
        self.inner.upload_turns.try_acquire().map_err(|_taken| {
            let detail = "others are uploading just now; try again in a moment";
            Problem::new(StatusCode::SERVICE_UNAVAILABLE, "uploads_busy", detail).retry_after(5)
        })
    }

    fn uploads(&self) -> &uploads::Uploads {
        &self.inner.uploads
    }

    /// Files that may become avatars.
    fn inspections(&self) -> &Arc<inspections::Inspections> {
        &self.inner.inspections
    }

    /// Calls of Gradio clients.
    fn gradio(&self) -> &gradio::Events {
        &self.inner.gradio
    }

    /// The right to change the library of avatars, for as long as it is held.
    async fn library_turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.inner.library.lock().await
    }

    fn metrics(&self) -> &Arc<metrics::Metrics> {
        &self.inner.metrics
    }

    /// Becomes true when the server ends.
    fn closing(&self) -> watch::Receiver<bool> {
        self.inner.closing.subscribe()
    }
}

/// Every route, without a socket.
pub fn router(state: AppState) -> Router {
    routes::routes(state.config().timeouts)
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
/// When the port is taken or the data folder cannot be used, or when other machines could use the server and
/// nobody is asked for a secret.
pub async fn bind(config: Config, studio: Arc<dyn Studio>) -> Result<Server, ServeError> {
    let (host, port) = (config.host, config.port);
    if !host.is_loopback() && config.access.is_open() && !config.open_to_all {
        return Err(ServeError::Unprotected { host });
    }
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
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send + 'static) {
        let Self { listener, state, .. } = self;
        let config = state.config();
        let serve = connections::serve(
            listener,
            router(state.clone()),
            config.max_connections,
            config.timeouts,
            state.inner.closing.subscribe(),
        );
        let close = async {
            shutdown.await;
            state.inner.closing.send_replace(true);
            // Held requests end with their jobs; blocks for one frame at most.
            let state = state.clone();
            let _ = tokio::task::spawn_blocking(move || state.jobs().stop()).await;
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        tokio::select! {
            () = serve => {
                // The last answer may be out before the worker has let go.
                let state = state.clone();
                let _ = tokio::task::spawn_blocking(move || state.jobs().stop()).await;
            }
            () = close => {}
        }
    }
}
