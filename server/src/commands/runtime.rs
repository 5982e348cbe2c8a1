//! The runtime that a command runs on.

use std::{future::Future, num::NonZeroUsize, time::Duration};

use anyhow::Context;
use tokio::runtime::Builder;

/// How long the end of a command waits for what still runs: enough for groups of programs to be killed by their
/// guards, little enough that nobody notices when a read of stdin, which cannot be interrupted, holds a thread.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_millis(100);

/// Runs a command to its end, with a thread for each processor.
///
/// # Errors
/// If the system refuses threads or timers.
pub(super) fn block_on<F: Future>(work: F) -> anyhow::Result<F::Output> {
    finish(&mut Builder::new_multi_thread(), work)
}

/// Runs a command to its end, with so many threads for what it spawns.
///
/// # Errors
/// If the system refuses threads or timers.
pub(super) fn block_on_workers<F: Future>(workers: NonZeroUsize, work: F) -> anyhow::Result<F::Output> {
    finish(Builder::new_multi_thread().worker_threads(workers.get()), work)
}

fn finish<F: Future>(builder: &mut Builder, work: F) -> anyhow::Result<F::Output> {
    let runtime = builder.enable_all().build().context("cannot start the runtime")?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(SHUTDOWN_TIMEOUT);
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_threads_work_as_were_asked_for() {
        let three = NonZeroUsize::new(3).unwrap();
        let workers = async { tokio::runtime::Handle::current().metrics().num_workers() };
        assert_eq!(block_on_workers(three, workers).unwrap(), 3);
    }
}
