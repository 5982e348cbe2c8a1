//! Looking for more through the runtime before its thread sleeps, where what comes next comes at once.
//!
//! A thread that sleeps until something comes costs a switch away and one back, and where the processor has gone to
//! sleep as well (a virtual one above all) tens of microseconds: many times what a quick answer takes. So a task that
//! waits for somebody who is quick has its thread look for a short while first, for as long as that has paid lately.
//!
//! It does so by giving way again and again: at each turn the runtime looks at all its sockets and timers, and runs
//! whatever is ready. So nobody waits for the one who looks. That takes a runtime of one thread: of several another
//! may be the one that the system wakes, and the look would find nothing.

use std::cell::Cell;
use std::task::Context;
use std::time::{Duration, Instant};

use tokio::runtime::Handle;

use crate::give_way::GiveWay;
use crate::look_policy::{Decision, Policy};

thread_local! {
    /// Until when the look of one task lasts at most. One looks for all.
    static LOOKING_UNTIL: Cell<Option<Instant>> = const { Cell::new(None) };
}

/// The looks of one task.
#[derive(Default)]
pub struct LastLook {
    /// How long to look at most. Zero: never.
    limit: Duration,
    policy: Policy,
    way: GiveWay,
    /// When the look began that is under way.
    since: Option<Instant>,
}

impl LastLook {
    /// Looks of up to `limit` each; none if that is zero, or if the runtime that it is called in has several threads.
    pub fn new(limit: Duration) -> Self {
        let is_alone = Handle::try_current().is_ok_and(|runtime| runtime.metrics().num_workers() == 1);
        Self {
            limit: if is_alone { limit } else { Duration::ZERO },
            ..Self::default()
        }
    }

    /// The task has nothing to do, and expects something soon: begins a look or goes on with it. True if the task will
    /// be polled again at once; false if it is to sleep, and to expect nothing until something has come.
    pub fn go_on(&mut self, cx: &mut Context<'_>) -> bool {
        if self.limit.is_zero() {
            return false;
        }
        let now = Instant::now();
        match self.since {
            Some(since) => {
                let took = now.saturating_duration_since(since);
                if took >= self.limit {
                    self.end(false, took);
                    return false;
                }
            }
            None => {
                if self.policy.decide() == Decision::Sleep || others_look(now) {
                    return false;
                }
                LOOKING_UNTIL.set(Some(now + self.limit));
                self.since = Some(now);
            }
        }
        // Whom we wait for may have been put on this processor, and must not wait for us.
        std::thread::yield_now();
        // It remembers whom to wake, which is this task.
        let _ = self.way.poll(cx);
        true
    }

    /// What was expected has come.
    pub fn found(&mut self) {
        if let Some(since) = self.since {
            self.end(true, since.elapsed());
        }
    }

    fn end(&mut self, found: bool, took: Duration) {
        self.policy.looked(found, took, self.limit);
        self.since = None;
        LOOKING_UNTIL.set(None);
    }
}

fn others_look(now: Instant) -> bool {
    LOOKING_UNTIL.get().is_some_and(|until| now < until)
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::{Poll, Waker};

    use tokio::task::yield_now;

    use super::*;

    /// Longer than any test may be held up.
    const LONG: Duration = Duration::from_secs(20);

    fn looks(look: &mut LastLook) -> bool {
        look.go_on(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn others_have_their_turn_while_one_looks() {
        let other = tokio::spawn(async {
            for _ in 0..10 {
                yield_now().await;
            }
        });
        let mut look = LastLook::new(LONG);
        let mut turns = 0;
        let found = poll_fn(|cx| {
            if other.is_finished() {
                return Poll::Ready(true);
            }
            turns += 1;
            if look.go_on(cx) {
                Poll::Pending
            } else {
                Poll::Ready(false)
            }
        });
        assert!(found.await);
        assert!(turns > 1);
    }

    #[tokio::test]
    async fn a_look_that_finds_nothing_ends_and_the_next_chance_is_passed_over() {
        let mut look = LastLook::new(Duration::from_millis(1));
        let mut turns = 0;
        poll_fn(|cx| {
            turns += 1;
            if look.go_on(cx) {
                Poll::Pending
            } else {
                Poll::Ready(())
            }
        })
        .await;
        assert!(turns > 1);
        assert!(!looks(&mut look));
    }

    #[tokio::test]
    async fn what_is_found_is_looked_for_again() {
        let mut look = LastLook::new(LONG);
        for _ in 0..3 {
            assert!(looks(&mut look));
            look.found();
        }
    }

    #[tokio::test]
    async fn one_looks_for_all() {
        let (mut one, mut other) = (LastLook::new(LONG), LastLook::new(LONG));
        assert!(looks(&mut one));
        assert!(!looks(&mut other));
        assert!(looks(&mut one));
        one.found();
        assert!(looks(&mut other));
    }

    #[tokio::test]
    async fn nobody_looks_who_is_not_to() {
        assert!(!looks(&mut LastLook::new(Duration::ZERO)));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn nobody_looks_where_another_thread_may_be_woken() {
        assert!(!looks(&mut LastLook::new(LONG)));
    }
}
