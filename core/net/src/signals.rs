//! What signals mean to a daemon.
//!
//! SIGTERM and SIGINT drain; a second of them stops at once. SIGHUP reads certificates and whatever else anew.

use std::io;

use tokio::signal::unix::{Signal as Source, SignalKind, signal};

use crate::shutdown::Shutdown;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Request {
    Terminate,
    Reload,
}

/// The signals that this process takes.
#[derive(Debug)]
struct Sources {
    terminate: Source,
    interrupt: Source,
    hangup: Source,
}

impl Sources {
    /// Cancel safe: no signal is lost, though equal ones may become one.
    async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Terminate,
            _ = self.interrupt.recv() => Request::Terminate,
            _ = self.hangup.recv() => Request::Reload,
        }
    }
}

/// From now on SIGTERM and SIGINT end the program by way of `shutdown`, and SIGHUP calls `reload` in a thread where it
/// may block, one call at a time.
///
/// Must be called within a tokio runtime. It cannot be undone: the task that watches lives as long as the runtime.
///
/// # Errors
/// If the system does not let us take a signal.
pub fn watch(shutdown: Shutdown, mut reload: impl FnMut() + Send + 'static) -> io::Result<()> {
    let mut sources = Sources {
        terminate: signal(SignalKind::terminate())?,
        interrupt: signal(SignalKind::interrupt())?,
        hangup: signal(SignalKind::hangup())?,
    };
    // One waiting reload is enough: it reads what is there when it runs.
    let (asked, mut asks) = tokio::sync::mpsc::channel(1);
    tokio::task::spawn_blocking(move || {
        while let Some(()) = asks.blocking_recv() {
            reload();
        }
    });
    tokio::spawn(async move {
        loop {
            let request = sources.next().await;
            tracing::info!(?request, "signal");
            match request {
                Request::Terminate => shutdown.terminate(),
                // Full: a reload is waiting already.
                Request::Reload => drop(asked.try_send(())),
            }
        }
    });
    Ok(())
}
