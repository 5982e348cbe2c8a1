//! Panics of handlers end at the connection that called them.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// Runs `f`; a panic becomes a log line and `None`.
pub(crate) fn caught<R>(what: &str, f: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(f))
        .map_err(|panic| log(what, &*panic))
        .ok()
}

/// Polls `future`; a panic becomes a log line and an end.
pub(crate) fn poll_caught<F>(what: &str, future: Pin<&mut F>, cx: &mut Context<'_>) -> Poll<()>
where
    F: Future<Output = ()> + ?Sized,
{
    caught(what, || future.poll(cx)).unwrap_or(Poll::Ready(()))
}

fn log(what: &str, panic: &(dyn Any + Send)) {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a panic without a message");
    tracing::error!(handler = what, panic = message, "a handler panicked");
}
