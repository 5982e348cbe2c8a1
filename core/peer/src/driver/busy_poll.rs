//! Looking for more before sleeping, where what comes next comes at once.
//!
//! A thread that sleeps until its answer comes costs a switch away and one back, and where the processor has gone to
//! sleep as well (a virtual one above all) tens of microseconds: many times what a quick answer takes. So a connection
//! that has just written, and for which nothing else is left to do, looks at its socket for a short while first
//! ([`Options::busy_poll`](crate::Options::busy_poll)), for as long as that has paid lately (see
//! [`look_policy`](crate::look_policy)).
//!
//! It looks past the runtime, which would ask for all sockets, and wake a second thread, at every look. What it reads
//! the runtime never hears of; it finds the socket empty when it asks the next time, and that is all. Where that is not
//! to be, since the transport is more than a socket or the thread has others to serve, and the runtime has one thread
//! only, it looks through the runtime instead ([`LastLook`](crate::LastLook)).

#[cfg(test)]
mod tests;

use std::any::Any;
use std::cell::Cell;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use switchboard_unix::UnixStream;
use tokio::net::TcpStream;

use super::input::Input;
use super::{Driver, Phase, Transport};
use crate::close::CloseReason;
use crate::look_policy::{Decision, Policy};

/// Bytes read by one look. Whatever is left in the socket, the runtime hears of.
const LOOK_BYTES: usize = 4096;

/// Times that the processor is told to wait between two looks, each a few nanoseconds to a few tens of them: a look is
/// a system call, and takes the socket's lock from whoever wants to write to it.
const WAITS: u32 = 8;

/// A connection must have had so many turns of its thread in a row, to look past the runtime. Where several have theirs,
/// each look would keep the others waiting.
const TURNS_ALONE: u32 = 16;

thread_local! {
    /// The connection that this thread worked for last, and how many turns in a row.
    static LAST: Cell<(usize, u32)> = const { Cell::new((0, 0)) };
}

#[derive(Default)]
pub(super) struct BusyPoll {
    policy: Policy,
    /// Something was written, and nothing that came since was left to another task: what comes next is for the driver.
    pub(super) expecting: bool,
    /// A request has come since the last look: its answer may bring the next.
    pub(super) asked: bool,
    /// Turns in a row that the thread had for this connection.
    turns: u32,
}

/// What came of [`Driver::poll_busy`].
pub(super) enum Looked {
    /// Something was read, or is to be written.
    More,
    /// Sleep: somebody wakes the task.
    Nothing,
}

impl<T: Transport> Driver<T> {
    /// The driver's turn begins.
    pub(super) fn begin_turn(&mut self) {
        let me = Arc::as_ptr(&self.connection).addr();
        self.busy_poll.turns = LAST.with(|last| {
            let turns = match last.get() {
                (before, turns) if before == me => turns.saturating_add(1),
                _ => 0,
            };
            last.set((me, turns));
            turns
        });
    }

    /// Something was written. What is only told, such as a message to a subscriber, brings nothing back.
    pub(super) fn expect(&mut self) {
        self.busy_poll.expecting |= self.busy_poll.asked || self.connection.in_flight.lock().len() > 0;
    }

    /// There is nothing to do: looks for more, if that is likely to come soon.
    pub(super) fn poll_busy(&mut self, cx: &mut Context<'_>) -> Result<Looked, CloseReason> {
        let limit = self.connection.options.busy_poll;
        if limit.is_zero() || !self.busy_poll.expecting || !self.waits_for_one() {
            return Ok(Looked::Nothing);
        }
        self.busy_poll.asked = false;
        let alone = self.busy_poll.turns >= TURNS_ALONE;
        let socket = if alone { plain_socket(&self.io) } else { None };
        let Some(socket) = socket else {
            self.busy_poll.expecting = self.last_look.go_on(cx);
            return Ok(Looked::Nothing);
        };
        match self.busy_poll.policy.decide() {
            Decision::Sleep => return Ok(Looked::Nothing),
            Decision::GiveWay => {
                let _ = self.rest.poll(cx);
                return Ok(Looked::Nothing);
            }
            Decision::Look => {}
        }
        let begun = Instant::now();
        let read = loop {
            let read = self.input.look(socket)?;
            if read > 0 || begun.elapsed() >= limit || !self.connection.outbox.is_empty() {
                break read;
            }
            (0..WAITS).for_each(|_| std::hint::spin_loop());
        };
        self.busy_poll.policy.looked(read > 0, begun.elapsed(), limit);
        // The rest of a large message is read as ever, much at a time.
        self.busy_poll.expecting = read > 0 && read < LOOK_BYTES;
        if read > 0 || !self.connection.outbox.is_empty() {
            Ok(Looked::More)
        } else {
            Ok(Looked::Nothing)
        }
    }

    /// Whether this connection reads, and has one call under way at most: where there are several, more of them gather
    /// for one turn while it sleeps.
    fn waits_for_one(&self) -> bool {
        self.input.open
            && self.pause.is_none()
            && matches!(self.phase, Phase::Running)
            && self.connection.in_service.lock().len() == 0
            && self.connection.in_flight.lock().len() <= 1
    }
}

impl Input {
    /// Reads what is in the socket, if anything is: so many bytes.
    fn look(&mut self, socket: BorrowedFd<'_>) -> io::Result<usize> {
        let mut room = [MaybeUninit::uninit(); LOOK_BYTES];
        match recv(socket, &mut room, RecvFlags::DONTWAIT) {
            // At the end of the stream that is nothing; the runtime finds it as well.
            Ok(((read, _), _)) => {
                self.put(read);
                Ok(read.len())
            }
            Err(Errno::AGAIN | Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }
}

/// The socket, if the transport is nothing else.
fn plain_socket(io: &dyn Any) -> Option<BorrowedFd<'_>> {
    if let Some(stream) = io.downcast_ref::<TcpStream>() {
        return Some(stream.as_fd());
    }
    if let Some(stream) = io.downcast_ref::<tokio::net::UnixStream>() {
        return Some(stream.as_fd());
    }
    io.downcast_ref::<UnixStream>().map(AsFd::as_fd)
}
