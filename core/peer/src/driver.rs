//! The one task that reads and writes a connection.
//!
//! Reader and writer are one state machine, so that what is read, answered at once and written back costs a single
//! wake-up. A round reads what the transport has, works through every message in it, and writes all that has gathered
//! in as few system calls as can be. The driver never waits inside a round: whoever is behind (the reader of a
//! stream, a notification handler, the other side) makes it pause reading, for a bounded time.

mod blocks;
mod bodies;
mod busy_poll;
mod dispatch;
mod input;
mod linger;
mod notifications;
mod output;
mod timing;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use switchboard_wire::gotalk::{self, ProtocolErrorCode, RequestId};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::close::CloseReason;
use crate::connection::{Connection, Wish};
use crate::give_way::GiveWay;
use crate::handshake::LINGER;
use crate::last_look::LastLook;
use crate::parts::PartSender;
use crate::peer::Peer;
use crate::service::Service;
use bodies::Bodies;
use busy_poll::{BusyPoll, Looked};
use input::Input;
use linger::Linger;
use notifications::Notifications;
use output::Output;
use timing::Timing;

/// A byte stream that a peer can talk over.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Transport for T {}

/// Rounds before other tasks of the thread get their turn.
const ROUNDS_MAX: u32 = 16;

pub(crate) struct Driver<T> {
    io: T,
    connection: Arc<Connection>,
    service: Arc<dyn Service>,
    input: Input,
    output: Output,
    bodies: Bodies,
    notifications: Notifications,
    timing: Timing,
    pause: Option<Pause>,
    phase: Phase,
    linger: Linger,
    /// A last look before rest.
    rest: GiveWay,
    /// Whether several messages came at once since the last rest.
    is_crowded: bool,
    busy_poll: BusyPoll,
    last_look: LastLook,
}

/// Why nothing is read for now.
struct Pause {
    on: PauseOn,
    since: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum PauseOn {
    /// The handler that reads this request's body is behind.
    Body(RequestId),
    /// Whoever reads this call's streamed result is behind.
    Result(RequestId),
    /// The notification handler is behind.
    Notifications,
    /// The other side does not take its results.
    Output,
}

enum Phase {
    Running,
    /// All is said: write the rest, then wait until the other side has closed or the time is up.
    Closing {
        reason: CloseReason,
        /// Set once all is written; before, the write time-out watches.
        until: Option<Instant>,
        shut: bool,
    },
}

impl<T: Transport> Driver<T> {
    pub(crate) fn new(
        io: T,
        connection: Arc<Connection>,
        service: Arc<dyn Service>,
        read: BytesMut,
        connecting: bool,
    ) -> Self {
        let now = Instant::now();
        let timing = Timing::new(&connection.options, connecting, now);
        Self {
            io,
            service,
            input: Input::new(read),
            output: Output::default(),
            bodies: Bodies::new(&connection.options.limits),
            notifications: Notifications::default(),
            timing,
            pause: None,
            phase: Phase::Running,
            linger: Linger::default(),
            rest: GiveWay::default(),
            is_crowded: false,
            busy_poll: BusyPoll::default(),
            last_look: LastLook::new(connection.options.busy_poll),
            connection,
        }
    }

    fn peer(&self) -> Peer {
        Peer::from(Arc::clone(&self.connection))
    }

    /// One round. True if there may be more to do at once; the reason when the connection is over.
    fn round(&mut self, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        if let Phase::Closing { .. } = self.phase {
            return self.poll_closing(cx);
        }
        self.check_timers(cx)?;
        let handled = self.poll_notifications(cx);
        self.poll_pause(cx);
        // After all that may end the last call.
        self.check_wish();
        let read = self.poll_input(cx)?;
        if let Phase::Closing { .. } = self.phase {
            return Ok(true);
        }
        if !read && self.poll_linger(cx).is_pending() {
            return Ok(handled);
        }
        let written = self.poll_output(cx)?;
        if written {
            self.expect();
        }
        self.check_finished();
        Ok(handled || read || written || matches!(self.phase, Phase::Closing { .. }))
    }

