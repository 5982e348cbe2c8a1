//! The clock of one connection: heartbeats, time-outs and deadlines on a single timer.

use std::pin::Pin;
use std::task::Context;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use switchboard_wire::gotalk::{self, ProtocolErrorCode};
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Driver, PauseOn, Phase, Transport};
use crate::close::CloseReason;
use crate::options::Options;
use crate::reply::deadline_passed;

/// In every read time-out, a message that takes longer must bring at least so many bytes.
const PROGRESS_BYTES: usize = 16 * 1024;

/// How soon after the other side's last byte it is tried again whether it still reads.
const PROBE_INTERVAL: Duration = Duration::from_secs(1);

/// The timer when there is nothing to wait for.
const FAR: Duration = Duration::from_secs(24 * 3600);

pub(super) struct Timing {
    /// When the last message was complete, or enough of a long one had come.
    heard: Instant,
    /// Bytes of an unfinished message since then.
    progress: usize,
    heartbeat: Option<Instant>,
    /// Since when the other side takes no bytes.
    pub(super) write_blocked: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Timing {
    pub(super) fn new(options: &Options, connecting: bool, now: Instant) -> Self {
        let first = |interval| if connecting { now } else { now + interval };
        Self {
            heard: now,
            progress: 0,
            heartbeat: options.heartbeat_interval.map(first),
            write_blocked: None,
            sleep: Box::pin(sleep_until(now + FAR)),
        }
    }

    /// Notes that `bytes` have come, with a whole message among them or not.
    pub(super) fn read(&mut self, bytes: usize, whole: bool, now: Instant) {
        self.progress += bytes;
        if whole || self.progress >= PROGRESS_BYTES {
            self.read_resumed(now);
        }
    }

    /// Starts the read time-out anew.
    pub(super) fn read_resumed(&mut self, now: Instant) {
        self.heard = now;
        self.progress = 0;
    }

    /// A heartbeat shows whether the other side is still there.
    pub(super) fn probe_soon(&mut self, now: Instant) {
        self.heartbeat = Some(now);
    }
}

impl<T: Transport> Driver<T> {
    /// Does what is due.
    pub(super) fn check_timers(&mut self, cx: &mut Context<'_>) -> Result<(), CloseReason> {
        // Nothing is due before the timer fires.
        if self.timing.sleep.as_mut().poll(cx).is_pending() {
            return Ok(());
        }
        let now = Instant::now();
        if self.write_deadline().is_some_and(|deadline| now >= deadline) {
            return Err(CloseReason::WriteTimeout);
        }
        if self.read_deadline().is_some_and(|deadline| now >= deadline) {
            self.close_illegal(ProtocolErrorCode::Timeout, "");
            return Ok(());
        }
        if self.timing.heartbeat.is_some_and(|due| now >= due) {
            self.send_heartbeat(now);
        }
        self.expire_calls(now);
        Ok(())
    }

    fn read_deadline(&self) -> Option<Instant> {
        let reading = self.input.open && self.pause.is_none() && matches!(self.phase, Phase::Running);
        self.connection
            .options
            .read_timeout
            .filter(|_| reading)
            .map(|timeout| self.timing.heard + timeout)
    }

    pub(super) fn write_deadline(&self) -> Option<Instant> {
        let timeout = self.connection.options.write_timeout?;
        self.timing.write_blocked.map(|since| since + timeout)
    }

    fn send_heartbeat(&mut self, now: Instant) {
        let time = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs() as u32);
        let load = self.connection.load();
        if self.connection.outbox.has_room() {
            // A closed outbox means that the end has begun already.
            let _ = self
                .connection
                .outbox
                .push_encoded(|dst| gotalk::encode_heartbeat(load, time, dst));
        }
        let interval = if self.input.open {
            self.connection.options.heartbeat_interval
        } else {
            Some(PROBE_INTERVAL)
        };
        self.timing.heartbeat = interval.map(|interval| now + interval);
        self.release_memory();
    }

    /// Once a heartbeat: a burst's memory is not kept for ever.
    fn release_memory(&mut self) {
        self.input.release_memory();
        self.bodies.release_memory();
        self.notifications.release_memory();
        self.connection.outbox.release_memory();
        self.connection.in_flight.lock().release_memory();
        self.connection.in_service.lock().release_memory();
    }

    fn expire_calls(&self, now: Instant) {
        let expired = self.connection.in_flight.lock().expire(now);
        for (id, waiter) in expired {
            self.connection.tell_cancelled(id, &waiter);
            waiter.fault(deadline_passed());
        }
    }

    /// When something is to be done next. Everything in here must be done by the phase it is in: what stays due would
    /// have the driver turn without end.
    fn next_due(&self) -> Option<Instant> {
        if let Phase::Closing { until, .. } = &self.phase {
            return [*until, self.write_deadline()].into_iter().flatten().min();
        }
        let options = &self.connection.options;
        let stall = self.pause.as_ref().filter(|pause| pause.on != PauseOn::Output);
        let due = [
            self.read_deadline(),
            self.timing.heartbeat,
            self.write_deadline(),
            stall.map(|pause| pause.since + options.stall_timeout),
            self.connection.in_flight.lock().next_deadline(),
        ];
        due.into_iter().flatten().min()
    }

    /// Sets the timer to the next thing due. False if that is now.
    pub(super) fn arm_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(due) = self.next_due() else {
            return true;
        };
        let armed = self.timing.sleep.deadline();
        // A timer that is early costs one look; moving it at every message would cost more.
        if due < armed || self.timing.sleep.is_elapsed() {
            self.timing.sleep.as_mut().reset(due);
        }
        self.timing.sleep.as_mut().poll(cx).is_pending()
    }
}
