//! The graceful end: stop accepting, let connections finish within a grace period, then stop them.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use parking_lot::Mutex;
use pin_project_lite::pin_project;
use tokio::task::{self, AbortHandle};
use tokio::time;
use tokio_util::sync::{CancellationToken, WaitForCancellationFuture};
use tokio_util::task::TaskTracker;

/// How long [`Shutdown::drain`] waits for tasks to end once they were stopped. They are dropped at their next await, so
/// only one that computes or blocks takes longer, and it must not keep the process alive.
const STOP_WAIT: Duration = Duration::from_secs(1);

/// How to stop each task.
type Handles = Arc<Mutex<HashMap<task::Id, AbortHandle>>>;

/// Tells listeners, connections and gateways that the end has come, in two steps: *draining*, then *stopped*.
///
/// Clones are handles to the same shutdown.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    draining: CancellationToken,
    stop: CancellationToken,
    tasks: TaskTracker,
    /// Waiting for `stop` in each task instead would lock one mutex of all tasks at every wake-up.
    handles: Handles,
    /// How many tasks `stop` met.
    stopped_tasks: Arc<AtomicUsize>,
}

/// How a [`Shutdown::drain`] went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Every task ended by itself.
    Graceful,
    /// The grace was over, or somebody was impatient: this many tasks were stopped.
    Stopped {
        /// Tasks that had not ended by themselves.
        tasks: usize,
    },
}

impl Shutdown {
    /// A shutdown that has not begun.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins to drain: listeners close, gateways should say good-bye and finish what is under way.
    pub fn begin(&self) {
        self.draining.cancel();
    }

    /// Stops at once: connection tasks are dropped at their next await.
    pub fn stop(&self) {
        self.draining.cancel();
        self.stop.cancel();
        let handles = std::mem::take(&mut *self.handles.lock());
        self.stopped_tasks.fetch_add(handles.len(), Ordering::Relaxed);
        for handle in handles.values() {
            handle.abort();
        }
    }

    /// What a signal to terminate means: the first begins to drain, a further one stops at once.
    pub fn terminate(&self) {
        if self.is_draining() {
            self.stop()
        } else {
            self.begin()
        }
    }

    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Whether everything was told to stop at once.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_cancelled()
    }

    /// Completes when draining begins. Cancel safe.
    pub fn draining(&self) -> WaitForCancellationFuture<'_> {
        self.draining.cancelled()
    }

    /// Completes when everything must stop at once. Cancel safe.
    pub fn stopped(&self) -> WaitForCancellationFuture<'_> {
        self.stop.cancelled()
    }

    /// Runs a task that [`drain`](Self::drain) waits for, and that is dropped at an await when all must stop.
    ///
    /// Must be called within a tokio runtime. After [`stop`](Self::stop) the task does not run.
    pub fn spawn<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let mut handles = self.handles.lock();
        // Within the lock: `stop` cancels first and takes the handles after, so it misses no task.
        if self.is_stopped() {
            return;
        }
        let task = Stoppable {
            task,
            handles: Arc::clone(&self.handles),
            id: None,
        };
        let handle = self.tasks.spawn(task);
        handles.insert(handle.id(), handle.abort_handle());
    }

    /// How many tasks of [`spawn`](Self::spawn) run.
    pub fn tasks(&self) -> usize {
        self.tasks.len()
    }

    /// Begins to drain, waits up to `grace` for all tasks to end, then stops those that are left.
    ///
    /// [`stop`](Self::stop) cuts the wait short. Not cancel safe in its meaning: dropping it leaves the shutdown
    /// draining without anybody who enforces the grace.
    pub async fn drain(&self, grace: Duration) -> Ending {
        self.begin();
        self.tasks.close();
        tokio::select! {
            biased;
            () = self.tasks.wait() => {}
            () = self.stop.cancelled() => {}
            () = time::sleep(grace) => self.stop(),
        }
        if time::timeout(STOP_WAIT, self.tasks.wait()).await.is_err() {
            tracing::warn!(
                tasks = self.tasks.len(),
                "tasks did not stop in time and are left behind"
            );
        }
        match self.stopped_tasks.load(Ordering::Relaxed) {
            0 => Ending::Graceful,
            tasks => Ending::Stopped { tasks },
        }
    }
}

pin_project! {
    /// A task whose handle is forgotten when it completes or panics.
    ///
    /// A future by hand, because an async block that awaits what it captured takes up its size twice.
    struct Stoppable<F> {
        #[pin]
        task: F,
        handles: Handles,
        // Known once it runs. If it never does, `spawn` may hold the lock, and `stop` forgets the handle.
        id: Option<task::Id>,
    }

    impl<F> PinnedDrop for Stoppable<F> {
        fn drop(this: Pin<&mut Self>) {
            if let Some(id) = this.id {
                this.handles.lock().remove(&id);
            }
        }
    }
}

impl<F: Future<Output = ()>> Future for Stoppable<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        this.id.get_or_insert_with(task::id);
        this.task.poll(cx)
    }
}

#[cfg(test)]
mod tests;
