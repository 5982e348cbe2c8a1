//! The connection to the cluster: what every part of the engine asks it for, with bounded patience.
//!
//! Reads are asked of any server that has a copy, and are taken only if that copy has all that this hub has written or
//! seen. Writes go to the leader of their stream, each on the condition that its subject has not changed since it was
//! read, so that one that is tried again after silence happens once.

mod auth;
mod commit;
mod inboxes;
mod patience;
mod read;
mod streams;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions, Event, HeaderMap, Message, Request};
use bytes::Bytes;
use parking_lot::Mutex;
use switchboard_engine::{Clock, EngineError, Health, Result};
use tokio::sync::{Notify, Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::NatsOptions;
use crate::names::{Names, Stream};
use crate::options::Secret;
pub(crate) use commit::{BATCH_MESSAGES_MAX, Committed, Outgoing};
use inboxes::Inboxes;
pub(crate) use patience::{Patience, Trouble};
pub(crate) use read::{Read, SUBJECT_BYTES_MAX, SUBJECTS_MAX, Stored, stored_of_delivery};
pub(crate) use streams::DELETED_KEPT;

/// Longest time that a call of the engine takes before it is answered with Unavailable. An election of a leader may
/// take longer (4 to 9 s): callers try again.
pub const CALL_TIME_MAX: Duration = Duration::from_secs(5);

/// Longest time that a call waits for a connection, if there is none, before it is answered with Unavailable.
pub const AWAY_TIME_MAX: Duration = Duration::from_secs(2);

/// Longest time that one try of a call waits for its answer: a server that is alone with a disk answers in far less.
const ATTEMPT_TIME_MAX: Duration = Duration::from_secs(2);

/// How often the server is asked whether it is there. Two that stay unanswered end the connection.
const PING_EVERY: Duration = Duration::from_secs(5);

/// Longest pause between two tries to connect.
const RECONNECT_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Longest time to open an engine: a cluster that starts with it has to elect its leaders first.
const OPEN_TIME_MAX: Duration = Duration::from_secs(20);

/// Atomic batches of this hub that are under way at once. A server allows 50 a stream, for all hubs together.
const BATCHES_MAX: usize = 16;

/// How often the cluster is asked whether it is well, once it was not.
const CONVALESCENCE_INTERVAL: Duration = Duration::from_secs(1);

/// Commands that wait for the connection.
const COMMANDS_MAX: usize = 65_536;

/// The oldest servers that have all that is asked of them: atomic batches came with 2.12.
const SERVER_MIN: (i64, i64, i64) = (2, 12, 0);

/// See the module.
pub(crate) struct Link {
    pub(crate) names: Names,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) client: Client,
    pub(crate) js: Context,
    /// Cancelled when the engine was closed.
    pub(crate) closed: CancellationToken,
    pub(crate) status: Arc<Status>,
    replicas: usize,
    inboxes: Inboxes,
    batches: Semaphore,
    /// The highest sequence of each stream that was written or read.
    seen: [AtomicU64; Stream::ALL.len()],
    /// Held while the streams are looked at.
    ensuring: tokio::sync::Mutex<Option<tokio::time::Instant>>,
}

/// How the connection does, as its events tell.
#[derive(Debug, Default)]
pub(crate) struct Status {
    problems: Mutex<VecDeque<String>>,
    /// Counts the connections, and the times that messages were dropped here: between two counts nothing was lost on its
    /// way to us.
    losses: watch::Sender<u64>,
    /// Whether the last call that was given up was not followed by one that succeeded; and why it was.
    troubled: AtomicBool,
    trouble: Mutex<String>,
    /// Told when a call was given up.
    given_up: Notify,
}

impl Status {
    fn hear(&self, event: &Event) {
        match event {
            Event::Connected => {
                tracing::info!("connected to the NATS cluster");
                self.problems.lock().clear();
                self.losses.send_modify(|losses| *losses += 1);
            }
            Event::Disconnected => tracing::warn!("the connection to the NATS cluster is lost"),
            Event::SlowConsumer(_) => self.losses.send_modify(|losses| *losses += 1),
            Event::ServerError(_) | Event::ClientError(_) => {
                /// What went wrong last, of which only the newest says something.
                const PROBLEMS_MAX: usize = 2;
                tracing::debug!("{event}");
                let mut problems = self.problems.lock();
                problems.push_back(event.to_string());
                while problems.len() > PROBLEMS_MAX {
                    problems.pop_front();
                }
            }
            _ => {}
        }
    }

    /// Tells when messages may have been lost on their way to us.
    pub(crate) fn losses_from_now(&self) -> watch::Receiver<u64> {
        self.losses.subscribe()
    }

    /// Waits for the word of the first connection, so that it is not taken for a later one.
    async fn first_connection(&self) {
        let mut losses = self.losses.subscribe();
        let _ = tokio::time::timeout(ATTEMPT_TIME_MAX, losses.wait_for(|losses| *losses > 0)).await;
    }

