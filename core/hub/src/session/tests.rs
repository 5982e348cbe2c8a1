use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use switchboard_peer::Reply;

use super::*;
use crate::call::{Call, Responder};
use crate::config::HubConfig;
use crate::hub::Hub;
use crate::policy::{Policy, QUEUE_MESSAGES_DEFAULT, QueueLimits};
use crate::retained::RetainedLimits;
use crate::subscription::{Deliveries, Delivery};

fn session(hub: &Hub) -> Session {
    hub.open(info()).unwrap()
}

fn info() -> SessionInfo {
    SessionInfo {
        door: "test".into(),
        address: "nowhere".to_owned(),
        account: Account::guest(),
        client: Some("tester".to_owned()),
    }
}

async fn call(session: &Session, operation: &str, body: &'static str) -> Result<Bytes, Fault> {
    let (reply, answer) = Replier::pair(1024);
    session.call(operation.into(), Body::Single(body.into()), None, reply);
    match answer.await? {
        Reply::Single(payload) => Ok(payload),
        Reply::Stream(parts) => parts.collect(1 << 20).await,
    }
}

fn echo(call: Call, reply: Replier) {
    match call.body {
        Body::Single(payload) => reply.result(payload),
        Body::Stream(_) => reply.fault(Fault::failed("not a stream")),
    }
}

/// Answers with its name.
fn named(name: &'static str) -> Arc<dyn Responder> {
    Arc::new(move |_: Call, reply: Replier| reply.result(name))
}

fn kind(fault: &Fault) -> Option<ErrorKind> {
    match fault {
        Fault::Error { kind, .. } => Some(*kind),
        Fault::Retry { .. } => None,
    }
}

fn all(deliveries: &mut Deliveries) -> Vec<String> {
    let there = std::iter::from_fn(|| deliveries.try_recv().ok().flatten());
    there.map(|delivery| shown(&delivery)).collect()
}

fn shown(delivery: &Delivery) -> String {
    let payload = String::from_utf8_lossy(&delivery.message.payload);
    let mark = if delivery.retained { "*" } else { "" };
    format!("{mark}{}={payload}", delivery.topic())
}

fn hub_in_flight(session: &Session) -> usize {
    session
        .ops(&PageRequest::default())
        .ops
        .iter()
        .map(|op| op.in_flight)
        .sum()
}

mod calls;
mod concurrency;
mod limits;
mod measured;
mod resuming;
mod topics;
