//! A connection that comes back by itself.
//!
//! A [`KeepAlive`] makes a connection, sets it up at a hub if there is one, and does so again whenever it is lost.
//! One task, the keeper, does all of that:
//!
//! ```text
//! connect ─► log in ─► serve ─► subscribe ─► send what is queued ─► Connected
//!    ▲                                                                 │ lost
//!    └───────── Waiting, longer each time, with jitter ◄───────────────┘
//! ```
//!
//! Meanwhile what the program sends waits in a bounded queue. A request that was on its way when the connection was
//! lost fails with a Retry, as its responder may have begun with it; with a [`RetryPolicy`] it is made again on the
//! next connection. A notification that was written and not read by the other side is lost with the connection.

mod call;
mod keeper;
mod options;
mod presence;
mod queue;
mod shared;
mod state;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::at_hub::DeliveryPolicy;
use crate::connect::{Connector, Url};
use crate::fault::Fault;
use crate::peer::{Peer, to_json};
use crate::service::Service;
use keeper::{Command, Keeper};
use presence::Wish;
use queue::Route;
use shared::Shared;

pub use call::KeptCall;
pub use options::{BackOff, GiveUp, KeepAliveOptions};
pub use presence::{Declared, Presence, Subscription};
pub use state::{Ended, Setback, State};

/// Wishes that wait for the keeper; whoever has one more waits himself.
const COMMANDS_MAX: usize = 16;

/// A connection that comes back by itself, with or without a hub at its other end.
///
/// A handle: cheap to clone. The connection ends for good by [`close`](Self::close) or [`shutdown`](Self::shutdown),
/// when the last handle is dropped, or as [`KeepAliveOptions`] say; [`state`](Self::state) tells. A handler that
/// keeps a handle of the connection it serves keeps it open.
///
/// ```
/// use std::time::Duration;
/// use switchboard_peer::{
///     Connector, Handlers, KeepAlive, KeepAliveOptions, Presence, RetryPolicy,
/// };
///
/// async fn shout() -> Result<(), Box<dyn std::error::Error>> {
///     let handlers = Handlers::new()
///         .handle("shout", |_, text: String| async move { Ok(text.to_uppercase()) });
///     let options = KeepAliveOptions {
///         hub: Some(Presence { operations: vec!["shout".into()], ..Presence::default() }),
///         ..KeepAliveOptions::default()
///     };
///     let hub = KeepAlive::connect("tcp://localhost".parse()?, Connector::default(), handlers, options);
///     // Made when the connection is there, and again if it is lost meanwhile.
///     let call = hub.call("greet").timeout(Duration::from_secs(10)).retry(RetryPolicy::default());
///     let greeting: String = call.request("ann").await?;
///     println!("{greeting}");
///     hub.shutdown(Duration::from_secs(5)).await;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct KeepAlive {
    handle: Arc<Handle>,
}

/// What all handles have in common. The keeper has none: so the last one is noticed.
struct Handle {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.end(Ended::Local);
    }
}

impl KeepAlive {
    /// Keeps a connection that `connect` makes: to whatever it likes, over whatever it likes. It is called again each
    /// time, with the service to be handed to [`Peer::start`] or [`Connector::connect`].
    ///
    /// Must be called inside a tokio runtime.
    pub fn start<C, F, E>(connect: C, service: impl Service, options: KeepAliveOptions) -> Self
    where
        C: FnMut(Arc<dyn Service>) -> F + Send + 'static,
        F: Future<Output = Result<Peer, E>> + Send + 'static,
        E: fmt::Display + 'static,
    {
        let (commands, received) = mpsc::channel(COMMANDS_MAX);
        let shared = Arc::new(Shared::new(&options));
        let keeper = Keeper::new(connect, Arc::new(service), options, Arc::clone(&shared), received);
        tokio::spawn(keeper.run());
        Self {
            handle: Arc::new(Handle { shared, commands }),
        }
    }

    /// Keeps a connection to `url`. Must be called inside a tokio runtime.
    pub fn connect(url: Url, connector: Connector, service: impl Service, options: KeepAliveOptions) -> Self {
        let connect = move |service| {
            let (connector, url) = (connector.clone(), url.clone());
            async move { connector.connect(&url, service).await }
        };
        Self::start(connect, service, options)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.handle.shared
    }

