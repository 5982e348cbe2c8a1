//! Wakes held back while a connection works through what it has just read.
//!
//! One read often holds many messages, and each may give another connection something to write. Waking that
//! connection at the first of them would have it write one message a system call; waking it once after the last lets
//! it write them all in one.

use std::cell::RefCell;
use std::task::Waker;

thread_local! {
    static HELD: RefCell<Held> = const { RefCell::new(Held { corks: 0, wakers: Vec::new() }) };
}

struct Held {
    corks: u32,
    wakers: Vec<Waker>,
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
            if held.corks > 0 || held.wakers.is_empty() {
                Vec::new()
            } else {
                std::mem::take(&mut held.wakers)
            }
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
