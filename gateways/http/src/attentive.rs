//! A connection that looks for the next request before its thread sleeps.

use std::pin::Pin;
use std::task::{Context, Poll};

use switchboard_peer::LastLook;

use crate::visitor::Activity;

/// The future of a connection. Once its requests are answered it looks for the next for a short while, for as long as
/// that has paid.
pub(crate) struct Attentive<'a, F> {
    future: F,
    activity: &'a Activity,
    looks: LastLook,
    /// Requests that had begun when it was last looked for another in vain.
    looked_after: u64,
}

impl<'a, F: Future + Unpin> Attentive<'a, F> {
    pub(crate) fn new(future: F, activity: &'a Activity, looks: LastLook) -> Self {
        Self {
            future,
            activity,
            looks,
            looked_after: 0,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }
}

impl<F: Future + Unpin> Future for Attentive<'_, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        let before = this.activity.begun();
        let polled = Pin::new(&mut this.future).poll(cx);
        let begun = this.activity.begun();
        if begun != before {
            this.looks.found();
        }
        let expects = begun != this.looked_after && this.activity.is_quiet();
        if polled.is_pending() && expects && !this.looks.go_on(cx) {
            this.looked_after = begun;
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Wake, Waker};
    use std::time::Duration;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// What the connection does when it is polled.
    #[derive(Clone, Copy)]
    enum Step {
        Nothing,
        Begins,
        Ends,
        Answers,
    }

    /// Whether a connection is polled again at once after each of these steps.
    async fn looks_after(limit: Duration, steps: &[Step]) -> Vec<bool> {
        let activity = Activity::new();
        let step = Cell::new(Step::Nothing);
        let connection = std::future::poll_fn(|_| {
            if matches!(step.get(), Step::Begins | Step::Answers) {
                activity.begin();
            }
            if matches!(step.get(), Step::Ends | Step::Answers) {
                activity.end();
            }
            Poll::<()>::Pending
        });
        let mut connection = Attentive::new(connection, &activity, LastLook::new(limit));
        let mut looks = Vec::new();
        for now in steps {
            step.set(*now);
            let woken = Arc::new(Woken::default());
            let waker = Waker::from(Arc::clone(&woken));
            let polled = Pin::new(&mut connection).poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            tokio::task::yield_now().await;
            looks.push(woken.0.load(Ordering::SeqCst) > 0);
        }
        looks
    }

    /// Longer than any test may be held up.
    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_next_request_is_looked_for_once_all_are_answered() {
        let steps = [
            (Step::Nothing, false),
            (Step::Begins, false),
            (Step::Begins, false),
            (Step::Ends, false),
            (Step::Ends, true),
            (Step::Nothing, true),
            (Step::Answers, true),
            (Step::Begins, false),
            (Step::Nothing, false),
        ];
        assert_eq!(
            looks_after(LONG, &steps.map(|(step, _)| step)).await,
            steps.map(|(_, looks)| looks)
        );
    }

    #[tokio::test]
    async fn it_is_not_looked_for_without_time() {
        let steps = [Step::Answers, Step::Nothing];
        assert_eq!(looks_after(Duration::ZERO, &steps).await, [false; 2]);
    }
}
