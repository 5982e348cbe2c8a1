use std::sync::atomic::AtomicBool;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::*;

const GRACE: Duration = Duration::from_secs(30);

/// Sets a flag when it is dropped.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_tasks_and_no_longer() {
    let shutdown = Shutdown::new();
    let seen = shutdown.clone();
    shutdown.spawn(async move {
        seen.draining().await;
        tokio::time::sleep(Duration::from_secs(3)).await;
    });
    let start = Instant::now();
    assert_eq!(shutdown.drain(GRACE).await, Ending::Graceful);
    assert_eq!(start.elapsed(), Duration::from_secs(3));
    assert!(!shutdown.is_stopped());
}

#[tokio::test(start_paused = true)]
async fn without_tasks_a_drain_is_over_at_once() {
    let start = Instant::now();
    assert_eq!(Shutdown::new().drain(GRACE).await, Ending::Graceful);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn when_the_grace_is_over_tasks_are_dropped() {
    let shutdown = Shutdown::new();
    let dropped = Arc::new(AtomicBool::new(false));
    let flag = Flag(Arc::clone(&dropped));
    let (started, has_started) = oneshot::channel();
    shutdown.spawn(async move {
        let _flag = flag;
        started.send(()).expect("somebody waits");
        std::future::pending().await
    });
    has_started.await.expect("it runs");
    let start = Instant::now();
    assert_eq!(shutdown.drain(GRACE).await, Ending::Stopped { tasks: 1 });
    assert_eq!(start.elapsed(), GRACE);
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!(shutdown.tasks(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_second_signal_cuts_the_grace_short() {
    let shutdown = Shutdown::new();
    shutdown.spawn(std::future::pending());
    shutdown.terminate();
    assert!(shutdown.is_draining() && !shutdown.is_stopped());
    let draining = tokio::spawn({
        let shutdown = shutdown.clone();
        async move { shutdown.drain(GRACE).await }
    });
    tokio::task::yield_now().await;
    let start = Instant::now();
    shutdown.terminate();
    assert!(shutdown.is_stopped());
    assert_eq!(draining.await.expect("no panic"), Ending::Stopped { tasks: 1 });
    assert_eq!(start.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn nothing_runs_after_a_stop() {
    let shutdown = Shutdown::new();
    shutdown.stop();
    let ran = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&ran);
    shutdown.spawn(async move { flag.store(true, Ordering::SeqCst) });
    assert_eq!(shutdown.drain(GRACE).await, Ending::Graceful);
    assert!(!ran.load(Ordering::SeqCst));
}

#[tokio::test]
async fn a_task_that_ends_or_panics_is_forgotten() {
    let shutdown = Shutdown::new();
    shutdown.spawn(async {});
    shutdown.spawn(async { panic!("as a handler might") });
    assert_eq!(shutdown.drain(GRACE).await, Ending::Graceful);
    assert!(shutdown.handles.lock().is_empty());
}
