//! One turn's patience before writing.

use std::task::{Context, Poll};

use crate::give_way::GiveWay;

/// Lets every other task that is ready run once before what has gathered is written.
#[derive(Default)]
pub(super) struct Linger {
    way: GiveWay,
    waiting: bool,
}

impl Linger {
    /// `Pending` once, if `wanted`; then `Ready` until it is asked again.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, wanted: impl FnOnce() -> bool) -> Poll<()> {
        if std::mem::take(&mut self.waiting) || !wanted() {
            return Poll::Ready(());
        }
        let turn = self.way.poll(cx);
        self.waiting = turn.is_pending();
        turn
    }
}
