//! `hub.whoami`: who the caller is to the hub.

use bytes::Bytes;
use serde::Serialize;
use switchboard_peer::Fault;

use super::json;
use crate::call::Caller;
use crate::hub::HubInner;
use crate::requests::{self, NoRequest};
use crate::session::{SessionId, SessionInfo};

/// The reply of `hub.whoami`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WhoAmI {
    /// The number of the session.
    pub session: u64,
    /// Its account.
    pub account: String,
    /// The gateway it came through.
    pub door: String,
    /// Its network address, as far as it has one.
    pub address: String,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
}

impl WhoAmI {
    pub(crate) fn new(id: SessionId, info: &SessionInfo) -> Self {
        Self {
            session: id.as_u64(),
            account: info.account.to_string(),
            door: info.door.to_string(),
            address: info.address.clone(),
            client: info.client.clone(),
        }
    }
}

pub(super) fn answer(_: &HubInner, caller: &Caller, body: &[u8]) -> Result<Bytes, Fault> {
    let NoRequest {} = requests::parse(requests::WHOAMI, body)?;
    json(&WhoAmI::new(caller.session, &caller.info))
}
