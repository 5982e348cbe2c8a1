//! `hub.sessions`: who is here.

use bytes::Bytes;
use serde::Serialize;
use switchboard_peer::Fault;

use super::page::{self, PageRequest};
use super::{json, unix_ms};
use crate::call::Caller;
use crate::hub::HubInner;
use crate::requests;
use crate::session::{SessionCore, SessionId};

/// The reply of `hub.sessions`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionPage {
    /// Sessions by number, the oldest first.
    pub sessions: Vec<SessionSummary>,
    /// Where the next page begins, if there is one: what to ask for as `after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SessionSummary {
    /// Its number.
    pub id: u64,
    /// The gateway it came through.
    pub door: String,
    /// Its account.
    pub account: String,
    /// Its network address, as far as it has one.
    pub address: String,
    /// What it calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// When it was opened, in milliseconds since 1970.
    pub since_unix_ms: u64,
    /// How many operations it serves.
    pub serves: usize,
    /// How many subscriptions it has.
    pub subscriptions: usize,
}

impl SessionPage {
    pub(crate) fn of(hub: &HubInner, page: &PageRequest) -> Self {
        // What is no number is no `next` of ours: the first page answers it best.
        let after = page
            .after
            .as_deref()
            .and_then(|after| after.parse().ok())
            .unwrap_or(0);
        let mut sessions = hub.sessions_after(SessionId::new(after), page.limit.saturating_add(1));
        let more = page::cut(&mut sessions, page.limit);
        let next = sessions.last().filter(|_| more).map(|last| last.id.to_string());
        Self {
            sessions: sessions
                .iter()
                .map(|session| SessionSummary::of(session))
                .collect(),
            next,
        }
    }
}

impl SessionSummary {
    fn of(session: &SessionCore) -> Self {
        let (serves, subscriptions) = session.usage();
        Self {
            id: session.id.as_u64(),
            door: session.info.door.to_string(),
            account: session.info.account.to_string(),
            address: session.info.address.clone(),
            client: session.info.client.clone(),
            since_unix_ms: unix_ms(session.since),
            serves,
            subscriptions,
        }
    }
}

pub(super) fn answer(hub: &HubInner, _: &Caller, body: &[u8]) -> Result<Bytes, Fault> {
    json(&SessionPage::of(hub, &requests::parse(requests::SESSIONS, body)?))
}