    // ---- sends

    /// A call to be configured: with a deadline, or retries.
    pub fn call<'a>(&'a self, operation: &'a str) -> KeptCall<'a> {
        KeptCall::new(self.shared(), operation)
    }

    /// Calls `operation` with JSON and reads the result as JSON. While the connection is away the call waits for it,
    /// without a limit in time: give it one by [`call`](Self::call).
    ///
    /// # Errors
    /// The responder's fault. A Retry if the queue is full, or the connection was lost with the call on its way. An
    /// Error once the connection has ended for good.
    ///
    /// # Cancel safety
    /// Dropping the future gives the call up, and its place in the queue.
    pub async fn request<P, R>(&self, operation: &str, parameters: &P) -> Result<R, Fault>
    where
        P: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.call(operation).request(parameters).await
    }

    /// Calls `operation` with bytes; otherwise as [`request`](Self::request). For streams, use [`peer`](Self::peer).
    ///
    /// # Errors and cancel safety
    /// As [`request`](Self::request).
    pub async fn request_raw(&self, operation: &str, payload: impl Into<Bytes>) -> Result<Bytes, Fault> {
        self.call(operation).request_raw(payload).await
    }

    /// Sends a notification with JSON; otherwise as [`notify_raw`](Self::notify_raw).
    ///
    /// # Errors and cancel safety
    /// As [`notify_raw`](Self::notify_raw).
    pub async fn notify(&self, name: &str, payload: &(impl Serialize + ?Sized)) -> Result<(), Fault> {
        self.notify_raw(name, to_json(payload)?).await
    }

    /// Sends a notification with bytes; to a hub it publishes. While the connection is away it is queued, and `Ok` at
    /// once. Notifications of one task keep their order, whether queued or not.
    ///
    /// # Errors
    /// A Retry if the queue is full. An Error if the name is too long, or the connection has ended for good.
    ///
    /// # Cancel safety
    /// Sent or queued whole, or not at all.
    pub async fn notify_raw(&self, name: &str, payload: impl Into<Bytes>) -> Result<(), Fault> {
        let payload = payload.into();
        loop {
            let (peer, _ticket) = match self.shared().route_notification(name, &payload)? {
                Route::Direct(peer, ticket) => (peer, ticket),
                Route::Queued => return Ok(()),
            };
            peer.room().await;
            match peer.notify_now(name, &payload) {
                // It was lost a moment ago: the next look at it will tell.
                Err(Fault::Retry { .. }) => {}
                sent => return sent,
            }
        }
    }

    // ---- what is wanted of the hub

    /// Serves these operations from now on, on this connection and all that follow. Whether their callers are
    /// described was said with [`Presence::callers`], once for all.
    ///
    /// Returns when the hub has agreed; waits for the connection if it is away, and tries again if the hub asks for
    /// that. What was wished for first is asked for first.
    ///
    /// # Errors
    /// An Error if the hub refuses: later connections do not ask for it again. An Error once the connection has ended
    /// for good.
    ///
    /// # Cancel safety
    /// Dropped before its end, the wish is given up, unless the hub has agreed to it already.
    pub async fn serve(&self, operations: &[impl AsRef<str>]) -> Result<(), Fault> {
        self.wish(Wish::Serve(owned(operations))).await
    }

    /// The same, saying something of the operations: see [`ServeOptions::safe`](crate::ServeOptions::safe) and
    /// [`ServeOptions::result_type`](crate::ServeOptions::result_type).
    ///
    /// # Errors and cancel safety
    /// As [`serve`](Self::serve).
    pub async fn serve_declared(&self, operations: Vec<Declared>) -> Result<(), Fault> {
        self.wish(Wish::Declare(operations)).await
    }

    /// Serves these operations no more.
    ///
    /// # Errors and cancel safety
    /// As [`serve`](Self::serve).
    pub async fn unserve(&self, operations: &[impl AsRef<str>]) -> Result<(), Fault> {
        self.wish(Wish::Unserve(owned(operations))).await
    }

    /// Gets these topics, or filters, from now on, on this connection and all that follow; `policy` as for
    /// [`AtHub::subscribe`](crate::AtHub::subscribe). What is published while the connection is away is missed,
    /// except for last values.
    ///
    /// # Errors and cancel safety
    /// As [`serve`](Self::serve).
    pub async fn subscribe(
        &self,
        topics: &[impl AsRef<str>],
        policy: Option<DeliveryPolicy>,
    ) -> Result<(), Fault> {
        self.wish(Wish::Subscribe(owned(topics), policy)).await
    }

    /// Gets no more of these topics, written as they were subscribed to.
    ///
    /// # Errors and cancel safety
    /// As [`serve`](Self::serve).
    pub async fn unsubscribe(&self, topics: &[impl AsRef<str>]) -> Result<(), Fault> {
        self.wish(Wish::Unsubscribe(owned(topics))).await
    }

    async fn wish(&self, wish: Wish) -> Result<(), Fault> {
        let (done, answer) = oneshot::channel();
        let command = Command { wish, done };
        let over = || self.shared().ended_fault();
        self.handle.commands.send(command).await.map_err(|_| over())?;
        answer.await.unwrap_or_else(|_| Err(over()))
    }

    // ---- the connection

    /// The present connection, if there is one. The one after it is another: do not keep it for long.
    pub fn peer(&self) -> Option<Peer> {
        self.shared().peer()
    }

    /// Waits until there is a connection.
    ///
    /// # Errors
    /// An Error once the connection has ended for good.
    ///
    /// # Cancel safety
    /// Can be dropped at any time.
    pub async fn connected(&self) -> Result<Peer, Fault> {
        let mut state = self.state();
        loop {
            if let Some(peer) = self.peer() {
                return Ok(peer);
            }
            // Seen before it is acted on: a change after this look wakes the wait below.
            if let State::Closed(ended) = &*state.borrow_and_update() {
                return Err(ended.to_fault());
            }
            if self.peer().is_none() && state.changed().await.is_err() {
                return Err(self.shared().ended_fault());
            }
        }
    }

    /// How the connection does, now and from now on.
    pub fn state(&self) -> watch::Receiver<State> {
        self.shared().state.subscribe()
    }

    /// Waits until the connection has ended for good, and says why. Cancel safe.
    pub async fn closed(&self) -> Ended {
        let mut state = self.state();
        match state
            .wait_for(|state| matches!(state, State::Closed(_)))
            .await
            .as_deref()
        {
            Ok(State::Closed(ended)) => ended.clone(),
            _ => Ended::Local,
        }
    }

    /// Ends the connection for good: writes what the present connection has taken, and closes it. Calls in flight
    /// fail with a Retry, those that are queued with an Error; queued notifications are dropped.
    pub fn close(&self) {
        self.shared().end(Ended::Local);
    }

    /// Ends the connection for good, but lets what is under way finish within `grace`: takes nothing new, tells the
    /// hub to send no more calls, sends what is queued (connecting again, if need be), waits for answers on both
    /// sides. Returns when all has ended.
    ///
    /// # Cancel safety
    /// Dropped before its end, nothing new is taken, and the rest goes on until [`close`](Self::close).
    pub async fn shutdown(&self, grace: Duration) {
        let began = Instant::now();
        self.shared().refuse_new();
        // Whatever is not done when the time is up stays undone.
        let _ = tokio::time::timeout(grace, async {
            tokio::join!(self.shared().idle(), self.retire());
        })
        .await;
        // From now on the end of the connection is no loss.
        self.shared().finish();
        if let Some(peer) = self.peer() {
            peer.shutdown(grace.saturating_sub(began.elapsed())).await;
        }
        self.close();
    }

    /// Has the hub send no more calls, if it is there.
    async fn retire(&self) {
        let mut state = self.state();
        tokio::select! {
            // It is told as well as can be: what it sends all the same is refused with a Retry.
            _ = self.wish(Wish::Retire) => {}
            _ = state.wait_for(|state| !matches!(state, State::Connected)) => {}
        }
    }
}

impl fmt::Debug for KeepAlive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeepAlive")
            .field("state", &*self.shared().state.borrow())
            .finish_non_exhaustive()
    }
}

fn owned(list: &[impl AsRef<str>]) -> Vec<String> {
    list.iter().map(|text| text.as_ref().to_owned()).collect()
}
