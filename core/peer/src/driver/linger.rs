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
        let turn = match &mut self.turn {
            Some(turn) => {
                turn.set(tokio::task::yield_now());
                turn
            }
            None => self.turn.insert(ReusableBoxFuture::new(tokio::task::yield_now())),
        };
        let turn = turn.poll(cx);
        self.waiting = turn.is_pending();
        turn
    }
}
