//! Who is connected: what `CLIENT LIST` shows, and how one client ends another.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use parking_lot::Mutex;
use switchboard_net::ConnectionInfo;
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
    /// Its own task, which alone waits for orders. Between two commands that costs less than a `Notify`.
    task: AtomicWaker,
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
            task: AtomicWaker::new(),
        })
    }

    /// Tells it to do something. A weaker order does not take the place of a stronger one.
    pub(crate) fn order(&self, order: Order) {
        self.order.fetch_max(order as u8, Ordering::AcqRel);
        self.task.wake();
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

    /// Waits until it is to close at once. Cancel safe; for its own task only.
    pub(crate) async fn killed(&self) {
        let is_killed = || self.order.load(Ordering::Acquire) == Order::Kill as u8;
        poll_fn(|context| self.poll_order(context, || is_killed().then_some(()))).await;
    }

    /// Waits until it is told to do something. Cancel safe; for its own task only.
    pub(crate) async fn ordered(&self) -> Order {
        poll_fn(|context| self.poll_order(context, || self.take_order())).await
    }

    fn poll_order<T>(&self, context: &Context<'_>, look: impl Fn() -> Option<T>) -> Poll<T> {
        let found = look().or_else(|| {
            self.task.register(context.waker());
            // It may have come just before that.
            look()
        });
        found.map_or(Poll::Pending, Poll::Ready)
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
