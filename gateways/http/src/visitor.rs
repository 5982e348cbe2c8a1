//! One connection: who is at its other end, its session at the hub, and whether anything is under way.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytestring::ByteString;
use parking_lot::Mutex;
use switchboard_hub::{Account, Fault, Session, SessionInfo};
use switchboard_net::{ConnectionInfo, PeerAddress};
use tokio::time::{Instant, sleep};

use crate::gateway::Shared;
use crate::web_socket::Granted;

/// The name of this door at the hub.
pub(crate) const DOOR: ByteString = ByteString::from_static("http");

/// What all requests of one connection share.
#[derive(Debug)]
pub(crate) struct Visitor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) info: ConnectionInfo,
    /// What tells the party apart: its network address, or the user at the other end of a Unix socket.
    pub(crate) address: String,
    pub(crate) activity: Activity,
    /// The upgrade that the connection ends with, if it does.
    pub(crate) granted: Mutex<Option<Granted>>,
    /// Opened by the first request that needs one. Calls and publishes of a connection are those of one party.
    session: OnceLock<Session>,
}

impl Visitor {
    pub(crate) fn new(shared: Arc<Shared>, info: ConnectionInfo) -> Self {
        let address = match (info.peer, info.peer_uid) {
            (PeerAddress::Unix, Some(uid)) => format!("unix:uid={uid}"),
            (peer, _) => peer.to_string(),
        };
        Self {
            shared,
            info,
            address,
            activity: Activity::new(),
            granted: Mutex::default(),
            session: OnceLock::new(),
        }
    }

    /// The session of this connection.
    ///
    /// # Errors
    /// Retry when the hub is full.
    pub(crate) fn session(&self) -> Result<&Session, Fault> {
        if let Some(session) = self.session.get() {
            return Ok(session);
        }
        let opened = self.open_session();
        let session = opened.inspect_err(|fault| self.shared.counters.add_fault(fault))?;
        // If another request was quicker, its session is taken, and this one closed.
        Ok(self.session.get_or_init(|| session))
    }

    /// A session of its own, for what must not share subscriptions with anything else.
    ///
    /// # Errors
    /// Retry when the hub is full.
    pub(crate) fn open_session(&self) -> Result<Session, Fault> {
        self.shared.hub.open(SessionInfo {
            door: DOOR,
            address: self.address.clone(),
            account: Account::guest(),
            client: None,
        })
    }

    /// Whether a browser can be at the other end: none connects to a Unix socket.
    pub(crate) fn may_be_browser(&self) -> bool {
        self.info.peer.ip().is_some()
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.info.tls.is_some()
    }

    /// The client as the access log names it.
    pub(crate) fn log_host(&self) -> String {
        self.info
            .peer
            .ip()
            .map_or_else(|| "-".to_owned(), |address| address.ip().to_string())
    }
}

/// Which requests are under way, and since when none is.
#[derive(Debug)]
pub(crate) struct Activity {
    since: Instant,
    under_way: AtomicUsize,
    /// Requests that have begun so far.
    begun: AtomicU64,
    /// When the last request ended, in milliseconds since `since`.
    quiet_ms: AtomicU64,
}

impl Activity {
    pub(crate) fn new() -> Self {
        Self {
            since: Instant::now(),
            under_way: AtomicUsize::new(0),
            begun: AtomicU64::new(0),
            quiet_ms: AtomicU64::new(0),
        }
    }

    pub(crate) fn begin(&self) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.under_way.fetch_add(1, Ordering::AcqRel);
    }

    /// How many requests have begun so far.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.under_way.load(Ordering::Acquire) == 0
    }

    pub(crate) fn end(&self) {
        let now = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.quiet_ms.store(now, Ordering::Release);
        self.under_way.fetch_sub(1, Ordering::AcqRel);
    }

    /// Waits until nothing was under way for so long.
    pub(crate) async fn quiet_for(&self, time: Duration) {
        loop {
            let left = match self.under_way.load(Ordering::Acquire) {
                0 => {
                    let since = Duration::from_millis(self.quiet_ms.load(Ordering::Acquire));
                    since.saturating_add(time).saturating_sub(self.since.elapsed())
                }
                _ => time,
            };
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn quiet_is_when_nothing_was_under_way_for_that_time() {
        let activity = Arc::new(Activity::new());
        let start = Instant::now();
        activity.begin();
        let quiet = tokio::spawn({
            let activity = Arc::clone(&activity);
            async move {
                activity.quiet_for(Duration::from_secs(10)).await;
                start.elapsed().as_secs()
            }
        });
        sleep(Duration::from_secs(25)).await;
        activity.begin();
        activity.end();
        sleep(Duration::from_secs(1)).await;
        activity.end();
        assert_eq!(quiet.await.unwrap(), 36);
    }
}
