//! One turn's patience before writing.

use std::task::{Context, Poll};

use tokio_util::sync::ReusableBoxFuture;

/// Lets every other task that is ready run once before what has gathered is written.
#[derive(Default)]
pub(super) struct Linger {
    /// The runtime's own way of giving way: it wakes after the ready tasks, and wakes no other thread.
    turn: Option<ReusableBoxFuture<'static, ()>>,
    waiting: bool,
}

impl Linger {
    /// `Pending` once, if `wanted`; then `Ready` until it is asked again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, wanted: impl FnOnce() -> bool) -> Poll<()> {
        if std::mem::take(&mut self.waiting) || !wanted() {
            return Poll::Ready(());
        }
        let turn = self.give_way(cx);
        self.waiting = turn.is_pending();
        turn
    }

    /// Has the task woken once every other task that is ready has run, and the runtime has looked for I/O.
    pub(super) fn give_way(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let turn = match &mut self.turn {
            Some(turn) => {
                turn.set(tokio::task::yield_now());
                turn
            }
            None => self.turn.insert(ReusableBoxFuture::new(tokio::task::yield_now())),
        };
        turn.poll(cx)
    }
}
