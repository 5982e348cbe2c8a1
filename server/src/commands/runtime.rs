//! The runtime that a command runs on.

use std::{future::Future, time::Duration};

use anyhow::Context;

/// How long the end of a command waits for what still runs: enough for groups of programs to be killed by their
/// guards, little enough that nobody notices when a read of stdin, which cannot be interrupted, holds a thread.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// Runs a command to its end.
///
/// # Errors
/// If the system refuses threads or timers.
pub(super) fn block_on<F: Future>(work: F) -> anyhow::Result<F::Output> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    Ok(done)
}