    fn problem(&self) -> String {
        let problems = self.problems.lock();
        match problems.back() {
            None => "there is no connection to the NATS cluster".to_owned(),
            Some(last) => format!("there is no connection to the NATS cluster: {last}"),
        }
    }

    fn troubled(&self, why: &str) {
        why.clone_into(&mut self.trouble.lock());
        self.troubled.store(true, Ordering::Release);
        self.given_up.notify_one();
    }

    fn well(&self) {
        if self.troubled.load(Ordering::Acquire) {
            self.troubled.store(false, Ordering::Release);
        }
    }
}

impl Link {
    /// Connects, and sees to the streams.
    ///
    /// # Errors
    /// Unavailable when no server can be reached within [`OPEN_TIME_MAX`]; Invalid and Unsupported for what would not
    /// be mended by trying again.
    pub(crate) async fn open(options: &NatsOptions) -> Result<Self> {
        let names = Names::new(&options.prefix)?;
        if !(1..=crate::REPLICAS_MAX).contains(&options.replicas) {
            return Err(EngineError::Invalid(format!(
                "{} replicas are not possible: it takes 1 to {}",
                options.replicas,
                crate::REPLICAS_MAX
            )));
        }
        let status = Arc::new(Status::default());
        let client = connect(options, &status).await?;
        check_version(&client)?;
        status.first_connection().await;
        let closed = CancellationToken::new();
        // What was begun ends, should anything go wrong.
        let guard = closed.clone().drop_guard();
        let link = Self {
            names,
            clock: Arc::clone(&options.clock),
            js: ContextBuilder::new()
                .timeout(ATTEMPT_TIME_MAX)
                .build(client.clone()),
            inboxes: Inboxes::open(&client, closed.clone()).await?,
            client,
            status,
            replicas: options.replicas,
            batches: Semaphore::new(BATCHES_MAX),
            seen: Default::default(),
            ensuring: tokio::sync::Mutex::new(None),
            closed,
        };
        link.ensure_at_first().await?;
        guard.disarm();
        Ok(link)
    }

    /// Asks, after a call was given up, until the cluster is well again: nobody may call anything for a while, last of
    /// all where those who are not well are not called.
    pub(crate) async fn convalesce(&self) {
        loop {
            self.status.given_up.notified().await;
            while self.status.troubled.load(Ordering::Acquire) {
                tokio::time::sleep(CONVALESCENCE_INTERVAL).await;
                match self.ensure().await {
                    Ok(()) => self.status.well(),
                    Err(trouble) => tracing::debug!("the NATS cluster is not well yet: {trouble:?}"),
                }
            }
        }
    }

    async fn ensure_at_first(&self) -> Result<()> {
        let mut patience = Patience::lasting(self, OPEN_TIME_MAX);
        loop {
            match self.ensure().await {
                Ok(()) => return Ok(()),
                Err(trouble) => patience.rest(trouble).await?,
            }
        }
    }

    /// One try to ask for something.
    pub(crate) async fn ask(
        &self,
        subject: String,
        headers: Option<HeaderMap>,
        payload: Bytes,
    ) -> Result<Message, Trouble> {
        self.check_connected()?;
        let mut request = Request::new().payload(payload).timeout(Some(ATTEMPT_TIME_MAX));
        if let Some(headers) = headers {
            request = request.headers(headers);
        }
        let answer = tokio::select! {
            answer = self.client.send_request(subject, request) => answer,
            () = self.closed.cancelled() => return Err(Trouble::Unsure("the engine was closed".to_owned())),
        };
        answer.map_err(|error| match error.kind() {
            RequestErrorKind::NoResponders => {
                Trouble::NotDone("no server of the NATS cluster leads this stream".to_owned())
            }
            RequestErrorKind::MaxPayloadExceeded => Trouble::Error(self.too_large()),
            RequestErrorKind::InvalidSubject => Trouble::Error(EngineError::Failed(error.to_string())),
            RequestErrorKind::TimedOut => Trouble::Unsure(format!(
                "the NATS cluster has not answered for {} s",
                ATTEMPT_TIME_MAX.as_secs()
            )),
            RequestErrorKind::Other => Trouble::Unsure(error.to_string()),
        })
    }

    /// Waits until the server has taken what was sent before.
    pub(crate) async fn round_trip(&self) -> Result<(), Trouble> {
        self.check_connected()?;
        let mut inbox = self.inboxes.inbox();
        self.client
            .publish(inbox.subject.clone(), Bytes::new())
            .await
            .map_err(|error| Trouble::NotDone(error.to_string()))?;
        match tokio::time::timeout(ATTEMPT_TIME_MAX, inbox.messages.recv()).await {
            Ok(Some(_)) => Ok(()),
            _ => Err(Trouble::NotDone("the NATS server does not answer".to_owned())),
        }
    }

