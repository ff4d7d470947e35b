//! `headcast.serve`: the program's server inside a Python process.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use headcast_app::jobs::Limits;
use headcast_app::server::{self, Access, Background, Config};
use headcast_app::studio::{EngineSettings, LocalStudio};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::avatar::data_dir;
use crate::error::{self, Error, ServerError};

/// A server in the background.
#[pyclass(module = "headcast._native", frozen)]
pub(crate) struct Server {
    url: String,
    running: Mutex<Option<Background>>,
}

#[pymethods]
impl Server {
    #[new]
    #[pyo3(signature = (*, host, port, data_dir, jobs, threads, auth, token, open_to_all, allow_hosts))]
    fn new(
        py: Python<'_>,
        host: &str,
        port: u16,
        data_dir: Option<PathBuf>,
        jobs: NonZeroUsize,
        threads: Option<NonZeroUsize>,
        auth: Option<&str>,
        token: Option<&str>,
        open_to_all: bool,
        allow_hosts: Vec<String>,
    ) -> PyResult<Self> {
        let data_dir = self::data_dir(data_dir)?;
        let host = host.parse().map_err(|_no_address| {
            ServerError::new_err(format!("{host:?} is no address; use one such as 127.0.0.1 or 0.0.0.0"))
        })?;
        let mut access = Access::default();
        if let Some(pair) = auth {
            access = access.with_basic(pair).map_err(|error| ServerError::new_err(error.to_string()))?;
        }
        if let Some(token) = token {
            access = access.with_token(token).map_err(|error| ServerError::new_err(error.to_string()))?;
        }
        let engine = EngineSettings::from_env(threads).map_err(Error::new_err)?;
        let config = Config {
            host,
            port,
            allowed_hosts: allow_hosts,
            access,
            open_to_all,
            limits: Limits { in_flight: jobs, ..Limits::default() },
            ..Config::default()
        };
        let running = py.detach(|| {
            headcast_app::jobs::prepare(&data_dir)
                .map_err(|error| ServerError::new_err(error.to_string()))?;
            let studio = Arc::new(LocalStudio::new(&data_dir, engine));
            Background::start(Config { data_dir, ..config }, studio)
                .map_err(|error| error::background(&error))
        })?;
        Ok(Self { url: running.url().to_owned(), running: Mutex::new(Some(running)) })
    }

    /// The page's address.
    #[getter]
    fn url(&self) -> &str {
        &self.url
    }

    /// Stops it; a second call does nothing.
    fn stop(&self, py: Python<'_>) {
        py.detach(|| drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take()));
    }
}

/// A module of the program's page by its file name; `None` if it has none of that name.
#[pyfunction]
pub(crate) fn page_module<'py>(py: Python<'py>, file: &str) -> Option<Bound<'py, PyBytes>> {
    server::page_module(file).map(|bytes| PyBytes::new(py, bytes))
}
