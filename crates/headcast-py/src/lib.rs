//! The native half of the Python package `headcast`; its Python half is in `python/headcast`, which is what people see.
//!
//! Everything here takes plain values and arrays and gives plain values back: defaults, documentation, tensors of other
//! libraries and logs are on the Python side. The GIL is released around everything that takes time.

mod array;
mod audio;
mod avatar;
mod error;
mod frame;
mod render;
mod server;
mod stream;

use pyo3::prelude::*;

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::avatar::{avatars, import_avatar, inspect};
    #[pymodule_export]
    use super::render::render;
    #[pymodule_export]
    use super::server::{Server, page_module};
    #[pymodule_export]
    use super::stream::Stream;

    #[pymodule_export]
    const VERSION: &str = env!("CARGO_PKG_VERSION");
}
