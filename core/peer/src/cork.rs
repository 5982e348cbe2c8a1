//! Wakes held back while a connection works through what it has just read.
//!
//! One read often holds many messages, and each may give another connection something to write. Waking that
//! connection at the first of them would have it write one message a system call; waking it once after the last lets
//! it write them all in one. They have also arrived at one time, for which the clock is read but once.

use std::cell::RefCell;
use std::task::Waker;

use tokio::time::Instant;

thread_local! {
    static HELD: RefCell<Held> = const { RefCell::new(Held { corks: 0, wakers: Vec::new(), arrival: None }) };
}

struct Held {
    corks: u32,
    wakers: Vec<Waker>,
    /// When somebody first asked for it within the cork.
    arrival: Option<Instant>,
}

/// While one exists on this thread, [`wake`] only collects; the last one to go wakes all that were collected.
pub(crate) struct Cork(());

impl Cork {
    pub(crate) fn new() -> Self {
        HELD.with_borrow_mut(|held| held.corks += 1);
        Self(())
    }
}

impl Drop for Cork {
    fn drop(&mut self) {
        let wakers = HELD.with_borrow_mut(|held| {
            held.corks -= 1;
            if held.corks > 0 {
                return Vec::new();
            }
            held.arrival = None;
            std::mem::take(&mut held.wakers)
        });
        wakers.into_iter().for_each(Waker::wake);
    }
}

/// Wakes now, or when the thread's cork is pulled.
pub(crate) fn wake(waker: Waker) {
    let now = HELD.with_borrow_mut(|held| {
        if held.corks == 0 {
            Some(waker)
        } else {
            held.wakers.push(waker);
            None
        }
    });
    if let Some(waker) = now {
        waker.wake();
    }
}

/// When what is being worked through arrived: a message of a connection, together with the others of its batch, or
/// whatever else it is, just now. Cheaper than to look at the clock for each of many messages.
pub fn arrival() -> Instant {
    HELD.with_borrow_mut(|held| match held.corks {
        0 => Instant::now(),
        _ => *held.arrival.get_or_insert_with(Instant::now),
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;

    use super::*;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_worked_through_together_has_arrived_together() {
        let begin = arrival();
        let second = std::time::Duration::from_secs(1);
        tokio::time::advance(second).await;
        assert_eq!(arrival(), begin + second, "without a cork it is now");
        let cork = Cork::new();
        let batch = arrival();
        tokio::time::advance(second).await;
        assert_eq!(arrival(), batch);
        drop(cork);
        assert_eq!(arrival(), batch + second);
        let _next = Cork::new();
        tokio::time::advance(second).await;
        assert_eq!(
            arrival(),
            batch + 2 * second,
            "the next batch has a time of its own"
        );
    }

    #[test]
    fn wakes_are_held_until_the_last_cork_goes() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let outer = Cork::new();
        let inner = Cork::new();
        wake(Arc::clone(&count).into());
        drop(inner);
        assert_eq!(count.0.load(Ordering::SeqCst), 0);
        drop(outer);
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
        wake(Arc::clone(&count).into());
        assert_eq!(count.0.load(Ordering::SeqCst), 2);
    }
}
