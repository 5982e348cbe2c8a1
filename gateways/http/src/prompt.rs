//! A future that is polled again at once if it woke itself.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Polls in a row before other tasks get their turn.
const POLLS_MAX: u32 = 8;

/// Polls its future again at once when that was woken while it was polled.
///
/// hyper hands bodies from its connection to the handler over a channel within one task, so a request with a body wakes
/// its own task twice. The runtime puts a task that woke itself at the end of its queue, and wakes another thread in
/// case that is idle: a system call and a context switch for nothing.
#[derive(Debug)]
pub(crate) struct Prompt<F> {
    future: F,
    turn: Arc<Turn>,
    waker: Waker,
}

#[derive(Debug)]
struct Turn {
    state: AtomicU8,
    outer: AtomicWaker,
}

const IDLE: u8 = 0;
const POLLING: u8 = 1;
const WOKEN: u8 = 2;

impl<F: Future + Unpin> Prompt<F> {
    pub(crate) fn new(future: F) -> Self {
        let turn = Arc::new(Turn {
            state: AtomicU8::new(IDLE),
            outer: AtomicWaker::new(),
        });
        Self {
            future,
            waker: Waker::from(Arc::clone(&turn)),
            turn,
        }
    }

    pub(crate) fn get_mut(&mut self) -> &mut F {
        &mut self.future
    }
}

impl Wake for Turn {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let woken = self
            .state
            .compare_exchange(POLLING, WOKEN, Ordering::AcqRel, Ordering::Acquire);
        if woken == Err(IDLE) {
            self.outer.wake();
        }
    }
}

impl<F: Future + Unpin> Future for Prompt<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.get_mut();
        this.turn.outer.register(cx.waker());
        for _ in 0..POLLS_MAX {
            this.turn.state.store(POLLING, Ordering::Release);
            let polled = Pin::new(&mut this.future).poll(&mut Context::from_waker(&this.waker));
            let woken = this.turn.state.swap(IDLE, Ordering::AcqRel) == WOKEN;
            if polled.is_ready() || !woken {
                return polled;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::ready;

    use super::*;

    /// Counts how often it is woken.
    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// Wakes itself while it is polled, so often, and is ready after that.
    fn wakes_itself(times: usize) -> impl Future<Output = usize> + Unpin {
        let mut polls = 0;
        std::future::poll_fn(move |cx| {
            polls += 1;
            if polls > times {
                return Poll::Ready(polls);
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
    }

    fn poll<F: Future + Unpin>(prompt: &mut Prompt<F>, woken: &Arc<Woken>) -> Poll<F::Output> {
        let waker = Waker::from(Arc::clone(woken));
        Pin::new(prompt).poll(&mut Context::from_waker(&waker))
    }

    #[test]
    fn what_woke_itself_goes_on_without_being_woken() {
        let woken = Arc::new(Woken::default());
        let mut prompt = Prompt::new(wakes_itself(2));
        assert_eq!(poll(&mut prompt, &woken), Poll::Ready(3));
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn what_wakes_itself_for_ever_lets_others_have_their_turn() {
        let woken = Arc::new(Woken::default());
        let mut prompt = Prompt::new(wakes_itself(usize::MAX));
        for turn in 1..=3 {
            assert!(poll(&mut prompt, &woken).is_pending());
            assert_eq!(woken.0.load(Ordering::SeqCst), turn);
        }
    }

    #[test]
    fn who_wakes_it_later_wakes_its_task() {
        let (sender, mut receiver) = tokio::sync::oneshot::channel();
        let mut prompt = Prompt::new(std::future::poll_fn(move |cx| {
            let received = ready!(Pin::new(&mut receiver).poll(cx));
            Poll::Ready(received.unwrap_or(0))
        }));
        let woken = Arc::new(Woken::default());
        assert!(poll(&mut prompt, &woken).is_pending());
        assert_eq!(woken.0.load(Ordering::SeqCst), 0);
        std::thread::spawn(move || sender.send(7))
            .join()
            .unwrap()
            .unwrap();
        assert_eq!(woken.0.load(Ordering::SeqCst), 1);
        assert_eq!(poll(&mut prompt, &woken), Poll::Ready(7));
    }

    #[test]
    fn no_wake_of_another_thread_is_lost() {
        const SENDS: usize = 10_000;
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let sending = std::thread::spawn(move || {
            for number in 0..SENDS {
                sender.blocking_send(number).unwrap();
            }
        });
        let mut received = 0;
        let counts = std::future::poll_fn(move |cx| {
            while ready!(receiver.poll_recv(cx)).is_some() {
                received += 1;
            }
            Poll::Ready(received)
        });
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        assert_eq!(runtime.block_on(Prompt::new(counts)), SENDS);
        sending.join().unwrap();
    }
}
