//! Giving way to the other tasks of the runtime.

use std::task::{Context, Poll};

use tokio_util::sync::ReusableBoxFuture;

/// Has a task woken once every other task that is ready has run, and the runtime has looked for I/O.
#[derive(Default)]
pub(crate) struct GiveWay {
    /// The runtime's own way: it wakes after the ready tasks, and wakes no other thread.
    turn: Option<ReusableBoxFuture<'static, ()>>,
}

impl GiveWay {
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
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
