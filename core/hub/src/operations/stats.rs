//! `hub.stats`: how the hub does. The reply is [`Stats`](crate::Stats).

use bytes::Bytes;
use switchboard_peer::Fault;

use super::json;
use crate::call::Caller;
use crate::hub::HubInner;
use crate::requests::{self, NoRequest};

pub(super) fn answer(hub: &HubInner, _: &Caller, body: &[u8]) -> Result<Bytes, Fault> {
    let NoRequest {} = requests::parse(requests::STATS, body)?;
    json(&hub.stats())
}
