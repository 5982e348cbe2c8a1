//! The hub's own operations: responders like any others, JSON in and out.
//!
//! Those that concern a connection (`hub.login`, `hub.serve` and so on) are the gateways', see
//! [`requests`](crate::requests).

use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use bytestring::ByteString;
use serde::Serialize;
use switchboard_peer::{Body, ErrorKind, Fault, Replier};

use crate::call::{Call, Caller, Responder};
use crate::declaration::Declaration;
use crate::hub::HubInner;
use crate::media_type::MediaType;
use crate::requests;
use crate::responders::Offer;
use crate::session::SessionId;

mod keys;
mod ops;
mod page;
mod publish;
mod sessions;
mod stats;
mod whoami;

pub use ops::{OperationPage, OperationSummary};
pub use page::{PAGE_MAX, PageRequest};
pub use publish::PublishReply;
pub use sessions::{SessionPage, SessionSummary};
pub use whoami::WhoAmI;

/// How long to wait for a hub that is going down: about what a restart takes.
const STOPPING_RETRY_WAIT: Duration = Duration::from_secs(1);

/// Whether an operation changes nothing: see [`Declaration::safe`].
const SAFE: bool = true;

/// One of the hub's own operations.
struct Own {
    /// Weak, since the hub holds its operations.
    hub: Weak<HubInner>,
    answer: Answer,
}

/// How an operation answers.
#[derive(Clone, Copy)]
enum Answer {
    /// At once.
    Now(fn(&HubInner, &Caller, &[u8]) -> Result<Bytes, Fault>),
    /// It may have to wait first.
    Later(fn(&HubInner, &Caller, &[u8], Replier)),
    /// It may take a stream, and have to wait.
    Call(fn(Arc<HubInner>, Call, Replier)),
}

/// Enters the hub's own operations into its table.
pub(crate) fn register(hub: &Arc<HubInner>) {
    let all = [
        (requests::WHOAMI, SAFE, Answer::Now(whoami::answer)),
        (requests::OPS, SAFE, Answer::Now(ops::answer)),
        (requests::SESSIONS, SAFE, Answer::Now(sessions::answer)),
        (requests::STATS, SAFE, Answer::Now(stats::answer)),
        (requests::PUBLISH, !SAFE, Answer::Later(publish::answer)),
    ];
    for (name, safe, answer) in all {
        enter(hub, name, safe, Some(MediaType::JSON), answer);
    }
    if hub.engine.is_some() {
        for (name, safe, is_json) in keys::ALL {
            let result_type = is_json.then_some(MediaType::JSON);
            enter(hub, name, safe, result_type, Answer::Call(keys::answer));
        }
    }
}

fn enter(
    hub: &Arc<HubInner>,
    name: &'static str,
    safe: bool,
    result_type: Option<MediaType>,
    answer: Answer,
) {
    let own = Own {
        hub: Arc::downgrade(hub),
        answer,
    };
    let offer = Offer {
        responder: Arc::new(own),
        declaration: Declaration { safe, result_type },
        elsewhere: None,
    };
    let entered = hub
        .responders
        .insert(ByteString::from_static(name), SessionId::HUB, offer, 1);
    debug_assert!(entered.is_ok(), "a new table has room for {name}");
}

impl Responder for Own {
    fn respond(&self, call: Call, reply: Replier) {
        let Some(hub) = self.hub.upgrade() else {
            return reply.fault(Fault::retry(STOPPING_RETRY_WAIT, "the hub is going down"));
        };
        let payload = |call: Call| Ok((single(&call.operation, call.body)?, call.caller));
        match self.answer {
            Answer::Call(answer) => answer(hub, call, reply),
            Answer::Now(answer) => {
                reply.answer(payload(call).and_then(|(body, caller)| answer(&hub, &caller, &body)));
            }
            Answer::Later(answer) => match payload(call) {
                Ok((body, caller)) => answer(&hub, &caller, &body, reply),
                Err(fault) => reply.fault(fault),
            },
        }
    }
}

/// The payload of an operation that takes no stream.
fn single(operation: &str, body: Body) -> Result<Bytes, Fault> {
    match body {
        Body::Single(body) => Ok(body),
        Body::Stream(_) => Err(Fault::error(
            ErrorKind::Unsupported,
            format!("{operation} takes one payload, not a stream"),
        )),
    }
}

/// The JSON of a reply.
fn json(reply: &impl Serialize) -> Result<Bytes, Fault> {
    match serde_json::to_vec(reply) {
        Ok(json) => Ok(json.into()),
        Err(error) => Err(Fault::failed(format!("the reply is no JSON: {error}"))),
    }
}

/// Milliseconds since 1970; 0 for times before.
fn unix_ms(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
