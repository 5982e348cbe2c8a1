//! The notifications that came in, handed over one after the other in their order.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use switchboard_wire::gotalk::Name;

use super::{Driver, PauseOn, Transport};
use crate::connection::Connection;
use crate::options::Limits;
use crate::panics::{caught, poll_caught};
use crate::service::BoxFuture;

#[derive(Default)]
pub(super) struct Notifications {
    /// The one whose handler has not ended.
    running: Option<BoxFuture<()>>,
    waiting: VecDeque<(Name, Bytes)>,
    bytes: usize,
}

impl Notifications {
    pub(super) fn is_idle(&self) -> bool {
        self.running.is_none() && self.waiting.is_empty()
    }

    fn is_full(&self, limits: &Limits) -> bool {
        self.waiting.len() >= limits.notifications_max || self.bytes >= limits.buffered_bytes_max
    }

    pub(super) fn poll_room(&self, limits: &Limits) -> Poll<()> {
        // The handler that is behind wakes the driver when it goes on.
        if self.is_full(limits) {
            Poll::Pending
        } else {
            Poll::Ready(())
        }
    }

    /// The handler was behind for too long: what waits is dropped, so that it can catch up.
    pub(super) fn overflow(&mut self, connection: &Arc<Connection>) {
        tracing::warn!(
            peer = connection.caller.address,
            dropped = self.waiting.len(),
            "a notification handler is too slow: notifications were dropped"
        );
        self.waiting.clear();
        self.bytes = 0;
    }

    pub(super) fn release_memory(&mut self) {
        self.waiting.shrink_to_fit();
    }
}

impl<T: Transport> Driver<T> {
    pub(super) fn on_notification(&mut self, name: Name, payload: Bytes) {
        if self.notifications.is_idle() {
            self.notifications.running = self.hand_over(name, payload);
            return;
        }
        self.notifications.bytes += payload.len();
        self.notifications.waiting.push_back((name, payload));
        if self.notifications.is_full(&self.connection.options.limits) {
            self.pause(PauseOn::Notifications);
        }
    }

    fn hand_over(&self, name: Name, payload: Bytes) -> Option<BoxFuture<()>> {
        caught("notification", || {
            self.service.notification(&self.peer(), name, payload)
        })
        .flatten()
    }

    /// Goes on with the handler that runs, and with those that wait. True if one has ended.
    pub(super) fn poll_notifications(&mut self, cx: &mut Context<'_>) -> bool {
        let mut ended = false;
        while let Some(running) = &mut self.notifications.running {
            if poll_caught("notification", running.as_mut(), cx).is_pending() {
                return ended;
            }
            ended = true;
            let over = self.notifications.running.take();
            caught("notification", || drop(over));
            while let Some((name, payload)) = self.notifications.waiting.pop_front() {
                self.notifications.bytes -= payload.len();
                self.notifications.running = self.hand_over(name, payload);
                if self.notifications.running.is_some() {
                    break;
                }
            }
        }
        ended
    }
}
