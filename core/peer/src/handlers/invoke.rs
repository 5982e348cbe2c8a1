//! Running a handler: at once if it does not wait, in a task of its own if it does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Waker};

use super::RequestHandler;
use crate::context::Context;
use crate::panics::poll_caught;
use crate::reply::{Body, Replier};
use crate::service::BoxFuture;

/// Runs a handler up to its first wait, and hands back what is left of it.
///
/// Most handlers never wait; for them this saves a task, and its wake-up, a call. The one that does wait is polled
/// again, with a real waker, by whoever takes it.
pub(super) fn poll_once(mut handler: BoxFuture<()>) -> Option<BoxFuture<()>> {
    let mut cx = TaskContext::from_waker(Waker::noop());
    poll_caught("handler", handler.as_mut(), &mut cx)
        .is_pending()
        .then_some(handler)
}

/// Runs the handler of a request. Whatever happens to it, the replier inside answers.
pub(super) fn run(handler: BoxFuture<()>, context: &Context) {
    if let Some(rest) = poll_once(handler) {
        spawn(rest, context);
    }
}

/// Gives the handler a task. Once its caller is gone it may finish within the grace period, then it is dropped.
fn spawn(mut handler: BoxFuture<()>, context: &Context) {
    let gone = context.cancellation();
    let deadline = context.deadline();
    let grace = context.peer().connection().options.cancel_grace;
    tokio::spawn(async move {
        let caught = std::future::poll_fn(|cx| poll_caught("handler", handler.as_mut(), cx));
        let abandoned = async {
            match deadline {
                Some(deadline) => {
                    // Either way nobody waits any more; the handler is told by the token.
                    let _ = tokio::time::timeout_at(deadline, gone.cancelled()).await;
                    gone.cancel();
                }
                None => gone.cancelled().await,
            }
            tokio::time::sleep(grace).await;
        };
        tokio::select! {
            biased;
            () = caught => {}
            () = abandoned => tracing::debug!("dropping a handler whose caller is gone"),
        }
    });
}

/// Joins the parts of a body that its caller sent as one payload, then runs the handler on that.
pub(super) fn run_collected(handler: &RequestHandler, context: Context, body: Body, reply: Replier) {
    let handler = Arc::clone(handler);
    let inner = context.clone();
    let joined: Pin<Box<dyn Future<Output = ()> + Send>> = Box::pin(async move {
        let bytes_max = inner.peer().connection().options.limits.payload_bytes_max;
        match body.collect(bytes_max).await {
            Ok(payload) => handler(inner, Body::Single(payload), reply).await,
            Err(fault) => reply.fault(fault),
        }
    });
    run(joined, &context);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_that_does_not_wait_leaves_nothing() {
        assert!(poll_once(Box::pin(async {})).is_none());
        assert!(poll_once(Box::pin(std::future::pending())).is_some());
        assert!(poll_once(Box::pin(async { panic!("caught") })).is_none());
    }
}
