//! Who is connected: what `CLIENT LIST` shows, and how one client ends another.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;
use switchboard_net::ConnectionInfo;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::reply::Protocol;

/// One connection, as others see it.
#[derive(Debug)]
pub(crate) struct Client {
    /// Its number, which is that of its session.
    pub(crate) id: u64,
    /// Where it is.
    pub(crate) address: String,
    /// Our own end.
    pub(crate) local: String,
    /// Since when it is connected.
    pub(crate) since: Instant,
    /// What changes.
    pub(crate) state: Mutex<ClientState>,
    order: AtomicU8,
    ordered: Notify,
}

/// What changes about a client.
#[derive(Debug, Clone)]
pub(crate) struct ClientState {
    /// What it calls itself.
    pub(crate) name: Bytes,
    /// Which library it uses.
    pub(crate) library: Bytes,
    /// And of which version.
    pub(crate) library_version: Bytes,
    pub(crate) database: u32,
    pub(crate) protocol: Protocol,
    /// What it asked for last.
    pub(crate) command: &'static str,
    /// And when.
    pub(crate) active: Instant,
    pub(crate) channels: usize,
    pub(crate) patterns: usize,
    /// How many commands wait for `EXEC`, if there is a `MULTI`.
    pub(crate) queued: Option<usize>,
    /// Whether it waits for an element.
    pub(crate) is_blocked: bool,
}

/// What a client is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Order {
    /// Stop waiting, as if the time were over.
    Timeout = 1,
    /// Stop waiting, with an error.
    Unblock = 2,
    /// Finish what is under way, and close.
    Drain = 3,
    /// Close.
    Kill = 4,
}

impl Client {
    pub(crate) fn new(id: u64, address: String, info: &ConnectionInfo) -> Arc<Self> {
        let now = Instant::now();
        Arc::new(Self {
            id,
            address,
            local: info.local.to_string(),
            since: now,
            state: Mutex::new(ClientState {
                name: Bytes::new(),
                library: Bytes::new(),
                library_version: Bytes::new(),
                database: 0,
                protocol: Protocol::Resp2,
                command: "NULL",
                active: now,
                channels: 0,
                patterns: 0,
                queued: None,
                is_blocked: false,
            }),
            order: AtomicU8::new(0),
            ordered: Notify::new(),
        })
    }

    /// Tells it to do something. A weaker order does not take the place of a stronger one.
    pub(crate) fn order(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.ordered.notify_one();
    }

    /// What it was told to do; to stop waiting only once.
    pub(crate) fn take_order(&self) -> Option<Order> {
        match self.order.load(Ordering::Acquire) {
            0 => None,
            order if order == Order::Kill as u8 => Some(Order::Kill),
            order if order == Order::Drain as u8 => Some(Order::Drain),
            order => {
                let taken = self
                    .order
                    .compare_exchange(order, 0, Ordering::AcqRel, Ordering::Acquire);
                match taken {
                    Ok(_) if order == Order::Timeout as u8 => Some(Order::Timeout),
                    Ok(_) => Some(Order::Unblock),
                    Err(_) => self.take_order(),
                }
            }
        }
    }

    /// Waits until it is to close at once. Cancel safe.
    pub(crate) async fn killed(&self) {
        while self.order.load(Ordering::Acquire) != Order::Kill as u8 {
            self.ordered.notified().await;
        }
    }

    /// Waits until it is told to do something. Cancel safe.
    pub(crate) async fn ordered(&self) -> Order {
        loop {
            if let Some(order) = self.take_order() {
                return order;
            }
            self.ordered.notified().await;
        }
    }
}

/// All clients, by number.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    clients: Mutex<BTreeMap<u64, Arc<Client>>>,
    opened: AtomicU64,
}

/// A client's place among all; dropped, it is gone.
#[derive(Debug)]
pub(crate) struct Entry<'c> {
    clients: &'c Clients,
    id: u64,
}

impl Clients {
    /// Takes one in.
    pub(crate) fn enter(&self, client: &Arc<Client>) -> Entry<'_> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        self.clients.lock().insert(client.id, Arc::clone(client));
        Entry {
            clients: self,
            id: client.id,
        }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.clients.lock().len()
    }

    /// How many there were.
    pub(crate) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// One of them.
    pub(crate) fn find(&self, id: u64) -> Option<Arc<Client>> {
        self.clients.lock().get(&id).cloned()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.clients.lock().values().cloned().collect()
    }

    /// Tells all of them to do something.
    pub(crate) fn order_all(&self, order: Order) {
        for client in self.clients.lock().values() {
            client.order(order);
        }
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        self.clients.clients.lock().remove(&self.id);
    }
}
