//! The task that makes the connection, sets it up, and does so again.

use std::convert::Infallible;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::options::KeepAliveOptions;
use super::presence::{Presence, Wish};
use super::shared::Shared;
use super::state::{Ended, Setback, State};
use crate::close::CloseReason;
use crate::fault::Fault;
use crate::peer::Peer;
use crate::service::Service;

/// How soon a hub is asked again at the earliest, that answered a wish with a Retry.
const WISH_WAIT_MIN: Duration = Duration::from_millis(100);

/// A wish, and who waits for it to be met.
#[derive(Debug)]
pub(super) struct Command {
    pub(super) wish: Wish,
    pub(super) done: oneshot::Sender<Result<(), Fault>>,
}

pub(super) struct Keeper<C> {
    connect: C,
    service: Arc<dyn Service>,
    options: KeepAliveOptions,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    /// The one that the hub is being asked for. Kept when the connection is lost meanwhile.
    asking: Option<Command>,
    /// Tries in a row that came to nothing.
    failures: u32,
    /// When the first of them began.
    since: Instant,
}

impl<C, F, E> Keeper<C>
where
    C: FnMut(Arc<dyn Service>) -> F + Send + 'static,
    F: Future<Output = Result<Peer, E>> + Send + 'static,
    E: fmt::Display + 'static,
{
    pub(super) fn new(
        connect: C,
        service: Arc<dyn Service>,
        options: KeepAliveOptions,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
    ) -> Self {
        Self {
            connect,
            service,
            options,
            shared,
            commands,
            asking: None,
            failures: 0,
            since: Instant::now(),
        }
    }

    /// Keeps the connection until it has ended for good.
    pub(super) async fn run(mut self) {
        // However this task ends, nobody waits for ever.
        let end = EndOnDrop(Arc::clone(&self.shared));
        let stop = self.shared.stop.clone();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            ended = self.keep() => end.0.end(ended),
        }
    }

    async fn keep(&mut self) -> Ended {
        loop {
            let mut rest = self.options.back_off.draw(self.failures);
            self.shared.set_state(State::Connecting {
                attempt: self.failures.saturating_add(1),
                next_try: rest,
            });
            let (why, lasted) = match self.attempt().await {
                Err(setback) => (setback, false),
                Ok(peer) => {
                    let connected = Instant::now();
                    let reason = self.hold(peer).await;
                    let lasted = connected.elapsed() >= self.options.back_off.max;
                    (Setback::Lost(reason), lasted)
                }
            };
            if self.shared.is_finishing() {
                return Ended::Local;
            }
            if lasted {
                self.failures = 0;
                self.since = Instant::now();
                rest = self.options.back_off.draw(0);
            } else {
                self.failures = self.failures.saturating_add(1);
                rest = match self.rest_after(&why, rest) {
                    Ok(rest) => rest,
                    Err(ended) => return ended,
                };
            }
            let until = Instant::now().checked_add(rest);
            // What no clock can tell is as good as for ever.
            let until = until.unwrap_or_else(|| Instant::now() + FAR);
            tracing::debug!(%why, ?rest, "no connection for now");
            self.shared.set_state(State::Waiting { until, why });
            tokio::time::sleep_until(until).await;
        }
    }

    /// How long to rest; or that there is nothing more to try.
    fn rest_after(&self, why: &Setback, rest: Duration) -> Result<Duration, Ended> {
        let rest = match why {
            Setback::Refused {
                fault: Fault::Retry { wait, .. },
                ..
            } => rest.max(*wait),
            Setback::Refused { operation, fault } => match self.options.refused_wait {
                Some(wait) => rest.max(wait),
                None => {
                    return Err(Ended::Refused {
                        operation,
                        fault: fault.clone(),
                    });
                }
            },
            _ => rest,
        };
        let time = self.since.elapsed().saturating_add(rest);
        if self.options.give_up.is_met(self.failures, time) {
            return Err(Ended::GaveUp {
                tries: self.failures,
                last: why.clone(),
            });
        }
        Ok(rest)
    }

    /// Makes a connection and sets it up.
    async fn attempt(&mut self) -> Result<CloseOnDrop, Setback> {
        let within = self.options.try_timeout;
        let service = Arc::clone(&self.service);
        let connecting = (self.connect)(service);
        let hub = self.options.hub.as_ref();
        let made = async {
            let peer = connecting
                .await
                .map_err(|error| Setback::Unreachable(error.to_string()))?;
            let peer = CloseOnDrop(Some(peer));
            if let (Some(hub), Some(peer)) = (hub, &peer.0) {
                set_up(hub, peer).await?;
            }
            Ok(peer)
        };
        tokio::time::timeout(within, made)
            .await
            .unwrap_or(Err(Setback::TimedOut(within)))
    }

    /// Uses a connection until it is lost.
    async fn hold(&mut self, mut closing: CloseOnDrop) -> CloseReason {
        let Some(peer) = closing.0.clone() else {
            return CloseReason::Local;
        };
        let shared = Arc::clone(&self.shared);
        let reason = tokio::select! {
            biased;
            reason = peer.closed() => reason,
            never = self.work(&peer, &mut closing) => match never {},
        };
        shared.away();
        reason
    }

    /// Sends what is queued, then asks for what is wished.
    async fn work(&mut self, peer: &Peer, closing: &mut CloseOnDrop) -> Infallible {
        loop {
            peer.room().await;
            match self.shared.flush_one(peer) {
                Some(true) => break,
                Some(false) => {}
                // Its end is about to be seen.
                None => std::future::pending().await,
            }
        }
        // From now on whoever ends it all closes it.
        closing.0 = None;
        self.shared.set_state(State::Connected);
        loop {
            if self.asking.is_none() {
                self.asking = self.commands.recv().await;
            }
            match &self.asking {
                Some(_) => self.ask(peer).await,
                // No handle is left: the end is on its way.
                None => std::future::pending().await,
            }
        }
    }

    /// Asks the hub for what is wished, until it agrees or refuses.
    async fn ask(&mut self, peer: &Peer) {
        while let Some(Command { wish, done }) = &self.asking {
            if done.is_closed() {
                self.asking = None;
                return;
            }
            let asked = match (&self.options.hub, wish) {
                // Where there is no hub there is none to tell.
                (None, Wish::Retire) => Ok(()),
                (Some(presence), wish) => presence.ask(wish, peer).await,
                (None, wish) => Presence::default().ask(wish, peer).await,
            };
            if let Err(Fault::Retry { wait, .. }) = asked {
                tokio::time::sleep(wait.max(WISH_WAIT_MIN)).await;
                continue;
            }
            let Some(Command { wish, done }) = self.asking.take() else {
                return;
            };
            if asked.is_ok() && (wish != Wish::Retire || self.options.hub.is_some()) {
                self.options.hub.get_or_insert_default().note(wish);
            }
            // Whoever wished may have gone; what was agreed to stands.
            let _ = done.send(asked);
        }
    }
}

/// Says on a new connection what is wanted of the hub.
async fn set_up(hub: &Presence, peer: &Peer) -> Result<(), Setback> {
    match hub.set_up(peer).await {
        Ok(()) => Ok(()),
        // It was not the hub that said so.
        Err((_, Fault::Retry { .. })) if !peer.connection().outbox.is_open() => {
            Err(Setback::Lost(peer.closed().await))
        }
        Err((operation, fault)) => Err(Setback::Refused { operation, fault }),
    }
}

/// For a rest that no clock can tell: thirty years.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

/// A connection that nobody uses yet: it does not stay open without its keeper.
struct CloseOnDrop(Option<Peer>);

impl Drop for CloseOnDrop {
    fn drop(&mut self) {
        if let Some(peer) = &self.0 {
            peer.close();
        }
    }
}

struct EndOnDrop(Arc<Shared>);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end(Ended::Local);
    }
}
