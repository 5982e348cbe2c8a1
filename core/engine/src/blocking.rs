//! Work that holds its thread for long.

use tokio::runtime::{Handle, RuntimeFlavor};

/// Does work that may hold this thread for more than about a millisecond. If the thread is a worker of a runtime that has
/// threads of its own, another one takes over what else it has to do: that costs some ten microseconds. Elsewhere, the
/// work is simply done.
///
/// # Panics
/// In a `LocalSet` on such a runtime, which nothing here uses.
pub fn block_in_place<T>(work: impl FnOnce() -> T) -> T {
    let is_among_others = |handle: Handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread;
    if Handle::try_current().is_ok_and(is_among_others) {
        tokio::task::block_in_place(work)
    } else {
        work()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    #[test]
    fn without_a_runtime_work_is_done() {
        assert_eq!(block_in_place(|| 1), 1);
    }

    #[tokio::test]
    async fn on_the_only_thread_work_is_done() {
        assert_eq!(block_in_place(|| 1), 1);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn another_thread_does_what_else_there_is() {
        let (sender, receiver) = mpsc::channel();
        let work = async move {
            block_in_place(|| {
                tokio::spawn(async move { sender.send(()) });
                receiver.recv_timeout(Duration::from_secs(20))
            })
        };
        assert_eq!(tokio::spawn(work).await.unwrap(), Ok(()));
    }
}
