//! How the user or the system ends the program: Ctrl-C, or SIGTERM from a service manager.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Exit code of a program that Ctrl-C ended (128 + SIGINT).
const INTERRUPTED: i32 = 130;

/// Resolves when the program is asked to end. A second request ends it at once.
///
/// # Errors
/// When the system gives no way to watch for signals.
pub(super) fn requested() -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let mut signals = Signals::new()?;
    Ok(async move {
        signals.next().await;
        tokio::spawn(async move {
            signals.next().await;
            #[expect(clippy::exit, reason = "the user asks for the second time; nothing is waited for")]
            std::process::exit(INTERRUPTED);
        });
    })
}

/// A flag that is set when the program is asked to end, for commands without a runtime of their own.
///
/// # Errors
/// As [`requested`].
pub(super) fn flag() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let request = {
        let _context = runtime.enter();
        requested()?
    };
    let set = Arc::clone(&flag);
    std::thread::Builder::new().name("shutdown".into()).spawn(move || {
        runtime.block_on(async {
            request.await;
            set.store(true, Ordering::Relaxed);
            // Keeps the second request in sight until the command has ended.
            std::future::pending::<()>().await;
        });
    })?;
    Ok(flag)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
