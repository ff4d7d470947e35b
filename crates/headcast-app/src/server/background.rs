//! The server on threads of its own, for programs that do something else meanwhile.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::oneshot;

use super::{Config, ServeError, bind};
use crate::jobs::Studio;

/// A server that answers until it is stopped or dropped.
#[derive(Debug)]
pub struct Background {
    url: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Why there is no server in the background.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackgroundError {
    /// See there.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The system has no thread left: close other programs and try again.
    #[error("the server's threads cannot be started: {0}")]
    Threads(#[source] io::Error),
}

impl Background {
    /// Starts a server; when this returns, it answers.
    ///
    /// # Errors
    /// As [`bind`], or when there are no threads.
    pub fn start(config: Config, studio: Arc<dyn Studio>) -> Result<Self, BackgroundError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build()
            .map_err(BackgroundError::Threads)?;
        let server = runtime.block_on(bind(config, studio))?;
        let url = server.url();
        let (stop, stopped) = oneshot::channel();
        let thread = thread::Builder::new()
            .name("headcast-server".into())
            .spawn(move || {
                // Dropped without a word means the same.
                runtime.block_on(server.run(async { drop(stopped.await) }));
            })
            .map_err(BackgroundError::Threads)?;
        Ok(Self { url, stop: Some(stop), thread: Some(thread) })
    }

    /// The page's address, for a browser on this machine.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Ends every wait, gives open answers two seconds, and returns when the server is gone.
    pub fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            // What it panics with is on the terminal already.
            let _ = thread.join();
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        self.stop();
    }
}
