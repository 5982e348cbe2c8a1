//! `hub.publish`: publish, and be told that it was taken.

use serde::Serialize;
use switchboard_peer::{Fault, Replier};
use tokio::runtime::Handle;

use super::json;
use crate::call::Caller;
use crate::hub::HubInner;
use crate::publishing::Published;
use crate::requests::{self, PublishRequest};

/// The reply of `hub.publish`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishReply {
    /// How many subscriptions have the message.
    pub subscriptions: usize,
}

/// Publishes as the caller, whose session checks whether it may. Only where a full queue or the engine has to be waited
/// for does it take a task; outside of a runtime there is none, and the message is dropped for such queues.
pub(super) fn answer(hub: &HubInner, caller: &Caller, body: &[u8], reply: Replier) {
    match publish(hub, caller, body) {
        Err(fault) => reply.fault(fault),
        Ok(published) => match Handle::try_current() {
            Ok(runtime) if !published.is_settled() => {
                runtime.spawn(async move { respond(published.settled().await, reply) });
            }
            _ => respond(Ok(published.subscriptions()), reply),
        },
    }
}

fn publish(hub: &HubInner, caller: &Caller, body: &[u8]) -> Result<Published, Fault> {
    let publish = requests::parse::<PublishRequest>(requests::PUBLISH, body)?.into_publish()?;
    let session = hub
        .session(caller.session)
        .ok_or_else(|| Fault::failed("the session is closed"))?;
    session.publish(hub, publish)
}

fn respond(settled: Result<usize, Fault>, reply: Replier) {
    reply.answer(settled.and_then(|subscriptions| json(&PublishReply { subscriptions })));
}
