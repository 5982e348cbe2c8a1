//! One connection as a party at the hub: what comes over it becomes the verbs of its session.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;
use switchboard_hub::names::RESERVED_OPERATION_PREFIX;
use switchboard_hub::requests::{LOGIN, LoginRequest, SERVE, SUBSCRIBE, UNSERVE, UNSUBSCRIBE, parse};
use switchboard_hub::{Body, ErrorKind, Fault, Publish, Session};
use switchboard_peer::{BoxFuture, Name, Peer, Replier, Request, Service};

use crate::gateway::Shared;
use crate::serving::Serving;
use crate::stats::Counters;
use crate::subscribing::Subscribing;

/// One connection's part at the hub. It goes with the connection, and takes its session along.
pub(crate) struct Party {
    pub(crate) session: Session,
    pub(crate) shared: Arc<Shared>,
    pub(crate) serving: Mutex<Serving>,
    /// Made by the first subscription: most connections only call, and idle ones should cost little.
    pub(crate) subscribing: Mutex<Option<Box<Subscribing>>>,
}

/// The operations that concern the connection they come over, and so are answered here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Own {
    Login,
    Serve,
    Unserve,
    Subscribe,
    Unsubscribe,
}

impl Own {
    fn find(operation: &str) -> Option<Self> {
        if !operation.starts_with(RESERVED_OPERATION_PREFIX) {
            return None;
        }
        Some(match operation {
            LOGIN => Self::Login,
            SERVE => Self::Serve,
            UNSERVE => Self::Unserve,
            SUBSCRIBE => Self::Subscribe,
            UNSUBSCRIBE => Self::Unsubscribe,
            _ => return None,
        })
    }
}

impl Party {
    pub(crate) fn new(session: Session, shared: Arc<Shared>) -> Self {
        Self {
            session,
            shared,
            serving: Mutex::default(),
            subscribing: Mutex::default(),
        }
    }

    fn answer(&self, own: Own, body: &[u8], peer: &Peer, reply: Replier) {
        match own {
            Own::Login => reply.answer(self.login(body)),
            Own::Serve => reply.answer(self.serve(body, peer)),
            Own::Unserve => reply.answer(self.unserve(body)),
            Own::Subscribe => self.subscribe(body, peer, reply),
            Own::Unsubscribe => reply.answer(self.unsubscribe(body)),
        }
    }

    fn login(&self, body: &[u8]) -> Result<Bytes, Fault> {
        let request: LoginRequest = parse(LOGIN, body)?;
        self.session.login(&request)?;
        serde_json::to_vec(&self.session.whoami())
            .map(Bytes::from)
            .map_err(|error| Fault::failed(format!("the reply is no JSON: {error}")))
    }

    fn refuse_notification(&self, peer: &Peer, name: &str, why: &str) {
        Counters::add_one(&self.shared.counters.notifications_refused);
        tracing::debug!(
            peer = peer.caller().address,
            name,
            why,
            "a notification is not published"
        );
    }
}

impl Service for Party {
    fn request(&self, request: Request) {
        let Request {
            operation,
            body,
            reply,
            peer,
            described: _,
        } = request;
        let Some(own) = Own::find(&operation) else {
            return self.session.call(operation, body, None, reply);
        };
        match body {
            Body::Single(body) => self.answer(own, &body, &peer, reply),
            Body::Stream(_) => reply.fault(Fault::error(
                ErrorKind::Unsupported,
                format!("{operation} takes one payload, not a stream"),
            )),
        }
    }

    fn notification(&self, peer: &Peer, name: Name, payload: Bytes) -> Option<BoxFuture<()>> {
        if is_reserved(&name) {
            self.refuse_notification(peer, &name, "names that begin with `hub.` are the hub's own");
            return None;
        }
        match self.session.publish_now(Publish::new(name.clone(), payload)) {
            Ok(published) if published.is_settled() => None,
            Ok(published) => Some(Box::pin(async move {
                // Nothing that comes as a notification is kept, so nothing can fail to be.
                let _ = published.settled().await;
            })),
            Err(fault) => {
                self.refuse_notification(peer, &name, fault.message());
                None
            }
        }
    }

    fn unanswering(&self, _: &Peer) {
        self.session.lose_all();
    }

    fn closed(&self, _: &Peer) {
        self.session.close();
    }
}

/// Whether a notification of this name would be one of the hub's own, such as `hub.cancel`.
pub(crate) fn is_reserved(name: &str) -> bool {
    name.starts_with(RESERVED_OPERATION_PREFIX)
}
