//! From a connection to a party at the hub, and to the end of both.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Once, Weak};

use bytestring::ByteString;
use switchboard_gateway_gotalk::check_guest;
use switchboard_hub::keys::Bucket;
use switchboard_hub::{Account, Fault, Hub, Sample, Sampled, Session, SessionInfo};
use switchboard_net::{Accept, Connection, ConnectionInfo, PeerAddress, Shutdown};
use tokio::io::AsyncWriteExt;
use tokio::time::Instant;

use crate::clients::{Client, Clients, Order};
use crate::connection::Talk;
use crate::conversation::Conversation;
use crate::cursors::Cursors;
use crate::keyspace::Keyspace;
use crate::options::RedisOptions;
use crate::stats::{Counters, RedisStats};
use crate::subscriptions::Channels;
use crate::waiting::Waiting;

/// The name of this door at the hub.
const DOOR: ByteString = ByteString::from_static("redis");

/// What a client is told that the hub does not take in.
const FULL: &[u8] = b"-ERR max number of clients reached\r\n";

/// Takes connections of Redis clients to a hub. Cheap to clone: all clones are one gateway.
#[derive(Debug, Clone)]
pub struct RedisGateway {
    shared: Arc<Shared>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) options: RedisOptions,
    pub(crate) counters: Counters,
    pub(crate) clients: Clients,
    pub(crate) waiting: Waiting,
    pub(crate) cursors: Cursors,
    pub(crate) channels: Channels,
    pub(crate) keyspace: Keyspace,
    pub(crate) since: Instant,
    /// The bucket of each database.
    buckets: Vec<Bucket>,
    shutdown: Shutdown,
    is_draining: AtomicBool,
    watches_drain: Once,
    pub(crate) watches_expiry: AtomicBool,
}

impl RedisGateway {
    /// A gateway to `hub`, whose connections end as `shutdown` drains.
    /// Letters for events of keys that mean nothing ([`check_events`](crate::check_events) tells) count as none.
    pub fn new(hub: Hub, options: RedisOptions, shutdown: Shutdown) -> Self {
        let buckets = (0..options.databases.max(1)).map(bucket).collect();
        let keyspace = Keyspace::new(&options.notify_keyspace_events).unwrap_or_default();
        let shared = Arc::new(Shared {
            hub,
            options,
            counters: Counters::default(),
            clients: Clients::default(),
            waiting: Waiting::default(),
            cursors: Cursors::default(),
            channels: Channels::default(),
            keyspace,
            since: Instant::now(),
            buckets,
            shutdown,
            is_draining: AtomicBool::new(false),
            watches_drain: Once::new(),
            watches_expiry: AtomicBool::new(false),
        });
        let sampled: Weak<Shared> = Arc::downgrade(&shared);
        shared.hub.sample(sampled);
        Self { shared }
    }

    /// What was counted so far.
    pub fn stats(&self) -> RedisStats {
        self.shared.stats()
    }
}

impl Sampled for Shared {
    fn samples(&self) -> Vec<Sample> {
        self.stats().samples()
    }
}

/// Where a database is kept.
fn bucket(database: u32) -> Bucket {
    match database {
        0 => Bucket::default(),
        // Letters and digits are always a name.
        number => Bucket::new(format!("db{number}")).unwrap_or_default(),
    }
}

impl Accept for RedisGateway {
    async fn accept(&self, connection: Connection) {
        let Connection { mut stream, info } = connection;
        if let Err(error) = check_guest(&info.local) {
            // Whoever bound the listener should have asked.
            tracing::error!(peer = %info.peer, %error, "connection refused");
            return;
        }
        self.shared.watch_drain();
        let address = address(&info);
        let session = match self.shared.open(&address) {
            Ok(session) => Arc::new(session),
            Err(fault) => {
                tracing::warn!(address, %fault, "connection refused");
                let _ = stream.write_all(FULL).await;
                let _ = stream.shutdown().await;
                return;
            }
        };
        tracing::debug!(address, id = info.id, listener = %info.local, "connection opened");
        let client = Client::new(session.id().as_u64(), address, &info);
        let _entry = self.shared.clients.enter(&client);
        if self.shared.is_draining() {
            client.order(Order::Drain);
        }
        let conversation = Conversation::new(Arc::clone(&self.shared), session, Arc::clone(&client));
        let end = Talk::new(stream, conversation).run().await;
        end.tell(&client, &self.shared.counters);
    }
}

impl Shared {
    fn stats(&self) -> RedisStats {
        self.counters.read(&self.clients, &self.waiting)
    }

    pub(crate) fn open(&self, address: &str) -> Result<Session, Fault> {
        self.hub.open(SessionInfo {
            door: DOOR,
            address: address.to_owned(),
            account: Account::guest(),
            client: None,
        })
    }

    /// Whether the daemon goes down.
    pub(crate) fn is_draining(&self) -> bool {
        self.is_draining.load(Ordering::Acquire)
    }

    /// The bucket of a database; of the first one, if there is no such.
    pub(crate) fn bucket(&self, database: u32) -> &Bucket {
        let index = usize::try_from(database).unwrap_or_default();
        // There is at least one.
        self.buckets.get(index).unwrap_or_else(|| &self.buckets[0])
    }

    /// The database that is kept in a bucket, if it is one.
    pub(crate) fn database(&self, bucket: &Bucket) -> Option<u32> {
        let index = self.buckets.iter().position(|known| known == bucket)?;
        u32::try_from(index).ok()
    }

    /// Tells every connection when it is time to end: one task waits for that, rather than each at every command.
    fn watch_drain(self: &Arc<Self>) {
        self.watches_drain.call_once(|| {
            self.watch_expiry();
            let shared = Arc::downgrade(self);
            let shutdown = self.shutdown.clone();
            tokio::spawn(async move {
                shutdown.draining().await;
                if let Some(shared) = shared.upgrade() {
                    shared.is_draining.store(true, Ordering::Release);
                    shared.clients.order_all(Order::Drain);
                }
            });
        });
    }
}

/// What tells the party apart: its network address, or the user at the other end of a Unix socket.
fn address(info: &ConnectionInfo) -> String {
    match (info.peer, info.peer_uid) {
        (PeerAddress::Unix, Some(uid)) => format!("unix:uid={uid}"),
        (peer, _) => peer.to_string(),
    }
}
