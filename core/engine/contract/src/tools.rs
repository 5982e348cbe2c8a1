//! What the properties are written with.

use std::cell::RefCell;
use std::fmt;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, TestRunner};
use switchboard_engine::{Bucket, EngineError, Key, QueueName};
use tokio::runtime::Handle;

use crate::TestBed;

/// How long something that has to happen may take on a busy machine before it counts as never.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// How long something gets to happen that must not. It can only make a flaw go unseen, not a sound engine fail.
pub(crate) const QUIET: Duration = Duration::from_millis(20);

/// How often a state is looked at that comes by itself.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Longest time for the cases of one generated property, over which the rest is left out.
const EXPLORING_MAX: Duration = Duration::from_secs(3);

/// Longest time to make a failing case smaller, in milliseconds.
const SHRINKING_MS_MAX: u32 = 10_000;

/// What the future comes to, which it must within [`PATIENCE`].
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(outcome) => outcome,
        Err(_) => panic!("never happened: {what}"),
    }
}

/// What the future comes to while time passes, by steps of `step`.
pub(crate) async fn as_time_passes<T>(
    bed: &mut dyn TestBed,
    what: &str,
    step: Duration,
    future: impl Future<Output = T>,
) -> T {
    let mut future = std::pin::pin!(future);
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        let pass = async {
            tokio::time::sleep(LOOK_EVERY).await;
            bed.pass(step).await;
        };
        tokio::select! {
            outcome = &mut future => return outcome,
            () = pass => {}
        }
    }
    panic!("never happened, though time passed: {what}");
}

/// Looks again and again, until it is so. Time passes a little between two looks.
pub(crate) async fn in_the_end(bed: &mut dyn TestBed, what: &str, mut so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE {
        if so().await {
            return;
        }
        bed.pass(LOOK_EVERY).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    panic!("never came to be: {what}");
}

/// The next item of a stream, which has to come.
pub(crate) async fn next<T>(what: &str, stream: &mut (impl Stream<Item = T> + Unpin)) -> T {
    match soon(what, stream.next()).await {
        Some(item) => item,
        None => panic!("the stream ended before {what}"),
    }
}

/// Nothing comes for a while.
pub(crate) async fn nothing<T: fmt::Debug>(what: &str, stream: &mut (impl Stream<Item = T> + Unpin)) {
    if let Ok(item) = tokio::time::timeout(QUIET, stream.next()).await {
        panic!("{what}, but there came {item:?}");
    }
}

/// Tries a property with generated values: as many as the bed says, or as fit into a few seconds. A failure is made
/// small, and shown with the value that caused it. Each trial gets the same bed, so it has to work in names of its own.
pub(crate) fn explore<S: Strategy>(
    bed: &mut dyn TestBed,
    strategy: &S,
    check: impl AsyncFn(&mut dyn TestBed, S::Value),
) {
    let config = Config {
        cases: bed.abilities().cases,
        max_shrink_time: SHRINKING_MS_MAX,
        failure_persistence: None,
        ..Config::default()
    };
    let begun = Instant::now();
    let failed = std::cell::Cell::new(false);
    let bed = RefCell::new(bed);
    let outcome = tokio::task::block_in_place(|| {
        TestRunner::new(config).run(strategy, |value| {
            if begun.elapsed() > EXPLORING_MAX && !failed.get() {
                return Ok(());
            }
            failed.set(true);
            Handle::current().block_on(check(&mut **bed.borrow_mut(), value));
            failed.set(false);
            Ok(())
        })
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

fn fresh(noun: &str) -> String {
    static LAST: AtomicU64 = AtomicU64::new(0);
    format!("{noun}-{:06}", LAST.fetch_add(1, Ordering::Relaxed))
}

/// A bucket that nobody has used.
pub(crate) fn bucket() -> Bucket {
    Bucket::new(fresh("bucket")).expect("a plain name")
}

/// A queue that nobody has used; later ones have greater names.
pub(crate) fn queue() -> QueueName {
    QueueName::new(fresh("queue")).expect("a plain name")
}

/// The key of those bytes.
pub(crate) fn key(bytes: impl AsRef<[u8]>) -> Key {
    Key::new(Bytes::copy_from_slice(bytes.as_ref())).expect("a legal key")
}

/// So many milliseconds.
pub(crate) const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Whether it is [`EngineError::Unavailable`].
pub(crate) fn is_unavailable<T>(outcome: &Result<T, EngineError>) -> bool {
    matches!(outcome, Err(EngineError::Unavailable { .. }))
}

/// Bytes of that number that repeat at no small distance.
pub(crate) fn noise(bytes: usize, seed: u64) -> Bytes {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut noise = Vec::with_capacity(bytes + 8);
    while noise.len() < bytes {
        // xorshift64: https://www.jstatsoft.org/article/view/v008i14
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        noise.extend_from_slice(&state.to_le_bytes());
    }
    noise.truncate(bytes);
    noise.into()
}
