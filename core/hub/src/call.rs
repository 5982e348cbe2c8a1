//! A call as a responder gets it.

use std::sync::Arc;

use bytestring::ByteString;
use switchboard_peer::{Body, Replier};
use tokio::time::Instant;

use crate::media_type::MediaType;
use crate::names::Account;
use crate::session::{SessionId, SessionInfo};

/// One call, on its way from a caller to a responder.
#[derive(Debug)]
pub struct Call {
    /// What is called.
    pub operation: ByteString,
    /// With what.
    pub body: Body,
    /// What the body is, if the caller said so.
    pub content_type: Option<MediaType>,
    /// By whom.
    pub caller: Caller,
    /// When the caller stops waiting; `None` if never. Who responds is to be done by then, or to say Retry.
    pub deadline: Option<Instant>,
}

/// Who calls. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The session that calls.
    pub session: SessionId,
    /// What is known of it.
    pub info: Arc<SessionInfo>,
}

impl Caller {
    /// The account that calls.
    pub fn account(&self) -> &Account {
        &self.info.account
    }
}

/// Answers the calls of an operation: a connection to a peer that serves it, a service, a handler process.
pub trait Responder: Send + Sync + 'static {
    /// Answers one call through `reply`, now or later, from any thread.
    ///
    /// Runs in the task of whoever calls: it must not block. If the responder is gone it answers Retry, also when it
    /// left in this very moment. A panic is caught: the caller gets an Error, the log a line.
    fn respond(&self, call: Call, reply: Replier);

    /// How loaded it says it is, 0 to 65535, as in a heartbeat. Decides between responders with equally many calls in
    /// flight. Asked with a part of the hub locked: it must neither block nor come back to the hub.
    fn load(&self) -> u16 {
        0
    }
}

impl<F: Fn(Call, Replier) + Send + Sync + 'static> Responder for F {
    fn respond(&self, call: Call, reply: Replier) {
        self(call, reply);
    }
}
