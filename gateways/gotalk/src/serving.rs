//! Operations that a peer serves: `hub.serve`, `hub.unserve`, and the calls that so come to it.

use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use switchboard_hub::requests::{SERVE, ServeRequest, UNSERVE, UnserveRequest, parse};
use switchboard_hub::{Body, Call, Fault, Replier, Responder, Session};
use switchboard_peer::{Caller, Description, Peer};
use tokio::time::Instant;

use crate::party::Party;

/// What `hub.serve` and `hub.subscribe` answer.
pub(crate) const DONE: Bytes = Bytes::from_static(b"{}");

/// The operations that one connection serves.
#[derive(Debug, Default)]
pub(crate) struct Serving {
    operations: HashSet<String>,
}

impl Party {
    pub(crate) fn serve(&self, body: &[u8], peer: &Peer) -> Result<Bytes, Fault> {
        let request: ServeRequest = parse(SERVE, body)?;
        let declaration = request.declaration();
        let ServeRequest { ops, caller, .. } = request;
        if caller {
            peer.set_knows_cancel();
        }
        let served = Arc::new(Served {
            peer: peer.clone(),
            caller,
        });
        let begin = |operation: &str| {
            let served = Arc::clone(&served) as _;
            self.session
                .serve_declared(operation, served, declaration.clone())
        };
        self.serving.lock().begin(&self.session, ops, begin)?;
        Ok(DONE)
    }

    pub(crate) fn unserve(&self, body: &[u8]) -> Result<Bytes, Fault> {
        let UnserveRequest { ops } = parse(UNSERVE, body)?;
        let mut serving = self.serving.lock();
        let count = ops
            .iter()
            .filter(|operation| {
                serving.operations.remove(*operation);
                self.session.unserve(operation)
            })
            .count();
        Ok(removed(count))
    }
}

impl Serving {
    /// Serves all of `operations` by `serve`, or changes nothing.
    fn begin(
        &mut self,
        session: &Session,
        operations: Vec<String>,
        serve: impl Fn(&str) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        // New ones first: those that are served already have their place, and cannot be refused.
        let (again, new): (Vec<_>, Vec<_>) = operations
            .into_iter()
            .partition(|operation| self.operations.contains(operation));
        for (count, operation) in new.iter().enumerate() {
            if let Err(fault) = serve(operation) {
                for operation in new.iter().take(count) {
                    session.unserve(operation);
                }
                return Err(naming(SERVE, operation, fault));
            }
        }
        for operation in &again {
            serve(operation)?;
        }
        self.operations.extend(new);
        Ok(())
    }
}

/// The fault of a request for several names, with the name that it is about.
pub(crate) fn naming(request: &str, name: &str, fault: Fault) -> Fault {
    let named = format!("{request}: {name:?}: {}", fault.message());
    match fault {
        Fault::Error { kind, .. } => Fault::error(kind, named),
        Fault::Retry { wait, .. } => Fault::retry(wait, named),
    }
}

/// What `hub.unserve` and `hub.unsubscribe` answer.
pub(crate) fn removed(count: usize) -> Bytes {
    format!("{{\"removed\":{count}}}").into()
}

/// A connection as the responder of an operation. It holds the connection, not the session: so nothing keeps itself.
struct Served {
    peer: Peer,
    /// The peer wants to know who calls.
    caller: bool,
}

impl Responder for Served {
    fn respond(&self, call: Call, reply: Replier) {
        let description = self.caller.then(|| describe(&call));
        self.peer.forward(
            &call.operation,
            call.body,
            call.deadline,
            description.as_ref(),
            reply,
        );
    }

    fn load(&self) -> u16 {
        // One that never said so is taken for idle: then the calls in flight alone decide.
        self.peer.load().unwrap_or(0)
    }
}

fn describe(call: &Call) -> Description {
    let caller = &call.caller.info;
    let remaining = call
        .deadline
        .map(|deadline| deadline.saturating_duration_since(Instant::now()));
    Description {
        caller: Caller {
            account: Some(caller.account.to_string()),
            door: Some(caller.door.to_string()),
            address: Some(caller.address.clone()),
        },
        operation: call.operation.to_string(),
        deadline_ms: remaining.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX)),
        stream: matches!(call.body, Body::Stream(_)),
        content_type: call.content_type.as_ref().map(ToString::to_string),
    }
}