    /// # Errors
    /// Nothing was done, as there is no connection.
    pub(crate) fn check_connected(&self) -> Result<(), Trouble> {
        if self.closed.is_cancelled() {
            return Err(Trouble::Error(closed()));
        }
        if self.client.connection_state() == State::Connected {
            return Ok(());
        }
        Err(Trouble::Away(self.status.problem()))
    }

    pub(crate) fn check_open(&self) -> Result<()> {
        if self.closed.is_cancelled() {
            return Err(closed());
        }
        Ok(())
    }

    /// Tells this connection from those before and after it.
    pub(crate) fn connection(&self) -> (String, u64) {
        let info = self.client.server_info();
        (info.server_id, info.client_id)
    }

    /// Most bytes in a message, headers included, as the server says.
    pub(crate) fn message_bytes_max(&self) -> usize {
        self.client.server_info().max_payload
    }

    fn too_large(&self) -> EngineError {
        EngineError::TooLarge(format!(
            "that does not fit into a message: the NATS server allows {} bytes (max_payload)",
            self.message_bytes_max()
        ))
    }

    pub(crate) fn health(&self) -> Health {
        if self.closed.is_cancelled() {
            return Health::Impaired("it was closed".to_owned());
        }
        if self.client.connection_state() != State::Connected {
            return Health::Impaired(self.status.problem());
        }
        if self.status.troubled.load(Ordering::Acquire) {
            return Health::Impaired(self.status.trouble.lock().clone());
        }
        Health::Ready
    }

    /// Whether reads may find copies that are behind.
    pub(crate) fn has_copies(&self) -> bool {
        self.replicas > 1
    }

    /// Remembers how far a stream has come, for later reads.
    pub(crate) fn see(&self, stream: Stream, sequence: u64) {
        self.seen[stream as usize].fetch_max(sequence, Ordering::AcqRel);
    }

    pub(crate) fn seen(&self, stream: Stream) -> u64 {
        self.seen[stream as usize].load(Ordering::Acquire)
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("names", &self.names)
            .field("health", &self.health())
            .finish_non_exhaustive()
    }
}

fn closed() -> EngineError {
    EngineError::unavailable(CALL_TIME_MAX, "the engine was closed")
}

async fn connect(options: &NatsOptions, status: &Arc<Status>) -> Result<Client> {
    let hearing = Arc::clone(status);
    let addresses = options.addresses()?;
    let mut connecting = match (
        &options.credentials,
        addresses.iter().find_map(|address| address.secret.clone()),
    ) {
        (Some(file), _) => auth::by_credentials(file.clone()),
        (None, Some(Secret::Password(user, password))) => {
            ConnectOptions::with_user_and_password(user, password)
        }
        (None, Some(Secret::Token(token))) => ConnectOptions::with_token(token),
        (None, None) => ConnectOptions::new(),
    };
    if let Some(ca) = &options.tls_ca {
        connecting = connecting.add_root_certificates(ca.clone());
    }
    match (&options.tls_certificate, &options.tls_key) {
        (Some(certificate), Some(key)) => {
            connecting = connecting.add_client_certificate(certificate.clone(), key.clone());
        }
        (None, None) => {}
        _ => {
            return Err(EngineError::Invalid(
                "a TLS certificate for the NATS cluster takes its key, and a key its certificate".to_owned(),
            ));
        }
    }
    let connecting = connecting
        .name("switchboard")
        .ping_interval(PING_EVERY)
        .client_capacity(COMMANDS_MAX)
        .subscription_capacity(switchboard_engine::bus::UNREAD_MAX)
        .connection_timeout(ATTEMPT_TIME_MAX)
        .reconnect_delay_callback(|attempts| {
            let millis = 1_u64 << attempts.min(10);
            Duration::from_millis(millis).min(RECONNECT_PAUSE_MAX)
        })
        .event_callback(move |event| {
            hearing.hear(&event);
            async {}
        });
    let servers: Vec<String> = addresses.iter().map(|address| address.url.clone()).collect();
    connecting.connect(&servers[..]).await.map_err(|error| {
        EngineError::unavailable(
            RECONNECT_PAUSE_MAX,
            format!(
                "cannot connect to the NATS cluster at {}: {error}",
                options.shown()
            ),
        )
    })
}

fn check_version(client: &Client) -> Result<()> {
    let info = client.server_info();
    let (major, minor, patch) = SERVER_MIN;
    if !client.is_server_compatible(major, minor, patch) {
        return Err(EngineError::Unsupported(format!(
            "the NATS server at {}:{} is of version {}: it takes {major}.{minor} or newer, which has atomic batches; \
             please upgrade it",
            info.host, info.port, info.version
        )));
    }
    if !info.jetstream {
        return Err(EngineError::Unsupported(format!(
            "the NATS server at {}:{} has no JetStream: start it with -js, or enable it for the account",
            info.host, info.port
        )));
    }
    Ok(())
}