    /// Before the first of several calls under way is written, lets the tasks that are ready now add theirs: so a
    /// thousand tasks that each send one message cost a few system calls. A call that is alone is written at once.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.output.is_empty() || self.connection.outbox.is_empty() {
            return Poll::Ready(());
        }
        let busy =
            || self.connection.in_flight.lock().len() > 1 || self.connection.in_service.lock().len() > 1;
        self.linger.poll(cx, busy)
    }

    fn check_wish(&mut self) {
        let done = match self.connection.wish() {
            Wish::Open => false,
            Wish::Drain => {
                self.connection.in_service.lock().len() == 0
                    && self.connection.in_flight.lock().len() == 0
                    && self.notifications.is_idle()
            }
            Wish::Close | Wish::CloseNow => true,
        };
        if done {
            self.begin_closing(CloseReason::Local);
        }
    }

    /// After the other side's last byte, ends when all that it is owed was written.
    fn check_finished(&mut self) {
        if !self.input.open
            && self.connection.in_service.lock().len() == 0
            && self.notifications.is_idle()
            && self.output.is_empty()
            && self.connection.outbox.is_empty()
        {
            self.begin_closing(CloseReason::Remote);
        }
    }

    /// Tells the other side what it did wrong, and closes.
    fn close_illegal(&mut self, code: ProtocolErrorCode, what: impl Into<String>) {
        let reason = match code {
            ProtocolErrorCode::Timeout => CloseReason::ReadTimeout,
            code => CloseReason::Illegal(code, what.into()),
        };
        tracing::debug!(peer = self.connection.caller.address, %reason, "closing a connection");
        // A closed outbox means that the end has begun already.
        let _ = self
            .connection
            .outbox
            .push_encoded(|dst| gotalk::encode_protocol_error(code, dst));
        self.begin_closing(reason);
    }

    fn begin_closing(&mut self, reason: CloseReason) {
        if matches!(self.phase, Phase::Closing { .. }) {
            return;
        }
        self.connection.outbox.close();
        if self.input.open {
            self.stop_calling();
        }
        self.pause = None;
        self.phase = Phase::Closing {
            reason,
            until: None,
            shut: false,
        };
    }

    /// There is nothing to do: a last look, or several, before the task sleeps.
    fn rest(&mut self, cx: &mut Context<'_>) -> Result<Looked, CloseReason> {
        // Where many talk at once more of them come right away: to look once more costs less than to fall asleep and
        // be woken, and gathers more into one write. One alone would pay for it with an empty look, and with the wake
        // of a second worker, for every message: it is looked for past the runtime.
        if std::mem::take(&mut self.is_crowded) {
            let _ = self.rest.poll(cx);
            return Ok(Looked::Nothing);
        }
        self.poll_busy(cx)
    }

    fn poll_closing(&mut self, cx: &mut Context<'_>) -> Result<bool, CloseReason> {
        let broken = self.poll_output(cx).is_err();
        let written = self.output.is_empty() && self.connection.outbox.is_empty();
        let write_deadline = self.write_deadline();
        let Phase::Closing { reason, until, shut } = &mut self.phase else {
            return Ok(true);
        };
        let now = Instant::now();
        if written || self.connection.wish() == Wish::CloseNow {
            until.get_or_insert(now + LINGER);
        }
        let over = |deadline: &Option<Instant>| deadline.is_some_and(|deadline| now >= deadline);
        if broken || over(until) || over(&write_deadline) {
            return Err(reason.clone());
        }
        if !*shut && written {
            match Pin::new(&mut self.io).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => *shut = true,
                Poll::Ready(Err(_)) => return Err(reason.clone()),
                Poll::Pending => {}
            }
        }
        if self.input.open && self.input.discard(&mut self.io, cx) {
            self.input.open = false;
        }
        if *shut && !self.input.open {
            return Err(reason.clone());
        }
        Ok(false)
    }

    /// Stops waiting for whoever is behind, once it is not or has been for too long.
    fn poll_pause(&mut self, cx: &mut Context<'_>) {
        let Some(pause) = &self.pause else { return };
        let over = Instant::now() >= pause.since + self.connection.options.stall_timeout;
        let on = pause.on;
        let ready = match on {
            PauseOn::Body(id) => self.bodies.poll_room(id, cx),
            PauseOn::Result(id) => self.poll_result_room(id, cx),
            PauseOn::Notifications => self.notifications.poll_room(&self.connection.options.limits),
            PauseOn::Output => self.poll_output_room(),
        };
        if ready.is_pending() {
            if !over {
                return;
            }
            match on {
                PauseOn::Body(id) => self.bodies.give_up(id),
                PauseOn::Result(id) => self.give_up_result(id),
                PauseOn::Notifications => self.notifications.overflow(&self.connection),
                // The write time-out sees to it.
                PauseOn::Output => return,
            }
        }
        self.pause = None;
        self.timing.read_resumed(Instant::now());
    }

    /// The driver itself makes this room, by writing.
    fn poll_output_room(&self) -> Poll<()> {
        let full = self.connection.outbox.queued() >= self.connection.options.limits.buffered_bytes_max;
        if full { Poll::Pending } else { Poll::Ready(()) }
    }

    fn pause(&mut self, on: PauseOn) {
        if self.pause.is_none() {
            self.pause = Some(Pause {
                on,
                since: Instant::now(),
            });
        }
    }
}

impl<T: Transport> Future for Driver<T> {
    type Output = CloseReason;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<CloseReason> {
        let this = self.get_mut();
        this.connection.register_driver(cx);
        this.begin_turn();
        let mut rounds = 0;
        while rounds < ROUNDS_MAX {
            rounds += 1;
            let rested = match this.round(cx) {
                Ok(false) if this.arm_timer(cx) => this.rest(cx),
                Ok(_) => continue,
                Err(reason) => Err(reason),
            };
            match rested {
                // Looks have a bound of their own.
                Ok(Looked::More) => rounds = 0,
                Ok(Looked::Nothing) => return Poll::Pending,
                Err(reason) => {
                    // What is set first stays: nobody else sets it.
                    let _ = this.connection.reason.set(reason.clone());
                    return Poll::Ready(reason);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<T> Drop for Driver<T> {
    /// Runs at every end, a panic and an aborted task included: nobody who waits for this connection waits for ever.
    fn drop(&mut self) {
        let connection = &self.connection;
        let _ = connection.reason.set(CloseReason::Local);
        connection.outbox.close();
        let waiters = connection.in_flight.lock().drain();
        let lost = connection.lost();
        waiters.into_iter().for_each(|waiter| waiter.fault(lost.clone()));
        let hooks = connection.in_service.lock().give_up_all();
        hooks.into_iter().for_each(crate::cancel::Firing::fire);
        self.bodies.fail_all(&lost);
        connection.closed.cancel();
        let peer = Peer::from(Arc::clone(connection));
        let service = Arc::clone(&self.service);
        crate::panics::caught("closed", std::panic::AssertUnwindSafe(|| service.closed(&peer)));
    }
}

/// A stream's sender, while it lives.
type Sender = PartSender;
