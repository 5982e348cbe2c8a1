//! Answers that are often there at once.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::Result;

/// The outcome of one engine method: a future that costs neither a box nor a wake-up where the engine has the outcome
/// at hand.
///
/// # Cancel safety
/// Dropping an answer gives up only on hearing of the outcome: what was asked for may still happen.
#[must_use = "an answer may be an error, and a later one does nothing until it is awaited"]
pub enum Answer<T> {
    /// It is there. `None` once it was taken by polling.
    Now(Option<Result<T>>),
    /// It needs a disk or a network.
    Later(Pin<Box<dyn Future<Output = Result<T>> + Send>>),
}

impl<T> Answer<T> {
    /// An outcome that is there.
    pub fn now(outcome: Result<T>) -> Self {
        Self::Now(Some(outcome))
    }

    /// Success that is there.
    pub fn ok(value: T) -> Self {
        Self::now(Ok(value))
    }

    /// An error that is there.
    pub fn err(error: crate::EngineError) -> Self {
        Self::now(Err(error))
    }

    /// An outcome to wait for.
    pub fn later(future: impl Future<Output = Result<T>> + Send + 'static) -> Self {
        Self::Later(Box::pin(future))
    }
}

impl<T: Send + 'static> Answer<T> {
    /// The same answer, with its success turned into something else.
    pub fn map<U>(self, turn: impl FnOnce(T) -> U + Send + 'static) -> Answer<U> {
        match self {
            Self::Now(outcome) => Answer::Now(outcome.map(|outcome| outcome.map(turn))),
            Self::Later(future) => Answer::later(async move { future.await.map(turn) }),
        }
    }

    /// The same answer, with its success turned into something else, or into an error.
    pub fn try_map<U>(self, turn: impl FnOnce(T) -> Result<U> + Send + 'static) -> Answer<U> {
        match self {
            Self::Now(outcome) => Answer::Now(outcome.map(|outcome| outcome.and_then(turn))),
            Self::Later(future) => Answer::later(async move { future.await.and_then(turn) }),
        }
    }
}

impl<T: Unpin> Future for Answer<T> {
    type Output = Result<T>;

    /// # Panics
    /// When polled again after it was ready, as futures may.
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            Self::Now(outcome) => Poll::Ready(
                outcome
                    .take()
                    .expect("an answer is polled until it is ready, not after"),
            ),
            Self::Later(future) => future.as_mut().poll(context),
        }
    }
}

impl<T: fmt::Debug> fmt::Debug for Answer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Now(outcome) => f.debug_tuple("Now").field(outcome).finish(),
            Self::Later(_) => f.write_str("Later"),
        }
    }
}
